package dash

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// shown writes the panels under "Now" as text.
func shown(l *layout) []string {
	var lines []string
	cells := func(list []cell) string {
		var s []string
		for _, c := range list {
			text := c.Name + " " + c.Text() + c.Suffix()
			if c.Alarm() {
				text += "!"
			}
			s = append(s, text)
		}
		return strings.Join(s, ", ")
	}
	for _, t := range l.Tiles {
		lines = append(lines, strings.TrimSpace(t.Title+": "+cells([]cell{t.Main})+" | "+cells(t.Subs)))
	}
	for _, t := range l.Tables {
		for _, r := range t.Rows {
			lines = append(lines, t.Title+" "+r.Name+": "+cells(r.Cells))
			if len(r.Cells) != len(t.Head) {
				lines = append(lines, "the head of "+t.Title+" does not fit")
			}
		}
	}
	return lines
}

func TestNow(t *testing.T) {
	reg := prometheus.NewRegistry()
	vecs := map[string]prometheus.Collector{}
	vec := func(name string, c prometheus.Collector) prometheus.Collector {
		if vecs[name] == nil {
			reg.MustRegister(c)
			vecs[name] = c
		}
		return vecs[name]
	}
	split := func(pairs []string) (names []string, values []string) {
		for i := 0; i < len(pairs); i += 2 {
			names, values = append(names, pairs[i]), append(values, pairs[i+1])
		}
		return names, values
	}
	count := func(name string, n float64, pairs ...string) {
		names, values := split(pairs)
		c := vec(name, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name}, names))
		c.(*prometheus.CounterVec).WithLabelValues(values...).Add(n)
	}
	gauge := func(name string, v float64, pairs ...string) {
		names, values := split(pairs)
		c := vec(name, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name}, names))
		c.(*prometheus.GaugeVec).WithLabelValues(values...).Set(v)
	}
	observe := func(name string, n int, v float64, pairs ...string) {
		names, values := split(pairs)
		c := vec(name, prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Buckets: []float64{.01, .1, 1}}, names))
		for range n {
			c.(*prometheus.HistogramVec).WithLabelValues(values...).Observe(v)
		}
	}
	traffic := func() {
		count("furima_api_requests_total", 30, "route", "GET /a", "status", "2xx")
		count("furima_api_requests_total", 10, "route", "GET /a", "status", "5xx")
		count("furima_api_requests_total", 0, "route", "GET /never", "status", "2xx")
		observe("furima_api_request_duration_seconds", 30, .05, "route", "GET /a", "status", "2xx")
		observe("furima_api_request_duration_seconds", 10, 5, "route", "GET /a", "status", "5xx")
		count("furima_cache_requests_total", 6, "outcome", "hit")
		count("furima_cache_requests_total", 2, "outcome", "stale")
		count("furima_cache_requests_total", 2, "outcome", "miss")
		count("furima_cache_requests_total", 90, "outcome", "refresh")
		gauge("furima_cache_bytes", 5e6)
		gauge("furima_job_jobs", 3, "kind", "k.a", "state", "ready")
		gauge("furima_job_jobs", 4, "kind", "k.b", "state", "ready")
		gauge("furima_job_jobs", 1, "kind", "k.b", "state", "dead")
		gauge("furima_job_oldest_ready_seconds", 2, "kind", "k.a")
		gauge("furima_job_oldest_ready_seconds", 9, "kind", "k.b")
		count("furima_job_runs_total", 8, "kind", "k.a", "outcome", "done")
		count("furima_job_runs_total", 2, "kind", "k.a", "outcome", "retry")
		observe("furima_job_wait_duration_seconds", 10, .005, "kind", "k.a")
		observe("furima_job_run_duration_seconds", 10, .05, "kind", "k.a")
		gauge("furima_warm_coverage_ratio", .5, "target", "lists")
		gauge("furima_warm_coverage_ratio", 1, "target", "newest")
		gauge("furima_warm_lag_seconds", 12, "target", "lists")
		gauge("furima_warm_combinations", 1840, "target", "lists")
		count("furima_warm_refreshes_total", 18, "target", "lists", "outcome", "ok")
		count("furima_warm_refreshes_total", 2, "target", "lists", "outcome", "no_answer")
		observe("furima_warm_request_seconds", 20, .005, "target", "lists")
		apns := []string{"app", "market", "provider", "apns"}
		count("furima_push_results_total", 50, append(apns, "outcome", "sent", "reason", "")...)
		count("furima_push_results_total", 4, append(apns, "outcome", "unregistered", "reason", "Unregistered")...)
		count("furima_push_results_total", 2, append(apns, "outcome", "rejected", "reason", "PayloadTooLarge")...)
		count("furima_push_results_total", 6, append(apns, "outcome", "retry", "reason", "Shutdown")...)
		count("furima_push_accepted_total", 60, "app", "market")
		gauge("furima_push_backlog", 7)
		gauge("furima_push_paused", 1, apns...)
		gauge("furima_push_backlog_max", 70)
		gauge("furima_push_backlog_age_seconds", 4, apns...)
		count("furima_push_breaker_opened_total", 3, append(apns, "state", "down")...)
		count("furima_push_breaker_opened_total", 0, append(apns, "state", "refused")...)
		gauge("furima_push_breaker_state", 1, append(apns, "state", "down")...)
		count("furima_push_dead_token_hits_total", 4, apns...)
		gauge("furima_push_dead_tokens", 1843)
		count("furima_push_webhook_posts_total", 2, "app", "market", "outcome", "ok")
		count("furima_push_webhook_posts_total", 1, "app", "market", "outcome", "refused")
		count("furima_push_webhook_posts_total", 1, "app", "market", "outcome", "failed")
		count("furima_push_webhook_tokens_total", 8, "app", "market")
		observe("furima_push_webhook_seconds", 4, .05, "app", "market")
		count("furima_push_requests_total", 6, "route", "POST /v1/push", "status", "202")
		count("furima_push_requests_total", 2, "route", "POST /v1/push", "status", "429")
		count("furima_push_requests_total", 2, "route", "POST /v1/push", "status", "422")
		count("furima_push_requests_total", 2, "route", "GET /v1/feedback", "status", "200")
		observe("furima_push_request_seconds", 10, .005, "route", "POST /v1/push")
		gauge("furima_push_h2_connections", 4, "pool", "apns")
		count("furima_push_h2_requests_total", 64, "pool", "apns")
		count("furima_push_h2_writes_total", 16, "pool", "apns")
		count("furima_push_h2_resent_total", 2, "pool", "apns")
		count("furima_push_h2_losses_total", 1, "pool", "apns", "cause", "lost")
		count("furima_push_h2_losses_total", 1, "pool", "apns", "cause", "idle")
		count("furima_push_h2_errors_total", 2, "pool", "apns", "reason", "timeout")
		observe("furima_push_provider_seconds", 10, .05, append(apns, "outcome", "sent", "reason", "")...)
		observe("furima_push_delivery_seconds", 10, .05, apns...)
		count("furima_store_events_total", 2, "event", "item_listed")
		count("furima_store_events_total", 0, "event", "order_paid")
		observe("furima_sqldb_tx_duration_seconds", 10, .005, "db", "market")
		count("furima_sqldb_tx_retries_total", 2, "db", "market")
		gauge("furima_sqldb_connections_in_use", 3, "db", "market")
		count("furima_sqldb_connection_wait_seconds_total", .5, "db", "market")
		count("process_cpu_seconds_total", .5)
		gauge("go_sched_gomaxprocs_threads", 2)
		gauge("process_resident_memory_bytes", 30e6)
		gauge("go_memstats_heap_inuse_bytes", 8e6)
		gauge("go_goroutines", 21)
		gauge("process_open_fds", 17)
	}
	r := newRecord()
	roll(t, r, reg, t0)
	traffic()
	roll(t, r, reg, t0.Add(2*time.Second))
	want := []string{
		"Requests: requests 20.0/s | errors 25.0 %!",
		"Response time, p95: p95 ≥ 1.00 s | p50 70.0 ms, p99 ≥ 1.00 s",
		"Cache hits: from memory 80.0 % | lookups 5.00/s, size 5.00 MB",
		"Jobs waiting: ready 7 | oldest 9.00 s, dead 1!",
		"Warm pages: lowest coverage 50.0 % | lag 12.0 s, refreshed 10.0/s",
		"Push: delivered 25.0/s | accepted 30.0/s, rejected 1.00/s!",
		"Push backlog: waiting 7 | oldest 4.00 s, full 10.0 %",
		"Push requests: requests 6.00/s | 429 1.00/s!, p95 9.50 ms",
		"CPU: of one core 25.0 % | cores 2",
		"Memory: resident 30.0 MB | Go heap 8.00 MB",
		"Goroutines: goroutines 21 | open files 17",
		"Routes GET /a: requests 20.0/s, p50 70.0 ms, p95 ≥ 1.00 s, p99 ≥ 1.00 s, errors 25.0 %!",
		"Jobs k.a: done 4.00/s, retried 1.00/s, wait p95 9.50 ms, run p95 95.5 ms, ready 3, later 0, dead 0, oldest 2.00 s",
		"Jobs k.b: done 0/s, retried 0/s, wait p95 –, run p95 –, ready 4, later 0, dead 1!, oldest 9.00 s",
		"Market item listed: a minute 60, since start 2",
		"Warmer lists: pages 1,840, in time 50.0 %, lag 12.0 s, refreshed 10.0/s, p95 9.50 ms, failed 1.00/s!",
		"Warmer newest: pages –, in time 100 %, lag –, refreshed 0/s, p95 –, failed 0/s",
		"Push market apns: delivered 25.0/s, p50 55.0 ms, p95 95.5 ms, p99 99.1 ms, delay p95 95.5 ms, oldest 4.00 s, retried 3.00/s, dead tokens 2.00/s, rejected 1.00/s!, held up 1!",
		"Push held up market apns down: now 1!, times 3",
		"Push outcomes apns sent: rate 25.0/s, total 50",
		"Push outcomes apns retry Shutdown: rate 3.00/s, total 6",
		"Push outcomes apns unregistered Unregistered: rate 2.00/s, total 4",
		"Push outcomes apns rejected PayloadTooLarge: rate 1.00/s, total 2",
		"Push requests GET /v1/feedback: requests 1.00/s, p50 –, p99 –, 429 0/s, other errors 0/s",
		"Push requests POST /v1/push: requests 5.00/s, p50 5.00 ms, p99 9.90 ms, 429 1.00/s!, other errors 1.00/s!",
		"Push connections apns: open 4, requests 32.0/s, per write 4, sent again 1.00/s, no answer 1.00/s!, lost 0.50/s!",
		"Dead tokens market: not sent to 2.00/s, reported 4.00/s, posts 1.00/s, p95 95.5 ms, failed posts 1.00/s!",
		"Databases market: writes 5.00/s, p50 5.00 ms, p95 9.50 ms, retried 1.00/s, in use 3, waiting 25.0 %",
	}
	if diff := cmp.Diff(want, shown(r.layout)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A part whose metrics are not there is not on the page.
func TestNowOfNothing(t *testing.T) {
	r := newRecord()
	roll(t, r, prometheus.NewRegistry(), t0)
	if got := shown(r.layout); len(got) != 0 || len(r.layout.Groups) != 0 {
		t.Errorf("got %v and %d groups", got, len(r.layout.Groups))
	}
}

func TestColumns(t *testing.T) {
	for n, want := range map[int]int{0: 0, 1: 1, 3: 3, 4: 4, 6: 6, 7: 4, 8: 4, 9: 5, 10: 5, 11: 6, 12: 6} {
		if got := columns(n); got != want {
			t.Errorf("columns(%d) = %d, want %d", n, got, want)
		}
	}
}
