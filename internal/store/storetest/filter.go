package storetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/search"
	"github.com/furima/furima/internal/store"
)

// The brands of tests.
var brands = []market.Brand{{ID: 1, Name: "Komorebi", NameJA: "こもれび"}, {ID: 2, Name: "NORTH PINE"}, {ID: 7, Name: "Unused"}}

// Mixed makes a Batch of items that differ in everything by which they are
// filtered, few of a kind.
func (w *World) Mixed(people, items int, rng *rand.Rand) store.Batch {
	b := w.Batch(market.NewIDs(nil), people, items)
	b.Likes, b.Comments, b.Brands = nil, nil, brands
	pick := func(all ...string) string { return all[rng.IntN(len(all))] }
	for i := range b.Items {
		item := &b.Items[i]
		item.Title = pick("木製", "古い", "新品", "Oak", "", "ｱﾝﾃｨｰｸ") + pick("椅子", "の本", " chair", "テーブル", "本棚") + " " + pick("M", "L", "赤", "🪑", "15巻", "Set")
		item.Brand = []market.BrandID{0, 0, 1, 2}[rng.IntN(4)]
		item.Price = market.Money(300 + 100*rng.IntN(6))
		item.Condition = market.Conditions()[rng.IntN(6)]
		item.State = []market.ItemState{market.ItemOnSale, market.ItemOnSale, market.ItemSold, market.ItemPaused}[rng.IntN(4)]
		item.Photos = nil
	}
	return b
}

// Naive is the list of a query, made of all items by its definition.
func Naive(all []market.Item, q store.ItemQuery) []market.Item {
	above := map[market.CategoryID][]market.CategoryID{books: {0, 2}, tables: {0, 1, 12}, armchairs: {0, 1, 11, 111}}
	names := map[market.BrandID]string{1: "Komorebi こもれび", 2: "NORTH PINE"}
	var list []market.Item
	for _, i := range all {
		state := i.State == cmp.Or(q.State, market.ItemOnSale)
		if q.Seller != 0 {
			state = i.Seller == q.Seller && i.State.Public() && (q.State == "" || i.State == q.State)
		}
		if state && slices.Contains(above[i.Category], q.Category) && (q.Brand == 0 || i.Brand == q.Brand) &&
			(q.Condition == "" || i.Condition == q.Condition) && i.Price >= q.PriceMin && (q.PriceMax == 0 || i.Price <= q.PriceMax) &&
			q.Search.Match(search.Fold(i.Title+" "+names[i.Brand])) {
			list = append(list, i)
		}
	}
	slices.SortFunc(list, func(a, b market.Item) int {
		switch q.Sort {
		case market.SortPriceAsc:
			return cmp.Or(cmp.Compare(a.Price, b.Price), cmp.Compare(a.ID, b.ID))
		case market.SortPriceDesc:
			return cmp.Or(cmp.Compare(b.Price, a.Price), cmp.Compare(b.ID, a.ID))
		}
		return cmp.Compare(b.ID, a.ID)
	})
	return list
}

// Same fails the test unless a list, page by page, is what its definition says.
func (w *World) Same(all []market.Item, q store.ItemQuery) {
	w.Helper()
	want := Naive(all, q)
	if diff := gocmp.Diff(want, w.Walk(q), cmpopts.EquateEmpty(), cmpopts.IgnoreFields(market.Item{}, "Description", "Brand", "Version")); diff != "" {
		w.Fatalf("%+v, %q (-want +got):\n%s", q, q.Search, diff)
	}
}

