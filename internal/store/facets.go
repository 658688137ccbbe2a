package store

import (
	"cmp"
	"context"
	"slices"

	"github.com/furima/furima/internal/market"
)

// MaxCounted is how many items Facets are counted over.
const MaxCounted = 2000

// Facets say how a list would divide. They are counted over the first
// MaxCounted items of its index: if Complete is false there are more of
// everything, and there may be values that are not here.
type Facets struct {
	Categories []CategoryFacet // right below the query's, the most first
	Brands     []BrandFacet    // the most first
	Conditions []ConditionFacet
	Items      int
	Complete   bool
}

// CategoryFacet is how many items of a list are in a category and below.
type CategoryFacet struct {
	ID    market.CategoryID
	Items int
}

// BrandFacet is how many items of a list are of a brand.
type BrandFacet struct {
	ID    market.BrandID
	Items int
}

// ConditionFacet is how many items of a list are in a condition.
type ConditionFacet struct {
	Condition market.Condition
	Items     int
}

// maxFacets is how many categories and brands Facets have at most.
const maxFacets = 30

// ItemFacets returns how the list of a query would divide; its sort, cursor and
// limit are not looked at.
func (s *Store) ItemFacets(ctx context.Context, q ItemQuery) (Facets, error) {
	q.Sort, q.Cursor = market.SortNew, ""
	if err := q.check(); err != nil {
		return Facets{}, err
	}
	w, err := s.plan(ctx, q, nil)
	if err != nil {
		return Facets{}, err
	}
	w.columns = listColumnsB
	if q.Seller != 0 {
		w.columns = ownColumnsB
	}
	tree, err := s.Categories(ctx)
	if err != nil {
		return Facets{}, err
	}
	var f Facets
	categories, brands, conditions := map[market.CategoryID]int{}, map[market.BrandID]int{}, map[market.Condition]int{}
	w.each = func(row *placed) {
		f.Items++
		if id := childOf(tree.Lists(row.item.Category), q.Category); id != 0 {
			categories[id]++
		}
		if row.brand != 0 {
			brands[row.brand]++
		}
		conditions[row.item.Condition]++
	}
	if _, err := w.walk(ctx, nil, MaxCounted+1, MaxCounted); err != nil {
		return Facets{}, failed(err, "count facets of %s", q.list())
	}
	f.Complete = w.ended
	for id, n := range categories {
		f.Categories = append(f.Categories, CategoryFacet{id, n})
	}
	for id, n := range brands {
		f.Brands = append(f.Brands, BrandFacet{id, n})
	}
	slices.SortFunc(f.Categories, func(a, b CategoryFacet) int {
		return cmp.Or(cmp.Compare(b.Items, a.Items), cmp.Compare(a.ID, b.ID))
	})
	slices.SortFunc(f.Brands, func(a, b BrandFacet) int { return cmp.Or(cmp.Compare(b.Items, a.Items), cmp.Compare(a.ID, b.ID)) })
	f.Categories, f.Brands = f.Categories[:min(len(f.Categories), maxFacets)], f.Brands[:min(len(f.Brands), maxFacets)]
	for _, c := range market.Conditions() {
		if n := conditions[c]; n > 0 {
			f.Conditions = append(f.Conditions, ConditionFacet{c, n})
		}
	}
	return f, nil
}

// childOf returns the list that comes after the given one, or 0.
func childOf(lists []market.CategoryID, id market.CategoryID) market.CategoryID {
	if i := slices.Index(lists, id); i >= 0 && i+1 < len(lists) {
		return lists[i+1]
	}
	return 0
}
