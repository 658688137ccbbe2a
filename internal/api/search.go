package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/cache"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/search"
	"github.com/furima/furima/internal/store"
)

// filterParameters are those that say which items are in a list.
func filterParameters() []*huma.Param {
	least, zero, longest := 1.0, 0.0, search.MaxQueryRunes
	text := func() *huma.Schema { return &huma.Schema{Type: huma.TypeString} }
	number := func(min *float64) *huma.Schema { return &huma.Schema{Type: huma.TypeInteger, Minimum: min} }
	words := text()
	words.MaxLength = &longest
	var conditions []any
	for _, c := range market.Conditions() {
		conditions = append(conditions, string(c))
	}
	return []*huma.Param{
		queryParameter("q", "Words, all of which are in the title or in the name of the brand, as a whole or as a part: width, case and kind of kana do not matter. "+
			"At most "+strconv.Itoa(search.MaxQueryWords)+" words.", words),
		queryParameter("category", "Id of a category: what is in it and in all below it.", number(&least)),
		queryParameter("brand", "Id of a brand.", number(&least)),
		queryParameter("condition", "Id of a condition.", &huma.Schema{Type: huma.TypeString, Enum: conditions}),
		queryParameter("price_min", "Lowest price.", number(&zero)),
		queryParameter("price_max", "Highest price; 0: any.", number(&zero)),
		queryParameter("seller", "Id of a user: what that person sells and has sold. Sorted by new.", text()),
		queryParameter("state", "What is on sale, or what was sold. Of a seller, without this: both, and what is being bought.",
			&huma.Schema{Type: huma.TypeString, Enum: []any{"on_sale", "sold"}}),
	}
}

// pageItemParameters are those that say which part of a list is wanted, in which order.
func pageItemParameters() []*huma.Param {
	return append([]*huma.Param{
		queryParameter("sort", "Order of the list.", &huma.Schema{Type: huma.TypeString, Enum: []any{"new", "price_asc", "price_desc"}, Default: "new"}),
	}, pageParameters(client.MaxItems)...)
}

// parseItems reads the query of a list.
func parseItems(rawQuery string) (store.ItemQuery, error) { return parseList(rawQuery, true) }

// parseList reads the query of a list, or without its page.
func parseList(rawQuery string, paged bool) (store.ItemQuery, error) {
	q := store.ItemQuery{Sort: market.SortNew, Limit: defaultPage}
	err := eachParameter(rawQuery, func(name, value string) error {
		known, err := parseFilter(&q, name, value)
		if !known && paged {
			known, err = parsePage(&q, name, value)
		}
		if !known {
			return unknownParameter(name)
		}
		if _, ok := err.(*market.Error); ok {
			return inQuery(name, err)
		}
		return err
	})
	if q.Seller == 0 && q.State == market.ItemOnSale {
		q.State = "" // which is the same list
	}
	return q, err
}

func parseFilter(q *store.ItemQuery, name, value string) (known bool, err error) {
	switch name {
	case "q":
		if q.Search, err = search.Parse(value); err != nil {
			err = invalidField("query/q", err.Error())
		}
	case "category":
		q.Category, err = market.ParseCategoryID(value)
	case "brand":
		q.Brand, err = market.ParseBrandID(value)
	case "condition":
		q.Condition, err = market.ParseCondition(value)
	case "price_min":
		q.PriceMin, err = parsePrice(name, value)
	case "price_max":
		q.PriceMax, err = parsePrice(name, value)
	case "seller":
		q.Seller, err = market.ParseUserID(value)
	case "state":
		q.State = market.ItemState(value)
		if q.State != market.ItemOnSale && q.State != market.ItemSold {
			err = invalidField("query/state", "must be on_sale or sold")
		}
	default:
		return false, nil
	}
	return true, err
}

func parsePage(q *store.ItemQuery, name, value string) (known bool, err error) {
	switch name {
	case "sort":
		q.Sort, err = market.ParseSort(value)
	case "limit":
		q.Limit, err = parseLimit(value, client.MaxItems)
	case "cursor":
		q.Cursor, err = parseCursor(value)
	default:
		return false, nil
	}
	return true, err
}

// maxPrice is beyond all prices, and has few spellings.
const maxPrice = 1_000_000_000_000

func parsePrice(name, s string) (market.Money, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > maxPrice {
		return 0, invalidField("query/"+name, "must be an amount")
	}
	return market.Money(n), nil
}

