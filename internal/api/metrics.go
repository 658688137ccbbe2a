package api

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the API's numbers. Routes are the mux's patterns, so that labels
// come from a closed set.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	panics   prometheus.Counter
	hashing  prometheus.Gauge
	refused  prometheus.Counter
	jobs     *prometheus.CounterVec
	limited  [classes][whoses]prometheus.Counter

	routes map[string]*routeMetrics // by pattern; filled before the first request
}

// routeMetrics are the numbers of one route for answers of class 2xx and 3xx.
// Others are looked up when they happen: most routes never have them.
type routeMetrics struct {
	requests [2]prometheus.Counter
	duration [2]prometheus.Observer
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "furima_api_requests_total", Help: "Requests by route and class of status.",
		}, []string{"route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "furima_api_request_duration_seconds", Help: "Time from the request's head to the end of the handler, by route and class of status.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route", "status"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "furima_api_panics_total", Help: "Handlers that panicked.",
		}),
		hashing: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "furima_api_passwords_waiting", Help: "Log-ins and registrations that hash a password or wait for their turn.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "furima_api_passwords_refused_total", Help: "Log-ins and registrations refused because too many wait.",
		}),
		jobs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "furima_api_notifications_total", Help: "Notifications handed to the push gateway, by kind of event and outcome.",
		}, []string{"kind", "outcome"}),
		routes: map[string]*routeMetrics{},
	}
	limited := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "furima_api_rate_limited_total", Help: "Requests answered 429, by class of operation and whose limit it was.",
	}, []string{"class", "limit"})
	for c := range classes {
		for w := range whoses {
			m.limited[c][w] = limited.WithLabelValues(classNames[c], whoseNames[w])
		}
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.duration, m.panics, m.hashing, m.refused, m.jobs, limited)
	}
	return m
}

// addRoute is called for every route before the first request.
func (m *metrics) addRoute(pattern string) {
	r := &routeMetrics{}
	for i, class := range [2]string{"2xx", "3xx"} {
		r.requests[i] = m.requests.WithLabelValues(pattern, class)
		r.duration[i] = m.duration.WithLabelValues(pattern, class)
	}
	m.routes[pattern] = r
}

func (m *metrics) observe(pattern string, status int, took time.Duration) {
	r := m.routes[pattern]
	if r != nil && status >= 200 && status < 400 {
		i := status/100 - 2
		r.requests[i].Inc()
		r.duration[i].Observe(took.Seconds())
		return
	}
	if r == nil {
		pattern = "none" // the mux answered, or redirected: the pattern is the client's
	}
	class := "5xx"
	switch status / 100 {
	case 2:
		class = "2xx"
	case 3:
		class = "3xx"
	case 4:
		class = "4xx"
	}
	m.requests.WithLabelValues(pattern, class).Inc()
	m.duration.WithLabelValues(pattern, class).Observe(took.Seconds())
}
