package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
	"github.com/furima/furima/internal/store"
	"github.com/furima/furima/internal/store/storetest"
)

// filled returns a market in which a scan would stand out: thousands of items,
// most of them of a few prices, some orders.
func filled(t *testing.T, url string) (*storetest.World, map[string]store.Query) {
	w := storetest.NewWorld(t, url)
	b := w.Batch(market.NewIDs(nil), 100, 6000)
	for i := range b.Items {
		b.Items[i].Price = market.Money(1000 * (1 + i%5))
		b.Items[i].State = market.ItemOnSale
		if i%10 == 9 {
			b.Items[i].State = market.ItemSold
		}
	}
	if _, err := w.Store.Import(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		item := b.Items[i*10]
		if _, _, err := w.Store.ReserveItem(t.Context(), market.Purchase{Item: item.ID, Buyer: b.Users[i%7+1].ID, ExpectedPrice: item.Price}); err != nil && market.ReasonOf(err) != market.ReasonOwnItem {
			t.Fatal(err)
		}
	}
	middle := b.Items[3002] // on sale, of the third of five prices
	return w, store.ListQueries(int64(middle.Category), int64(middle.ID), int64(middle.Price), int64(b.Users[1].ID))
}

// plan returns what the engine says about a query, one line a step.
func plan(t *testing.T, w *storetest.World, explain string, q store.Query) []string {
	t.Helper()
	rows, err := w.DB.QueryContext(t.Context(), explain+" "+q.SQL, q.Args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	for rows.Next() {
		values, dest := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			dest[i] = &values[i]
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		var step []string
		for i, v := range values {
			if b, ok := v.([]byte); ok {
				v = string(b)
			}
			step = append(step, fmt.Sprintf("%s=%v", columns[i], v))
		}
		steps = append(steps, strings.Join(step, " "))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}

// TestPlansSQLite holds that no page of a list scans or sorts.
func TestPlansSQLite(t *testing.T) {
	w, queries := filled(t, sqldbtest.SQLite(t))
	for name, q := range queries {
		for _, step := range plan(t, w, "EXPLAIN QUERY PLAN", q) {
			if strings.HasSuffix(step, "SCAN p") { // the rows of a probe, which are few
				continue
			}
			if strings.Contains(step, "SCAN") || strings.Contains(step, "TEMP B-TREE") || strings.Contains(step, "AUTOMATIC") {
				t.Errorf("%s: %s", name, step)
			}
		}
	}
	// The check can fail: this one scans, and sorts.
	bad := store.Query{SQL: "SELECT id FROM items WHERE title = ? ORDER BY price", Args: []any{"x"}}
	if steps := strings.Join(plan(t, w, "EXPLAIN QUERY PLAN", bad), "\n"); !strings.Contains(steps, "SCAN") || !strings.Contains(steps, "TEMP B-TREE") {
		t.Errorf("a bad query looks good: %s", steps)
	}
}

// TestPlansMariaDB holds that no page of a list scans or sorts, and that the
// server reads no more rows for it than the page has, in each table.
func TestPlansMariaDB(t *testing.T) {
	w, queries := filled(t, sqldbtest.MariaDB(t))
	for _, table := range []string{"items", "listings", "orders", "comments", "users", "grams", "texts"} {
		plan(t, w, "ANALYZE TABLE", store.Query{SQL: table})
	}
	for name, q := range queries {
		steps := plan(t, w, "EXPLAIN", q)
		for _, step := range steps {
			if strings.Contains(step, "<derived") { // the rows of a probe, which are few
				continue
			}
			if strings.Contains(step, "type=ALL") || strings.Contains(step, "type=index ") ||
				strings.Contains(step, "Using filesort") || strings.Contains(step, "Using temporary") || strings.Contains(step, "Using join buffer") {
				t.Errorf("%s: %s", name, step)
			}
		}
		text, _ := strings.CutPrefix(plan(t, w, "ANALYZE FORMAT=JSON", q)[0], "ANALYZE=")
		var doc any
		if err := json.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatalf("%s: %v: %s", name, err, text)
		}
		if n := rowsRead(doc); n > float64(2*q.Rows) {
			t.Errorf("%s: reads %.0f rows for a page of %d:\n%s\n%s", name, n, q.Rows, strings.Join(steps, "\n"), text)
		}
	}
	bad := store.Query{SQL: "SELECT id FROM items WHERE title = ? ORDER BY price", Args: []any{"x"}}
	if steps := strings.Join(plan(t, w, "EXPLAIN", bad), "\n"); !strings.Contains(steps, "type=ALL") || !strings.Contains(steps, "Using filesort") {
		t.Errorf("a bad query looks good: %s", steps)
	}
}

// rowsRead adds up the rows that every table of an analysed plan gave.
func rowsRead(v any) (n float64) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			n += rowsRead(e)
		}
	case map[string]any:
		if _, isTable := v["table_name"]; isTable {
			rows, _ := v["r_rows"].(float64)
			loops, _ := v["r_loops"].(float64)
			return rows * loops
		}
		for _, e := range v {
			n += rowsRead(e)
		}
	}
	return n
}
