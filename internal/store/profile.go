package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

const profileColumns = userColumns + ", address, muted, read_up_to"

func scanProfile(row scanner, more ...any) (market.Profile, error) {
	var p market.Profile
	var address, muted string
	var err error
	p.User, err = scanUser(row, append([]any{&address, &muted, (*int64)(&p.ReadUpTo)}, more...)...)
	if err == nil && address != "" {
		err = json.Unmarshal([]byte(address), &p.Address)
	}
	p.Muted = market.SplitKinds(muted)
	return p, err
}

// Profile returns a person with what only the person sees.
func (s *Store) Profile(ctx context.Context, id market.UserID) (market.Profile, error) {
	p, err := scanProfile(s.db.QueryRowContext(ctx, "SELECT "+profileColumns+" FROM users WHERE id = ?", int64(id)))
	if err != nil {
		return market.Profile{}, failed(orNotFound(err, errUserNotFound), "read profile of user %d", int64(id))
	}
	return p, nil
}

// lockProfile reads a person and locks the row until the transaction ends.
func (s *Store) lockProfile(ctx context.Context, tx *sqldb.Tx, id market.UserID) (p market.Profile, passwordHash string, err error) {
	p, err = scanProfile(tx.QueryRowContext(ctx, "SELECT "+profileColumns+", password_hash FROM users WHERE id = ?"+s.sql.forUpdate, int64(id)), &passwordHash)
	if err == nil && p.State == market.UserDeleted {
		err = errUserNotFound
	}
	return p, passwordHash, orNotFound(err, errUserNotFound)
}

// EditProfile changes a person's own account.
func (s *Store) EditProfile(ctx context.Context, e market.ProfileEdit) (market.Profile, Change, error) {
	var after market.Profile
	var change Change
	err := s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		change = Change{}
		before, _, err := s.lockProfile(ctx, tx, e.ID)
		if err != nil {
			return err
		}
		if after, err = s.rules.EditProfile(before, e, now); err != nil || after.Version == before.Version {
			return err
		}
		address := ""
		if after.Address != (market.Address{}) {
			b, err := json.Marshal(after.Address)
			if err != nil {
				return err
			}
			address = string(b)
		}
		if after.Name != before.Name || after.Bio != before.Bio {
			change.add(TagUser(e.ID))
		}
		_, err = tx.ExecContext(ctx, "UPDATE users SET name = ?, locale = ?, bio = ?, address = ?, muted = ?, version = ?, updated_at = ? WHERE id = ?",
			after.Name, string(after.Locale), after.Bio, address, market.JoinKinds(after.Muted), after.Version, sqldb.Micros(after.UpdatedAt), int64(e.ID))
		return err
	})
	if err != nil {
		return market.Profile{}, Change{}, failed(err, "edit profile of user %d", int64(e.ID))
	}
	return after, change, nil
}

// PasswordHash returns the hash of a person's password.
func (s *Store) PasswordHash(ctx context.Context, id market.UserID) (string, error) {
	var hash string
	err := s.db.QueryRowContext(ctx, "SELECT password_hash FROM users WHERE id = ?", int64(id)).Scan(&hash)
	if err != nil {
		return "", failed(orNotFound(err, errUserNotFound), "read password of user %d", int64(id))
	}
	return hash, nil
}

// errPasswordChanged is for whoever was slower.
var errPasswordChanged = market.Errorf(market.CodeConflict, market.ReasonVersionMismatch, "the password has just been changed")

// ChangePassword replaces the hash of a person's password, was, which the
// caller has checked, and ends every session but keep.
func (s *Store) ChangePassword(ctx context.Context, id market.UserID, was, hash string, keep market.TokenHash) error {
	err := s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		_, is, err := s.lockProfile(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case is != was:
			return errPasswordChanged
		}
		if _, err := tx.ExecContext(ctx, "UPDATE users SET password_hash = ?, updated_at = ? WHERE id = ?", hash, sqldb.Micros(now), int64(id)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM devices WHERE user_id = ? AND session_hash <> ?", int64(id), keep[:]); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM sessions WHERE user_id = ? AND token_hash <> ?", int64(id), keep[:])
		return err
	})
	return failed(err, "change password of user %d", int64(id))
}

// DeleteUser ends a person's account: what is on sale is withdrawn, sessions
// and devices are gone, and nothing of the person is left but what others have
// a part in (orders with their messages and reviews, comments, the ledger),
// under no name. Password is the hash that the caller has checked. It is refused while
// an order is not at its end or money is left.
func (s *Store) DeleteUser(ctx context.Context, id market.UserID, password string) (Change, error) {
	if _, err := s.Categories(ctx); err != nil { // so that the transaction need not read them
		return Change{}, err
	}
	var change Change
	err := s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		p, is, err := s.lockProfile(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case is != password:
			return errPasswordChanged
		}
		// The items first: once they are locked and withdrawn nobody buys one.
		if change, err = s.takeDown(ctx, tx, id, market.ItemWithdraw, now); err != nil {
			return err
		}
		open, money, err := s.ties(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := p.CanLeave(open, money); err != nil {
			return err
		}
		for _, query := range []string{
			"DELETE FROM sessions WHERE user_id = ?", "DELETE FROM devices WHERE user_id = ?", "DELETE FROM blocks WHERE user_id = ?",
			"DELETE FROM notifications WHERE user_id = ?",
		} {
			if _, err := tx.ExecContext(ctx, query, int64(id)); err != nil {
				return err
			}
		}
		change.add(TagUser(id))
		tx.OnCommit(func() { s.metrics.count(eventUserDeleted) })
		_, err = tx.ExecContext(ctx, "UPDATE users SET state = ?, email = ?, password_hash = '', name = ?, bio = '', address = '', muted = '', version = version + 1, updated_at = ? WHERE id = ?",
			// No address is like this, so that nobody can log in or register with it.
			string(market.UserDeleted), "deleted "+id.String(), market.DeletedName, sqldb.Micros(now), int64(id))
		return err
	})
	if err != nil {
		return Change{}, failed(err, "delete user %d", int64(id))
	}
	return change, nil
}

