package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/store"
)

func (w *World) charge(o market.Order) market.Charge {
	return market.Charge{
		ID: "ch_" + o.ID.String(), Key: o.ChargeKey(), Status: market.ChargeSucceeded, Amount: o.Price, Currency: o.Currency, CreatedAt: w.Clock.Now(),
	}
}

// reserve takes an item for a buyer.
func (w *World) reserve(item market.Item, buyer market.UserID) market.Order {
	w.Helper()
	order, _, err := w.Store.ReserveItem(w.Ctx, market.Purchase{Item: item.ID, Buyer: buyer, ExpectedPrice: item.Price})
	w.ok(err)
	return order
}

func testPurchase(w *World) {
	hana, taro := w.User(), w.User()
	item := w.Item(hana, armchairs, 4500)
	w.Clock.Add(time.Minute)
	order, change, err := w.Store.ReserveItem(w.Ctx, market.Purchase{Item: item.ID, Buyer: taro, ExpectedPrice: 4500})
	w.ok(err)
	now := w.Clock.Now()
	lists := []string{"list:all", "list:1", "list:11", "list:111"}
	face := []string{"item:" + item.ID.String(), "user:" + hana.String()}
	w.tagged("reserve", change, append(slices.Clone(lists), face...)...)
	want := market.Order{
		ID: order.ID, Item: item.ID, ItemTitle: "Oak chair", Buyer: taro, Seller: hana, State: market.OrderPendingPayment, Price: 4500, Fee: 450,
		Currency: "JPY", Version: 1, DeadlineAt: now.Add(w.Rules.PayWithin), CreatedAt: now, UpdatedAt: now,
	}
	same := func(what string, got market.Order, err error) {
		w.Helper()
		if diff := gocmp.Diff(want, got); err != nil || diff != "" {
			w.Errorf("%s: %v (-want +got):\n%s", what, err, diff)
		}
		got, err = w.Store.Order(w.Ctx, order.ID)
		if diff := gocmp.Diff(want, got); err != nil || diff != "" {
			w.Errorf("%s, read: %v (-want +got):\n%s", what, err, diff)
		}
	}
	same("reserved", order, nil)
	state := func(s market.ItemState, version int64, listed int) {
		w.Helper()
		if got := w.reread(item.ID); got.State != s || got.Version != version || got.Price != 4500 {
			w.Errorf("the item is %s at version %d, want %s at %d", got.State, got.Version, s, version)
		}
		if page := must[store.ItemPage](w)(w.Store.Items(w.Ctx, store.ItemQuery{Category: 1})); len(page.Items) != listed {
			w.Errorf("%d items in the list, want %d", len(page.Items), listed)
		}
		if page := must[store.ItemPage](w)(w.Store.Items(w.Ctx, store.ItemQuery{Seller: hana})); len(page.Items) != 1 {
			w.Errorf("the seller's list has lost the item")
		}
	}
	state(market.ItemReserved, 2, 0)
	w.jobs("reserved", "order.settle scheduled 1")

	w.Clock.Add(time.Second)
	order, change, err = w.Store.SettleOrder(w.Ctx, order.ID, w.charge(order))
	want.State, want.ChargeID, want.PaidAt, want.DeadlineAt = market.OrderAwaitingShipment, "ch_"+want.ID.String(), w.Clock.Now(), w.Clock.Now().Add(w.Rules.CancelUnshipped)
	want.Version, want.UpdatedAt = 2, w.Clock.Now()
	same("settled", order, err)
	w.tagged("settle", change, append(slices.Clone(face), "sold:all", "sold:1", "sold:11", "sold:111")...)
	state(market.ItemSold, 3, 0)
	w.jobs("settled", "order.paid ready 1", "order.settle scheduled 1")

	// Again, as after a lost answer: nothing happens twice.
	w.Clock.Add(time.Second)
	order, change, err = w.Store.SettleOrder(w.Ctx, order.ID, w.charge(order))
	same("settled again", order, err)
	w.tagged("settle again", change)
	state(market.ItemSold, 3, 0)
	w.jobs("settled again", "order.paid ready 1", "order.settle scheduled 1")
	_, _, err = w.Store.ReleaseOrder(w.Ctx, order.ID, market.OrderExpired, "")
	w.refused("released after it was paid", err, market.CodeConflict, market.ReasonOrderPaid)
	_, _, err = w.Store.SettleOrder(w.Ctx, order.ID+1, w.charge(order))
	w.refused("no order", err, market.CodeNotFound, "")
	_, err = w.Store.Order(w.Ctx, order.ID+1)
	w.refused("no order", err, market.CodeNotFound, "")

	// The payloads name what the handlers need.
	w.Clock.Add(w.Rules.SettleAfter)
	got := w.runJobs(2)
	for _, kind := range []string{store.KindOrderPaid, store.KindOrderSettle} {
		var ref store.OrderRef
		if len(got[kind]) != 1 || json.Unmarshal(got[kind][0], &ref) != nil || ref.Order != order.ID {
			w.Errorf("payload of %s: %s, want the order %s", kind, got[kind], order.ID)
		}
	}
}

