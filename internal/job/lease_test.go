package job_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/sqldb"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

// exec changes the database behind the queue's back.
func (b *bench) exec(text string, args ...any) {
	b.t.Helper()
	err := b.db.Tx(context.Background(), func(tx *sqldb.Tx) error {
		_, err := tx.ExecContext(context.Background(), text, args...)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// TestLongJobKeepsItsLease runs a job for several leases while another process
// looks for dead workers.
func TestLongJobKeepsItsLease(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		a, b := newBench(t, url), newBench(t, url)
		a.enqueue(job.New{Kind: "k"})
		beats := func() (n int64) {
			if err := a.db.QueryRowContext(context.Background(), "SELECT COALESCE(SUM(beat), 0) FROM job_workers").Scan(&n); err != nil {
				t.Error(err)
			}
			return n
		}
		var runs atomic.Int32
		o := job.WorkerOptions{Lease: time.Second}
		a.work(o, func(ctx context.Context, _ *job.Job) error {
			runs.Add(1)
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for beats() < 8 { // two leases and a half
				select {
				case <-tick.C:
				case <-ctx.Done():
					t.Errorf("the lease was lost: %v", context.Cause(ctx))
					return ctx.Err()
				}
			}
			return nil
		})
		b.work(o, func(context.Context, *job.Job) error {
			runs.Add(1)
			return nil
		})
		a.empty()
		if runs.Load() != 1 {
			t.Errorf("%d runs, want 1", runs.Load())
		}
	})
}

// TestLostLeaseIsNoticed takes a job from a worker that believes to have it: the handler's
// context ends, what it returns has no effect, and somebody else does the job.
func TestLostLeaseIsNoticed(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		a, b := newBench(t, url), newBench(t, url)
		a.enqueue(job.New{Kind: "k"})
		started, ended, again := make(chan *job.Job, 1), make(chan error, 1), make(chan int, 1)
		stop := a.work(job.WorkerOptions{Lease: 90 * time.Millisecond, Concurrency: 1}, func(ctx context.Context, j *job.Job) error {
			if j.Attempt > 1 { // a's own worker may be quicker than b's
				again <- j.Attempt
				return nil
			}
			started <- j
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return nil
		})
		j := <-started
		a.exec("UPDATE job_workers SET beat = -1") // as who takes it for dead does
		if err := <-ended; !errors.Is(err, job.ErrLeaseLost) {
			t.Errorf("the handler was ended by %v", err)
		}
		if err := j.SaveProgress(t.Context(), []byte("late")); !errors.Is(err, job.ErrLeaseLost) {
			t.Errorf("SaveProgress without a lease: %v", err)
		}
		b.work(job.WorkerOptions{}, func(_ context.Context, j *job.Job) error {
			again <- j.Attempt
			return nil
		})
		if attempt := <-again; attempt != 2 {
			t.Errorf("attempt %d, want 2", attempt)
		}
		a.empty()
		stop()
	})
}

// TestStrayLease has the database say that a worker has a job which it does not
// know of, as when a lease was committed but its answer got lost.
func TestStrayLease(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		stray := b.enqueue(job.New{Kind: "other"})[0]
		b.enqueue(job.New{Kind: "k"})
		started, found := make(chan struct{}), make(chan int, 1)
		b.work(job.WorkerOptions{Lease: 90 * time.Millisecond, Handlers: map[string]job.Handler{"k": func(ctx context.Context, _ *job.Job) error {
			close(started)
			<-ctx.Done()
			return nil
		}}, SoftStop: -1}, nil)
		<-started
		b.exec("UPDATE job_queue SET state = 3, lane = (SELECT token FROM job_workers), at = 0, attempt = 1 WHERE id = ?", stray)
		b.work(job.WorkerOptions{Handlers: map[string]job.Handler{"other": func(_ context.Context, j *job.Job) error {
			found <- j.Attempt
			return nil
		}}}, nil)
		if attempt := <-found; attempt != 2 {
			t.Errorf("attempt %d, want 2", attempt)
		}
	})
}

