package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
)

// ItemState is where an item stands.
type ItemState string

// The states of an item.
const (
	OnSale    ItemState = "on_sale"
	Paused    ItemState = "paused"    // the seller has taken it off the lists for now
	Reserved  ItemState = "reserved"  // somebody is paying for it
	Sold      ItemState = "sold"      //
	Withdrawn ItemState = "withdrawn" // the seller has given up selling it
	Hidden    ItemState = "hidden"    // by moderation
)

// Sort is an order of a list of items.
type Sort string

// The orders.
const (
	SortNew       Sort = "new"        // the newest first; the default
	SortPriceAsc  Sort = "price_asc"  // the cheapest first
	SortPriceDesc Sort = "price_desc" // the dearest first
)

// MaxItems is the largest limit of a list of items.
const MaxItems = 60

// ItemSummary is an item as lists show it.
type ItemSummary struct {
	ID        string    `json:"id" doc:"Id of the item." example:"it_0c2tn5w8q1z4x"`
	Title     string    `json:"title" doc:"What it is, in a line."`
	Price     int64     `json:"price" doc:"Price in the currency's smallest unit."`
	State     ItemState `json:"state" enum:"on_sale,paused,reserved,sold,withdrawn,hidden" doc:"Where it stands."`
	Photo     string    `json:"photo,omitempty" doc:"Where the small size of its first photo is."`
	CreatedAt Time      `json:"created_at" doc:"When it was listed."`
}

// Item is an item with all that everyone may know of it.
type Item struct {
	ID           string    `json:"id" doc:"Id of the item." example:"it_0c2tn5w8q1z4x"`
	Version      int64     `json:"version" doc:"Grows with every change; for If-Match."`
	State        ItemState `json:"state" enum:"on_sale,paused,reserved,sold,withdrawn,hidden" doc:"Where it stands."`
	Title        string    `json:"title" doc:"What it is, in a line."`
	Description  string    `json:"description" doc:"What there is to know."`
	Price        int64     `json:"price" doc:"Price in the currency's smallest unit."`
	CategoryID   int       `json:"category_id" doc:"Its category."`
	BrandID      int       `json:"brand_id,omitempty" doc:"Its brand; missing if it has none."`
	Condition    string    `json:"condition" doc:"Its condition, an id of the catalog."`
	Seller       Person    `json:"seller" doc:"Who sells it."`
	Photos       []Photo   `json:"photos" nullable:"false" doc:"Its photos, the main one first."`
	LikeCount    int64     `json:"like_count" doc:"People who like it."`
	CommentCount int64     `json:"comment_count" doc:"Comments on it."`
	CreatedAt    Time      `json:"created_at" doc:"When it was listed."`
	UpdatedAt    Time      `json:"updated_at" doc:"When it was changed last."`
}

// NewItem puts an item on sale.
type NewItem struct {
	Title       string   `json:"title" minLength:"1" maxLength:"80" doc:"What it is, in a line." example:"Denim jacket, size M"`
	Description string   `json:"description,omitempty" maxLength:"3000" doc:"What there is to know."`
	Price       int64    `json:"price" minimum:"1" doc:"Price in the currency's smallest unit." example:"3200"`
	CategoryID  int      `json:"category_id" minimum:"1" doc:"A category of the catalog without others below it."`
	BrandID     int      `json:"brand_id,omitempty" minimum:"1" doc:"A brand of the catalog." example:"7"`
	Condition   string   `json:"condition" maxLength:"32" doc:"An id of the catalog's conditions." example:"good"`
	PhotoIDs    []string `json:"photo_ids,omitempty" maxItems:"10" nullable:"false" doc:"Ids of uploaded photos, the main one first."`
}

// ItemAction is a change of an item's state by its seller.
type ItemAction string

// The actions.
const (
	Pause    ItemAction = "pause"
	Resume   ItemAction = "resume"
	Withdraw ItemAction = "withdraw"
)

