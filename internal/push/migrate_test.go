package push_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/sqldb"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

// upTo returns the migrations up to a number.
func upTo(t *testing.T, last string) fs.FS {
	t.Helper()
	out := fstest.MapFS{}
	err := fs.WalkDir(push.Migrations(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name()[:4] > last {
			return err
		}
		raw, err := fs.ReadFile(push.Migrations(), path)
		out[path] = &fstest.MapFile{Data: raw}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A database of the first version comes up to date with what is in it, and the
// version before can go on with it meanwhile.
func TestMigrateFromTheFirstVersion(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, url string) {
		db, err := sqldb.Open(t.Context(), sqldb.Config{URL: url}, sqldb.Options{Name: "push"})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.Migrate(t.Context(), "push", upTo(t, "0001")); err != nil {
			t.Fatal(err)
		}
		old := func(id int) {
			t.Helper()
			err := db.Tx(t.Context(), func(tx *sqldb.Tx) error {
				_, err := tx.ExecContext(t.Context(), "INSERT INTO push_feedback (id, app, platform, token, reason, since_at, created_at) VALUES (?, 'market', 'apns', ?, 'Unregistered', 1, 1)", id, token(id))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		old(1)
		if err := push.Migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		old(2)
		if n, err := db.Pending(t.Context(), "push", push.Migrations()); n != 0 || err != nil {
			t.Errorf("%d migrations left, %v", n, err)
		}
		for query, want := range map[string]int{"SELECT COUNT(*) FROM push_feedback": 2, "SELECT COUNT(*) FROM push_webhooks": 0} {
			var n int
			if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil || n != want {
				t.Errorf("%s: %d, %v, want %d", query, n, err, want)
			}
		}
	})
}

// Both engines have the same tables and columns.
func TestMigrationsAreAlike(t *testing.T) {
	t.Parallel()
	columns := func(dialect string) string {
		t.Helper()
		var names []string
		files, err := fs.Glob(push.Migrations(), dialect+"/*.sql")
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, f := range files {
			raw, err := fs.ReadFile(push.Migrations(), f)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, strings.TrimPrefix(f, dialect+"/"))
			for line := range strings.Lines(string(raw)) {
				if word, _, ok := strings.Cut(strings.TrimSpace(line), " "); ok && (strings.HasPrefix(line, "    ") && word != "INDEX" || word == "CREATE" && strings.Contains(line, "TABLE")) {
					if word == "CREATE" {
						word = line[:strings.Index(line, "(")]
					}
					names = append(names, word)
				}
			}
		}
		return strings.Join(names, "\n")
	}
	if a, b := columns("sqlite"), columns("mysql"); a != b {
		t.Errorf("SQLite has\n%s\n\nMySQL has\n%s", a, b)
	}
}
