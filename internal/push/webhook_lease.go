package push

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/furima/furima/internal/sqldb"
)

// hookLease is an app's row in push_webhooks: how far its dead tokens have been
// posted, and by whom. Whoever wants to post takes the row for a while. A holder
// that lost it cannot move the cursor any more.
type hookLease struct {
	db     *sqldb.DB
	app    string
	owner  string // one name for each that may hold it
	length time.Duration
}

// hookState is what the row says.
type hookState struct {
	last     int64 // id of the last token that was posted
	failures int   // in a row
	next     time.Time
	ours     bool
	held     time.Time // until when somebody has it
}

// notBefore is how long to wait. A time that nobody can have meant, after a clock
// has jumped, does not count.
func (s hookState) notBefore(now time.Time) time.Duration {
	if d := s.next.Sub(now); d > 0 && d <= maxHookWait {
		return d
	}
	return 0
}

const selectHook = "SELECT last_id, failures, next_at, owner, held_until FROM push_webhooks WHERE app = ?"

func (l hookLease) scan(ctx context.Context, q sqldb.Querier, lock string) (hookState, bool, error) {
	rows, err := q.QueryContext(ctx, selectHook+lock, l.app)
	if err != nil {
		return hookState{}, false, err
	}
	defer rows.Close()
	if !rows.Next() {
		return hookState{}, false, rows.Err()
	}
	var s hookState
	var next, held int64
	var owner string
	if err := rows.Scan(&s.last, &s.failures, &next, &owner, &held); err != nil {
		return hookState{}, false, err
	}
	s.next, s.held, s.ours = sqldb.FromMicros(next), sqldb.FromMicros(held), owner == l.owner
	return s, true, rows.Err()
}

// read returns the row; the zero state if there is none yet.
func (l hookLease) read(ctx context.Context) (hookState, error) {
	s, _, err := l.scan(ctx, l.db, "")
	if err != nil {
		return hookState{}, fmt.Errorf("read webhook of app %s: %w", l.app, err)
	}
	return s, nil
}

// take takes the row if nobody has it, and if it still is where the caller read
// on. The result tells whether it is ours.
func (l hookLease) take(ctx context.Context, last int64, now time.Time) (hookState, error) {
	var s hookState
	err := l.db.Tx(ctx, func(tx *sqldb.Tx) error {
		// There is a row to lock after this.
		_, err := tx.ExecContext(ctx, "INSERT INTO push_webhooks (app, last_id, failures, next_at, owner, held_until) VALUES (?, 0, 0, 0, '', 0)"+
			tx.Dialect().Upsert([]string{"app"}), l.app)
		if err != nil {
			return err
		}
		if s, _, err = l.scan(ctx, tx, tx.Dialect().LockRows()); err != nil {
			return err
		}
		left := s.held.Sub(now)
		free := s.ours || left <= 0 || left > maxHookLease // beyond that a clock has jumped
		if s.ours = free && s.last == last && s.notBefore(now) == 0; !s.ours {
			return nil
		}
		_, err = tx.ExecContext(ctx, "UPDATE push_webhooks SET owner = ?, held_until = ? WHERE app = ?",
			l.owner, sqldb.Micros(now.Add(l.length)), l.app)
		return err
	})
	if err != nil {
		return hookState{}, fmt.Errorf("lease webhook of app %s: %w", l.app, err)
	}
	return s, nil
}

// maxHookLease is longer than any lease.
const maxHookLease = 30 * time.Minute

var errHookLost = errors.New("another gateway posts the dead tokens now")

// advance notes that everything up to next has been posted, and keeps the row or
// gives it back.
func (l hookLease) advance(ctx context.Context, last, next int64, keep bool, now time.Time) error {
	held := int64(0)
	if keep {
		held = sqldb.Micros(now.Add(l.length))
	}
	return l.update(ctx, "UPDATE push_webhooks SET last_id = ?, failures = 0, next_at = 0, held_until = ? WHERE app = ? AND owner = ? AND last_id = ?",
		next, held, l.app, l.owner, last)
}

// failed notes that nothing is to be posted before a time, by whoever it may be.
func (l hookLease) failed(ctx context.Context, failures int, next time.Time) error {
	return l.update(ctx, "UPDATE push_webhooks SET failures = ?, next_at = ?, held_until = 0 WHERE app = ? AND owner = ?",
		failures, sqldb.Micros(next), l.app, l.owner)
}

// giveBack lets another go on.
func (l hookLease) giveBack(ctx context.Context) error {
	return l.update(ctx, "UPDATE push_webhooks SET owner = '', held_until = 0 WHERE app = ? AND owner = ?", l.app, l.owner)
}

func (l hookLease) update(ctx context.Context, statement string, args ...any) error {
	var n int64
	err := l.db.Tx(ctx, func(tx *sqldb.Tx) error {
		res, err := tx.ExecContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	if err == nil && n == 0 {
		err = errHookLost
	}
	if err != nil {
		return fmt.Errorf("note webhook of app %s: %w", l.app, err)
	}
	return nil
}