// ItemPatch changes an item: what is nil stays as it is.
type ItemPatch struct {
	Title       *string     `json:"title,omitempty" minLength:"1" maxLength:"80" doc:"A new title."`
	Description *string     `json:"description,omitempty" maxLength:"3000" doc:"A new description."`
	Price       *int64      `json:"price,omitempty" minimum:"1" doc:"A new price."`
	CategoryID  *int        `json:"category_id,omitempty" minimum:"1" doc:"Another category."`
	BrandID     *int        `json:"brand_id,omitempty" minimum:"0" doc:"Another brand; 0: none from now on."`
	Condition   *string     `json:"condition,omitempty" maxLength:"32" doc:"Another condition."`
	PhotoIDs    *[]string   `json:"photo_ids,omitempty" maxItems:"10" nullable:"false" doc:"Ids of the photos that it has from now on."`
	Action      *ItemAction `json:"action,omitempty" enum:"pause,resume,withdraw" doc:"A change of its state."`

	// IfVersion makes the change happen only if the item has this version; 0
	// means any. It travels as If-Match; another version is a Problem with
	// Status 412.
	IfVersion int64 `json:"-"`
}

// ItemQuery selects a list of items. The zero value is the newest of all.
type ItemQuery struct {
	Text      string    // words, or parts of words, of the title or of the brand's name; empty: any
	Category  int       // with all below it; 0: every one
	Brand     int       // 0: any
	Condition string    // an id of the catalog's conditions; empty: any
	PriceMin  int64     // 0: any
	PriceMax  int64     // 0: any
	Seller    string    // id of a user; empty: everyone
	State     ItemState // OnSale or Sold; empty: OnSale, and of a seller all that everyone may see
	Sort      Sort      // empty: SortNew
	Limit     int       // items a page, at most MaxItems; 0: as many as the server likes
	Cursor    string    // NextCursor of the page before; empty: from the start
}

// ItemPage is a part of a list. A page of a search for what is rare may have few
// items, or none, and still a NextCursor.
type ItemPage struct {
	Items      []ItemSummary `json:"items" nullable:"false" doc:"The items."`
	NextCursor string        `json:"next_cursor,omitempty" doc:"For the next page; missing on the last."`
}

// Values returns the query as the URL has it.
func (q ItemQuery) Values() url.Values {
	v := url.Values{}
	word := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	number := func(name string, value int64) {
		if value != 0 {
			v.Set(name, strconv.FormatInt(value, 10))
		}
	}
	word("q", q.Text)
	number("category", int64(q.Category))
	number("brand", int64(q.Brand))
	word("condition", q.Condition)
	number("price_min", q.PriceMin)
	number("price_max", q.PriceMax)
	word("seller", q.Seller)
	word("state", string(q.State))
	word("sort", string(q.Sort))
	number("limit", int64(q.Limit))
	word("cursor", q.Cursor)
	return v
}

// ItemFacets say how a list divides. If Complete is false only a part of the
// list was counted: there are more of everything.
type ItemFacets struct {
	Items      int              `json:"items" doc:"Items of the list that were counted."`
	Complete   bool             `json:"complete" doc:"Whether that is all of them."`
	Categories []CategoryFacet  `json:"categories" nullable:"false" doc:"Right below the category of the query, the most first."`
	Brands     []BrandFacet     `json:"brands" nullable:"false" doc:"The most first."`
	Conditions []ConditionFacet `json:"conditions" nullable:"false" doc:"The best first."`
}

// CategoryFacet counts the items of a category and below.
type CategoryFacet struct {
	ID    int `json:"id" doc:"Id of the category."`
	Items int `json:"items" doc:"Items in it and below."`
}

// BrandFacet counts the items of a brand.
type BrandFacet struct {
	ID    int `json:"id" doc:"Id of the brand."`
	Items int `json:"items" doc:"Items of it."`
}

// ConditionFacet counts the items in a condition.
type ConditionFacet struct {
	ID    string `json:"id" doc:"Id of the condition."`
	Items int    `json:"items" doc:"Items in it."`
}

// ItemFacets returns how the list of a query divides; its Sort, Limit and Cursor
// do not matter.
func (c *Client) ItemFacets(ctx context.Context, q ItemQuery) (ItemFacets, error) {
	q.Sort, q.Limit, q.Cursor = "", 0, ""
	var out ItemFacets
	if err := c.do(ctx, call{method: http.MethodGet, path: "/v1/items/facets", query: q.Values()}, &out); err != nil {
		return ItemFacets{}, fmt.Errorf("count items: %w", err)
	}
	return out, nil
}

