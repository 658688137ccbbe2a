package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"image/png"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/api"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/pay"
	"github.com/furima/furima/internal/store"
)

// trade is a paid order with the people in it.
type trade struct {
	*bench
	ken, eve, mal *client.Client
	kenID, eveID  string
	item          client.Item
	order         client.Order
}

func newTrade(t *testing.T, o options) *trade {
	b := newBench(t, o)
	tr := &trade{bench: b}
	var ken, eve client.Me
	tr.ken, ken = b.person("Ken")
	tr.eve, eve = b.person("Eve")
	tr.mal, _ = b.person("Mal")
	tr.kenID, tr.eveID = ken.ID, eve.ID
	tr.item = b.item(tr.ken, "Chair", 4500)
	var err error
	tr.order, err = tr.eve.Buy(t.Context(), order(tr.item, "tok_ok"))
	must(t, err)
	return tr
}

func (tr *trade) ref() store.OrderRef {
	id, err := market.ParseOrderID(tr.order.ID)
	must(tr.t, err)
	return store.OrderRef{Order: id}
}

func TestOrderToTheEnd(t *testing.T) {
	tr := newTrade(t, options{noQueue: true})
	ctx := t.Context()
	label, err := tr.ken.MakeLabel(ctx, tr.order.ID)
	must(t, err)
	if _, err := png.Decode(bytes.NewReader(label.QRPNG)); err != nil || label.Carrier != "sandbox" || label.Tracking == "" {
		t.Errorf("label %+v, %v", label, err)
	}
	if again, err := tr.ken.MakeLabel(ctx, tr.order.ID); err != nil || !cmp.Equal(again, label) {
		t.Errorf("asked again: %v", err)
	}
	if o, err := tr.ken.Ship(ctx, tr.order.ID); err != nil || o.State != client.Shipped || o.ShippedAt == nil || o.Role != client.Seller {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := tr.eve.Order(ctx, tr.order.ID); err != nil || o.Todo != "receive" || !cmp.Equal(o.Actions, []string{"buyer_review", "problem"}) {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := tr.eve.ReviewOrder(ctx, tr.order.ID, client.NewReview{Rating: client.Good, Body: "as described"}); err != nil || o.State != client.Received {
		t.Errorf("%+v, %v", o, err)
	}
	face := func() client.User {
		u, err := tr.client.User(ctx, tr.kenID)
		must(t, err)
		return u
	}
	if page, err := tr.client.Reviews(ctx, tr.kenID, "", 0); err != nil || len(page.Items) != 0 || face().Good != 0 {
		t.Errorf("the review is shown too early: %+v, %v", page, err)
	}
	if o, err := tr.ken.ReviewOrder(ctx, tr.order.ID, client.NewReview{Rating: client.Good}); err != nil || o.State != client.Completed || o.EndedAt == nil || o.Actions != nil {
		t.Errorf("%+v, %v", o, err)
	}
	page, err := tr.client.Reviews(ctx, tr.kenID, "", 0)
	must(t, err)
	want := []client.Review{{Author: client.Person{ID: tr.eveID, Name: "Eve"}, Role: client.Buyer, Rating: client.Good, Body: "as described"}}
	for i := range page.Items {
		page.Items[i].ID, page.Items[i].CreatedAt = "", client.Time{}
	}
	if diff := cmp.Diff(want, page.Items); diff != "" || face().Good != 1 {
		t.Errorf("%d good, %s", face().Good, diff)
	}
	balance, err := tr.ken.Balance(ctx, "", 0)
	must(t, err)
	if balance.Available != 4050 || balance.Pending != 0 || len(balance.Items) != 1 || balance.Items[0].For != tr.order.ID || balance.Items[0].Amount != 4050 {
		t.Errorf("%+v", balance)
	}
}

func TestOrderRefunded(t *testing.T) {
	provider := &refunds{}
	tr := newTrade(t, options{noQueue: true, pay: func(p pay.Provider) pay.Provider { provider.Provider = p; return provider }})
	ctx := t.Context()
	if p := problem(t, errOf(tr.eve.CancelOrder(ctx, tr.order.ID, "I do not want it"))); p.Status != 409 || p.Reason != "too_early" {
		t.Errorf("%v", p)
	}
	if o, err := tr.ken.CancelOrder(ctx, tr.order.ID, "it broke"); err != nil || o.State != client.RefundPending || o.Note != "it broke" {
		t.Errorf("%+v, %v", o, err)
	}
	provider.err = market.Wrap(market.CodeUnavailable, "", errBroken, "away")
	if err := tr.run(store.KindOrderRefund, tr.ref()); !api.IsSnooze(err) {
		t.Errorf("a provider that is away: %v", err)
	}
	provider.err = nil
	for range 2 {
		must(t, tr.run(store.KindOrderRefund, tr.ref()))
	}
	if o, err := tr.eve.Order(ctx, tr.order.ID); err != nil || o.State != client.Refunded {
		t.Errorf("%+v, %v", o, err)
	}
	charges, err := tr.sandbox.List(10)
	must(t, err)
	if len(charges) != 1 || charges[0].Status != market.ChargeRefunded {
		t.Errorf("%+v", charges)
	}
	resume := client.Resume
	if i, err := tr.ken.ChangeItem(ctx, tr.item.ID, client.ItemPatch{Action: &resume}); err != nil || i.State != client.OnSale {
		t.Errorf("%s, %v", i.State, err)
	}
}

// refunds is a payment provider whose refunds can fail.
type refunds struct {
	pay.Provider
	err error
}

func (r *refunds) Refund(ctx context.Context, key string) (market.Charge, error) {
	if r.err != nil {
		return market.Charge{}, r.err
	}
	return r.Provider.Refund(ctx, key)
}

func TestOrderDisputed(t *testing.T) {
	tr := newTrade(t, options{noQueue: true})
	ctx := t.Context()
	_, err := tr.ken.Ship(ctx, tr.order.ID)
	must(t, err)
	if p := problem(t, errOf(tr.ken.ReportProblem(ctx, tr.order.ID, "me"))); p.Status != 403 {
		t.Errorf("the seller: %v", p)
	}
	if o, err := tr.eve.ReportProblem(ctx, tr.order.ID, "it is a table"); err != nil || o.State != client.Disputed || o.Todo != "await_operator" {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := tr.ken.Order(ctx, tr.order.ID); err != nil || o.Note != "it is a table" {
		t.Errorf("%+v, %v", o, err)
	}
}

// TestOrderSweepMovesTheClock lets an order go all of its way by the clock.
func TestOrderSweepMovesTheClock(t *testing.T) {
	clock := newClock()
	tr := newTrade(t, options{noQueue: true, now: clock.now})
	ctx := t.Context()
	_, err := tr.ken.Ship(ctx, tr.order.ID)
	must(t, err)
	for _, c := range []struct {
		after time.Duration
		want  client.OrderState
	}{{8 * 24 * time.Hour, client.Shipped}, {24 * time.Hour, client.Received}, {3 * 24 * time.Hour, client.Completed}} {
		clock.add(c.after)
		if err := tr.run(api.KindOrderSweep, nil); !api.IsSnooze(err) {
			t.Errorf("%v", err)
		}
		if o, err := tr.ken.Order(ctx, tr.order.ID); err != nil || o.State != c.want {
			t.Errorf("%s, %v; want %s", o.State, err, c.want)
		}
	}
	if b, err := tr.ken.Balance(ctx, "", 0); err != nil || b.Available != 4050 {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestMessages(t *testing.T) {
	tr := newTrade(t, options{noQueue: true})
	ctx := t.Context()
	var want []string
	for i, c := range []*client.Client{tr.eve, tr.ken, tr.eve} {
		m, err := c.SendMessage(ctx, tr.order.ID, client.NewMessage{Body: string(rune('a' + i))})
		must(t, err)
		want = append(want, m.ID)
	}
	var got []string
	for m, err := range tr.ken.AllMessages(ctx, tr.order.ID) {
		must(t, err)
		got = append(got, m.ID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestStrangersSeeNoOrder holds that for everybody else an order does not exist.
func TestStrangersSeeNoOrder(t *testing.T) {
	tr := newTrade(t, options{noQueue: true})
	ctx, id := t.Context(), tr.order.ID
	for what, err := range map[string]error{
		"label":    errOf(tr.mal.MakeLabel(ctx, id)),
		"ship":     errOf(tr.mal.Ship(ctx, id)),
		"cancel":   errOf(tr.mal.CancelOrder(ctx, id, "")),
		"problem":  errOf(tr.mal.ReportProblem(ctx, id, "x")),
		"review":   errOf(tr.mal.ReviewOrder(ctx, id, client.NewReview{Rating: client.Bad})),
		"message":  errOf(tr.mal.SendMessage(ctx, id, client.NewMessage{Body: "x"})),
		"messages": errOf(tr.mal.Messages(ctx, id, "", 0)),
		"no id":    errOf(tr.mal.Ship(ctx, "or_nonsense")),
		"payout":   errOf(tr.mal.Payout(ctx, "po_nonsense")),
	} {
		if p := problem(t, err); p.Status != 404 {
			t.Errorf("%s: %v", what, p)
		}
	}
}

func TestPayouts(t *testing.T) {
	tr := newTrade(t, options{noQueue: true})
	ctx := t.Context()
	_, err := tr.ken.Ship(ctx, tr.order.ID)
	must(t, err)
	for _, c := range []*client.Client{tr.eve, tr.ken} {
		_, err := c.ReviewOrder(ctx, tr.order.ID, client.NewReview{Rating: client.Good})
		must(t, err)
	}
	if p := problem(t, errOf(tr.ken.RequestPayout(ctx, client.NewPayout{Amount: 4051}))); p.Status != 409 || p.Reason != "insufficient_balance" {
		t.Errorf("%v", p)
	}
	if p := problem(t, errOf(tr.ken.RequestPayout(ctx, client.NewPayout{Amount: 1}))); p.Status != 422 || len(p.Errors) != 1 || p.Errors[0].Pointer != "/amount" {
		t.Errorf("%v", p)
	}
	p, err := tr.ken.RequestPayout(ctx, client.NewPayout{Amount: 4000})
	if err != nil || p.State != client.PayoutPending {
		t.Fatalf("%+v, %v", p, err)
	}
	if pr := problem(t, errOf(tr.eve.Payout(ctx, p.ID))); pr.Status != 404 {
		t.Errorf("somebody else's: %v", pr)
	}
	id, err := market.ParsePayoutID(p.ID)
	must(t, err)
	for range 2 {
		must(t, tr.run(store.KindPayout, store.PayoutRef{Payout: id}))
	}
	if p, err = tr.ken.Payout(ctx, p.ID); err != nil || p.State != client.PayoutPaid {
		t.Errorf("%+v, %v", p, err)
	}
	b, err := tr.ken.Balance(ctx, "", 0)
	if err != nil || b.Available != 50 || b.OnTheWay != 0 || len(b.Items) != 2 || b.Items[0].For != p.ID || b.Items[0].Amount != -4000 {
		t.Errorf("%+v, %v", b, err)
	}
}

// TestOrderNews holds that each step tells the right side, in its language.
func TestOrderNews(t *testing.T) {
	tr := newTrade(t, options{noQueue: true})
	ctx := t.Context()
	for i, c := range []*client.Client{tr.ken, tr.eve} {
		_, err := c.PutDevice(ctx, "p", client.DeviceRegistration{Platform: client.APNS, Token: []string{"aa", "bb"}[i], Locale: "en"})
		must(t, err)
	}
	m, err := tr.ken.SendMessage(ctx, tr.order.ID, client.NewMessage{Body: "tomorrow"})
	must(t, err)
	mid, err := market.ParseMessageID(m.ID)
	must(t, err)
	ref := tr.ref()
	for _, c := range []struct {
		kind    string
		payload any
		token   string
		title   string
	}{
		{store.KindOrderShipped, ref, "bb", "It is on its way"},
		{store.KindOrderDelivered, ref, "bb", "It was delivered"},
		{store.KindOrderReceived, ref, "aa", "The buyer has it"},
		{store.KindOrderCompleted, ref, "bb", "The purchase is complete"},
		{store.KindOrderDisputed, ref, "aa", "A problem was reported"},
		{store.KindOrderRefunded, ref, "bb", "You have your money back"},
		{store.KindOrderMessage, store.OrderMessage{Order: ref.Order, Message: mid}, "bb", "Message about “Chair”"},
	} {
		must(t, tr.run(c.kind, c.payload))
		n := tr.gateway.wait(t).Notifications[0]
		if n.Title != c.title || !cmp.Equal(n.Tokens, []string{c.token}) || n.Data["order_id"] != tr.order.ID {
			b, _ := json.Marshal(n)
			t.Errorf("%s: %s", c.kind, b)
		}
	}
	must(t, tr.run(store.KindOrderShipped, store.OrderRef{Order: 1})) // one that is gone
}

// TestSweepDoesNotHammer holds that a full page of orders that cannot be decided,
// because the provider is away, is not looked at again at once, and that one
// that could be is.
func TestSweepDoesNotHammer(t *testing.T) {
	clock := newClock()
	provider := &away{lookup: market.Wrap(market.CodeUnavailable, "", errBroken, "away")}
	b := newBench(t, options{noQueue: true, now: clock.now, pay: func(p pay.Provider) pay.Provider { provider.Provider = p; return provider }})
	ken, _ := b.person("Ken")
	_, eve := b.person("Eve")
	buyer, err := market.ParseUserID(eve.ID)
	must(t, err)
	const page = 100
	for range page {
		id, err := market.ParseItemID(b.item(ken, "Chair", 4500).ID)
		must(t, err)
		_, _, err = b.store.ReserveItem(t.Context(), market.Purchase{Item: id, Buyer: buyer, ExpectedPrice: 4500})
		must(t, err)
	}
	clock.add(b.store.Rules().PayWithin + time.Second)
	for _, want := range []string{"snoozed for 1m0s", "snoozed for 0s", "snoozed for 1m0s"} {
		if err := b.run(api.KindOrderSweep, nil); !api.IsSnooze(err) || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		provider.mu.Lock()
		provider.lookup = nil // it is back
		provider.mu.Unlock()
	}
}
