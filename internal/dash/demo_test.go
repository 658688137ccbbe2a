package dash_test

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/furima/furima/internal/daemon"
)

// demo is a registry like that of `furima dev`, with numbers that move like
// those of a market with some traffic.
type demo struct {
	reg      *prometheus.Registry
	rnd      *rand.Rand
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	cache    *prometheus.CounterVec
	bytes    prometheus.Gauge
	entries  prometheus.Gauge
	vecs     map[string]prometheus.Collector
}

var demoRoutes = []struct {
	route  string
	rate   float64 // a second
	median float64 // seconds
	errors float64
}{
	{"GET /v1/items", 210, 0.0006, 0},
	{"GET /v1/items/{id}", 340, 0.0004, 0},
	{"GET /v1/categories", 40, 0.0003, 0},
	{"POST /v1/items", 3.5, 0.021, 0},
	{"POST /v1/items/{id}/likes", 22, 0.006, 0},
	{"POST /v1/items/{id}/comments", 6, 0.008, 0},
	{"POST /v1/orders", 1.2, 0.034, 0.03},
	{"POST /v1/photos", 3, 0.18, 0},
	{"POST /v1/sessions", 0.8, 0.11, 0},
	{"GET /v1/users/{id}", 25, 0.0011, 0},
	{"GET /v1/me/notifications", 61, 0.0013, 0},
}

func newDemo(seed uint64) *demo {
	d := &demo{reg: daemon.NewRegistry("v0.1.0-demo"), rnd: rand.New(rand.NewPCG(seed, 1)), vecs: map[string]prometheus.Collector{}}
	d.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "furima_api_requests_total", Help: "Requests by route and class of status."}, []string{"route", "status"})
	d.duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "furima_api_request_duration_seconds", Help: "Time from the request's head to the end of the handler, by route and class of status.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}}, []string{"route", "status"})
	d.cache = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "furima_cache_requests_total", Help: "Requests that the response cache answered, by outcome."}, []string{"outcome"})
	d.bytes = prometheus.NewGauge(prometheus.GaugeOpts{Name: "furima_cache_bytes", Help: "Memory that the stored answers are accounted for."})
	d.entries = prometheus.NewGauge(prometheus.GaugeOpts{Name: "furima_cache_entries", Help: "Stored answers."})
	d.reg.MustRegister(d.requests, d.duration, d.cache, d.bytes, d.entries)
	return d
}

// step lets secs seconds of traffic happen; at is the time of day that the
// waves follow.
func (d *demo) step(at time.Time, secs float64) {
	t := float64(at.UnixMilli()) / 1000
	wave := 1 + 0.35*math.Sin(t/23) + 0.15*math.Sin(t/7) + 0.1*d.rnd.NormFloat64()
	reads := 0.0
	for _, r := range demoRoutes {
		for range d.times(r.rate * wave * secs) {
			status := "2xx"
			switch {
			case d.rnd.Float64() < r.errors:
				status = "5xx"
			case d.rnd.Float64() < 0.01:
				status = "4xx"
			}
			d.requests.WithLabelValues(r.route, status).Inc()
			d.duration.WithLabelValues(r.route, status).Observe(r.median * math.Exp(0.7*d.rnd.NormFloat64()))
			reads++
		}
	}
	for _, o := range []struct {
		outcome string
		share   float64
	}{{"hit", .91}, {"stale", .03}, {"miss", .04}, {"renewed", .01}, {"collapsed", .01}, {"refresh", .06}} {
		d.cache.WithLabelValues(o.outcome).Add(float64(d.times(reads * o.share)))
	}
	d.market(wave, secs)
	d.jobs(at, wave, secs)
	d.push(wave, secs)
	for i, target := range []string{"newest", "categories"} {
		l := prometheus.Labels{"target": target}
		d.gauge("furima_warm_combinations", l, []float64{15, 1840}[i])
		d.gauge("furima_warm_coverage_ratio", l, 1-0.03*d.rnd.Float64()*float64(i))
		d.gauge("furima_warm_lag_seconds", l, 2*d.rnd.Float64()*float64(i))
		for range d.times([]float64{3, 31}[i] * secs) {
			d.count("furima_warm_refreshes_total", prometheus.Labels{"target": target, "outcome": "ok"}, 1)
			d.observe("furima_warm_request_seconds", l, 0.004*math.Exp(0.6*d.rnd.NormFloat64()))
		}
	}
	d.bytes.Set(41e6 + 4e6*math.Sin(t/40))
	d.entries.Set(math.Round(6100 + 500*math.Sin(t/40)))
}

