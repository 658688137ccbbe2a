package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/furima/furima/internal/sqldb"
)

// The group committer: everything that the queue of this process has to write,
// from new jobs to finished ones, is collected while the transaction before it
// is being written to disk, and goes into the next one together. With one
// caller that costs nothing; with many they share the fsync.

// Limits of one transaction. They bound memory and how long others wait.
const (
	maxGroupJobs  = 2048
	maxGroupBytes = 8 << 20
	maxGroupFuncs = 64
)

// linger is how long the end of a job may wait for company. Nobody waits for
// it, and a crash in that time only means that the job is run again.
const linger = 2 * time.Millisecond

// manyEnds do not linger.
const manyEnds = 128

// wait is how a caller learns of the end of what it has handed over.
type wait struct {
	done  chan error
	taken bool // into a transaction; guarded by committer.mu
	gone  bool // the caller has given up before that; guarded by committer.mu
}

func (w *wait) waiter() *wait { return w }

type enqueueOp struct {
	wait
	rows []row
	size int // bytes of payload
}

type funcOp struct {
	wait
	f   func(tx *sqldb.Tx) error
	err error // f's own: it is out, the others are not
}

// group is what one transaction writes.
type group struct {
	saves    []*saveOp
	ends     []ending
	enqueues []*enqueueOp
	funcs    []*funcOp
	leases   []*leaseOp

	handovers []*handover // of enqueues, while it is written
}

func (g *group) size() int {
	return len(g.saves) + len(g.ends) + len(g.enqueues) + len(g.funcs) + len(g.leases)
}

type committer struct {
	q    *Queue
	wake chan struct{} // capacity 1: there is something to take
	full chan struct{} // capacity 1: there is enough to take

	mu      sync.Mutex // guards what follows
	pending group
	timed   bool // a timer will wake for ends
	enough  int  // callers that full is signalled for; 0: nobody waits for it
	closed  bool
}

func newCommitter(q *Queue) *committer {
	return &committer{q: q, wake: make(chan struct{}, 1), full: make(chan struct{}, 1)}
}

// crowd is how many callers the last two transactions of a writer had. Those who
// enqueue one job after the other come back a moment after they were told: the
// next transaction waits for that moment, lest the crowd falls apart into two
// halves that wait for each other's transactions, twice as many of them. A few
// callers are not waited for.
type crowd struct {
	last, before int
	took         time.Duration // the last transaction
}

const (
	fewCallers  = 8
	maxGather   = time.Millisecond // that a transaction waits for its callers
	gatherShare = 4                // of the time of the last transaction, it waits a part
)

func (c *crowd) note(callers int, took time.Duration) {
	c.last, c.before, c.took = callers, c.last, took
}

// callers is how many of a group wait for its end.
func (g *group) callers() int { return len(g.saves) + len(g.enqueues) + len(g.funcs) }

// gather waits until most of the crowd is there, for a moment.
func (c *committer) gather(w *crowd) {
	enough := (w.last + w.before) * 3 / 4
	if enough < fewCallers {
		return
	}
	c.mu.Lock()
	wait := c.pending.callers() < enough
	if wait {
		c.enough = enough
	}
	c.mu.Unlock()
	if !wait {
		return
	}
	t := time.NewTimer(min(w.took/gatherShare, maxGather))
	defer t.Stop()
	select {
	case <-c.full:
	case <-t.C:
	}
	c.mu.Lock()
	c.enough = 0
	select {
	case <-c.full: // both
	default:
	}
	c.mu.Unlock()
}

func (c *committer) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// submit hands over an operation by add, and waits until it is committed. If ctx
// ends while nobody has taken it up, it is withdrawn; once it is being
// committed, submit waits for the end of that, since its memory is in use.
func (c *committer) submit(ctx context.Context, w *wait, add func(g *group)) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	w.done = make(chan error, 1)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrNotRunning
	}
	add(&c.pending)
	if c.enough > 0 && c.pending.callers() >= c.enough {
		c.enough = 0
		c.full <- struct{}{} // empty, or enough would be 0
	}
	c.mu.Unlock()
	c.signal()
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
	}
	c.mu.Lock()
	w.gone = !w.taken
	gone := w.gone
	c.mu.Unlock()
	if gone {
		return context.Cause(ctx)
	}
	return <-w.done
}

