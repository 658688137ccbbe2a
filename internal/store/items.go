package store

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/search"
	"github.com/furima/furima/internal/sqldb"
)

// ItemQuery names a list of items.
//
// With a Seller it is the list of what that person sells, newest first: what
// everybody may see, or with Away what is paused, withdrawn or hidden; Sort must
// be zero. Without one it is the list of what is on sale, or with State what was
// sold, in a category and everything below it.
//
// The other fields leave out items. A list with them reads at most MaxExamined
// items for a page: the page may then have fewer items than Limit, or none, and
// still a Next.
type ItemQuery struct {
	Category  market.CategoryID // 0 = everything
	Seller    market.UserID     // 0 = everybody
	Away      bool
	Search    search.Query     // words of the title or of the brand's name
	Brand     market.BrandID   // 0 = any
	Condition market.Condition // "" = any
	PriceMin  market.Money     // 0 = any
	PriceMax  market.Money     // 0 = any
	State     market.ItemState // market.ItemOnSale or market.ItemSold; "" = on sale, of a seller both and what is being bought
	Sort      market.Sort      // "" = new
	Cursor    string           // ItemPage.Next of the page before; "" = the first page
	Limit     int              // rows; 0 = 30, at most 100
}

// ItemPage is a piece of a list. The items come without description, brand and LikeNotice.
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

// Items returns one page of a list.
func (s *Store) Items(ctx context.Context, q ItemQuery) (ItemPage, error) {
	if q.Sort == "" {
		q.Sort = market.SortNew
	}
	if err := q.check(); err != nil {
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
	w, err := s.plan(ctx, q, from)
	if err != nil {
		return ItemPage{}, err
	}
	items, err := w.walk(ctx, from, n+1, MaxExamined)
	if err != nil {
		return ItemPage{}, failed(err, "read list %s", q.list())
	}
	page := ItemPage{Items: items[:min(n, len(items))]}
	switch {
	case len(items) > n:
		page.Next = w.places[n-1].Encode(key, q.list())
	case !w.ended:
		page.Next = w.place.Encode(key, q.list())
	}
	return page, nil
}

func (q ItemQuery) check() error {
	if _, err := market.ParseSort(string(q.Sort)); err != nil {
		return err
	}
	var errs []error
	if q.Seller != 0 && q.Sort != market.SortNew {
		errs = append(errs, market.Fieldf("sort", market.ReasonMalformed, "must be new in the list of a seller"))
	}
	if q.Condition != "" && !slices.Contains(market.Conditions(), q.Condition) {
		errs = append(errs, market.Fieldf("condition", market.ReasonMalformed, "must be new, like_new, good, fair, worn or poor"))
	}
	if q.State != "" && q.State != market.ItemOnSale && q.State != market.ItemSold {
		errs = append(errs, market.Fieldf("state", market.ReasonMalformed, "must be on_sale or sold"))
	}
	if q.PriceMin < 0 || q.PriceMax < 0 || q.PriceMax != 0 && q.PriceMax < q.PriceMin {
		errs = append(errs, market.Fieldf("price_max", market.ReasonOutOfRange, "must not be below price_min, and none of them below 0"))
	}
	return errors.Join(errs...)
}

// list names the list in cursors and logs.
func (q ItemQuery) list() string {
	b := append(make([]byte, 0, 96), "items/"...)
	if q.Seller != 0 {
		b = append(b, "seller/"...)
		b, _ = q.Seller.AppendText(b)
		if q.Away {
			b = append(b, "/away"...)
		}
	} else {
		b = append(b, q.Category.String()...)
		b = append(b, '/')
		b = append(b, q.Sort...)
	}
	return string(q.appendFilters(b))
}

// appendFilters appends what the list leaves out, nothing if that is nothing.
func (q ItemQuery) appendFilters(b []byte) []byte {
	number := func(name string, n int64) {
		if n != 0 {
			b = append(b, name...)
			b = strconv.AppendInt(b, n, 10)
		}
	}
	word := func(name, s string) {
		if s != "" {
			b = append(b, name...)
			b = append(b, s...)
		}
	}
	if q.Seller != 0 {
		number("/category=", int64(q.Category))
	}
	number("/brand=", int64(q.Brand))
	number("/min=", int64(q.PriceMin))
	number("/max=", int64(q.PriceMax))
	word("/condition=", string(q.Condition))
	if q.Seller != 0 || q.State != market.ItemOnSale {
		word("/state=", string(q.State))
	}
	word("/q=", q.Search.String()) // last: it is the only one with characters that people choose
	return b
}

var _ sqldb.Querier = (*sqldb.DB)(nil)
