package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"go.uber.org/goleak"

	"github.com/furima/furima/internal/sqldb"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

func TestMain(m *testing.M) {
	code := sqldbtest.Main(m)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

var migrations fs.FS = fstest.MapFS{
	"sqlite/0001_counters.sql": {Data: []byte("-- +goose Up\nCREATE TABLE counters (name TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT;\n")},
	"mysql/0001_counters.sql":  {Data: []byte("-- +goose Up\nCREATE TABLE counters (name VARCHAR(64) PRIMARY KEY, n BIGINT NOT NULL);\n")},
}

func open(t *testing.T, url string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: url}, sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func migrated(t *testing.T, url string) *sqldb.DB {
	t.Helper()
	db := open(t, url)
	if err := db.Migrate(t.Context(), "test", migrations); err != nil {
		t.Fatal(err)
	}
	return db
}

func value(t *testing.T, q sqldb.Querier, name string) int {
	t.Helper()
	var n int
	if err := q.QueryRowContext(context.WithoutCancel(t.Context()), "SELECT n FROM counters WHERE name = ?", name).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func exec(ctx context.Context, tx *sqldb.Tx, query string, args ...any) error {
	_, err := tx.ExecContext(ctx, query, args...)
	return err
}

func TestTxCommitsAndRollsBack(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		db, ctx := migrated(t, url), t.Context()
		var hooks []string
		if err := db.Tx(ctx, func(tx *sqldb.Tx) error {
			tx.OnCommit(func() { hooks = append(hooks, "committed") })
			return exec(ctx, tx, "INSERT INTO counters (name, n) VALUES ('a', 1)")
		}); err != nil {
			t.Fatal(err)
		}
		boom := errors.New("boom")
		err := db.Tx(ctx, func(tx *sqldb.Tx) error {
			tx.OnCommit(func() { hooks = append(hooks, "rolled back") })
			if err := exec(ctx, tx, "UPDATE counters SET n = 2 WHERE name = 'a'"); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Errorf("Tx returned %v, want f's error", err)
		}
		if n := value(t, db, "a"); n != 1 {
			t.Errorf("n = %d after a rollback, want 1", n)
		}
		if fmt.Sprint(hooks) != "[committed]" {
			t.Errorf("hooks %v", hooks)
		}
	})
}

func TestTxPanicRollsBack(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		db, ctx := migrated(t, url), t.Context()
		func() {
			defer func() { _ = recover() }()
			_ = db.Tx(ctx, func(tx *sqldb.Tx) error {
				if err := exec(ctx, tx, "INSERT INTO counters (name, n) VALUES ('a', 1)"); err != nil {
					t.Error(err)
				}
				panic("f is broken")
			})
		}()
		// The writer is free again, and nothing was written.
		if err := db.Tx(ctx, func(tx *sqldb.Tx) error {
			return exec(ctx, tx, "INSERT INTO counters (name, n) VALUES ('a', 5)")
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// TestTxUnderContention adds from many goroutines and two DBs, as two
// processes would: nothing is lost and nothing is told to the caller.
func TestTxUnderContention(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		db, ctx := migrated(t, url), t.Context()
		other := open(t, url)
		if err := db.Tx(ctx, func(tx *sqldb.Tx) error {
			return exec(ctx, tx, "INSERT INTO counters (name, n) VALUES ('a', 0), ('b', 0)")
		}); err != nil {
			t.Fatal(err)
		}
		const workers, rounds = 8, 15
		var all sync.WaitGroup
		for i := range workers {
			use := db
			if i%2 == 1 {
				use = other
			}
			all.Go(func() {
				for range rounds {
					// Two rows, in two orders: InnoDB deadlocks.
					first, second := "a", "b"
					if i%4 < 2 {
						first, second = second, first
					}
					err := use.Tx(ctx, func(tx *sqldb.Tx) error {
						return errors.Join(
							exec(ctx, tx, "UPDATE counters SET n = n + 1 WHERE name = ?", first),
							exec(ctx, tx, "UPDATE counters SET n = n + 1 WHERE name = ?", second))
					})
					if err != nil && !sqldb.IsUnavailable(err) {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if a, b := value(t, db, "a"), value(t, db, "b"); a != b || a == 0 {
			t.Errorf("a = %d, b = %d, want the same", a, b)
		}
	})
}

func TestCancelledTxWritesNothing(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		db := migrated(t, url)
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Tx(ctx, func(tx *sqldb.Tx) error {
			if err := exec(ctx, tx, "INSERT INTO counters (name, n) VALUES ('a', 1)"); err != nil {
				return err
			}
			cancel()
			return nil
		})
		if err == nil {
			t.Error("Tx committed under a cancelled context")
		}
		if err := db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			return exec(t.Context(), tx, "INSERT INTO counters (name, n) VALUES ('a', 7)")
		}); err != nil {
			t.Error(err)
		}
	})
}

func TestDuplicate(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		db, ctx := migrated(t, url), t.Context()
		insert := func(tx *sqldb.Tx) error {
			return exec(ctx, tx, "INSERT INTO counters (name, n) VALUES ('a', 1)")
		}
		if err := db.Tx(ctx, insert); err != nil {
			t.Fatal(err)
		}
		if err := db.Tx(ctx, insert); !sqldb.IsDuplicate(err) || sqldb.IsUnavailable(err) {
			t.Errorf("second insert: %v, want a duplicate", err)
		}
		upsert := "INSERT INTO counters (name, n) VALUES (?, ?)" + db.Dialect().Upsert([]string{"name"}, "n")
		if err := db.Tx(ctx, func(tx *sqldb.Tx) error { return exec(ctx, tx, upsert, "a", 9) }); err != nil {
			t.Fatal(err)
		}
		if n := value(t, db, "a"); n != 9 {
			t.Errorf("n = %d after the upsert, want 9", n)
		}
		keep := "INSERT INTO counters (name, n) VALUES (?, ?)" + db.Dialect().Upsert([]string{"name"})
		if err := db.Tx(ctx, func(tx *sqldb.Tx) error { return exec(ctx, tx, keep, "a", 1) }); err != nil {
			t.Fatal(err)
		}
		if n := value(t, db, "a"); n != 9 {
			t.Errorf("n = %d after an upsert that sets nothing, want 9", n)
		}
	})
}

func TestReadTxSeesOneMomentAndCannotWrite(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		db, ctx := migrated(t, url), t.Context()
		set := func(n int) {
			t.Helper()
			if err := db.Tx(ctx, func(tx *sqldb.Tx) error {
				return exec(ctx, tx, "INSERT INTO counters (name, n) VALUES ('a', ?)"+tx.Dialect().Upsert([]string{"name"}, "n"), n)
			}); err != nil {
				t.Fatal(err)
			}
		}
		set(1)
		if err := db.ReadTx(ctx, func(tx *sqldb.Tx) error {
			before := value(t, tx, "a")
			set(2)
			if after := value(t, tx, "a"); after != before {
				t.Errorf("a changed from %d to %d within a ReadTx", before, after)
			}
			if err := exec(ctx, tx, "UPDATE counters SET n = 3"); err == nil {
				t.Error("a ReadTx could write")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// TestMigrateAtOnce migrates from several DBs at the same time, as the
// processes of a deployment do.
func TestMigrateAtOnce(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		dbs := []*sqldb.DB{open(t, url), open(t, url), open(t, url)}
		if n, err := dbs[0].Pending(t.Context(), "test", migrations); err != nil || n != 1 {
			t.Errorf("Pending: %d, %v; want 1", n, err)
		}
		var all sync.WaitGroup
		for _, db := range dbs {
			all.Go(func() {
				if err := db.Migrate(t.Context(), "test", migrations); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n, err := dbs[0].Pending(t.Context(), "test", migrations); err != nil || n != 0 {
			t.Errorf("Pending: %d, %v; want 0", n, err)
		}
	})
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("no database ", 999)), 0o600); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"sqlite:" + garbage: "garbage.db: file is not a database",
		"sqlite:" + dir:     "is a folder",
		"sqlite:":           "names no file",
		"sqlite::memory:":   "would lose",
		"postgres://x":      "must be",
		"mysql://root:hunter2@127.0.0.1:1/furima": "127.0.0.1:1",
		"mysql://root:hunter2@127.0.0.1:1":        "names no database",
		"mysql://root:hunter2@h/db?parseTime=1":   "parseTime",
	} {
		_, err := sqldb.Open(t.Context(), sqldb.Config{URL: url}, sqldb.Options{})
		if err == nil {
			t.Errorf("Open(%q) succeeded", url)
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Open(%q): %q, want one line with %q and no password", url, err, want)
		}
	}
}

func TestUnavailable(t *testing.T) {
	_, err := sqldb.Open(t.Context(), sqldb.Config{URL: "mysql://root@127.0.0.1:1/furima"}, sqldb.Options{})
	if !sqldb.IsUnavailable(err) {
		t.Errorf("a server that refuses connections is not unavailable: %v", err)
	}
	if sqldb.IsUnavailable(nil) || sqldb.IsUnavailable(errors.New("other")) {
		t.Error("something else counts as unavailable")
	}
}

func FuzzURL(f *testing.F) {
	for _, s := range []string{"sqlite:a.db", "mysql://u:p@h:1/d", "mysql://u@unix(/s)/d", "mysql://u:p@[::1]:3306/d?tls=true", "mysql://%zz@h/d", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, url string) {
		sqldb.Config{URL: url}.Validate(func(key, problem string) {
			if key != "url" || problem == "" || strings.Contains(problem, "\n") {
				t.Errorf("fault %q: %q", key, problem)
			}
		})
	})
}
