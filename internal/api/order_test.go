package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/api"
	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/pay"
	"github.com/furima/furima/internal/store"
)

func order(item client.Item, token string) client.NewOrder {
	return client.NewOrder{ItemID: item.ID, ExpectedPrice: item.Price, PaymentToken: token}
}

func TestBuy(t *testing.T) {
	b := newBench(t, options{})
	ken, seller := b.person("Ken")
	eve, buyer := b.person("Eve")
	mal, _ := b.person("Mal")
	ctx := t.Context()
	item := b.item(ken, "Chair", 4500)
	o, err := eve.Buy(ctx, order(item, "tok_ok"))
	must(t, err)
	want := client.Order{
		ID: o.ID, State: client.AwaitingShipment, Role: client.Buyer, ItemID: item.ID, ItemTitle: "Chair", BuyerID: buyer.ID, SellerID: seller.ID,
		Price: 4500, Currency: "JPY", Version: 2, PaidAt: o.PaidAt, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt,
		DeadlineAt: ahead(o.CreatedAt, 7*24*time.Hour), ShipBy: ahead(o.CreatedAt, 3*24*time.Hour),
	}
	// Paid some milliseconds after it was made.
	roughly := cmp.Comparer(func(x, y client.Time) bool { return x.Sub(y.Time).Abs() < time.Minute })
	if diff := cmp.Diff(want, o, roughly); diff != "" || o.PaidAt == nil {
		t.Error(diff)
	}
	got, err := eve.Order(ctx, o.ID)
	must(t, err)
	if diff := cmp.Diff(o, got); diff != "" {
		t.Error(diff)
	}
	want.Role, want.Proceeds, want.Todo, want.Actions = client.Seller, 4050, "ship", []string{"ship", "cancel"}
	if got, err = ken.Order(ctx, o.ID); err != nil || cmp.Diff(want, got, roughly) != "" {
		t.Errorf("the seller's: %s, %v", cmp.Diff(want, got, roughly), err)
	}
	if p := problem(t, errOf(mal.Order(ctx, o.ID))); p.Status != 404 {
		t.Errorf("a stranger's: %v", p)
	}
	if i, err := b.client.Item(ctx, item.ID); err != nil || i.State != client.Sold {
		t.Errorf("the item: %s, %v", i.State, err)
	}
	if page, err := b.client.Items(ctx, client.ItemQuery{}); err != nil || len(page.Items) != 0 {
		t.Errorf("the list: %v, %v", titles(page.Items), err)
	}
	if p := problem(t, errOf(mal.Buy(ctx, order(item, "tok_ok")))); p.Status != 409 || p.Reason != "item_sold" || p.Type != "/problems/item-sold" {
		t.Errorf("too late: %v", p)
	}
	if p := problem(t, errOf(mal.Comment(ctx, item.ID, "hi"))); p.Status != 409 {
		t.Errorf("a comment on what is sold: %v", p)
	}
	price := int64(500)
	if p := problem(t, errOf(ken.ChangeItem(ctx, item.ID, client.ItemPatch{Price: &price}))); p.Status != 409 || p.Reason != "item_locked" {
		t.Errorf("an edit of what is sold: %v", p)
	}
}

func ahead(t client.Time, d time.Duration) *client.Time {
	at := client.TimeOf(t.Add(d))
	return &at
}

func TestOrdersInPages(t *testing.T) {
	b := newBench(t, options{})
	ken, _ := b.person("Ken")
	eve, _ := b.person("Eve")
	var want []string
	for i := range 7 {
		o, err := eve.Buy(t.Context(), order(b.item(ken, fmt.Sprint("item ", i), 500), "tok_ok"))
		must(t, err)
		want = append([]string{o.ID}, want...)
	}
	for _, tt := range []struct {
		who  *client.Client
		role client.Role
		want []string
	}{{eve, client.Buyer, want}, {ken, client.Seller, want}, {eve, client.Seller, nil}, {ken, "", nil}} {
		var got []string
		for cursor := ""; ; {
			page, err := tt.who.Orders(t.Context(), tt.role, cursor, 3)
			must(t, err)
			for _, o := range page.Items {
				got = append(got, o.ID)
			}
			if cursor = page.NextCursor; cursor == "" {
				break
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.role, diff)
		}
	}
	n := 0
	for _, err := range ken.AllOrders(t.Context(), client.Seller) {
		must(t, err)
		n++
	}
	if n != 7 {
		t.Errorf("%d orders in all", n)
	}
}