// end hands over how a job ended. Nobody waits for it.
func (c *committer) end(e ending) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		e.lease.session.settle(e.lease)
		return
	}
	c.pending.ends = append(c.pending.ends, e)
	many := len(c.pending.ends) >= manyEnds
	first := !c.timed
	c.timed = true
	c.mu.Unlock()
	if many {
		c.signal()
	} else if first {
		time.AfterFunc(linger, c.signal)
	}
}

// again takes back ends that could not be written. They are tried again after a
// while, until the queue stops.
func (c *committer) again(ends []ending) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		giveUp(ends)
		return
	}
	c.pending.ends = append(c.pending.ends, ends...)
	c.timed = true
	c.mu.Unlock()
	time.AfterFunc(endRetry, c.signal)
}

// endRetry is the pause before ends are written again that could not be.
const endRetry = 500 * time.Millisecond

// giveUp leaves jobs to the end of their leases.
func giveUp(ends []ending) {
	for _, e := range ends {
		e.lease.session.settle(e.lease)
	}
}

// run commits until ctx ends, and then what is left.
func (c *committer) run(ctx context.Context, writers int) {
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			var w crowd
			for {
				select {
				case <-c.wake:
				case <-ctx.Done():
					return
				}
				if writers == 1 {
					c.gather(&w)
				}
				g, more := c.take()
				if more {
					c.signal() // for another writer, or the next round of this one
				}
				began := time.Now()
				c.commit(ctx, g)
				w.note(g.callers(), time.Since(began))
				// Let those who were just told go first.
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	for {
		g, more := c.take()
		c.commit(ctx, g)
		if !more {
			return
		}
	}
}

// take takes a group out of what is pending, oldest first.
func (c *committer) take() (g group, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &c.pending
	jobs, size := 0, 0
	g.saves = cut(&p.saves, func(s *saveOp) bool {
		size += len(s.progress)
		return size <= maxGroupBytes
	})
	n := min(len(p.ends), maxGroupJobs)
	g.ends = append(g.ends, p.ends[:n]...)
	p.ends = slices.Delete(p.ends, 0, n)
	c.timed = false
	g.enqueues = cut(&p.enqueues, func(e *enqueueOp) bool {
		jobs += len(e.rows)
		size += e.size
		return jobs <= maxGroupJobs && size <= maxGroupBytes
	})
	g.funcs = cut(&p.funcs, func(*funcOp) bool {
		jobs += maxGroupJobs / maxGroupFuncs
		return jobs <= maxGroupJobs
	})
	g.leases = cut(&p.leases, func(*leaseOp) bool { return true })
	return g, p.size() > 0
}

// cut takes operations from the front of a list, the first in any case, up to
// one that does not fit. Those whose callers have given up are passed over.
func cut[T interface{ waiter() *wait }](list *[]T, fits func(T) bool) []T {
	n := 0
	var taken []T
	for _, op := range *list {
		w := op.waiter()
		if !w.gone {
			if !fits(op) && len(taken) > 0 {
				break
			}
			w.taken = true
			taken = append(taken, op)
		}
		n++
	}
	*list = slices.Delete(*list, 0, n)
	return taken
}

// commit writes a group in one transaction and tells everybody concerned. If
// the transaction fails for a reason that may lie in one of the operations, each
// is tried alone, so that one of them cannot fail the others.
func (c *committer) commit(ctx context.Context, g group) {
	if g.size() == 0 {
		return
	}
	err := c.write(ctx, &g)
	if err == nil || g.size() == 1 || sqldb.IsUnavailable(err) || errors.Is(err, context.DeadlineExceeded) {
		c.finish(&g, err)
		return
	}
	failures, sound := 0, false
	for _, one := range g.split() {
		if sound || failures < hopeless {
			if err = c.write(ctx, &one); err == nil {
				sound = true
			} else {
				failures++
			}
		}
		c.finish(&one, err)
	}
}

// hopeless is after how many operations that fail alone, with none that succeeds,
// the others are not tried: it is the database then.
const hopeless = 8

// split returns a group for each operation.
func (g *group) split() (groups []group) {
	for i := range g.saves {
		groups = append(groups, group{saves: g.saves[i : i+1]})
	}
	for i := range g.ends {
		groups = append(groups, group{ends: g.ends[i : i+1]})
	}
	for i := range g.enqueues {
		groups = append(groups, group{enqueues: g.enqueues[i : i+1]})
	}
	for i := range g.funcs {
		groups = append(groups, group{funcs: g.funcs[i : i+1]})
	}
	for i := range g.leases {
		groups = append(groups, group{leases: g.leases[i : i+1]})
	}
	return groups
}

// writeTimeout bounds a transaction on a server that does not answer.
const writeTimeout = 20 * time.Second

// write runs the transaction. It outlives ctx: callers wait for its end.
func (c *committer) write(ctx context.Context, g *group) error {
	ctx = context.WithoutCancel(ctx)
	if c.q.db.Dialect().Name() == "mysql" {
		// An SQLite statement under a context that can end costs a goroutine,
		// and the wait for its lock is bounded anyhow.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, writeTimeout)
		defer cancel()
	}
	c.q.plan(g)
	began := time.Now()
	careful := false
	err := c.q.db.Tx(ctx, func(tx *sqldb.Tx) error { return c.apply(ctx, tx, g, careful) })
	if errors.Is(err, errSomeLost) {
		careful = true
		err = c.q.db.Tx(ctx, func(tx *sqldb.Tx) error { return c.apply(ctx, tx, g, careful) })
	}
	result := "ok"
	if err != nil {
		result = "error"
		c.q.giveUpPlan(g, err)
	}
	c.q.metrics.commit(result, time.Since(began), g)
	return err
}

// apply writes a group. Ends come before leases, so that what is ready again
// can be leased at once. It may be run again.
func (c *committer) apply(ctx context.Context, tx *sqldb.Tx, g *group, careful bool) error {
	q := c.q
	if len(g.saves) > 0 {
		if err := q.writeSaves(ctx, tx, g.saves); err != nil {
			return fmt.Errorf("save progress of jobs: %w", err)
		}
	}
	if len(g.ends) > 0 {
		if err := q.writeEnds(ctx, tx, g.ends, careful); err != nil {
			return fmt.Errorf("end jobs: %w", err)
		}
	}
	if len(g.enqueues) > 0 {
		for _, h := range g.handovers {
			h.began, h.lost = time.Now(), false
			alive, err := q.writeBeat(ctx, tx, h.session)
			if err != nil {
				return fmt.Errorf("hand over jobs: %w", err)
			}
			h.lost = !alive
		}
		var rows []*row
		for _, e := range g.enqueues {
			for i := range e.rows {
				rows = append(rows, &e.rows[i])
			}
		}
		if err := q.insert(ctx, tx, rows); err != nil {
			return err
		}
	}
	for _, f := range g.funcs {
		if err := f.run(tx); err != nil {
			return err
		}
	}
	for _, l := range g.leases {
		if err := q.writeLease(ctx, tx, l); err != nil {
			return fmt.Errorf("lease jobs: %w", err)
		}
	}
	return nil
}

// run runs the caller's function. Its own failure takes back what it did and
// nothing else.
func (f *funcOp) run(tx *sqldb.Tx) error {
	failed, err := tx.Nested(func(tx *sqldb.Tx) (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = newPanicError(p)
			}
		}()
		return f.f(tx)
	})
	f.err = failed
	return err
}

// finish tells everybody concerned how the transaction went.
func (c *committer) finish(g *group, err error) {
	for _, s := range g.saves {
		if err == nil {
			s.done <- s.result
		} else {
			s.done <- err
		}
	}
	if err == nil {
		for i := range g.ends {
			c.q.ended(&g.ends[i])
		}
	} else if len(g.ends) > 0 {
		c.q.trouble(err)
		c.again(g.ends)
	}
	for _, e := range g.enqueues {
		if err == nil {
			c.q.told(e.rows)
		}
	}
	for _, h := range g.handovers {
		c.q.over(h) // before the payloads are the callers' again
	}
	for _, e := range g.enqueues {
		e.done <- err
	}
	for _, f := range g.funcs {
		f.done <- cmp.Or(err, f.err)
	}
	for _, l := range g.leases {
		l.done <- err
	}
	if err == nil {
		c.q.noTrouble()
	}
}
