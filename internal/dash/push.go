package dash

import (
	"slices"
	"strings"
)

// push shows the gateway: what comes in, what waits, what each provider does
// with it, and the connections and webhooks around it.
func (b *builder) push() {
	results := b.fam("furima_push_results_total")
	if results == nil {
		return
	}
	b.pushTiles(results)
	b.pushLanes(results)
	b.pushOutcomes(results)
	b.pushIntake()
	b.pushConnections()
	b.pushWebhooks()
}

// outcome is the rate of messages that ended in one of the ways.
func (b *builder) outcome(f *family, list []*series, names ...string) float64 {
	return b.rate(f.name, where(list, "outcome", names...))
}

func (b *builder) pushTiles(results *family) {
	main := b.cell("now/push/sent", "delivered", unitPerSecond, b.outcome(results, results.series, "sent"))
	failed := b.cell("now/push/failed", "rejected", unitPerSecond, b.outcome(results, results.series, "rejected", "refused")).bad()
	t := tile{Title: "Push", Main: main, Chart: chart{Title: "Notifications a second", Unit: unitPerSecond, Lines: []line{main.line("main"), failed.line("bad")}}}
	if f := b.fam("furima_push_accepted_total"); f != nil {
		t.Subs = append(t.Subs, b.cell("now/push/accepted", "accepted", unitPerSecond, b.rate(f.name, f.series)))
	}
	t.Subs = append(t.Subs, failed)
	b.tile(t)

	if f := b.fam("furima_push_backlog"); f != nil {
		waiting := sumValues(f.series)
		main := b.cell("now/push/backlog", "waiting", unitNone, waiting)
		t := tile{Title: "Push backlog", Main: main, Chart: chart{Title: "Notifications that wait", Unit: unitNone, Lines: []line{main.line("main")}}}
		if age := b.fam("furima_push_backlog_age_seconds"); age != nil {
			t.Subs = append(t.Subs, b.cell("now/push/oldest", "oldest", unitSeconds, maxValue(age.series)))
		}
		if limit := b.fam("furima_push_backlog_max"); limit != nil {
			t.Subs = append(t.Subs, b.cell("now/push/full", "full", unitRatio, ratio(waiting, sumValues(limit.series))))
		}
		b.tile(t)
	}

	reqs := b.fam("furima_push_requests_total")
	if reqs == nil {
		return
	}
	in := b.cell("now/push/requests", "requests", unitPerSecond, b.rate(reqs.name, reqs.series))
	busy := b.cell("now/push/429", "429", unitPerSecond, b.rate(reqs.name, where(reqs.series, "status", "429"))).bad()
	t = tile{Title: "Push requests", Main: in, Subs: []cell{busy},
		Chart: chart{Title: "Requests to the gateway a second", Unit: unitPerSecond, Lines: []line{in.line("main"), busy.line("bad")}}}
	if took := b.fam("furima_push_request_seconds"); took != nil {
		c := b.quantileCells("now/push/took/", took.name, took.series)[1]
		c.Name = "p95"
		t.Subs = append(t.Subs, c)
	}
	b.tile(t)
}

