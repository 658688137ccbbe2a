package storetest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/store"
)

// bought is an order that is paid.
func (w *World) bought(seller, buyer market.UserID) market.Order {
	w.Helper()
	order := w.reserve(w.Item(seller, tables, 3000), buyer)
	order, _, err := w.Store.SettleOrder(w.Ctx, order.ID, w.charge(order))
	w.ok(err)
	return order
}

// step is the result of a step of an order.
func (w *World) step(want market.OrderState) func(market.Order, store.Change, error) market.Order {
	return func(o market.Order, _ store.Change, err error) market.Order {
		w.Helper()
		if err != nil || o.State != want {
			w.Fatalf("the order is %s, %v; want %s", o.State, err, want)
		}
		read, err := w.Store.Order(w.Ctx, o.ID)
		if diff := gocmp.Diff(o, read); err != nil || diff != "" {
			w.Errorf("%s, read: %v (-want +got):\n%s", want, err, diff)
		}
		return o
	}
}

func (w *World) balance(user market.UserID, want store.Balance) {
	w.Helper()
	if got, err := w.Store.Balance(w.Ctx, user); err != nil || got != want {
		w.Errorf("balance %+v, %v; want %+v", got, err, want)
	}
}

func (w *World) review(o market.Order, by market.UserID, r market.Rating) (market.Order, store.Change, error) {
	return w.Store.ReviewOrder(w.Ctx, o.ID, market.ReviewDraft{Author: by, Rating: r, Body: "as promised"})
}

func testOrderToTheEnd(w *World) {
	hana, taro := w.User(), w.User()
	o := w.bought(hana, taro)
	w.balance(hana, store.Balance{Pending: 2700})
	w.Clock.Add(time.Hour)
	w.step(market.OrderShipped)(w.Store.ShipOrder(w.Ctx, o.ID, hana))
	w.Clock.Add(time.Hour)
	w.step(market.OrderDelivered)(w.Store.DeliverOrder(w.Ctx, o.ID))
	before := w.step(market.OrderDelivered)(w.Store.DeliverOrder(w.Ctx, o.ID))
	w.step(market.OrderReceived)(w.review(o, taro, market.RatingGood))
	w.step(market.OrderReceived)(w.Store.DeliverOrder(w.Ctx, o.ID)) // the carrier is late to tell
	w.balance(hana, store.Balance{Pending: 2700})
	o, change, err := w.review(o, hana, market.RatingGood)
	w.step(market.OrderCompleted)(o, change, err)
	w.tagged("completed", change, "user:"+hana.String(), "user:"+taro.String())
	if o.Version != before.Version+2 || !o.EndedAt.Equal(w.Clock.Now()) {
		w.Errorf("ended at version %d, %v", o.Version, o.EndedAt)
	}
	w.balance(hana, store.Balance{Available: 2700})
	entries, next, err := w.Store.BalanceEntries(w.Ctx, hana, "", 0)
	if err != nil || next != "" || len(entries) != 1 || entries[0].Amount != 2700 || entries[0].Kind != market.PostingCompleted {
		w.Errorf("entries %+v, %q, %v", entries, next, err)
	}
	if item := w.reread(o.Item); item.State != market.ItemSold {
		w.Errorf("the item is %s", item.State)
	}
	w.jobs("an order to the end", "order.completed ready 1", "order.delivered ready 1", "order.paid ready 1", "order.received ready 1",
		"order.settle scheduled 1", "order.shipped ready 1")
	for what, f := range map[string]func() (market.Order, store.Change, error){
		"ship":   func() (market.Order, store.Change, error) { return w.Store.ShipOrder(w.Ctx, o.ID, hana) },
		"cancel": func() (market.Order, store.Change, error) { return w.Store.CancelOrder(w.Ctx, o.ID, hana, "") },
		"review": func() (market.Order, store.Change, error) { return w.review(o, taro, market.RatingBad) },
	} {
		_, _, err := f()
		w.refused(what+" after the end", err, market.CodeConflict, market.ReasonOrderState)
	}
}

