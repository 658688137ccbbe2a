package job

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/furima/furima/internal/sqldb"
)

// Taker is given jobs as they come, many at once, and has each of them ended by
// Job.End, in any order and from any goroutine, Taker itself included. It must
// not block: how many jobs there are is bounded by WorkerOptions.Concurrency and
// Worker.Limit. It is called by one goroutine at a time.
//
// Jobs that this process enqueues while its worker has room, and nothing that
// comes before them waits, are handed over as they are committed: they are
// written down as running at once, are not read again, and wait for nobody.
//
// When the worker stops no more jobs come, and Run returns when all have been
// ended: Snooze(0) gives one back.
type Taker func(jobs []*Job)

// End says how the work on a job of a Taker went, as what a Handler returns
// does. Only the first call counts. The end is durable a moment later; a crash
// before that means that the job is run again.
func (j *Job) End(err error) { j.EndThen(err, nil) }

// EndThen is End that calls written, if it is not nil, when the end is durable,
// or when it is certain that this process cannot make it so. written must be
// quick.
func (j *Job) EndThen(err error, written func()) {
	w, l := j.worker, j.lease
	if w == nil || !l.over.CompareAndSwap(false, true) {
		return
	}
	l.written = written
	now := w.q.now()
	took := now.Sub(j.begun)
	l.kind.metrics.run.Observe(took.Seconds())
	e := w.judge(l, err, false, now)
	w.end(l, e)
	w.report(j, &e, err, took)
}

// Watch has lost called, once, when the job is not its taker's any more: it has
// been cancelled or its lease has run out. It reports whether that has not
// happened already. End is still to be called, to no effect. lost must be quick
// and must not call anything of this package.
func (j *Job) Watch(lost func()) bool {
	return j.lease.session.begin(j.lease, func(error) { lost() })
}

// Limit sets how many jobs a worker with Take may hold, and how many bytes of
// payload, 8 MiB at most. A job that is larger comes alone.
func (w *Worker) Limit(jobs int, bytes int64) {
	d := &w.desk
	d.jobs.Store(int64(max(jobs, 1)))
	d.bytes.Store(min(max(bytes, 1), maxHeldBytes))
	w.moreRoom(w.held.Load(), w.heldBytes.Load())
}

// desk is where jobs are handed to a Taker.
type desk struct {
	jobs, bytes atomic.Int64 // how much the worker may hold
	urgent      int64

	// caughtUp: as far as is known nothing is ready in the database, so that what
	// is enqueued now may be handed over.
	caughtUp atomic.Bool
	// blocked is the level at which fetch has stopped for want of room.
	blocked atomic.Int32

	mu     sync.Mutex // guards what follows
	inbox  []*Job
	closed bool

	signal chan struct{} // capacity 1: inbox has something, or is closed
	none   chan struct{} // capacity 1: nothing may be held any more
}

// Levels of how full a worker is.
const (
	anyRoom    int32 = iota // for all jobs
	urgentRoom              // for urgent ones
	noRoom
)

func (d *desk) init(o WorkerOptions) {
	d.jobs.Store(int64(o.Concurrency))
	d.bytes.Store(maxHeldBytes)
	d.urgent = int64(o.Urgent)
	d.signal, d.none = make(chan struct{}, 1), make(chan struct{}, 1)
}

// level tells for what there is room. Fetching begins when a quarter of the room
// is free, so that one transaction leases many.
func (d *desk) level(held, bytes int64) int32 {
	jobs, size := d.jobs.Load(), d.bytes.Load()
	full := func(part int64) bool { // of eighths
		return held*8 > jobs*part || bytes*8 > size*part
	}
	switch {
	case held == 0:
		return anyRoom
	case d.urgent == 0:
		if full(6) {
			return noRoom
		}
		return anyRoom
	case !full(3):
		return anyRoom
	case !full(6):
		return urgentRoom
	}
	return noRoom
}

// room is what to lease.
type room struct {
	jobs  int
	bytes int64
	maxAt int64 // of job_queue.at, minus the priority: beyond it jobs are left alone
}

