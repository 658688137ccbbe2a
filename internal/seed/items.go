package seed

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/store"
)

// The streams of random numbers, so that one part of the sample does not change
// with another. Batch i has the streams streamItems + i and streamIDs + i.
const (
	streamPeople = 1
	streamItems  = 1 << 32
	streamIDs    = 2 << 32
)

const (
	// batchItems is the number of items made and written at a time.
	batchItems = 1000
	// itemSpan is how far back the oldest item was listed.
	itemSpan = 42 * 24 * time.Hour
)

// maker makes the batches of a sample market. Batch i depends on the seed, on i, and
// on how large the market is: batches need not be made in order.
type maker struct {
	seed   uint64
	items  int
	now    time.Time
	people []person
	goods  []*goods
	brands map[string]market.BrandID
	pool   *pool
}

// batches is the number of batches.
func (m *maker) batches() int { return (m.items + batchItems - 1) / batchItems }

// size is the number of items of a batch.
func (m *maker) size(n int) int { return min(batchItems, m.items-n*batchItems) }

// listedAt is when item i was listed. More people come all the time, so there
// are more new items than old ones.
func (m *maker) listedAt(i int) time.Time {
	age := math.Pow(1-float64(i+1)/float64(m.items+1), 1.25)
	return m.now.Add(-time.Duration(age * float64(itemSpan))).Truncate(time.Microsecond)
}

// batch makes a piece of the market.
func (m *maker) batch(n int) store.Batch {
	r := rand.New(rand.NewPCG(m.seed, streamItems+uint64(n)))
	ids := m.ids(n)
	var b store.Batch
	for i := range m.size(n) {
		at := m.listedAt(n*batchItems + i)
		// Few sell much, many sell a little.
		seller := m.people[int(float64(len(m.people))*math.Pow(r.Float64(), 1.6))]
		item := m.item(r, market.ItemID(ids.Next(at)), seller, at)
		b.Items = append(b.Items, item)
		m.like(r, &b, item)
		m.comment(r, &b, item, seller)
	}
	return b
}

// first returns the id of the first item of a batch, without making the rest.
func (m *maker) first(n int) market.ItemID {
	return market.ItemID(m.ids(n).Next(m.listedAt(n * batchItems)))
}

// ids makes the ids of the items of a batch.
func (m *maker) ids(n int) *market.IDs {
	return market.NewIDs(rand.New(rand.NewPCG(m.seed, streamIDs+uint64(n))).Uint64)
}

func (m *maker) item(r *rand.Rand, id market.ItemID, seller person, at time.Time) market.Item {
	g := pick(r, m.goods...)
	w := writer{r: r, ja: seller.Locale == market.LocaleJA}
	colour, photos := m.pool.take(r, g)
	for i := range photos {
		photos[i].ID = market.PhotoID(market.NewIDs(r.Uint64).Next(at.Add(time.Duration(i-len(photos)) * time.Second)))
	}
	l := listing{goods: g, thing: pick(r, g.things...), colour: colour, condition: condition(r, g.kind)}
	title, brand := w.title(l)
	item := market.Item{
		ID: id, Seller: seller.ID, Category: g.category, Brand: m.brands[brand], Title: title, Description: w.description(l),
		Price: price(r, g, l.condition), Condition: l.condition, State: market.ItemOnSale, Photos: photos, Version: 1,
		CreatedAt: at, UpdatedAt: at,
	}
	// What has been there for long may be sold.
	if age := m.now.Sub(at); r.Float64() < 0.12*float64(age)/float64(itemSpan) {
		item.State, item.Version = market.ItemSold, 3
		item.UpdatedAt = m.between(r, at)
	}
	return item
}

// between is a moment from at until now, rather an early one.
func (m *maker) between(r *rand.Rand, at time.Time) time.Time {
	return at.Add(time.Duration(square(r.Float64()) * float64(m.now.Sub(at)))).Truncate(time.Microsecond)
}

func condition(r *rand.Rand, k kind) market.Condition {
	if k == food || k == paper {
		return market.ConditionNew
	}
	switch p := r.Float64(); {
	case p < 0.15:
		return market.ConditionNew
	case p < 0.45:
		return market.ConditionLikeNew
	case p < 0.80:
		return market.ConditionGood
	case p < 0.94:
		return market.ConditionFair
	case p < 0.985:
		return market.ConditionWorn
	}
	return market.ConditionPoor
}

// price is log-normal around what such goods cost, and less for what is used.
func price(r *rand.Rand, g *goods, c market.Condition) market.Money {
	worth := map[market.Condition]float64{
		market.ConditionNew: 1.3, market.ConditionLikeNew: 1.1, market.ConditionGood: 0.9,
		market.ConditionFair: 0.7, market.ConditionWorn: 0.5, market.ConditionPoor: 0.35,
	}[c]
	p := g.median * worth * math.Exp(g.spread*r.NormFloat64())
	rules := market.DefaultRules()
	return min(max(nice(r, p), rules.MinPrice), rules.MaxPrice)
}

// nice makes an amount one that people write: 450, 1,980, 12,500.
func nice(r *rand.Rand, p float64) market.Money {
	step := 50.0
	switch {
	case p >= 100_000:
		step = 5000
	case p >= 20_000:
		step = 1000
	case p >= 5000:
		step = 500
	case p >= 1000:
		step = 100
	}
	n := market.Money(math.Round(p/step) * step)
	if n >= 1000 && r.IntN(5) < 2 {
		n -= market.Money(step / 5)
	}
	return n
}

// like adds the likes of an item: most have a few, some have very many.
func (m *maker) like(r *rand.Rand, b *store.Batch, item market.Item) {
	n := min(int(0.8/math.Pow(1-r.Float64(), 0.9)), len(m.people)-1, 150)
	at, step := r.IntN(len(m.people)), stride(r, len(m.people))
	for range n {
		if by := m.people[at].ID; by != item.Seller {
			b.Likes = append(b.Likes, store.Like{Item: item.ID, User: by, CreatedAt: m.between(r, item.CreatedAt)})
		}
		at = (at + step) % len(m.people)
	}
}

// stride is a step that visits all of n places before it comes back.
func stride(r *rand.Rand, n int) int {
	for {
		step := 1 + r.IntN(n)
		a, b := step, n
		for b > 0 {
			a, b = b, a%b
		}
		if a == 1 {
			return step
		}
	}
}

// comment adds what people ask under an item, and what the seller says.
func (m *maker) comment(r *rand.Rand, b *store.Batch, item market.Item, seller person) {
	add := func(by market.UserID, body string, at time.Time) {
		b.Comments = append(b.Comments, market.Comment{
			ID: market.CommentID(market.NewIDs(r.Uint64).Next(at)), Item: item.ID, Author: by, Body: body, CreatedAt: at,
		})
	}
	at := item.CreatedAt
	for p := 0.4; r.Float64() < p; p *= 0.5 {
		asker := pick(r, m.people...)
		if asker.ID == item.Seller {
			continue
		}
		e := pick(r, exchanges...)
		w := writer{r: r, ja: seller.Locale == market.LocaleJA}
		at = m.between(r, at)
		add(asker.ID, w.say(e.askJA, e.askEN), at)
		if answered := at.Add(time.Duration(1+r.IntN(90)) * time.Minute); r.IntN(5) > 0 && answered.Before(m.now) {
			at = answered
			add(seller.ID, w.say(e.answerJA, e.answerEN), at)
		}
	}
}
