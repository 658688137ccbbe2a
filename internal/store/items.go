package store

import (
	"context"
	"math"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

// ItemQuery names a list of items.
//
// With a Seller it is the list of what that person sells, newest first: what
// everybody may see, or with Away what is paused, withdrawn or hidden; Category
// and Sort must be zero. Without one it is the list of what is on sale in a
// category and everything below it.
type ItemQuery struct {
	Category market.CategoryID // 0 = everything
	Seller   market.UserID     // 0 = everybody
	Away     bool
	Sort     market.Sort // "" = new
	Cursor   string      // ItemPage.Next of the page before; "" = the first page
	Limit    int         // rows; 0 = 30, at most 100
}

// ItemPage is a piece of a list. The items come without description and LikeNotice.
type ItemPage struct {
	Items []market.Item
	Next  string // the cursor of the next page; "" = this is the last
}

const (
	defaultLimit = 30
	maxLimit     = 100
)

func limit(n int) int {
	if n <= 0 {
		return defaultLimit
	}
	return min(n, maxLimit)
}

// The lists of a category. The join is an outer one although no item is
// missing: it keeps both planners from starting at the items, of which there
// are many, instead of at the page's thirty listings.
//
// A page by price that begins within items of one price is read in two pieces,
// the rest of that price and what comes after it: each is one range of the
// index, on both engines. Thousands of items may have the same price, and every
// way to say it in one condition makes one of the engines read all of them.
const (
	fromListings = "SELECT " + itemColumns + " FROM listings l LEFT JOIN items i ON i.id = l.item_id WHERE l.category_id = ?"

	sqlItemsNew       = fromListings + " AND l.item_id < ? ORDER BY l.item_id DESC LIMIT ?"
	sqlItemsAsc       = fromListings + " AND l.price > ? ORDER BY l.price, l.item_id LIMIT ?"
	sqlItemsAscEqual  = fromListings + " AND l.price = ? AND l.item_id > ? ORDER BY l.item_id LIMIT ?"
	sqlItemsDesc      = fromListings + " AND l.price < ? ORDER BY l.price DESC, l.item_id DESC LIMIT ?"
	sqlItemsDescEqual = fromListings + " AND l.price = ? AND l.item_id < ? ORDER BY l.item_id DESC LIMIT ?"

	sqlItemsOfSeller = "SELECT " + itemColumns + " FROM items i WHERE i.seller_id = ? AND i.shelf = ? AND i.id < ? ORDER BY i.id DESC LIMIT ?"
)

// Items returns one page of a list.
func (s *Store) Items(ctx context.Context, q ItemQuery) (ItemPage, error) {
	if q.Sort == "" {
		q.Sort = market.SortNew
	}
	if err := q.check(); err != nil {
		return ItemPage{}, err
	}
	if _, _, err := s.lists(ctx, q.Category, errNoCategory); err != nil {
		return ItemPage{}, err
	}
	key, err := s.listKey(ctx)
	if err != nil {
		return ItemPage{}, err
	}
	var from *market.Cursor
	if q.Cursor != "" {
		c, err := market.DecodeCursor(key, q.list(), q.Cursor)
		if err != nil {
			return ItemPage{}, err
		}
		from = &c
	}
	n := limit(q.Limit)
	items, err := s.readItems(ctx, q, from, n+1)
	if err != nil {
		return ItemPage{}, failed(err, "read list %s", q.list())
	}
	page := ItemPage{Items: items}
	if len(items) > n {
		page.Items = items[:n]
		last := items[n-1]
		next := market.Cursor{ID: int64(last.ID)}
		if q.Sort != market.SortNew {
			next.Key = int64(last.Price)
		}
		page.Next = next.Encode(key, q.list())
	}
	return page, nil
}

func (q ItemQuery) check() error {
	if _, err := market.ParseSort(string(q.Sort)); err != nil {
		return err
	}
	if q.Seller != 0 && (q.Category != 0 || q.Sort != market.SortNew) {
		return market.Errorf(market.CodeInvalid, market.ReasonMalformed, "the list of a seller has no category and is sorted by new")
	}
	return nil
}

// list names the list in cursors and logs.
func (q ItemQuery) list() string {
	if q.Seller != 0 {
		if q.Away {
			return "items/seller/" + q.Seller.String() + "/away"
		}
		return "items/seller/" + q.Seller.String()
	}
	return "items/" + q.Category.String() + "/" + string(q.Sort)
}

// readItems reads up to n items after from.
func (s *Store) readItems(ctx context.Context, q ItemQuery, from *market.Cursor, n int) ([]market.Item, error) {
	items := make([]market.Item, 0, n)
	category, below := int64(q.Category), int64(math.MaxInt64)
	if from != nil {
		below = from.ID
	}
	switch {
	case q.Seller != 0:
		side := 1
		if q.Away {
			side = 0
		}
		return s.scanItems(ctx, items, sqlItemsOfSeller, int64(q.Seller), side, below, n)
	case q.Sort == market.SortNew:
		return s.scanItems(ctx, items, sqlItemsNew, category, below, n)
	}
	equal, after, price := sqlItemsAscEqual, sqlItemsAsc, int64(-1)
	if q.Sort == market.SortPriceDesc {
		equal, after, price = sqlItemsDescEqual, sqlItemsDesc, math.MaxInt64
	}
	if from != nil {
		var err error
		price = from.Key
		if items, err = s.scanItems(ctx, items, equal, category, price, from.ID, n); err != nil || len(items) == n {
			return items, err
		}
	}
	return s.scanItems(ctx, items, after, category, price, n-len(items))
}

// scanItems appends what a query returns.
func (s *Store) scanItems(ctx context.Context, items []market.Item, query string, args ...any) ([]market.Item, error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	r := newItemRow()
	err = each(rows, func(row scanner) error {
		items = append(items, market.Item{})
		return r.scan(row, &items[len(items)-1])
	})
	return items, err
}

var _ sqldb.Querier = (*sqldb.DB)(nil)
