package store

import (
	"context"
	"math"

	"github.com/furima/furima/internal/market"
)

// MaxExamined is how many items a page of a list may read to find those that it
// shows. Whoever asks for what is rare among what is common gets a short page
// and goes on with its cursor; nobody can make the database read the whole market.
const MaxExamined = 500

// maxChunk is how many rows a walk that leaves out items reads at a time.
const maxChunk = 250

// path is an index that yields items in the order of a list, as one range:
// those of a category, of a brand, with a gram, of a seller.
type path struct {
	byAge, byPrice string // SELECT columns + one of them + tail
	args           []any
}

// The joins are outer ones although no item is missing: that keeps both planners
// from starting at the items, of which there are many, instead of at the page's
// thirty rows of the index. The hint, which is a comment to SQLite, keeps MySQL
// from sorting a list that it thinks is short.
const (
	listingsByAge   = " FROM listings l /*! FORCE INDEX (PRIMARY) */ LEFT JOIN items i ON i.id = l.item_id WHERE l.category_id = ?"
	listingsByPrice = " FROM listings l /*! FORCE INDEX (listings_price) */ LEFT JOIN items i ON i.id = l.item_id WHERE l.category_id = ?"
	gramsByAge      = " FROM grams l /*! FORCE INDEX (PRIMARY) */ LEFT JOIN items i ON i.id = l.item_id WHERE l.shelf = ? AND l.gram = ?"
	gramsByPrice    = " FROM grams l /*! FORCE INDEX (grams_price) */ LEFT JOIN items i ON i.id = l.item_id WHERE l.shelf = ? AND l.gram = ?"
	fromSeller      = " FROM items i WHERE i.seller_id = ? AND i.shelf = ?"

	listColumns   = "SELECT " + itemColumns + ", 0, l.price"
	listColumnsB  = "SELECT " + itemColumns + ", i.brand_id, l.price"
	ownColumns    = "SELECT " + itemColumns + ", 0, i.price"
	ownColumnsB   = "SELECT " + itemColumns + ", i.brand_id, i.price"
	tailOwn       = " AND i.id < ? ORDER BY i.id DESC LIMIT ?"
	tailNew       = " AND l.item_id < ? ORDER BY l.item_id DESC LIMIT ?"
	tailAsc       = " AND l.price > ? ORDER BY l.price, l.item_id LIMIT ?"
	tailAscEqual  = " AND l.price = ? AND l.item_id > ? ORDER BY l.item_id LIMIT ?"
	tailDesc      = " AND l.price < ? ORDER BY l.price DESC, l.item_id DESC LIMIT ?"
	tailDescEqual = " AND l.price = ? AND l.item_id < ? ORDER BY l.item_id DESC LIMIT ?"
)

// A page by price that begins within items of one price is read in two pieces,
// the rest of that price and what comes after it: each is one range of the
// index, on both engines. Thousands of items may have the same price, and every
// way to say it in one condition makes one of the engines read all of them.

// walker reads a list: it goes along a path and leaves out what the query does
// not want.
type walker struct {
	s       *Store
	q       ItemQuery
	path    path
	columns string
	tree    *market.Tree  // if items of other categories are on the path
	brands  *Brands       // if words are looked for
	filters bool          // whether anything on the path may be left out
	each    func(*placed) // if not nil, gets what is wanted instead of the caller of walk

	// After walk:
	places   []market.Cursor // of the items
	place    market.Cursor   // of the last row that was looked at
	ended    bool            // the path has no more rows that could be wanted
	examined int

	rows []placed
}

// placed is an item with its place on the path.
type placed struct {
	item   market.Item // without photos
	photos string
	brand  market.BrandID
	price  market.Money // by which the path is ordered; an index may be behind
}

