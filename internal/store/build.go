package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/search"
	"github.com/furima/furima/internal/sqldb"
)

// markBuild says what Build has to do: "" nothing, buildGrams, or buildAll.
const (
	markBuild  = "build"
	buildGrams = "grams"
	buildAll   = "all"
)

const (
	// buildRows is how many rows of an index Build holds in memory, 24 bytes each:
	// what is more is another pass over the items.
	buildRows = 2_000_000
	// buildRead is how many items one query of a pass reads.
	buildRead = 5000
	// buildWrite is how many rows one transaction writes.
	buildWrite = 50_000
)

// Build writes the lists and the index of search that a Batch with Later has
// left out, and the index of a market that is older than search. Without any
// such it does nothing. An interrupted Build is repeated from the beginning by
// the next and does no harm.
//
// Rows of an index that come in any order cost a page of disk each, once the
// index is larger than the memory for it; in the order of the index they cost
// what they weigh. So Build goes over the items several times, takes as much of
// the index each time as fits into a fixed memory, and writes it sorted.
//
// After a Batch with Later nobody may change items until Build has ended.
// Progress is called now and then with the share that is done; it may be nil.
func (s *Store) Build(ctx context.Context, progress func(share float64)) error {
	what, err := readMark(ctx, s.db, markBuild)
	if err != nil || what == "" {
		return failed(err, "look for indexes to build")
	}
	b := &builder{s: s, progress: progress}
	if b.brands, err = s.brandsSince(ctx, s.now().Add(-time.Second)); err != nil {
		return err
	}
	if err := b.count(ctx); err != nil {
		return failed(err, "build indexes: read items")
	}
	lists, grams := b.split(b.lists), b.split(b.runes)
	b.rows = make([]indexRow, 0, b.largest)
	if what != buildAll {
		lists = nil
	}
	b.passes = 1 + len(lists) + len(grams)
	b.passed()
	for _, p := range lists {
		if err := b.writeLists(ctx, p); err != nil {
			return failed(err, "build lists")
		}
	}
	for _, p := range grams {
		if err := b.writeGrams(ctx, p); err != nil {
			return failed(err, "build index of search")
		}
	}
	err = s.tx(ctx, func(tx *sqldb.Tx, _ time.Time) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM marks WHERE name = ?", markBuild)
		return err
	})
	return failed(err, "build indexes")
}

// leaveToBuild notes that a batch has left out its lists and grams.
func (s *Store) leaveToBuild(ctx context.Context, tx *sqldb.Tx) error {
	_, err := tx.ExecContext(ctx, s.sql.setMark, markBuild, buildAll)
	return err
}

// builder is one Build.
type builder struct {
	s        *Store
	brands   *Brands
	tree     *market.Tree
	progress func(share float64)
	passes   int
	done     int
	lists    map[int64]int // rows by list
	runes    map[int64]int // rows by the first half of a gram
	rows     []indexRow
	largest  int // rows of a section
}

// indexRow is a row of listings or of grams: of one list, or of one gram of a
// shelf.
type indexRow struct {
	key, item, price int64
}

// section is a range of keys.
type section struct{ first, last int64 }

func (p section) has(key int64) bool { return key >= p.first && key <= p.last }

func (b *builder) passed() {
	b.done++
	if b.progress != nil {
		b.progress(float64(b.done) / float64(b.passes))
	}
}

// split divides keys into sections of about buildRows rows each.
func (b *builder) split(rows map[int64]int) []section {
	var all []section
	n := 0
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		if len(all) == 0 || n+rows[key] > buildRows {
			all = append(all, section{first: key})
			n = 0
		}
		n += rows[key]
		b.largest = max(b.largest, n)
		all[len(all)-1].last = key
	}
	return all
}

// halfOf is the part of a gram, with its shelf, by which grams are counted.
func halfOf(shelf int, g search.Gram) int64 { return int64(shelf)<<22 | int64(g)>>21 }

// gramKey is a gram with its shelf; grams have 42 bits.
func gramKey(shelf int, g search.Gram) int64 { return int64(shelf)<<42 | int64(g) }

