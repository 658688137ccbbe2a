package store

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
	return map[string]Query{
		"items new, everything":         {sqlItemsNew, []any{0, item, n}, n},
		"items new, category":           {sqlItemsNew, []any{category, item, n}, n},
		"items price asc":               {sqlItemsAsc, []any{category, price, n}, n},
		"items price asc, equal":        {sqlItemsAscEqual, []any{category, price, item, n}, n},
		"items price desc":              {sqlItemsDesc, []any{category, price, n}, n},
		"items price desc, equal":       {sqlItemsDescEqual, []any{category, price, item, n}, n},
		"everything by price asc":       {sqlItemsAsc, []any{0, price, n}, n},
		"everything by price desc":      {sqlItemsDesc, []any{0, price, n}, n},
		"items of a seller":             {sqlItemsOfSeller, []any{user, 1, item, n}, n},
		"comments":                      {sqlComments, []any{item, 0, n}, n},
		"orders of a buyer":             {sqlOrdersOfBuyer, []any{user, int64(1) << 62, n}, n},
		"orders of a seller":            {sqlOrdersOfSeller, []any{user, int64(1) << 62, n}, n},
		"orders of a buyer in a state":  {sqlOrdersOfBuyerIn, []any{"pending_payment", user, int64(1) << 62, n}, n},
		"orders of a seller in a state": {sqlOrdersOfSellerIn, []any{"pending_payment", user, int64(1) << 62, n}, n},
		"reviews":                       {sqlReviews, []any{user, int64(1) << 62, n}, n},
		"messages":                      {sqlMessages, []any{item, 0, n}, n},
		"account":                       {sqlBalanceEntries, []any{"available:us_0000000000001", int64(1) << 62, n}, n},
		"overdue orders":                {sqlOrdersOverdue, []any{int64(1) << 62, n}, n},
	}
}
