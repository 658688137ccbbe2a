package job

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// WorkerOptions say what a Worker does. Handlers is required, or Kinds and Take.
type WorkerOptions struct {
	// Handlers by kind. Jobs of other kinds are left alone.
	Handlers map[string]Handler
	// Take takes the place of Handlers for who works on many jobs of Kinds at
	// once: see Taker.
	Take  Taker
	Kinds []string
	// Urgent, with Take, is a priority: jobs below it fill only half of what the
	// worker may hold, so that more urgent ones find room. 0 means that nothing
	// is reserved.
	Urgent int
	// Concurrency is how many handlers run at once; with Take, how many jobs the
	// worker holds at most, until Limit says otherwise. 0 means 16.
	Concurrency int
	// Prefetch bounds how many jobs wait in memory for a handler; how many do
	// depends on how quick the handlers are. 0 means 1024, less than 0 none.
	Prefetch int
	// Lease is how long the jobs of a worker that died wait for another. It is
	// renewed while the worker lives, however long a job takes. 0 means 30s.
	Lease time.Duration
	// Poll is how often the worker looks for jobs that other processes have
	// enqueued; those of this process wake it at once. 0 means 1s.
	Poll time.Duration
	// SoftStop is how long handlers may take to end by themselves when the
	// worker stops, before their contexts are cancelled. 0 means 10s, less than
	// 0 not at all.
	SoftStop time.Duration
	// Backoff is how long after a failed attempt the next one is made, jitter
	// included. Nil means DefaultBackoff.
	Backoff func(attempt int) time.Duration
}

