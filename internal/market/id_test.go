package market_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/furima/furima/internal/market"
)

func TestIDForms(t *testing.T) {
	const n = 0x1234_5678_9abc_def0
	got := []string{
		market.UserID(n).String(), market.ItemID(n).String(), market.OrderID(n).String(),
		market.PhotoID(n).String(), market.CommentID(n).String(), market.DeviceID(n).String(),
		market.ItemID(1).String(), market.ItemID(1<<63 - 1).String(),
	}
	want := []string{
		"us_14d2pf2dbsqqg", "it_14d2pf2dbsqqg", "or_14d2pf2dbsqqg", "ph_14d2pf2dbsqqg", "cm_14d2pf2dbsqqg", "dv_14d2pf2dbsqqg",
		"it_0000000000001", "it_7zzzzzzzzzzzz",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("external forms (-want +got):\n%s", diff)
	}
}

func TestParseIDRefuses(t *testing.T) {
	for name, s := range map[string]string{
		"empty":            "",
		"prefix alone":     "it_",
		"another prefix":   "us_14d2pf2dbsqqg",
		"no prefix":        "14d2pf2dbsqqg",
		"upper case":       "it_14D2PF2DBSQQG",
		"prefix in upper":  "IT_14d2pf2dbsqqg",
		"too short":        "it_14d2pf2dbsqq",
		"too long":         "it_14d2pf2dbsqqgg",
		"letter i":         "it_14d2pf2dbsqqi",
		"letter l":         "it_14d2pf2dbsqql",
		"letter o":         "it_14d2pf2dbsqqo",
		"letter u":         "it_14d2pf2dbsqqu",
		"zero":             "it_0000000000000",
		"64 bits":          "it_8000000000000",
		"not ASCII":        "it_14d2pf2dbsqqé",
		"space":            "it_14d2pf2dbsqq ",
		"decimal":          "1311768467463790320",
		"a zero byte":      "it_14d2pf2dbsqq\x00",
		"minus":            "it_-000000000001",
		"prefix of others": "it-14d2pf2dbsqqg",
	} {
		t.Run(name, func(t *testing.T) {
			id, err := market.ParseItemID(s)
			if market.CodeOf(err) != market.CodeInvalid || market.ReasonOf(err) != market.ReasonInvalidID || id != 0 {
				t.Errorf("ParseItemID(%q) = %d, %v; want an invalid id", s, id, err)
			}
			if err != nil && s != "" && s != "it_" && strings.Contains(err.Error(), s) {
				t.Errorf("the error repeats the value: %v", err)
			}
		})
	}
}

func TestIDInJSON(t *testing.T) {
	type body struct {
		User    market.UserID          `json:"user"`
		Item    market.ItemID          `json:"item"`
		Order   market.OrderID         `json:"order"`
		Photo   market.PhotoID         `json:"photo"`
		Comment market.CommentID       `json:"comment"`
		Device  market.DeviceID        `json:"device"`
		Likes   map[market.ItemID]bool `json:"likes"`
	}
	in := body{1, 2, 3, 4, 5, 6, map[market.ItemID]bool{7: true}}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out body
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	if diff := cmp.Diff(in, out); diff != "" {
		t.Errorf("%s (-in +out):\n%s", b, diff)
	}
	if err := json.Unmarshal([]byte(`{"item":"us_0000000000002"}`), &out); market.ReasonOf(err) != market.ReasonInvalidID {
		t.Errorf("a user's id as an item's: %v, want an invalid id", err)
	}
}

func FuzzParseID(f *testing.F) {
	for _, s := range []string{"it_14d2pf2dbsqqg", "us_0000000000001", "or_7zzzzzzzzzzzz", "it_8000000000000", "it_", "", "ph_O000000000000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := market.ParseItemID(s); err == nil && (id.String() != s || id <= 0) {
			t.Errorf("ParseItemID(%q) = %d = %s: an id has one spelling", s, id, id)
		}
		if id, err := market.ParseUserID(s); err == nil && id.String() != s {
			t.Errorf("ParseUserID(%q) = %s", s, id)
		}
		if id, err := market.ParseOrderID(s); err == nil && id.String() != s {
			t.Errorf("ParseOrderID(%q) = %s", s, id)
		}
		if id, err := market.ParseCategoryID(s); err == nil && (id.String() != s || id <= 0) {
			t.Errorf("ParseCategoryID(%q) = %s", s, id)
		}
	})
}

func TestIDStringsSortAsIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Int64Range(1, 1<<63-1).Draw(t, "a")
		b := rapid.Int64Range(1, 1<<63-1).Draw(t, "b")
		if strings.Compare(market.ItemID(a).String(), market.ItemID(b).String()) != cmpInt(a, b) {
			t.Fatalf("%s and %s do not sort as %d and %d", market.ItemID(a), market.ItemID(b), a, b)
		}
		if back, err := market.ParseItemID(market.ItemID(a).String()); err != nil || back != market.ItemID(a) {
			t.Fatalf("%d became %d, %v", a, back, err)
		}
	})
}

func cmpInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func TestIDsGrowAndDoNotRepeat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		g := market.NewIDs(func() uint64 { seed = seed*6364136223846793005 + 1442695040888963407; return seed })
		now, last := noon, int64(0)
		for range rapid.IntRange(1, 200).Draw(t, "n") {
			// The clock goes forwards, stands, and is set back.
			now = now.Add(time.Duration(rapid.IntRange(-2000, 4000).Draw(t, "step")) * time.Microsecond)
			id := g.Next(now)
			if id <= last {
				t.Fatalf("id %d after %d", id, last)
			}
			last = id
		}
	})
}

func TestIDTime(t *testing.T) {
	g := market.NewIDs(nil)
	for _, at := range []time.Time{noon, noon.Add(time.Hour), time.Date(2089, 1, 1, 0, 0, 0, 0, time.UTC)} {
		id := market.ItemID(g.Next(at))
		if got := market.IDTime(id); !got.Equal(at) {
			t.Errorf("IDTime(%s) = %s, want %s", id, got, at)
		}
		if first := market.FirstID(at); int64(id) < first || int64(id) >= market.FirstID(at.Add(time.Millisecond)) {
			t.Errorf("FirstID(%s) = %d does not bound %d", at, first, id)
		}
	}
	if id := market.NewIDs(func() uint64 { return 0 }).Next(time.Unix(0, 0)); id <= 0 {
		t.Errorf("before the epoch, without any luck: %d, want a valid id", id)
	}
}

func TestIDsOfManyGoroutines(t *testing.T) {
	g := market.NewIDs(nil)
	const goroutines, each = 8, 2000
	ids := make([][]int64, goroutines)
	var wg sync.WaitGroup
	for i := range goroutines {
		wg.Go(func() {
			for range each {
				ids[i] = append(ids[i], g.Next(noon))
			}
		})
	}
	wg.Wait()
	all := slices.Sorted(slices.Values(slices.Concat(ids...)))
	if n := len(slices.Compact(all)); n != goroutines*each {
		t.Errorf("%d ids of %d are different", n, goroutines*each)
	}
}

// TestIDsAreNotGuessed holds that ids of one millisecond do not count up by one.
func TestIDsAreNotGuessed(t *testing.T) {
	g := market.NewIDs(nil)
	steps := map[int64]bool{}
	last := g.Next(noon)
	for range 100 {
		id := g.Next(noon)
		steps[id-last] = true
		last = id
	}
	if len(steps) < 20 {
		t.Errorf("only %d different steps in 100 ids", len(steps))
	}
}

func ExampleIDs() {
	ids := market.NewIDs(func() uint64 { return 1 << 42 }) // nil outside of tests
	id := market.ItemID(ids.Next(time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)))
	fmt.Println(id, market.IDTime(id).Format(time.RFC3339))
	// Output: it_0q98x92000001 2026-05-04T12:00:00Z
}

func BenchmarkIDString(b *testing.B) {
	b.ReportAllocs()
	buf := make([]byte, 0, 64)
	for b.Loop() {
		buf, _ = market.ItemID(0x1234_5678_9abc_def0).AppendText(buf[:0])
	}
}

func BenchmarkParseID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := market.ParseItemID("it_14d2pf2dbsqqg"); err != nil {
			b.Fatal(err)
		}
	}
}
