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
	"github.com/furima/furima/internal/sqldb"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

// hands is a Taker that keeps what it is given.
type hands struct {
	list[*job.Job]
	calls atomic.Int64
}

func (h *hands) take(jobs []*job.Job) {
	h.calls.Add(1)
	for _, j := range jobs {
		h.add(j)
	}
}

// pop returns the jobs that were given, and forgets them.
func (h *hands) pop() []*job.Job {
	h.mu.Lock()
	defer h.mu.Unlock()
	jobs := h.all
	h.all = nil
	return jobs
}

// taker runs a worker for kind "k" that hands jobs to take.
func (b *bench) taker(o job.WorkerOptions, take job.Taker) (w *job.Worker, stop func()) {
	b.t.Helper()
	o.Kinds, o.Take = []string{"k"}, take
	if o.Poll == 0 {
		o.Poll = 10 * time.Millisecond
	}
	if o.Backoff == nil {
		o.Backoff = func(int) time.Duration { return 0 }
	}
	w = b.q.NewWorker(o)
	return w, background(b.t, w.Run)
}

func payloadsOf(jobs []*job.Job) []string {
	var all []string
	for _, j := range jobs {
		all = append(all, string(j.Payload))
	}
	return all
}

func TestTakeManyJobs(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		const n = 700
		b.enqueue(payloads(n)...) // before there is a worker: these are leased
		var seen list[string]
		b.taker(job.WorkerOptions{Concurrency: 100}, func(jobs []*job.Job) {
			for _, j := range jobs {
				seen.add(string(j.Payload))
				if j.Attempt != 1 || j.Kind != "k" {
					t.Errorf("job %+v", j)
				}
				go j.End(nil)
			}
		})
		eventually(t, "the backlog is done", func() bool { return seen.len() == n })
		for _, p := range payloads(n) { // and these are mostly handed over
			p.Payload = append([]byte("new "), p.Payload...)
			b.enqueue(p)
		}
		b.empty()
		var want []string
		for _, p := range payloads(n) {
			want = append(want, string(p.Payload), "new "+string(p.Payload))
		}
		if diff := cmp.Diff(want, seen.get(), cmpopts.SortSlices(strings.Compare)); diff != "" {
			t.Errorf("payloads (-want +got):\n%s", diff)
		}
	})
}

// ready waits until a worker is there and has nothing to do.
func (b *bench) ready(h *hands) {
	b.t.Helper()
	b.enqueue(job.New{Kind: "k", Payload: []byte("first")})
	eventually(b.t, "the first job has come", func() bool { return h.len() > 0 })
	for _, j := range h.pop() {
		j.End(nil)
	}
	b.empty()
	// It looks once more before it knows that there is nothing.
	eventually(b.t, "a job is handed over", func() bool {
		b.enqueue(job.New{Kind: "k", Payload: []byte("probe")})
		running := b.states()[job.Running] == 1 && b.states()[job.Ready] == 0
		eventually(b.t, "the probe has come", func() bool { return h.len() > 0 })
		for _, j := range h.pop() {
			j.End(nil)
		}
		b.empty()
		return running
	})
}

func TestJobIsHandedOverAsEnqueued(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		var h hands
		b.taker(job.WorkerOptions{Concurrency: 10, Poll: time.Hour}, h.take)
		b.ready(&h)
		payload := []byte("\x00\xff payload")
		ids := b.enqueue(job.New{Kind: "k", Payload: payload, Priority: -7, MaxAttempts: 3}, job.New{Kind: "other"})
		clear(payload) // it is ours again
		if got := b.states(); got[job.Running] != 1 || got[job.Ready] != 1 {
			t.Errorf("states %v, want one job running and one of another kind ready", got)
		}
		eventually(t, "the job has come", func() bool { return h.len() == 1 })
		j := h.pop()[0]
		info, err := b.q.Job(t.Context(), ids[0])
		if err != nil {
			t.Fatal(err)
		}
		want := job.Job{ID: ids[0], Kind: "k", Payload: []byte("\x00\xff payload"), Priority: -7, Attempt: 1, MaxAttempts: 3, EnqueuedAt: info.EnqueuedAt, RunAt: info.RunAt}
		if diff := cmp.Diff(want, *j, cmpopts.IgnoreUnexported(job.Job{})); diff != "" {
			t.Errorf("job (-want +got):\n%s", diff)
		}
		if info.State != job.Running || info.Attempt != 1 {
			t.Errorf("info %+v", info)
		}
		if err := j.SaveProgress(t.Context(), []byte("half")); err != nil {
			t.Error(err)
		}
		j.End(nil)
		j.End(errors.New("too late to count"))
		if _, err := b.q.Cancel(t.Context(), ids[1]); err != nil {
			t.Error(err)
		}
		b.empty()
	})
}