func (d *demo) market(wave, secs float64) {
	for event, rate := range map[string]float64{"user_registered": .1, "item_listed": 3.4, "item_edited": .7, "item_liked": 22,
		"item_commented": 6, "item_reserved": 1.2, "order_paid": 1.1, "device_registered": .1} {
		d.count("furima_store_events_total", prometheus.Labels{"event": event}, float64(d.times(rate*wave*secs)))
	}
	for db, rate := range map[string]float64{"market": 38, "push": 55} {
		l := prometheus.Labels{"db": db}
		for range d.times(rate * wave * secs) {
			d.observe("furima_sqldb_tx_duration_seconds", l, 0.003*math.Exp(0.5*d.rnd.NormFloat64()))
		}
		d.count("furima_sqldb_tx_retries_total", l, 0)
		d.gauge("furima_sqldb_connections_in_use", l, float64(d.rnd.IntN(4)))
		d.count("furima_sqldb_connection_wait_seconds_total", l, secs*0.02*d.rnd.Float64())
	}
}

func (d *demo) jobs(at time.Time, wave, secs float64) {
	for _, k := range []struct {
		kind        string
		rate, took  float64
		later, dead float64
	}{
		{"item.index", 4, 0.002, 0, 0}, {"item.notify_liked", 22, 0.004, 0, 0}, {"item.notify_commented", 6, 0.004, 0, 0},
		{"order.notify_seller", 1.2, 0.005, 0, 0}, {"order.sweep", 0.1, 0.02, 1, 0}, {"push.send", 29, 0.05, 14, 2},
	} {
		l := prometheus.Labels{"kind": k.kind}
		for range d.times(k.rate * wave * secs) {
			d.count("furima_job_runs_total", prometheus.Labels{"kind": k.kind, "outcome": "done"}, 1)
			d.observe("furima_job_run_duration_seconds", l, k.took*math.Exp(0.5*d.rnd.NormFloat64()))
			d.observe("furima_job_wait_duration_seconds", l, 0.002*math.Exp(0.8*d.rnd.NormFloat64()))
		}
		ready := math.Round(k.rate / 6 * (1 + math.Sin(float64(at.UnixMilli())/9000)))
		for state, n := range map[string]float64{"ready": ready, "scheduled": k.later, "running": 1, "dead": k.dead} {
			d.gauge("furima_job_jobs", prometheus.Labels{"kind": k.kind, "state": state}, n)
		}
		d.gauge("furima_job_oldest_ready_seconds", l, 0.03*ready)
	}
}