// TestJobThatKillsItsWorkers dies in the end.
func TestJobThatKillsItsWorkers(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		id := b.enqueue(job.New{Kind: "k", Key: "key", MaxAttempts: 2})[0]
		b.exec("INSERT INTO job_workers (token, beat, lease) VALUES (77, 3, 1000)")
		b.exec("UPDATE job_queue SET state = 3, lane = 77, at = 0, attempt = 2 WHERE id = ?", id)
		eventually(t, "the job is dead", func() bool { return b.states()[job.Dead] == 1 })
		info, err := b.q.Job(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(info.Error, "died") || info.FailedAt.IsZero() {
			t.Errorf("dead job: %+v", info)
		}
		if again := b.enqueue(job.New{Kind: "k", Key: "key"}); again[0] == 0 {
			t.Error("its key is not free")
		}
		var workers int
		eventually(t, "the worker is gone", func() bool {
			if err := b.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM job_workers").Scan(&workers); err != nil {
				t.Fatal(err)
			}
			return workers == 0
		})
	})
}

// TestWorkerWithManyJobsDies takes back more jobs than one transaction does.
func TestWorkerWithManyJobsDies(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		b.enqueue(payloads(700)...)
		b.exec("INSERT INTO job_workers (token, beat, lease) VALUES (77, 3, 1000)")
		b.exec("UPDATE job_queue SET state = 3, lane = 77, at = 0, attempt = 1")
		var n atomic.Int32
		b.work(job.WorkerOptions{}, func(_ context.Context, j *job.Job) error {
			if j.Attempt != 2 {
				t.Errorf("attempt %d", j.Attempt)
			}
			n.Add(1)
			return nil
		})
		b.empty()
		if n.Load() != 700 {
			t.Errorf("%d jobs ran", n.Load())
		}
	})
}

func TestSoftStop(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		b.enqueue(payloads(50)...)
		started, release := make(chan struct{}, 50), make(chan struct{})
		var n atomic.Int32
		stop := b.work(job.WorkerOptions{Concurrency: 2, SoftStop: 2 * time.Minute}, func(ctx context.Context, _ *job.Job) error {
			started <- struct{}{}
			select {
			case <-release:
				n.Add(1)
			case <-ctx.Done(): // the test has failed
			}
			return ctx.Err()
		})
		<-started
		<-started
		var stopped sync.WaitGroup
		stopped.Go(stop)
		eventually(t, "what had not begun is given back", func() bool {
			s := b.states()
			return s[job.Running] == 2 && s[job.Ready] == 48
		})
		close(release)
		stopped.Wait()
		// Two ran when the stop began; a third may have begun just before it.
		ended := int64(n.Load())
		if ended < 2 || ended > 4 {
			t.Errorf("%d handlers ended, want the 2 that ran", ended)
		}
		if diff := cmp.Diff(map[job.State]int64{job.Ready: 50 - ended}, b.states()); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
		var attempts, workers int
		if err := b.db.QueryRowContext(t.Context(), "SELECT MAX(attempt), (SELECT COUNT(*) FROM job_workers) FROM job_queue").Scan(&attempts, &workers); err != nil {
			t.Fatal(err)
		}
		if attempts != 0 || workers != 0 {
			t.Errorf("after the stop: attempt %d, %d workers", attempts, workers)
		}
	})
}

func TestHardStop(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		b.enqueue(job.New{Kind: "k", MaxAttempts: 1})
		started := make(chan struct{})
		stop := b.work(job.WorkerOptions{SoftStop: -1}, func(ctx context.Context, j *job.Job) error {
			if err := j.SaveProgress(ctx, []byte("half")); err != nil {
				t.Error(err)
			}
			close(started)
			<-ctx.Done()
			return ctx.Err()
		})
		<-started
		stop()
		got := make(chan job.Job, 1)
		b.work(job.WorkerOptions{}, func(_ context.Context, j *job.Job) error {
			got <- *j
			return nil
		})
		if j := <-got; j.Attempt != 1 || string(j.Progress) != "half" {
			t.Errorf("attempt %d with progress %q, want 1 with half", j.Attempt, j.Progress)
		}
		b.empty()
	})
}