func testFilters(w *World) {
	b := w.Mixed(5, 600, rand.New(rand.NewPCG(3, 4)))
	_, err := w.Store.Import(w.Ctx, b)
	w.ok(err)
	sorts := []market.Sort{"", market.SortPriceAsc, market.SortPriceDesc}
	queries := []store.ItemQuery{
		{Brand: 1}, {Brand: 7}, {Brand: 2, Category: 1}, {Brand: 2, State: market.ItemSold},
		{State: market.ItemSold}, {State: market.ItemSold, Category: 12}, {State: market.ItemOnSale},
		{Condition: market.ConditionFair}, {Condition: market.ConditionPoor, Category: 1, Brand: 1},
		{PriceMin: 400}, {PriceMax: 500}, {PriceMin: 400, PriceMax: 500}, {PriceMin: 450, PriceMax: 450}, {PriceMin: 500, PriceMax: 500, Category: 2}, {PriceMin: 10_000},
	}
	for _, words := range []string{"椅子", "本", "木製", "chair", "m", "アンティーク", "椅子 赤", "komorebi", "こもれび 椅子", "north", "🪑 chair", "無い"} {
		q := w.words(words)
		queries = append(queries, store.ItemQuery{Search: q}, store.ItemQuery{Search: q, Category: 1}, store.ItemQuery{Search: q, State: market.ItemSold},
			store.ItemQuery{Search: q, Brand: 1}, store.ItemQuery{Search: q, PriceMin: 400, PriceMax: 600, Condition: market.ConditionNew})
	}
	for i, q := range queries {
		for _, q.Sort = range sorts {
			q.Limit = []int{1, 7, 30, 100}[i%4]
			w.Same(b.Items, q)
		}
		q.Sort, q.Seller = "", b.Users[i%5].ID
		w.Same(b.Items, q)
	}
}

func testFiltersRefused(w *World) {
	for name, c := range map[string]struct {
		q      store.ItemQuery
		code   market.Code
		reason market.Reason
	}{
		"condition":   {store.ItemQuery{Condition: "broken"}, market.CodeInvalid, market.ReasonMalformed},
		"state":       {store.ItemQuery{State: market.ItemPaused}, market.CodeInvalid, market.ReasonMalformed},
		"price":       {store.ItemQuery{PriceMin: -1}, market.CodeInvalid, market.ReasonOutOfRange},
		"prices":      {store.ItemQuery{PriceMin: 500, PriceMax: 400}, market.CodeInvalid, market.ReasonOutOfRange},
		"no brand":    {store.ItemQuery{Brand: 99}, market.CodeNotFound, market.ReasonUnknownBrand},
		"no category": {store.ItemQuery{Category: 99, Search: w.words("x")}, market.CodeNotFound, market.ReasonUnknownCategory},
	} {
		_, err := w.Store.Items(w.Ctx, c.q)
		w.refused(name, err, c.code, c.reason)
		_, err = w.Store.ItemFacets(w.Ctx, c.q)
		w.refused(name+", facets", err, c.code, c.reason)
	}
	hana := w.User()
	for range 3 {
		w.titled(hana, "椅子", nil)
	}
	w.index()
	q := store.ItemQuery{Search: w.words("椅子"), PriceMin: 300, Limit: 1}
	cursor := must[store.ItemPage](w)(w.Store.Items(w.Ctx, q)).Next
	for name, other := range map[string]store.ItemQuery{
		"other words": {Search: w.words("机"), PriceMin: 300}, "no words": {PriceMin: 300}, "other price": {Search: q.Search, PriceMin: 301},
		"more": {Search: q.Search, PriceMin: 300, Condition: market.ConditionGood}, "sold": {Search: q.Search, PriceMin: 300, State: market.ItemSold},
		"category": {Search: q.Search, PriceMin: 300, Category: 1}, "seller": {Search: q.Search, PriceMin: 300, Seller: hana},
		"the price as a maximum": {Search: q.Search, PriceMax: 300},
	} {
		other.Cursor = cursor
		_, err := w.Store.Items(w.Ctx, other)
		w.refused("a cursor of another list, "+name, err, market.CodeInvalid, market.ReasonInvalidCursor)
	}
	q.Cursor, q.State = cursor, market.ItemOnSale // the same list
	_, err := w.Store.Items(w.Ctx, q)
	w.ok(err)
}

