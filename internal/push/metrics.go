package push

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the gateway's. Labels are from closed sets: apps of the
// configuration, providers, outcomes, and reasons that senders draw from tables.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	taken    *prometheus.CounterVec
	results  *prometheus.CounterVec
	provider *prometheus.HistogramVec
	delivery *prometheus.HistogramVec
	held     *prometheus.GaugeVec
	backlog  prometheus.GaugeFunc
}

func newMetrics(reg prometheus.Registerer, backlog func() float64) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "furima_push_requests_total",
			Help: "Requests to the push gateway, by route and status.",
		}, []string{"route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "furima_push_request_seconds",
			Help:    "Time to answer a request to the push gateway, by route.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, 1, 5},
		}, []string{"route"}),
		taken: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "furima_push_accepted_total",
			Help: "Notifications (one a token) that were accepted and made durable, by app.",
		}, []string{"app"}),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "furima_push_results_total",
			Help: "What providers said to messages, by app, provider, outcome and reason.",
		}, []string{"app", "provider", "outcome", "reason"}),
		provider: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "furima_push_provider_seconds",
			Help:    "Time from handing a message to a provider to its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"app", "provider"}),
		delivery: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "furima_push_delivery_seconds",
			Help:    "Time from accepting a message (or its send_at) to the provider's taking it.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600, 3600},
		}, []string{"app", "provider"}),
		held: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "furima_push_paused",
			Help: "1 while sending for an app to a provider pauses, because it cannot be reached or refuses the app.",
		}, []string{"app", "provider"}),
		backlog: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "furima_push_backlog",
			Help: "Notifications that were accepted and have not ended, as this process knows.",
		}, backlog),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.duration, m.taken, m.results, m.provider, m.delivery, m.held, m.backlog)
	}
	return m
}

func (m *metrics) accepted(app string, n int) { m.taken.WithLabelValues(app).Add(float64(n)) }

// lane returns the metrics of one app at one provider, with what every message
// touches looked up once.
func (m *metrics) lane(app string, platform Platform) *laneMetrics {
	p := string(platform)
	l := &laneMetrics{
		m: m, app: app, platform: p,
		sent:     m.results.WithLabelValues(app, p, Sent.String(), ""),
		provider: m.provider.WithLabelValues(app, p),
		delivery: m.delivery.WithLabelValues(app, p),
		held:     m.held.WithLabelValues(app, p),
	}
	l.held.Set(0)
	return l
}

type laneMetrics struct {
	m             *metrics
	app, platform string
	sent          prometheus.Counter
	provider      prometheus.Observer
	delivery      prometheus.Observer
	held          prometheus.Gauge
	rest          sync.Map // resultKey → prometheus.Counter
}

type resultKey struct {
	outcome Outcome
	reason  string
}

func (l *laneMetrics) result(r Result, due, now time.Time) {
	if r.Took > 0 {
		l.provider.Observe(r.Took.Seconds())
	}
	if r.Outcome == Sent {
		l.sent.Inc()
		l.delivery.Observe(now.Sub(due).Seconds())
		return
	}
	key := resultKey{r.Outcome, r.Reason}
	c, ok := l.rest.Load(key)
	if !ok {
		c, _ = l.rest.LoadOrStore(key, l.m.results.WithLabelValues(l.app, l.platform, r.Outcome.String(), r.Reason))
	}
	c.(prometheus.Counter).Inc()
}

func (l *laneMetrics) paused(yes bool) {
	v := 0.0
	if yes {
		v = 1
	}
	l.held.Set(v)
}
