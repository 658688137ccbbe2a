package sqldb_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/furima/furima/internal/sqldb"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

// TestManyStatements uses more texts than a connection keeps, again and again.
func TestManyStatements(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		db := migrated(t, url)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for i := range 600 {
					var got int
					want := i % 300
					text := fmt.Sprintf("SELECT ? + %d", want)
					if err := db.QueryRowContext(t.Context(), text, 1).Scan(&got); err != nil || got != want+1 {
						t.Errorf("%s: %d, %v", text, got, err)
					}
				}
			})
		}
		wg.Wait()
	})
}

// TestSameStatementWithinItsRows runs a statement while its own rows are being
// read. MySQL's protocol does not allow that in one transaction, whoever tries.
func TestSameStatementWithinItsRows(t *testing.T) {
	db := migrated(t, sqldbtest.SQLite(t))
	ctx := t.Context()
	if err := db.Tx(ctx, func(tx *sqldb.Tx) error {
		if err := exec(ctx, tx, "INSERT INTO counters (name, n) VALUES ('a', 1), ('b', 2), ('c', 3)"); err != nil {
			return err
		}
		const text = "SELECT n FROM counters WHERE n >= ? ORDER BY n"
		var seen []int
		var read func(from int) error
		read = func(from int) error {
			rows, err := tx.QueryContext(ctx, text, from)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var n int
				if err := rows.Scan(&n); err != nil {
					return err
				}
				seen = append(seen, n)
				if from < 2 {
					if err := read(n + 1); err != nil {
						return err
					}
				}
			}
			return rows.Err()
		}
		if err := read(1); err != nil {
			return err
		}
		if got := fmt.Sprint(seen); got != "[1 2 3 2 3 3]" {
			t.Errorf("read %s", got)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestSchemaChangesUnderStatements alters a table that kept statements use.
func TestSchemaChangesUnderStatements(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		db, ctx := migrated(t, url), t.Context()
		add := func(name string, n int) {
			t.Helper()
			if err := db.Tx(ctx, func(tx *sqldb.Tx) error {
				return exec(ctx, tx, "INSERT INTO counters (name, n) VALUES (?, ?)", name, n)
			}); err != nil {
				t.Fatal(err)
			}
		}
		add("a", 1)
		if n := value(t, db, "a"); n != 1 {
			t.Errorf("a = %d", n)
		}
		if err := db.Tx(ctx, func(tx *sqldb.Tx) error {
			return exec(ctx, tx, "ALTER TABLE counters ADD COLUMN more INT NOT NULL DEFAULT 0")
		}); err != nil {
			t.Fatal(err)
		}
		add("b", 2)
		if a, b := value(t, db, "a"), value(t, db, "b"); a != 1 || b != 2 {
			t.Errorf("a = %d, b = %d", a, b)
		}
	})
}
