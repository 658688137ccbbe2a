package job_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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

func TestCancel(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		dead := b.enqueue(job.New{Kind: "k", Payload: []byte("dead"), Key: "d"})[0]
		snoozed := b.enqueue(job.New{Kind: "k", Payload: []byte("snoozed"), Key: "s"})[0]
		running := b.enqueue(job.New{Kind: "k", Payload: []byte("running"), Key: "r"})[0]
		started, ended := make(chan struct{}), make(chan error, 1)
		b.work(job.WorkerOptions{Lease: time.Hour}, func(ctx context.Context, j *job.Job) error {
			switch string(j.Payload) {
			case "dead":
				return job.Cancel(errors.New("dead"))
			case "snoozed":
				return job.Snooze(time.Hour)
			}
			close(started)
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return nil // of no consequence
		})
		<-started
		eventually(t, "the others have ended", func() bool {
			s := b.states()
			return s[job.Dead] == 1 && s[job.Scheduled] == 1
		})
		ready := b.enqueue(job.New{Kind: "other", Priority: 3, Key: "x"})[0]
		scheduled := b.enqueue(job.New{Kind: "k", RunAt: b.clock.now().Add(time.Hour), Key: "y"})[0]
		for _, id := range []int64{dead, snoozed, running, ready, scheduled} {
			if n, err := b.q.Cancel(t.Context(), id, id+1); n != 1 || err != nil {
				t.Errorf("Cancel: %d, %v", n, err)
			}
		}
		if err := <-ended; !errors.Is(err, job.ErrLeaseLost) {
			t.Errorf("the running handler was ended by %v", err)
		}
		b.empty()
		if n, err := b.q.Cancel(t.Context(), running); n != 0 || err != nil {
			t.Errorf("second Cancel: %d, %v", n, err)
		}
	})
}

// TestCancelRace cancels jobs while workers of two processes' queues take and end
// them: each job either ran to its end or was cancelled, as Cancel has said.
func TestCancelRace(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		a, b := newBench(t, url), newBench(t, url)
		const n = 400
		ids := a.enqueue(payloads(n)...)
		var finished atomic.Int64
		h := func(ctx context.Context, _ *job.Job) error {
			finished.Add(1)
			return nil
		}
		a.work(job.WorkerOptions{Concurrency: 4, Prefetch: 8}, h)
		b.work(job.WorkerOptions{Concurrency: 4, Prefetch: 8}, h)
		var cancelled atomic.Int64
		var wg sync.WaitGroup
		for part := range 4 {
			wg.Go(func() {
				for i := part; i < n; i += 4 {
					c, err := b.q.Cancel(t.Context(), ids[n-1-i])
					if err != nil {
						t.Error(err)
					}
					cancelled.Add(int64(c))
				}
			})
		}
		wg.Wait()
		a.empty()
		if ran, c := finished.Load(), cancelled.Load(); ran+c < n {
			t.Errorf("%d ran, %d were cancelled: some of %d did neither", ran, c, n)
		}
	})
}

func TestKeys(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		release := make(chan error)
		worker := func() func() {
			return b.work(job.WorkerOptions{}, func(ctx context.Context, _ *job.Job) error {
				select {
				case err := <-release:
					return err
				case <-ctx.Done(): // the test has failed
					return ctx.Err()
				}
			})
		}
		ids := b.enqueue(job.New{Kind: "k", Key: "a"}, job.New{Kind: "k", Key: "a"}, job.New{Kind: "k", Key: "a "}, job.New{Kind: "k"}, job.New{Kind: "k"})
		if got := []bool{ids[0] != 0, ids[1] != 0, ids[2] != 0, ids[3] != 0, ids[4] != 0}; !cmp.Equal(got, []bool{true, false, true, true, true}) {
			t.Fatalf("ids %v", ids)
		}
		if again := b.enqueue(job.New{Kind: "other", Key: "a"}); again[0] != 0 {
			t.Error("the key of a ready job was given away")
		}
		if _, err := b.q.Cancel(t.Context(), ids[2:]...); err != nil {
			t.Fatal(err)
		}
		stop := worker()
		eventually(t, "the job runs", func() bool { return b.states()[job.Running] == 1 })
		if again := b.enqueue(job.New{Kind: "k", Key: "a"}); again[0] != 0 {
			t.Error("the key of a running job was given away")
		}
		release <- job.Cancel(errors.New("dead"))
		eventually(t, "the job is dead", func() bool { return b.states()[job.Dead] == 1 })
		stop()
		second := b.enqueue(job.New{Kind: "k", Key: "a"})[0]
		if second == 0 {
			t.Fatal("the key of a dead job is not free")
		}
		if n, err := b.q.Retry(t.Context(), ids[0]); n != 0 || err != nil {
			t.Errorf("Retry while the key is live: %d, %v", n, err)
		}
		worker()
		release <- nil
		eventually(t, "the second job is done", func() bool { return b.states()[job.Ready]+b.states()[job.Running] == 0 })
		if n, err := b.q.Retry(t.Context(), ids[0]); n != 1 || err != nil {
			t.Errorf("Retry of a key that is free: %d, %v", n, err)
		}
		if again := b.enqueue(job.New{Kind: "k", Key: "a"}); again[0] != 0 {
			t.Error("the key of a retried job was given away")
		}
		release <- nil
		b.empty()
	})
}

