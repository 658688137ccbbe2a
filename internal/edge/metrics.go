package edge

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	starts  prometheus.Counter
	reloads *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, e *Edge) *metrics {
	m := &metrics{
		starts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "furima_edge_starts_total",
			Help: "Times that nginx was started; more than one means that it died.",
		}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "furima_edge_reloads_total",
			Help: "Reloads by outcome: ok, refused (nginx kept the old configuration) or rolled_back.",
		}, []string{"outcome"}),
	}
	if reg != nil {
		reg.MustRegister(m.starts, m.reloads, status{e})
	}
	return m
}

var (
	upDesc       = prometheus.NewDesc("furima_edge_up", "Whether nginx answers.", nil, nil)
	configDesc   = prometheus.NewDesc("furima_edge_config_info", "The version of the configuration that nginx serves.", []string{"version"}, nil)
	connDesc     = prometheus.NewDesc("furima_edge_connections", "Client connections by what nginx does with them: reading, writing or waiting.", []string{"state"}, nil)
	acceptedDesc = prometheus.NewDesc("furima_edge_accepted_connections_total", "Client connections accepted since nginx started.", nil, nil)
	requestsDesc = prometheus.NewDesc("furima_edge_requests_total", "Requests since nginx started, this metric's own included.", nil, nil)
)

// status asks nginx when it is asked.
type status struct{ e *Edge }

// Describe implements prometheus.Collector.
func (s status) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{upDesc, configDesc, connDesc, acceptedDesc, requestsDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s status) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	st, err := s.e.stats(ctx)
	if err != nil {
		gauge(upDesc, 0)
		return
	}
	gauge(upDesc, 1)
	gauge(configDesc, 1, st.version)
	gauge(connDesc, float64(st.reading), "reading")
	gauge(connDesc, float64(st.writing), "writing")
	gauge(connDesc, float64(st.waiting), "waiting")
	ch <- prometheus.MustNewConstMetric(acceptedDesc, prometheus.CounterValue, float64(st.accepted))
	ch <- prometheus.MustNewConstMetric(requestsDesc, prometheus.CounterValue, float64(st.requests))
}

// stats is what nginx tells about itself.
type stats struct {
	version                     string
	accepted, handled, requests int64
	active                      int64
	reading, writing, waiting   int64
}

// parseStats reads stub_status.
func parseStats(body string) (st stats, err error) {
	const form = "Active connections: %d \nserver accepts handled requests\n %d %d %d \nReading: %d Writing: %d Waiting: %d"
	if _, err := fmt.Sscanf(body, form, &st.active, &st.accepted, &st.handled, &st.requests, &st.reading, &st.writing, &st.waiting); err != nil {
		return stats{}, fmt.Errorf("read nginx's status: %w", err)
	}
	return st, nil
}
