package store

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/search"
)

// plan chooses how a list is read: by the path that has the fewest items which
// are not wanted.
func (s *Store) plan(ctx context.Context, q ItemQuery, from *market.Cursor) (*walker, error) {
	tree, _, err := s.lists(ctx, q.Category, errNoCategory)
	if err != nil {
		return nil, err
	}
	w := &walker{s: s, q: q, columns: listColumns}
	if q.Brand != 0 || !q.Search.IsZero() {
		if w.brands, err = s.brands(ctx, q.Brand, errNoBrand); err != nil {
			return nil, err
		}
		w.columns = listColumnsB
	}
	w.filters = !q.Search.IsZero() || q.Condition != "" || q.PriceMin != 0 || q.PriceMax != 0
	if q.Seller != 0 {
		w.columns = ownColumns
		if w.brands != nil {
			w.columns = ownColumnsB
		}
		if q.Category != 0 {
			w.tree = tree
		}
		w.filters = w.filters || q.Category != 0 || q.Brand != 0 || q.State != ""
		w.path = path{fromSeller, "", []any{int64(q.Seller), sideOf(q.Away)}}
		return w, nil
	}
	w.q.State = cmp.Or(q.State, market.ItemOnSale)
	return w, s.choose(ctx, w, tree, from)
}

// sideOf is the shelf of a seller's items.
func sideOf(away bool) int {
	if away {
		return 0
	}
	return 1
}

// choose sets the walker's path: the sparsest of those that hold every item
// that is wanted.
func (s *Store) choose(ctx context.Context, w *walker, tree *market.Tree, from *market.Cursor) error {
	q := &w.q
	of := func(list market.CategoryID) path {
		if q.State == market.ItemSold {
			list = soldList(list)
		}
		return path{listingsByAge, listingsByPrice, []any{int64(list)}}
	}
	var paths []path
	category := -1
	if q.Category != 0 || q.Brand == 0 && q.Search.IsZero() {
		category = len(paths)
		paths = append(paths, of(q.Category))
	}
	if q.Brand != 0 {
		paths = append(paths, of(brandList(q.Brand)))
	}
	for _, g := range spread(q.Search.Grams(), maxProbes) {
		paths = append(paths, path{gramsByAge, gramsByPrice, []any{gramShelf(q.State), int64(g)}})
	}
	best := 0
	if len(paths) > 1 {
		var err error
		if best, err = s.sparsest(ctx, paths, from, q.Sort); err != nil {
			return failed(err, "choose an index for %s", q.list())
		}
	}
	w.path = paths[best]
	if best != category && q.Category != 0 {
		w.tree = tree
	}
	w.filters = w.filters || len(paths) > 1
	return nil
}

// maxProbes is how many grams of a query are candidates.
const maxProbes = 8

// spread returns at most n of the grams, from everywhere.
func spread(grams []search.Gram, n int) []search.Gram {
	if len(grams) <= n {
		return grams
	}
	some := make([]search.Gram, n)
	for i := range some {
		some[i] = grams[i*len(grams)/n]
	}
	return some
}

// probeRows is how many rows of each candidate are read to find the sparsest.
const probeRows = 64

// A probe counts the newest rows of a path, up to probeRows, and says how far
// back they reach. Ids grow with time, so that is how sparse the path is, at
// the price of some rows of an index however large the market. "SELECT" and the
// number of the path come before.
const (
	probeListings = " AS path, COUNT(*), COALESCE(MIN(item_id), 0) FROM (SELECT item_id FROM listings /*! FORCE INDEX (PRIMARY) */ WHERE category_id = ? AND item_id < ? ORDER BY item_id DESC LIMIT ?) p"
	probeGrams    = " AS path, COUNT(*), COALESCE(MIN(item_id), 0) FROM (SELECT item_id FROM grams /*! FORCE INDEX (PRIMARY) */ WHERE shelf = ? AND gram = ? AND item_id < ? ORDER BY item_id DESC LIMIT ?) p"
)

// sparsest returns which of the paths has the fewest items around a place.
func (s *Store) sparsest(ctx context.Context, paths []path, from *market.Cursor, sort market.Sort) (int, error) {
	below := int64(math.MaxInt64)
	if from != nil && sort == market.SortNew {
		below = from.ID
	}
	type density struct {
		path, rows int
		oldest     int64
	}
	var query strings.Builder
	var values []any
	for i, p := range paths {
		if i > 0 {
			query.WriteString(" UNION ALL ")
		}
		query.WriteString("SELECT " + strconv.Itoa(i) + probeOf(p))
		values = append(append(values, p.args...), below, probeRows)
	}
	rows, err := s.db.QueryContext(ctx, query.String(), values...)
	if err != nil {
		return 0, err
	}
	var found []density
	if err := each(rows, func(row scanner) error {
		var d density
		err := row.Scan(&d.path, &d.rows, &d.oldest)
		found = append(found, d)
		return err
	}); err != nil {
		return 0, err
	}
	return slices.MinFunc(found, func(a, b density) int {
		return cmp.Or(cmp.Compare(a.rows, b.rows), cmp.Compare(a.oldest, b.oldest), cmp.Compare(a.path, b.path))
	}).path, nil
}

func probeOf(p path) string {
	if p.byAge == gramsByAge {
		return probeGrams
	}
	return probeListings
}