// pushLanes has a row for each app at each provider.
func (b *builder) pushLanes(results *family) {
	t := table{Title: "Push", Wide: true, Head: []string{"delivered", "p50", "p95", "p99", "delay p95", "oldest", "retried", "dead tokens", "rejected", "held up"}}
	took, delay := b.fam("furima_push_provider_seconds"), b.fam("furima_push_delivery_seconds")
	age, held := b.fam("furima_push_backlog_age_seconds"), b.fam("furima_push_paused")
	for _, p := range by(results, "app", "provider") {
		key := "push/" + p.name + "/"
		of := []string{"app", p.list[0].label("app"), "provider", p.list[0].label("provider")}
		sent := b.cell(key+"sent", "delivered", unitPerSecond, b.outcome(results, p.list, "sent"))
		qs := []cell{b.cell(key+"p50", "p50", unitSeconds, nan), b.cell(key+"p95", "p95", unitSeconds, nan), b.cell(key+"p99", "p99", unitSeconds, nan)}
		if took != nil {
			qs = b.quantileCells(key, took.name, seriesOf(took, of...))
		}
		t.Rows = append(t.Rows, row{Name: p.name, Cells: []cell{
			sent, qs[0], qs[1], qs[2],
			b.p95(key+"delay/", "delay p95", delay, of...),
			b.cell(key+"oldest", "oldest", unitSeconds, maxValue(seriesOf(age, of...))),
			b.cell(key+"retried", "retried", unitPerSecond, b.outcome(results, p.list, "retry", "down", "refused")),
			b.cell(key+"dead", "dead tokens", unitPerSecond, b.outcome(results, p.list, "unregistered")),
			b.cell(key+"rejected", "rejected", unitPerSecond, b.outcome(results, p.list, "rejected")).bad(),
			b.cell(key+"paused", "held up", unitNone, maxValue(seriesOf(held, of...))).bad(),
		}, Chart: chart{Title: p.name + ", delivered a second", Unit: unitPerSecond, Lines: []line{sent.line("main")}}})
	}
	b.table(t)
	b.pushHeld()
}

// pushHeld says why lanes are, or were, held up. What never was is not there.
func (b *builder) pushHeld() {
	opened, state := b.fam("furima_push_breaker_opened_total"), b.fam("furima_push_breaker_state")
	t := table{Title: "Push held up", Head: []string{"now", "times"}}
	for _, p := range by(opened, "app", "provider", "state") {
		if total(p.list...) == 0 {
			continue
		}
		key := "push-held/" + p.name + "/"
		s := p.list[0]
		now := b.cell(key+"now", "now", unitNone, maxValue(seriesOf(state, "app", s.label("app"), "provider", s.label("provider"), "state", s.label("state")))).bad()
		t.Rows = append(t.Rows, row{Name: p.name, Cells: []cell{now, b.cell(key+"times", "times", unitNone, sumValues(p.list))},
			Chart: chart{Title: p.name + ", held up", Unit: unitNone, Max: 1, Lines: []line{now.line("bad")}}})
	}
	b.table(t)
}

// pushOutcomes has a row for what each provider says, the most frequent first.
func (b *builder) pushOutcomes(results *family) {
	t := table{Title: "Push outcomes", Head: []string{"rate", "total"}}
	var kept []part
	kept, t.Note = b.largest("push-outcome/", by(results, "provider", "outcome", "reason"))
	for _, p := range kept {
		key := "push-outcome/" + p.name + "/"
		rate := b.cell(key+"rate", "rate", unitPerSecond, b.rate(results.name, p.list))
		t.Rows = append(t.Rows, row{Name: p.name, Cells: []cell{rate, b.cell(key+"total", "total", unitNone, sumValues(p.list))},
			Chart: chart{Title: p.name + " a second", Unit: unitPerSecond, Lines: []line{rate.line("main")}}})
	}
	b.table(t)
}

// pushIntake has a row for each route.
func (b *builder) pushIntake() {
	reqs, took := b.fam("furima_push_requests_total"), b.fam("furima_push_request_seconds")
	t := table{Title: "Push requests", Code: true, Head: []string{"requests", "p50", "p99", "429", "other errors"}}
	for _, p := range by(reqs, "route") {
		key := "push-route/" + p.name + "/"
		rate := b.cell(key+"rate", "requests", unitPerSecond, b.rate(reqs.name, p.list))
		qs := []cell{b.cell(key+"p50", "p50", unitSeconds, nan), {}, b.cell(key+"p99", "p99", unitSeconds, nan)}
		if list := seriesOf(took, "route", p.name); len(list) > 0 {
			qs = b.quantileCells(key, took.name, list)
		}
		t.Rows = append(t.Rows, row{Name: p.name, Cells: []cell{
			rate, qs[0], qs[2],
			b.cell(key+"429", "429", unitPerSecond, b.rate(reqs.name, where(p.list, "status", "429"))).bad(),
			b.cell(key+"errors", "other errors", unitPerSecond, b.rate(reqs.name, failures(p.list))).bad(),
		}, Chart: chart{Title: p.name, Unit: unitPerSecond, Lines: []line{rate.line("main")}}})
	}
	b.table(t)
}

