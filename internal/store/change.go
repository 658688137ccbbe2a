package store

import (
	"github.com/furima/furima/internal/market"
)

// Change says which cached answers a write has made untrue, as tags to purge.
//
//	item:<id>          the item in lists and in detail: title, price, state, photos
//	detail:<id>        only the detail: likes, comments
//	list:<category>    the list of a category with its subtree: something came, went or moved
//	list:all           the list of everything
//	user:<id>          a person's public face and the list of what they sell
//	categories         the tree
//
// An answer with a list carries list:… and item:… of each row; a detail carries
// item:…, detail:… and user:… of the seller.
type Change struct {
	Tags []string
}

// TagCategories is the tag of answers that hold the category tree.
const TagCategories = "categories"

// TagItem is the tag of answers that show the item.
func TagItem(id market.ItemID) string { return "item:" + id.String() }

// TagDetail is the tag of answers that show the item's likes or comments.
func TagDetail(id market.ItemID) string { return "detail:" + id.String() }

// TagUser is the tag of answers that show a person or the list of a seller.
func TagUser(id market.UserID) string { return "user:" + id.String() }

// TagList is the tag of the list of a category; 0 is the list of everything.
func TagList(id market.CategoryID) string {
	if id == 0 {
		return "list:all"
	}
	return "list:" + id.String()
}

func (c *Change) add(tags ...string) { c.Tags = append(c.Tags, tags...) }

// addLists adds the tag of every list.
func (c *Change) addLists(lists []market.CategoryID) {
	for _, id := range lists {
		c.add(TagList(id))
	}
}
