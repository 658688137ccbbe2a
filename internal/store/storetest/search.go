package storetest

import (
	"fmt"
	"slices"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/search"
	"github.com/furima/furima/internal/store"
)

// Titled lists an item with a title.
func (w *World) titled(seller market.UserID, title string, change func(*market.ItemDraft)) market.Item {
	w.Helper()
	w.Clock.Add(time.Millisecond)
	d := market.ItemDraft{Seller: seller, Category: armchairs, Title: title, Price: 3000, Condition: market.ConditionGood}
	if change != nil {
		change(&d)
	}
	item, _, err := w.Store.ListItem(w.Ctx, d)
	w.ok(err)
	return item
}

// index does what the jobs of kind item.index do.
func (w *World) index() {
	w.Helper()
	var ids []market.ItemID
	for _, id := range must[[]string](w)(w.column("SELECT id FROM items")) {
		var n int64
		if _, err := fmt.Sscan(id, &n); err != nil {
			w.Fatal(err)
		}
		ids = append(ids, market.ItemID(n))
	}
	_, err := w.Store.IndexItems(w.Ctx, ids...)
	w.ok(err)
}

// words parses a query.
func (w *World) words(typed string) search.Query {
	w.Helper()
	return must[search.Query](w)(search.Parse(typed))
}

// found returns the titles of a whole list, short pages included.
func (w *World) found(q store.ItemQuery) []string {
	w.Helper()
	var titles []string
	for _, item := range w.Walk(q) {
		titles = append(titles, item.Title)
	}
	return titles
}

// Walk reads a list to its end, over short pages too.
func (w *World) Walk(q store.ItemQuery) (all []market.Item) {
	w.Helper()
	for n := 0; ; n++ {
		page, err := w.Store.Items(w.Ctx, q)
		w.ok(err)
		all = append(all, page.Items...)
		if page.Next == "" {
			return all
		}
		if q.Cursor == page.Next || n > 1000 {
			w.Fatal("the list has no end")
		}
		q.Cursor = page.Next
	}
}

func testSearch(w *World) {
	hana := w.User()
	for _, title := range []string{
		"木製の椅子 北欧風", "学校イス リメイク", "古本まとめ売り 10冊", "【新品】ｽﾆｰｶｰ 27cm", "Denim jacket, size M", "DENIM pants, size L",
		"アイスクリームメーカー", "東京 京都 旅行ガイド", "椅子🪑 チェア", "Levi's 501", "Café au lait bowl", "絵本 いすの話", "1〜15巻セット",
	} {
		w.titled(hana, title, nil)
	}
	w.index()
	for query, want := range map[string][]string{
		"椅子":         {"椅子🪑 チェア", "木製の椅子 北欧風"},
		"本":          {"絵本 いすの話", "古本まとめ売り 10冊"},
		"いす":         {"絵本 いすの話", "アイスクリームメーカー", "学校イス リメイク"},
		"イス":         {"絵本 いすの話", "アイスクリームメーカー", "学校イス リメイク"},
		"スニーカー":      {"【新品】ｽﾆｰｶｰ 27cm"},
		"ニーカ":        {"【新品】ｽﾆｰｶｰ 27cm"},
		"denim":      {"DENIM pants, size L", "Denim jacket, size M"},
		"ｄｅｎｉｍ　Ｍ":    {"Denim jacket, size M"},
		"l":          {"DENIM pants, size L"},
		"jack":       {"Denim jacket, size M"},
		"チェア 椅子":     {"椅子🪑 チェア"},
		"🪑":          {"椅子🪑 チェア"},
		"東京都":        nil, // its grams are all there
		"levis":      {"Levi's 501"},
		"LEVI’S 501": {"Levi's 501"},
		"cafe":       {"Café au lait bowl"},
		"15巻":        {"1〜15巻セット"},
		"巻":          {"1〜15巻セット"},
		"椅子 古本":      nil,
		"無い":         nil,
		"の":          nil,
	} {
		for _, limit := range []int{1, 30} {
			if diff := gocmp.Diff(want, w.found(store.ItemQuery{Search: w.words(query), Limit: limit})); diff != "" {
				w.Errorf("%q, %d a page (-want +got):\n%s", query, limit, diff)
			}
		}
	}
	if page := must[store.ItemPage](w)(w.Store.Items(w.Ctx, store.ItemQuery{Search: w.words("椅子")})); page.Items[0].Description != "" || page.Items[0].Price != 3000 {
		w.Errorf("found: %+v", page.Items[0])
	}
}