// failures are the series with a status of 400 or more, but for 429.
func failures(list []*series) []*series {
	return slices.DeleteFunc(slices.Clone(list), func(s *series) bool {
		status := s.label("status")
		return status == "429" || !strings.HasPrefix(status, "4") && !strings.HasPrefix(status, "5")
	})
}

// pushConnections has a row for each pool of connections to a provider.
func (b *builder) pushConnections() {
	conns := b.fam("furima_push_h2_connections")
	if conns == nil {
		return
	}
	reqs, writes := b.fam("furima_push_h2_requests_total"), b.fam("furima_push_h2_writes_total")
	t := table{Title: "Push connections", Head: []string{"open", "requests", "per write", "sent again", "no answer", "lost"}}
	for _, p := range by(conns, "pool") {
		key := "push-pool/" + p.name + "/"
		of := []string{"pool", p.name}
		lost := b.cell(key+"lost", "lost", unitPerSecond, b.rateOrZero("furima_push_h2_losses_total", append(of, "cause", "lost")...)).bad()
		open := b.cell(key+"open", "open", unitNone, sumValues(p.list))
		rate := b.rateOf(reqs, of...)
		t.Rows = append(t.Rows, row{Name: p.name, Cells: []cell{
			open,
			b.cell(key+"rate", "requests", unitPerSecond, rate),
			b.cell(key+"each", "per write", unitNone, ratio(rate, b.rateOf(writes, of...))),
			b.cell(key+"again", "sent again", unitPerSecond, b.rateOrZero("furima_push_h2_resent_total", of...)),
			b.cell(key+"errors", "no answer", unitPerSecond, b.rateOrZero("furima_push_h2_errors_total", of...)).bad(),
			lost,
		}, Chart: chart{Title: p.name + ", open connections", Unit: unitNone, Lines: []line{open.line("main")}}})
	}
	b.table(t)
}

// rateOrZero is rateOf a counter that has no series before it first counts.
func (b *builder) rateOrZero(name string, pairs ...string) float64 {
	if f := b.fam(name); f != nil {
		return b.rateOf(f, pairs...)
	}
	return 0
}

// pushWebhooks has a row for each app: what becomes of its dead tokens.
func (b *builder) pushWebhooks() {
	posts, hits := b.fam("furima_push_webhook_posts_total"), b.fam("furima_push_dead_token_hits_total")
	t := table{Title: "Dead tokens", Head: []string{"not sent to", "reported", "posts", "p95", "failed posts"}}
	var apps []string
	for _, p := range slices.Concat(by(hits, "app"), by(posts, "app")) {
		if total(p.list...) > 0 && !slices.Contains(apps, p.name) {
			apps = append(apps, p.name)
		}
	}
	for _, app := range apps {
		key := "push-dead/" + app + "/"
		spared := b.cell(key+"spared", "not sent to", unitPerSecond, b.rateOf(hits, "app", app))
		t.Rows = append(t.Rows, row{Name: app, Cells: []cell{
			spared,
			b.cell(key+"reported", "reported", unitPerSecond, b.rateOf(b.fam("furima_push_webhook_tokens_total"), "app", app)),
			b.cell(key+"posts", "posts", unitPerSecond, b.rateOf(posts, "app", app, "outcome", "ok")),
			b.p95(key, "p95", b.fam("furima_push_webhook_seconds"), "app", app),
			b.cell(key+"failed", "failed posts", unitPerSecond, b.failedPosts(posts, app)).bad(),
		}, Chart: chart{Title: app + ", messages not sent to dead tokens, a second", Unit: unitPerSecond, Lines: []line{spared.line("main")}}})
	}
	if f := b.fam("furima_push_dead_tokens"); f != nil && len(t.Rows) > 0 {
		t.Note = "remembered: " + format(sumValues(f.series), unitNone, 0).text
	}
	b.table(t)
}

func (b *builder) failedPosts(posts *family, app string) float64 {
	if posts == nil {
		return nan
	}
	return b.rate(posts.name, where(seriesOf(posts, "app", app), "outcome", "refused", "failed", "forbidden"))
}