// count counts rows and writes the texts.
func (b *builder) count(ctx context.Context) (err error) {
	if b.tree, err = b.s.Categories(ctx); err != nil {
		return err
	}
	b.lists, b.runes = map[int64]int{}, map[int64]int{}
	return b.items(ctx, func(items []market.Item) error {
		texts := make([]indexed, 0, len(items))
		for _, item := range items {
			for _, list := range shownOn(item, b.tree.Lists(item.Category)) {
				b.lists[int64(list)]++
			}
			row := b.brands.indexedOf(item)
			if row.shelf == 0 {
				continue
			}
			texts = append(texts, row)
			for _, g := range row.grams() {
				b.runes[halfOf(row.shelf, g)]++
			}
		}
		return b.s.tx(ctx, func(tx *sqldb.Tx, _ time.Time) error {
			return b.s.insertEnding(ctx, tx, tableTexts, b.s.db.Dialect().Upsert([]string{"item_id"}, "shelf", "price", "body"), len(texts),
				func(i int) []any { return texts[i].values() })
		})
	})
}

// items reads what the indexes need of every item, in the order of their ids.
func (b *builder) items(ctx context.Context, f func(items []market.Item) error) error {
	after := int64(0)
	items := make([]market.Item, 0, buildRead)
	for {
		items = items[:0]
		rows, err := b.s.db.QueryContext(ctx, "SELECT id, category_id, brand_id, title, price, state FROM items WHERE id > ? ORDER BY id LIMIT ?", after, buildRead)
		if err != nil {
			return err
		}
		if err := each(rows, func(row scanner) error {
			var i market.Item
			err := row.Scan((*int64)(&i.ID), (*int64)(&i.Category), (*int64)(&i.Brand), &i.Title, (*int64)(&i.Price), (*string)(&i.State))
			items = append(items, i)
			return err
		}); err != nil {
			return err
		}
		if err := f(items); err != nil || len(items) < buildRead {
			return err
		}
		after = int64(items[len(items)-1].ID)
	}
}

// writeLists writes the lists of a section.
func (b *builder) writeLists(ctx context.Context, p section) error {
	b.rows = b.rows[:0]
	if err := b.items(ctx, func(items []market.Item) error {
		for _, item := range items {
			for _, list := range shownOn(item, b.tree.Lists(item.Category)) {
				if p.has(int64(list)) {
					b.rows = append(b.rows, indexRow{int64(list), int64(item.ID), int64(item.Price)})
				}
			}
		}
		return nil
	}); err != nil {
		return err
	}
	return b.write(ctx, tableListings, []string{"category_id", "item_id"}, func(r indexRow) []any { return []any{r.key, r.item, r.price} })
}

// writeGrams writes the grams of a section. It goes over the texts, which are
// folded already and smaller than the items.
func (b *builder) writeGrams(ctx context.Context, p section) error {
	b.rows = b.rows[:0]
	for after, n := int64(0), buildRead; n == buildRead; {
		rows, err := b.s.db.QueryContext(ctx, "SELECT item_id, shelf, price, body FROM texts WHERE item_id > ? ORDER BY item_id LIMIT ?", after, buildRead)
		if err != nil {
			return err
		}
		n = 0
		if err := each(rows, func(row scanner) error {
			var t indexed
			if err := row.Scan((*int64)(&t.item), &t.shelf, (*int64)(&t.price), &t.body); err != nil {
				return err
			}
			n++
			after = int64(t.item)
			for _, g := range t.grams() {
				if p.has(halfOf(t.shelf, g)) {
					b.rows = append(b.rows, indexRow{gramKey(t.shelf, g), int64(t.item), int64(t.price)})
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return b.write(ctx, tableGrams, []string{"shelf", "gram", "item_id"}, func(r indexRow) []any {
		return []any{r.key >> 42, r.key & (1<<42 - 1), r.item, r.price}
	})
}

// write writes the rows in their order; those that are there get the price.
func (b *builder) write(ctx context.Context, t table, key []string, values func(indexRow) []any) error {
	slices.SortFunc(b.rows, func(x, y indexRow) int { return cmp.Or(cmp.Compare(x.key, y.key), cmp.Compare(x.item, y.item)) })
	ending := b.s.db.Dialect().Upsert(key, "price")
	for chunk := range slices.Chunk(b.rows, buildWrite) {
		// A transaction's rows are a narrow part of the primary key. Within it they
		// come in the order of the index by price, which is wide.
		slices.SortFunc(chunk, func(x, y indexRow) int {
			return cmp.Or(cmp.Compare(x.key, y.key), cmp.Compare(x.price, y.price), cmp.Compare(x.item, y.item))
		})
		if err := b.s.tx(ctx, func(tx *sqldb.Tx, _ time.Time) error {
			return b.s.insertEnding(ctx, tx, t, ending, len(chunk), func(i int) []any { return values(chunk[i]) })
		}); err != nil {
			return fmt.Errorf("write %d rows of %s: %w", len(chunk), t.name, err)
		}
	}
	b.passed()
	return nil
}
