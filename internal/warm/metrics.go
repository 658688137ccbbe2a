package warm

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the package's metrics; the label target is a name from the
// configuration.
type metrics struct {
	refreshes *prometheus.CounterVec
	answers   *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	bytes     *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, targets []*target, now func() time.Time) *metrics {
	m := &metrics{
		refreshes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "furima_warm_refreshes_total",
			Help: "Pages requested, by outcome: ok, bad_status, overloaded (429, 502, 503, 504) or no_answer.",
		}, []string{"target", "outcome"}),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "furima_warm_answers_total",
			Help: "Answers by what their Cache-Status says: hit, stale, miss, refresh, bypass, other, or none without one.",
		}, []string{"target", "cache"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "furima_warm_request_seconds",
			Help:    "Time from sending a request to the end of its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"target"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "furima_warm_body_bytes_total",
			Help: "Bytes of answers' bodies.",
		}, []string{"target"}),
	}
	if reg != nil {
		reg.MustRegister(m.refreshes, m.answers, m.duration, m.bytes, &freshness{targets: targets, now: now})
	}
	return m
}

// targetMetrics are the metrics of one target, looked up once.
type targetMetrics struct {
	outcomes [3]prometheus.Counter // by verdict
	noAnswer prometheus.Counter
	answers  [outcomes]prometheus.Counter
	duration prometheus.Observer
	bytes    prometheus.Counter
}

func (m *metrics) of(target string) *targetMetrics {
	t := &targetMetrics{
		noAnswer: m.refreshes.WithLabelValues(target, "no_answer"),
		duration: m.duration.WithLabelValues(target),
		bytes:    m.bytes.WithLabelValues(target),
	}
	for v, name := range map[verdict]string{verdictOK: "ok", verdictBad: "bad_status", verdictOrigin: "overloaded"} {
		t.outcomes[v] = m.refreshes.WithLabelValues(target, name)
	}
	for o, name := range outcomeNames {
		t.answers[o] = m.answers.WithLabelValues(target, name)
	}
	return t
}

var (
	lagDesc          = prometheus.NewDesc("furima_warm_lag_seconds", "How far beyond its interval the combination is that has waited longest.", []string{"target"}, nil)
	coverageDesc     = prometheus.NewDesc("furima_warm_coverage_ratio", "Share of the combinations refreshed within the last one and a half intervals.", []string{"target"}, nil)
	combinationsDesc = prometheus.NewDesc("furima_warm_combinations", "Combinations of a target.", []string{"target"}, nil)
	slowdownDesc     = prometheus.NewDesc("furima_warm_slowdown_ratio", "By what factor refreshing is slowed down because the origin is in trouble; 1 is none.", []string{"target"}, nil)
)

// freshness reads how fresh the combinations are when it is asked.
type freshness struct {
	targets []*target
	now     func() time.Time
}

// Describe implements prometheus.Collector.
func (f *freshness) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{lagDesc, coverageDesc, combinationsDesc, slowdownDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (f *freshness) Collect(ch chan<- prometheus.Metric) {
	now := f.now()
	for _, t := range f.targets {
		s, running := t.freshness(now)
		if !running {
			continue
		}
		gauge := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, t.cfg.Name)
		}
		gauge(lagDesc, s.lag.Seconds())
		gauge(coverageDesc, s.coverage)
		gauge(combinationsDesc, float64(t.plan.Count()))
		gauge(slowdownDesc, s.slowdown)
	}
}
