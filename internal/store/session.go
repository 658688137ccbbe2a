package store

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

var errNoSession = market.Errorf(market.CodeUnauthenticated, "", "the token is not valid")

// CreateSession starts a session of a user under the hash of its token.
func (s *Store) CreateSession(ctx context.Context, user market.UserID, token market.TokenHash) (market.Session, error) {
	var session market.Session
	err := s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		session = s.rules.NewSession(user, now)
		if err := s.takesPart(ctx, tx, user); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx,
			"INSERT INTO sessions (token_hash, user_id, created_at, expires_at) VALUES (?, ?, ?, ?)",
			token[:], int64(user), sqldb.Micros(session.CreatedAt), sqldb.Micros(session.ExpiresAt))
		return err
	})
	if err != nil {
		return market.Session{}, failed(err, "create session of user %d", int64(user))
	}
	return session, nil
}

// Session returns the live session of a token, and moves its end when it is
// used. Without one it is market.CodeUnauthenticated; that of a person who is
// suspended is market.ErrSuspended.
func (s *Store) Session(ctx context.Context, token market.TokenHash) (market.Session, error) {
	var session market.Session
	var created, expires int64
	var state market.UserState
	err := s.db.QueryRowContext(ctx, "SELECT s.user_id, s.created_at, s.expires_at, u.state FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.token_hash = ?", token[:]).
		Scan((*int64)(&session.UserID), &created, &expires, (*string)(&state))
	if err != nil {
		return market.Session{}, failed(orNotFound(err, errNoSession), "read session")
	}
	session.CreatedAt, session.ExpiresAt = sqldb.FromMicros(created), sqldb.FromMicros(expires)
	now := s.time()
	switch {
	case !session.Live(now) || state == market.UserDeleted:
		return market.Session{}, errNoSession
	case state == market.UserSuspended:
		return market.Session{}, market.ErrSuspended
	}
	longer, worth := s.rules.Slide(session, now)
	if !worth {
		return session, nil
	}
	err = s.tx(ctx, func(tx *sqldb.Tx, _ time.Time) error {
		_, err := tx.ExecContext(ctx, "UPDATE sessions SET expires_at = ? WHERE token_hash = ? AND expires_at < ?",
			sqldb.Micros(longer.ExpiresAt), token[:], sqldb.Micros(longer.ExpiresAt))
		return err
	})
	if err != nil {
		// The session is good. That its end did not move is no reason to turn
		// its owner away: the next use tries again.
		if !errors.Is(err, context.Canceled) {
			s.log.LogAttrs(ctx, slog.LevelWarn, "session not prolonged", slog.Any("error", err))
		}
		return session, nil
	}
	return longer, nil
}

// DeleteSession ends a session and forgets the devices that were registered in
// it. Without one it does nothing.
func (s *Store) DeleteSession(ctx context.Context, token market.TokenHash) error {
	err := s.tx(ctx, func(tx *sqldb.Tx, _ time.Time) error {
		n, err := exec(ctx, tx, "DELETE FROM sessions WHERE token_hash = ?", token[:])
		if err != nil || n == 0 {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM devices WHERE session_hash = ?", token[:])
		return err
	})
	return failed(err, "delete session")
}

// tidyRows bounds how many rows one call of Tidy deletes.
const tidyRows = 500

// Tidy deletes some of the sessions that are over and returns how many. More is
// true if there may be more of them.
func (s *Store) Tidy(ctx context.Context) (n int64, more bool, err error) {
	err = s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		rows, err := tx.QueryContext(ctx, "SELECT token_hash FROM sessions WHERE expires_at <= ? ORDER BY expires_at LIMIT ?",
			sqldb.Micros(now), tidyRows)
		if err != nil {
			return err
		}
		var over [][]byte
		if err := each(rows, func(row scanner) error {
			var hash []byte
			if err := row.Scan(&hash); err != nil {
				return err
			}
			over = append(over, hash)
			return nil
		}); err != nil || len(over) == 0 {
			return err
		}
		more = len(over) == tidyRows
		n, err = exec(ctx, tx, "DELETE FROM sessions WHERE token_hash IN "+s.db.Dialect().In(len(over)), args(over)...)
		return err
	})
	return n, more, failed(err, "delete ended sessions")
}
