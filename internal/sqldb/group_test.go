package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/furima/furima/internal/sqldb"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

// counted opens a migrated SQLite database whose commits can be counted.
func counted(t *testing.T) (db *sqldb.DB, commits func() float64) {
	t.Helper()
	reg := prometheus.NewRegistry()
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: sqldbtest.SQLite(t)}, sqldb.Options{Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := db.Migrate(t.Context(), "test", migrations); err != nil {
		t.Fatal(err)
	}
	return db, func() float64 {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "furima_sqldb_commits_total" {
				return f.GetMetric()[0].GetCounter().GetValue()
			}
		}
		t.Fatal("no metric of commits")
		return 0
	}
}

// leader holds the writer until release is called.
func leader(t *testing.T, db *sqldb.DB) (release func() error) {
	t.Helper()
	in, out, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	enter := sync.OnceFunc(func() { close(in) })
	go func() {
		done <- db.Tx(context.Background(), func(tx *sqldb.Tx) error {
			enter()
			<-out
			return exec(context.Background(), tx, "INSERT INTO counters (name, n) VALUES ('leader', 1)")
		})
	}()
	<-in
	return func() error {
		close(out)
		return <-done
	}
}

// queued waits until n goroutines of this test wait for their turn to write.
func queued(t *testing.T, n int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	buf := make([]byte, 1<<20)
	for {
		stacks := string(buf[:runtime.Stack(buf, true)])
		if strings.Count(stacks, "sqldb.(*group).enter(") == n {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%d transactions do not wait:\n%s", n, stacks)
		}
	}
}

func TestGroupSharesACommit(t *testing.T) {
	db, commits := counted(t)
	before := commits()
	release := leader(t, db)
	boom := errors.New("boom")
	const n = 40
	var wg sync.WaitGroup
	var mu sync.Mutex
	hooks := 0
	for i := range n {
		wg.Go(func() {
			err := db.Tx(t.Context(), func(tx *sqldb.Tx) error {
				tx.OnCommit(func() { mu.Lock(); hooks++; mu.Unlock() })
				if err := exec(t.Context(), tx, "INSERT INTO counters (name, n) VALUES (?, 1)", fmt.Sprint(i)); err != nil {
					return err
				}
				if i%4 == 0 {
					return boom // and nothing of it remains
				}
				return nil
			})
			if want := i%4 == 0; errors.Is(err, boom) != want || (err == nil) == want {
				t.Errorf("transaction %d: %v", i, err)
			}
		})
	}
	queued(t, n)
	if err := release(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	var rows int
	if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM counters").Scan(&rows); err != nil {
		t.Fatal(err)
	}
	if want := n*3/4 + 1; rows != want || hooks != n*3/4 {
		t.Errorf("%d rows and %d hooks, want %d and %d", rows, hooks, want, n*3/4)
	}
	// All of them were there when the leader was done. On a slow machine its time may run out.
	if c := commits() - before; c > n/4 {
		t.Errorf("%v commits for %d transactions", c, n)
	}
}

// TestGroupMembersThatDoNotReturn panic or end their goroutine in another's
// transaction.
func TestGroupMembersThatDoNotReturn(t *testing.T) {
	db, _ := counted(t)
	release := leader(t, db)
	var wg sync.WaitGroup
	for i, leave := range []func(){func() { panic("broken") }, runtime.Goexit, func() {}} {
		wg.Go(func() {
			defer func() { _ = recover() }()
			_ = db.Tx(context.Background(), func(tx *sqldb.Tx) error {
				if err := exec(context.Background(), tx, "INSERT INTO counters (name, n) VALUES (?, 1)", fmt.Sprint(i)); err != nil {
					t.Error(err)
				}
				leave()
				return nil
			})
		})
	}
	queued(t, 3)
	if err := release(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	var names string
	if err := db.QueryRowContext(t.Context(), "SELECT group_concat(name) FROM (SELECT name FROM counters ORDER BY name)").Scan(&names); err != nil {
		t.Fatal(err)
	}
	if names != "2,leader" {
		t.Errorf("rows %s, want 2,leader", names)
	}
}

// TestGroupUndone has the database roll back a shared transaction, as SQLite
// does by itself when the disk is full: the others run again.
func TestGroupUndone(t *testing.T) {
	for name, swallows := range map[string]bool{"told": false, "swallowed": true} {
		t.Run(name, func(t *testing.T) {
			db, _ := counted(t)
			release := leader(t, db)
			boom := errors.New("boom")
			const n = 12
			var wg sync.WaitGroup
			runs := make([]int, n)
			for i := range n {
				wg.Go(func() {
					err := db.Tx(t.Context(), func(tx *sqldb.Tx) error {
						runs[i]++
						if err := exec(t.Context(), tx, "INSERT INTO counters (name, n) VALUES (?, 1)", fmt.Sprint(i)); err != nil {
							return err
						}
						if i == 5 && runs[i] == 1 {
							if err := exec(t.Context(), tx, "ROLLBACK"); err != nil {
								t.Error(err)
							}
							if !swallows {
								return boom
							}
						}
						return nil
					})
					if wantErr := i == 5 && !swallows; (err != nil) != wantErr {
						t.Errorf("transaction %d: %v", i, err)
					}
				})
			}
			queued(t, n)
			if err := release(); err != nil {
				t.Fatal(err)
			}
			wg.Wait()
			want := n + 1
			if !swallows {
				want--
			}
			var rows int
			if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM counters").Scan(&rows); err != nil || rows != want {
				t.Errorf("%d rows, %v; want %d", rows, err, want)
			}
		})
	}
}