// Items returns one page of a list.
func (c *Client) Items(ctx context.Context, q ItemQuery) (ItemPage, error) {
	var out ItemPage
	if err := c.do(ctx, call{method: http.MethodGet, path: "/v1/items", query: q.Values()}, &out); err != nil {
		return ItemPage{}, fmt.Errorf("list items: %w", err)
	}
	return out, nil
}

// AllItems returns the items of a list, page after page, as far as the loop
// goes. It ends with the first error.
func (c *Client) AllItems(ctx context.Context, q ItemQuery) iter.Seq2[ItemSummary, error] {
	return pages(func(cursor string) ([]ItemSummary, string, error) {
		q.Cursor = cursor
		page, err := c.Items(ctx, q)
		return page.Items, page.NextCursor, err
	}, q.Cursor)
}

// pages walks a list with cursors.
func pages[T any](get func(cursor string) ([]T, string, error), cursor string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for next := cursor; ; {
			list, after, err := get(next)
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			for _, v := range list {
				if !yield(v, nil) {
					return
				}
			}
			if after == "" || after == next { // a server that does not move on is not followed for ever
				return
			}
			next = after
		}
	}
}

// MyItems returns one page of what the caller sells, the newest first: what everybody
// sees or, with away, what is paused, withdrawn or hidden.
func (c *Client) MyItems(ctx context.Context, away bool, cursor string, limit int) (ItemPage, error) {
	q := pageValues(cursor, limit)
	if away {
		q.Set("away", "true")
	}
	var out ItemPage
	if err := c.do(ctx, call{method: http.MethodGet, path: "/v1/me/items", query: q}, &out); err != nil {
		return ItemPage{}, fmt.Errorf("list my items: %w", err)
	}
	return out, nil
}

// Item returns an item.
func (c *Client) Item(ctx context.Context, id string) (Item, error) {
	var out Item
	if err := c.do(ctx, call{method: http.MethodGet, path: "/v1/items/" + segment(id)}, &out); err != nil {
		return Item{}, fmt.Errorf("get item: %w", err)
	}
	return out, nil
}

// ListItem puts an item on sale.
func (c *Client) ListItem(ctx context.Context, n NewItem) (Item, error) {
	var out Item
	if err := c.do(ctx, call{method: http.MethodPost, path: "/v1/items", json: n}, &out); err != nil {
		return Item{}, fmt.Errorf("list item: %w", err)
	}
	return out, nil
}

// ChangeItem edits, pauses, resumes or withdraws an item of the caller.
func (c *Client) ChangeItem(ctx context.Context, id string, p ItemPatch) (Item, error) {
	k := call{method: http.MethodPatch, path: "/v1/items/" + segment(id), json: p}
	if p.IfVersion != 0 {
		k.header = http.Header{"If-Match": {`"` + strconv.FormatInt(p.IfVersion, 10) + `"`}}
	}
	var out Item
	if err := c.do(ctx, k, &out); err != nil {
		return Item{}, fmt.Errorf("change item: %w", err)
	}
	return out, nil
}

// Like marks an item; marking it again changes nothing.
func (c *Client) Like(ctx context.Context, itemID string) error {
	if err := c.do(ctx, call{method: http.MethodPut, path: "/v1/items/" + segment(itemID) + "/like"}, nil); err != nil {
		return fmt.Errorf("like item: %w", err)
	}
	return nil
}

// Unlike takes the mark away.
func (c *Client) Unlike(ctx context.Context, itemID string) error {
	if err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/items/" + segment(itemID) + "/like"}, nil); err != nil {
		return fmt.Errorf("unlike item: %w", err)
	}
	return nil
}

// LikedItems returns one page of what the caller likes, the latest first. Items
// that are no longer to be seen are left out: a page may have fewer than asked
// for although another one follows.
func (c *Client) LikedItems(ctx context.Context, cursor string, limit int) (ItemPage, error) {
	var out ItemPage
	if err := c.do(ctx, call{method: http.MethodGet, path: "/v1/me/likes", query: pageValues(cursor, limit)}, &out); err != nil {
		return ItemPage{}, fmt.Errorf("list liked items: %w", err)
	}
	return out, nil
}
