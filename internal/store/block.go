package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

// BlockUser writes down that a person wants nothing to do with another. To
// block twice is to block once.
func (s *Store) BlockUser(ctx context.Context, by, user market.UserID) error {
	err := s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		var one, count int
		// The row of who blocks is locked, so that the count stays what it is.
		if err := tx.QueryRowContext(ctx, "SELECT 1 FROM users WHERE id = ?"+s.sql.forUpdate, int64(by)).Scan(&one); err != nil {
			return orNotFound(err, errUserNotFound)
		}
		if err := tx.QueryRowContext(ctx, "SELECT 1 FROM users WHERE id = ? AND state <> ?", int64(user), string(market.UserDeleted)).Scan(&one); err != nil {
			return orNotFound(err, errUserNotFound)
		}
		err := tx.QueryRowContext(ctx, "SELECT 1 FROM blocks WHERE user_id = ? AND blocked_id = ?", int64(by), int64(user)).Scan(&one)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM blocks WHERE user_id = ?", int64(by)).Scan(&count); err != nil {
			return err
		}
		b, err := s.rules.NewBlock(by, user, count, now)
		if err != nil {
			return err
		}
		tx.OnCommit(func() { s.metrics.count(eventUserBlocked) })
		_, err = tx.ExecContext(ctx, "INSERT INTO blocks (user_id, blocked_id, created_at) VALUES (?, ?, ?)",
			int64(b.User), int64(b.Blocked), sqldb.Micros(b.CreatedAt))
		return err
	})
	return failed(err, "block user %d", int64(user))
}

// UnblockUser takes a block back. Without one it does nothing.
func (s *Store) UnblockUser(ctx context.Context, by, user market.UserID) error {
	err := s.tx(ctx, func(tx *sqldb.Tx, _ time.Time) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM blocks WHERE user_id = ? AND blocked_id = ?", int64(by), int64(user))
		return err
	})
	return failed(err, "unblock user %d", int64(user))
}

// BlockPage is a piece of the list of those whom a person has blocked.
type BlockPage struct {
	Blocks []market.Block
	Next   string // the cursor of the next page; "" = this is the last
}

const sqlBlocks = "SELECT b.user_id, b.blocked_id, COALESCE(u.name, ''), b.created_at FROM blocks b LEFT JOIN users u ON u.id = b.blocked_id" +
	" WHERE b.user_id = ? AND b.blocked_id > ? ORDER BY b.blocked_id LIMIT ?"

// Blocks returns whom a person has blocked, by id. Limit 0 means 30; at most
// 100.
func (s *Store) Blocks(ctx context.Context, by market.UserID, cursor string, rows int) (BlockPage, error) {
	key, err := s.listKey(ctx)
	if err != nil {
		return BlockPage{}, err
	}
	list := "blocks/" + by.String()
	var after market.Cursor
	if cursor != "" {
		if after, err = market.DecodeCursor(key, list, cursor); err != nil {
			return BlockPage{}, err
		}
	}
	n := limit(rows)
	found, err := s.db.QueryContext(ctx, sqlBlocks, int64(by), after.ID, n+1)
	if err != nil {
		return BlockPage{}, failed(err, "read blocks of user %d", int64(by))
	}
	var page BlockPage
	if err := each(found, func(row scanner) error {
		var b market.Block
		var created int64
		err := row.Scan((*int64)(&b.User), (*int64)(&b.Blocked), &b.Name, &created)
		b.CreatedAt = sqldb.FromMicros(created)
		page.Blocks = append(page.Blocks, b)
		return err
	}); err != nil {
		return BlockPage{}, failed(err, "read blocks of user %d", int64(by))
	}
	if len(page.Blocks) > n {
		page.Blocks = page.Blocks[:n]
		page.Next = market.Cursor{ID: int64(page.Blocks[n-1].Blocked)}.Encode(key, list)
	}
	return page, nil
}

// Blocked reports whether one of two people has blocked the other.
func (s *Store) Blocked(ctx context.Context, a, b market.UserID) (bool, error) {
	err := meet(ctx, s.db, a, b)
	if market.ReasonOf(err) == market.ReasonBlocked {
		return true, nil
	}
	return false, failed(err, "read block of users %d and %d", int64(a), int64(b))
}

// meet returns market.ErrBlocked if one of two people has blocked the other.
func meet(ctx context.Context, q sqldb.Querier, a, b market.UserID) error {
	if a == b {
		return nil
	}
	var one int
	err := q.QueryRowContext(ctx, "SELECT 1 FROM blocks WHERE (user_id = ? AND blocked_id = ?) OR (user_id = ? AND blocked_id = ?) LIMIT 1",
		int64(a), int64(b), int64(b), int64(a)).Scan(&one)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	return market.ErrBlocked
}
