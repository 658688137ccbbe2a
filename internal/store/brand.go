package store

import (
	"context"
	"fmt"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/search"
	"github.com/furima/furima/internal/sqldb"
)

// Brands is every brand, by id. It is shared: do not change it.
type Brands struct {
	All  []market.Brand
	text map[market.BrandID]string // what search finds the brand's items by
}

// Known reports whether there is a brand.
func (b *Brands) Known(id market.BrandID) bool {
	_, ok := b.text[id]
	return ok
}

// Brands returns the brands. They are kept in memory like the category tree.
func (s *Store) Brands(ctx context.Context) (*Brands, error) {
	return s.brandsSince(ctx, s.now().Add(-treeAge))
}

type loadedBrands struct {
	brands *Brands
	at     time.Time
}

func (s *Store) brandsSince(ctx context.Context, since time.Time) (*Brands, error) {
	if b := s.tree.brands.Load(); b != nil && !b.at.Before(since) {
		return b.brands, nil
	}
	s.tree.loading.Lock()
	defer s.tree.loading.Unlock()
	if b := s.tree.brands.Load(); b != nil && !b.at.Before(since) {
		return b.brands, nil // read while we waited
	}
	at := s.now()
	all, err := readBrands(ctx, s.db)
	if err != nil {
		return nil, failed(err, "read brands")
	}
	b := &Brands{All: all, text: make(map[market.BrandID]string, len(all))}
	for _, one := range all {
		b.text[one.ID] = search.Fold(one.Name + " " + one.NameJA)
	}
	s.tree.brands.Store(&loadedBrands{b, at})
	return b, nil
}

func readBrands(ctx context.Context, q sqldb.Querier) ([]market.Brand, error) {
	rows, err := q.QueryContext(ctx, "SELECT id, name, name_ja FROM brands ORDER BY id")
	if err != nil {
		return nil, err
	}
	var all []market.Brand
	err = each(rows, func(row scanner) error {
		var b market.Brand
		err := row.Scan((*int64)(&b.ID), &b.Name, &b.NameJA)
		all = append(all, b)
		return err
	})
	return all, err
}

// brands returns brands among which id is. One that is not known is looked for
// in the database once more before it is refused with notKnown.
func (s *Store) brands(ctx context.Context, id market.BrandID, notKnown error) (*Brands, error) {
	b, err := s.Brands(ctx)
	if err != nil || id == 0 || b.Known(id) {
		return b, err
	}
	if b, err = s.brandsSince(ctx, s.now().Add(-time.Second)); err != nil || b.Known(id) {
		return b, err
	}
	return nil, notKnown
}

var (
	// errNoBrand is for a list of a brand that does not exist.
	errNoBrand = market.Errorf(market.CodeNotFound, market.ReasonUnknownBrand, "there is no such brand")
	// errBadBrand is for an item of a brand that does not exist.
	errBadBrand = market.Fieldf("brand_id", market.ReasonUnknownBrand, "must be a brand")
)

// checkBrand refuses an item of a brand that does not exist.
func (s *Store) checkBrand(ctx context.Context, id market.BrandID) error {
	if id <= 0 { // none, or a rule says so
		return nil
	}
	_, err := s.brands(ctx, id, errBadBrand)
	return err
}

// importBrands writes the brands that are new and renames the others. The items
// of a renamed one are found by its old name until each is indexed again.
func (s *Store) importBrands(ctx context.Context, brands []market.Brand) error {
	for _, b := range brands {
		if b.ID <= 0 || b.ID > market.MaxCatalogID || b.Name == "" {
			return fmt.Errorf("brand %d %q: it needs an id and a name", b.ID, b.Name)
		}
	}
	err := s.tx(ctx, func(tx *sqldb.Tx, _ time.Time) error {
		known, err := readBrands(ctx, tx)
		if err != nil {
			return err
		}
		at := make(map[market.BrandID]int, len(known))
		for i, b := range known {
			at[b.ID] = i
		}
		var fresh []market.Brand
		for _, b := range brands {
			i, old := at[b.ID]
			switch {
			case !old:
				fresh = append(fresh, b)
			case known[i] != b:
				known[i] = b
				if _, err := tx.ExecContext(ctx, "UPDATE brands SET name = ?, name_ja = ? WHERE id = ?", b.Name, b.NameJA, int64(b.ID)); err != nil {
					return err
				}
			}
		}
		return s.insert(ctx, tx, tableBrands, len(fresh), func(i int) []any {
			return []any{int64(fresh[i].ID), fresh[i].Name, fresh[i].NameJA}
		})
	})
	if err == nil {
		s.tree.brands.Store(nil)
	}
	return err
}

// The lists of listings. A category has its id, 0 is everything, and a brand has
// its own above all categories; what was sold is in lists of its own, below 0.
const firstBrandList = market.MaxCatalogID + 1

func brandList(id market.BrandID) market.CategoryID {
	return firstBrandList + market.CategoryID(id)
}

// soldList is the list of what was sold out of a list.
func soldList(id market.CategoryID) market.CategoryID { return -1 - id }

// shownOn returns the lists of an item in a state, given those of its category:
// none unless it is on sale or sold.
func shownOn(item market.Item, categories []market.CategoryID) []market.CategoryID {
	if item.State != market.ItemOnSale && item.State != market.ItemSold {
		return nil
	}
	lists := make([]market.CategoryID, 0, len(categories)+1)
	lists = append(lists, categories...)
	if item.Brand != 0 {
		lists = append(lists, brandList(item.Brand))
	}
	if item.State == market.ItemSold {
		for i := range lists {
			lists[i] = soldList(lists[i])
		}
	}
	return lists
}