// TestDatabaseTrouble takes a table away for a while: callers are told, and what
// handlers had done is written afterwards.
func TestDatabaseTrouble(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		var log syncBuffer
		b := &bench{t: t, db: open(t, url), clock: &clock{}}
		b.q = job.NewQueue(b.db, job.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		b.stop = background(t, b.q.Run)
		b.enqueue(job.New{Kind: "k"})
		started, release := make(chan struct{}), make(chan struct{})
		var runs atomic.Int32
		b.work(job.WorkerOptions{Concurrency: 1}, func(ctx context.Context, _ *job.Job) error {
			if runs.Add(1) == 1 {
				close(started)
				select {
				case <-release:
				case <-ctx.Done(): // the test has failed
				}
			}
			return nil
		})
		<-started
		b.exec("ALTER TABLE job_queue RENAME TO away")
		close(release)
		if _, err := b.q.Enqueue(t.Context(), job.New{Kind: "k"}); err == nil {
			t.Error("Enqueue succeeded without its table")
		}
		eventually(t, "the trouble is in the log", func() bool { return strings.Contains(log.String(), "tries on") })
		b.exec("ALTER TABLE away RENAME TO job_queue")
		b.empty()
		if runs.Load() != 1 {
			t.Errorf("%d runs, want 1", runs.Load())
		}
		eventually(t, "the recovery is in the log", func() bool { return strings.Contains(log.String(), "again") })
		if n := strings.Count(log.String(), "tries on"); n != 1 {
			t.Errorf("the trouble is in the log %d times", n)
		}
	})
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestLongBacklog works on a queue that is far longer than what is kept in
// memory.
func TestLongBacklog(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		jobs, size := 200_000, 200
		if raceEnabled || testing.Short() {
			jobs, size = 20_000, 2000
		}
		const batch = 1000
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				payload := make([]byte, size)
				call := make([]job.New, batch)
				for i := range call {
					call[i] = job.New{Kind: "k", Payload: payload}
				}
				for range jobs / batch / 4 {
					if _, err := b.q.Enqueue(t.Context(), call...); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		before := heap()
		var n atomic.Int64
		some := make(chan struct{})
		stop := b.work(job.WorkerOptions{Concurrency: 16}, func(context.Context, *job.Job) error {
			if n.Add(1) == int64(jobs)/10 {
				close(some)
			}
			return nil
		})
		<-some
		during := heap()
		stop()
		// The backlog has 40 MB of payload, and a worker holds up to 1,040 jobs.
		if grown := int64(during) - int64(before); grown > 10<<20 {
			t.Errorf("the heap has grown by %d MiB", grown>>20)
		}
		var left int64
		if err := b.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM jobs").Scan(&left); err != nil {
			t.Fatal(err)
		}
		if left != int64(jobs)-n.Load() {
			t.Errorf("%d of %d jobs ran and %d are left", n.Load(), jobs, left)
		}
	})
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestManyQueues has several queues with workers share a backlog: each job is
// done once.
func TestManyQueues(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		const n = 2000
		first := newBench(t, url)
		ids := first.enqueue(payloads(n)...)
		var seen list[int64]
		for i := range 3 {
			b := first
			if i > 0 {
				b = newBench(t, url)
			}
			for range 2 {
				b.work(job.WorkerOptions{Concurrency: 4, Prefetch: 50}, func(_ context.Context, j *job.Job) error {
					seen.add(j.ID)
					return nil
				})
			}
		}
		first.empty()
		got := map[int64]int{}
		for _, id := range seen.get() {
			got[id]++
		}
		for _, id := range ids {
			if got[id] != 1 {
				t.Errorf("job %d ran %d times", id, got[id])
			}
		}
	})
}
