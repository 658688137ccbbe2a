package job_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/sqldb"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		if err := child(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := sqldbtest.Main(m)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// bench is a queue of a test, running.
type bench struct {
	t     *testing.T
	db    *sqldb.DB
	q     *job.Queue
	clock *clock
	stop  func() // of the queue
}

// clock is real time plus what the test has added.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

func open(t *testing.T, url string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: url}, sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := job.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	return db
}

func newBench(t *testing.T, url string) *bench {
	t.Helper()
	b := &bench{t: t, db: open(t, url), clock: &clock{}}
	b.q = job.NewQueue(b.db, job.Options{Now: b.clock.now})
	b.stop = background(t, b.q.Run)
	return b
}

// background runs f until the test ends, or stop is called.
func background(t *testing.T, f func(ctx context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// work runs a worker for kind "k" until the test ends, or stop is called.
func (b *bench) work(o job.WorkerOptions, h job.Handler) (stop func()) {
	b.t.Helper()
	if o.Handlers == nil {
		o.Handlers = map[string]job.Handler{"k": h}
	}
	if o.Poll == 0 {
		o.Poll = 10 * time.Millisecond
	}
	if o.Backoff == nil {
		o.Backoff = func(int) time.Duration { return 0 }
	}
	return background(b.t, b.q.NewWorker(o).Run)
}

func (b *bench) enqueue(jobs ...job.New) []int64 {
	b.t.Helper()
	ids, err := b.q.Enqueue(b.t.Context(), jobs...)
	if err != nil {
		b.t.Fatal(err)
	}
	return ids
}

// eventually waits until f is true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for !f() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// states returns how many jobs there are by state. It does not use Stats, which
// may return an earlier answer.
func (b *bench) states() map[job.State]int64 {
	b.t.Helper()
	rows, err := b.db.QueryContext(context.Background(), "SELECT state, COUNT(*) FROM job_queue GROUP BY state")
	if err != nil {
		b.t.Fatal(err)
	}
	defer rows.Close()
	n := map[job.State]int64{}
	for rows.Next() {
		var state, count int64
		if err := rows.Scan(&state, &count); err != nil {
			b.t.Fatal(err)
		}
		n[[...]job.State{"", job.Ready, job.Scheduled, job.Running, job.Dead}[state]] += count
	}
	if err := rows.Err(); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// empty waits until nothing is left, in no table.
func (b *bench) empty() {
	b.t.Helper()
	eventually(b.t, "the queue is empty", func() bool { return len(b.states()) == 0 })
	for _, table := range []string{"jobs", "job_queue", "job_runs", "job_keys"} {
		var n int
		if err := b.db.QueryRowContext(context.Background(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
			b.t.Fatal(err)
		}
		if n != 0 {
			b.t.Errorf("%s has %d rows after the last job", table, n)
		}
	}
}

// list collects what handlers saw.
type list[T any] struct {
	mu  sync.Mutex
	all []T
}

func (l *list[T]) add(v T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, v)
}

func (l *list[T]) get() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

func (l *list[T]) len() int { return len(l.get()) }

func payloads(n int) []job.New {
	jobs := make([]job.New, n)
	for i := range jobs {
		jobs[i] = job.New{Kind: "k", Payload: fmt.Appendf(nil, "%d", i)}
	}
	return jobs
}

func TestEveryJobRunsOnce(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		const producers, each = 16, 40
		var seen list[string]
		b.work(job.WorkerOptions{Concurrency: 8}, func(_ context.Context, j *job.Job) error {
			seen.add(string(j.Payload))
			return nil
		})
		var wg sync.WaitGroup
		var want []string
		for p := range producers {
			for i := range each {
				want = append(want, fmt.Sprintf("%d/%d", p, i))
			}
			wg.Go(func() {
				for i := range each {
					if _, err := b.q.Enqueue(t.Context(), job.New{Kind: "k", Payload: fmt.Appendf(nil, "%d/%d", p, i)}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		b.empty()
		if diff := cmp.Diff(want, seen.get(), cmpopts.SortSlices(strings.Compare)); diff != "" {
			t.Errorf("payloads (-want +got):\n%s", diff)
		}
	})
}

func TestJobIsAsEnqueued(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		before := b.clock.now().Truncate(time.Microsecond)
		id := b.enqueue(job.New{Kind: "k", Payload: []byte("\x00\xff payload"), Priority: -7, MaxAttempts: 3, Key: "key é \xff"})[0]
		info, err := b.q.Job(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		want := job.Info{ID: id, Kind: "k", Key: "key é \xff", State: job.Ready, Payload: []byte("\x00\xff payload"), Priority: -7, MaxAttempts: 3, EnqueuedAt: info.EnqueuedAt, RunAt: info.EnqueuedAt}
		if diff := cmp.Diff(want, info); diff != "" {
			t.Errorf("Job (-want +got):\n%s", diff)
		}
		if after := b.clock.now(); info.EnqueuedAt.Before(before) || info.EnqueuedAt.After(after) {
			t.Errorf("enqueued at %v, not between %v and %v", info.EnqueuedAt, before, after)
		}
		got := make(chan job.Job, 1)
		b.work(job.WorkerOptions{}, func(_ context.Context, j *job.Job) error {
			got <- *j
			return nil
		})
		j := <-got
		wantJob := job.Job{ID: id, Kind: "k", Key: "key é \xff", Payload: []byte("\x00\xff payload"), Priority: -7, Attempt: 1, MaxAttempts: 3, EnqueuedAt: info.EnqueuedAt, RunAt: info.EnqueuedAt}
		if diff := cmp.Diff(wantJob, j, cmpopts.IgnoreUnexported(job.Job{})); diff != "" {
			t.Errorf("handler's job (-want +got):\n%s", diff)
		}
		b.empty()
		if _, err := b.q.Job(t.Context(), id); !errors.Is(err, job.ErrNotFound) {
			t.Errorf("Job of a done job: %v, want ErrNotFound", err)
		}
	})
}

func TestEmptyPayload(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		b.enqueue(job.New{Kind: "k"}, job.New{Kind: "k", Payload: []byte{}})
		var n atomic.Int32
		b.work(job.WorkerOptions{}, func(_ context.Context, j *job.Job) error {
			if len(j.Payload) != 0 {
				t.Errorf("payload %q", j.Payload)
			}
			n.Add(1)
			return nil
		})
		b.empty()
		if n.Load() != 2 {
			t.Errorf("%d jobs ran, want 2", n.Load())
		}
	})
}

func TestEnqueueTx(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		broken := errors.New("broken")
		var gone []int64
		err := b.db.Tx(t.Context(), func(tx *sqldb.Tx) (err error) {
			if gone, err = b.q.EnqueueTx(t.Context(), tx, payloads(300)...); err != nil {
				return err
			}
			return broken
		})
		if !errors.Is(err, broken) || len(gone) != 300 {
			t.Fatalf("Tx: %v, %d ids", err, len(gone))
		}
		b.empty()

		var seen list[int64]
		// No poll: the commit itself has to wake the worker.
		b.work(job.WorkerOptions{Poll: time.Hour}, func(_ context.Context, j *job.Job) error {
			seen.add(j.ID)
			return nil
		})
		var ids []int64
		err = b.db.Tx(t.Context(), func(tx *sqldb.Tx) (err error) {
			ids, err = b.q.EnqueueTx(t.Context(), tx, payloads(300)...)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		b.empty()
		if diff := cmp.Diff(ids, seen.get(), cmpopts.SortSlices(func(a, b int64) bool { return a < b })); diff != "" {
			t.Errorf("ids (-enqueued +seen):\n%s", diff)
		}
	})
}

func TestEnqueueFunc(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		if err := b.db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.ExecContext(t.Context(), "CREATE TABLE notes (n BIGINT NOT NULL PRIMARY KEY)")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		broken := errors.New("broken")
		var wg sync.WaitGroup
		for i := range 60 {
			wg.Go(func() {
				err := b.q.EnqueueFunc(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
					if _, err := tx.ExecContext(ctx, "INSERT INTO notes (n) VALUES (?)", i); err != nil {
						return err
					}
					if _, err := b.q.EnqueueTx(ctx, tx, job.New{Kind: "k", Payload: fmt.Appendf(nil, "%d", i)}); err != nil {
						return err
					}
					switch i % 3 {
					case 1:
						return broken
					case 2:
						panic("broken")
					}
					return nil
				})
				if ok := err == nil; ok != (i%3 == 0) || i%3 == 1 && !errors.Is(err, broken) {
					t.Errorf("EnqueueFunc %d: %v", i, err)
				}
			})
			wg.Go(func() {
				if _, err := b.q.Enqueue(t.Context(), job.New{Kind: "other"}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		var notes, jobs, others int
		for table, n := range map[string]*int{"notes": &notes, "jobs WHERE kind = 'k'": &jobs, "jobs WHERE kind = 'other'": &others} {
			if err := b.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(n); err != nil {
				t.Fatal(err)
			}
		}
		if notes != 20 || jobs != 20 || others != 60 {
			t.Errorf("%d notes, %d jobs, %d others; want 20, 20, 60", notes, jobs, others)
		}
	})
}

func TestPriorityThenAge(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		var jobs []job.New
		for i, p := range []int{0, 5, -3, 5, 0, 1_000_000, -1_000_000, -3} {
			for _, kind := range []string{"k", "l"} {
				jobs = append(jobs, job.New{Kind: kind, Priority: p, Payload: fmt.Appendf(nil, "%d%s", i, kind)})
			}
		}
		b.enqueue(jobs...)
		slices.SortStableFunc(jobs, func(a, b job.New) int { return b.Priority - a.Priority })
		var want []string
		for _, j := range jobs {
			want = append(want, string(j.Payload))
		}
		var seen list[string]
		h := func(_ context.Context, j *job.Job) error {
			seen.add(string(j.Payload))
			return nil
		}
		b.work(job.WorkerOptions{Concurrency: 1, Handlers: map[string]job.Handler{"k": h, "l": h}}, nil)
		b.empty()
		if diff := cmp.Diff(want, seen.get()); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

func TestOtherKindsAreLeftAlone(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		b.enqueue(job.New{Kind: "other", Priority: 9}, job.New{Kind: "k"})
		ran := make(chan string, 2)
		stop := b.work(job.WorkerOptions{}, func(_ context.Context, j *job.Job) error {
			ran <- j.Kind
			return nil
		})
		if kind := <-ran; kind != "k" {
			t.Errorf("ran %q", kind)
		}
		stop()
		if diff := cmp.Diff(map[job.State]int64{job.Ready: 1}, b.states()); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
	})
}
