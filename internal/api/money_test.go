package api_test

import (
	"context"
	"flag"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/api"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/pay"
	"github.com/furima/furima/internal/store"
)

// moody is a payment provider that is away when it likes.
type moody struct {
	pay.Provider
	mu   sync.Mutex
	away bool
}

func (m *moody) set(away bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = away
}

func (m *moody) mood() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return market.Wrap(market.CodeUnavailable, "", errBroken, "away")
	}
	return nil
}

func (m *moody) Charge(ctx context.Context, r pay.ChargeRequest) (market.Charge, error) {
	if err := m.mood(); err != nil {
		return market.Charge{}, err
	}
	return m.Provider.Charge(ctx, r)
}

func (m *moody) Lookup(ctx context.Context, key string) (market.Charge, error) {
	if err := m.mood(); err != nil {
		return market.Charge{}, err
	}
	return m.Provider.Lookup(ctx, key)
}

func (m *moody) Refund(ctx context.Context, key string) (market.Charge, error) {
	if err := m.mood(); err != nil {
		return market.Charge{}, err
	}
	return m.Provider.Refund(ctx, key)
}

func (m *moody) Payout(ctx context.Context, r pay.PayoutRequest) (market.PayoutState, market.Reason, error) {
	if err := m.mood(); err != nil {
		return "", "", err
	}
	return m.Provider.Payout(ctx, r)
}

// tills is a market in which people trade at random while the provider has
// moods, the process dies and the clock jumps.
type tills struct {
	*bench
	t        *rapid.T
	clock    *clock
	provider *moody
	sellers  []*client.Client
	buyers   []*client.Client
	buyerIDs []market.UserID
	orders   []market.OrderID
	payouts  []market.PayoutID
}

// books fails unless the ledger is right.
func (w *tills) books(after string) {
	w.t.Helper()
	if a, err := w.store.Audit(w.bench.t.Context()); err != nil || !a.OK() {
		w.t.Fatalf("after %s: %+v, %v", after, a, err)
	}
}