func testOrderRefunded(w *World) {
	hana, taro, jun := w.User(), w.User(), w.User()
	o := w.bought(hana, taro)
	_, _, err := w.Store.CancelOrder(w.Ctx, o.ID, taro, "too slow")
	w.refused("the buyer cancels at once", err, market.CodeConflict, market.ReasonTooEarly)
	got := w.step(market.OrderRefundPending)(w.Store.CancelOrder(w.Ctx, o.ID, hana, " it broke \n"))
	if got.Note != "it broke" {
		w.Errorf("note %q", got.Note)
	}
	w.balance(hana, store.Balance{})
	if item := w.reread(o.Item); item.State != market.ItemSold {
		w.Errorf("while the money is on its way the item is %s", item.State)
	}
	o, change, err := w.Store.RefundedOrder(w.Ctx, o.ID)
	w.step(market.OrderRefunded)(o, change, err)
	w.tagged("refunded", change, "item:"+o.Item.String(), "user:"+hana.String(), "sold:all", "sold:1", "sold:12")
	if again, change, err := w.Store.RefundedOrder(w.Ctx, o.ID); err != nil || again != o || len(change.Tags) > 0 {
		w.Errorf("refunded again: %+v, %v, %v", again, change, err)
	}
	if item := w.reread(o.Item); item.State != market.ItemPaused {
		w.Errorf("the item is %s", item.State)
	}
	// Its seller may sell it again.
	item, _, err := w.Store.EditItem(w.Ctx, market.ItemEdit{ID: o.Item, By: hana, Event: market.ItemResume})
	w.ok(err)
	again := w.reserve(item, jun)
	w.step(market.OrderAwaitingShipment)(w.Store.SettleOrder(w.Ctx, again.ID, w.charge(again)))
	w.balance(hana, store.Balance{Pending: 2700})
}

func testOrderDisputed(w *World) {
	hana, taro := w.User(), w.User()
	for _, refund := range []bool{true, false} {
		o := w.bought(hana, taro)
		w.step(market.OrderShipped)(w.Store.ShipOrder(w.Ctx, o.ID, hana))
		_, _, err := w.Store.DisputeOrder(w.Ctx, o.ID, hana, "me too")
		w.refused("the seller disputes", err, market.CodeForbidden, market.ReasonNotYours)
		got := w.step(market.OrderDisputed)(w.Store.DisputeOrder(w.Ctx, o.ID, taro, "it is another desk"))
		if got.Note != "it is another desk" || !got.DeadlineAt.IsZero() {
			w.Errorf("disputed: %+v", got)
		}
		if refund {
			w.step(market.OrderRefundPending)(w.Store.ResolveOrder(w.Ctx, o.ID, true, "refunded by us"))
			w.step(market.OrderRefunded)(w.Store.RefundedOrder(w.Ctx, o.ID))
			w.balance(hana, store.Balance{})
			continue
		}
		w.step(market.OrderReceived)(w.Store.ResolveOrder(w.Ctx, o.ID, false, ""))
		w.step(market.OrderCompleted)(w.review(o, hana, market.RatingBad))
		w.balance(hana, store.Balance{Available: 2700})
	}
}

// testOrderExpires lets the clock do everything.
func testOrderExpires(w *World) {
	hana, taro := w.User(), w.User()
	sent, unsent := w.bought(hana, taro), w.bought(hana, taro)
	w.step(market.OrderShipped)(w.Store.ShipOrder(w.Ctx, sent.ID, hana))
	w.step(market.OrderShipped)(w.Store.ExpireOrder(w.Ctx, sent.ID)) // too early
	for _, c := range []struct {
		order market.OrderID
		after time.Duration
		want  market.OrderState
	}{
		{unsent.ID, w.Rules.CancelUnshipped, market.OrderRefundPending},
		{sent.ID, w.Rules.ReceiveAfterShipping, market.OrderReceived},
		{sent.ID, w.Rules.ReviewWithin, market.OrderCompleted},
	} {
		w.Clock.Add(c.after)
		due, err := w.Store.Overdue(w.Ctx, 10)
		if err != nil || len(due) != 1 || due[0] != c.order {
			w.Errorf("overdue: %v, %v; want %v", due, err, c.order)
		}
		w.step(c.want)(w.Store.ExpireOrder(w.Ctx, c.order))
	}
	if due, err := w.Store.Overdue(w.Ctx, 10); err != nil || len(due) > 0 {
		w.Errorf("overdue at the end: %v, %v", due, err)
	}
	w.step(market.OrderCompleted)(w.Store.ExpireOrder(w.Ctx, sent.ID))
	w.balance(hana, store.Balance{Available: 2700})
}