// TestKeysRace enqueues one key from many places at once: one wins.
func TestKeysRace(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		a, b := newBench(t, url), newBench(t, url)
		for round := range 10 {
			key := fmt.Sprint("key ", round)
			var won atomic.Int32
			var wg sync.WaitGroup
			for _, q := range []*bench{a, b} {
				for range 4 {
					wg.Go(func() {
						ids, err := q.q.Enqueue(t.Context(), job.New{Kind: "k", Key: key})
						if err != nil {
							t.Error(err)
						} else if ids[0] != 0 {
							won.Add(1)
						}
					})
					wg.Go(func() {
						err := q.db.Tx(t.Context(), func(tx *sqldb.Tx) error {
							ids, err := q.q.EnqueueTx(t.Context(), tx, job.New{Kind: "k", Key: key})
							if err == nil && ids[0] != 0 {
								tx.OnCommit(func() { won.Add(1) })
							}
							return err
						})
						if err != nil {
							t.Error(err)
						}
					})
				}
			}
			wg.Wait()
			if won.Load() != 1 {
				t.Fatalf("%d jobs have the key", won.Load())
			}
		}
	})
}

func TestProgress(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		b.enqueue(job.New{Kind: "k"})
		var kept *job.Job
		b.work(job.WorkerOptions{}, func(ctx context.Context, j *job.Job) error {
			switch j.Attempt {
			case 1:
				if j.Progress != nil {
					t.Errorf("progress at first: %q", j.Progress)
				}
				for _, p := range []string{"one", "", "two \xff"} {
					if err := j.SaveProgress(ctx, []byte(p)); err != nil {
						return err
					}
				}
				if err := j.SaveProgress(ctx, make([]byte, job.MaxProgressBytes+1)); err == nil {
					t.Error("too large a progress was taken")
				}
			case 2:
				if string(j.Progress) != "two \xff" {
					t.Errorf("progress %q at the second attempt", j.Progress)
				}
				return errors.New("again, without saving") // the error must not touch it
			case 3:
				if string(j.Progress) != "two \xff" {
					t.Errorf("progress %q at the third attempt", j.Progress)
				}
				kept = j
				return nil
			}
			return errors.New("again")
		})
		b.empty()
		if err := kept.SaveProgress(t.Context(), []byte("late")); !errors.Is(err, job.ErrLeaseLost) {
			t.Errorf("SaveProgress after the end: %v", err)
		}
		b.empty()
	})
}

func TestProgressOfCancelledJob(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		// The job is cancelled by another process, so nobody here knows.
		a, b := newBench(t, url), newBench(t, url)
		id := a.enqueue(job.New{Kind: "k"})[0]
		saved := make(chan error, 1)
		a.work(job.WorkerOptions{Lease: time.Hour}, func(ctx context.Context, j *job.Job) error {
			if n, err := b.q.Cancel(ctx, id); n != 1 || err != nil {
				t.Errorf("Cancel: %d, %v", n, err)
			}
			saved <- j.SaveProgress(ctx, []byte("late"))
			return nil
		})
		if err := <-saved; !errors.Is(err, job.ErrLeaseLost) {
			t.Errorf("SaveProgress of a cancelled job: %v", err)
		}
		a.empty()
	})
}

func TestLimits(t *testing.T) {
	b := newBench(t, sqldbtest.SQLite(t))
	for name, j := range map[string]job.New{
		"no kind":             {},
		"kind of 65 bytes":    {Kind: strings.Repeat("k", 65)},
		"kind with a space":   {Kind: "a b"},
		"kind beyond ASCII":   {Kind: "仕事"},
		"payload over 1 MiB":  {Kind: "k", Payload: make([]byte, job.MaxPayloadBytes+1)},
		"key of 192 bytes":    {Kind: "k", Key: strings.Repeat("k", 192)},
		"priority too high":   {Kind: "k", Priority: 1_000_001},
		"priority too low":    {Kind: "k", Priority: -1_000_001},
		"negative attempts":   {Kind: "k", MaxAttempts: -1},
		"too many attempts":   {Kind: "k", MaxAttempts: 1 << 32},
		"time beyond reading": {Kind: "k", RunAt: time.Unix(1<<60, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.q.Enqueue(t.Context(), job.New{Kind: "k"}, j)
			if !errors.Is(err, job.ErrInvalid) || strings.ContainsAny(err.Error(), "\n") || len(err.Error()) > 200 {
				t.Errorf("Enqueue: %v", err)
			}
		})
	}
	if ids, err := b.q.Enqueue(t.Context()); err != nil || len(ids) != 0 {
		t.Errorf("Enqueue of nothing: %v, %v", ids, err)
	}
	b.empty()
}