func TestEndsOfTakenJobs(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		var h hands
		b.taker(job.WorkerOptions{Concurrency: 10}, h.take)
		next := func() *job.Job {
			t.Helper()
			eventually(t, "a job has come", func() bool { return h.len() == 1 })
			return h.pop()[0]
		}
		b.ready(&h)
		id := b.enqueue(job.New{Kind: "k", MaxAttempts: 3})[0]

		j := next()
		if err := j.SaveProgress(t.Context(), []byte("half")); err != nil {
			t.Fatal(err)
		}
		j.End(job.Snooze(time.Hour))
		eventually(t, "the job is put off", func() bool { return b.states()[job.Scheduled] == 1 })
		b.clock.advance(time.Hour + time.Second)

		j = next()
		if j.Attempt != 1 || string(j.Progress) != "half" {
			t.Errorf("after Snooze: attempt %d, progress %q", j.Attempt, j.Progress)
		}
		j.End(errors.New("no luck"))

		j = next()
		if j.Attempt != 2 || string(j.Progress) != "half" {
			t.Errorf("after an error: attempt %d, progress %q", j.Attempt, j.Progress)
		}
		j.End(job.SnoozeWith(0, []byte("most")))

		j = next()
		if j.Attempt != 2 || string(j.Progress) != "most" {
			t.Errorf("after it was given back: attempt %d, progress %q", j.Attempt, j.Progress)
		}
		written := make(chan struct{})
		j.EndThen(job.SnoozeWith(time.Hour, []byte("nearly all")), func() { close(written) })
		<-written
		if info, err := b.q.Job(t.Context(), id); err != nil || info.State != job.Scheduled || string(info.Progress) != "nearly all" {
			t.Errorf("put off: %+v, %v", info, err)
		}
		b.clock.advance(time.Hour + time.Second)

		j = next()
		if string(j.Progress) != "nearly all" {
			t.Errorf("progress %q", j.Progress)
		}
		j.End(job.Cancel(errors.New("it is of no use")))
		eventually(t, "the job is dead", func() bool { return b.states()[job.Dead] == 1 })
		info, err := b.q.Job(t.Context(), id)
		if err != nil || info.Error != "it is of no use" {
			t.Errorf("info %+v, %v", info, err)
		}
	})
}

func TestTakerThatPanics(t *testing.T) {
	b := newBench(t, sqldbtest.SQLite(t))
	var seen atomic.Int64
	b.taker(job.WorkerOptions{Concurrency: 10}, func(jobs []*job.Job) {
		jobs[0].End(nil)
		if seen.Add(int64(len(jobs))) == int64(len(jobs)) {
			panic("the first time")
		}
		for _, j := range jobs {
			j.End(nil)
		}
	})
	b.enqueue(payloads(3)...)
	b.empty()
}

// Jobs below the urgent priority leave half of the room free.
func TestUrgentJobsFindRoom(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		bulk := payloads(100)
		b.enqueue(bulk...)
		var h hands
		b.taker(job.WorkerOptions{Concurrency: 8, Urgent: 10}, h.take)
		eventually(t, "the worker is full of bulk", func() bool { return h.len() == 4 })
		urgent := job.New{Kind: "k", Payload: []byte("urgent"), Priority: 10}
		b.enqueue(urgent, urgent)
		eventually(t, "urgent jobs have come", func() bool { return h.len() == 6 })
		if diff := cmp.Diff([]string{"0", "1", "2", "3", "urgent", "urgent"}, payloadsOf(h.get())); diff != "" {
			t.Errorf("jobs (-want +got):\n%s", diff)
		}
		// Full of urgent ones as well, it takes no more of anything.
		b.enqueue(urgent, urgent, urgent, urgent, urgent, urgent)
		eventually(t, "the worker is full", func() bool { return h.len() >= 7 })
		most := 0
		for done := 0; done < 108; {
			jobs := h.pop()
			most = max(most, len(jobs))
			for _, j := range jobs {
				j.End(nil)
				done++
			}
		}
		if most > 8 {
			t.Errorf("%d jobs were held at once", most)
		}
		b.empty()
	})
}

func TestLimitInBytes(t *testing.T) {
	b := newBench(t, sqldbtest.SQLite(t))
	var h hands
	w, _ := b.taker(job.WorkerOptions{Concurrency: 100}, h.take)
	w.Limit(100, 1000)
	jobs := make([]job.New, 20)
	for i := range jobs {
		jobs[i] = job.New{Kind: "k", Payload: make([]byte, 300)}
	}
	b.enqueue(jobs...)
	done, most := 0, 0
	for done < len(jobs) {
		got := h.pop()
		most = max(most, len(got))
		for _, j := range got {
			j.End(nil)
			done++
		}
	}
	if most > 4 {
		t.Errorf("%d jobs of 300 bytes were held at once, where 1000 may be", most)
	}
	b.enqueue(job.New{Kind: "k", Payload: make([]byte, 5000)}) // larger than what may be held
	eventually(t, "the large job has come", func() bool { return h.len() == 1 })
	h.pop()[0].End(nil)
	b.empty()
}

