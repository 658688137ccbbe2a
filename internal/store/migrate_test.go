package store_test

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/sqldb"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
	"github.com/furima/furima/internal/store"
)

func opened(t *testing.T, url string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: url}, sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestMigrate(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		db := opened(t, url)
		if n, err := store.Pending(t.Context(), db); n < 1 || err != nil {
			t.Errorf("pending on an empty database: %d, %v", n, err)
		}
		for range 2 { // again does nothing
			if err := store.Migrate(t.Context(), db); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := store.Pending(t.Context(), db); n != 0 || err != nil {
			t.Errorf("pending after Migrate: %d, %v", n, err)
		}
	})
}

func lines(t *testing.T, db *sqldb.DB, query string, args ...any) (all []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// TestDialectsHaveTheSameSchema holds that both dialects have the same tables,
// columns in the same order, primary keys and indexes, and the same migrations.
func TestDialectsHaveTheSameSchema(t *testing.T) {
	lite, maria := opened(t, sqldbtest.SQLite(t)), opened(t, sqldbtest.MariaDB(t))
	for _, db := range []*sqldb.DB{lite, maria} {
		if err := store.Migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
	}
	const kind = `CASE WHEN %t LIKE '%INT%' THEN 'int' WHEN %t LIKE '%BLOB%' OR %t LIKE '%BINARY%' THEN 'bytes' ELSE 'text' END`
	of := func(column string) string { return strings.ReplaceAll(kind, "%t", "UPPER("+column+")") }
	const tables = `('users', 'sessions', 'devices', 'categories', 'photos', 'items', 'listings', 'likes', 'comments', 'orders', 'marks',
		'shipments', 'messages', 'reviews', 'ledger_entries', 'balances', 'payouts', 'answers', 'brands', 'grams', 'texts', 'blocks', 'reports', 'notifications')`
	columns := []string{
		`SELECT m.name || '.' || printf('%02d', c.cid + 1) || ' ' || c.name || ' ' || ` + of("c.type") + ` || CASE WHEN c."notnull" OR c.pk THEN '' ELSE ' null' END
			FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name IN ` + tables,
		`SELECT CONCAT(table_name, '.', LPAD(ordinal_position, 2, '0'), ' ', column_name, ' ', ` + of("column_type") + `, IF(is_nullable = 'YES', ' null', ''))
			FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name IN ` + tables,
	}
	if diff := cmp.Diff(lines(t, lite, columns[0]), lines(t, maria, columns[1])); diff != "" {
		t.Errorf("columns (-sqlite +mysql):\n%s", diff)
	}
	indexes := []string{
		`SELECT m.tbl_name || ' ' || i.name || ' ' || i."unique" || ' ' || (SELECT group_concat(name, ',') FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno))
			FROM sqlite_schema m JOIN pragma_index_list(m.name) i WHERE m.type = 'table' AND i.origin = 'c' AND m.name IN ` + tables,
		`SELECT CONCAT(table_name, ' ', index_name, ' ', 1 - non_unique, ' ', GROUP_CONCAT(column_name ORDER BY seq_in_index))
			FROM information_schema.statistics WHERE table_schema = DATABASE() AND index_name <> 'PRIMARY' AND table_name IN ` + tables + ` GROUP BY table_name, index_name, non_unique`,
	}
	got := lines(t, lite, indexes[0])
	if diff := cmp.Diff(got, lines(t, maria, indexes[1])); diff != "" {
		t.Errorf("indexes (-sqlite +mysql):\n%s", diff)
	}
	if len(got) < 10 {
		t.Errorf("only %d indexes found: %q", len(got), got)
	}
	keys := []string{
		`SELECT m.name || ' ' || (SELECT group_concat(name, ',') FROM (SELECT name FROM pragma_table_info(m.name) WHERE pk > 0 ORDER BY pk))
			FROM sqlite_schema m WHERE m.type = 'table' AND m.name IN ` + tables,
		`SELECT CONCAT(table_name, ' ', GROUP_CONCAT(column_name ORDER BY seq_in_index))
			FROM information_schema.statistics WHERE table_schema = DATABASE() AND index_name = 'PRIMARY' AND table_name IN ` + tables + ` GROUP BY table_name`,
	}
	if diff := cmp.Diff(lines(t, lite, keys[0]), lines(t, maria, keys[1])); diff != "" {
		t.Errorf("primary keys (-sqlite +mysql):\n%s", diff)
	}
	files := map[string][]string{}
	for _, dir := range []string{"sqlite", "mysql"} {
		entries, err := fs.ReadDir(store.Migrations(), dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			files[dir] = append(files[dir], path.Base(e.Name()))
		}
	}
	if diff := cmp.Diff(files["sqlite"], files["mysql"]); diff != "" {
		t.Errorf("migrations (-sqlite +mysql):\n%s", diff)
	}
	// No table of the schema is missing from the list above.
	all := lines(t, lite, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose_%' AND name NOT LIKE '%job%'`)
	if want := lines(t, lite, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN `+tables); !slices.Equal(all, want) {
		t.Errorf("tables %q, of which the test knows %q", all, want)
	}
}
