package job

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/furima/furima/internal/sqldb"
)

// session is a worker's standing in the database: a row in job_workers whose
// beat changes while the worker lives. Its leases live and die with it, so that
// nothing is written for a job only because it takes long.
type session struct {
	token    int64
	tokenArg any
	lease    time.Duration
	unsaved  *unsaved

	mu         sync.Mutex // guards what follows
	release    func()     // of the claim to be alive; nil before it is made
	registered bool       // the row is there
	beaten     time.Time  // when the last beat that succeeded was sent
	leases     map[int64]*lease
	suspects   []int64 // running in the database and unknown here, at the last check
	doubtful   bool    // there may be suspects
}

func newSession(d time.Duration, u *unsaved) *session {
	token := rand.Int64N(1<<62-1) + 1
	return &session{token: token, tokenArg: token, lease: d, unsaved: u, leases: map[int64]*lease{}}
}

// claim tells others that this process lives, where the database can: there a
// session without a claim is taken for dead at once.
func (s *session) claim(db *sqldb.DB) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.release != nil {
		return nil
	}
	var err error
	s.release, err = db.Alive(s.token)
	return err
}

// unclaim is called when the session has ended.
func (s *session) unclaim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.release != nil {
		s.release()
	}
}

// unsaved counts the leases of a worker that are not yet given back in the
// database.
type unsaved struct {
	n    atomic.Int64
	none chan struct{} // capacity 1: n may have come to 0
}

func (u *unsaved) add(n int) {
	if u.n.Add(int64(n)) == 0 {
		select {
		case u.none <- struct{}{}:
		default:
		}
	}
}

// lease is a job in the hands of this process.
type lease struct {
	session     *session
	kind        *kind
	id          int64
	idArg       any
	key         string
	priority    int64
	attempt     int64 // this one
	size        int64
	maxAttempts int64
	runAt       int64
	hasRun      atomic.Bool // job_runs has a row for it
	closed      atomic.Bool // the handler has ended, or never will begin
	over        atomic.Bool // Job.End has been called
	written     func()      // of Job.EndThen; nil if nobody wants to know

	lost   bool                    // not ours any more; guarded by session.mu
	cancel context.CancelCauseFunc // of the handler's context; guarded by session.mu
}

// add notes leases.
func (s *session) add(leases []*lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range leases {
		s.leases[l.id] = l
	}
}

// begin gives a lease the means to end its handler. It is false if the lease is lost already.
func (s *session) begin(l *lease, cancel context.CancelCauseFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.cancel = cancel
	return !l.lost
}

// close notes that a handler has ended. It is false if the lease was lost by then.
func (s *session) close(l *lease) bool {
	l.closed.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	return !l.lost
}

// settle forgets a lease: it has been given back in the database, or never will be.
func (s *session) settle(l *lease) {
	s.mu.Lock()
	if s.leases[l.id] == l {
		delete(s.leases, l.id)
	}
	s.mu.Unlock()
	s.unsaved.add(-1)
	if l.written != nil {
		l.written()
	}
}

// lose ends the contexts of handlers whose jobs are not theirs any more.
func (s *session) lose(ids []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if l := s.leases[id]; l != nil {
			l.lose()
		}
	}
}

// loseAll gives the session up.
func (s *session) loseAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.leases {
		l.lose()
	}
}

// lose is called under session.mu.
func (l *lease) lose() {
	l.lost = true
	if l.cancel != nil {
		l.cancel(ErrLeaseLost)
	}
}

// open returns the leases whose handlers have not ended.
func (s *session) open() []*lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := make([]*lease, 0, len(s.leases))
	for _, l := range s.leases {
		if !l.closed.Load() && !l.lost {
			open = append(open, l)
		}
	}
	return open
}

// alive notes that a beat that was sent at t has succeeded.
func (s *session) alive(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registered = true
	if t.After(s.beaten) {
		s.beaten = t
	}
}

func (s *session) isRegistered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.registered
}

// holds reports whether there is anything to keep alive.
func (s *session) holds() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.registered && (len(s.leases) > 0 || s.doubtful)
}

// doubt notes that there may be leases in the database that nobody here knows.
// It is false if there may not even be a session.
func (s *session) doubt() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubtful = true
	return s.registered
}

// overdue reports whether the others may have given the session up.
func (s *session) overdue() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.registered && time.Since(s.beaten) > s.lease
}

// compare holds the jobs that run in the database against those open before the question
// was asked. It ends the handlers of jobs that are gone, and returns the jobs that the
// database has twice said to run although nobody here knows them: a lease
// whose commit was thought to have failed.
func (s *session) compare(open []*lease, running []int64) (strays []int64) {
	slices.Sort(running)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range open {
		if _, found := slices.BinarySearch(running, l.id); !found && !l.closed.Load() {
			l.lose()
		}
	}
	var suspects []int64
	for _, id := range running {
		if s.leases[id] != nil {
			continue
		}
		if slices.Contains(s.suspects, id) {
			strays = append(strays, id)
		} else {
			suspects = append(suspects, id)
		}
	}
	s.suspects = suspects
	s.doubtful = s.doubtful && len(suspects)+len(strays) > 0
	return strays
}