func TestStopOfATaker(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		var h hands
		_, stop := b.taker(job.WorkerOptions{Concurrency: 10}, h.take)
		b.ready(&h)
		b.enqueue(payloads(5)...)
		eventually(t, "the jobs have come", func() bool { return h.len() == 5 })
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			stop()
		}()
		jobs := h.pop()
		jobs[0].End(nil)
		for _, j := range jobs[1:] {
			j.End(job.Snooze(0))
		}
		<-stopped
		// The rest is for another worker, and no attempt is used up.
		if got := b.states(); got[job.Ready] != 4 || got[job.Running] != 0 {
			t.Errorf("states %v", got)
		}
		b.enqueue(job.New{Kind: "k", Payload: []byte("late")})
		b.taker(job.WorkerOptions{Concurrency: 10}, h.take)
		eventually(t, "the rest has come", func() bool { return h.len() == 5 })
		for _, j := range h.pop() {
			if j.Attempt != 1 {
				t.Errorf("%s: attempt %d", j.Payload, j.Attempt)
			}
			j.End(nil)
		}
		b.empty()
	})
}

func TestTakenJobIsCancelled(t *testing.T) {
	b := newBench(t, sqldbtest.SQLite(t))
	var h hands
	b.taker(job.WorkerOptions{Concurrency: 10}, h.take)
	b.ready(&h)
	id := b.enqueue(job.New{Kind: "k"})[0]
	eventually(t, "the job has come", func() bool { return h.len() == 1 })
	j := h.pop()[0]
	lost := make(chan struct{})
	if !j.Watch(func() { close(lost) }) {
		t.Error("the job is lost before it was cancelled")
	}
	if n, err := b.q.Cancel(t.Context(), id); n != 1 || err != nil {
		t.Errorf("Cancel: %d, %v", n, err)
	}
	<-lost
	if j.Watch(func() {}) {
		t.Error("the job is not lost")
	}
	if err := j.SaveProgress(t.Context(), nil); !errors.Is(err, job.ErrLeaseLost) {
		t.Errorf("SaveProgress: %v", err)
	}
	j.End(errors.New("of no consequence"))
	b.empty()
}

// A session that the others hold for dead is handed nothing: its jobs would
// belong to nobody.
func TestHandOverToADeadSession(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		var h hands
		b.taker(job.WorkerOptions{Concurrency: 10, Lease: time.Hour}, h.take)
		b.ready(&h)
		if err := b.db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.ExecContext(t.Context(), "DELETE FROM job_workers")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		b.enqueue(payloads(3)...)
		eventually(t, "the jobs have come in a new session", func() bool { return h.len() == 3 })
		for _, j := range h.pop() {
			j.End(nil)
		}
		b.empty()
	})
}

// A caller whose transaction fails finds nothing handed over.
func TestHandOverThatFails(t *testing.T) {
	b := newBench(t, sqldbtest.SQLite(t))
	var h hands
	b.taker(job.WorkerOptions{Concurrency: 10}, h.take)
	b.ready(&h)
	mustExec := func(text string) {
		t.Helper()
		if err := b.db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.ExecContext(t.Context(), text)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	mustExec("CREATE TRIGGER full BEFORE INSERT ON jobs BEGIN SELECT RAISE(ABORT, 'disk full'); END")
	if _, err := b.q.Enqueue(t.Context(), payloads(10)...); err == nil {
		t.Fatal("enqueued although nothing can be inserted")
	}
	mustExec("DROP TRIGGER full")
	if h.len() > 0 {
		t.Errorf("%d jobs were handed over", h.len())
	}
	b.enqueue(payloads(10)...) // the room is free again
	eventually(t, "all have come", func() bool { return h.len() == 10 })
	for _, j := range h.pop() {
		j.End(nil)
	}
	b.empty()
}

// What was handed over to a process that is killed comes to another one.
func TestKillAfterHandOver(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		p := startChild(t, "take", 0, url)
		<-p.lines // it has taken a job
		eventually(t, "the job runs in the child", func() bool { return b.states()[job.Running] == 1 })
		p.kill()
		var h hands
		b.taker(job.WorkerOptions{Concurrency: 10, Lease: childLease}, h.take)
		eventually(t, "the job comes back", func() bool { return h.len() == 1 })
		j := h.pop()[0]
		if j.Attempt != 2 {
			t.Errorf("attempt %d", j.Attempt)
		}
		j.End(nil)
		b.empty()
	})
}

// childTake enqueues a job that is handed over, and keeps it.
func childTake(ctx context.Context, q *job.Queue) error {
	taken := make(chan *job.Job, 1)
	w := q.NewWorker(job.WorkerOptions{Kinds: []string{"k"}, Lease: childLease, Poll: time.Hour, Concurrency: 2, Take: func(jobs []*job.Job) {
		for _, j := range jobs {
			taken <- j
		}
	}})
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	for i := range 2 { // the first registers the worker
		if _, err := q.Enqueue(ctx, job.New{Kind: "k"}); err != nil {
			return err
		}
		j := <-taken
		if i == 0 {
			j.End(nil)
		}
	}
	fmt.Println("took")
	return <-ended
}
