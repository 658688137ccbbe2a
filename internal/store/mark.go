package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"time"

	"github.com/furima/furima/internal/sqldb"
)

// The marks.
const (
	markPushCursor = "push_cursor"
	markCursorKey  = "cursor_key"
)

// PushCursor returns how far the push gateway's feedback has been read: what
// ForgetDevices was given last, or "".
func (s *Store) PushCursor(ctx context.Context) (string, error) {
	v, err := readMark(ctx, s.db, markPushCursor)
	return v, failed(err, "read push cursor")
}

// SetPushCursor remembers how far the push gateway's feedback has been read.
func (s *Store) SetPushCursor(ctx context.Context, cursor string) error {
	err := s.tx(ctx, func(tx *sqldb.Tx, _ time.Time) error {
		_, err := tx.ExecContext(ctx, s.sql.setMark, markPushCursor, cursor)
		return err
	})
	return failed(err, "write push cursor")
}

// readMark returns a mark, or "" if it was never set.
func readMark(ctx context.Context, q sqldb.Querier, name string) (string, error) {
	var v string
	err := q.QueryRowContext(ctx, "SELECT value FROM marks WHERE name = ?", name).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return v, err
}

// listKey returns the key that signs cursors. It is made by whichever process
// needs it first and lives in the database, so that a cursor of one process is
// good in another and after a restart.
func (s *Store) listKey(ctx context.Context) ([]byte, error) {
	return s.cursorKey.get(func() ([]byte, error) {
		v, err := readMark(ctx, s.db, markCursorKey)
		if err == nil && v == "" {
			err = s.tx(ctx, func(tx *sqldb.Tx, _ time.Time) error {
				// A second run, after a lost race, finds the winner's key here.
				if v, err = readMark(ctx, tx, markCursorKey); err != nil || v != "" {
					return err
				}
				var key [32]byte
				_, _ = rand.Read(key[:]) // never fails
				v = hex.EncodeToString(key[:])
				_, err := tx.ExecContext(ctx, "INSERT INTO marks (name, value) VALUES (?, ?)", markCursorKey, v)
				return err
			})
		}
		if err != nil {
			return nil, failed(err, "read cursor key")
		}
		key, err := hex.DecodeString(v)
		return key, failed(err, "decode cursor key")
	})
}
