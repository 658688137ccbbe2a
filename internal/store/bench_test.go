package store_test

import (
	"testing"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/search"
	"github.com/furima/furima/internal/sqldb"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
	"github.com/furima/furima/internal/store"
	"github.com/furima/furima/internal/store/storetest"
)

// benched returns a store on SQLite with some thousand items.
func benched(b *testing.B) (*store.Store, store.Batch) {
	b.Helper()
	db, err := sqldb.Open(b.Context(), sqldb.Config{URL: sqldbtest.SQLite(b)}, sqldb.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	if err := store.Migrate(b.Context(), db); err != nil {
		b.Fatal(err)
	}
	s := store.New(db, nil, store.Options{})
	batch := storetest.Batch(market.NewIDs(nil), noon, 100, 5000)
	for i := range batch.Items {
		batch.Items[i].State = market.ItemOnSale
	}
	batch.Categories = storetest.Categories()
	if _, err := s.Import(b.Context(), batch); err != nil {
		b.Fatal(err)
	}
	return s, batch
}

func BenchmarkItems30(b *testing.B) {
	s, _ := benched(b)
	b.ReportAllocs()
	for b.Loop() {
		page, err := s.Items(b.Context(), store.ItemQuery{Category: 1, Limit: 30})
		if err != nil || len(page.Items) != 30 {
			b.Fatal(len(page.Items), err)
		}
	}
}

func BenchmarkItemsByPrice30(b *testing.B) {
	s, _ := benched(b)
	first, err := s.Items(b.Context(), store.ItemQuery{Category: 1, Sort: market.SortPriceAsc, Limit: 30})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Items(b.Context(), store.ItemQuery{Category: 1, Sort: market.SortPriceAsc, Limit: 30, Cursor: first.Next}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkItemDetail(b *testing.B) {
	s, batch := benched(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.ItemDetail(b.Context(), batch.Items[77].ID); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSession(b *testing.B) {
	s, batch := benched(b)
	token := market.HashToken("x")
	if _, err := s.CreateSession(b.Context(), batch.Users[0].ID, token); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Session(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkImport1000(b *testing.B) {
	s, _ := benched(b)
	ids := market.NewIDs(nil)
	at := noon
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		batch := storetest.Batch(ids, at, 100, 1000)
		batch.Users = nil // there already, by address
		b.StartTimer()
		if _, err := s.Import(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSearch30(b *testing.B) {
	s, _ := benched(b)
	words, err := search.Parse("椅子 1")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		page, err := s.Items(b.Context(), store.ItemQuery{Search: words, Category: 1, Limit: 30})
		if err != nil {
			b.Fatal(len(page.Items), err)
		}
	}
}

// BenchmarkSearchRare examines as much as a page may, and finds nothing.
func BenchmarkSearchRare(b *testing.B) {
	s, _ := benched(b)
	words, err := search.Parse("椅子")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		page, err := s.Items(b.Context(), store.ItemQuery{Search: words, Condition: market.ConditionPoor, Limit: 30})
		if err != nil || len(page.Items) != 0 || page.Next == "" {
			b.Fatal(len(page.Items), err)
		}
	}
}