func testPurchaseRefused(w *World) {
	hana, taro := w.User(), w.User()
	item := w.Item(hana, tables, 3000)
	buy := func(p market.Purchase) error {
		_, change, err := w.Store.ReserveItem(w.Ctx, p)
		if err != nil && len(change.Tags) > 0 {
			w.Errorf("a refused purchase has tags %q", change.Tags)
		}
		return err
	}
	w.refused("one's own", buy(market.Purchase{Item: item.ID, Buyer: hana, ExpectedPrice: 3000}), market.CodeConflict, market.ReasonOwnItem)
	w.refused("another price", buy(market.Purchase{Item: item.ID, Buyer: taro, ExpectedPrice: 2999}), market.CodeConflict, market.ReasonPriceChanged)
	w.refused("no item", buy(market.Purchase{Item: item.ID + 1, Buyer: taro, ExpectedPrice: 3000}), market.CodeNotFound, "")
	_, _, err := w.Store.EditItem(w.Ctx, market.ItemEdit{ID: item.ID, By: hana, Event: market.ItemPause})
	w.ok(err)
	w.refused("paused", buy(market.Purchase{Item: item.ID, Buyer: taro, ExpectedPrice: 3000}), market.CodeNotFound, "")
	_, _, err = w.Store.EditItem(w.Ctx, market.ItemEdit{ID: item.ID, By: hana, Event: market.ItemResume})
	w.ok(err)
	w.ok(buy(market.Purchase{Item: item.ID, Buyer: taro, ExpectedPrice: 3000}))
	w.refused("twice by one buyer", buy(market.Purchase{Item: item.ID, Buyer: taro, ExpectedPrice: 3000}), market.CodeConflict, market.ReasonItemSold)
	_, _, err = w.Store.EditItem(w.Ctx, market.ItemEdit{ID: item.ID, By: hana, Price: ptr(market.Money(9000))})
	w.refused("an edit of a reserved item", err, market.CodeConflict, market.ReasonItemLocked)
	w.jobs("one purchase of seven tries", "order.settle scheduled 1")
}

// testPurchaseRace lets 200 buyers of two processes go for one item at once.
func testPurchaseRace(w *World) {
	hana := w.User()
	const n = 200
	buyers := make([]market.UserID, n)
	for i := range buyers {
		buyers[i] = market.UserID(1000 + i)
	}
	elsewhere := store.New(w.open(), w.Queue, store.Options{Now: w.Clock.Now})
	for round := range 3 {
		item := w.Item(hana, tables, 3000)
		var mu sync.Mutex
		var won []market.Order
		errs := everyone(n, func(i int) error {
			s := []*store.Store{w.Store, elsewhere}[i%2]
			order, _, err := s.ReserveItem(w.Ctx, market.Purchase{Item: item.ID, Buyer: buyers[i], ExpectedPrice: 3000})
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				won = append(won, order)
			}
			return err
		})
		if got := tally(errs); got != "item_sold 199, ok 1" {
			w.Fatalf("round %d: %s", round, got)
		}
		if got, err := w.Store.Order(w.Ctx, won[0].ID); err != nil || got.Buyer != won[0].Buyer {
			w.Errorf("the winner's order is %+v, %v", got, err)
		}
		w.jobs("one job an order", fmt.Sprintf("order.settle scheduled %d", round+1))
	}
}