func TestLargestJobs(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		var jobs []job.New
		for i := range 20 {
			p := bytes.Repeat([]byte{byte(i)}, job.MaxPayloadBytes)
			jobs = append(jobs, job.New{Kind: strings.Repeat("k", 64), Key: strings.Repeat("é", 95) + string(rune('a'+i)), Payload: p, Priority: 1_000_000, MaxAttempts: 1<<31 - 1})
		}
		b.enqueue(jobs...)
		var seen atomic.Int32
		b.work(job.WorkerOptions{Handlers: map[string]job.Handler{strings.Repeat("k", 64): func(_ context.Context, j *job.Job) error {
			if len(j.Payload) != job.MaxPayloadBytes || j.Payload[0] != j.Payload[len(j.Payload)-1] {
				t.Error("payload is not what was enqueued")
			}
			seen.Add(1)
			return nil
		}}}, nil)
		b.empty()
		if seen.Load() != 20 {
			t.Errorf("%d jobs ran", seen.Load())
		}
	})
}

func TestStats(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		b.enqueue(job.New{Kind: "a", Payload: make([]byte, 10)}, job.New{Kind: "a", Payload: make([]byte, 5)}, job.New{Kind: "b", RunAt: b.clock.now().Add(time.Hour)})
		stats, err := b.q.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, s := range stats {
			got[s.Kind] = fmt.Sprintf("%s %d %d %t", s.State, s.Count, s.Bytes, !s.Oldest.IsZero())
		}
		if diff := cmp.Diff(map[string]string{"a": "ready 2 15 true", "b": "scheduled 1 0 true"}, got); diff != "" {
			t.Errorf("Stats (-want +got):\n%s", diff)
		}
	})
}

func TestEnqueueOnlyWhileRunning(t *testing.T) {
	b := newBench(t, sqldbtest.SQLite(t))
	b.stop()
	if _, err := b.q.Enqueue(t.Context(), job.New{Kind: "k"}); !errors.Is(err, job.ErrNotRunning) {
		t.Errorf("Enqueue after the end: %v", err)
	}
	// A queue that has not begun takes a call and waits; one that gives up leaves nothing.
	q := job.NewQueue(b.db, job.Options{})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("gave up")
	failed := make(chan error)
	go func() {
		_, err := q.Enqueue(ctx, job.New{Kind: "k", Payload: []byte("withdrawn")})
		failed <- err
	}()
	cancel(why)
	if err := <-failed; !errors.Is(err, why) {
		t.Errorf("Enqueue that gave up: %v", err)
	}
	background(t, q.Run)
	if _, err := q.Enqueue(t.Context(), job.New{Kind: "k", Payload: []byte("kept")}); err != nil {
		t.Fatal(err)
	}
	var payload []byte
	if err := b.db.QueryRowContext(t.Context(), "SELECT payload FROM jobs").Scan(&payload); err != nil || string(payload) != "kept" {
		t.Errorf("payload %q, %v", payload, err)
	}
}

// TestRandomBatches enqueues random batches at once and finds each as it was.
func TestRandomBatches(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		var wg sync.WaitGroup
		for seed := range 12 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(1, uint64(seed)))
				for range 8 {
					jobs := make([]job.New, 1+r.IntN(700))
					for i := range jobs {
						jobs[i] = job.New{Kind: fmt.Sprint("k", r.IntN(3)), Payload: make([]byte, r.IntN(300)), Priority: r.IntN(3)}
						if r.IntN(50) == 0 {
							jobs[i].RunAt = b.clock.now().Add(time.Hour)
						}
					}
					ids, err := b.q.Enqueue(t.Context(), jobs...)
					if err != nil {
						t.Error(err)
						return
					}
					i := r.IntN(len(jobs))
					info, err := b.q.Job(t.Context(), ids[i])
					if err != nil || info.Kind != jobs[i].Kind || len(info.Payload) != len(jobs[i].Payload) || (info.State == job.Scheduled) != !jobs[i].RunAt.IsZero() {
						t.Errorf("job %d of %d: %+v, %v", i, len(jobs), info, err)
					}
				}
			})
		}
		wg.Wait()
		for _, table := range []string{"jobs", "job_queue"} {
			var rows, ids int
			if err := b.db.QueryRowContext(t.Context(), "SELECT COUNT(*), COUNT(DISTINCT id) FROM "+table).Scan(&rows, &ids); err != nil || rows != ids {
				t.Errorf("%s: %d rows, %d ids, %v", table, rows, ids, err)
			}
		}
	})
}
