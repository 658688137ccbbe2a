package store

import "github.com/furima/furima/internal/search"

// Query is a list query of the store with arguments of a page in the middle.
type Query struct {
	SQL  string
	Args []any
	Rows int // of the page
}

// ListQueries returns every query that reads a page of a list, by name. Item,
// price and user choose the page: the ids and the price of a row in the middle.
func ListQueries(category, item, price, user int64) map[string]Query {
	const n = 31
	gram := int64(search.Grams("椅子")[2]) // of every title
	return map[string]Query{
		"items new, everything":         {listColumns + listingsByAge + tailNew, []any{0, item, n}, n},
		"items new, category":           {listColumns + listingsByAge + tailNew, []any{category, item, n}, n},
		"items price asc":               {listColumns + listingsByPrice + tailAsc, []any{category, price, n}, n},
		"items price asc, equal":        {listColumns + listingsByPrice + tailAscEqual, []any{category, price, item, n}, n},
		"items price desc":              {listColumns + listingsByPrice + tailDesc, []any{category, price, n}, n},
		"items price desc, equal":       {listColumns + listingsByPrice + tailDescEqual, []any{category, price, item, n}, n},
		"everything by price asc":       {listColumns + listingsByPrice + tailAsc, []any{0, price, n}, n},
		"everything by price desc":      {listColumns + listingsByPrice + tailDesc, []any{0, price, n}, n},
		"items of a seller":             {ownColumns + fromSeller + tailOwn, []any{user, 1, item, n}, n},
		"sold new":                      {listColumnsB + listingsByAge + tailNew, []any{-1, item, n}, n},
		"search new":                    {listColumnsB + gramsByAge + tailNew, []any{gramsOnSale, gram, item, n}, n},
		"search price asc":              {listColumnsB + gramsByPrice + tailAsc, []any{gramsOnSale, gram, price, n}, n},
		"search price asc, equal":       {listColumnsB + gramsByPrice + tailAscEqual, []any{gramsOnSale, gram, price, item, n}, n},
		"search price desc":             {listColumnsB + gramsByPrice + tailDesc, []any{gramsOnSale, gram, price, n}, n},
		"search price desc, equal":      {listColumnsB + gramsByPrice + tailDescEqual, []any{gramsOnSale, gram, price, item, n}, n},
		"probe of grams":                {"SELECT 0" + probeGrams, []any{gramsOnSale, gram, item, n}, n},
		"probe of a list":               {"SELECT 0" + probeListings, []any{category, item, n}, n},
		"what is indexed of an item":    {"SELECT shelf, price, body FROM texts WHERE item_id = ?", []any{item}, 1},
		"comments":                      {sqlComments, []any{item, 0, n}, n},
		"orders of a buyer":             {sqlOrdersOfBuyer, []any{user, int64(1) << 62, n}, n},
		"orders of a seller":            {sqlOrdersOfSeller, []any{user, int64(1) << 62, n}, n},
		"orders of a buyer in a state":  {sqlOrdersOfBuyerIn, []any{"pending_payment", user, int64(1) << 62, n}, n},
		"orders of a seller in a state": {sqlOrdersOfSellerIn, []any{"pending_payment", user, int64(1) << 62, n}, n},
		"reviews":                       {sqlReviews, []any{user, int64(1) << 62, n}, n},
		"messages":                      {sqlMessages, []any{item, 0, n}, n},
		"account":                       {sqlBalanceEntries, []any{"available:us_0000000000001", int64(1) << 62, n}, n},
		"blocks":                        {sqlBlocks, []any{user, 0, n}, n},
		"open reports":                  {sqlReports, []any{"open", 0, n}, n},
		"notifications":                 {sqlNotifications, []any{user, int64(1) << 62, n}, n},
		"likes":                         {sqlLikes, []any{user, int64(1) << 62, n}, n},
		"likes of one instant":          {sqlLikesEqual, []any{user, int64(1) << 61, int64(1) << 62, n}, n},
		"overdue orders":                {sqlOrdersOverdue, []any{int64(1) << 62, n}, n},
	}
}
