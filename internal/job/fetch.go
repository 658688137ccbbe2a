package job

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/furima/furima/internal/sqldb"
)

// fetch leases jobs and hands them to the handlers until ctx ends.
func (w *Worker) fetch(ctx context.Context) {
	var f fetcher
	wait := time.NewTimer(0)
	defer wait.Stop()
	for ctx.Err() == nil {
		r := w.want()
		if r.jobs == 0 {
			select {
			case <-w.room:
			case <-ctx.Done():
			}
			continue
		}
		pause, err := w.fetchSome(ctx, &f, r)
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
		var room chan struct{} // not asked for by idle handlers, which signal it all the time
		if w.o.Take != nil {
			room = w.room
		}
		select {
		case <-room:
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
func (w *Worker) want() room {
	if w.o.Take != nil {
		return w.roomToTake()
	}
	held, size := w.held.Load(), maxHeldBytes-w.heldBytes.Load()
	if held > w.low.Load() || size <= 0 && held >= int64(w.o.Concurrency) {
		return room{}
	}
	return room{jobs: int(int64(w.o.Concurrency) + w.prefetch - held), bytes: size, maxAt: anyPriority}
}

// maxHeldBytes is how much payload a worker holds at once. A handler that is
// idle gets a job beyond it.
const maxHeldBytes = 8 << 20

// fetchSome leases up to want jobs. It returns how long to wait for more, 0 if there
// are more.
func (w *Worker) fetchSome(ctx context.Context, f *fetcher, r room) (time.Duration, error) {
	if w.unsaved.n.Load() > w.held.Load()+maxGroupJobs {
		return endRetry / 10, nil // the ends come first
	}
	op := &leaseOp{want: r.jobs, size: r.bytes, maxAt: r.maxAt, lanes: f.lanes}
	woken := false
	select {
	case <-w.wake:
		woken = true
	default:
	}
	if !f.hot || woken || time.Since(f.peeked) > w.o.Poll {
		p, err := w.peek(ctx, r.maxAt)
		if err != nil {
			return 0, err
		}
		f.peeked = time.Now()
		if len(p.lanes) == 0 {
			f.hot = false
			if w.o.Take != nil {
				w.desk.caughtUp.Store(!p.hidden)
			}
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
		w.inDoubt(op.session)
		return 0, err
	}
	if op.lost {
		w.lostSession(op.session)
		return 0, nil
	}
	op.session.alive(began)
	f.hot, f.lanes = op.cut || op.moreDue, op.lanes
	if w.o.Take != nil {
		// When this was committed nothing else was ready that we know of. To wait
		// for a moment without any would be in vain while there is much to do.
		w.desk.caughtUp.Store(!f.hot && r.maxAt == anyPriority)
	}
	if err := w.load(ctx, op); err != nil {
		return 0, err
	}
	if w.o.Take != nil {
		return 0, nil
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

// inDoubt is called when a lease has failed. A server may have committed it all the
// same before the connection broke.
func (w *Worker) inDoubt(s *session) {
	if s.doubt() {
		return // the next beats will find what is there
	}
	// Nobody knows whether there is such a session.
	w.newSession(s)
	s.unclaim()
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
	lanes  []*kind       // with jobs to lease
	hidden bool          // there are jobs of a lower priority
	due    []*kind       // of those, the ones with scheduled jobs to make ready
	next   time.Duration // until the next scheduled job is due
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
func (w *Worker) peek(ctx context.Context, maxAt int64) (p peeked, err error) {
	now := sqldb.Micros(w.q.now())
	p.next = 1<<63 - 1
	for i := range w.looks {
		if err := w.looks[i].run(ctx, w.q.db, now, maxAt, &p); err != nil {
			return p, fmt.Errorf("look for jobs: %w", err)
		}
	}
	return p, nil
}

func (l *look) run(ctx context.Context, db *sqldb.DB, now, maxAt int64, p *peeked) error {
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
		} else if at > maxAt {
			p.hidden = true
			continue
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
	var taken []*Job
	err := w.readJobs(context.WithoutCancel(ctx), leases, func(j *Job) {
		if w.o.Take != nil {
			taken = append(taken, j)
			return
		}
		w.jobs <- j
	})
	if len(taken) > 0 {
		w.desk.put(taken) // it is open: fetch closes it
	}
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
