package photo

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	uploads  *prometheus.CounterVec
	duration prometheus.Histogram
	bytes    prometheus.Counter
}

// results are the values of the label result, by kind of error.
var results = map[Kind]string{TooLarge: "too_large", Unsupported: "unsupported", Invalid: "invalid"}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		uploads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "furima_photo_uploads_total", Help: "Pictures uploaded, by result.",
		}, []string{"result"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "furima_photo_intake_duration_seconds", Help: "Time from reading an upload to its files on disk, for those taken in.",
			Buckets: prometheus.ExponentialBuckets(0.02, 2, 9), // 20 ms to 5 s
		}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "furima_photo_stored_bytes_total", Help: "Bytes of photo files made, in all sizes.",
		}),
	}
	for _, result := range results {
		m.uploads.WithLabelValues(result)
	}
	m.uploads.WithLabelValues("ok")
	m.uploads.WithLabelValues("error")
	if reg != nil {
		reg.MustRegister(m.uploads, m.duration, m.bytes)
	}
	return m
}

func (m *metrics) done(begin time.Time, err error) {
	result := "ok"
	if err != nil {
		var known bool
		if result, known = results[KindOf(err)]; !known {
			result = "error"
		}
	} else {
		m.duration.Observe(time.Since(begin).Seconds())
	}
	m.uploads.WithLabelValues(result).Inc()
}
