package sqldb

import (
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	reg      prometheus.Registerer
	all      []prometheus.Collector
	retries  prometheus.Counter
	commits  prometheus.Counter
	txs      prometheus.Counter
	duration prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, name string, db *DB) *metrics {
	labels := prometheus.Labels{"db": name}
	m := &metrics{
		reg: reg,
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "furima_sqldb_tx_retries_total", Help: "Transactions run again because the database was busy or in a deadlock.", ConstLabels: labels,
		}),
		commits: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "furima_sqldb_commits_total", Help: "Commits of write transactions. On SQLite transactions that wait for each other share one.", ConstLabels: labels,
		}),
		txs: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "furima_sqldb_txs_total", Help: "Write transactions that were committed.", ConstLabels: labels,
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "furima_sqldb_tx_duration_seconds", Help: "Time of write transactions, the wait for the writer and the commit included.", ConstLabels: labels,
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
	}
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, f)
	}
	m.all = []prometheus.Collector{
		m.retries, m.commits, m.txs, m.duration,
		gauge("furima_sqldb_connections_in_use", "Connections that run something, readers and writers.", func() float64 {
			n := db.read.Stats().InUse
			if db.write != db.read {
				n += db.write.Stats().InUse
			}
			return float64(n)
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "furima_sqldb_connection_wait_seconds_total", Help: "Time spent waiting for a free connection; of SQLite, for one that reads.", ConstLabels: labels,
		}, func() float64 { return db.read.Stats().WaitDuration.Seconds() }),
	}
	if db.checkpointer != nil {
		m.all = append(m.all, gauge("furima_sqldb_wal_pages", "Pages of SQLite's write-ahead log that wait to be copied into the database. It grows while a reader keeps an old state in use.",
			func() float64 { return float64(db.checkpointer.left.Load()) }))
	}
	if reg != nil {
		reg.MustRegister(m.all...)
	}
	return m
}

// unregister lets a database of the same name be opened again.
func (m *metrics) unregister() {
	if m == nil || m.reg == nil {
		return
	}
	for _, c := range m.all {
		m.reg.Unregister(c)
	}
}
