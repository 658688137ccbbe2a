package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/search"
	"github.com/furima/furima/internal/sqldb"
)

// The shelves of the index.
const (
	gramsOnSale = 1
	gramsSold   = 2
)

// gramShelf is where search finds an item in a state; 0 is nowhere.
func gramShelf(state market.ItemState) int {
	switch state {
	case market.ItemOnSale:
		return gramsOnSale
	case market.ItemSold:
		return gramsSold
	}
	return 0
}

// indexed is what the index holds, or shall hold, of an item: a row of texts.
// The grams follow from the body.
type indexed struct {
	item  market.ItemID
	shelf int
	price market.Money
	body  string
}

// searchText is what an item is found by: its title and the names of its brand.
func (b *Brands) searchText(title string, brand market.BrandID) string {
	text := search.Fold(title)
	if brand == 0 || b.text[brand] == "" {
		return text
	}
	return text + " " + b.text[brand]
}

func (b *Brands) indexedOf(item market.Item) indexed {
	return indexed{item.ID, gramShelf(item.State), item.Price, b.searchText(item.Title, item.Brand)}
}

// needsIndex reports whether a change of an item is one that search sees. One
// that is being bought stays in the index: who searches is shown only what its
// own row says is on sale, and it may come back.
func needsIndex(before, after market.Item) bool {
	return before.Title != after.Title || before.Brand != after.Brand || before.Price != after.Price ||
		before.State != after.State && after.State != market.ItemReserved
}

// enqueueIndex has search find an item as it is after the transaction.
func (s *Store) enqueueIndex(ctx context.Context, tx *sqldb.Tx, id market.ItemID) error {
	_, err := s.queue.EnqueueTx(ctx, tx, newJob(KindItemIndex, ItemRef{Item: id}))
	return err
}

// IndexItems makes search find items as they are now. It bears to be repeated
// and to be late: what it writes follows from the items alone.
func (s *Store) IndexItems(ctx context.Context, ids ...market.ItemID) (Change, error) {
	brands, err := s.Brands(ctx)
	if err != nil {
		return Change{}, err
	}
	var change Change
	ids = slices.Clone(ids)
	slices.Sort(ids) // locks are taken in one order
	err = s.tx(ctx, func(tx *sqldb.Tx, _ time.Time) error {
		change = Change{}
		for _, id := range slices.Compact(ids) {
			// The item's lock makes those who index one item take turns.
			item, err := s.readItem(ctx, tx, id, true)
			if err != nil {
				return err
			}
			before, err := readIndexed(ctx, tx, id)
			if err != nil {
				return err
			}
			after := brands.indexedOf(item)
			if before == after {
				continue
			}
			if err := s.reindex(ctx, tx, before, after); err != nil {
				return err
			}
			for _, g := range after.grams() {
				change.add(tagGram(g))
			}
		}
		return nil
	})
	if err != nil {
		return Change{}, failed(err, "index %d items", len(ids))
	}
	return change, nil
}

// readIndexed returns what the index holds of an item; shelf 0 is nothing.
func readIndexed(ctx context.Context, q sqldb.Querier, id market.ItemID) (indexed, error) {
	row := indexed{item: id}
	err := q.QueryRowContext(ctx, "SELECT shelf, price, body FROM texts WHERE item_id = ?", int64(id)).Scan(&row.shelf, (*int64)(&row.price), &row.body)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return row, err
}

// reindex turns what the index holds of an item into what it shall hold.
func (s *Store) reindex(ctx context.Context, tx *sqldb.Tx, before, after indexed) error {
	old, fresh := before.grams(), after.grams()
	gone, more := old, fresh
	if before.shelf == after.shelf && before.price == after.price {
		gone, more = without(old, fresh), without(fresh, old)
	}
	if err := s.deleteGrams(ctx, tx, before, gone); err != nil {
		return err
	}
	if err := s.insert(ctx, tx, tableGrams, len(more), func(i int) []any {
		return []any{after.shelf, int64(more[i]), int64(after.item), int64(after.price)}
	}); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM texts WHERE item_id = ?", int64(after.item)); err != nil || after.shelf == 0 {
		return err
	}
	return s.insert(ctx, tx, tableTexts, 1, func(int) []any { return after.values() })
}

// grams are those that the index holds.
func (r indexed) grams() []search.Gram {
	if r.shelf == 0 {
		return nil
	}
	return search.Grams(r.body)
}

func (r indexed) values() []any { return []any{int64(r.item), r.shelf, int64(r.price), r.body} }

// without returns what is in a and not in b; both are sorted.
func without(a, b []search.Gram) (rest []search.Gram) {
	for _, g := range a {
		if _, both := slices.BinarySearch(b, g); !both {
			rest = append(rest, g)
		}
	}
	return rest
}

// gramsEach is how many grams one statement deletes.
const gramsEach = 64

func (s *Store) deleteGrams(ctx context.Context, tx *sqldb.Tx, row indexed, grams []search.Gram) error {
	for chunk := range slices.Chunk(grams, gramsEach) {
		values := append([]any{row.shelf, int64(row.item)}, padded(chunk)...)
		if _, err := tx.ExecContext(ctx, "DELETE FROM grams WHERE shelf = ? AND item_id = ? AND gram IN "+s.db.Dialect().In(len(values)-2), values...); err != nil {
			return err
		}
	}
	return nil
}

// gramRow is a row of grams.
type gramRow struct {
	shelf int
	gram  search.Gram
	item  market.ItemID
	price market.Money
}

func compareGrams(a, b gramRow) int {
	return cmp.Or(cmp.Compare(a.shelf, b.shelf), cmp.Compare(a.gram, b.gram), cmp.Compare(a.item, b.item))
}

// importIndex writes the index of items that are new, in the order of its key.
func (s *Store) importIndex(ctx context.Context, tx *sqldb.Tx, brands *Brands, items []market.Item) error {
	var texts []indexed
	var grams []gramRow
	for _, item := range items {
		row := brands.indexedOf(item)
		if row.shelf == 0 {
			continue
		}
		texts = append(texts, row)
		for _, g := range row.grams() {
			grams = append(grams, gramRow{row.shelf, g, row.item, row.price})
		}
	}
	if err := s.insert(ctx, tx, tableTexts, len(texts), func(i int) []any { return texts[i].values() }); err != nil {
		return err
	}
	slices.SortFunc(grams, compareGrams)
	return s.insertGrams(ctx, tx, grams)
}

func (s *Store) insertGrams(ctx context.Context, tx *sqldb.Tx, grams []gramRow) error {
	return s.insert(ctx, tx, tableGrams, len(grams), func(i int) []any {
		return []any{grams[i].shelf, int64(grams[i].gram), int64(grams[i].item), int64(grams[i].price)}
	})
}
