package job

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	enqueued  *prometheus.CounterVec
	handed    *prometheus.CounterVec
	finished  *prometheus.CounterVec
	runs      *prometheus.HistogramVec
	waits     *prometheus.HistogramVec
	commits   *prometheus.HistogramVec
	perCommit prometheus.Histogram
	jobs      *prometheus.GaugeVec
	oldest    *prometheus.GaugeVec
	reclaimed prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, queue string) *metrics {
	m := &metrics{
		enqueued: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "furima_job_enqueued_total", Help: "Jobs enqueued.",
		}, []string{"kind"}),
		handed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "furima_job_handed_over_total", Help: "Jobs that were running as soon as they were enqueued, because their worker is in this process and had room.",
		}, []string{"kind"}),
		finished: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "furima_job_runs_total", Help: "Runs of handlers by how they ended: done, retry, snoozed, dead, released (worker stopped), lost (lease ran out, or the job was cancelled).",
		}, []string{"kind", "outcome"}),
		runs: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "furima_job_run_duration_seconds", Help: "Time that handlers ran.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 10), // 0.5 ms to 2 min
		}, []string{"kind"}),
		waits: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "furima_job_wait_duration_seconds", Help: "Time from when a job was due until its handler began.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 11), // 1 ms to 17 min
		}, []string{"kind"}),
		commits: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "furima_job_commit_duration_seconds", Help: "Time of the queue's transactions, each shared by all who waited, by result.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 14), // 0.25 ms to 2 s
		}, []string{"result"}),
		perCommit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "furima_job_commit_jobs", Help: "Jobs enqueued or finished in one of the queue's transactions.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 8), // 1 to 16,384
		}),
		jobs: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "furima_job_jobs", Help: "Jobs in the queue by state: ready, scheduled, running, dead.",
		}, []string{"kind", "state"}),
		oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "furima_job_oldest_ready_seconds", Help: "Age of the oldest job that could run.",
		}, []string{"kind"}),
		reclaimed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "furima_job_reclaimed_total", Help: "Jobs taken back from workers that died.",
		}),
	}
	if reg != nil {
		prometheus.WrapRegistererWith(prometheus.Labels{"queue": queue}, reg).MustRegister(m.enqueued, m.handed, m.finished, m.runs, m.waits, m.commits, m.perCommit, m.jobs, m.oldest, m.reclaimed)
	}
	return m
}

// outcome is how a run of a handler ended.
type outcome int

const (
	done outcome = iota
	retry
	snoozed
	dead
	released
	lost
	outcomes
)

func (o outcome) String() string {
	return [outcomes]string{"done", "retry", "snoozed", "dead", "released", "lost"}[o]
}

// kindMetrics are the metrics of one kind, looked up once.
type kindMetrics struct {
	enqueued prometheus.Counter
	handed   prometheus.Counter
	finished [outcomes]prometheus.Counter
	run      prometheus.Observer
	wait     prometheus.Observer
}

func (m *metrics) forKind(name string) kindMetrics {
	k := kindMetrics{
		enqueued: m.enqueued.WithLabelValues(name),
		handed:   m.handed.WithLabelValues(name),
		run:      m.runs.WithLabelValues(name),
		wait:     m.waits.WithLabelValues(name),
	}
	for o := range outcomes {
		k.finished[o] = m.finished.WithLabelValues(name, o.String())
	}
	return k
}

// commit notes a transaction of the committer.
func (m *metrics) commit(result string, took time.Duration, g *group) {
	m.commits.WithLabelValues(result).Observe(took.Seconds())
	n := len(g.ends)
	for _, e := range g.enqueues {
		n += len(e.rows)
	}
	if n > 0 {
		m.perCommit.Observe(float64(n))
	}
}
