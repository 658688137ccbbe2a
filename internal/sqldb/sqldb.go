// Package sqldb opens a database by its URL, SQLite or MySQL (MariaDB, TiDB),
// and is the one place where the two differ. It gives retried transactions,
// migrations, and the classes of errors that callers act on.
//
// Call Open first, then Migrate, then Tx:
//
//	db, err := sqldb.Open(ctx, sqldb.Config{URL: "sqlite:data/furima.db"}, sqldb.Options{Logger: log})
//	if err != nil {
//		return err
//	}
//	defer db.Close()
//	if err := db.Migrate(ctx, "store", migrations); err != nil {
//		return err
//	}
//	err = db.Tx(ctx, func(tx *sqldb.Tx) error {
//		_, err := tx.ExecContext(ctx, "UPDATE items SET price = ? WHERE id = ?", price, id)
//		return err
//	})
//
// SQLite runs in WAL mode with synchronous=FULL: what has been committed
// survives kill -9 and the loss of power. It has one connection for writing
// and a pool for reading. MySQL runs at READ COMMITTED.
//
// The package writes no SQL of its own beyond that, maps no rows and knows no
// tables. A DB may be used by any number of goroutines; a Tx by one.
package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config is a table that names a database, such as [store].
type Config struct {
	// Database: "sqlite:PATH", a file whose folder is made when missing, or "mysql://user:pass@host:3306/db" for MySQL 8, MariaDB 10.11+ and TiDB; "mysql://user@unix(/path)/db" goes through a socket. Default: "sqlite:data/furima.db".
	URL string `toml:"url" secret:"url"`
	// Connections open at once, and as many kept idle. 0 means 32 for MySQL and, for reading SQLite, 4 more than the cores. Default: 0.
	MaxOpenConns int `toml:"max_open_conns"`
}

// DefaultConfig is what holds without a configuration file.
func DefaultConfig() Config { return Config{URL: "sqlite:data/furima.db"} }

// Validate reports every fault with its key relative to the table.
func (c Config) Validate(fault func(key, problem string)) {
	if _, err := parseURL(c.URL); err != nil {
		fault("url", err.Error())
	}
	if c.MaxOpenConns < 0 || c.MaxOpenConns > 10_000 {
		fault("max_open_conns", fmt.Sprintf("is %d, must be 0 to 10000", c.MaxOpenConns))
	}
}

// Options are what Open needs besides its configuration. The zero value works.
type Options struct {
	Logger     *slog.Logger          // nil: no logs
	Registerer prometheus.Registerer // nil: metrics are not registered
	// Name is the label db of the metrics: "market", "push". Empty means "db".
	Name string
	// CacheBytes is how much of an SQLite database its writer keeps in memory;
	// each reader keeps a quarter of that. The system's own cache is behind it.
	// 0 means 16 MiB.
	CacheBytes int64
}

// DB is an open database.
type DB struct {
	write        *sql.DB // of SQLite one connection; of MySQL the pool
	read         *sql.DB // of MySQL the same pool
	dialect      Dialect
	name         string // the URL without its password, for errors
	label        string // Options.Name
	log          *slog.Logger
	metrics      *metrics
	group        *group        // of SQLite: who writes
	file         string        // of SQLite
	claims       *claims       // of SQLite; nil where there are none
	checkpointer *checkpointer // of SQLite
}

// DiskSpace returns how many bytes are free on the disk that the database is on,
// less what its log will take once it is copied into the file, and how large the
// disk is. It is false where this process cannot know: of a server, and on some
// systems.
func (db *DB) DiskSpace() (free, total uint64, ok bool) {
	if db.file == "" {
		return 0, 0, false
	}
	free, total, ok = diskSpace(db.file)
	if log, err := os.Stat(db.file + "-wal"); err == nil {
		free -= min(free, uint64(log.Size()))
	}
	return free, total, ok
}

// Open opens the database and makes sure that it answers. An error is one line
// that names the database and never its password.
func Open(ctx context.Context, cfg Config, o Options) (*DB, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Name == "" {
		o.Name = "db"
	}
	target, err := parseURL(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db := &DB{dialect: target.dialect, name: target.name, label: o.Name, log: o.Logger}
	if target.dialect.name == nameSQLite {
		err = db.openSQLite(ctx, target, cfg.MaxOpenConns, o.CacheBytes)
	} else {
		err = db.openMySQL(ctx, target, cfg.MaxOpenConns)
	}
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", target.name, errors.Join(reason(err), db.closePools()))
	}
	db.metrics = newMetrics(o.Registerer, o.Name, db)
	return db, nil
}

// Close ends all connections. What is running fails.
func (db *DB) Close() error {
	db.metrics.unregister()
	err := db.closePools()
	if err != nil {
		return fmt.Errorf("close database %s: %w", db.name, err)
	}
	return nil
}

func (db *DB) closePools() error {
	var err error
	if db.checkpointer != nil {
		err = db.checkpointer.close()
	}
	if db.read != nil {
		err = errors.Join(err, db.read.Close())
	}
	// The writer goes last: the connection that closes last checkpoints the
	// write-ahead log, and a reader may not.
	if db.write != nil && db.write != db.read {
		err = errors.Join(err, db.write.Close())
	}
	if db.claims != nil {
		err = errors.Join(err, db.claims.close())
	}
	return err
}

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	if err := db.read.PingContext(ctx); err != nil {
		return fmt.Errorf("database %s: %w", db.name, reason(err))
	}
	return nil
}

// Name is that of the options, for labels.
func (db *DB) Name() string { return db.label }

// Dialect tells how this database's SQL differs.
func (db *DB) Dialect() Dialect { return db.dialect }

// Querier reads; a DB outside a transaction, a Tx inside one.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// QueryContext reads outside a transaction, from the pool of readers. The
// statement is prepared once a connection and kept, so the text should be one of
// few: put values into args.
func (db *DB) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return db.read.QueryContext(ctx, query, args...)
}

// QueryRowContext reads one row as QueryContext does.
func (db *DB) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return db.read.QueryRowContext(ctx, query, args...)
}

// Micros is a time as the databases keep it: microseconds since 1970, UTC.
func Micros(t time.Time) int64 { return t.UnixMicro() }

// FromMicros is the time that Micros has made into n.
func FromMicros(n int64) time.Time { return time.UnixMicro(n).UTC() }

// reason strips the driver's prefixes and keeps an error on one line.
func reason(err error) error {
	if err == nil {
		return nil
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	return &plain{text, err}
}

// plain is an error in one line that still unwraps to its cause.
type plain struct {
	text string
	err  error
}

func (p *plain) Error() string { return p.text }
func (p *plain) Unwrap() error { return p.err }
