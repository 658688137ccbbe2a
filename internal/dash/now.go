package dash

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// buildNow lays out what an operator looks at first. Each part is there only
// if the metrics that it draws are.
func (b *builder) buildNow() {
	b.requests()
	b.cache()
	b.jobs()
	b.market()
	b.warm()
	b.push()
	b.database()
	b.process()
}

// fam returns the family of that name if it has a series, or nil.
func (b *builder) fam(name string) *family {
	if f := b.now.byName[name]; f != nil && len(f.series) > 0 {
		return f
	}
	return nil
}

// part is the series of a family that agree in some labels.
type part struct {
	name string // the values of these labels
	list []*series
}

// by splits a family by the values of labels. A nil family has no parts.
func by(f *family, labels ...string) []part {
	if f == nil {
		return nil
	}
	var parts []part
	index := map[string]int{}
	for _, s := range f.series {
		var values []string
		for _, l := range labels {
			if v := s.label(l); v != "" {
				values = append(values, v)
			}
		}
		name := strings.Join(values, " ")
		i, ok := index[name]
		if !ok {
			i = len(parts)
			index[name] = i
			parts = append(parts, part{name: name})
		}
		parts[i].list = append(parts[i].list, s)
	}
	return parts
}

// where keeps the series that have one of the values in a label.
func where(list []*series, name string, values ...string) []*series {
	var kept []*series
	for _, s := range list {
		for _, v := range values {
			if s.label(name) == v {
				kept = append(kept, s)
				break
			}
		}
	}
	return kept
}

// seriesOf are the series of a family, which may be nil, that have the given
// values in the given labels: name, value, name, value …
func seriesOf(f *family, pairs ...string) []*series {
	if f == nil {
		return nil
	}
	list := f.series
	for i := 0; i+1 < len(pairs); i += 2 {
		list = where(list, pairs[i], pairs[i+1])
	}
	return list
}

// rateOf is the rate of seriesOf, unknown if there is no such family.
func (b *builder) rateOf(f *family, pairs ...string) float64 {
	if f == nil {
		return nan
	}
	return b.rate(f.name, seriesOf(f, pairs...))
}

// p95 shows the 95th percentile of seriesOf.
func (b *builder) p95(key, name string, f *family, pairs ...string) cell {
	c := b.cell(key+"p95", name, unitSeconds, nan)
	if f != nil {
		c = b.quantileCells(key, f.name, seriesOf(f, pairs...))[1]
	}
	c.Name = name
	return c
}

// tile puts t on the page.
func (b *builder) tile(t tile) {
	b.l.Tiles = append(b.l.Tiles, t)
	b.l.always = append(b.l.always, "tile/"+t.Title)
}

// table puts t on the page if it has rows.
func (b *builder) table(t table) {
	if len(t.Rows) == 0 {
		return
	}
	b.l.Tables = append(b.l.Tables, t)
	for _, r := range t.Rows {
		b.l.always = append(b.l.always, "row/"+t.Title+"/"+r.Name)
	}
}

// find returns the series of the part with this name.
func find(parts []part, name string) []*series {
	for _, p := range parts {
		if p.name == name {
			return p.list
		}
	}
	return nil
}

func total(list ...*series) float64 {
	n := 0.0
	for _, s := range list {
		n += s.value + s.count
	}
	return n
}

// largest keeps the maxRows largest parts that are not empty, the largest
// first, and says how many it left out. What has been picked lately stays.
func (b *builder) largest(key string, parts []part) (kept []part, note string) {
	for _, p := range parts {
		if total(p.list...) > 0 {
			kept = append(kept, p)
		}
	}
	bySize := func(x, y part) int { return cmp.Compare(total(y.list...), total(x.list...)) }
	slices.SortStableFunc(kept, bySize)
	if all := len(kept); all > maxRows {
		slices.SortStableFunc(kept, func(x, y part) int { return boolRank(b.keep[key+y.name]) - boolRank(b.keep[key+x.name]) })
		kept = kept[:maxRows]
		slices.SortStableFunc(kept, bySize)
		note = fmt.Sprintf("the %d busiest of %d", maxRows, all)
	}
	for _, p := range kept {
		b.l.ranked = append(b.l.ranked, key+p.name)
	}
	return kept, note
}

