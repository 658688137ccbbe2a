package store

import (
	"strconv"
	"strings"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/search"
)

// Change says which cached answers a write has made untrue, as tags to purge.
//
//	item:<id>          the item in lists and in detail: title, price, state, photos
//	detail:<id>        only the detail: likes, comments
//	list:<category>    the list of a category with its subtree: something came, went or moved
//	list:all           the list of everything
//	list:brand:<id>    the list of a brand
//	sold:…             the same lists of what was sold
//	user:<id>          a person's public face and the list of what they sell
//	gram:<number>      what is found by words that hold the gram: something came
//	categories         the tree, and the brands
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
	switch {
	case id < 0:
		return "sold:" + strings.TrimPrefix(TagList(soldList(id)), "list:")
	case id == 0:
		return "list:all"
	case id >= firstBrandList:
		return "list:brand:" + (id - firstBrandList).String()
	}
	return "list:" + id.String()
}

// TagWords is the tag of a list of items found by words: every item that comes
// to match them has the gram, whatever else it has.
func TagWords(q search.Query) string {
	grams := q.Grams()
	return tagGram(grams[len(grams)-1]) // the largest: Chinese characters are rarer than letters
}

func tagGram(g search.Gram) string { return "gram:" + strconv.FormatInt(int64(g), 36) }

// TagCategory is the tag of the list of a category in a state: what is on sale,
// or with market.ItemSold what was sold.
func TagCategory(id market.CategoryID, state market.ItemState) string {
	if state == market.ItemSold {
		id = soldList(id)
	}
	return TagList(id)
}

// TagBrand is the tag of the list of a brand in a state.
func TagBrand(id market.BrandID, state market.ItemState) string {
	return TagCategory(brandList(id), state)
}

func (c *Change) add(tags ...string) { c.Tags = append(c.Tags, tags...) }

// addLists adds the tag of every list.
func (c *Change) addLists(lists []market.CategoryID) {
	for _, id := range lists {
		c.add(TagList(id))
	}
}