func testRelease(w *World) {
	hana, taro, jun := w.User(), w.User(), w.User()
	item := w.Item(hana, tables, 3000)
	order := w.reserve(item, taro)
	w.Clock.Add(time.Second)
	got, change, err := w.Store.ReleaseOrder(w.Ctx, order.ID, market.OrderDeclined, market.ReasonNoFunds)
	w.ok(err)
	want := order
	want.State, want.Failure, want.DeadlineAt, want.Version, want.UpdatedAt = market.OrderCancelled, market.ReasonNoFunds, time.Time{}, 2, w.Clock.Now()
	want.EndedAt = want.UpdatedAt
	if diff := gocmp.Diff(want, got); diff != "" {
		w.Errorf("released (-want +got):\n%s", diff)
	}
	w.tagged("release", change, "item:"+item.ID.String(), "user:"+hana.String(), "list:all", "list:1", "list:12")
	if again, change, err := w.Store.ReleaseOrder(w.Ctx, order.ID, market.OrderExpired, ""); err != nil || again != want || len(change.Tags) != 0 {
		w.Errorf("released again: %+v, %v, %v", again, change, err)
	}
	_, _, err = w.Store.SettleOrder(w.Ctx, order.ID, w.charge(order))
	w.refused("paid after the release", err, market.CodeConflict, market.ReasonOrderCancelled)
	w.jobs("nobody is told", "order.settle scheduled 1")

	// The item is as it was, and somebody else may have it.
	after := w.reread(item.ID)
	if after.State != market.ItemOnSale || after.Version != 3 {
		w.Errorf("the item is %s at version %d", after.State, after.Version)
	}
	if page := must[store.ItemPage](w)(w.Store.Items(w.Ctx, store.ItemQuery{Category: 1, Sort: market.SortPriceDesc})); len(page.Items) != 1 {
		w.Error("the item is not back in its list")
	}
	second := w.reserve(item, jun)
	_, _, err = w.Store.SettleOrder(w.Ctx, second.ID, w.charge(second))
	w.ok(err)
	// What happens to the first order does not touch the second's item.
	_, _, err = w.Store.ReleaseOrder(w.Ctx, order.ID, market.OrderExpired, "")
	w.ok(err)
	if got := w.reread(item.ID); got.State != market.ItemSold {
		w.Errorf("the item is %s", got.State)
	}
}

// testDecideRace settles and releases one order at once, many times: one side
// wins, and the item follows it.
func testDecideRace(w *World) {
	hana, taro := w.User(), w.User()
	for range 5 {
		item := w.Item(hana, tables, 3000)
		order := w.reserve(item, taro)
		errs := everyone(8, func(i int) error {
			var err error
			if i%2 == 0 {
				_, _, err = w.Store.SettleOrder(w.Ctx, order.ID, w.charge(order))
			} else {
				_, _, err = w.Store.ReleaseOrder(w.Ctx, order.ID, market.OrderExpired, "")
			}
			return err
		})
		after := must[market.Order](w)(w.Store.Order(w.Ctx, order.ID))
		wantTally, wantState := "ok 4, order_cancelled 4", market.ItemOnSale
		if after.State == market.OrderAwaitingShipment {
			wantTally, wantState = "ok 4, order_paid 4", market.ItemSold
		}
		if got := tally(errs); got != wantTally || w.reread(item.ID).State != wantState {
			w.Errorf("order %s: %s, the item is %s", after.State, got, w.reread(item.ID).State)
		}
	}
}