// testSearchFollows holds what is seen at once, and what after the index.
func testSearchFollows(w *World) {
	hana, taro := w.User(), w.User()
	item := w.titled(hana, "木製の椅子", nil)
	w.titled(hana, "椅子カバー", func(d *market.ItemDraft) { d.Price = 900 })
	n := 0
	seen := func(what string, q store.ItemQuery, want ...string) {
		w.Helper()
		if got := w.found(q); !slices.Equal(got, want) {
			w.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	indexing := func(what string, more int) {
		w.Helper()
		stats, err := job.NewQueue(w.DB, job.Options{Now: w.Clock.Now}).Stats(w.Ctx)
		w.ok(err)
		now := 0
		for _, s := range stats {
			if s.Kind == store.KindItemIndex {
				now += int(s.Count)
			}
		}
		if now-n != more {
			w.Errorf("%s: %d jobs to index, want %d", what, now-n, more)
		}
		n = now
	}
	chairs := store.ItemQuery{Search: w.words("椅子")}
	sold := store.ItemQuery{Search: w.words("椅子"), State: market.ItemSold}
	byPrice := store.ItemQuery{Search: w.words("椅子"), Sort: market.SortPriceAsc}
	edit := func(e market.ItemEdit) {
		w.Helper()
		w.Clock.Add(time.Second)
		e.ID, e.By = item.ID, hana
		var err error
		item, _, err = w.Store.EditItem(w.Ctx, e)
		w.ok(err)
	}
	indexing("two listings", 2)
	seen("before the index", chairs)
	w.index()
	seen("after", chairs, "椅子カバー", "木製の椅子")

	edit(market.ItemEdit{Price: ptr(market.Money(500))})
	indexing("another price", 1)
	seen("by price, before the index", byPrice, "椅子カバー") // not in a place that is not its own
	seen("by age, before the index", chairs, "椅子カバー", "木製の椅子")
	w.index()
	seen("by price", byPrice, "木製の椅子", "椅子カバー")

	edit(market.ItemEdit{Title: ptr("木製の机")})
	indexing("another title", 1)
	seen("a title that does not match any more", chairs, "椅子カバー")
	w.index()
	seen("the new title", store.ItemQuery{Search: w.words("机")}, "木製の机")
	edit(market.ItemEdit{Title: ptr("木製の椅子")})
	w.index()
	indexing("back", 1)
	edit(market.ItemEdit{Description: ptr("椅子")})
	indexing("a description", 0)

	edit(market.ItemEdit{Event: market.ItemPause})
	indexing("paused", 1)
	seen("paused", chairs, "椅子カバー")
	w.index()
	edit(market.ItemEdit{Event: market.ItemResume})
	w.index()
	indexing("resumed", 1)
	seen("resumed", chairs, "椅子カバー", "木製の椅子")

	order := w.reserve(w.reread(item.ID), taro)
	indexing("reserved", 0)
	seen("reserved", chairs, "椅子カバー")
	_, _, err := w.Store.ReleaseOrder(w.Ctx, order.ID, market.OrderDeclined, market.ReasonDeclined)
	w.ok(err)
	seen("released", chairs, "椅子カバー", "木製の椅子")
	order = w.reserve(w.reread(item.ID), taro)
	_, _, err = w.Store.SettleOrder(w.Ctx, order.ID, w.charge(order))
	w.ok(err)
	seen("sold, before the index", chairs, "椅子カバー")
	w.index()
	seen("sold", chairs, "椅子カバー")
	seen("what was sold", sold, "木製の椅子")
	seen("what was sold, by category", store.ItemQuery{Category: 1, State: market.ItemSold}, "木製の椅子")
	w.index() // again does nothing
	seen("what was sold, again", sold, "木製の椅子")
	_, err = w.Store.IndexItems(w.Ctx, 12345)
	w.refused("no item", err, market.CodeNotFound, "")

	// Whatever comes to match purges the cached answers of the words.
	desk := w.titled(hana, "机と椅子", nil)
	change := must[store.Change](w)(w.Store.IndexItems(w.Ctx, desk.ID))
	for _, words := range []string{"机", "椅子", "机 椅子", "と椅"} {
		if !slices.Contains(change.Tags, store.TagWords(w.words(words))) {
			w.Errorf("%q: the tag %s is not in %q", words, store.TagWords(w.words(words)), change.Tags)
		}
	}
	change = must[store.Change](w)(w.Store.IndexItems(w.Ctx, desk.ID))
	w.tagged("again", change)
}

// testSearchReadsLittle looks for what is rare among what is common: no page
// reads everything, and the pages together have all of it.
func testSearchReadsLittle(w *World) {
	const items = 5*store.MaxExamined + 100
	b := w.Batch(market.NewIDs(nil), 20, items)
	b.Likes, b.Comments = nil, nil
	rare := 0
	for i := range b.Items {
		b.Items[i].State = market.ItemOnSale
		b.Items[i].Title = []string{"赤い椅子カバー", "椅子のカバー"}[i%2] // they share all grams but one
		if i%400 == 7 {
			b.Items[i].Condition = market.ConditionPoor
			rare++
		}
	}
	_, err := w.Store.Import(w.Ctx, b)
	w.ok(err)
	for _, q := range []store.ItemQuery{
		{Search: w.words("椅子"), Condition: market.ConditionPoor},
		{Search: w.words("椅子"), Condition: market.ConditionPoor, Sort: market.SortPriceDesc},
		{Condition: market.ConditionPoor, Sort: market.SortPriceAsc},
		{Condition: market.ConditionPoor},
	} {
		q.Limit = 2
		first := must[store.ItemPage](w)(w.Store.Items(w.Ctx, q))
		if len(first.Items) > 2 || first.Next == "" {
			w.Errorf("%+v: the first page has %d items, next %q", q, len(first.Items), first.Next)
		}
		all := w.Walk(q)
		if len(all) != rare {
			w.Errorf("%+v: %d items, want %d", q, len(all), rare)
		}
	}
	// One gram of the word is rare, and it is the one that is read.
	if page := must[store.ItemPage](w)(w.Store.Items(w.Ctx, store.ItemQuery{Search: w.words("椅子の 無い"), Limit: 2})); len(page.Items) != 0 || page.Next != "" {
		w.Errorf("a word that nothing has: %+v", page)
	}
	f := must[store.Facets](w)(w.Store.ItemFacets(w.Ctx, store.ItemQuery{Search: w.words("椅子")}))
	if f.Complete || f.Items != store.MaxCounted {
		w.Errorf("facets of too much: %d items, complete %t", f.Items, f.Complete)
	}
}

// testSearchGrows holds that a reader who pages through a search while others list
// and sell sees nothing twice and misses nothing that was there all the time.
func testSearchGrows(w *World) {
	hana, taro := w.User(), w.User()
	var first []market.Item
	for i := range 40 {
		first = append(first, w.titled(hana, "椅子", func(d *market.ItemDraft) { d.Price = market.Money(300 + 100*(i%3)) }))
	}
	w.index()
	for _, sort := range []market.Sort{market.SortNew, market.SortPriceAsc, market.SortPriceDesc} {
		q := store.ItemQuery{Search: w.words("椅子"), Category: 1, Sort: sort, Limit: 6}
		seen, gone := map[market.ItemID]bool{}, map[market.ItemID]bool{}
		for n := 0; ; n++ {
			page := must[store.ItemPage](w)(w.Store.Items(w.Ctx, q))
			for _, i := range page.Items {
				if seen[i.ID] || i.State != market.ItemOnSale {
					w.Fatalf("%s: item %s twice, or %s", sort, i.ID, i.State)
				}
				seen[i.ID] = true
			}
			if page.Next == "" {
				break
			}
			q.Cursor = page.Next
			fresh := w.titled(hana, "椅子", func(d *market.ItemDraft) { d.Price = market.Money(300 + 100*(n%3)) })
			_, err := w.Store.IndexItems(w.Ctx, fresh.ID)
			w.ok(err)
			if i := w.reread(first[(n*7)%len(first)].ID); i.State == market.ItemOnSale {
				w.reserve(i, taro)
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

// testIndexRace has many index the same items while their seller edits them: in
// the end the index is that of the last edit.
func testIndexRace(w *World) {
	hana := w.User()
	items := []market.Item{w.titled(hana, "椅子", nil), w.titled(hana, "机", nil)}
	w.ok(joined(everyone(8, func(n int) error {
		for i := range 6 {
			item := items[(n+i)%2]
			title := fmt.Sprintf("椅子 %d番", n*10+i)
			if _, _, err := w.Store.EditItem(w.Ctx, market.ItemEdit{ID: item.ID, By: hana, Title: &title}); err != nil {
				return err
			}
			if _, err := w.Store.IndexItems(w.Ctx, items[i%2].ID, items[(i+1)%2].ID); err != nil {
				return err
			}
		}
		return nil
	})))
	w.index()
	for _, item := range items {
		title := w.reread(item.ID).Title
		if got := w.found(store.ItemQuery{Search: w.words(title)}); !slices.Contains(got, title) {
			w.Errorf("%q finds %q", title, got)
		}
	}
	if got := w.Walk(store.ItemQuery{Search: w.words("番")}); len(got) != 2 {
		w.Errorf("%d items are found, want 2", len(got))
	}
}
