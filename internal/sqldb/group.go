package sqldb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// group is how concurrent write transactions on SQLite share a commit, and so an
// fsync, which is most of what a small transaction costs. SQLite has one writer:
// who comes while another writes has to wait anyhow. The one who writes, the
// leader, does not commit as long as others wait, but lets each of them work in
// turn within the same SQLite transaction, behind a savepoint; then it commits
// for all. To its function each is a transaction of its own: it sees what those
// before it have done, it can fail alone, and it is told of success when it is
// on disk. If the commit fails it fails for all, and nothing of anyone remains.
//
// Nobody waits for company: without concurrency nothing changes.
type group struct {
	pool      *sql.DB
	committed func(members int) // called after each commit

	mu      sync.Mutex // guards what follows
	led     bool       // somebody leads
	waiting []*member  // in the order of their coming
}

// Bounds of a shared transaction: the first of it waits for all of it.
const (
	maxMembers = 128
	maxShared  = 5 * time.Millisecond
)

// member is a transaction that takes part.
type member struct {
	// turn tells a waiting member what to do: to work in the transaction given, or to
	// lead if there is none. Capacity 1.
	turn chan *sql.Tx
	// worked tells the leader how the work went. Capacity 1.
	worked chan error
	// written tells a member that has worked how the commit went. Capacity 1.
	written chan error
	// alone: it will not work in another's transaction.
	alone bool
}

func newMember() *member {
	return &member{turn: make(chan *sql.Tx, 1), worked: make(chan error, 1), written: make(chan error, 1)}
}

// errGroupFailed is for those whose own work was well and whose transaction is
// undone because the database gave it up while another worked. They run again.
var errGroupFailed = errors.New("the shared transaction was undone")

// run runs work in a transaction. Work is called in this goroutine.
func (g *group) run(ctx context.Context, work func(tx *sql.Tx) error) error {
	m := newMember()
	tx, err := g.enter(ctx, m)
	if err != nil {
		return err
	}
	if tx == nil {
		return g.lead(ctx, work)
	}
	if err := m.work(ctx, tx, work); err != nil {
		return err
	}
	return <-m.written
}

// pause runs f while nobody writes.
func (g *group) pause(ctx context.Context, f func() error) error {
	m := newMember()
	m.alone = true
	if _, err := g.enter(ctx, m); err != nil {
		return err
	}
	defer g.resign()
	return f()
}

// enter waits for a member's turn and returns the transaction to work in, nil to
// lead.
func (g *group) enter(ctx context.Context, m *member) (*sql.Tx, error) {
	g.mu.Lock()
	if !g.led {
		g.led = true
		g.mu.Unlock()
		return nil, nil
	}
	g.waiting = append(g.waiting, m)
	g.mu.Unlock()
	select {
	case tx := <-m.turn:
		return tx, nil
	case <-ctx.Done():
		if g.withdraw(m) {
			return nil, fmt.Errorf("wait for the writer: %w", context.Cause(ctx))
		}
		return <-m.turn, nil // too late to go: it is our turn
	}
}

// withdraw takes a member out of the queue, if it is still there.
func (g *group) withdraw(m *member) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, m)
	if i < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return true
}

// next takes the member that has waited longest, nil if nobody waits or it will
// not share.
func (g *group) next() *member {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 || g.waiting[0].alone {
		return nil
	}
	m := g.waiting[0]
	g.waiting = slices.Delete(g.waiting, 0, 1)
	return m
}

// resign hands the lead to the next, if there is one.
func (g *group) resign() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.led = false
		return
	}
	m := g.waiting[0]
	g.waiting = slices.Delete(g.waiting, 0, 1)
	m.turn <- nil
}

// errLeft is what the leader hears of a member whose work ended in a panic.
var errLeft = errors.New("the transaction's function did not return")

// work works in the leader's transaction and tells it how it went, even if work
// panics or ends the goroutine.
func (m *member) work(ctx context.Context, tx *sql.Tx, work func(tx *sql.Tx) error) error {
	result := errLeft // unless it returns
	defer func() { m.worked <- result }()
	err := context.Cause(ctx)
	if err == nil {
		err = work(tx)
	}
	result = err
	return err
}

// lead runs a transaction for itself and for those who come in the meantime.
func (g *group) lead(ctx context.Context, work func(tx *sql.Tx) error) error {
	defer g.resign()
	tx, over, err := g.begin(ctx)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	defer over()
	var members []*member
	err = errLeft
	defer func() {
		if err != nil {
			_ = tx.Rollback() // of no consequence: the connection is looked after
		}
		for _, m := range members {
			m.written <- err
		}
	}()
	failed, err := part(tx, func() error { return work(tx) })
	if err = cmp.Or(failed, err); err != nil {
		return err
	}
	if members, err = g.share(tx); err != nil {
		return err
	}
	if err = tx.Commit(); err != nil {
		err = fmt.Errorf("commit transaction: %w", err)
		return err
	}
	g.committed(1 + len(members))
	return nil
}

// begin begins a transaction whose wait for the lock ends with ctx, but which
// itself does not, since it is not the leader's alone. Over is called when it
// has ended.
func (g *group) begin(ctx context.Context) (tx *sql.Tx, over func(), err error) {
	inner, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	over = func() { cancel(nil) }
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	tx, err = g.pool.BeginTx(inner, nil)
	if !stop() {
		if err == nil {
			_ = tx.Rollback()
		}
		err = context.Cause(ctx)
	}
	if err != nil {
		over()
		return nil, nil, err
	}
	return tx, over, nil
}

// share lets others work in the transaction, one after the other. It returns
// those who wait for the commit. An error means that the transaction is over.
func (g *group) share(tx *sql.Tx) (members []*member, err error) {
	end := time.Now().Add(maxShared)
	for len(members) < maxMembers && time.Now().Before(end) {
		m := g.next()
		if m == nil {
			break
		}
		begun := false
		failed, err := part(tx, func() error {
			begun = true
			m.turn <- tx
			return <-m.worked
		})
		if failed == nil && begun {
			members = append(members, m)
		}
		if err != nil {
			if !begun {
				g.back(m)
			}
			return members, fmt.Errorf("%w: %w", errGroupFailed, err)
		}
	}
	return members, nil
}

// back puts a member that has not had its turn in the first place.
func (g *group) back(m *member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = slices.Insert(g.waiting, 0, m)
}

// part runs f as a part of a transaction that can fail alone. Failed is f's error, of
// which nothing remains. Err means that the transaction is over.
//
// That the savepoint is still there at the end is also the proof that the
// database has not rolled back the transaction by itself, as SQLite does when the disk
// is full.
func part(tx *sql.Tx, f func() error) (failed, err error) {
	// What must be done is done whatever becomes of anybody's context.
	ctx := context.Background()
	if _, err := tx.ExecContext(ctx, "SAVEPOINT part"); err != nil {
		return nil, fmt.Errorf("begin part of transaction: %w", err)
	}
	if failed = f(); failed != nil {
		if _, err := tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT part"); err != nil {
			return failed, fmt.Errorf("roll back part of transaction: %w", err)
		}
	}
	if _, err := tx.ExecContext(ctx, "RELEASE SAVEPOINT part"); err != nil {
		return failed, fmt.Errorf("end part of transaction: %w", err)
	}
	return failed, nil
}