// testPurchaseAgainstEdit sells while the seller changes the price and the
// category: nobody pays another price than the one that was seen, and the lists
// stay right (the audit sees to that).
func testPurchaseAgainstEdit(w *World) {
	hana, taro := w.User(), w.User()
	for round := range 10 {
		item := w.Item(hana, armchairs, 3000)
		errs := everyone(6, func(i int) error {
			if i%2 == 0 {
				_, _, err := w.Store.ReserveItem(w.Ctx, market.Purchase{Item: item.ID, Buyer: taro, ExpectedPrice: 3000})
				return err
			}
			_, _, err := w.Store.EditItem(w.Ctx, market.ItemEdit{ID: item.ID, By: hana, Price: ptr(market.Money(4000 + i)), Category: ptr(books)})
			return err
		})
		for i, err := range errs {
			if r := market.ReasonOf(err); err != nil && r != market.ReasonItemSold && r != market.ReasonPriceChanged && r != market.ReasonItemLocked {
				w.Errorf("round %d, number %d: %v", round, i, err)
			}
		}
		page := must[store.OrderPage](w)(w.Store.Orders(w.Ctx, store.OrderQuery{User: taro, Limit: 1}))
		if len(page.Orders) == 1 && page.Orders[0].Item == item.ID && page.Orders[0].Price != 3000 {
			w.Errorf("round %d: bought for %d, seen at 3000", round, page.Orders[0].Price)
		}
	}
}

// provider is what a payment provider remembers: it outlives every crash.
type provider map[string]market.Charge

func (p provider) lookup(key string) *market.Charge {
	if c, ok := p[key]; ok {
		return &c
	}
	return nil
}

// testCrashPoints ends the process after each step of a purchase, and lets the
// sweeper of another one, which knows nothing, find out what to do.
func testCrashPoints(w *World) {
	hana, taro := w.User(), w.User()
	money := provider{}
	for name, c := range map[string]struct {
		before func(o market.Order) // what was done before the crash, after the reservation
		first  market.Verdict       // what the first sweep finds
		order  market.OrderState    // what it is in the end
		item   market.ItemState
	}{
		"after the reservation": {func(market.Order) {}, market.VerdictWait, market.OrderCancelled, market.ItemOnSale},
		"after the charge": {func(o market.Order) { money[o.ChargeKey()] = w.charge(o) },
			market.VerdictSettle, market.OrderAwaitingShipment, market.ItemSold},
		"after a refusal": {func(o market.Order) {
			c := w.charge(o)
			c.Status, c.Failure = market.ChargeDeclined, market.ReasonDeclined
			money[o.ChargeKey()] = c
		}, market.VerdictDecline, market.OrderCancelled, market.ItemOnSale},
		"after the settlement": {func(o market.Order) {
			money[o.ChargeKey()] = w.charge(o)
			_, _, err := w.Store.SettleOrder(w.Ctx, o.ID, w.charge(o))
			w.ok(err)
		}, market.VerdictNone, market.OrderAwaitingShipment, market.ItemSold},
		"after the release": {func(o market.Order) {
			_, _, err := w.Store.ReleaseOrder(w.Ctx, o.ID, market.OrderDeclined, market.ReasonDeclined)
			w.ok(err)
		}, market.VerdictNone, market.OrderCancelled, market.ItemOnSale},
	} {
		item := w.Item(hana, tables, 3000)
		order := w.reserve(item, taro)
		c.before(order)
		s := w.another(nil)
		sweep := func() market.Verdict {
			o, err := s.Order(w.Ctx, order.ID)
			w.ok(err)
			charge := money.lookup(o.ChargeKey())
			v := market.Sweep(o, charge, w.Clock.Now())
			switch v {
			case market.VerdictSettle:
				_, _, err = s.SettleOrder(w.Ctx, o.ID, *charge)
			case market.VerdictDecline:
				_, _, err = s.ReleaseOrder(w.Ctx, o.ID, market.OrderDeclined, charge.Failure)
			case market.VerdictExpire:
				_, _, err = s.ReleaseOrder(w.Ctx, o.ID, market.OrderExpired, "")
			}
			w.ok(err)
			return v
		}
		w.Clock.Add(w.Rules.SettleAfter)
		if v := sweep(); v != c.first {
			w.Errorf("%s: the first sweep says %d, want %d", name, v, c.first)
		}
		w.Clock.Add(w.Rules.PayWithin)
		sweep()
		if v := sweep(); v != market.VerdictNone {
			w.Errorf("%s: a sweep after the end says %d", name, v)
		}
		got := must[market.Order](w)(s.Order(w.Ctx, order.ID))
		if after := w.reread(item.ID); got.State != c.order || after.State != c.item {
			w.Errorf("%s: order %s and item %s, want %s and %s", name, got.State, after.State, c.order, c.item)
		}
	}
	if late := must[[]market.OrderID](w)(w.Store.Overdue(w.Ctx, 10)); len(late) != 0 {
		w.Errorf("overdue after all sweeps: %v", late)
	}
}