// walk returns up to n items after from, having looked at no more than most.
func (w *walker) walk(ctx context.Context, from *market.Cursor, n, most int) ([]market.Item, error) {
	items := make([]market.Item, 0, min(n, 128))
	from = w.start(from)
	for chunk := n; ; chunk = min(2*chunk, maxChunk) {
		chunk = min(chunk, most-w.examined)
		if err := w.read(ctx, from, chunk); err != nil {
			return nil, err
		}
		for i := range w.rows {
			row := &w.rows[i]
			if w.past(row) {
				w.ended = true
				return items, nil
			}
			w.examined++
			w.place = market.Cursor{ID: int64(row.item.ID)}
			if w.q.Sort != market.SortNew {
				w.place.Key = int64(row.price)
			}
			if w.filters && !w.wants(row) {
				continue
			}
			if w.each != nil {
				w.each(row)
				continue
			}
			var err error
			if row.item.Photos, err = decodePhotos(row.photos); err != nil {
				return nil, err
			}
			items = append(items, row.item)
			w.places = append(w.places, w.place)
			if len(items) == n {
				return items, nil
			}
		}
		if len(w.rows) < chunk {
			w.ended = true
			return items, nil
		}
		if w.examined >= most {
			return items, nil
		}
		place := w.place
		from = &place
	}
}

// start is where a list by price with bounds begins.
func (w *walker) start(from *market.Cursor) *market.Cursor {
	switch {
	case from != nil || w.q.Sort == market.SortNew:
		return from
	case w.q.Sort == market.SortPriceAsc && w.q.PriceMin > 0:
		return &market.Cursor{Key: int64(w.q.PriceMin) - 1, ID: math.MaxInt64} // after all that is cheaper
	case w.q.Sort == market.SortPriceDesc && w.q.PriceMax > 0:
		return &market.Cursor{Key: int64(w.q.PriceMax) + 1}
	}
	return nil
}

// past reports whether a list by price has left its bounds.
func (w *walker) past(row *placed) bool {
	return w.q.Sort == market.SortPriceAsc && w.q.PriceMax > 0 && row.price > w.q.PriceMax ||
		w.q.Sort == market.SortPriceDesc && row.price < w.q.PriceMin
}

// wants decides about one item by what its own row says.
func (w *walker) wants(row *placed) bool {
	q, item := &w.q, &row.item
	switch {
	case q.Seller == 0 && item.State != q.State, q.State != "" && item.State != q.State:
		return false
	case q.Sort != market.SortNew && item.Price != row.price: // its place is another one, where it will be soon
		return false
	case item.Price < q.PriceMin, q.PriceMax != 0 && item.Price > q.PriceMax:
		return false
	case q.Condition != "" && item.Condition != q.Condition, q.Brand != 0 && row.brand != q.Brand:
		return false
	case w.tree != nil && !inList(w.tree.Lists(item.Category), q.Category):
		return false
	}
	return q.Search.IsZero() || q.Search.Match(w.brands.searchText(item.Title, row.brand))
}

func inList(lists []market.CategoryID, id market.CategoryID) bool {
	for _, l := range lists {
		if l == id {
			return true
		}
	}
	return false
}

// read reads up to n rows of the path after from into w.rows.
func (w *walker) read(ctx context.Context, from *market.Cursor, n int) error {
	w.rows = w.rows[:0]
	below := int64(math.MaxInt64)
	if from != nil {
		below = from.ID
	}
	switch {
	case w.q.Seller != 0:
		return w.scan(ctx, tailOwn, below, n)
	case w.q.Sort == market.SortNew:
		return w.scan(ctx, tailNew, below, n)
	}
	equal, after, price := tailAscEqual, tailAsc, int64(-1)
	if w.q.Sort == market.SortPriceDesc {
		equal, after, price = tailDescEqual, tailDesc, math.MaxInt64
	}
	if from != nil {
		price = from.Key
		if err := w.scan(ctx, equal, price, from.ID, n); err != nil || len(w.rows) == n {
			return err
		}
	}
	return w.scan(ctx, after, price, n-len(w.rows))
}

// scan appends what a piece of the path has.
func (w *walker) scan(ctx context.Context, tail string, bounds ...any) error {
	from := w.path.byAge
	if w.q.Sort != market.SortNew {
		from = w.path.byPrice
	}
	rows, err := w.s.db.QueryContext(ctx, w.columns+from+tail, args(bounds, w.path.args...)...)
	if err != nil {
		return err
	}
	var brand, price int64
	r := newItemRow(&brand, &price)
	return each(rows, func(row scanner) error {
		w.rows = append(w.rows, placed{})
		last := &w.rows[len(w.rows)-1]
		err := r.scanBare(row, &last.item)
		last.photos, last.brand, last.price = r.photos, market.BrandID(brand), market.Money(price)
		return err
	})
}
