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
	Category int    // with all below it; 0: every one
	Seller   string // id of a user; empty: everyone
	Sort     Sort   // empty: SortNew
	Limit    int    // items a page, at most MaxItems; 0: as many as the server likes
	Cursor   string // NextCursor of the page before; empty: from the start
}

// ItemPage is a part of a list.
type ItemPage struct {
	Items      []ItemSummary `json:"items" nullable:"false" doc:"The items."`
	NextCursor string        `json:"next_cursor,omitempty" doc:"For the next page; missing on the last."`
}

// Values returns the query as the URL has it.
func (q ItemQuery) Values() url.Values {
	v := url.Values{}
	if q.Category != 0 {
		v.Set("category", strconv.Itoa(q.Category))
	}
	if q.Seller != "" {
		v.Set("seller", q.Seller)
	}
	if q.Sort != "" {
		v.Set("sort", string(q.Sort))
	}
	if q.Limit != 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Cursor != "" {
		v.Set("cursor", q.Cursor)
	}
	return v
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