func testBrands(w *World) {
	hana := w.User()
	change, err := w.Store.Import(w.Ctx, store.Batch{Brands: brands})
	w.ok(err)
	w.tagged("import", change, "categories")
	if got := must[*store.Brands](w)(w.Store.Brands(w.Ctx)); gocmp.Diff(brands, got.All) != "" {
		w.Errorf("brands %+v", got.All)
	}
	item := w.titled(hana, "椅子", func(d *market.ItemDraft) { d.Brand = 1 })
	if got := w.reread(item.ID); got.Brand != 1 {
		w.Errorf("listed with brand %d", got.Brand)
	}
	if d := must[store.ItemDetail](w)(w.Store.ItemDetail(w.Ctx, item.ID)); d.Item.Brand != 1 {
		w.Errorf("the detail has brand %d", d.Item.Brand)
	}
	edit := func(brand market.BrandID) (store.Change, error) {
		_, change, err := w.Store.EditItem(w.Ctx, market.ItemEdit{ID: item.ID, By: hana, Brand: &brand})
		return change, err
	}
	change, err = edit(2)
	w.ok(err)
	w.tagged("another brand", change, "item:"+item.ID.String(), "user:"+hana.String(), "list:all", "list:1", "list:11", "list:111", "list:brand:1", "list:brand:2")
	for brand, want := range map[market.BrandID]int{1: 0, 2: 1} {
		if got := w.Walk(store.ItemQuery{Brand: brand}); len(got) != want {
			w.Errorf("brand %d has %d items, want %d", brand, len(got), want)
		}
	}
	_, err = edit(99)
	w.refused("no brand", err, market.CodeInvalid, market.ReasonUnknownBrand)
	_, err = edit(-1)
	w.refused("a negative brand", err, market.CodeInvalid, market.ReasonUnknownBrand)
	_, err = edit(0)
	w.ok(err)
	_, _, err = w.Store.ListItem(w.Ctx, market.ItemDraft{Seller: hana, Category: tables, Brand: 99, Title: "x", Price: 300, Condition: market.ConditionNew})
	w.refused("a listing of no brand", err, market.CodeInvalid, market.ReasonUnknownBrand)

	renamed := []market.Brand{{ID: 1, Name: "Komorebi & Co"}, {ID: 3, Name: "Third"}}
	_, err = w.Store.Import(w.Ctx, store.Batch{Brands: renamed})
	w.ok(err)
	if got := must[*store.Brands](w)(w.Store.Brands(w.Ctx)); len(got.All) != 4 || got.All[0] != renamed[0] {
		w.Errorf("after a second import: %+v", got.All)
	}
	for _, bad := range []market.Brand{{ID: 0, Name: "x"}, {ID: 5}, {ID: market.MaxCatalogID + 1, Name: "x"}} {
		if _, err := w.Store.Import(w.Ctx, store.Batch{Brands: []market.Brand{bad}}); err == nil {
			w.Errorf("%+v was taken", bad)
		}
	}
}

func testFacets(w *World) {
	b := w.Mixed(5, 300, rand.New(rand.NewPCG(5, 6)))
	_, err := w.Store.Import(w.Ctx, b)
	w.ok(err)
	for _, q := range []store.ItemQuery{{}, {Category: 1}, {Category: 111}, {Search: w.words("椅子")}, {Brand: 1, Category: 1}, {State: market.ItemSold}, {Seller: b.Users[2].ID}} {
		got, err := w.Store.ItemFacets(w.Ctx, q)
		w.ok(err)
		all := Naive(b.Items, q)
		if got.Items != len(all) || !got.Complete {
			w.Errorf("%+v: %d items, complete %t; want %d", q, got.Items, got.Complete, len(all))
		}
		below := map[market.CategoryID]map[market.CategoryID]market.CategoryID{
			0: {books: 2, tables: 1, armchairs: 1}, 1: {tables: 12, armchairs: 11}, 111: {},
		}[q.Category]
		n := map[string]int{}
		for _, i := range all {
			if c := below[i.Category]; c != 0 {
				n[fmt.Sprint("category ", c)]++
			}
			if i.Brand != 0 {
				n[fmt.Sprint("brand ", i.Brand)]++
			}
			n["condition "+string(i.Condition)]++
		}
		have := map[string]int{}
		for _, f := range got.Categories {
			have[fmt.Sprint("category ", f.ID)] = f.Items
		}
		for _, f := range got.Brands {
			have[fmt.Sprint("brand ", f.ID)] = f.Items
		}
		for _, f := range got.Conditions {
			have["condition "+string(f.Condition)] = f.Items
		}
		if diff := gocmp.Diff(n, have); diff != "" {
			w.Errorf("%+v (-want +got):\n%s", q, diff)
		}
	}
}