func testOrders(w *World) {
	hana, taro, jun := w.User(), w.User(), w.User()
	var taros, hanas []market.Order
	for i := range 9 {
		buyer := []market.UserID{taro, jun}[i%2]
		order := w.reserve(w.Item(hana, tables, market.Money(3000+i)), buyer)
		if buyer == taro {
			taros = append(taros, order)
		}
		hanas = append(hanas, order)
	}
	slices.Reverse(taros)
	slices.Reverse(hanas)
	for _, limit := range []int{1, 2, 5, 0} {
		for _, c := range []struct {
			user market.UserID
			role market.Role
			want []market.Order
		}{{taro, "", taros}, {taro, market.RoleBuyer, taros}, {hana, market.RoleSeller, hanas}, {hana, market.RoleBuyer, nil}, {taro, market.RoleSeller, nil}} {
			var got []market.Order
			q := store.OrderQuery{User: c.user, Role: c.role, Limit: limit}
			for {
				page, err := w.Store.Orders(w.Ctx, q)
				w.ok(err)
				got = append(got, page.Orders...)
				if q.Cursor = page.Next; q.Cursor == "" {
					break
				}
			}
			if diff := gocmp.Diff(c.want, got); diff != "" {
				w.Errorf("%d as %q by %d (-want +got):\n%s", c.user, c.role, limit, diff)
			}
		}
	}
	_, err := w.Store.Orders(w.Ctx, store.OrderQuery{User: taro, Role: "operator"})
	w.refused("an unknown role", err, market.CodeInvalid, market.ReasonMalformed)
	if late := must[[]market.OrderID](w)(w.Store.Overdue(w.Ctx, 10)); len(late) != 0 {
		w.Errorf("overdue at once: %v", late)
	}
	w.Clock.Add(w.Rules.PayWithin)
	if late := must[[]market.OrderID](w)(w.Store.Overdue(w.Ctx, 4)); len(late) != 4 || late[0] != hanas[8].ID {
		w.Errorf("overdue later: %v, want the first 4 from %v", late, hanas[8].ID)
	}
}

// testUnavailable holds what callers see when the database cannot be asked.
func testUnavailable(w *World) {
	hana := w.User()
	item := w.Item(hana, tables, 3000)
	cancelled, cancel := context.WithCancel(w.Ctx)
	cancel()
	for name, err := range map[string]error{
		"read":  second(w.Store.Item(cancelled, item.ID)),
		"list":  second(w.Store.Items(cancelled, store.ItemQuery{})),
		"write": second(w.Store.CreateSession(cancelled, hana, market.HashToken("x"))),
	} {
		w.refused(name, err, market.CodeUnavailable, "")
	}
	if _, err := w.Store.Session(w.Ctx, market.HashToken("x")); market.CodeOf(err) != market.CodeUnauthenticated {
		w.Errorf("a write that was cancelled is there: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }
