package seed

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/photo"
)

func TestEveryDrawingDrawsItsThing(t *testing.T) {
	for name, draw := range drawings {
		c := newCanvas(64)
		least, most := c.extent(draw)
		if name == "tag" { // it fills the whole photo
			least, most = point{0, 0}, point{100, 100}
		}
		if least.x < -1 || least.y < -1 || most.x > 101 || most.y > 101 || most.x-least.x < 30 || most.y-least.y < 25 {
			t.Errorf("%s reaches from %v to %v", name, least, most)
		}
		if bytes.Count(c.img.Pix, []byte{0}) != len(c.img.Pix) {
			t.Errorf("measuring %s has drawn something", name)
		}
		draw(c, inkOf(red.rgb, blue.rgb))
		covered := 0
		for i := 3; i < len(c.img.Pix); i += 4 {
			if c.img.Pix[i] > 128 {
				covered++
			}
		}
		if covered < 64*64/25 {
			t.Errorf("%s covers %d pixels", name, covered)
		}
	}
}

func TestPicturesFollowTheSeed(t *testing.T) {
	s := subject{"bear", beige}
	a, b, c := picture(1, s, 64), picture(1, s, 64), picture(2, s, 64)
	if !bytes.Equal(a.img.Pix, b.img.Pix) || bytes.Equal(a.img.Pix, c.img.Pix) || !a.img.Opaque() {
		t.Error("equal seeds do not make equal pictures, or different ones do, or one can see through")
	}
}

func TestPathsThatDoNotExist(t *testing.T) {
	for _, d := range []string{"M 1 x", "M 1 2 A 3 4", "X"} {
		func() {
			defer func() { _ = recover() }()
			svg(d)
			t.Errorf("%q was read", d)
		}()
	}
}

func TestThePoolShowsAllGoods(t *testing.T) {
	all := subjects()
	if len(all) < 150 || len(all) > 350 {
		t.Errorf("%d photos", len(all))
	}
	for _, s := range all {
		if drawings[s.drawing] == nil {
			t.Errorf("nobody can draw %s", s.drawing)
		}
	}
	for _, g := range shelves() {
		if !slices.ContainsFunc(all, func(s subject) bool { return s.drawing == g.drawing }) {
			t.Errorf("no photo shows category %d", g.category)
		}
	}
}

// fakePool is the pool without photos.
func fakePool() *pool {
	p := &pool{byDrawing: map[string][]shot{}}
	for _, s := range subjects() {
		p.byDrawing[s.drawing] = append(p.byDrawing[s.drawing], shot{s.colour, photo.Photo{Name: s.drawing, Width: 1, Height: 1}})
	}
	return p
}

func TestTextsKeepToTheRules(t *testing.T) {
	rules := market.DefaultRules()
	r := rand.New(rand.NewPCG(1, 2))
	for _, g := range shelves() {
		if len(g.things) < 2 {
			t.Errorf("category %d has %d things", g.category, len(g.things))
		}
		for _, thing := range g.things {
			if thing.ja == "" || thing.en == "" {
				t.Errorf("category %d: %+v", g.category, thing)
			}
			for i := range 60 {
				w := writer{r: r, ja: i%2 == 0}
				l := listing{g, thing, pick(r, g.colours...), pick(r, market.Conditions()...)}
				title, _ := w.title(l)
				d := market.ItemDraft{ID: 1, Seller: 1, Category: g.category, Title: title, Description: w.description(l), Price: price(r, g, l.condition), Condition: l.condition}
				item, err := rules.NewItem(d, time.Now())
				if err != nil {
					t.Fatalf("%q: %v", d.Title, err)
				}
				// The market cleans texts; these must be clean, since imports are not.
				if item.Title != d.Title || item.Description != d.Description || !utf8.ValidString(d.Title) {
					t.Errorf("%q is not clean", d.Title)
				}
			}
		}
	}
	for _, e := range exchanges {
		for _, s := range []string{e.askJA, e.answerJA, e.askEN, e.answerEN} {
			if _, err := rules.NewComment(market.Item{State: market.ItemOnSale}, market.CommentDraft{Body: s}, time.Now()); err != nil {
				t.Errorf("%q: %v", s, err)
			}
		}
	}
}

