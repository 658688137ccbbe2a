package sqldb

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// MySQL's settings, applied to every connection.
var mysqlSetup = []string{
	// What one transaction has committed, the next statement sees, and a
	// statement locks the rows that it changes and no gaps between them.
	"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
	// Nobody waits longer than this for a row; the transaction is run again.
	// Nor longer for a table that is being altered than a connection waits for
	// its answer: the statement would go on when nobody knows of it any more.
	"SET SESSION sql_mode = 'TRADITIONAL', time_zone = '+00:00', innodb_lock_wait_timeout = 5, lock_wait_timeout = 30",
}

func (db *DB) openMySQL(ctx context.Context, t target, maxOpen int) error {
	cfg := t.mysql.Clone()
	cfg.Timeout = 5 * time.Second
	cfg.ReadTimeout = time.Minute
	cfg.WriteTimeout = time.Minute
	cfg.Collation = "utf8mb4_bin"
	cfg.MaxAllowedPacket = 64 << 20
	// The row count of an UPDATE is that of the rows found, as in SQLite, not of
	// those that it made different.
	cfg.ClientFoundRows = true
	cfg.ParseTime = true // for the version tables of goose; ours keep microseconds
	cfg.Logger = &mysql.NopLogger{}
	inner, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	if maxOpen == 0 {
		maxOpen = 32
	}
	db.write = sql.OpenDB(&connector{Connector: inner, setup: mysqlSetup})
	// As many idle as open: closing and opening a connection costs more than
	// keeping it. It is renewed now and then, so that a failed-over server or a
	// changed address is noticed.
	db.write.SetMaxOpenConns(maxOpen)
	db.write.SetMaxIdleConns(maxOpen)
	db.write.SetConnMaxLifetime(30 * time.Minute)
	db.write.SetConnMaxIdleTime(5 * time.Minute)
	db.read = db.write
	var version string
	if err := db.write.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version); err != nil {
		return err
	}
	db.dialect.noSkip = strings.Contains(version, "TiDB")
	return nil
}
