package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"sync/atomic"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

// Once makes the writes of one request happen once, however often the request
// is repeated: the first transaction that is run with its context also writes
// down that the request was carried out. A repetition finds that row, in
// Answered or when its own transaction wants to write it.
type Once struct {
	Scope       [sha256.Size]byte // of user, operation and key
	Fingerprint [sha256.Size]byte // of what was asked
	claimed     atomic.Bool
}

// Claimed reports whether a transaction of the request has been committed: from
// then on a repetition has no effect, and SaveAnswer can say what it was.
func (o *Once) Claimed() bool { return o.claimed.Load() }

type onceKey struct{}

// WithOnce returns a context whose first transaction claims o. The context is
// for one request; it may outlive it through context.WithoutCancel.
func WithOnce(ctx context.Context, o *Once) context.Context {
	return context.WithValue(ctx, onceKey{}, o)
}

// ErrRepeated is the error of a transaction whose request has been carried out
// by another one with the same key.
var ErrRepeated = market.Errorf(market.CodeConflict, market.ReasonRepeated, "a request with the same key is being carried out, or was")

// claim writes the row of the request in its first transaction.
func (s *Store) claim(ctx context.Context, tx *sqldb.Tx, now time.Time) error {
	o, _ := ctx.Value(onceKey{}).(*Once)
	if o == nil || o.Claimed() {
		return nil
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO answers (scope, fingerprint, status, header, body, created_at) VALUES (?, ?, 0, '', ?, ?)",
		o.Scope[:], o.Fingerprint[:], []byte{}, sqldb.Micros(now))
	if sqldb.IsDuplicate(err) {
		return ErrRepeated
	}
	tx.OnCommit(func() { o.claimed.Store(true) })
	return err
}

// Answer is what a request was answered.
type Answer struct {
	Fingerprint [sha256.Size]byte
	Status      int    // 0: not known, because the request is still under way or its process died
	Header      string // as the caller of SaveAnswer has encoded it
	Body        []byte
	At          time.Time // of the claim
}

var errNoAnswer = market.Errorf(market.CodeNotFound, "", "there was no such request")

// Answered returns what a request was answered; market.CodeNotFound if it was
// never carried out.
func (s *Store) Answered(ctx context.Context, scope [sha256.Size]byte) (Answer, error) {
	var a Answer
	var fingerprint []byte
	var at int64
	err := s.db.QueryRowContext(ctx, "SELECT fingerprint, status, header, body, created_at FROM answers WHERE scope = ?", scope[:]).
		Scan(&fingerprint, &a.Status, &a.Header, &a.Body, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return Answer{}, errNoAnswer
	}
	if err != nil {
		return Answer{}, failed(err, "read answer")
	}
	copy(a.Fingerprint[:], fingerprint)
	a.At = sqldb.FromMicros(at)
	return a, nil
}

// SaveAnswer writes down what a claimed request was answered.
func (s *Store) SaveAnswer(ctx context.Context, scope [sha256.Size]byte, status int, header string, body []byte) error {
	if body == nil {
		body = []byte{} // not NULL
	}
	err := s.tx(context.WithValue(ctx, onceKey{}, nil), func(tx *sqldb.Tx, _ time.Time) error {
		_, err := tx.ExecContext(ctx, "UPDATE answers SET status = ?, header = ?, body = ? WHERE scope = ?", status, header, body, scope[:])
		return err
	})
	return failed(err, "save answer")
}

// answersKept is how long a request is known again.
const answersKept = 24 * time.Hour

// ForgetAnswers deletes some of the answers that are over a day old. More is
// true if there may be more of them.
func (s *Store) ForgetAnswers(ctx context.Context) (n int64, more bool, err error) {
	err = s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		rows, err := tx.QueryContext(ctx, "SELECT scope FROM answers WHERE created_at < ? ORDER BY created_at LIMIT ?",
			sqldb.Micros(now.Add(-answersKept)), tidyRows)
		if err != nil {
			return err
		}
		var over [][]byte
		if err := each(rows, func(row scanner) error {
			var scope []byte
			err := row.Scan(&scope)
			over = append(over, scope)
			return err
		}); err != nil || len(over) == 0 {
			return err
		}
		more = len(over) == tidyRows
		n, err = exec(ctx, tx, "DELETE FROM answers WHERE scope IN "+s.db.Dialect().In(len(over)), args(over)...)
		return err
	})
	return n, more, failed(err, "delete old answers")
}