// ties says what a person is still bound by.
func (s *Store) ties(ctx context.Context, q sqldb.Querier, id market.UserID) (open, money bool, err error) {
	for _, look := range []struct {
		found *bool
		query string
	}{
		{&open, "SELECT 1 FROM orders WHERE buyer_id = ? AND state NOT IN ('completed', 'cancelled', 'refunded') LIMIT 1"},
		{&open, "SELECT 1 FROM orders WHERE seller_id = ? AND state NOT IN ('completed', 'cancelled', 'refunded') LIMIT 1"},
		{&money, "SELECT 1 FROM balances WHERE user_id = ? AND available > 0"},
		{&money, "SELECT 1 FROM payouts WHERE user_id = ? AND state = 'pending' LIMIT 1"},
	} {
		var one int
		switch err := q.QueryRowContext(ctx, look.query, int64(id)).Scan(&one); {
		case err == nil:
			*look.found = true
		case !errors.Is(err, sql.ErrNoRows):
			return false, false, err
		}
	}
	return open, money, nil
}

// takeDown makes an event happen to every item of a person to which it can. An
// item that somebody is paying for stays: it is in an order.
func (s *Store) takeDown(ctx context.Context, tx *sqldb.Tx, seller market.UserID, event market.ItemEvent, now time.Time) (Change, error) {
	rows, err := tx.QueryContext(ctx, "SELECT id FROM items WHERE seller_id = ? AND state IN ('on_sale', 'paused')", int64(seller))
	if err != nil {
		return Change{}, err
	}
	var ids []market.ItemID
	if err := each(rows, func(row scanner) error {
		var id int64
		err := row.Scan(&id)
		ids = append(ids, market.ItemID(id))
		return err
	}); err != nil {
		return Change{}, err
	}
	var all Change
	for _, id := range ids {
		item, err := s.readItem(ctx, tx, id, true)
		if err != nil {
			return Change{}, err
		}
		if _, ok := item.State.After(event); !ok {
			continue
		}
		change, err := s.moveReserved(ctx, tx, item, event, now)
		if err != nil {
			return Change{}, err
		}
		all.add(change.Tags...)
	}
	return all, nil
}

// takesPart returns an error unless a person may do what binds others, and
// keeps it so until the transaction ends: somebody who leaves at the same moment
// is either gone before or sees what this transaction has made. That there is
// such a person at all is the caller's to know: rows of users are never deleted.
func (s *Store) takesPart(ctx context.Context, tx *sqldb.Tx, id market.UserID) error {
	var state market.UserState
	err := tx.QueryRowContext(ctx, "SELECT state FROM users WHERE id = ?"+s.sql.forUpdate, int64(id)).Scan((*string)(&state))
	switch {
	case err != nil:
		return orNotFound(err, nil)
	case state == market.UserSuspended:
		return market.ErrSuspended
	case state == market.UserDeleted:
		return errUserNotFound
	}
	return nil
}

// SuspendUser keeps a person out, for the operator: sessions are refused, and
// what is on sale is paused. To suspend twice is to suspend once.
func (s *Store) SuspendUser(ctx context.Context, id market.UserID) (Change, error) {
	return s.setUserState(ctx, id, market.UserSuspended)
}

// RestoreUser lets a suspended person in again. The items stay paused until
// their seller resumes them.
func (s *Store) RestoreUser(ctx context.Context, id market.UserID) (Change, error) {
	return s.setUserState(ctx, id, market.UserActive)
}

func (s *Store) setUserState(ctx context.Context, id market.UserID, state market.UserState) (Change, error) {
	if _, err := s.Categories(ctx); err != nil { // so that the transaction need not read them
		return Change{}, err
	}
	var change Change
	err := s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		change = Change{}
		p, _, err := s.lockProfile(ctx, tx, id)
		if err != nil || p.State == state {
			return err
		}
		if state == market.UserSuspended {
			if change, err = s.takeDown(ctx, tx, id, market.ItemPause, now); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, "UPDATE users SET state = ?, updated_at = ? WHERE id = ?", string(state), sqldb.Micros(now), int64(id))
		return err
	})
	if err != nil {
		return Change{}, failed(err, "make user %d %s", int64(id), state)
	}
	return change, nil
}

// HideItem takes an item away, for the operator. One that somebody is paying
// for cannot be hidden before that is decided.
func (s *Store) HideItem(ctx context.Context, id market.ItemID) (Change, error) {
	if _, err := s.Categories(ctx); err != nil { // so that the transaction need not read them
		return Change{}, err
	}
	var change Change
	err := s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		change = Change{}
		item, err := s.readItem(ctx, tx, id, true)
		if err != nil || item.State == market.ItemHidden {
			return err
		}
		if _, ok := item.State.After(market.ItemHide); !ok {
			return market.Errorf(market.CodeConflict, market.ReasonItemLocked, "an item that is %s cannot be hidden", item.State)
		}
		change, err = s.moveReserved(ctx, tx, item, market.ItemHide, now)
		return err
	})
	if err != nil {
		return Change{}, failed(err, "hide item %d", int64(id))
	}
	return change, nil
}