func (w *tills) seen(o client.Order) {
	if o.ID != "" {
		id, err := market.ParseOrderID(o.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		w.orders = append(w.orders, id)
	}
}

func (w *tills) someItem() client.Item {
	return w.bench.item(rapid.SampledFrom(w.sellers).Draw(w.t, "seller"), "Chair", rapid.Int64Range(300, 99_999).Draw(w.t, "price"))
}

// buy buys something, with any fate of the charge.
func (w *tills) buy() {
	token := rapid.SampledFrom([]string{"tok_ok", "tok_ok", "tok_declined", "tok_insufficient", "tok_timeout_then_ok", "tok_timeout_then_fail", "tok_nonsense"}).Draw(w.t, "token")
	o, _ := rapid.SampledFrom(w.buyers).Draw(w.t, "buyer").Buy(w.bench.t.Context(), order(w.someItem(), token))
	w.seen(o)
}

// die buys something in a process that is killed on the way: before the charge,
// or before it is written down.
func (w *tills) die() {
	item := w.someItem()
	id, err := market.ParseItemID(item.ID)
	must(w.bench.t, err)
	ctx := w.bench.t.Context()
	o, _, err := w.store.ReserveItem(ctx, market.Purchase{
		Item: id, Buyer: rapid.SampledFrom(w.buyerIDs).Draw(w.t, "buyer"), ExpectedPrice: market.Money(item.Price),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.orders = append(w.orders, o.ID)
	if rapid.Bool().Draw(w.t, "charged") {
		_, _ = w.provider.Charge(ctx, pay.ChargeRequest{Key: o.ChargeKey(), Amount: o.Price, Currency: o.Currency, Token: "tok_ok"})
	}
}

// act has somebody do something with some order, sensible or not.
func (w *tills) act() {
	if len(w.orders) == 0 {
		return
	}
	ctx := w.bench.t.Context()
	id := rapid.SampledFrom(w.orders).Draw(w.t, "order")
	who := rapid.SampledFrom(append(append([]*client.Client{}, w.sellers...), w.buyers...)).Draw(w.t, "who")
	rating := client.NewReview{Rating: client.Good}
	switch rapid.IntRange(0, 7).Draw(w.t, "what") {
	case 0, 1:
		_, _ = who.Ship(ctx, id.String())
	case 2:
		_, _ = who.CancelOrder(ctx, id.String(), "")
	case 3, 4:
		_, _ = who.ReviewOrder(ctx, id.String(), rating)
	case 5:
		_, _ = who.ReportProblem(ctx, id.String(), "it is another one")
	case 6:
		_, _, _ = w.store.ResolveOrder(ctx, id, rapid.Bool().Draw(w.t, "refund"), "")
	case 7:
		_, _, _ = w.store.DeliverOrder(ctx, id)
	}
}

func (w *tills) payOut() {
	p, err := rapid.SampledFrom(w.sellers).Draw(w.t, "seller").RequestPayout(w.bench.t.Context(), client.NewPayout{
		Amount: rapid.SampledFrom([]int64{200, 500, 4444, 20_000}).Draw(w.t, "amount"),
	})
	if err == nil {
		id, err := market.ParsePayoutID(p.ID)
		must(w.bench.t, err)
		w.payouts = append(w.payouts, id)
	}
}

// work runs every job that there may be, in the way of a worker that runs some
// of them twice.
func (w *tills) work() {
	for _, id := range w.orders {
		for _, kind := range []string{store.KindOrderSettle, store.KindOrderRefund} {
			_ = w.run(kind, store.OrderRef{Order: id})
		}
	}
	for _, id := range w.payouts {
		_ = w.run(store.KindPayout, store.PayoutRef{Payout: id})
	}
	_ = w.run(api.KindOrderSweep, nil)
}

// finish lets the clock run until nothing can happen any more.
func (w *tills) finish() {
	w.provider.set(false)
	ctx := w.bench.t.Context()
	for range 8 {
		for _, id := range w.orders {
			_, _, _ = w.store.ResolveOrder(ctx, id, false, "")
		}
		w.clock.add(10 * 24 * time.Hour)
		w.work()
		w.books("the clock")
	}
	for _, id := range w.orders {
		o, err := w.store.Order(ctx, id)
		if err != nil || !o.State.Final() {
			w.t.Fatalf("order %s is %s at the end, %v", id, o.State, err)
		}
		charge, err := w.sandbox.Lookup(ctx, o.ChargeKey())
		if err != nil && market.CodeOf(err) != market.CodeNotFound {
			w.t.Fatal(err)
		}
		want := map[market.OrderState]market.ChargeStatus{market.OrderCompleted: market.ChargeSucceeded, market.OrderRefunded: market.ChargeRefunded}[o.State]
		if o.State != market.OrderCancelled && charge.Status != want || o.State == market.OrderCancelled && charge.Status == market.ChargeSucceeded {
			w.t.Fatalf("order %s is %s and its charge %q", id, o.State, charge.Status)
		}
	}
	for _, id := range w.payouts {
		if p, err := w.store.Payout(ctx, id); err != nil || p.State == market.PayoutPending {
			w.t.Fatalf("payout %s is %s at the end, %v", id, p.State, err)
		}
	}
}

// TestMoneyIsNeverLost drives orders through random operations, faults of the
// provider, kills and jumps of the clock: the ledger is right after every step,
// and once everything is over no money is held.
func TestMoneyIsNeverLost(t *testing.T) {
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		// Each is a market's whole life; ask for more with -rapid.checks.
		must(t, checks.Value.Set("30"))
		t.Cleanup(func() { must(t, checks.Value.Set(checks.DefValue)) })
	}
	clock, provider := newClock(), &moody{}
	forGood := func(r *market.Rules) { r.SessionTTL = 100 * 365 * 24 * time.Hour }
	b := newBench(t, options{noQueue: true, noPush: true, now: clock.now, rules: forGood, pay: func(p pay.Provider) pay.Provider { provider.Provider = p; return provider }})
	people := func(names ...string) (all []*client.Client, ids []market.UserID) {
		for _, name := range names {
			c, me := b.person(name)
			id, err := market.ParseUserID(me.ID)
			must(t, err)
			all, ids = append(all, c), append(ids, id)
		}
		return all, ids
	}
	sellers, _ := people("Ken", "Yui")
	buyers, buyerIDs := people("Eve", "Jun")
	rapid.Check(t, func(rt *rapid.T) {
		w := &tills{bench: b, t: rt, clock: clock, provider: provider, sellers: sellers, buyers: buyers, buyerIDs: buyerIDs}
		rt.Repeat(map[string]func(*rapid.T){
			"buy":      func(*rapid.T) { w.buy() },
			"die":      func(*rapid.T) { w.die() },
			"act":      func(*rapid.T) { w.act() },
			"act more": func(*rapid.T) { w.act() },
			"pay out":  func(*rapid.T) { w.payOut() },
			"work":     func(*rapid.T) { w.work() },
			"clock": func(t *rapid.T) {
				clock.add(time.Duration(rapid.IntRange(-3600, 4*24*3600).Draw(t, "seconds")) * time.Second)
			},
			"mood": func(t *rapid.T) { provider.set(rapid.Bool().Draw(t, "away")) },
			"":     func(*rapid.T) { w.books("a step") },
		})
		w.finish()
	})
}