func testOrderStrangers(w *World) {
	hana, taro, jun := w.User(), w.User(), w.User()
	o := w.bought(hana, taro)
	for what, f := range map[string]func(by market.UserID) error{
		"ship":    func(by market.UserID) error { _, _, err := w.Store.ShipOrder(w.Ctx, o.ID, by); return err },
		"cancel":  func(by market.UserID) error { _, _, err := w.Store.CancelOrder(w.Ctx, o.ID, by, ""); return err },
		"dispute": func(by market.UserID) error { _, _, err := w.Store.DisputeOrder(w.Ctx, o.ID, by, "x"); return err },
		"review":  func(by market.UserID) error { _, _, err := w.review(o, by, market.RatingGood); return err },
		"message": func(by market.UserID) error { _, err := w.Store.SendMessage(w.Ctx, o.ID, by, "x"); return err },
		"label": func(by market.UserID) error {
			_, err := w.Store.AddShipment(w.Ctx, by, market.Shipment{Order: o.ID, Carrier: "sandbox", Tracking: "1", Code: "1"})
			return err
		},
	} {
		w.refused(what+" by a stranger", f(jun), market.CodeNotFound, "")
	}
	_, _, err := w.Store.ShipOrder(w.Ctx, o.ID, taro)
	w.refused("the buyer ships", err, market.CodeForbidden, market.ReasonNotYours)
	_, _, err = w.Store.ShipOrder(w.Ctx, o.ID+1, hana)
	w.refused("no order", err, market.CodeNotFound, "")
	w.step(market.OrderAwaitingShipment)(w.Store.DeliverOrder(w.Ctx, o.ID))
}

// testOrderStepsRace has everybody decide at once: one event happens.
func testOrderStepsRace(w *World) {
	hana, taro := w.User(), w.User()
	for range 5 {
		o := w.bought(hana, taro)
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := map[string]int{}
		for i := range 12 {
			wg.Go(func() {
				var err error
				event := "ship"
				if i%2 == 0 {
					event = "cancel"
					_, _, err = w.Store.CancelOrder(w.Ctx, o.ID, hana, "")
				} else {
					_, _, err = w.Store.ShipOrder(w.Ctx, o.ID, hana)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won[event]++
				} else if market.ReasonOf(err) != market.ReasonOrderState {
					w.Errorf("%s: %v", event, err)
				}
			})
		}
		wg.Wait()
		if won["ship"]+won["cancel"] != 1 {
			w.Errorf("what happened: %v", won)
		}
	}
}

