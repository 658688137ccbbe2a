package h2

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what pools do, by the name of the pool.
type Metrics struct {
	connections *prometheus.GaugeVec
	connects    *prometheus.CounterVec
	losses      *prometheus.CounterVec
	requests    *prometheus.CounterVec
	errors      *prometheus.CounterVec
	resent      *prometheus.CounterVec
	writes      *prometheus.CounterVec
}

// NewMetrics registers the metrics of pools once for all of them; a nil
// Registerer means that nobody reads them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		connections: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "furima_push_h2_connections", Help: "Open connections."}, []string{"pool"}),
		connects:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "furima_push_h2_connects_total", Help: "Connections that were opened, or could not be, by outcome."}, []string{"pool", "outcome"}),
		losses:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "furima_push_h2_losses_total", Help: "Connections that ended, by cause: idle, closed, drained by GOAWAY, silent, protocol or lost."}, []string{"pool", "cause"}),
		requests:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "furima_push_h2_requests_total", Help: "Requests written to a connection."}, []string{"pool"}),
		errors:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "furima_push_h2_errors_total", Help: "Requests that ended without an answer, by reason."}, []string{"pool", "reason"}),
		resent:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "furima_push_h2_resent_total", Help: "Requests put back to be sent again because the server has surely not processed them."}, []string{"pool"}),
		writes:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "furima_push_h2_writes_total", Help: "Writes to connections; requests divided by writes is how well they are coalesced."}, []string{"pool"}),
	}
	if reg != nil {
		reg.MustRegister(m.connections, m.connects, m.losses, m.requests, m.errors, m.resent, m.writes)
	}
	return m
}

// counters are the metrics of one pool that count often.
type counters struct {
	requests, writes, resent prometheus.Counter
}

func (m *Metrics) counters(pool string) counters {
	return counters{m.requests.WithLabelValues(pool), m.writes.WithLabelValues(pool), m.resent.WithLabelValues(pool)}
}