// leaseOp asks for jobs, or only beats.
type leaseOp struct {
	wait
	session *session
	lanes   []*kind
	due     []*kind // lanes where scheduled jobs are due
	now     int64
	want    int
	size    int64 // payload bytes to stop after
	maxAt   int64 // jobs of a lower priority are left alone
	check   bool  // ask which jobs are still ours

	got     []queued
	moreDue bool
	cut     bool    // there was more than got, by number or size
	running []int64 // with check
	lost    bool    // the session is dead; nothing was leased
}

// queued is a row of job_queue.
type queued struct {
	kind     *kind
	at       int64
	id       int64
	priority int64
	attempt  int64
	size     int64
}

// writeLease moves the most urgent ready jobs to the session.
func (q *Queue) writeLease(ctx context.Context, tx *sqldb.Tx, l *leaseOp) error {
	l.got, l.running, l.lost, l.moreDue, l.cut = nil, nil, false, false, false
	if alive, err := q.writeBeat(ctx, tx, l.session); err != nil || !alive {
		l.lost = !alive
		return err
	}
	if l.check {
		var err error
		if l.running, err = scanIDs(ctx, tx, q.sql.selectRunning, l.session.tokenArg); err != nil {
			return err
		}
	}
	if l.want == 0 {
		return nil
	}
	for _, k := range l.due {
		more, err := q.promote(ctx, tx, k, l.now)
		if err != nil {
			return err
		}
		l.moreDue = l.moreDue || more
	}
	var found []queued
	for _, k := range l.lanes {
		var err error
		if found, err = scanQueued(ctx, tx, k, found, q.sql.selectReady, k.laneArg, l.maxAt, l.want); err != nil {
			return err
		}
	}
	if len(l.lanes) > 1 {
		slices.SortFunc(found, func(a, b queued) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id)) })
	}
	l.got = found[:fit(found, l.want, l.size)]
	l.cut = len(found) >= l.want || len(l.got) < len(found)
	return q.take(ctx, tx, l.session, l.got)
}

// fit returns how many of the jobs to take.
func fit(found []queued, want int, size int64) int {
	for i, f := range found {
		size -= f.size
		if i == want || i > 0 && size < 0 {
			return i
		}
	}
	return len(found)
}

// writeBeat shows that the session lives, and reports whether the others still
// believe it.
func (q *Queue) writeBeat(ctx context.Context, tx *sqldb.Tx, s *session) (alive bool, err error) {
	s.mu.Lock()
	registered := s.registered
	s.mu.Unlock()
	if !registered {
		_, err := tx.ExecContext(ctx, q.sql.insertWorker, s.tokenArg, int64(0), s.lease.Microseconds())
		return true, err
	}
	res, err := tx.ExecContext(ctx, q.sql.beatWorker, s.tokenArg)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// promoteRows is how many scheduled jobs become ready in one transaction.
const promoteRows = maxRows

// promote makes scheduled jobs ready that are due.
func (q *Queue) promote(ctx context.Context, tx *sqldb.Tx, k *kind, now int64) (more bool, err error) {
	due, err := scanQueued(ctx, tx, k, nil, q.sql.selectDue, k.laneArg, now, promoteRows)
	if err != nil || len(due) == 0 {
		return false, err
	}
	ids := make([]any, len(due))
	for i, d := range due {
		ids[i] = d.id
	}
	if _, err := execIn(ctx, tx, &q.sql.deleteScheduled, ids, k.laneArg, due[0].at, due[len(due)-1].at); err != nil {
		return false, err
	}
	return len(due) == promoteRows, execRows(ctx, tx, &q.sql.insertQueue, nil, due, func(args []any, d queued) []any {
		return append(args, int64(stReady), k.laneArg, -d.priority, d.id, d.priority, d.attempt, d.size)
	})
}

// take moves ready jobs to the session, a statement for each run of jobs of the same
// lane and priority.
func (q *Queue) take(ctx context.Context, tx *sqldb.Tx, s *session, jobs []queued) error {
	for len(jobs) > 0 {
		n := 1
		for n < len(jobs) && jobs[n].kind == jobs[0].kind && jobs[n].at == jobs[0].at {
			n++
		}
		if err := q.takeRun(ctx, tx, s, jobs[:n]); err != nil {
			return err
		}
		jobs = jobs[n:]
	}
	return nil
}

func (q *Queue) takeRun(ctx context.Context, tx *sqldb.Tx, s *session, jobs []queued) error {
	lane, at := jobs[0].kind.laneArg, jobs[0].at
	if q.sql.copyRange != "" {
		// There is no other writer, so these are all that there are in between.
		first, last := jobs[0].id, jobs[len(jobs)-1].id
		if _, err := tx.ExecContext(ctx, q.sql.copyRange, s.tokenArg, lane, at, first, last); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, q.sql.deleteRange, lane, at, first, last)
		return err
	}
	ids := make([]any, len(jobs))
	for i, j := range jobs {
		ids[i] = j.id
	}
	_, err := execIn(ctx, tx, &q.sql.lease, ids, s.tokenArg, lane, at)
	return err
}

func scanQueued(ctx context.Context, tx *sqldb.Tx, k *kind, to []queued, text string, args ...any) (_ []queued, err error) {
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		r := queued{kind: k}
		if err := rows.Scan(&r.at, &r.id, &r.priority, &r.attempt, &r.size); err != nil {
			return nil, err
		}
		to = append(to, r)
	}
	return to, rows.Err()
}
