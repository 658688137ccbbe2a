package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/furima/furima/internal/sqldb"
)

// WorkerOptions say what a Worker does. Handlers is required.
type WorkerOptions struct {
	// Handlers by kind. Jobs of other kinds are left alone.
	Handlers map[string]Handler
	// Concurrency is how many handlers run at once. 0 means 16.
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
	if len(o.Handlers) == 0 {
		panic("job: a worker without handlers")
	}
	w := &Worker{q: q, log: q.log, wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	for names := range slices.Chunk(slices.Sorted(maps.Keys(o.Handlers)), maxLook) {
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
	w.jobs = make(chan *Job, o.Concurrency+o.Prefetch)
	w.low.Store(int64(o.Concurrency) - 1)
	w.unsaved.none = make(chan struct{}, 1)
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
// is away is waited for.
func (w *Worker) Run(ctx context.Context) error {
	w.q.join(w)
	defer w.q.part(w)
	w.newSession(w.session.Load())

	handlers, stopHandlers := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopHandlers(nil)
	beats, stopBeats := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBeats()
	var running, beating sync.WaitGroup
	for range w.o.Concurrency {
		running.Go(func() {
			for j := range w.jobs {
				w.handle(handlers, j)
			}
		})
	}
	beating.Go(func() { w.beat(beats) })

	w.fetch(ctx)
	w.giveBack()
	close(w.jobs)
	hard := time.AfterFunc(w.o.SoftStop, func() { stopHandlers(errStopped) })
	running.Wait()
	hard.Stop()
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

// fetch leases jobs and hands them to the handlers until ctx ends.
func (w *Worker) fetch(ctx context.Context) {
	var f fetcher
	wait := time.NewTimer(0)
	defer wait.Stop()
	for ctx.Err() == nil {
		want, size := w.want()
		if want == 0 {
			select {
			case <-w.room:
			case <-ctx.Done():
			}
			continue
		}
		pause, err := w.fetchSome(ctx, &f, want, size)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			f.failures = 0
		case errors.Is(err, ErrNotRunning):
			pause = w.o.Poll
		default:
			w.q.trouble(err)
			f.failures++
			f.hot = false
			pause = min(w.o.Poll<<min(f.failures, 5), 10*time.Second)
		}
		if pause == 0 {
			continue
		}
		wait.Reset(pause)
		select {
		case <-w.wake:
			if err != nil { // news are no reason to hurry while the database is away
				select {
				case <-wait.C:
				case <-ctx.Done():
				}
			}
		case <-wait.C:
		case <-ctx.Done():
		}
	}
}

// fetcher is what fetch remembers from one round to the next.
type fetcher struct {
	hot      bool    // the last round found as much as it wanted
	lanes    []*kind // where it looked
	peeked   time.Time
	failures int
	began    time.Time // of the last lease
	finished int64     // handlers that had ended by then
}

// want returns how many jobs to lease now, and how many bytes they may have.
// With quick handlers it waits until a good part is missing, so that one
// transaction leases many.
func (w *Worker) want() (jobs int, size int64) {
	held, size := w.held.Load(), maxHeldBytes-w.heldBytes.Load()
	if held > w.low.Load() || size <= 0 && held >= int64(w.o.Concurrency) {
		return 0, 0
	}
	return int(int64(w.o.Concurrency) + w.prefetch - held), size
}

// maxHeldBytes is how much payload a worker holds at once. A handler that is
// idle gets a job beyond it.
const maxHeldBytes = 8 << 20

// fetchSome leases up to want jobs. It returns how long to wait for more, 0 if there
// are more.
func (w *Worker) fetchSome(ctx context.Context, f *fetcher, want int, size int64) (time.Duration, error) {
	if w.unsaved.n.Load() > w.held.Load()+maxGroupJobs {
		return endRetry / 10, nil // the ends come first
	}
	op := &leaseOp{want: want, size: size, lanes: f.lanes}
	woken := false
	select {
	case <-w.wake:
		woken = true
	default:
	}
	if !f.hot || woken || time.Since(f.peeked) > w.o.Poll {
		p, err := w.peek(ctx)
		if err != nil {
			return 0, err
		}
		f.peeked = time.Now()
		if len(p.lanes) == 0 {
			f.hot = false
			return min(w.o.Poll, p.next), nil
		}
		op.lanes, op.due = p.lanes, p.due
	}
	op.now = sqldb.Micros(w.q.now())
	op.session = w.session.Load()
	if err := op.session.claim(w.q.db); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := w.q.committer.submit(ctx, &op.wait, func(g *group) { g.leases = append(g.leases, op) }); err != nil {
		return 0, err
	}
	if op.lost {
		w.lostSession(op.session)
		return 0, nil
	}
	op.session.alive(began)
	f.hot, f.lanes = len(op.got) == want || op.moreDue, op.lanes
	if err := w.load(ctx, op); err != nil {
		return 0, err
	}
	w.adapt(f, began)
	return 0, nil
}

// adapt sets how many jobs to hold beyond those that run: twice what ends while a lease takes
// its time, so that handlers never wait for one, and a slow handler's jobs do
// not wait here while another process could run them.
func (w *Worker) adapt(f *fetcher, began time.Time) {
	now := time.Now()
	finished := w.finished.Load()
	if !f.began.IsZero() {
		rate := float64(finished-f.finished) / now.Sub(f.began).Seconds()
		n := int64(2 * rate * now.Sub(began).Seconds())
		w.prefetch = min(max(n, w.prefetch/2), int64(w.o.Prefetch))
		w.low.Store(int64(w.o.Concurrency) - 1 + w.prefetch/2)
	}
	f.began, f.finished = now, finished
}

// lostSession gives up a session that the others hold for dead.
func (w *Worker) lostSession(s *session) {
	if open := len(s.open()); open > 0 {
		w.log.Warn("a worker was held for dead, its jobs may run twice", "jobs", open)
	}
	s.loseAll()
	w.newSession(s)
	s.unclaim()
}

// peeked is what a look at the queue has found.
type peeked struct {
	lanes []*kind       // with jobs to lease
	due   []*kind       // of those, the ones with scheduled jobs to make ready
	next  time.Duration // until the next scheduled job is due
}

// maxLook is how many kinds one query looks for. An SQLite SELECT has at most
// 500 parts.
const maxLook = 64

// look is a query for the heads of the lanes of some kinds.
type look struct {
	kinds []*kind
	text  string
	args  []any
}

func newLook(q *Queue, names []string) look {
	var l look
	var parts []string
	for _, name := range names {
		k := q.kinds.get(name)
		l.kinds = append(l.kinds, k)
		for _, state := range []int{stReady, stScheduled} {
			parts = append(parts, fmt.Sprintf("SELECT * FROM (SELECT state, lane, at FROM job_queue WHERE state = %d AND lane = ? ORDER BY at, id LIMIT 1) AS head%d", state, len(parts)))
			l.args = append(l.args, k.laneArg)
		}
	}
	l.text = strings.Join(parts, " UNION ALL ")
	return l
}

// peek looks, without a lock, whether there is anything to do.
func (w *Worker) peek(ctx context.Context) (p peeked, err error) {
	now := sqldb.Micros(w.q.now())
	p.next = 1<<63 - 1
	for i := range w.looks {
		if err := w.looks[i].run(ctx, w.q.db, now, &p); err != nil {
			return p, fmt.Errorf("look for jobs: %w", err)
		}
	}
	return p, nil
}

func (l *look) run(ctx context.Context, db *sqldb.DB, now int64, p *peeked) error {
	rows, err := db.QueryContext(ctx, l.text, l.args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var state int
		var lane, at int64
		if err := rows.Scan(&state, &lane, &at); err != nil {
			return err
		}
		k := l.kinds[slices.IndexFunc(l.kinds, func(k *kind) bool { return k.lane == lane })]
		if state == stScheduled && at > now {
			p.next = min(p.next, time.Duration(at-now)*time.Microsecond)
			continue
		}
		if state == stScheduled {
			p.due = append(p.due, k)
		}
		if !slices.Contains(p.lanes, k) {
			p.lanes = append(p.lanes, k)
		}
	}
	return rows.Err()
}

// load reads what the leased jobs are and hands them to the handlers.
func (w *Worker) load(ctx context.Context, op *leaseOp) error {
	leases := make([]*lease, len(op.got))
	for i, r := range op.got {
		leases[i] = &lease{
			session: op.session, kind: r.kind, id: r.id, idArg: r.id,
			priority: r.priority, attempt: r.attempt + 1, size: r.size,
		}
	}
	w.held.Add(int64(len(leases)))
	w.unsaved.add(len(leases))
	op.session.add(leases)
	for _, l := range leases {
		w.heldBytes.Add(l.size)
	}
	err := w.q.readJobs(context.WithoutCancel(ctx), leases, func(j *Job) { w.jobs <- j })
	for _, l := range leases {
		switch {
		case l.maxAttempts > 0: // handed over
		case err != nil:
			w.end(l, ending{lease: l, outcome: released})
		default: // cancelled between the lease and now
			w.drop(l)
		}
	}
	return err
}

// end gives a job back, if it is still ours.
func (w *Worker) end(l *lease, e ending) {
	if !l.session.close(l) {
		l.kind.metrics.finished[lost].Inc()
		w.drop(l)
		return
	}
	w.q.committer.end(e)
	w.handled(l)
}

// drop forgets a job that is not ours.
func (w *Worker) drop(l *lease) {
	l.closed.Store(true)
	l.session.settle(l)
	w.handled(l)
}

// handled makes room for another job.
func (w *Worker) handled(l *lease) {
	w.finished.Add(1)
	size, held := w.heldBytes.Add(-l.size), w.held.Add(-1)
	if held <= w.low.Load() && (size < maxHeldBytes/2 || held < int64(w.o.Concurrency)) {
		select {
		case w.room <- struct{}{}:
		default:
		}
	}
}

// handle runs the handler of a job.
func (w *Worker) handle(ctx context.Context, j *Job) {
	l := j.lease
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if !l.session.begin(l, cancel) {
		l.kind.metrics.finished[lost].Inc()
		w.drop(l)
		return
	}
	began := w.q.now()
	l.kind.metrics.wait.Observe(max(began.Sub(j.RunAt), 0).Seconds())
	err := call(ctx, w.o.Handlers[j.Kind], j)
	now := w.q.now()
	l.kind.metrics.run.Observe(now.Sub(began).Seconds())
	e := w.judge(ctx, l, err, now)
	w.end(l, e)
	w.report(j, &e, err, now.Sub(began))
}

// call runs a handler and makes a panic an error.
func call(ctx context.Context, h Handler, j *Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = newPanicError(p)
		}
	}()
	return h(ctx, j)
}

// panicError is a panic as an error.
type panicError struct {
	value any
	stack []byte
}

func newPanicError(p any) error { return &panicError{p, debug.Stack()} }

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// judge says what becomes of a job by what its handler has returned.
func (w *Worker) judge(ctx context.Context, l *lease, err error, now time.Time) ending {
	e := ending{lease: l, outcome: done}
	if err == nil {
		return e
	}
	if s, ok := errors.AsType[*snoozeError](err); ok {
		e.outcome, e.at, e.later = snoozed, sqldb.Micros(now.Add(s.d)), s.d > 0
		return e
	}
	c, cancelled := errors.AsType[*cancelError](err)
	if !cancelled && context.Cause(ctx) == errStopped {
		e.outcome = released
		return e
	}
	e.failedAt, e.err = sqldb.Micros(now), errorText(err)
	if cancelled || l.attempt >= l.maxAttempts {
		e.outcome, e.at = dead, l.runAt
		if cancelled {
			e.err = errorText(c.err)
		}
		return e
	}
	d := max(w.o.Backoff(int(l.attempt)), 0)
	e.outcome, e.at, e.later = retry, sqldb.Micros(now.Add(d)), d > 0
	return e
}

// report writes the line that a run leaves in the log.
func (w *Worker) report(j *Job, e *ending, err error, took time.Duration) {
	level := slog.LevelDebug
	switch e.outcome {
	case dead:
		level = slog.LevelError
	case retry:
		level = slog.LevelWarn
	}
	if !w.log.Enabled(context.Background(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("kind", j.Kind), slog.Int64("job_id", j.ID), slog.String("outcome", e.outcome.String()),
		slog.Int("attempt", j.Attempt), slog.Float64("duration_ms", float64(took.Microseconds())/1000),
	}
	if e.outcome == retry {
		attrs = append(attrs, slog.Time("next_at", sqldb.FromMicros(e.at)))
	}
	if e.outcome != done && e.outcome != snoozed {
		attrs = append(attrs, slog.String("err", e.err))
	}
	if p, ok := errors.AsType[*panicError](err); ok {
		attrs = append(attrs, slog.String("stack", string(p.stack)))
	}
	w.log.LogAttrs(context.Background(), level, "job", attrs...)
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
