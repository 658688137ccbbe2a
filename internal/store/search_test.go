package store_test

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/search"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
	"github.com/furima/furima/internal/store"
	"github.com/furima/furima/internal/store/storetest"
)

// TestSearchIsItsDefinition holds any list, of any words and filters, against
// the same list made in memory by its definition.
func TestSearchIsItsDefinition(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		w := storetest.NewWorld(t, url)
		b := w.Mixed(4, 300, rand.New(rand.NewPCG(7, 8)))
		if _, err := w.Store.Import(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		rapid.Check(t, func(r *rapid.T) {
			q := store.ItemQuery{
				Category:  rapid.SampledFrom([]market.CategoryID{0, 1, 2, 11, 12, 111}).Draw(r, "category"),
				Brand:     rapid.SampledFrom([]market.BrandID{0, 0, 1, 2, 7}).Draw(r, "brand"),
				Condition: rapid.SampledFrom(append(market.Conditions(), "", "", "", "")).Draw(r, "condition"),
				PriceMin:  market.Money(rapid.SampledFrom([]int{0, 0, 300, 450, 500, 900}).Draw(r, "min")),
				State:     rapid.SampledFrom([]market.ItemState{"", market.ItemOnSale, market.ItemSold}).Draw(r, "state"),
				Sort:      rapid.SampledFrom([]market.Sort{"", market.SortNew, market.SortPriceAsc, market.SortPriceDesc}).Draw(r, "sort"),
				Limit:     rapid.IntRange(1, 40).Draw(r, "limit"),
			}
			if rapid.Bool().Draw(r, "capped") {
				q.PriceMax = q.PriceMin + market.Money(rapid.IntRange(1, 400).Draw(r, "range"))
			}
			if rapid.IntRange(0, 3).Draw(r, "of a seller") == 0 {
				q.Seller, q.Sort = b.Users[rapid.IntRange(0, 3).Draw(r, "seller")].ID, ""
			}
			if rapid.IntRange(0, 3).Draw(r, "with words") > 0 {
				// A piece of a title, or a word of none.
				typed := []rune(b.Items[rapid.IntRange(0, len(b.Items)-1).Draw(r, "title")].Title)
				from := rapid.IntRange(0, len(typed)-1).Draw(r, "from")
				text := string(typed[from:min(len(typed), from+rapid.IntRange(1, 5).Draw(r, "runes"))])
				text += rapid.SampledFrom([]string{"", "", " いす", " 木", " komo", " 無い"}).Draw(r, "and")
				var err error
				if q.Search, err = search.Parse(text); err != nil {
					return
				}
			}
			w.Same(b.Items, q)
		})
	})
}
