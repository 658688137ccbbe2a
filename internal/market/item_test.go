package market_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/furima/furima/internal/market"
)

const (
	seller market.UserID = 1
	buyer  market.UserID = 2
	nobody market.UserID = 0
)

func onSale(t interface{ Fatal(...any) }) market.Item {
	item, err := market.DefaultRules().NewItem(draft(), noon)
	if err != nil {
		t.Fatal(err)
	}
	return item
}

func TestNewItem(t *testing.T) {
	want := market.Item{
		ID: 7, Seller: 1, Category: 12, Title: "Oak chair", Description: "Solid.", Price: 4500, Condition: market.ConditionGood,
		State: market.ItemOnSale, Version: 1, CreatedAt: noon, UpdatedAt: noon,
	}
	if diff := cmp.Diff(want, onSale(t)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPrices(t *testing.T) {
	rules := market.DefaultRules()
	for price, ok := range map[market.Money]bool{-1: false, 0: false, 299: false, 300: true, 9_999_999: true, 10_000_000: false} {
		d := draft()
		d.Price = price
		if _, err := rules.NewItem(d, noon); (err == nil) != ok {
			t.Errorf("price %d: %v, want allowed = %v", price, err, ok)
		}
	}
	rules.MinPrice, rules.MaxPrice = 1, 2
	d := draft()
	d.Price = 2
	if _, err := rules.NewItem(d, noon); err != nil {
		t.Errorf("the range is a setting: %v", err)
	}
}

func TestPhotosOfAnItem(t *testing.T) {
	rules := market.DefaultRules()
	rules.MinPhotos, rules.MaxPhotos = 1, 3
	for name, c := range map[string]struct {
		ids    []market.PhotoID
		reason market.Reason
	}{
		"one":   {[]market.PhotoID{4}, ""},
		"three": {[]market.PhotoID{4, 3, 9}, ""},
		"none":  {nil, market.ReasonRequired},
		"four":  {[]market.PhotoID{4, 3, 9, 1}, market.ReasonTooMany},
		"twice": {[]market.PhotoID{4, 3, 4}, market.ReasonMalformed},
	} {
		d := draft()
		d.Photos = c.ids
		if _, err := rules.NewItem(d, noon); market.ReasonOf(err) != c.reason {
			t.Errorf("%s: %v, want %q", name, err, c.reason)
		}
		item := onSale(t)
		if _, err := rules.Edit(item, market.ItemEdit{By: seller, Photos: &c.ids}, noon); market.ReasonOf(err) != c.reason {
			t.Errorf("edit to %s: %v, want %q", name, err, c.reason)
		}
	}
}

func TestWhoMay(t *testing.T) {
	type answer struct{ See, SellerSees, Edit, StrangerEdits, Like, SellerLikes market.Reason }
	codes := func(i market.Item) answer {
		code := func(err error) market.Reason {
			if r := market.ReasonOf(err); r != "" {
				return r
			}
			return market.Reason(market.CodeOf(err))
		}
		return answer{
			See: code(i.CanSee(nobody)), SellerSees: code(i.CanSee(seller)), Edit: code(i.CanEdit(seller)), StrangerEdits: code(i.CanEdit(buyer)),
			Like: code(i.CanLike(buyer)), SellerLikes: code(i.CanLike(seller)),
		}
	}
	for state, want := range map[market.ItemState]answer{
		market.ItemOnSale:    {"", "", "", "not_yours", "", "own_item"},
		market.ItemReserved:  {"", "", "item_locked", "not_yours", "", "own_item"},
		market.ItemSold:      {"", "", "item_locked", "not_yours", "", "own_item"},
		market.ItemPaused:    {"not_found", "", "", "not_found", "not_found", "own_item"},
		market.ItemWithdrawn: {"not_found", "", "item_not_on_sale", "not_found", "not_found", "own_item"},
		market.ItemHidden:    {"not_found", "not_found", "item_not_on_sale", "not_found", "not_found", "not_found"},
	} {
		item := onSale(t)
		item.State = state
		if diff := cmp.Diff(want, codes(item)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", state, diff)
		}
	}
	item := onSale(t)
	item.State, item.Seller = market.ItemPaused, nobody
	if item.CanSee(nobody) == nil {
		t.Error("whoever is not known is taken for a seller")
	}
}

func ptr[T any](v T) *T { return &v }

func TestEdit(t *testing.T) {
	rules := market.DefaultRules()
	later := noon.Add(time.Minute)
	changed := func(f func(*market.Item)) market.Item {
		item := onSale(t)
		item.Version, item.UpdatedAt = 2, later
		f(&item)
		return item
	}
	for name, c := range map[string]struct {
		edit   market.ItemEdit
		want   market.Item
		reason market.Reason
	}{
		"nothing":       {market.ItemEdit{}, onSale(t), ""},
		"the same":      {market.ItemEdit{Title: ptr("Oak chair"), Price: ptr(market.Money(4500))}, onSale(t), ""},
		"price":         {market.ItemEdit{Price: ptr(market.Money(3000))}, changed(func(i *market.Item) { i.Price = 3000 }), ""},
		"title cleaned": {market.ItemEdit{Title: ptr(" Elm\nchair ")}, changed(func(i *market.Item) { i.Title = "Elm chair" }), ""},
		"no text":       {market.ItemEdit{Description: ptr("")}, changed(func(i *market.Item) { i.Description = "" }), ""},
		"category":      {market.ItemEdit{Category: ptr(market.CategoryID(3))}, changed(func(i *market.Item) { i.Category = 3 }), ""},
		"pause":         {market.ItemEdit{Event: market.ItemPause}, changed(func(i *market.Item) { i.State = market.ItemPaused }), ""},
		"withdraw":      {market.ItemEdit{Event: market.ItemWithdraw}, changed(func(i *market.Item) { i.State = market.ItemWithdrawn }), ""},
		"right version": {market.ItemEdit{Version: 1, Price: ptr(market.Money(3000))}, changed(func(i *market.Item) { i.Price = 3000 }), ""},
		"old version":   {market.ItemEdit{Version: 9, Price: ptr(market.Money(3000))}, market.Item{}, market.ReasonVersionMismatch},
		"resume":        {market.ItemEdit{Event: market.ItemResume}, market.Item{}, market.ReasonItemNotOnSale},
		"sell":          {market.ItemEdit{Event: market.ItemSettle}, market.Item{}, market.ReasonMalformed},
		"cheap":         {market.ItemEdit{Price: ptr(market.Money(1))}, market.Item{}, market.ReasonOutOfRange},
		"no title":      {market.ItemEdit{Title: ptr("")}, market.Item{}, market.ReasonRequired},
		"condition":     {market.ItemEdit{Condition: ptr(market.Condition("?"))}, market.Item{}, market.ReasonMalformed},
		"no category":   {market.ItemEdit{Category: ptr(market.CategoryID(0))}, market.Item{}, market.ReasonRequired},
	} {
		t.Run(name, func(t *testing.T) {
			c.edit.By = seller
			got, err := rules.Edit(onSale(t), c.edit, later)
			if market.ReasonOf(err) != c.reason {
				t.Fatalf("error %v, want %q", err, c.reason)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	// What an older, laxer rule let through does not stand in the way.
	cheap := onSale(t)
	cheap.Price = 10
	if _, err := rules.Edit(cheap, market.ItemEdit{By: seller, Title: ptr("Elm chair")}, later); err != nil {
		t.Errorf("the title of an item below today's prices: %v", err)
	}
	// New photos make a new version even if nothing else changes.
	if got, err := rules.Edit(onSale(t), market.ItemEdit{By: seller, Photos: &[]market.PhotoID{4}}, later); err != nil || got.Version != 2 {
		t.Errorf("new photos: version %d, %v", got.Version, err)
	}
}

func TestComments(t *testing.T) {
	rules := market.DefaultRules()
	item := onSale(t)
	got, err := rules.NewComment(item, market.CommentDraft{ID: 3, Item: 7, Author: buyer, Body: " Still there?\n"}, noon)
	want := market.Comment{ID: 3, Item: 7, Author: buyer, Body: "Still there?", CreatedAt: noon}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := rules.NewComment(item, market.CommentDraft{Item: 7, Author: buyer, Body: "\u200b"}, noon); market.ReasonOf(err) != market.ReasonRequired {
		t.Errorf("nothing to see: %v", err)
	}
	item.State = market.ItemSold
	if _, err := rules.NewComment(item, market.CommentDraft{Author: buyer, Body: "late"}, noon); market.ReasonOf(err) != market.ReasonItemSold {
		t.Errorf("on a sold item: %v", err)
	}
	item.State = market.ItemHidden
	if _, err := rules.NewComment(item, market.CommentDraft{Author: buyer, Body: "late"}, noon); market.CodeOf(err) != market.CodeNotFound {
		t.Errorf("on a hidden item: %v", err)
	}
}

// TestLikeNotices holds that a seller hears of the first like at once, of every
// like within two spans, and never twice within one.
func TestLikeNotices(t *testing.T) {
	rules := market.DefaultRules()
	rapid.Check(t, func(t *rapid.T) {
		var last time.Time // what the item's row says
		var notices, likes []time.Time
		now := noon
		for range rapid.IntRange(1, 50).Draw(t, "n") {
			now = now.Add(time.Duration(rapid.IntRange(0, 90*60).Draw(t, "seconds")) * time.Second)
			likes = append(likes, now)
			at, send := rules.NextLikeNotice(last, now)
			if send {
				notices = append(notices, at)
			}
			last = at
		}
		if !notices[0].Equal(likes[0]) {
			t.Fatalf("the first like at %s is told at %s", likes[0], notices[0])
		}
		for i := 1; i < len(notices); i++ {
			if notices[i].Sub(notices[i-1]) < rules.LikeNoticeEvery {
				t.Fatalf("notices at %s and %s", notices[i-1], notices[i])
			}
		}
		for _, like := range likes {
			told := false
			for _, n := range notices {
				told = told || (!n.Before(like) && n.Sub(like) <= rules.LikeNoticeEvery)
			}
			if !told {
				t.Fatalf("the like at %s is never told: %s", like, notices)
			}
		}
	})
}

func TestSorts(t *testing.T) {
	for in, want := range map[string]market.Sort{"": "new", "new": "new", "price_asc": "price_asc", "price_desc": "price_desc"} {
		if got, err := market.ParseSort(in); err != nil || got != want {
			t.Errorf("ParseSort(%q) = %q, %v", in, got, err)
		}
	}
	if _, err := market.ParseSort("price; DROP TABLE items"); market.CodeOf(err) != market.CodeInvalid {
		t.Errorf("an unknown sort: %v", err)
	}
}