func TestPricesAreAroundTheMedian(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, g := range shelves() {
		var all []float64
		for range 801 {
			p := price(r, g, market.ConditionLikeNew)
			if p < 300 || p > 9_999_999 || p%10 != 0 {
				t.Fatalf("category %d: price %d", g.category, p)
			}
			all = append(all, float64(p))
		}
		slices.Sort(all)
		if ratio := all[400] / g.median / 1.1; ratio < 0.85 || ratio > 1.15 {
			t.Errorf("category %d: half cost less than %.0f, want about %.0f", g.category, all[400], g.median*1.1)
		}
	}
}

func TestBatchesAreTheSameInAnyOrder(t *testing.T) {
	now := time.Date(2026, 4, 11, 12, 0, 0, 0, time.UTC)
	m := &maker{seed: 5, items: 2500, now: now, people: people(5, 50, now), goods: shelves(), pool: fakePool()}
	last := m.batch(2)
	if len(last.Items) != 500 || m.batches() != 3 || m.first(2) != last.Items[0].ID {
		t.Errorf("%d items in the last of %d batches, the first is %d, want %d", len(last.Items), m.batches(), last.Items[0].ID, m.first(2))
	}
	type pair struct {
		item market.ItemID
		user market.UserID
	}
	liked, ids := map[pair]bool{}, map[int64]bool{}
	most, before := 0, time.Time{}
	likes := map[market.ItemID]int{}
	for n := range m.batches() {
		b := m.batch(n)
		seller := map[market.ItemID]market.UserID{}
		for _, item := range b.Items {
			if item.CreatedAt.Before(before) || item.CreatedAt.After(now) || ids[int64(item.ID)] {
				t.Errorf("item %d at %v after one at %v", item.ID, item.CreatedAt, before)
			}
			before = item.CreatedAt
			seller[item.ID], ids[int64(item.ID)] = item.Seller, true
		}
		for _, l := range b.Likes {
			if liked[pair{l.Item, l.User}] || l.User == seller[l.Item] || l.CreatedAt.After(now) {
				t.Errorf("like %+v: twice, by the seller or in the future", l)
			}
			liked[pair{l.Item, l.User}] = true
			likes[l.Item]++
			most = max(most, likes[l.Item])
		}
		for _, c := range b.Comments {
			if ids[int64(c.ID)] || c.CreatedAt.After(now) || c.Body == "" {
				t.Errorf("comment %+v", c)
			}
			ids[int64(c.ID)] = true
		}
	}
	if mean := float64(len(liked)) / 2500; mean < 1 || mean > 6 || most < 40 {
		t.Errorf("%.1f likes an item, %d at most", mean, most)
	}
}

func TestStrideVisitsAll(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{1, 2, 5, 12, 240, 997} {
		step, seen := stride(r, n), map[int]bool{}
		for i := range n {
			seen[i*step%n] = true
		}
		if len(seen) != n {
			t.Errorf("step %d visits %d of %d", step, len(seen), n)
		}
	}
}

func TestListingTimesAreSpreadOverWeeks(t *testing.T) {
	now := time.Now()
	for _, items := range []int{1, 10, 10_000} {
		m := &maker{items: items, now: now}
		age := func(i int) float64 { return now.Sub(m.listedAt(i)).Hours() / 24 }
		if age(items-1) < 0 || age(0) > 42 || (items > 100 && (math.Abs(age(0)-42) > 1 || age(items-1) > 0.05)) {
			t.Errorf("%d items: from %.2f to %.4f days old", items, age(0), age(items-1))
		}
	}
}
