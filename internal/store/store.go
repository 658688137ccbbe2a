package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

// Options are what a Store needs besides its database. The zero value works.
type Options struct {
	Rules      market.Rules          // zero: market.DefaultRules()
	Now        func() time.Time      // nil: time.Now
	IDs        *market.IDs           // nil: an own one
	Logger     *slog.Logger          // nil: no logs
	Registerer prometheus.Registerer // nil: metrics are not registered
}

// Store reads and writes the market's database. New makes it.
type Store struct {
	db      *sqldb.DB
	queue   *job.Queue
	rules   market.Rules
	now     func() time.Time
	ids     *market.IDs
	log     *slog.Logger
	metrics *metrics
	sql     statements

	cursorKey onceValue[[]byte]
	tree      treeCache
}

// New returns a Store on a migrated database. Jobs go to queue, which needs not
// run for that. Nothing is read before the first call.
func New(db *sqldb.DB, queue *job.Queue, o Options) *Store {
	s := &Store{
		db: db, queue: queue, rules: o.Rules, now: o.Now, ids: o.IDs, log: o.Logger,
		metrics: newMetrics(o.Registerer), sql: newStatements(db.Dialect()),
	}
	if s.rules == (market.Rules{}) {
		s.rules = market.DefaultRules()
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.ids == nil {
		s.ids = market.NewIDs(nil)
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// Rules returns the rules that the store decides by.
func (s *Store) Rules() market.Rules { return s.rules }

// statements are the few texts that differ by dialect, made once.
type statements struct {
	forUpdate string
	setMark   string
}

func newStatements(d sqldb.Dialect) statements {
	return statements{
		forUpdate: d.LockRows(),
		setMark:   "INSERT INTO marks (name, value) VALUES (?, ?)" + d.Upsert([]string{"name"}, "value"),
	}
}

// maxRuns bounds how often a transaction runs because a row that it wanted to
// insert was there already: a race with an equal write, which the next run
// sees, or an id that was taken, which the next run makes anew.
const maxRuns = 3

// tx runs f in a transaction. F may run several times and must begin from
// nothing each time. The time that it gets is in whole microseconds, as the
// database keeps it.
func (s *Store) tx(ctx context.Context, f func(tx *sqldb.Tx, now time.Time) error) error {
	var err error
	for range maxRuns {
		err = s.db.Tx(ctx, func(tx *sqldb.Tx) error {
			now := s.time()
			if err := s.claim(ctx, tx, now); err != nil {
				return err
			}
			return f(tx, now)
		})
		if !sqldb.IsDuplicate(err) {
			break
		}
	}
	return err
}

// time returns now as the database keeps it.
func (s *Store) time() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// failed turns what a driver or a rule said into what a caller may rely on.
// What is a market.Error already stays one.
func failed(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	known := market.CodeOf(err) != market.CodeInternal || market.ReasonOf(err) != ""
	err = fmt.Errorf(format+": %w", append(args, err)...)
	switch {
	case known:
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), sqldb.IsUnavailable(err):
		return market.Wrap(market.CodeUnavailable, "", err, "the database does not answer; try again")
	case sqldb.IsDuplicate(err):
		return market.Wrap(market.CodeConflict, "", err, "somebody else has just made the same thing")
	}
	return err
}

// orNotFound makes sql.ErrNoRows the given error.
func orNotFound(err, notFound error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return notFound
	}
	return err
}

// exec runs a statement and returns how many rows it has changed.
func exec(ctx context.Context, tx *sqldb.Tx, query string, args ...any) (int64, error) {
	res, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

// each scans every row of rows with f and closes them.
func each(rows *sql.Rows, f func(row scanner) error) (err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// padded repeats the last of some ids until their number is a power of two, so
// that the clauses IN (…) of reads have few texts, which the database keeps
// prepared.
func padded[T ~int64](ids []T) []any {
	n := 1
	for n < len(ids) {
		n *= 2
	}
	all := make([]any, n)
	for i := range all {
		all[i] = int64(ids[min(i, len(ids)-1)])
	}
	return all
}

// args makes the arguments of an IN clause.
func args[T any](values []T, before ...any) []any {
	all := make([]any, 0, len(before)+len(values))
	all = append(all, before...)
	for _, v := range values {
		all = append(all, v)
	}
	return all
}

// nullTime is a time that may be missing, for writing.
func nullTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return sqldb.Micros(t)
}

// timeOrZero reads what nullTime has written.
func timeOrZero(v sql.NullInt64) time.Time {
	if !v.Valid {
		return time.Time{}
	}
	return sqldb.FromMicros(v.Int64)
}

// onceValue holds a value that is loaded once; a load that fails is tried again
// by the next caller.
type onceValue[T any] struct {
	mu    sync.Mutex
	value T
	have  bool
}

func (o *onceValue[T]) get(load func() (T, error)) (T, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.have {
		return o.value, nil
	}
	v, err := load()
	if err != nil {
		return v, err
	}
	o.value, o.have = v, true
	return v, nil
}
