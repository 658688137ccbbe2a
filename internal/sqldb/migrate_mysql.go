package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"
)

// MySQL commits every CREATE and ALTER by itself, so that a process that dies in
// the middle of a migration leaves a part of it. Here a migration first writes
// down that it begins; when it is run again it passes over what is there already.
// On a database where it has not begun, a table of the same name is somebody
// else's and an error.

// steps makes goose's migrations of MySQL's files.
func (db *DB) steps(name string, fsys fs.FS) ([]*goose.Migration, error) {
	files, err := fs.Glob(fsys, "*.sql")
	if err != nil {
		return nil, err
	}
	var all []*goose.Migration
	for _, file := range files {
		number, _, _ := strings.Cut(path.Base(file), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s has no version in its name", file)
		}
		text, err := fs.ReadFile(fsys, file)
		if err != nil {
			return nil, err
		}
		statements := split(string(text))
		all = append(all, goose.NewGoMigration(version, &goose.GoFunc{RunDB: func(ctx context.Context, on *sql.DB) error {
			return runStep(ctx, on, name, version, statements)
		}}, nil))
	}
	return all, nil
}

// split returns the statements of a file: each ends with a semicolon at the end
// of a line. What follows two hyphens and a space is a comment; no text of a
// migration may hold them.
func split(text string) []string {
	var all []string
	var b strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimSpace(line)+" ", "-- ")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		b.WriteString(line)
		b.WriteByte('\n')
		if strings.HasSuffix(line, ";") {
			all = append(all, strings.TrimSuffix(strings.TrimSpace(b.String()), ";"))
			b.Reset()
		}
	}
	if rest := strings.TrimSpace(b.String()); rest != "" {
		all = append(all, rest)
	}
	return all
}

func runStep(ctx context.Context, on *sql.DB, name string, version int64, statements []string) error {
	begun, err := begin(ctx, on, name, version)
	if err != nil {
		return err
	}
	for _, s := range statements {
		if _, err := on.ExecContext(ctx, s); err != nil && (!begun || !isDone(s, err)) {
			return err
		}
	}
	return nil
}

// begin writes down that a migration begins, and reports whether it has begun
// before.
func begin(ctx context.Context, on *sql.DB, name string, version int64) (before bool, err error) {
	table := "goose_" + name + "_begun"
	if _, err := on.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+table+" (version BIGINT NOT NULL PRIMARY KEY)"); err != nil {
		return false, err
	}
	switch _, err := on.ExecContext(ctx, "INSERT INTO "+table+" (version) VALUES (?)", version); {
	case IsDuplicate(err):
		return true, nil
	default:
		return false, err
	}
}

// isDone reports whether an error says that a statement has had its effect.
func isDone(statement string, err error) bool {
	e, ok := errors.AsType[*mysql.MySQLError](err)
	if !ok {
		return false
	}
	switch e.Number {
	case mysqlTableExists, mysqlColumnExists, mysqlKeyExists:
		return true
	case mysqlDuplicate:
		return strings.HasPrefix(statement, "INSERT")
	}
	return false
}

// repairVersions gives goose's table its first row, without which goose does not
// work: a process that died while it made the table has left it empty.
func (db *DB) repairVersions(ctx context.Context, name string) error {
	empty, err := db.emptyVersions(ctx, name)
	if err != nil || !empty {
		return err
	}
	_, err = db.write.ExecContext(ctx, "INSERT INTO goose_"+name+" (version_id, is_applied) VALUES (0, TRUE)")
	return err
}

// emptyVersions reports whether goose's table is there and has nothing in it.
func (db *DB) emptyVersions(ctx context.Context, name string) (bool, error) {
	var n int
	err := db.write.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?", "goose_"+name).Scan(&n)
	if err != nil || n == 0 {
		return false, err
	}
	err = db.write.QueryRowContext(ctx, "SELECT COUNT(*) FROM goose_"+name).Scan(&n)
	return err == nil && n == 0, err
}