// anyPriority is no bound of room.maxAt.
const anyPriority = math.MaxInt64

// takeRows is how many jobs one transaction leases for a Taker at most.
const takeRows = 2 * maxRows

// roomToTake returns how much room there is. Whoever makes more from here on
// signals it.
func (w *Worker) roomToTake() room {
	for d := &w.desk; ; {
		held, bytes := w.held.Load(), w.heldBytes.Load()
		level := d.level(held, bytes)
		d.blocked.Store(level)
		if d.level(w.held.Load(), w.heldBytes.Load()) >= level {
			return d.room(held, bytes, level)
		}
	}
}

func (d *desk) room(held, bytes int64, level int32) room {
	jobs, size := d.jobs.Load(), d.bytes.Load()
	r := room{maxAt: anyPriority}
	switch {
	case level == noRoom:
		return room{}
	case level == urgentRoom:
		r.maxAt = -d.urgent
	case d.urgent != 0:
		jobs, size = (jobs+1)/2, (size+1)/2
	}
	r.jobs, r.bytes = int(min(max(jobs-held, 1), takeRows)), max(size-bytes, 1)
	return r
}

// fits reports whether a job of this size may be handed over.
func (d *desk) fits(held, bytes, size, priority int64) bool {
	jobs, most := d.jobs.Load(), d.bytes.Load()
	if priority < d.urgent {
		jobs, most = (jobs+1)/2, (most+1)/2
	}
	return held < jobs && bytes+size <= most
}

// moreRoom lets fetch go on if it has stopped for want of the room that there is
// now.
func (w *Worker) moreRoom(held, bytes int64) {
	if d := &w.desk; d.blocked.Load() > d.level(held, bytes) {
		select {
		case w.room <- struct{}{}:
		default:
		}
	}
	if held == 0 {
		select {
		case w.desk.none <- struct{}{}:
		default:
		}
	}
}

// put hands jobs over. It is false if the worker has stopped.
func (d *desk) put(jobs []*Job) bool {
	d.mu.Lock()
	closed := d.closed
	if !closed {
		d.inbox = append(d.inbox, jobs...)
	}
	d.mu.Unlock()
	if !closed {
		d.tell()
	}
	return !closed
}

func (d *desk) tell() {
	select {
	case d.signal <- struct{}{}:
	default:
	}
}

// close ends hand. Jobs that it has not handed over are given back.
func (d *desk) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.tell()
}

// hand gives take what comes, until close.
func (d *desk) hand(take Taker) {
	var jobs []*Job
	for range d.signal {
		d.mu.Lock()
		jobs, d.inbox = d.inbox, jobs[:0]
		closed := d.closed
		d.mu.Unlock()
		if closed {
			for _, j := range jobs {
				j.End(Snooze(0))
			}
			return
		}
		if len(jobs) == 0 {
			continue
		}
		now := jobs[0].worker.q.now()
		for _, j := range jobs {
			j.begun = now
			j.lease.kind.metrics.wait.Observe(max(now.Sub(j.RunAt), 0).Seconds())
		}
		protect(take, jobs)
		clear(jobs)
	}
}

// protect calls take. A panic ends those of the jobs that it has not ended.
func protect(take Taker, jobs []*Job) {
	defer func() {
		if p := recover(); p != nil {
			err := newPanicError(p)
			for _, j := range jobs {
				j.End(err)
			}
		}
	}()
	take(jobs)
}

// ended waits until nothing is held.
func (d *desk) ended(held *atomic.Int64) {
	for held.Load() > 0 {
		<-d.none
	}
}

// handover is what one transaction of the committer hands to a worker: jobs that
// are running when they are committed.
type handover struct {
	worker  *Worker
	session *session
	rows    []*row
	bytes   int64
	began   time.Time
	lost    bool // the session is dead; the jobs are ready instead
}