func TestBuyRefused(t *testing.T) {
	b := newBench(t, options{})
	ken, _ := b.person("Ken")
	eve, _ := b.person("Eve")
	ctx := t.Context()
	item := b.item(ken, "Chair", 4500)
	for _, tt := range []struct {
		name         string
		order        client.NewOrder
		status       int
		typ, pointer string
		charges      int
	}{
		{"declined", order(item, "tok_declined"), 402, "/problems/payment-declined", "", 1},
		{"no money", order(item, "tok_insufficient"), 402, "/problems/payment-declined", "", 1},
		{"unknown token", order(item, "tok_of_nobody"), 422, "/problems/invalid-request", "/payment_token", 0},
		{"another price", client.NewOrder{ItemID: item.ID, ExpectedPrice: 4000, PaymentToken: "tok_ok"}, 409, "/problems/price-changed", "", 0},
	} {
		_, err := b.client.Items(ctx, client.ItemQuery{}) // cache the list
		must(t, err)
		p := problem(t, errOf(eve.Buy(ctx, tt.order)))
		if p.Status != tt.status || p.Type != tt.typ {
			t.Errorf("%s: %v %s", tt.name, p, p.Type)
		}
		if tt.pointer != "" && (len(p.Errors) != 1 || p.Errors[0].Pointer != tt.pointer) {
			t.Errorf("%s: %+v", tt.name, p.Errors)
		}
		if i, err := b.client.Item(ctx, item.ID); err != nil || i.State != client.OnSale {
			t.Errorf("%s: the item is %s, %v", tt.name, i.State, err)
		}
		if page, err := b.client.Items(ctx, client.ItemQuery{}); err != nil || len(page.Items) != 1 {
			t.Errorf("%s: the list has %v, %v", tt.name, titles(page.Items), err)
		}
	}
	if n, err := b.sandbox.Charges(); n != 0 || err != nil {
		t.Errorf("%d charges, %v", n, err)
	}
	page, err := eve.Orders(ctx, client.Buyer, "", 0)
	must(t, err)
	for _, o := range page.Items {
		if o.State != client.Cancelled || o.Failure == "" {
			t.Errorf("%+v", o)
		}
	}
	if _, err := eve.Buy(ctx, order(item, "tok_ok")); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

// TestOneItemManyBuyers holds the promise: of 200 buyers at the same moment one gets the item, and
// one is charged.
func TestOneItemManyBuyers(t *testing.T) {
	const buyers = 200
	b := newBench(t, options{})
	ken, _ := b.person("Ken")
	item := b.item(ken, "The last one", 4500)
	people := make([]*client.Client, buyers)
	for i := range people {
		people[i], _ = b.person(fmt.Sprint("buyer", i))
	}
	results := make([]error, buyers)
	orders := make([]client.Order, buyers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i, c := range people {
		wg.Go(func() {
			<-start
			orders[i], results[i] = c.Buy(t.Context(), order(item, "tok_ok"))
		})
	}
	close(start)
	wg.Wait()
	won, lost := 0, 0
	for i, err := range results {
		if err == nil {
			won++
			if orders[i].State != client.AwaitingShipment {
				t.Errorf("the winner's order is %s", orders[i].State)
			}
			continue
		}
		if p := problem(t, err); p.Status == 409 && p.Code == client.Conflict && p.Reason == "item_sold" {
			lost++
		} else {
			t.Errorf("a loser was told %v", p)
		}
	}
	charges, err := b.sandbox.Charges()
	if won != 1 || lost != buyers-1 || charges != 1 || err != nil {
		t.Errorf("%d won, %d lost, %d charges, %v", won, lost, charges, err)
	}
}

// run runs one job's handler.
func (b *bench) run(kind string, payload any) error {
	b.t.Helper()
	p, err := json.Marshal(payload)
	must(b.t, err)
	return b.api.Jobs()[kind](b.t.Context(), &job.Job{ID: 1, Kind: kind, Payload: p, Attempt: 1, MaxAttempts: 25})
}

func (b *bench) settle(o client.Order) error {
	b.t.Helper()
	id, err := market.ParseOrderID(o.ID)
	must(b.t, err)
	return b.run(store.KindOrderSettle, store.OrderRef{Order: id})
}

// TestUnclearCharge holds that an answer of the provider which is lost leaves an order that decides
// itself: paid if it was charged, cancelled if not.
func TestUnclearCharge(t *testing.T) {
	for _, tt := range []struct {
		token string
		order client.OrderState
		item  client.ItemState
	}{
		{"tok_timeout_then_ok", client.AwaitingShipment, client.Sold},
		{"tok_timeout_then_fail", client.Cancelled, client.OnSale},
	} {
		t.Run(tt.token, func(t *testing.T) {
			b := newBench(t, options{noQueue: true})
			ken, _ := b.person("Ken")
			eve, _ := b.person("Eve")
			mal, _ := b.person("Mal")
			item := b.item(ken, "Chair", 4500)
			res := b.do(http.MethodPost, "/v1/orders", `{"item_id":"`+item.ID+`","expected_price":4500,"payment_token":"`+tt.token+`"}`,
				"Authorization", "Bearer "+tokenOf(eve), "Content-Type", "application/json")
			var o client.Order
			must(t, json.Unmarshal([]byte(body(t, res)), &o))
			if res.StatusCode != 202 || o.State != client.PendingPayment || o.DeadlineAt == nil || res.Header.Get("Location") != "/v1/orders/"+o.ID {
				t.Errorf("%d %+v %v", res.StatusCode, o, res.Header)
			}
			if i, err := b.client.Item(t.Context(), item.ID); err != nil || i.State != client.Reserved {
				t.Errorf("meanwhile: %s, %v", i.State, err)
			}
			if p := problem(t, errOf(mal.Buy(t.Context(), order(item, "tok_ok")))); p.Reason != "item_sold" {
				t.Errorf("meanwhile: %v", p)
			}
			must(t, b.settle(o))
			must(t, b.settle(o)) // again does nothing
			got, err := eve.Order(t.Context(), o.ID)
			if err != nil || got.State != tt.order {
				t.Errorf("%s, %v", got.State, err)
			}
			if i, err := b.client.Item(t.Context(), item.ID); err != nil || i.State != tt.item {
				t.Errorf("%s, %v", i.State, err)
			}
			want := 0
			if tt.order == client.AwaitingShipment {
				want = 1
			}
			if n, err := b.sandbox.Charges(); n != want || err != nil {
				t.Errorf("%d charges, %v", n, err)
			}
		})
	}
}

// away is a payment provider that can be switched off.
type away struct {
	pay.Provider
	mu     sync.Mutex
	charge error
	lookup error
}

func (a *away) Charge(ctx context.Context, r pay.ChargeRequest) (market.Charge, error) {
	a.mu.Lock()
	err := a.charge
	a.mu.Unlock()
	if err != nil {
		return market.Charge{}, err
	}
	return a.Provider.Charge(ctx, r)
}

func (a *away) Lookup(ctx context.Context, key string) (market.Charge, error) {
	a.mu.Lock()
	err := a.lookup
	a.mu.Unlock()
	if err != nil {
		return market.Charge{}, err
	}
	return a.Provider.Lookup(ctx, key)
}

// TestProviderAway holds that an order whose provider never answered is looked at again and again,
// and is cancelled after its deadline and not before.
func TestProviderAway(t *testing.T) {
	clock := newClock()
	unavailable := market.Wrap(market.CodeUnavailable, "", errBroken, "away")
	provider := &away{charge: unavailable, lookup: unavailable}
	b := newBench(t, options{noQueue: true, now: clock.now, pay: func(p pay.Provider) pay.Provider { provider.Provider = p; return provider }})
	ken, _ := b.person("Ken")
	eve, _ := b.person("Eve")
	item := b.item(ken, "Chair", 4500)
	o, err := eve.Buy(t.Context(), order(item, "tok_ok"))
	if err != nil || o.State != client.PendingPayment {
		t.Fatalf("%+v, %v", o, err)
	}
	snoozed := func(when string) {
		t.Helper()
		if err := b.settle(o); !api.IsSnooze(err) {
			t.Errorf("%s: %v", when, err)
		}
		if got, err := eve.Order(t.Context(), o.ID); err != nil || got.State != client.PendingPayment {
			t.Errorf("%s: %s, %v", when, got.State, err)
		}
	}
	snoozed("at once")
	clock.add(24 * time.Hour)
	snoozed("after a day of silence") // nobody knows whether there is a charge
	provider.lookup = nil
	clock.add(-24 * time.Hour)
	snoozed("no charge, before the deadline")
	clock.add(b.store.Rules().PayWithin)
	must(t, b.settle(o))
	got, err := eve.Order(t.Context(), o.ID)
	if err != nil || got.State != client.Cancelled {
		t.Errorf("%s, %v", got.State, err)
	}
	if i, err := b.client.Item(t.Context(), item.ID); err != nil || i.State != client.OnSale {
		t.Errorf("%s, %v", i.State, err)
	}
}

// TestSweep holds that an order which has lost its job is decided all the same.
func TestSweep(t *testing.T) {
	clock := newClock()
	provider := &away{charge: market.Wrap(market.CodeUnavailable, "", errBroken, "away")}
	b := newBench(t, options{noQueue: true, now: clock.now, pay: func(p pay.Provider) pay.Provider { provider.Provider = p; return provider }})
	ken, _ := b.person("Ken")
	eve, _ := b.person("Eve")
	o, err := eve.Buy(t.Context(), order(b.item(ken, "Chair", 4500), "tok_ok"))
	must(t, err)
	if err := b.run(api.KindOrderSweep, nil); !api.IsSnooze(err) {
		t.Errorf("%v", err)
	}
	if got, err := eve.Order(t.Context(), o.ID); err != nil || got.State != client.PendingPayment {
		t.Errorf("before its deadline: %s, %v", got.State, err)
	}
	clock.add(b.store.Rules().PayWithin + time.Second)
	if err := b.run(api.KindOrderSweep, nil); !api.IsSnooze(err) {
		t.Errorf("%v", err)
	}
	if got, err := eve.Order(t.Context(), o.ID); err != nil || got.State != client.Cancelled {
		t.Errorf("after it: %s, %v", got.State, err)
	}
}

// TestBuyerHangsUp holds that a buyer who does not wait for the answer has bought, or not, and
// leaves nothing in between.
func TestBuyerHangsUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	provider := &hangUp{cancel: cancel}
	b := newBench(t, options{noQueue: true, pay: func(p pay.Provider) pay.Provider { provider.Provider = p; return provider }})
	ken, _ := b.person("Ken")
	eve, _ := b.person("Eve")
	item := b.item(ken, "Chair", 4500)
	if _, err := eve.Buy(ctx, order(item, "tok_ok")); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	b.flush() // the server ends the request
	eve = b.client.WithToken(tokenOf(eve))
	page, err := eve.Orders(t.Context(), client.Buyer, "", 0)
	must(t, err)
	if len(page.Items) != 1 || page.Items[0].State != client.AwaitingShipment {
		t.Errorf("%+v", page.Items)
	}
}

// hangUp is a payment provider whose buyer goes away while it works.
type hangUp struct {
	pay.Provider
	cancel func()
}

func (h *hangUp) Charge(ctx context.Context, r pay.ChargeRequest) (market.Charge, error) {
	h.cancel()
	c, err := h.Provider.Charge(ctx, r)
	return c, errors.Join(err, ctx.Err())
}

// TestPaidTooLate holds that whoever is charged for an order that has been cancelled meanwhile gets
// the money back.
func TestPaidTooLate(t *testing.T) {
	provider := &late{}
	b := newBench(t, options{noQueue: true, pay: func(p pay.Provider) pay.Provider { provider.Provider = p; return provider }})
	provider.store = b.store
	ken, _ := b.person("Ken")
	eve, her := b.person("Eve")
	item := b.item(ken, "Chair", 4500)
	provider.buyer, _ = market.ParseUserID(her.ID)
	p := problem(t, errOf(eve.Buy(t.Context(), order(item, "tok_ok"))))
	if p.Status != 409 || p.Reason != "order_cancelled" {
		t.Errorf("%v", p)
	}
	charges, err := b.sandbox.List(10)
	must(t, err)
	if len(charges) != 1 || charges[0].Status != market.ChargeRefunded {
		t.Errorf("%+v", charges)
	}
	if i, err := b.client.Item(t.Context(), item.ID); err != nil || i.State != client.OnSale {
		t.Errorf("%s, %v", i.State, err)
	}
}

// late is a payment provider whose order is cancelled while it charges.
type late struct {
	pay.Provider
	store *store.Store
	buyer market.UserID
}

func (l *late) Charge(ctx context.Context, r pay.ChargeRequest) (market.Charge, error) {
	page, err := l.store.Orders(ctx, store.OrderQuery{User: l.buyer})
	if err == nil {
		_, _, err = l.store.ReleaseOrder(ctx, page.Orders[0].ID, market.OrderExpired, "")
	}
	if err != nil {
		return market.Charge{}, err
	}
	return l.Provider.Charge(ctx, r)
}

// TestNotifications holds the path from an event to the gateway, by the jobs of the events'
// own transactions.
func TestNotifications(t *testing.T) {
	b := newBench(t, options{})
	ctx := t.Context()
	ken, _ := b.person("Ken")
	eve, _ := b.person("Eve")
	for _, d := range []struct {
		id string
		r  client.DeviceRegistration
	}{
		{"phone", client.DeviceRegistration{Platform: client.APNS, Token: "aa"}},
		{"tablet", client.DeviceRegistration{Platform: client.APNS, Token: "bb"}},
		{"old", client.DeviceRegistration{Platform: client.APNS, Token: "cc", Locale: "ja"}},
		{"other", client.DeviceRegistration{Platform: client.FCM, Token: "dd"}},
	} {
		_, err := ken.PutDevice(ctx, d.id, d.r)
		must(t, err)
	}
	item := b.item(ken, "Chair", 4500)
	notice := func(platform client.Platform, title, body, typ string, tokens []string, more func(*client.Notification)) client.Notification {
		n := client.Notification{
			Tokens: tokens, Platform: platform, Title: title, Body: body, ThreadID: item.ID, Category: typ, Priority: client.High,
			Data: map[string]string{"type": typ, "item_id": item.ID},
		}
		if more != nil {
			more(&n)
		}
		return n
	}
	all := func(typ, enTitle, enBody, jaTitle, jaBody string, more func(*client.Notification)) client.PushRequest {
		return client.PushRequest{App: "market", Notifications: []client.Notification{
			notice(client.APNS, enTitle, enBody, typ, []string{"aa", "bb"}, more),
			notice(client.APNS, jaTitle, jaBody, typ, []string{"cc"}, more),
			notice(client.FCM, enTitle, enBody, typ, []string{"dd"}, more),
		}}
	}
	see := func(want client.PushRequest) {
		t.Helper()
		if diff := cmp.Diff(want, b.gateway.wait(t), cmpopts.IgnoreFields(client.PushRequest{}, "IdempotencyKey")); diff != "" {
			t.Error(diff)
		}
	}
	must(t, eve.Like(ctx, item.ID))
	see(all("item.liked", "Your item is liked", "Eve likes “Chair”", "「いいね！」がつきました", "Eveさんが「Chair」に「いいね！」しました",
		func(n *client.Notification) { n.CollapseID = "like:" + item.ID }))

	_, err := ken.Comment(ctx, item.ID, "my own remark is no news to me")
	must(t, err)
	_, err = eve.Comment(ctx, item.ID, "How tall?")
	must(t, err)
	see(all("item.commented", "New comment on “Chair”", "Eve: How tall?", "「Chair」にコメントがつきました", "Eveさん：How tall?", nil))

	o, err := eve.Buy(ctx, order(item, "tok_ok"))
	must(t, err)
	see(all("order.paid", "Sold: “Chair”", "Eve paid ¥4,500. Please send it.", "「Chair」が売れました", "Eveさんが¥4,500で購入しました。発送をお願いします。",
		func(n *client.Notification) { n.Sound = "default"; n.Data["order_id"] = o.ID }))

	b.gateway.mu.Lock()
	defer b.gateway.mu.Unlock()
	seen := map[string]bool{}
	for _, key := range b.gateway.keys {
		if key == "" || seen[key] {
			t.Errorf("idempotency keys %q", b.gateway.keys)
		}
		seen[key] = true
	}
	if len(b.gateway.sent) != 0 {
		t.Errorf("%d more requests", len(b.gateway.sent))
	}
}

// TestNotifyOutcomes holds what becomes of a job by the gateway's answer.
func TestNotifyOutcomes(t *testing.T) {
	b := newBench(t, options{noQueue: true})
	ken, _ := b.person("Ken")
	eve, _ := b.person("Eve")
	item := b.item(ken, "Chair", 4500)
	c, err := eve.Comment(t.Context(), item.ID, "hi")
	must(t, err)
	itemID, _ := market.ParseItemID(item.ID)
	commentID, _ := market.ParseCommentID(c.ID)
	payload := store.ItemCommented{Item: itemID, Comment: commentID}
	if err := b.run(store.KindItemCommented, payload); err != nil {
		t.Errorf("nobody to tell: %v", err)
	}
	_, err = ken.PutDevice(t.Context(), "p", client.DeviceRegistration{Platform: client.APNS, Token: "aa"})
	must(t, err)
	for _, tt := range []struct {
		name   string
		status int
		header string
		is     func(error) bool
	}{
		{"taken", 202, "", func(err error) bool { return err == nil }},
		{"wrong", 422, "", api.IsCancel},
		{"full", 429, "30", api.IsSnooze},
		{"away", 503, "", func(err error) bool { return err != nil && !api.IsCancel(err) && !api.IsSnooze(err) }},
		{"broken", 500, "", func(err error) bool { return err != nil && !api.IsCancel(err) && !api.IsSnooze(err) }},
		{"token refused", 401, "", api.IsCancel},
	} {
		b.gateway.mu.Lock()
		b.gateway.answer = func(w http.ResponseWriter) bool {
			if tt.header != "" {
				w.Header().Set("Retry-After", tt.header)
			}
			w.WriteHeader(tt.status)
			_, _ = w.Write([]byte("{}"))
			return true
		}
		b.gateway.mu.Unlock()
		if err := b.run(store.KindItemCommented, payload); !tt.is(err) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	// What a job is about may be gone, and what it holds may be nonsense.
	payload.Comment++
	if err := b.run(store.KindItemCommented, payload); err != nil {
		t.Errorf("a comment that is gone: %v", err)
	}
	if err := b.run(store.KindItemLiked, store.ItemLiked{Item: itemID, User: 1}); err != nil {
		t.Errorf("a like that was taken back: %v", err)
	}
	if err := b.run(store.KindOrderPaid, store.OrderRef{Order: 1}); err != nil {
		t.Errorf("an order that is gone: %v", err)
	}
	if err := b.run(store.KindOrderSettle, store.OrderRef{Order: 1}); err != nil {
		t.Errorf("an order that is gone: %v", err)
	}
	for _, kind := range store.Kinds() {
		if err := b.run(kind, "nonsense"); !api.IsCancel(err) {
			t.Errorf("%s of nonsense: %v", kind, err)
		}
	}
}

// TestEveryKindHasAHandler holds that no job of the store waits for ever.
func TestEveryKindHasAHandler(t *testing.T) {
	jobs := detached(t).Jobs()
	for _, kind := range append(store.Kinds(), api.KindPushFeedback, api.KindOrderSweep, api.KindSessionTidy) {
		if jobs[kind] == nil {
			t.Errorf("%s has none", kind)
		}
		delete(jobs, kind)
	}
	if len(jobs) != 0 {
		t.Errorf("handlers of unknown kinds: %v", jobs)
	}
}

// TestFeedback holds that devices with dead tokens are forgotten, unless the token was given again
// since, and that the place in the feedback is remembered.
func TestFeedback(t *testing.T) {
	clock := newClock()
	b := newBench(t, options{noQueue: true, now: clock.now})
	ken, me := b.person("Ken")
	user, _ := market.ParseUserID(me.ID)
	register := func(id, token string) {
		_, err := ken.PutDevice(t.Context(), id, client.DeviceRegistration{Platform: client.APNS, Token: token})
		must(t, err)
	}
	names := func() (all []string) {
		devices, err := b.store.Devices(t.Context(), user)
		must(t, err)
		for _, d := range devices {
			all = append(all, d.Name)
		}
		return all
	}
	register("dead", "aa")
	register("again", "bb")
	register("other-app", "cc")
	died := clock.now().Add(time.Minute)
	clock.add(time.Hour)
	register("again", "bb")
	dead := func(app, token string) client.DeadToken {
		return client.DeadToken{App: app, Platform: client.APNS, Token: token, Reason: "Unregistered", Time: died}
	}
	b.gateway.feedback[""] = client.FeedbackPage{Tokens: []client.DeadToken{dead("market", "aa"), dead("market", "bb"), dead("market", "zz"), dead("another", "cc")}, NextCursor: "4"}
	b.gateway.feedback["4"] = client.FeedbackPage{NextCursor: "4"}
	for range 3 {
		if err := b.run(api.KindPushFeedback, nil); !api.IsSnooze(err) {
			t.Errorf("%v", err)
		}
	}
	if diff := cmp.Diff([]string{"again", "other-app"}, names()); diff != "" {
		t.Error(diff)
	}
	if cursor, err := b.store.PushCursor(t.Context()); cursor != "4" || err != nil {
		t.Errorf("cursor %q, %v", cursor, err)
	}
	// A gateway that is away does not kill the job.
	b.gateway.Close()
	for range 10 {
		if err := b.run(api.KindPushFeedback, nil); !api.IsSnooze(err) {
			t.Errorf("%v", err)
		}
	}
}

// TestPeriodicJobsRun holds that they are there once, however often they are scheduled.
func TestPeriodicJobsRun(t *testing.T) {
	b := newBench(t, options{})
	for range 3 {
		must(t, b.api.Schedule(t.Context()))
	}
	stats, err := b.queue.Stats(t.Context())
	must(t, err)
	count := map[string]int64{}
	for _, s := range stats {
		count[s.Kind] += s.Count
	}
	if diff := cmp.Diff(map[string]int64{api.KindOrderSweep: 1, api.KindSessionTidy: 1, api.KindPushFeedback: 1}, count); diff != "" {
		t.Error(diff)
	}
}

func TestWithoutAGateway(t *testing.T) {
	b := newBench(t, options{noPush: true})
	must(t, b.api.Schedule(t.Context()))
	ken, _ := b.person("Ken")
	eve, _ := b.person("Eve")
	item := b.item(ken, "Chair", 500)
	_, err := ken.PutDevice(t.Context(), "p", client.DeviceRegistration{Platform: client.APNS, Token: "aa"})
	must(t, err)
	must(t, eve.Like(t.Context(), item.ID))
	itemID, _ := market.ParseItemID(item.ID)
	if err := b.run(store.KindItemLiked, store.ItemLiked{Item: itemID, User: 1}); err != nil {
		t.Error(err)
	}
	if err := b.run(api.KindPushFeedback, nil); err != nil {
		t.Error(err)
	}
}