// parameters calls f with the parameters of a query but for its page, in an order that is always the
// same, and without defaults: one list has one spelling.
func parameters(q store.ItemQuery, f func(name, value string)) {
	word := func(name, value string) {
		if value != "" {
			f(name, value)
		}
	}
	number := func(name string, value int64) {
		if value != 0 {
			f(name, strconv.FormatInt(value, 10))
		}
	}
	number("category", int64(q.Category))
	number("brand", int64(q.Brand))
	word("condition", string(q.Condition))
	number("price_min", int64(q.PriceMin))
	number("price_max", int64(q.PriceMax))
	if q.Seller != 0 {
		f("seller", q.Seller.String())
	}
	word("state", string(q.State))
	if q.Sort != market.SortNew {
		f("sort", string(q.Sort))
	}
	word("q", q.Search.String())
}

// itemsKey is the cache key of a list: one for one list, whatever the order of the parameters,
// whether defaults are written out, and how the words are written.
func itemsKey(path string, q store.ItemQuery) string {
	var room [256]byte
	b := append(room[:0], path...)
	b = append(b, "?limit="...)
	b = strconv.AppendInt(b, int64(q.Limit), 10)
	parameters(q, func(name, value string) { // none of them holds an &
		b = append(b, '&')
		b = append(b, name...)
		b = append(b, '=')
		b = append(b, value...)
	})
	if q.Cursor != "" { // last: it is whatever the client says
		b = append(b, "&cursor="...)
		b = append(b, q.Cursor...)
	}
	return string(b)
}

func (a *API) getItems(w http.ResponseWriter, r *http.Request) error {
	q, err := parseItems(r.URL.RawQuery)
	if err != nil {
		return err
	}
	return a.cache.Serve(w, r, itemsKey(itemsPath, q), func(ctx context.Context) (cache.Answer, error) { return a.loadItems(ctx, q) })
}

func (a *API) loadItems(ctx context.Context, q store.ItemQuery) (cache.Answer, error) {
	page, err := a.store.Items(ctx, q)
	if err != nil {
		return cache.Answer{}, inFilters(err)
	}
	body, err := encode(pageOut(page))
	if err != nil {
		return cache.Answer{}, err
	}
	tags := make([]string, 0, len(page.Items)+1)
	tags = append(tags, listTag(q))
	for _, item := range page.Items {
		tags = append(tags, store.TagItem(item.ID))
	}
	answer := cache.Answer{ContentType: contentJSON[0], Body: body, Tags: tags}
	if page.Next != "" {
		values := url.Values{"limit": {strconv.Itoa(q.Limit)}}
		parameters(q, values.Set)
		answer.Header = http.Header{"Link": {nextLink(itemsPath, values, page.Next)}}
	}
	return answer, nil
}

// listTag is the tag of a list itself, those of its items apart.
func listTag(q store.ItemQuery) string {
	switch {
	case q.Seller != 0:
		return store.TagUser(q.Seller)
	case !q.Search.IsZero():
		return store.TagWords(q.Search)
	case q.Brand != 0:
		return store.TagBrand(q.Brand, q.State)
	}
	return store.TagCategory(q.Category, q.State)
}

// inFilters says of what the store does not like about a query which parameter it is.
func inFilters(err error) error {
	for _, f := range market.Faults(err) {
		if f.Code == market.CodeInvalid && f.Field != "" && f.Reason != market.ReasonInvalidCursor {
			return invalidField("query/"+f.Field, f.Message)
		}
	}
	return err
}

func (a *API) getFacets(w http.ResponseWriter, r *http.Request) error {
	q, err := parseList(r.URL.RawQuery, false)
	if err != nil {
		return err
	}
	return a.cache.Serve(w, r, itemsKey(itemsPath+"/facets", q), func(ctx context.Context) (cache.Answer, error) { return a.loadFacets(ctx, q) })
}

// loadFacets counts. The answer has no tags: counts that are a moment old do no harm, and to count
// again with every listing would.
func (a *API) loadFacets(ctx context.Context, q store.ItemQuery) (cache.Answer, error) {
	f, err := a.store.ItemFacets(ctx, q)
	if err != nil {
		return cache.Answer{}, inFilters(err)
	}
	out := client.ItemFacets{
		Items: f.Items, Complete: f.Complete, Categories: make([]client.CategoryFacet, len(f.Categories)),
		Brands: make([]client.BrandFacet, len(f.Brands)), Conditions: make([]client.ConditionFacet, len(f.Conditions)),
	}
	for i, c := range f.Categories {
		out.Categories[i] = client.CategoryFacet{ID: int(c.ID), Items: c.Items}
	}
	for i, b := range f.Brands {
		out.Brands[i] = client.BrandFacet{ID: int(b.ID), Items: b.Items}
	}
	for i, c := range f.Conditions {
		out.Conditions[i] = client.ConditionFacet{ID: string(c.Condition), Items: c.Items}
	}
	body, err := encode(out)
	return cache.Answer{ContentType: contentJSON[0], Body: body}, err
}
