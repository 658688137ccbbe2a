package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/furima/furima/bench/report"
	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/sqldb"
)

// measured is what a measurement has found.
type measured struct {
	jobs      int64
	rate, cpu float64 // jobs a second, CPU microseconds a job
	latencies []time.Duration
}

func newMeasured(jobs int64, took, cpu time.Duration) measured {
	return measured{jobs: jobs, rate: float64(jobs) / took.Seconds(), cpu: float64(cpu.Microseconds()) / float64(max(jobs, 1))}
}

// enqueue has producers enqueue batches for the time of a measurement.
func enqueue(ctx context.Context, e engine, q *job.Queue, f flags, batch, producers int) (measured, error) {
	var jobs atomic.Int64
	var failed atomic.Pointer[error]
	latencies := make([][]time.Duration, producers)
	began, cpu := time.Now(), e.cpu()
	end := began.Add(time.Duration(f.seconds * float64(time.Second)))
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			call := make([]job.New, batch)
			for i := range call {
				call[i] = job.New{Kind: "bench", Payload: make([]byte, f.payload)}
			}
			for t := time.Now(); t.Before(end) && jobs.Load() < backlog && failed.Load() == nil; {
				if _, err := q.Enqueue(ctx, call...); err != nil {
					failed.Store(&err)
					return
				}
				jobs.Add(int64(batch))
				now := time.Now()
				latencies[p] = append(latencies[p], now.Sub(t))
				t = now
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return measured{}, *err
	}
	m := newMeasured(jobs.Load(), time.Since(began), e.cpu()-cpu)
	m.latencies = slices.Concat(latencies...)
	slices.Sort(m.latencies)
	return m, nil
}

// work has a worker do all jobs that there are, and checks that it did.
func work(ctx context.Context, e engine, db *sqldb.DB, q *job.Queue, jobs int64) (measured, error) {
	var done atomic.Int64
	all := make(chan struct{})
	w := q.NewWorker(job.WorkerOptions{Handlers: map[string]job.Handler{"bench": func(context.Context, *job.Job) error {
		if done.Add(1) == jobs {
			close(all)
		}
		return nil
	}}})
	running, stop := context.WithCancel(ctx)
	began, cpu := time.Now(), e.cpu()
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.Run(running) })
	select {
	case <-all:
	case <-ctx.Done():
	}
	stop()
	wg.Wait() // which is when the last end is written
	m := newMeasured(jobs, time.Since(began), e.cpu()-cpu)
	var left int64
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM jobs").Scan(&left); err != nil {
		return m, err
	}
	if left > 0 || done.Load() != jobs {
		return m, fmt.Errorf("%s: %d jobs were enqueued, %d ran, %d are left", e.name, jobs, done.Load(), left)
	}
	return m, nil
}

// pace is the rate that the push gateway is to take in.
const pace = 20_000

// paced enqueues single jobs at a fixed rate while a worker does them. Latency
// counts from when a call was due, so that a stall is not hidden by the calls
// that it keeps from being made.
func paced(ctx context.Context, f flags, engines []engine, r *report.Report) error {
	t := r.Table(fmt.Sprintf("Single jobs at %s/s, done at the same time", report.Rate(pace)),
		"engine", "enqueued/s", "p50 ms", "p99 ms", "max ms", "done/s", "CPU cores")
	for _, e := range engines {
		var rate, p50, p99, most, doneRate, cores []float64
		for range f.repeat {
			err := queue(ctx, e, func(ctx context.Context, _ *sqldb.DB, q *job.Queue) error {
				m, done, used, err := pacedOnce(ctx, e, q, f)
				rate, doneRate, cores = append(rate, m.rate), append(doneRate, done), append(cores, used)
				p50 = append(p50, float64(report.Percentile(m.latencies, 50)))
				p99 = append(p99, float64(report.Percentile(m.latencies, 99)))
				most = append(most, float64(report.Percentile(m.latencies, 100)))
				return err
			})
			if err != nil {
				return err
			}
		}
		ms := func(v []float64) string { return report.Ms(time.Duration(report.Median(v))) }
		t.Row(e.name, report.Rate(report.Median(rate)), ms(p50), ms(p99), ms(most), report.Rate(report.Median(doneRate)), fmt.Sprintf("%.2f", report.Median(cores)))
		fmt.Fprintf(os.Stderr, "%s paced: %s/s, p99 %s ms\n", e.name, report.Rate(report.Median(rate)), ms(p99))
	}
	return nil
}