func testReviews(w *World) {
	hana, taro := w.User(), w.User()
	shown := func(user market.UserID) (ratings []market.Rating) {
		w.Helper()
		page, err := w.Store.Reviews(w.Ctx, user, "", 0)
		w.ok(err)
		for _, r := range page.Reviews {
			ratings = append(ratings, r.Rating)
			if r.AuthorName == "" || r.Body != "as promised" {
				w.Errorf("review %+v", r)
			}
		}
		return ratings
	}
	for i := range 3 {
		o := w.bought(hana, taro)
		w.step(market.OrderShipped)(w.Store.ShipOrder(w.Ctx, o.ID, hana))
		w.step(market.OrderReceived)(w.review(o, taro, market.RatingGood))
		if got := shown(hana); len(got) != i {
			w.Errorf("hidden reviews are shown: %v", got)
		}
		w.Clock.Add(time.Minute)
		w.step(market.OrderCompleted)(w.review(o, hana, market.RatingBad))
	}
	if diff := gocmp.Diff([]market.Rating{"bad", "bad", "bad"}, shown(taro)); diff != "" {
		w.Errorf("reviews of the buyer (-want +got):\n%s", diff)
	}
	seen := map[market.ReviewID]bool{}
	for cursor := ""; ; {
		page, err := w.Store.Reviews(w.Ctx, hana, cursor, 1)
		w.ok(err)
		for _, r := range page.Reviews {
			seen[r.ID] = true
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if len(seen) != 3 {
		w.Errorf("%d reviews page by page", len(seen))
	}
	_, err := w.Store.Reviews(w.Ctx, taro, "nonsense", 1)
	w.refused("a made-up cursor", err, market.CodeInvalid, market.ReasonInvalidCursor)
}

func testMessages(w *World) {
	hana, taro := w.User(), w.User()
	o := w.bought(hana, taro)
	var want []market.Message
	for i := range 5 {
		w.Clock.Add(time.Second)
		by := []market.UserID{hana, taro}[i%2]
		m, err := w.Store.SendMessage(w.Ctx, o.ID, by, fmt.Sprintf("message %d", i))
		w.ok(err)
		if got, err := w.Store.Message(w.Ctx, m.ID); err != nil || got != m {
			w.Errorf("%+v, %v; want %+v", got, err, m)
		}
		want = append(want, m)
	}
	var got []market.Message
	for cursor := ""; ; {
		page, err := w.Store.Messages(w.Ctx, o.ID, cursor, 2)
		w.ok(err)
		got = append(got, page.Messages...)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		w.Errorf("messages (-want +got):\n%s", diff)
	}
	unpaid := w.reserve(w.Item(hana, tables, 3000), taro)
	_, err := w.Store.SendMessage(w.Ctx, unpaid.ID, taro, "hello")
	w.refused("before the payment", err, market.CodeConflict, market.ReasonOrderState)
}

func testShipments(w *World) {
	hana, taro := w.User(), w.User()
	o := w.bought(hana, taro)
	_, err := w.Store.Shipment(w.Ctx, o.ID)
	w.refused("no label", err, market.CodeNotFound, "")
	label := market.Shipment{Order: o.ID, Carrier: "sandbox", Tracking: "SB123", Code: "furima:SB123"}
	first, err := w.Store.AddShipment(w.Ctx, hana, label)
	w.ok(err)
	label.CreatedAt = w.Clock.Now()
	if first != label {
		w.Errorf("label %+v, want %+v", first, label)
	}
	w.Clock.Add(time.Hour)
	label.Tracking = "SB124"
	if again, err := w.Store.AddShipment(w.Ctx, hana, label); err != nil || again != first {
		w.Errorf("asked again: %+v, %v", again, err)
	}
	if got, err := w.Store.ShipmentByTracking(w.Ctx, "sandbox", "SB123"); err != nil || got != first {
		w.Errorf("by tracking number: %+v, %v", got, err)
	}
	_, err = w.Store.ShipmentByTracking(w.Ctx, "other", "SB123")
	w.refused("of another carrier", err, market.CodeNotFound, "")
	_, err = w.Store.AddShipment(w.Ctx, taro, label)
	w.refused("by the buyer", err, market.CodeForbidden, market.ReasonNotYours)
}

// completed earns a seller the proceeds of an order.
func (w *World) completed(seller, buyer market.UserID) {
	w.Helper()
	o := w.bought(seller, buyer)
	w.step(market.OrderShipped)(w.Store.ShipOrder(w.Ctx, o.ID, seller))
	w.step(market.OrderReceived)(w.review(o, buyer, market.RatingGood))
	w.step(market.OrderCompleted)(w.review(o, seller, market.RatingGood))
}

func testPayouts(w *World) {
	hana, taro := w.User(), w.User()
	_, err := w.Store.RequestPayout(w.Ctx, hana, 500)
	w.refused("of nothing", err, market.CodeConflict, market.ReasonNoBalance)
	w.completed(hana, taro)
	_, err = w.Store.RequestPayout(w.Ctx, hana, 2701)
	w.refused("of too much", err, market.CodeConflict, market.ReasonNoBalance)
	paid, err := w.Store.RequestPayout(w.Ctx, hana, 2000)
	w.ok(err)
	w.balance(hana, store.Balance{Available: 700, OnTheWay: 2000})
	failed, err := w.Store.RequestPayout(w.Ctx, hana, 700)
	w.ok(err)
	w.balance(hana, store.Balance{OnTheWay: 2700})
	for range 2 {
		got, err := w.Store.EndPayout(w.Ctx, paid.ID, market.PayoutPaid, "")
		if read, readErr := w.Store.Payout(w.Ctx, paid.ID); err != nil || readErr != nil || got != read || got.State != market.PayoutPaid {
			w.Errorf("paid: %+v, %v; read %+v, %v", got, err, read, readErr)
		}
		got, err = w.Store.EndPayout(w.Ctx, failed.ID, market.PayoutFailed, "account_closed")
		if err != nil || got.Failure != "account_closed" {
			w.Errorf("failed: %+v, %v", got, err)
		}
	}
	w.balance(hana, store.Balance{Available: 700})
	_, err = w.Store.EndPayout(w.Ctx, paid.ID, market.PayoutFailed, "x")
	w.refused("failed after it was paid", err, market.CodeConflict, market.ReasonPayoutState)
	_, err = w.Store.EndPayout(w.Ctx, paid.ID+1000, market.PayoutFailed, "x")
	w.refused("no payout", err, market.CodeNotFound, "")
	entries, _, err := w.Store.BalanceEntries(w.Ctx, hana, "", 0)
	var amounts []market.Money
	for _, e := range entries {
		amounts = append(amounts, e.Amount)
	}
	if diff := gocmp.Diff([]market.Money{700, -700, -2000, 2700}, amounts); err != nil || diff != "" {
		w.Errorf("entries: %v (-want +got):\n%s", err, diff)
	}
}

// testPayoutsRace asks for the same money many times at once.
func testPayoutsRace(w *World) {
	hana, taro := w.User(), w.User()
	w.completed(hana, taro)
	errs := make([]error, 10)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = w.Store.RequestPayout(w.Ctx, hana, 1000) })
	}
	wg.Wait()
	ok := 0
	for _, err := range errs {
		if err == nil {
			ok++
		} else if market.ReasonOf(err) != market.ReasonNoBalance {
			w.Errorf("refused: %v", err)
		}
	}
	if ok != 2 {
		w.Errorf("%d payouts of 1000 out of 2700: %v", ok, errors.Join(errs...))
	}
	w.balance(hana, store.Balance{Available: 700, OnTheWay: 2000})
}
