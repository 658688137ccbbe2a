package storetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/store"
)

// Photo stores one more photo of a person.
func (w *World) photo(owner market.UserID, name string) market.PhotoID {
	w.Helper()
	p, err := w.Store.AddPhoto(w.Ctx, market.Photo{Owner: owner, Name: name, Width: 1600, Height: 1200})
	w.ok(err)
	return p.ID
}

func testPhotos(w *World) {
	hana, taro := w.User(), w.User()
	a, b, c := w.photo(hana, "aaaa"), w.photo(hana, "bbbb"), w.photo(hana, "cccc")
	others := w.photo(taro, "dddd")
	draft := market.ItemDraft{Seller: hana, Category: tables, Title: "Desk", Price: 3000, Condition: market.ConditionNew, Photos: []market.PhotoID{c, a}}
	item, _, err := w.Store.ListItem(w.Ctx, draft)
	w.ok(err)
	want := []market.Photo{{ID: c, Name: "cccc", Width: 1600, Height: 1200}, {ID: a, Name: "aaaa", Width: 1600, Height: 1200}}
	if diff := gocmp.Diff(want, item.Photos); diff != "" {
		w.Errorf("listed (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff(want, w.reread(item.ID).Photos); diff != "" {
		w.Errorf("read (-want +got):\n%s", diff)
	}
	for name, ids := range map[string][]market.PhotoID{
		"in another item": {a},
		"somebody else's": {b, others},
		"unknown":         {b, 12345},
	} {
		draft.Photos = ids
		_, _, err := w.Store.ListItem(w.Ctx, draft)
		w.refused(name, err, market.CodeInvalid, market.ReasonUnknownPhoto)
	}
	// Nothing of a refused listing stays: b is still free.
	edit := func(ids ...market.PhotoID) market.Item {
		w.Helper()
		item, _, err := w.Store.EditItem(w.Ctx, market.ItemEdit{ID: item.ID, By: hana, Photos: &ids})
		w.ok(err)
		return item
	}
	if got := edit(b, c); got.Version != 2 || len(got.Photos) != 2 || got.Photos[0].ID != b || got.Photos[1].ID != c {
		w.Errorf("after an edit: version %d, %+v", got.Version, got.Photos)
	}
	if got := edit(b, c); got.Version != 2 {
		w.Errorf("the same photos made version %d", got.Version)
	}
	if got := edit(c, b); got.Version != 3 || got.Photos[0].ID != c {
		w.Errorf("another order: version %d, %+v", got.Version, got.Photos)
	}
	_, _, err = w.Store.EditItem(w.Ctx, market.ItemEdit{ID: item.ID, By: hana, Photos: &[]market.PhotoID{others}})
	w.refused("an edit with somebody else's", err, market.CodeInvalid, market.ReasonUnknownPhoto)
	if got := w.reread(item.ID); len(got.Photos) != 2 || got.Version != 3 {
		w.Errorf("a refused edit left version %d, %+v", got.Version, got.Photos)
	}
	// What the edit let go can be shown by another item.
	draft.Photos = []market.PhotoID{a}
	_, _, err = w.Store.ListItem(w.Ctx, draft)
	w.ok(err)
	if got := edit(); got.Photos != nil {
		w.Errorf("without photos: %+v", got.Photos)
	}
}

func testListing(w *World) {
	hana := w.User()
	draft := market.ItemDraft{
		Seller: hana, Category: armchairs, Title: " 木製の椅子 🪑 ", Description: "Two\r\nlines", Price: 4500, Condition: market.ConditionLikeNew,
	}
	item, change, err := w.Store.ListItem(w.Ctx, draft)
	w.ok(err)
	w.tagged("listing", change, "list:all", "list:1", "list:11", "list:111", "user:"+hana.String())
	now := w.Clock.Now()
	want := market.Item{
		ID: item.ID, Seller: hana, Category: armchairs, Title: "木製の椅子 🪑", Description: "Two\nlines", Price: 4500,
		Condition: market.ConditionLikeNew, State: market.ItemOnSale, Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	if diff := gocmp.Diff(want, item); diff != "" {
		w.Errorf("listed (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff(want, w.reread(item.ID)); diff != "" {
		w.Errorf("read (-want +got):\n%s", diff)
	}
	detail, err := w.Store.ItemDetail(w.Ctx, item.ID)
	w.ok(err)
	if diff := gocmp.Diff(store.ItemDetail{
		Item: want, SellerName: "Person 1", Path: []market.Category{categories[0], categories[2], categories[4]},
	}, detail); diff != "" {
		w.Errorf("detail (-want +got):\n%s", diff)
	}
	page, err := w.Store.Items(w.Ctx, store.ItemQuery{})
	want.Description = ""
	if diff := gocmp.Diff(store.ItemPage{Items: []market.Item{want}}, page); err != nil || diff != "" {
		w.Errorf("list: %v (-want +got):\n%s", err, diff)
	}

	for name, c := range map[string]struct {
		category market.CategoryID
		title    string
		faults   int
		reason   market.Reason
	}{
		"category with others below": {11, "x", 1, market.ReasonUnknownCategory},
		"unknown category":           {999, "x", 1, market.ReasonUnknownCategory},
		"no category":                {0, "x", 1, market.ReasonRequired},
		"negative category":          {-1, "x", 1, market.ReasonRequired},
		"title and category":         {999, "", 2, market.ReasonRequired},
	} {
		d := draft
		d.Category, d.Title = c.category, c.title
		_, _, err := w.Store.ListItem(w.Ctx, d)
		w.refused(name, err, market.CodeInvalid, c.reason)
		if n := len(market.Faults(err)); n != c.faults {
			w.Errorf("%s: %d faults, want %d: %v", name, n, c.faults, err)
		}
	}
	_, err = w.Store.Item(w.Ctx, item.ID+1)
	w.refused("no item", err, market.CodeNotFound, "")
	_, err = w.Store.ItemDetail(w.Ctx, item.ID+1)
	w.refused("no detail", err, market.CodeNotFound, "")
	w.jobs("a listing tells nobody")

	// The longest texts fit.
	draft.Title, draft.Description = strings.Repeat("🪑", 80), strings.Repeat("👩", 3000)
	item, _, err = w.Store.ListItem(w.Ctx, draft)
	w.ok(err)
	if got := w.reread(item.ID); got.Title != draft.Title || got.Description != draft.Description {
		w.Errorf("the longest texts came back with %d and %d bytes", len(got.Title), len(got.Description))
	}
}

// testLists holds every list, page by page, against the same list made in
// memory.
func testLists(w *World) {
	rng := rand.New(rand.NewPCG(1, 2))
	sellers := []market.UserID{w.User(), w.User(), w.User()}
	leaves := []market.CategoryID{books, tables, armchairs}
	above := map[market.CategoryID][]market.CategoryID{books: {0, 2}, tables: {0, 1, 12}, armchairs: {0, 1, 11, 111}}
	var all []market.Item
	for range 160 {
		// Few prices, so that pages begin and end among items of one price.
		item := w.Item(sellers[rng.IntN(3)], leaves[rng.IntN(3)], market.Money(300+100*rng.IntN(4)))
		if rng.IntN(4) == 0 {
			var err error
			item, _, err = w.Store.EditItem(w.Ctx, market.ItemEdit{
				ID: item.ID, By: item.Seller, Event: []market.ItemEvent{market.ItemPause, market.ItemWithdraw}[rng.IntN(2)],
			})
			w.ok(err)
		}
		item.Description = ""
		all = append(all, item)
	}
	compare := map[market.Sort]func(a, b market.Item) int{
		market.SortNew:       func(a, b market.Item) int { return cmp.Compare(b.ID, a.ID) },
		market.SortPriceAsc:  func(a, b market.Item) int { return cmp.Or(cmp.Compare(a.Price, b.Price), cmp.Compare(a.ID, b.ID)) },
		market.SortPriceDesc: func(a, b market.Item) int { return cmp.Or(cmp.Compare(b.Price, a.Price), cmp.Compare(b.ID, a.ID)) },
	}
	check := func(q store.ItemQuery, in func(market.Item) bool) {
		w.Helper()
		var want []market.Item
		for _, i := range all {
			if in(i) {
				want = append(want, i)
			}
		}
		slices.SortFunc(want, compare[cmp.Or(q.Sort, market.SortNew)])
		for _, limit := range []int{1, 7, 30, min(len(want), 100), 100} {
			q.Limit = limit
			if diff := gocmp.Diff(want, w.pages(q)); diff != "" {
				w.Fatalf("%+v (-want +got):\n%s", q, diff)
			}
		}
	}
	for _, category := range []market.CategoryID{0, 1, 2, 11, 12, 111} {
		for _, sort := range []market.Sort{"", market.SortNew, market.SortPriceAsc, market.SortPriceDesc} {
			check(store.ItemQuery{Category: category, Sort: sort}, func(i market.Item) bool {
				return i.State == market.ItemOnSale && slices.Contains(above[i.Category], category)
			})
		}
	}
	for _, seller := range sellers {
		check(store.ItemQuery{Seller: seller}, func(i market.Item) bool { return i.Seller == seller && i.State.Public() })
		check(store.ItemQuery{Seller: seller, Away: true}, func(i market.Item) bool { return i.Seller == seller && !i.State.Public() })
	}
	if page := must[store.ItemPage](w)(w.Store.Items(w.Ctx, store.ItemQuery{Limit: 1000})); len(page.Items) != 100 {
		w.Errorf("a limit of 1000 gives %d items, want 100", len(page.Items))
	}
	if page := must[store.ItemPage](w)(w.Store.Items(w.Ctx, store.ItemQuery{})); len(page.Items) != 30 {
		w.Errorf("no limit gives %d items, want 30", len(page.Items))
	}
}

// pages reads a list to its end.
func (w *World) pages(q store.ItemQuery) (all []market.Item) {
	w.Helper()
	for n := 0; ; n++ {
		page, err := w.Store.Items(w.Ctx, q)
		w.ok(err)
		if len(page.Items) > q.Limit || (page.Next != "" && len(page.Items) < q.Limit) {
			w.Fatalf("a page of %d items, next %q, limit %d", len(page.Items), page.Next, q.Limit)
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all
		}
		if q.Cursor = page.Next; n > 200 {
			w.Fatal("the list has no end")
		}
	}
}

// testListsGrow holds that a reader who pages while others list and sell sees
// no item twice and misses none that was there all the time.
func testListsGrow(w *World) {
	hana, taro := w.User(), w.User()
	var first []market.Item
	for i := range 40 {
		first = append(first, w.Item(hana, tables, market.Money(300+100*(i%3))))
	}
	for _, sort := range []market.Sort{market.SortNew, market.SortPriceAsc, market.SortPriceDesc} {
		q := store.ItemQuery{Category: 1, Sort: sort, Limit: 6}
		seen := map[market.ItemID]bool{}
		gone := map[market.ItemID]bool{}
		for n := 0; ; n++ {
			page, err := w.Store.Items(w.Ctx, q)
			w.ok(err)
			for _, i := range page.Items {
				if seen[i.ID] {
					w.Fatalf("%s: item %s twice", sort, i.ID)
				}
				seen[i.ID] = true
			}
			if page.Next == "" {
				break
			}
			q.Cursor = page.Next
			w.Item(hana, tables, market.Money(300+100*(n%3)))
			victim := first[(n*7)%len(first)]
			if i := w.reread(victim.ID); i.State == market.ItemOnSale {
				_, _, err := w.Store.ReserveItem(w.Ctx, market.Purchase{Item: i.ID, Buyer: taro, ExpectedPrice: i.Price})
				w.ok(err)
				gone[i.ID] = true
			}
		}
		for _, i := range first {
			if !seen[i.ID] && !gone[i.ID] && w.reread(i.ID).State == market.ItemOnSale {
				w.Errorf("%s: item %s was there all the time and was not seen", sort, i.ID)
			}
		}
	}
}

func testCursors(w *World) {
	hana := w.User()
	for range 5 {
		w.Item(hana, tables, 3000)
	}
	q := store.ItemQuery{Category: tables, Sort: market.SortPriceAsc, Limit: 2}
	page := must[store.ItemPage](w)(w.Store.Items(w.Ctx, q))
	q.Cursor = page.Next
	for name, other := range map[string]store.ItemQuery{
		"tampered":         {Category: tables, Sort: market.SortPriceAsc, Cursor: "B" + q.Cursor[1:]},
		"cut":              {Category: tables, Sort: market.SortPriceAsc, Cursor: q.Cursor[:9]},
		"another category": {Category: 1, Sort: market.SortPriceAsc, Cursor: q.Cursor},
		"another sort":     {Category: tables, Sort: market.SortPriceDesc, Cursor: q.Cursor},
		"another kind":     {Seller: hana, Cursor: q.Cursor},
	} {
		_, err := w.Store.Items(w.Ctx, other)
		w.refused(name, err, market.CodeInvalid, market.ReasonInvalidCursor)
	}
	_, err := w.Store.Comments(w.Ctx, page.Items[0].ID, q.Cursor, 0)
	w.refused("comments", err, market.CodeInvalid, market.ReasonInvalidCursor)
	_, err = w.Store.Orders(w.Ctx, store.OrderQuery{User: hana, Cursor: q.Cursor})
	w.refused("orders", err, market.CodeInvalid, market.ReasonInvalidCursor)

	// Another process, or this one after a restart, takes the cursor, with
	// another limit too.
	q.Limit = 3
	next, err := w.another(nil).Items(w.Ctx, q)
	if err != nil || len(next.Items) != 3 || next.Next != "" {
		w.Errorf("from another process: %d items, next %q, %v", len(next.Items), next.Next, err)
	}
	// Many processes that begin at once agree on one key.
	stores := make([]*store.Store, 8)
	for i := range stores {
		stores[i] = w.another(nil)
	}
	w.ok(joined(everyone(8, func(i int) error { _, err := stores[i].Items(w.Ctx, q); return err })))

	_, err = w.Store.Items(w.Ctx, store.ItemQuery{Sort: "random"})
	w.refused("an unknown sort", err, market.CodeInvalid, market.ReasonMalformed)
	_, err = w.Store.Items(w.Ctx, store.ItemQuery{Seller: hana, Sort: market.SortPriceAsc})
	w.refused("a seller's list by price", err, market.CodeInvalid, market.ReasonMalformed)
}

func joined(errs []error) error {
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("number %d: %w", i, err)
		}
	}
	return nil
}

func ptr[T any](v T) *T { return &v }

func testEdit(w *World) {
	hana, taro := w.User(), w.User()
	item := w.Item(hana, tables, 3000)
	w.Clock.Add(time.Minute)
	got, change, err := w.Store.EditItem(w.Ctx, market.ItemEdit{ID: item.ID, By: hana, Version: 1, Title: ptr("Desk"), Description: ptr("Big.")})
	w.ok(err)
	want := item
	want.Title, want.Description, want.Version, want.UpdatedAt = "Desk", "Big.", 2, w.Clock.Now()
	if diff := gocmp.Diff(want, got); diff != "" {
		w.Errorf("edited (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff(want, w.reread(item.ID)); diff != "" {
		w.Errorf("read (-want +got):\n%s", diff)
	}
	w.tagged("a new title", change, "item:"+item.ID.String(), "user:"+hana.String())

	_, _, err = w.Store.EditItem(w.Ctx, market.ItemEdit{ID: item.ID, By: hana, Version: 1, Title: ptr("Late")})
	w.refused("an old version", err, market.CodeConflict, market.ReasonVersionMismatch)
	_, _, err = w.Store.EditItem(w.Ctx, market.ItemEdit{ID: item.ID, By: taro, Title: ptr("Mine")})
	w.refused("somebody else", err, market.CodeForbidden, market.ReasonNotYours)
	_, _, err = w.Store.EditItem(w.Ctx, market.ItemEdit{ID: item.ID + 1, By: hana, Title: ptr("None")})
	w.refused("no item", err, market.CodeNotFound, "")
	_, _, err = w.Store.EditItem(w.Ctx, market.ItemEdit{ID: item.ID, By: hana, Category: ptr(market.CategoryID(11))})
	w.refused("no leaf", err, market.CodeInvalid, market.ReasonUnknownCategory)
	_, _, err = w.Store.EditItem(w.Ctx, market.ItemEdit{ID: item.ID, By: hana, Category: ptr(market.CategoryID(0))})
	w.refused("no category", err, market.CodeInvalid, market.ReasonRequired)
	same, change, err := w.Store.EditItem(w.Ctx, market.ItemEdit{ID: item.ID, By: hana, Title: ptr("Desk")})
	if err != nil || same.Version != 2 {
		w.Errorf("nothing new: version %d, %v", same.Version, err)
	}
	w.tagged("nothing new", change)

	// Of many who edit the version that they saw, one wins.
	errs := everyone(10, func(i int) error {
		_, _, err := w.Store.EditItem(w.Ctx, market.ItemEdit{ID: item.ID, By: hana, Version: 2, Title: ptr(fmt.Sprint("Desk ", i))})
		return err
	})
	if got := tally(errs); got != "ok 1, version_mismatch 9" {
		w.Errorf("ten edits of one version: %s", got)
	}
}

func testEditLists(w *World) {
	hana := w.User()
	item := w.Item(hana, armchairs, 3000)
	in := func(lists ...market.CategoryID) {
		w.Helper()
		for _, c := range []market.CategoryID{0, 1, 2, 11, 12, 111} {
			for _, sort := range []market.Sort{market.SortNew, market.SortPriceAsc} {
				n := 0
				if slices.Contains(lists, c) {
					n = 1
				}
				page := must[store.ItemPage](w)(w.Store.Items(w.Ctx, store.ItemQuery{Category: c, Sort: sort}))
				if len(page.Items) != n {
					w.Errorf("list %d by %s has %d items, want %d", c, sort, len(page.Items), n)
				}
			}
		}
	}
	edit := func(e market.ItemEdit, tags ...string) {
		w.Helper()
		e.ID, e.By = item.ID, hana
		_, change, err := w.Store.EditItem(w.Ctx, e)
		w.ok(err)
		w.tagged("edit", change, append(tags, "item:"+item.ID.String(), "user:"+hana.String())...)
	}
	in(0, 1, 11, 111)
	edit(market.ItemEdit{Price: ptr(market.Money(5000))}, "list:all", "list:1", "list:11", "list:111")
	in(0, 1, 11, 111)
	edit(market.ItemEdit{Category: ptr(tables), Price: ptr(market.Money(700))}, "list:all", "list:1", "list:11", "list:111", "list:12")
	in(0, 1, 12)
	edit(market.ItemEdit{Event: market.ItemPause}, "list:all", "list:1", "list:12")
	in()
	edit(market.ItemEdit{Category: ptr(books), Price: ptr(market.Money(800))}) // while it is away
	in()
	edit(market.ItemEdit{Event: market.ItemResume}, "list:all", "list:2")
	in(0, 2)
	edit(market.ItemEdit{Event: market.ItemWithdraw}, "list:all", "list:2")
	in()
	_, _, err := w.Store.EditItem(w.Ctx, market.ItemEdit{ID: item.ID, By: hana, Event: market.ItemResume})
	w.refused("back after it was withdrawn", err, market.CodeConflict, market.ReasonItemNotOnSale)
}