// ratio is part of whole, unknown while nothing happens.
func ratio(part, whole float64) float64 {
	if whole > 0 {
		return part / whole
	}
	return nan
}

func (b *builder) requests() {
	dur := b.fam("furima_api_request_duration_seconds")
	reqs := b.fam("furima_api_requests_total")
	if reqs == nil {
		reqs = dur
	}
	if reqs == nil {
		return
	}
	rate := b.rate(reqs.name, reqs.series)
	errs := b.rate(reqs.name, where(reqs.series, "status", "5xx"))
	main := b.cell("now/requests", "requests", unitPerSecond, rate)
	bad := b.cell("now/errors", "errors", unitRatio, ratio(errs, rate)).bad()
	failed := b.cell("now/failed", "errors", unitPerSecond, errs)
	b.tile(tile{
		Title: "Requests", Main: main, Subs: []cell{bad},
		Chart: chart{Title: "Requests a second", Unit: unitPerSecond, Lines: []line{main.line("main"), failed.line("bad")}},
	})
	if dur != nil {
		qs := b.quantileCells("now/latency/", dur.name, dur.series)
		c := quantileChart(qs)
		c.Title = "Response time"
		b.tile(tile{Title: "Response time, p95", Main: qs[1], Subs: []cell{qs[0], qs[2]}, Chart: c})
	}

	t := table{Title: "Routes", Wide: true, Code: true, Head: []string{"requests", "p50", "p95", "p99", "errors"}}
	durs := by(dur, "route")
	var kept []part
	kept, t.Note = b.largest("route/", by(reqs, "route"))
	for _, p := range kept {
		key := "route/" + p.name + "/"
		rate := b.rate(reqs.name, p.list)
		c := b.cell(key+"rate", "requests", unitPerSecond, rate)
		cells := []cell{c}
		if list := find(durs, p.name); list != nil {
			cells = append(cells, b.quantileCells(key, dur.name, list)...)
		} else {
			for _, q := range t.Head[1:4] {
				cells = append(cells, b.cell(key+q, q, unitSeconds, nan))
			}
		}
		errs := ratio(b.rate(reqs.name, where(p.list, "status", "5xx")), rate)
		cells = append(cells, b.cell(key+"errors", "errors", unitRatio, errs).bad())
		t.Rows = append(t.Rows, row{Name: p.name, Cells: cells,
			Chart: chart{Title: p.name, Unit: unitPerSecond, Lines: []line{c.line("main")}}})
	}
	b.table(t)
}

func (b *builder) cache() {
	f := b.fam("furima_cache_requests_total")
	if f == nil {
		return
	}
	// What the warmer asks for is not a reader's request.
	readers := where(f.series, "outcome", "hit", "stale", "miss", "renewed", "collapsed")
	all := b.rate(f.name, readers)
	main := b.cell("now/cache", "from memory", unitRatio, ratio(b.rate(f.name, where(readers, "outcome", "hit", "stale")), all))
	t := tile{Title: "Cache hits", Main: main,
		Subs:  []cell{b.cell("now/cache/lookups", "lookups", unitPerSecond, all)},
		Chart: chart{Title: "Answers from the cache", Unit: unitRatio, Max: 1, Lines: []line{main.line("main")}}}
	if size := b.fam("furima_cache_bytes"); size != nil {
		t.Subs = append(t.Subs, b.cell("now/cache/bytes", "size", unitBytes, sumValues(size.series)))
	}
	b.tile(t)
}

