package cache

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	hit, stale, collapsed prometheus.Counter
	forwarded             [reasons]prometheus.Counter
	evictions             prometheus.Counter
	purges                prometheus.Counter
	purgedEntries         prometheus.Counter
	loadDuration          prometheus.Histogram
	loadErrors            prometheus.Counter
	renewals              prometheus.Counter
	renewalErrors         prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, c *Cache) *metrics {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "furima_cache_requests_total",
		Help: "Requests that the response cache answered: hit, stale (served from memory, renewed behind), miss (made), " +
			"renewed (purged or too old, made again), refresh (asked for by the warmer), collapsed (waited for another's load).",
	}, []string{"outcome"})
	renewals := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "furima_cache_renewals_total",
		Help: "Answers made again in the background, by result.",
	}, []string{"result"})
	m := &metrics{
		hit:       requests.WithLabelValues("hit"),
		stale:     requests.WithLabelValues("stale"),
		collapsed: requests.WithLabelValues("collapsed"),
		forwarded: [reasons]prometheus.Counter{
			forMiss:    requests.WithLabelValues("miss"),
			forStale:   requests.WithLabelValues("renewed"),
			forRequest: requests.WithLabelValues("refresh"),
		},
		evictions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "furima_cache_evictions_total", Help: "Answers dropped because of the byte budget.",
		}),
		purges: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "furima_cache_purges_total", Help: "Tags purged.",
		}),
		purgedEntries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "furima_cache_purged_entries_total", Help: "Stored answers made invalid by purges.",
		}),
		loadDuration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "furima_cache_load_duration_seconds", Help: "Time that making an answer took.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 13), // 0.1 ms to 6 s
		}),
		loadErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "furima_cache_load_errors_total", Help: "Loads that ended in an error.",
		}),
		renewals:      renewals.WithLabelValues("ok"),
		renewalErrors: renewals.WithLabelValues("error"),
	}
	if reg == nil {
		return m
	}
	reg.MustRegister(requests, renewals, m.evictions, m.purges, m.purgedEntries, m.loadDuration, m.loadErrors,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "furima_cache_bytes", Help: "Memory that the stored answers are accounted for.",
		}, func() float64 { return float64(c.entries.WeightedSize()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "furima_cache_max_bytes", Help: "The byte budget.",
		}, func() float64 { return float64(c.cfg.MaxBytes) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "furima_cache_entries", Help: "Stored answers.",
		}, func() float64 { return float64(c.entries.EstimatedSize()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "furima_cache_renewals_waiting", Help: "Answers that wait to be made again in the background.",
		}, func() float64 {
			c.mu.Lock()
			defer c.mu.Unlock()
			return float64(len(c.queue.waiting))
		}),
	)
	return m
}