// taker returns the worker of this process that may be handed jobs of a lane.
func (q *Queue) taker(lane int64) (*Worker, *session) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	for _, w := range q.workers[lane] {
		if w.o.Take == nil || !w.desk.caughtUp.Load() {
			continue
		}
		if s := w.session.Load(); s.isRegistered() {
			return w, s
		}
	}
	return nil, nil
}

// plan decides which new jobs are handed over, and takes the room for them.
func (q *Queue) plan(g *group) {
	g.handovers = nil
	for _, op := range g.enqueues {
		for i := range op.rows {
			r := &op.rows[i]
			r.to = nil
			if !r.due || r.Key != "" {
				continue
			}
			q.planRow(g, r)
		}
	}
}

func (q *Queue) planRow(g *group, r *row) {
	var h *handover
	for _, known := range g.handovers {
		if known.rows[0].kind == r.kind {
			h = known
		}
	}
	if h == nil {
		w, s := q.taker(r.kind.lane)
		if w == nil {
			return
		}
		h = &handover{worker: w, session: s}
	}
	w, size := h.worker, int64(len(r.Payload))
	if !w.desk.caughtUp.Load() {
		return
	}
	if !w.desk.fits(w.held.Load(), w.heldBytes.Load(), size, int64(r.Priority)) {
		w.desk.caughtUp.Store(false) // what comes next must not overtake this one
		return
	}
	w.held.Add(1)
	w.heldBytes.Add(size)
	if h.rows == nil {
		g.handovers = append(g.handovers, h)
	}
	h.rows, h.bytes = append(h.rows, r), h.bytes+size
	r.to = h
}

// unplan gives room back.
func (h *handover) unplan() {
	w := h.worker
	for _, r := range h.rows {
		r.to = nil
	}
	w.moreRoom(w.held.Add(int64(-len(h.rows))), w.heldBytes.Add(-h.bytes))
}

// over hands committed jobs over. Their payloads are copied: they are the
// callers'.
func (q *Queue) over(h *handover) {
	w := h.worker
	if h.lost {
		rows := h.rows
		h.unplan()
		w.lostSession(h.session)
		for _, r := range rows {
			q.wake(r.kind.lane)
		}
		return
	}
	h.session.alive(h.began)
	h.rows[0].kind.metrics.handed.Add(float64(len(h.rows))) // all are of one kind
	var (
		jobs   = make([]*Job, len(h.rows))
		leases = make([]*lease, len(h.rows))
		mine   = make([]struct {
			job   Job
			lease lease
		}, len(h.rows))
		copied = make([]byte, 0, h.bytes)
	)
	for i, r := range h.rows {
		at := len(copied)
		copied = append(copied, r.Payload...)
		m := &mine[i]
		m.lease.session, m.lease.kind, m.lease.id, m.lease.idArg = h.session, r.kind, r.id, r.id
		m.lease.priority, m.lease.attempt, m.lease.size = int64(r.Priority), 1, int64(len(r.Payload))
		m.lease.maxAttempts, m.lease.runAt = int64(r.MaxAttempts), r.runAt
		m.job = Job{
			ID: r.id, Kind: r.kind.name, Payload: copied[at:len(copied):len(copied)],
			Priority: r.Priority, Attempt: 1, MaxAttempts: r.MaxAttempts,
			EnqueuedAt: sqldb.FromMicros(r.enqueued), RunAt: sqldb.FromMicros(r.runAt),
			lease: &m.lease, committer: q.committer, worker: w,
		}
		jobs[i], leases[i] = &m.job, &m.lease
	}
	w.unsaved.add(len(leases))
	h.session.add(leases)
	if !w.desk.put(jobs) {
		for _, j := range jobs {
			j.End(Snooze(0))
		}
	}
}

// giveUpPlan is called when a transaction with handovers has failed. If a server
// has committed it all the same there are running jobs that nobody here knows.
func (q *Queue) giveUpPlan(g *group, err error) {
	for _, h := range g.handovers {
		h.unplan()
		if !errors.Is(err, errSomeLost) {
			h.worker.inDoubt(h.session)
		}
	}
	g.handovers = nil
}
