package job_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

func TestRunAt(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		now := b.clock.now()
		var ran list[string]
		b.work(job.WorkerOptions{}, func(_ context.Context, j *job.Job) error {
			if b.clock.now().Before(j.RunAt) {
				t.Errorf("%s runs before its time", j.Payload)
			}
			ran.add(string(j.Payload))
			return nil
		})
		ids := b.enqueue(
			job.New{Kind: "k", Payload: []byte("in two hours"), RunAt: now.Add(2 * time.Hour)},
			job.New{Kind: "k", Payload: []byte("past"), RunAt: now.Add(-time.Hour)},
			job.New{Kind: "k", Payload: []byte("in an hour"), RunAt: now.Add(time.Hour)})
		eventually(t, "the first job ran", func() bool { return ran.len() == 1 })
		info, err := b.q.Job(t.Context(), ids[0])
		if err != nil {
			t.Fatal(err)
		}
		if info.State != job.Scheduled || !info.RunAt.Equal(now.Add(2*time.Hour).Truncate(time.Microsecond)) {
			t.Errorf("job is %s for %v", info.State, info.RunAt)
		}
		b.clock.advance(time.Hour + time.Minute)
		eventually(t, "the second job ran", func() bool { return ran.len() == 2 })
		b.clock.advance(time.Hour)
		b.empty()
		if diff := cmp.Diff([]string{"past", "in an hour", "in two hours"}, ran.get()); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

func TestScheduledJobWakesAWorkerThatDoesNotPoll(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		ran := make(chan struct{})
		b.work(job.WorkerOptions{Poll: time.Hour}, func(context.Context, *job.Job) error {
			close(ran)
			return nil
		})
		b.enqueue(job.New{Kind: "k", RunAt: b.clock.now().Add(50 * time.Millisecond)})
		<-ran
	})
}

func TestRetryThenDead(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		id := b.enqueue(job.New{Kind: "k", Payload: []byte("p"), MaxAttempts: 3, Key: "key"})[0]
		var attempts list[int]
		var mended atomic.Bool
		b.work(job.WorkerOptions{Backoff: func(attempt int) time.Duration { return time.Duration(attempt) * time.Hour }}, func(_ context.Context, j *job.Job) error {
			attempts.add(j.Attempt)
			if mended.Load() {
				return nil
			}
			return fmt.Errorf("no luck with attempt %d", j.Attempt)
		})
		var info job.Info
		for n := 1; n <= 2; n++ {
			eventually(t, "the attempt is noted", func() bool {
				var err error
				info, err = b.q.Job(t.Context(), id)
				return err == nil && info.State == job.Scheduled && info.Attempt == n
			})
			if want := fmt.Sprintf("no luck with attempt %d", n); info.Error != want {
				t.Errorf("error %q, want %q", info.Error, want)
			}
			if wait := info.RunAt.Sub(info.FailedAt); wait != time.Duration(n)*time.Hour {
				t.Errorf("attempt %d waits %v", n, wait)
			}
			b.clock.advance(time.Duration(n) * time.Hour)
		}
		eventually(t, "the job is dead", func() bool { return b.states()[job.Dead] == 1 })
		dead, err := b.q.Dead(t.Context(), "k", 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		want := []job.Info{{
			ID: id, Kind: "k", Key: "key", State: job.Dead, Payload: []byte("p"), Attempt: 3, MaxAttempts: 3,
			Error: "no luck with attempt 3",
		}}
		if diff := cmp.Diff(want, dead, cmpopts.IgnoreFields(job.Info{}, "EnqueuedAt", "RunAt", "FailedAt")); diff != "" {
			t.Errorf("Dead (-want +got):\n%s", diff)
		}
		if some, err := b.q.Dead(t.Context(), "", id, 10); err != nil || len(some) != 0 {
			t.Errorf("Dead after the last: %v, %v", some, err)
		}

		mended.Store(true)
		if n, err := b.q.Retry(t.Context(), id, id+1); n != 1 || err != nil {
			t.Fatalf("Retry: %d, %v", n, err)
		}
		b.empty()
		if diff := cmp.Diff([]int{1, 2, 3, 1}, attempts.get()); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
	})
}

func TestPanicIsAnError(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		id := b.enqueue(job.New{Kind: "k", MaxAttempts: 2})[0]
		b.work(job.WorkerOptions{}, func(context.Context, *job.Job) error { panic("poisoned \xff\x00") })
		eventually(t, "the job is dead", func() bool { return b.states()[job.Dead] == 1 })
		info, err := b.q.Job(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if want := "panic: poisoned \uFFFD"; info.Error != want || info.Attempt != 2 {
			t.Errorf("error %q after %d attempts, want %q after 2", info.Error, info.Attempt, want)
		}
	})
}

func TestCancelByHandler(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		id := b.enqueue(job.New{Kind: "k"})[0]
		long := strings.Repeat("長", 3000)
		b.work(job.WorkerOptions{}, func(context.Context, *job.Job) error {
			return fmt.Errorf("wrapped: %w", job.Cancel(errors.New(long)))
		})
		eventually(t, "the job is dead", func() bool { return b.states()[job.Dead] == 1 })
		info, err := b.q.Job(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.Repeat("長", 1999) + "…"; info.Error != want || info.Attempt != 1 {
			t.Errorf("error of %d bytes after %d attempts, want %d after 1", len(info.Error), info.Attempt, len(want))
		}
	})
}

func TestSnoozeDoesNotCount(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		id := b.enqueue(job.New{Kind: "k", MaxAttempts: 1})[0]
		var attempts list[int]
		b.work(job.WorkerOptions{}, func(_ context.Context, j *job.Job) error {
			attempts.add(j.Attempt)
			switch attempts.len() {
			case 1:
				return job.Snooze(time.Hour)
			case 2:
				return job.Snooze(0)
			}
			return nil
		})
		eventually(t, "the job sleeps", func() bool { return b.states()[job.Scheduled] == 1 })
		info, err := b.q.Job(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if info.Attempt != 0 || info.Error != "" || info.RunAt.Sub(info.EnqueuedAt) < time.Hour {
			t.Errorf("snoozed job: %+v", info)
		}
		b.clock.advance(time.Hour)
		b.empty()
		if diff := cmp.Diff([]int{1, 1, 1}, attempts.get()); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
	})
}
