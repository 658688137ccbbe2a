package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// maxTries bounds how often a transaction is run when the database says that
// it lost against another one.
const maxTries = 5

// Tx is a running transaction.
type Tx struct {
	tx       *sql.Tx
	db       *DB
	onCommit []func()
}

// ExecContext runs a statement.
func (t *Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return t.tx.ExecContext(ctx, query, args...)
}

// QueryContext reads rows; close them before the next statement.
func (t *Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.tx.QueryContext(ctx, query, args...)
}

// QueryRowContext reads one row.
func (t *Tx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return t.tx.QueryRowContext(ctx, query, args...)
}

// Dialect tells how this database's SQL differs.
func (t *Tx) Dialect() Dialect { return t.db.dialect }

// OnCommit has f called after the transaction has been committed, and never
// otherwise. F must be quick and must not fail.
func (t *Tx) OnCommit(f func()) { t.onCommit = append(t.onCommit, f) }

// Nested runs f as a part of the transaction that can fail alone. Failed is f's
// error, of which nothing remains, its hooks included; the transaction goes on.
// Err says that the transaction itself is over.
func (t *Tx) Nested(f func(tx *Tx) error) (failed, err error) {
	inner := &Tx{tx: t.tx, db: t.db}
	failed, err = part(t.tx, func() error { return f(inner) })
	switch {
	case err == nil && isRetryable(failed):
		return nil, failed // a deadlock: the server has given up all of it
	case err != nil:
		return nil, errors.Join(failed, err)
	case failed == nil:
		t.onCommit = append(t.onCommit, inner.onCommit...)
	}
	return failed, nil
}

// Tx runs f in a write transaction and commits it if f returns nil. When the
// database says that it was busy or in a deadlock, f runs again, a few times,
// after a short random wait: it must start from nothing each time.
//
// On SQLite concurrent calls share a commit: see group. F must be quick, since
// others wait for it, and must not call Tx of the same DB, which would wait for
// itself. Its statements end with ctx, but one that has begun goes on.
func (db *DB) Tx(ctx context.Context, f func(tx *Tx) error) error {
	return db.tx(ctx, db.write, nil, f)
}

// ReadTx runs f in a transaction that sees one moment of the database. It
// cannot write.
func (db *DB) ReadTx(ctx context.Context, f func(tx *Tx) error) error {
	opts := &sql.TxOptions{ReadOnly: true}
	if db.dialect.name == nameMySQL {
		opts.Isolation = sql.LevelRepeatableRead
	}
	return db.tx(ctx, db.read, opts, f)
}

func (db *DB) tx(ctx context.Context, pool *sql.DB, opts *sql.TxOptions, f func(tx *Tx) error) error {
	for try := 1; ; try++ {
		err := db.once(ctx, pool, opts, f)
		if err == nil || try == maxTries || !isRetryable(err) {
			return err
		}
		db.metrics.retries.Inc()
		if errors.Is(err, errGroupFailed) {
			continue // it was not our collision
		}
		// A few milliseconds, doubling, so that those who collided once do not
		// collide again.
		wait := time.Duration(rand.Int64N(int64(4*time.Millisecond)<<try)) + time.Millisecond
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (after %d tries: %w)", context.Cause(ctx), try, err)
		case <-time.After(wait):
		}
	}
}

func (db *DB) once(ctx context.Context, pool *sql.DB, opts *sql.TxOptions, f func(tx *Tx) error) error {
	began := time.Now()
	t := &Tx{db: db}
	work := func(tx *sql.Tx) error {
		t.tx = tx
		if err := f(t); err != nil {
			return err
		}
		return context.Cause(ctx) // who has gone must not find it done
	}
	var err error
	if opts == nil && db.group != nil {
		err = db.group.run(ctx, work)
	} else if err = alone(ctx, pool, opts, work); err == nil && opts == nil {
		db.committed(1)
	}
	if err != nil {
		return err
	}
	if opts == nil {
		db.metrics.duration.Observe(time.Since(began).Seconds())
	}
	for _, f := range t.onCommit {
		f()
	}
	return nil
}

// committed is called after each commit, of as many transactions.
func (db *DB) committed(members int) {
	db.metrics.commits.Inc()
	db.metrics.txs.Add(float64(members))
	if db.checkpointer != nil {
		db.checkpointer.committed()
	}
}

// alone runs a transaction on a connection of its own.
func alone(ctx context.Context, pool *sql.DB, opts *sql.TxOptions, work func(tx *sql.Tx) error) (err error) {
	tx, err := pool.BeginTx(ctx, opts)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	done := false
	defer func() {
		if done {
			return
		}
		// Work failed or panicked.
		if rerr := tx.Rollback(); rerr != nil && !errors.Is(rerr, sql.ErrTxDone) && err != nil {
			err = fmt.Errorf("%w (rollback: %w)", err, rerr)
		}
	}()
	if err := work(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit transaction: %w", err)
	}
	done = true
	return nil
}
