package dash

import (
	"slices"
)

// jobs shows the queues.
func (b *builder) jobs() {
	count, runs := b.fam("furima_job_jobs"), b.fam("furima_job_runs_total")
	if count == nil && runs == nil {
		return
	}
	age := b.fam("furima_job_oldest_ready_seconds")
	main := b.cell("now/jobs", "ready", unitNone, inState(count, "", "ready"))
	dead := b.cell("now/jobs/dead", "dead", unitNone, inState(count, "", "dead")).bad()
	b.tile(tile{Title: "Jobs waiting", Main: main,
		Subs:  []cell{b.cell("now/jobs/oldest", "oldest", unitSeconds, maxValue(seriesOf(age))), dead},
		Chart: chart{Title: "Jobs that wait", Unit: unitNone, Lines: []line{main.line("main"), dead.line("bad")}}})

	waits, took := b.fam("furima_job_wait_duration_seconds"), b.fam("furima_job_run_duration_seconds")
	t := table{Title: "Jobs", Wide: true, Head: []string{"done", "retried", "wait p95", "run p95", "ready", "later", "dead", "oldest"}}
	for _, kind := range kindsOf(count, runs) {
		key := "jobs/" + kind + "/"
		done := b.cell(key+"done", "done", unitPerSecond, b.rateOf(runs, "kind", kind, "outcome", "done"))
		t.Rows = append(t.Rows, row{Name: kind, Cells: []cell{
			done,
			b.cell(key+"retried", "retried", unitPerSecond, b.rateOf(runs, "kind", kind, "outcome", "retry")),
			b.p95(key+"wait/", "wait p95", waits, "kind", kind),
			b.p95(key+"run/", "run p95", took, "kind", kind),
			b.cell(key+"ready", "ready", unitNone, inState(count, kind, "ready")),
			b.cell(key+"later", "later", unitNone, inState(count, kind, "scheduled")),
			b.cell(key+"dead", "dead", unitNone, inState(count, kind, "dead")).bad(),
			b.cell(key+"oldest", "oldest", unitSeconds, maxValue(seriesOf(age, "kind", kind))),
		}, Chart: chart{Title: kind + ", done a second", Unit: unitPerSecond, Lines: []line{done.line("main")}}})
	}
	b.table(t)
}

// inState is how many jobs of a kind, "" for all, are in a state. An empty queue
// has no series.
func inState(count *family, kind, state string) float64 {
	list := seriesOf(count, "state", state)
	if kind != "" {
		list = where(list, "kind", kind)
	}
	if len(list) == 0 {
		return 0
	}
	return sumValues(list)
}

// kindsOf are the values of the label kind in all of the families.
func kindsOf(fs ...*family) []string {
	var kinds []string
	for _, f := range fs {
		for _, s := range seriesOf(f) {
			kinds = append(kinds, s.label("kind"))
		}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// warm shows how fresh the warmer keeps what it warms.
func (b *builder) warm() {
	coverage, lag := b.fam("furima_warm_coverage_ratio"), b.fam("furima_warm_lag_seconds")
	refreshes := b.fam("furima_warm_refreshes_total")
	if coverage == nil {
		return
	}
	main := b.cell("now/warm", "lowest coverage", unitRatio, minValue(coverage.series))
	b.tile(tile{Title: "Warm pages", Main: main,
		Subs: []cell{
			b.cell("now/warm/lag", "lag", unitSeconds, maxValue(seriesOf(lag))),
			b.cell("now/warm/rate", "refreshed", unitPerSecond, b.rateOf(refreshes)),
		},
		Chart: chart{Title: "Share of pages refreshed in time, of the worst target", Unit: unitRatio, Max: 1, Lines: []line{main.line("main")}}})

	took := b.fam("furima_warm_request_seconds")
	t := table{Title: "Warmer", Head: []string{"pages", "in time", "lag", "refreshed", "p95", "failed"}}
	for _, p := range by(coverage, "target") {
		key := "warm/" + p.name + "/"
		rate := b.cell(key+"rate", "refreshed", unitPerSecond, b.rateOf(refreshes, "target", p.name))
		failed := b.rateOf(refreshes, "target", p.name) - b.rateOf(refreshes, "target", p.name, "outcome", "ok")
		t.Rows = append(t.Rows, row{Name: p.name, Cells: []cell{
			b.cell(key+"pages", "pages", unitNone, sumValues(seriesOf(b.fam("furima_warm_combinations"), "target", p.name))),
			b.cell(key+"coverage", "in time", unitRatio, minValue(p.list)),
			b.cell(key+"lag", "lag", unitSeconds, maxValue(seriesOf(lag, "target", p.name))),
			rate,
			b.p95(key, "p95", took, "target", p.name),
			b.cell(key+"failed", "failed", unitPerSecond, failed).bad(),
		}, Chart: chart{Title: p.name + ", refreshed a second", Unit: unitPerSecond, Lines: []line{rate.line("main")}}})
	}
	b.table(t)
}