func TestGroupWaitEndsWithContext(t *testing.T) {
	db, _ := counted(t)
	release := leader(t, db)
	why := errors.New("gave up")
	ctx, cancel := context.WithCancelCause(t.Context())
	failed := make(chan error, 1)
	go func() {
		failed <- db.Tx(ctx, func(*sqldb.Tx) error {
			t.Error("it ran")
			return nil
		})
	}()
	queued(t, 1)
	cancel(why)
	if err := <-failed; !errors.Is(err, why) {
		t.Errorf("Tx: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if err := db.Tx(t.Context(), func(*sqldb.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

// TestBusyWaitEndsWithContext waits for a writer of another process.
func TestBusyWaitEndsWithContext(t *testing.T) {
	url := sqldbtest.SQLite(t)
	db, other := migrated(t, url), open(t, url)
	release := leader(t, other)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { failed <- db.Tx(ctx, func(*sqldb.Tx) error { return nil }) }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	buf := make([]byte, 1<<20)
	for !strings.Contains(string(buf[:runtime.Stack(buf, true)]), "sqlite.busyHandler") {
		<-tick.C
	}
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("Tx: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if err := db.Tx(t.Context(), func(*sqldb.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestNested(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		db, ctx := migrated(t, url), t.Context()
		boom := errors.New("boom")
		var hooks []string
		part := func(tx *sqldb.Tx, name string, result error) error {
			failed, err := tx.Nested(func(tx *sqldb.Tx) error {
				tx.OnCommit(func() { hooks = append(hooks, name) })
				if err := exec(ctx, tx, "INSERT INTO counters (name, n) VALUES (?, 1)", name); err != nil {
					return err
				}
				return result
			})
			if !errors.Is(failed, result) {
				t.Errorf("part %s: failed %v, want %v", name, failed, result)
			}
			return err
		}
		if err := db.Tx(ctx, func(tx *sqldb.Tx) error {
			return errors.Join(part(tx, "a", nil), part(tx, "b", boom), part(tx, "c", nil))
		}); err != nil {
			t.Fatal(err)
		}
		if a, c := value(t, db, "a"), value(t, db, "c"); a+c != 2 || fmt.Sprint(hooks) != "[a c]" {
			t.Errorf("a = %d, c = %d, hooks %v", a, c, hooks)
		}
		var n int
		if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM counters WHERE name = 'b'").Scan(&n); err != nil || n != 0 {
			t.Errorf("the part that failed left %d rows, %v", n, err)
		}
	})
}

// TestRowCounts holds that an UPDATE counts the rows that it found, on both
// engines.
func TestRowCounts(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		db, ctx := migrated(t, url), t.Context()
		if err := db.Tx(ctx, func(tx *sqldb.Tx) error {
			if err := exec(ctx, tx, "INSERT INTO counters (name, n) VALUES ('a', 1)"); err != nil {
				return err
			}
			res, err := tx.ExecContext(ctx, "UPDATE counters SET n = 1 WHERE name = ?", "a")
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); n != 1 || err != nil {
				t.Errorf("an UPDATE that changes nothing: %d rows, %v", n, err)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}
