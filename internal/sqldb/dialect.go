package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/go-sql-driver/mysql"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	nameSQLite = "sqlite"
	nameMySQL  = "mysql"
)

// Dialect is how the SQL of one engine differs from that of the other. Texts
// that it returns begin with a space where they follow other text.
type Dialect struct {
	name   string
	noSkip bool // a server without SKIP LOCKED
}

// Name is "sqlite" or "mysql".
func (d Dialect) Name() string { return d.name }

// Upsert ends an INSERT so that a row which is there already, by the unique
// columns conflict, gets the inserted values of the columns set. Without set
// it stays as it is.
func (d Dialect) Upsert(conflict []string, set ...string) string {
	var b strings.Builder
	if d.name == nameSQLite {
		b.WriteString(" ON CONFLICT (" + strings.Join(conflict, ", ") + ") DO ")
		if len(set) == 0 {
			b.WriteString("NOTHING")
			return b.String()
		}
		b.WriteString("UPDATE SET ")
		for i, c := range set {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(c + " = excluded." + c)
		}
		return b.String()
	}
	b.WriteString(" ON DUPLICATE KEY UPDATE ")
	if len(set) == 0 { // an assignment that changes nothing
		set = conflict[:1]
		b.WriteString(set[0] + " = " + set[0])
		return b.String()
	}
	for i, c := range set {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(c + " = VALUES(" + c + ")")
	}
	return b.String()
}

// LockRows ends a SELECT in a transaction so that its rows stay as they were
// read until the end. SQLite needs none: there is one writer.
func (d Dialect) LockRows() string {
	if d.name == nameSQLite {
		return ""
	}
	return " FOR UPDATE"
}

// SkipLocked is LockRows that passes over rows which others have locked. TiDB
// waits for them.
func (d Dialect) SkipLocked() string {
	switch {
	case d.name == nameSQLite:
		return ""
	case d.noSkip:
		return " FOR UPDATE"
	}
	return " FOR UPDATE SKIP LOCKED"
}

// In is a list of n parameters: (?,?,?).
func (Dialect) In(n int) string { return "(" + strings.TrimSuffix(strings.Repeat("?,", n), ",") + ")" }

// Rows is the VALUES of rows rows of cols columns: (?,?),(?,?).
func (d Dialect) Rows(rows, cols int) string {
	row := d.In(cols)
	return strings.TrimSuffix(strings.Repeat(row+",", rows), ",")
}

// Error numbers of MySQL: https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html
const (
	mysqlDuplicate      = 1062
	mysqlLockWait       = 1205
	mysqlDeadlock       = 1213
	mysqlTooManyConns   = 1040
	mysqlShutdown       = 1053
	mysqlDiskFull       = 1021
	mysqlTableFull      = 1114
	mysqlReadOnly       = 1290
	mysqlRecordChanged  = 1020 // MariaDB: record has changed since last read
	mysqlConnectionKill = 1927 // MariaDB: connection was killed
	mysqlQueryInterrupt = 1317
	mysqlTableExists    = 1050
	mysqlColumnExists   = 1060
	mysqlKeyExists      = 1061
)

func sqliteCode(err error) (primary, extended int, ok bool) {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return 0, 0, false
	}
	return e.Code() & 0xff, e.Code(), true
}

// isRetryable reports whether the same transaction may succeed when run again.
func isRetryable(err error) bool {
	if errors.Is(err, errGroupFailed) {
		return true
	}
	if primary, _, ok := sqliteCode(err); ok {
		return primary == sqlite3.SQLITE_BUSY || primary == sqlite3.SQLITE_LOCKED
	}
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return e.Number == mysqlDeadlock || e.Number == mysqlLockWait || e.Number == mysqlRecordChanged
	}
	return false
}

// IsDuplicate reports whether err says that a unique value exists already.
func IsDuplicate(err error) bool {
	if _, extended, ok := sqliteCode(err); ok {
		return extended == sqlite3.SQLITE_CONSTRAINT_UNIQUE || extended == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY ||
			extended == sqlite3.SQLITE_CONSTRAINT_ROWID
	}
	e, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && e.Number == mysqlDuplicate
}

// IsUnavailable reports whether err says that the database cannot do anything
// just now: away, stopping, out of space or of connections, or busy for longer
// than it was worth waiting. Later it may.
func IsUnavailable(err error) bool {
	if err == nil {
		return false
	}
	if primary, _, ok := sqliteCode(err); ok {
		switch primary {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM:
			return true
		}
		return false
	}
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		switch e.Number {
		case mysqlDeadlock, mysqlLockWait, mysqlTooManyConns, mysqlShutdown, mysqlDiskFull, mysqlTableFull, mysqlReadOnly, mysqlConnectionKill, mysqlQueryInterrupt, mysqlRecordChanged:
			return true
		}
		return false
	}
	if _, ok := errors.AsType[net.Error](err); ok && !errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET)
}