// callers is how many goroutines share the pace: as many requests as a gateway
// would have in flight at 20,000/s and a few milliseconds.
const callers = 256

func pacedOnce(ctx context.Context, e engine, q *job.Queue, f flags) (m measured, doneRate, cores float64, err error) {
	var done atomic.Int64
	w := q.NewWorker(job.WorkerOptions{Handlers: map[string]job.Handler{"bench": func(context.Context, *job.Job) error {
		done.Add(1)
		return nil
	}}})
	running, stop := context.WithCancel(ctx)
	var worker, wg sync.WaitGroup
	worker.Go(func() { _ = w.Run(running) })
	var failed atomic.Pointer[error]
	var next atomic.Int64
	total := int64(f.seconds * pace)
	latencies := make([][]time.Duration, callers)
	began, cpu := time.Now(), e.cpu()
	for c := range callers {
		wg.Go(func() {
			payload := make([]byte, f.payload)
			for failed.Load() == nil {
				n := next.Add(1) - 1
				if n >= total {
					return
				}
				due := began.Add(time.Duration(n) * time.Second / pace)
				if wait := time.Until(due); wait > 0 {
					time.Sleep(wait)
				}
				if _, err := q.Enqueue(ctx, job.New{Kind: "bench", Payload: payload}); err != nil {
					failed.Store(&err)
					return
				}
				latencies[c] = append(latencies[c], time.Since(due))
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	m = newMeasured(total, took, 0)
	doneRate = float64(done.Load()) / took.Seconds()
	cores = (e.cpu() - cpu).Seconds() / took.Seconds()
	stop()
	worker.Wait()
	m.latencies = slices.Concat(latencies...)
	slices.Sort(m.latencies)
	if err := failed.Load(); err != nil {
		return m, 0, 0, *err
	}
	return m, doneRate, cores, nil
}

// idleWorkers is how many workers wait for jobs: about what a gateway with some
// apps has.
const idleWorkers = 8

// idle measures what a queue costs when there is nothing to do.
func idle(ctx context.Context, f flags, engines []engine, r *report.Report) error {
	t := r.Table(fmt.Sprintf("Idle: %d workers, nothing to do", idleWorkers), "engine", "CPU ms/s", "of a core")
	for _, e := range engines {
		err := queue(ctx, e, func(ctx context.Context, _ *sqldb.DB, q *job.Queue) error {
			running, stop := context.WithCancel(ctx)
			var wg sync.WaitGroup
			for i := range idleWorkers {
				w := q.NewWorker(job.WorkerOptions{Handlers: map[string]job.Handler{fmt.Sprint("bench", i): func(context.Context, *job.Job) error { return nil }}})
				wg.Go(func() { _ = w.Run(running) })
			}
			span := time.Duration(max(5*f.seconds, 5) * float64(time.Second))
			cpu := e.cpu()
			select {
			case <-time.After(span):
			case <-ctx.Done():
			}
			used := (e.cpu() - cpu).Seconds() / span.Seconds()
			t.Row(e.name, fmt.Sprintf("%.2f", used*1000), fmt.Sprintf("%.2f %%", used*100))
			fmt.Fprintf(os.Stderr, "%s idle: %.2f %% of a core\n", e.name, used*100)
			stop()
			wg.Wait()
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
