package sqldb_test

import (
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/furima/furima/internal/sqldb"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

// steps is a migration of several statements, and one after it.
var steps = []string{
	"CREATE TABLE shelf (\n    id BIGINT NOT NULL PRIMARY KEY,\n    name VARCHAR(16) NOT NULL -- of the shelf; short\n)",
	"INSERT INTO shelf (id, name) VALUES (1, 'first')",
	"ALTER TABLE shelf ADD COLUMN height BIGINT NOT NULL DEFAULT 0",
	"CREATE INDEX shelf_name ON shelf (name)",
}

func stepFS() fstest.MapFS {
	text := "-- +goose Up\n-- A shelf;\n"
	for _, s := range steps {
		text += s + "; -- as it is; no more\n--\n\n"
	}
	return fstest.MapFS{
		"mysql/0001_shelf.sql": {Data: []byte(text)},
		"mysql/0002_shelf.sql": {Data: []byte("-- +goose Up\nALTER TABLE shelf ADD COLUMN width BIGINT NOT NULL DEFAULT 0;\n")},
	}
}

func mariaDB(t *testing.T) *sqldb.DB {
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: sqldbtest.MariaDB(t)}, sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func execAll(t *testing.T, db *sqldb.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if err := db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.ExecContext(t.Context(), s)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMigrateAfterACrash holds that a migration which died after any of its
// statements can be run again on MySQL, which commits each by itself.
func TestMigrateAfterACrash(t *testing.T) {
	begun := []string{"CREATE TABLE goose_shop_begun (version BIGINT NOT NULL PRIMARY KEY)", "INSERT INTO goose_shop_begun (version) VALUES (1)"}
	const versions = "CREATE TABLE goose_shop (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, version_id BIGINT NOT NULL, is_applied BOOLEAN NOT NULL, tstamp TIMESTAMP NULL DEFAULT NOW())"
	for done := range len(steps) + 3 {
		t.Run(fmt.Sprint("after ", done), func(t *testing.T) {
			db := mariaDB(t)
			execAll(t, db, versions)
			if done > 0 { // at 0 it died before the first row
				execAll(t, db, "INSERT INTO goose_shop (version_id, is_applied) VALUES (0, TRUE)")
			}
			if done > 1 {
				execAll(t, db, begun...)
				execAll(t, db, steps[:done-2]...)
			}
			if n, err := db.Pending(t.Context(), "shop", stepFS()); n != 2 || err != nil {
				t.Errorf("pending: %d, %v", n, err)
			}
			for range 2 {
				if err := db.Migrate(t.Context(), "shop", stepFS()); err != nil {
					t.Fatal(err)
				}
			}
			if n, err := db.Pending(t.Context(), "shop", stepFS()); n != 0 || err != nil {
				t.Errorf("pending at the end: %d, %v", n, err)
			}
			var rows int
			if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM shelf WHERE name = 'first' AND height = 0 AND width = 0").Scan(&rows); err != nil || rows != 1 {
				t.Errorf("%d rows, %v", rows, err)
			}
		})
	}
}

// TestMigrateMeetsAStranger holds that a table which is there before a migration
// has begun is not taken for its own.
func TestMigrateMeetsAStranger(t *testing.T) {
	db := mariaDB(t)
	execAll(t, db, "CREATE TABLE shelf (books BIGINT)")
	if err := db.Migrate(t.Context(), "shop", stepFS()); err == nil {
		t.Error("somebody else's table is taken over")
	}
}
