package api_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/store"
)

// brands makes two brands.
func (b *bench) brands() {
	b.t.Helper()
	change, err := b.store.Import(b.t.Context(), store.Batch{Brands: []market.Brand{{ID: 7, Name: "Komorebi", NameJA: "こもれび"}, {ID: 8, Name: "NORTH PINE"}}})
	must(b.t, err)
	b.cache.Purge(change.Tags...)
}

// indexed lists an item and has it indexed.
func (b *bench) indexed(seller *client.Client, n client.NewItem) client.Item {
	b.t.Helper()
	item, err := seller.ListItem(b.t.Context(), n)
	must(b.t, err)
	b.index(item.ID)
	return item
}

func (b *bench) index(id string) {
	b.t.Helper()
	item, err := market.ParseItemID(id)
	must(b.t, err)
	must(b.t, b.run(store.KindItemIndex, store.ItemRef{Item: item}))
}

// titles returns the titles of a whole list.
func (b *bench) titles(q client.ItemQuery) []string {
	b.t.Helper()
	got := []string{}
	for item, err := range b.client.AllItems(b.t.Context(), q) {
		must(b.t, err)
		got = append(got, item.Title)
	}
	return got
}

func TestSearch(t *testing.T) {
	b := newBench(t, options{})
	b.brands()
	ken, me := b.person("Ken")
	chair := b.indexed(ken, client.NewItem{Title: "木製の椅子", Price: 3000, CategoryID: 2, Condition: "good", BrandID: 7})
	b.indexed(ken, client.NewItem{Title: "Denim ジャケット", Price: 500, CategoryID: 2, Condition: "new", BrandID: 8})
	b.indexed(ken, client.NewItem{Title: "古本と椅子", Price: 900, CategoryID: 4, Condition: "poor"})
	for name, c := range map[string]struct {
		q    client.ItemQuery
		want []string
	}{
		"two characters":   {client.ItemQuery{Text: "椅子"}, []string{"古本と椅子", "木製の椅子"}},
		"by price":         {client.ItemQuery{Text: "椅子", Sort: client.SortPriceDesc}, []string{"木製の椅子", "古本と椅子"}},
		"one character":    {client.ItemQuery{Text: "本"}, []string{"古本と椅子"}},
		"kana":             {client.ItemQuery{Text: "じゃけっと"}, []string{"Denim ジャケット"}},
		"width and case":   {client.ItemQuery{Text: "ＤＥＮＩＭ"}, []string{"Denim ジャケット"}},
		"two words":        {client.ItemQuery{Text: "椅子 木製"}, []string{"木製の椅子"}},
		"the brand's name": {client.ItemQuery{Text: "komorebi"}, []string{"木製の椅子"}},
		"brand":            {client.ItemQuery{Brand: 8}, []string{"Denim ジャケット"}},
		"condition":        {client.ItemQuery{Condition: "poor"}, []string{"古本と椅子"}},
		"category":         {client.ItemQuery{Text: "椅子", Category: 1}, []string{"木製の椅子"}},
		"prices":           {client.ItemQuery{PriceMin: 501, PriceMax: 3000}, []string{"古本と椅子", "木製の椅子"}},
		"seller":           {client.ItemQuery{Text: "椅子", Seller: me.ID, Category: 4}, []string{"古本と椅子"}},
		"sold":             {client.ItemQuery{Text: "椅子", State: client.Sold}, []string{}},
		"nothing":          {client.ItemQuery{Text: "自転車"}, []string{}},
	} {
		if diff := cmp.Diff(c.want, b.titles(c.q)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		c.q.Limit = 1
		if diff := cmp.Diff(c.want, b.titles(c.q)); diff != "" {
			t.Errorf("%s, one a page (-want +got):\n%s", name, diff)
		}
	}
	if got, err := b.client.Item(t.Context(), chair.ID); err != nil || got.BrandID != 7 {
		t.Errorf("%+v, %v", got, err)
	}
	catalog, err := b.client.Catalog(t.Context())
	must(t, err)
	if diff := cmp.Diff([]client.Brand{{ID: 7, Name: client.Text{JA: "こもれび", EN: "Komorebi"}}, {ID: 8, Name: client.Text{JA: "NORTH PINE", EN: "NORTH PINE"}}}, catalog.Brands); diff != "" {
		t.Errorf("brands (-want +got):\n%s", diff)
	}
	facets, err := b.client.ItemFacets(t.Context(), client.ItemQuery{Text: "椅子", Limit: 5, Sort: client.SortPriceAsc})
	must(t, err)
	if diff := cmp.Diff(client.ItemFacets{
		Items: 2, Complete: true, Categories: []client.CategoryFacet{{ID: 1, Items: 1}, {ID: 4, Items: 1}},
		Brands: []client.BrandFacet{{ID: 7, Items: 1}}, Conditions: []client.ConditionFacet{{ID: "good", Items: 1}, {ID: "poor", Items: 1}},
	}, facets); diff != "" {
		t.Errorf("facets (-want +got):\n%s", diff)
	}
	none := 0
	item, err := ken.ChangeItem(t.Context(), chair.ID, client.ItemPatch{BrandID: &none})
	if err != nil || item.BrandID != 0 || len(b.titles(client.ItemQuery{Brand: 7})) != 0 {
		t.Errorf("without its brand: %+v, %v", item, err)
	}
	_, err = ken.ListItem(t.Context(), client.NewItem{Title: "x", Price: 500, CategoryID: 2, Condition: "new", BrandID: 99})
	if p := problem(t, err); p.Status != 422 || len(p.Errors) != 1 || p.Errors[0].Pointer != "/brand_id" {
		t.Errorf("an unknown brand: %+v", p)
	}
}

// TestSearchIsCurrent holds what a cached search shows after a change.
func TestSearchIsCurrent(t *testing.T) {
	b := newBench(t, options{})
	ken, _ := b.person("Ken")
	eve, _ := b.person("Eve")
	chair := b.indexed(ken, client.NewItem{Title: "木製の椅子", Price: 3000, CategoryID: 2, Condition: "good"})
	q := client.ItemQuery{Text: "椅子"}
	want := func(what string, titles ...string) {
		t.Helper()
		if got := b.titles(q); !slices.Equal(got, titles) {
			t.Errorf("%s: %q, want %q", what, got, titles)
		}
	}
	want("first", "木製の椅子")
	if res := b.get("/v1/items?q=" + url.QueryEscape("　椅子 椅子") + "&sort=new&state=on_sale"); !strings.Contains(res.Header.Get("Cache-Status"), "hit") {
		t.Errorf("the same question in other words: %s", res.Header.Get("Cache-Status"))
	}
	b.indexed(ken, client.NewItem{Title: "椅子カバー", Price: 300, CategoryID: 4, Condition: "new"})
	want("one more", "椅子カバー", "木製の椅子")
	title := "木製のイス"
	_, err := ken.ChangeItem(t.Context(), chair.ID, client.ItemPatch{Title: &title})
	must(t, err)
	want("another title", "椅子カバー") // at once
	title = "白い椅子"
	_, err = ken.ChangeItem(t.Context(), chair.ID, client.ItemPatch{Title: &title})
	must(t, err)
	b.index(chair.ID)
	want("and another", "椅子カバー", "白い椅子")
	_, err = eve.Buy(t.Context(), client.NewOrder{ItemID: chair.ID, ExpectedPrice: 3000, PaymentToken: "tok_ok"})
	must(t, err)
	want("sold", "椅子カバー") // at once
	b.index(chair.ID)
	want("sold and indexed", "椅子カバー")
	q.State = client.Sold
	want("what was sold", "白い椅子")
}

func TestSearchRefused(t *testing.T) {
	b := newBench(t, options{})
	for query, pointer := range map[string]string{
		"q=":                               "q",
		"q=%21%3F":                         "q",
		"q=" + strings.Repeat("x", 101):    "q",
		"q=a+b+c+d+e+f+g+h+i+j+k":          "q",
		"q=" + strings.Repeat("%41", 3000): "q",
		"brand=0":                          "brand",
		"brand=x":                          "brand",
		"condition=broken":                 "condition",
		"price_min=-1":                     "price_min",
		"price_max=1e3":                    "price_max",
		"price_max=99999999999999":         "price_max",
		"price_min=5&price_max=4":          "price_max",
		"state=paused":                     "state",
		"category=1099511627776":           "category",
		"words=x":                          "words",
	} {
		for _, path := range []string{"/v1/items?", "/v1/items/facets?"} {
			res := b.get(path + query)
			if got := body(t, res); res.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(got, `"query/`+pointer+`"`) {
				t.Errorf("%s%.40s: %d %.200s", path, query, res.StatusCode, got)
			}
		}
	}
	for query, status := range map[string]int{"brand=99": 404, "category=99&q=x": 404, "q=x&cursor=AAAA": 400, "q=x&q=y": 422} {
		if res := b.get("/v1/items?" + query); res.StatusCode != status {
			t.Errorf("%s: %d, want %d", query, res.StatusCode, status)
		}
	}
	if res := b.get("/v1/items/facets?limit=3"); res.StatusCode != 422 {
		t.Errorf("facets with a limit: %d", res.StatusCode)
	}
}