func (d *demo) push(wave, secs float64) {
	for provider, rate := range map[string]float64{"apns": 31, "fcm": 24} {
		l := prometheus.Labels{"app": "market", "provider": provider}
		d.gauge("furima_push_paused", l, 0)
		d.gauge("furima_push_backlog_age_seconds", l, math.Max(0, 0.2*d.rnd.NormFloat64()))
		d.count("furima_push_dead_token_hits_total", l, float64(d.times(0.4*wave*secs)))
		for range d.times(rate * wave * secs) {
			d.count("furima_push_accepted_total", prometheus.Labels{"app": "market"}, 1)
			outcome, reason := "sent", ""
			switch x := d.rnd.Float64(); {
			case x < .01:
				outcome, reason = "unregistered", "Unregistered"
			case x < .013:
				outcome, reason = "retry", "ServiceUnavailable"
			}
			as := prometheus.Labels{"app": "market", "provider": provider, "outcome": outcome, "reason": reason}
			d.count("furima_push_results_total", as, 1)
			took := 0.045 * math.Exp(0.4*d.rnd.NormFloat64())
			d.observe("furima_push_provider_seconds", as, took)
			d.observe("furima_push_delivery_seconds", l, took+0.008)
		}
		pool := prometheus.Labels{"pool": provider}
		d.gauge("furima_push_h2_connections", pool, 4)
		d.count("furima_push_h2_requests_total", pool, rate*wave*secs)
		d.count("furima_push_h2_writes_total", pool, rate*wave*secs/3.2)
		d.count("furima_push_h2_resent_total", pool, 0)
	}
	d.count("furima_push_breaker_opened_total", prometheus.Labels{"app": "market", "provider": "fcm", "state": "down"}, float64(d.times(secs/200)))
	d.gauge("furima_push_breaker_state", prometheus.Labels{"app": "market", "provider": "fcm", "state": "down"}, 0)
	for _, r := range []struct {
		route, status string
		rate          float64
	}{{"POST /v1/push", "202", 29}, {"POST /v1/push", "422", 0.1}, {"GET /v1/feedback", "200", 0.2}, {"POST /push", "200", 9}} {
		for range d.times(r.rate * wave * secs) {
			d.count("furima_push_requests_total", prometheus.Labels{"route": r.route, "status": r.status}, 1)
			d.observe("furima_push_request_seconds", prometheus.Labels{"route": r.route}, 0.004*math.Exp(0.5*d.rnd.NormFloat64()))
		}
	}
	for range d.times(0.3 * secs) {
		d.count("furima_push_webhook_posts_total", prometheus.Labels{"app": "market", "outcome": "ok"}, 1)
		d.count("furima_push_webhook_tokens_total", prometheus.Labels{"app": "market"}, 2)
		d.observe("furima_push_webhook_seconds", prometheus.Labels{"app": "market"}, 0.03)
	}
	d.gauge("furima_push_dead_tokens", prometheus.Labels{}, 1843)
	d.gauge("furima_push_backlog", prometheus.Labels{}, math.Round(math.Max(0, 4+3*d.rnd.NormFloat64())))
	d.gauge("furima_push_backlog_max", prometheus.Labels{}, 10e6)
}

func (d *demo) gauge(name string, labels prometheus.Labels, v float64) {
	d.vec(name, labels, func(names []string) prometheus.Collector {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: "From the demo."}, names)
	}).(*prometheus.GaugeVec).With(labels).Set(v)
}

func (d *demo) count(name string, labels prometheus.Labels, n float64) {
	d.vec(name, labels, func(names []string) prometheus.Collector {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: "From the demo."}, names)
	}).(*prometheus.CounterVec).With(labels).Add(n)
}

func (d *demo) observe(name string, labels prometheus.Labels, v float64) {
	d.vec(name, labels, func(names []string) prometheus.Collector {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: "From the demo.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16)}, names)
	}).(*prometheus.HistogramVec).With(labels).Observe(v)
}

// vec returns the collector of that name, made and registered by the first
// call.
func (d *demo) vec(name string, labels prometheus.Labels, make func(names []string) prometheus.Collector) prometheus.Collector {
	if c := d.vecs[name]; c != nil {
		return c
	}
	c := make(slices.Sorted(maps.Keys(labels)))
	d.reg.MustRegister(c)
	d.vecs[name] = c
	return c
}

// times is how often something happens that happens n times on average.
func (d *demo) times(n float64) int {
	if n <= 0 {
		return 0
	}
	k := math.Floor(n)
	if d.rnd.Float64() < n-k {
		k++
	}
	return int(k)
}
