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

// PrepareContext prepares a statement that ends with the transaction.
func (t *Tx) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return t.tx.PrepareContext(ctx, query)
}

// Dialect tells how this database's SQL differs.
func (t *Tx) Dialect() Dialect { return t.db.dialect }

// OnCommit has f called after the transaction has been committed, and never
// otherwise. F must be quick and must not fail.
func (t *Tx) OnCommit(f func()) { t.onCommit = append(t.onCommit, f) }

// Tx runs f in a write transaction and commits it if f returns nil. When the
// database says that it was busy or in a deadlock, f runs again, a few times,
// after a short random wait: it must start from nothing each time.
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

func (db *DB) once(ctx context.Context, pool *sql.DB, opts *sql.TxOptions, f func(tx *Tx) error) (err error) {
	began := time.Now()
	tx, err := pool.BeginTx(ctx, opts)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	t := &Tx{tx: tx, db: db}
	done := false
	defer func() {
		if !done { // f failed or panicked
			if rerr := tx.Rollback(); rerr != nil && !errors.Is(rerr, sql.ErrTxDone) && err != nil {
				err = fmt.Errorf("%w (rollback: %w)", err, rerr)
			}
		}
	}()
	if err := f(t); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit transaction: %w", err)
	}
	done = true
	if opts == nil {
		db.metrics.duration.Observe(time.Since(began).Seconds())
	}
	for _, f := range t.onCommit {
		f()
	}
	return nil
}
