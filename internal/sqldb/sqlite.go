package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"modernc.org/sqlite"
)

// SQLite's settings, applied to every connection. WAL: readers and the writer
// do not wait for each other. synchronous=FULL: a commit is on disk when it
// returns (https://www.sqlite.org/pragma.html#pragma_synchronous).
var sqliteSetup = []string{
	"PRAGMA busy_timeout = 5000", // first, so that the others wait as well
	"PRAGMA journal_mode = WAL",
	"PRAGMA synchronous = FULL",
	"PRAGMA foreign_keys = ON",
	"PRAGMA temp_store = MEMORY",
}

// defaultCache is what Options.CacheBytes is if it is 0.
const defaultCache = 16 << 20

func writerSetup(cache int64) []string {
	return append(slices.Clone(sqliteSetup),
		fmt.Sprintf("PRAGMA cache_size = -%d", max(cache>>10, 1)), // KiB
		"PRAGMA journal_size_limit = 67108864",                    // what a long log leaves behind
		fmt.Sprintf("PRAGMA wal_autocheckpoint = %d", autoCheckpoint))
}

func readerSetup(cache int64) []string {
	return append(slices.Clone(sqliteSetup),
		fmt.Sprintf("PRAGMA cache_size = -%d", max(cache>>12, 1)),
		"PRAGMA query_only = ON")
}

func (db *DB) openSQLite(ctx context.Context, t target, maxOpen int, cache int64) error {
	if cache == 0 {
		cache = defaultCache
	}
	if err := prepareFile(t.path); err != nil {
		return err
	}
	path, err := filepath.Abs(t.path)
	if err != nil {
		return err
	}
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?_error_rc=1"
	// Immediate: a write transaction takes the lock when it begins, so that it
	// can never find out in the middle that it read something old.
	db.write, err = openPool(dsn+"&_txlock=immediate", writerSetup(cache), true)
	if err != nil {
		return err
	}
	db.write.SetMaxOpenConns(1)
	db.group = &group{pool: db.write, committed: db.committed}
	db.claims = newClaims(path + "-alive")
	db.file = path
	if err := checkFile(ctx, db.write); err != nil {
		return err
	}
	db.read, err = openPool(dsn, readerSetup(cache), false)
	if err != nil {
		return err
	}
	if maxOpen == 0 {
		maxOpen = runtime.GOMAXPROCS(0) + 4
	}
	db.read.SetMaxOpenConns(maxOpen)
	db.read.SetMaxIdleConns(maxOpen)
	if err := db.read.PingContext(ctx); err != nil {
		return err
	}
	copying, err := openPool(dsn, sqliteSetup, false)
	if err != nil {
		return err
	}
	copying.SetMaxOpenConns(1)
	db.checkpointer = newCheckpointer(copying, db.group, db.log)
	return nil
}

func openPool(dsn string, setup []string, patient bool) (*sql.DB, error) {
	inner, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(&connector{Connector: inner, setup: setup, patient: patient}), nil
}

// checkFile makes sure that the file is a database that can be read and
// written.
func checkFile(ctx context.Context, db *sql.DB) error {
	var n int
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_schema").Scan(&n); err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	return tx.Rollback()
}

// prepareFile makes the folder and the file if they are missing, the file for
// its owner alone: it holds password hashes and tokens. It finds out what
// SQLite would be slow or unclear about.
func prepareFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		if info, serr := os.Stat(path); serr == nil && info.IsDir() {
			return errors.New("is a folder, not a database file")
		}
		return err
	}
	return errors.Join(checkHeader(f), f.Close())
}

// checkHeader looks at a file's first bytes
// (https://www.sqlite.org/fileformat.html#magic_header_string).
func checkHeader(f *os.File) error {
	const magic = "SQLite format 3\x00"
	head := make([]byte, len(magic))
	n, err := io.ReadFull(f, head)
	if errors.Is(err, io.EOF) {
		return nil // empty: a new database
	}
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if string(head[:n]) != magic {
		return errors.New("file is not a database")
	}
	return nil
}