// DefaultBackoff doubles from a second to an hour, give or take a fifth.
func DefaultBackoff(attempt int) time.Duration {
	d := time.Hour
	if attempt < 13 { // 2^12 s is more than an hour
		d = min(d, time.Second<<max(attempt-1, 0))
	}
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// Worker runs handlers. NewWorker makes it.
type Worker struct {
	q     *Queue
	o     WorkerOptions
	looks []look
	log   *slog.Logger

	wake chan struct{} // capacity 1: there may be jobs
	room chan struct{} // capacity 1: handlers want more jobs
	jobs chan *Job     // leased, wait for a handler
	desk desk          // of Take

	held      atomic.Int64 // leased, and the handler has not ended
	heldBytes atomic.Int64 // of their payloads
	finished  atomic.Int64 // handlers that have ended, ever
	low       atomic.Int64 // fetch more when no more than these are held
	prefetch  int64        // how many to hold beyond those that run; of fetch alone
	unsaved   unsaved
	session   atomic.Pointer[session]
}

// NewWorker returns a Worker. It does nothing before Run. It panics without
// handlers.
func (q *Queue) NewWorker(o WorkerOptions) *Worker {
	kinds := slices.Clone(o.Kinds)
	if o.Take == nil {
		kinds = slices.Collect(maps.Keys(o.Handlers))
	}
	if len(kinds) == 0 {
		panic("job: a worker without handlers")
	}
	slices.Sort(kinds)
	w := &Worker{q: q, log: q.log, wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	for names := range slices.Chunk(kinds, maxLook) {
		w.looks = append(w.looks, newLook(q, names))
	}
	orDefault(&o.Concurrency, 16)
	orDefault(&o.Prefetch, 1024)
	orDefault(&o.Lease, 30*time.Second)
	orDefault(&o.Poll, time.Second)
	orDefault(&o.SoftStop, 10*time.Second)
	if o.Backoff == nil {
		o.Backoff = DefaultBackoff
	}
	w.o = o
	w.unsaved.none = make(chan struct{}, 1)
	if o.Take != nil {
		w.desk.init(o)
		return w
	}
	w.jobs = make(chan *Job, o.Concurrency+o.Prefetch)
	w.low.Store(int64(o.Concurrency) - 1)
	return w
}

func orDefault[T int | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
	*v = max(*v, 0)
}

// Run works on jobs until ctx ends. Then it leases no more, gives back what no
// handler has begun, waits for the handlers that run, ends their contexts after
// SoftStop, and waits for them. The queue's Run must outlive it. A database that
// is away is waited for. Run is called once.
func (w *Worker) Run(ctx context.Context) error {
	w.q.join(w)
	defer w.q.part(w)
	w.newSession(w.session.Load())

	handlers, stopHandlers := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopHandlers(nil)
	beats, stopBeats := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBeats()
	var running, beating sync.WaitGroup
	beating.Go(func() { w.beat(beats) })
	if w.o.Take != nil {
		running.Go(func() { w.desk.hand(w.o.Take) })
		w.fetch(ctx)
		w.desk.close()
		running.Wait()
		w.desk.ended(&w.held)
	} else {
		for range w.o.Concurrency {
			running.Go(func() {
				for j := range w.jobs {
					w.handle(handlers, j)
				}
			})
		}
		w.fetch(ctx)
		w.giveBack()
		close(w.jobs)
		hard := time.AfterFunc(w.o.SoftStop, func() { stopHandlers(errStopped) })
		running.Wait()
		hard.Stop()
	}
	w.flush()
	stopBeats()
	beating.Wait()
	w.leave(context.WithoutCancel(ctx))
	return nil
}

// errStopped ends the contexts of handlers when their worker must stop.
var errStopped = errors.New("the worker stops")

// newSession begins a session, unless somebody else has since old.
func (w *Worker) newSession(old *session) {
	s := newSession(w.o.Lease, &w.unsaved)
	if w.session.CompareAndSwap(old, s) {
		w.q.replace(old, s)
	}
}

// giveBack returns the jobs that no handler has begun.
func (w *Worker) giveBack() {
	for {
		select {
		case j := <-w.jobs:
			w.end(j.lease, ending{lease: j.lease, outcome: released})
		default:
			return
		}
	}
}

// flushTimeout bounds how long a worker that stops waits for the database to
// take the ends of its jobs. What it does not take is run again.
const flushTimeout = 5 * time.Second

func (w *Worker) flush() {
	limit := time.NewTimer(flushTimeout)
	defer limit.Stop()
	for w.unsaved.n.Load() > 0 {
		select {
		case <-w.unsaved.none:
		case <-limit.C:
			w.log.Warn("ends of jobs could not be written, they will run again", "jobs", w.unsaved.n.Load())
			return
		}
	}
}

// leave signs off, so that nobody has to wait for what may be left.
func (w *Worker) leave(ctx context.Context) {
	s := w.session.Load()
	w.q.replace(s, nil)
	defer s.unclaim()
	s.mu.Lock()
	registered := s.registered
	s.mu.Unlock()
	if !registered {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := w.q.signOff(ctx, s); err != nil {
		w.log.Warn("a worker could not sign off, its jobs come back after their lease", "err", err)
	}
}

// beat keeps the session alive while it holds jobs, until ctx ends.
func (w *Worker) beat(ctx context.Context) {
	t := time.NewTicker(max(w.o.Lease/3, time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if s := w.session.Load(); s.holds() {
			w.beatOnce(ctx, s)
		}
	}
}

func (w *Worker) beatOnce(ctx context.Context, s *session) {
	ctx, cancel := context.WithTimeout(ctx, w.o.Lease/3)
	defer cancel()
	open := s.open()
	op := &leaseOp{session: s, check: true}
	began := time.Now()
	err := w.q.committer.submit(ctx, &op.wait, func(g *group) { g.leases = append(g.leases, op) })
	switch {
	case err != nil:
		// Nobody can take the jobs as long as nobody reaches the database, but
		// perhaps it is only this process that does not.
		if s.overdue() {
			w.lostSession(s)
		}
	case op.lost:
		w.lostSession(s)
	default:
		s.alive(began)
		if strays := s.compare(open, op.running); len(strays) > 0 {
			if _, err := w.q.reclaim(ctx, s.tokenArg, strays); err != nil {
				w.q.trouble(err)
			}
		}
	}
}