// market shows what people do.
func (b *builder) market() {
	f := b.fam("furima_store_events_total")
	if f == nil {
		return
	}
	t := table{Title: "Market", Head: []string{"a minute", "since start"}}
	parts, note := b.largest("market/", by(f, "event"))
	t.Note = note
	for _, p := range parts {
		key := "market/" + p.name + "/"
		rate := b.cell(key+"rate", "a minute", unitNone, b.rate(f.name, p.list)*60)
		t.Rows = append(t.Rows, row{Name: strings.ReplaceAll(p.name, "_", " "), Cells: []cell{
			rate, b.cell(key+"total", "since start", unitNone, sumValues(p.list)),
		}, Chart: chart{Title: strings.ReplaceAll(p.name, "_", " ") + ", a minute", Unit: unitNone, Lines: []line{rate.line("main")}}})
	}
	b.table(t)
}

// database shows each database: the market's, and the queues that live apart.
func (b *builder) database() {
	tx := b.fam("furima_sqldb_tx_duration_seconds")
	if tx == nil {
		return
	}
	retries, used, waited := b.fam("furima_sqldb_tx_retries_total"), b.fam("furima_sqldb_connections_in_use"), b.fam("furima_sqldb_connection_wait_seconds_total")
	t := table{Title: "Databases", Wide: true, Head: []string{"writes", "p50", "p95", "retried", "in use", "waiting"}}
	for _, p := range by(tx, "db") {
		key := "db/" + p.name + "/"
		rate := b.cell(key+"rate", "writes", unitPerSecond, b.rate(tx.name, p.list))
		qs := b.quantileCells(key, tx.name, p.list)
		t.Rows = append(t.Rows, row{Name: p.name, Cells: []cell{
			rate, qs[0], qs[1],
			b.cell(key+"retried", "retried", unitPerSecond, b.rateOf(retries, "db", p.name)),
			b.cell(key+"used", "in use", unitNone, sumValues(seriesOf(used, "db", p.name))),
			b.cell(key+"waiting", "waiting", unitRatio, b.rateOf(waited, "db", p.name)),
		}, Chart: chart{Title: "Write transactions of " + p.name, Unit: unitPerSecond, Lines: []line{rate.line("main")}}})
	}
	b.table(t)
}

func (b *builder) process() {
	if f := b.fam("process_cpu_seconds_total"); f != nil {
		main := b.cell("now/cpu", "of one core", unitRatio, b.rate(f.name, f.series))
		t := tile{Title: "CPU", Main: main, Chart: chart{Title: "CPU, share of one core", Unit: unitRatio, Lines: []line{main.line("main")}}}
		if g := b.fam("go_sched_gomaxprocs_threads"); g != nil {
			t.Subs = append(t.Subs, b.cell("now/cores", "cores", unitNone, g.series[0].value))
		}
		b.tile(t)
	}
	if f := b.fam("process_resident_memory_bytes"); f != nil {
		main := b.cell("now/memory", "resident", unitBytes, f.series[0].value)
		t := tile{Title: "Memory", Main: main, Chart: chart{Title: "Memory", Unit: unitBytes, Lines: []line{main.line("main")}}}
		if g := b.fam("go_memstats_heap_inuse_bytes"); g != nil {
			heap := b.cell("now/heap", "Go heap", unitBytes, g.series[0].value)
			t.Subs = append(t.Subs, heap)
			t.Chart.Lines = append(t.Chart.Lines, heap.line("other"))
		}
		b.tile(t)
	}
	if f := b.fam("go_goroutines"); f != nil {
		main := b.cell("now/goroutines", "goroutines", unitNone, f.series[0].value)
		t := tile{Title: "Goroutines", Main: main, Chart: chart{Title: "Goroutines", Unit: unitNone, Lines: []line{main.line("main")}}}
		if g := b.fam("process_open_fds"); g != nil {
			t.Subs = append(t.Subs, b.cell("now/fds", "open files", unitNone, g.series[0].value))
		}
		b.tile(t)
	}
}
