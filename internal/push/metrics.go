package push

import (
	"strconv"
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
	breaker  *prometheus.GaugeVec
	opened   *prometheus.CounterVec
	age      *prometheus.GaugeVec
	deadHits *prometheus.CounterVec
	hooks    *prometheus.CounterVec
	hookTook *prometheus.HistogramVec
	hookSent *prometheus.CounterVec
	byKind   sync.Map // requestKind → requestMetrics
}

// newMetrics returns the metrics of a gateway whose fields they read when they
// are asked for.
func newMetrics(reg prometheus.Registerer, g *Gateway) *metrics {
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
			Help:    "Time from handing a message to a provider to its answer, by outcome and reason.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"app", "provider", "outcome", "reason"}),
		delivery: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "furima_push_delivery_seconds",
			Help:    "Time from accepting a message (or its send_at) to the provider's taking it.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600, 3600},
		}, []string{"app", "provider"}),
		held: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "furima_push_paused",
			Help: "1 while sending for an app to a provider pauses, because it cannot be reached or refuses the app.",
		}, []string{"app", "provider"}),
		breaker: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "furima_push_breaker_state",
			Help: "1 for the state that an app at a provider is in: closed (sending), down (it cannot be reached), refused (it does not accept the app's credentials), suspect (it knows none of the app's tokens).",
		}, []string{"app", "provider", "state"}),
		opened: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "furima_push_breaker_opened_total",
			Help: "Times that sending was held up, by app, provider and state that began.",
		}, []string{"app", "provider", "state"}),
		age: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "furima_push_backlog_age_seconds",
			Help: "Time for which the oldest notification has been waiting that is due, by app and provider; 0 if none is.",
		}, []string{"app", "provider"}),
		deadHits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "furima_push_dead_token_hits_total",
			Help: "Messages that were not sent because their token was known to be dead, by app and provider.",
		}, []string{"app", "provider"}),
		hooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "furima_push_webhook_posts_total",
			Help: "Posts of dead tokens to an app's webhook, by outcome: ok, refused (an answer other than 2xx), failed (no answer), forbidden (not a public address).",
		}, []string{"app", "outcome"}),
		hookTook: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "furima_push_webhook_seconds",
			Help:    "Time that a post to an app's webhook took.",
			Buckets: []float64{.005, .025, .1, .25, 1, 2.5, 5, 10},
		}, []string{"app"}),
		hookSent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "furima_push_webhook_tokens_total",
			Help: "Dead tokens that an app's webhook has taken.",
		}, []string{"app"}),
	}
	backlog := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "furima_push_backlog",
		Help: "Notifications that were accepted and have not ended, as this process knows.",
	}, func() float64 { return float64(g.backlog.count()) })
	limit := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "furima_push_backlog_max",
		Help: "Notifications that may wait; beyond it requests are answered 429.",
	}, func() float64 { return float64(g.backlog.limit()) })
	dead := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "furima_push_dead_tokens",
		Help: "Tokens that are remembered to be dead, expired ones among them.",
	}, func() float64 { return float64(g.dead.entries.Load()) })
	if reg != nil {
		reg.MustRegister(m.requests, m.duration, m.taken, m.results, m.provider, m.delivery, m.held, m.breaker, m.opened,
			m.age, m.deadHits, m.hooks, m.hookTook, m.hookSent, backlog, limit, dead)
	}
	return m
}

// request counts a request. The routes are those of the mux, and few.
func (m *metrics) request(route string, status int, took time.Duration) {
	key := requestKind{route, status}
	v, ok := m.byKind.Load(key)
	if !ok {
		v, _ = m.byKind.LoadOrStore(key, requestMetrics{m.requests.WithLabelValues(route, strconv.Itoa(status)), m.duration.WithLabelValues(route)})
	}
	rm := v.(requestMetrics)
	rm.count.Inc()
	rm.took.Observe(took.Seconds())
}

type requestKind struct {
	route  string
	status int
}

type requestMetrics struct {
	count prometheus.Counter
	took  prometheus.Observer
}

func (m *metrics) accepted(app string, n int) { m.taken.WithLabelValues(app).Add(float64(n)) }

// lane returns the metrics of one app at one provider, with what every message
// touches looked up once.
func (m *metrics) lane(app string, platform Platform) *laneMetrics {
	p := string(platform)
	l := &laneMetrics{
		m: m, app: app, platform: p,
		sent:     m.results.WithLabelValues(app, p, Sent.String(), ""),
		provider: m.provider.WithLabelValues(app, p, Sent.String(), ""),
		delivery: m.delivery.WithLabelValues(app, p),
		age:      m.age.WithLabelValues(app, p),
		hits:     m.deadHits.WithLabelValues(app, p),
	}
	l.state(none)
	return l
}

type laneMetrics struct {
	m             *metrics
	app, platform string
	sent          prometheus.Counter
	provider      prometheus.Observer
	delivery      prometheus.Observer
	age           prometheus.Gauge
	hits          prometheus.Counter
	rest          sync.Map // resultKey → resultMetrics
}

type resultKey struct {
	outcome Outcome
	reason  string
}

type resultMetrics struct {
	count prometheus.Counter
	took  prometheus.Observer
}

func (l *laneMetrics) result(r Result, due, now time.Time) {
	if r.Outcome == Sent {
		if r.Took > 0 {
			l.provider.Observe(r.Took.Seconds())
		}
		l.sent.Inc()
		l.delivery.Observe(max(now.Sub(due), 0).Seconds()) // a clock may have jumped
		return
	}
	key := resultKey{r.Outcome, r.Reason}
	v, ok := l.rest.Load(key)
	if !ok {
		v, _ = l.rest.LoadOrStore(key, resultMetrics{
			l.m.results.WithLabelValues(l.app, l.platform, r.Outcome.String(), r.Reason),
			l.m.provider.WithLabelValues(l.app, l.platform, r.Outcome.String(), r.Reason),
		})
	}
	rm := v.(resultMetrics)
	rm.count.Inc()
	if r.Took > 0 {
		rm.took.Observe(r.Took.Seconds())
	}
}

// state says how the breaker stands.
func (l *laneMetrics) state(now cause) {
	for c, name := range causeNames {
		v := 0.0
		if cause(c) == now {
			v = 1
		}
		l.m.breaker.WithLabelValues(l.app, l.platform, name).Set(v)
	}
	v := 0.0
	if now != none {
		v = 1
	}
	l.m.held.WithLabelValues(l.app, l.platform).Set(v)
}

func (l *laneMetrics) opened(c cause) {
	l.m.opened.WithLabelValues(l.app, l.platform, c.String()).Inc()
}

func (l *laneMetrics) deadHits(n int) {
	if n > 0 {
		l.hits.Add(float64(n))
	}
}

// remove forgets how the lane stands, which is of no interest once it is gone.
// What was counted stays.
func (l *laneMetrics) remove() {
	of := prometheus.Labels{"app": l.app, "provider": l.platform}
	l.m.held.DeletePartialMatch(of)
	l.m.breaker.DeletePartialMatch(of)
	l.m.age.DeletePartialMatch(of)
}

// hookMetrics are those of one app's webhook.
type hookMetrics struct {
	m      *metrics
	app    string
	tokens prometheus.Counter
}

func (m *metrics) hook(app string) *hookMetrics {
	return &hookMetrics{m: m, app: app, tokens: m.hookSent.WithLabelValues(app)}
}

func (h *hookMetrics) posted(outcome string, took time.Duration) {
	h.m.hooks.WithLabelValues(h.app, outcome).Inc()
	h.m.hookTook.WithLabelValues(h.app).Observe(took.Seconds())
}
