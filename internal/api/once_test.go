package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/pay"
)

func TestIdempotencyKey(t *testing.T) {
	b := newBench(t, options{noQueue: true})
	ken, _ := b.person("Ken")
	eve, _ := b.person("Eve")
	mal, _ := b.person("Mal")
	item := b.item(ken, "Chair", 4500)
	ctx := client.WithIdempotencyKey(t.Context(), "k-1")
	first, err := eve.Buy(ctx, order(item, "tok_ok"))
	must(t, err)
	for range 2 {
		if again, err := eve.Buy(ctx, order(item, "tok_ok")); err != nil || !cmp.Equal(again, first) {
			t.Errorf("again: %v, %s", err, cmp.Diff(first, again))
		}
	}
	if n, err := b.sandbox.Charges(); n != 1 || err != nil {
		t.Errorf("%d charges, %v", n, err)
	}
	// The same key of somebody else, or for another operation, is another.
	if p := problem(t, errOf(mal.Buy(ctx, order(item, "tok_ok")))); p.Reason != "item_sold" {
		t.Errorf("somebody else: %v", p)
	}
	if _, err := eve.SendMessage(ctx, first.ID, client.NewMessage{Body: "hello"}); err != nil {
		t.Errorf("another operation: %v", err)
	}
	if p := problem(t, errOf(eve.Buy(ctx, order(item, "tok_slow_2s")))); p.Status != 422 || p.Errors[0].Pointer != "header/Idempotency-Key" {
		t.Errorf("another body: %v", p)
	}
	res := b.do(http.MethodPost, "/v1/orders", `{"item_id":"`+item.ID+`","expected_price":4500,"payment_token":"tok_ok"}`,
		"Authorization", "Bearer "+tokenOf(eve), "Content-Type", "application/json", "Idempotency-Key", "k-1")
	if got := body(t, res); res.StatusCode != 201 || res.Header.Get("Idempotency-Replayed") != "true" || res.Header.Get("Location") != "/v1/orders/"+first.ID {
		t.Errorf("%d %v %s", res.StatusCode, res.Header, got)
	}
	for _, key := range []string{"", "with space", strings.Repeat("x", 256)} {
		res := b.do(http.MethodPost, "/v1/orders", `{"item_id":"`+item.ID+`","expected_price":4500,"payment_token":"tok_ok"}`,
			"Authorization", "Bearer "+tokenOf(eve), "Content-Type", "application/json", "Idempotency-Key", key)
		if got := body(t, res); res.StatusCode != 422 && res.StatusCode != 400 {
			t.Errorf("key %q: %d %s", key, res.StatusCode, got)
		}
	}
}

// TestIdempotencyKeyOfDeclined holds that the answer to a declined purchase is
// repeated as well, and that what had no effect is tried anew.
func TestIdempotencyKeyOfDeclined(t *testing.T) {
	b := newBench(t, options{noQueue: true})
	ken, _ := b.person("Ken")
	eve, _ := b.person("Eve")
	item := b.item(ken, "Chair", 4500)
	ctx := client.WithIdempotencyKey(t.Context(), "k-1")
	for range 2 {
		if p := problem(t, errOf(eve.Buy(ctx, order(item, "tok_declined")))); p.Status != 402 {
			t.Errorf("%v", p)
		}
	}
	page, err := eve.Orders(t.Context(), client.Buyer, "", 0)
	if err != nil || len(page.Items) != 1 {
		t.Errorf("%d orders, %v", len(page.Items), err)
	}
	ctx = client.WithIdempotencyKey(t.Context(), "k-2")
	wrong := order(item, "tok_ok")
	wrong.ExpectedPrice++
	if p := problem(t, errOf(eve.Buy(ctx, wrong))); p.Reason != "price_changed" {
		t.Errorf("%v", p)
	}
	if _, err := eve.Buy(ctx, order(item, "tok_ok")); err != nil {
		t.Errorf("after a refusal: %v", err)
	}
}

// waiting is a payment provider that waits until it is let go.
type waiting struct {
	pay.Provider
	arrived, release chan struct{}
}

func (w *waiting) Charge(ctx context.Context, r pay.ChargeRequest) (market.Charge, error) {
	w.arrived <- struct{}{}
	<-w.release
	return w.Provider.Charge(ctx, r)
}

// TestIdempotencyKeyWhileItRuns holds that a repetition does not run beside the
// first, and that one whose process died says so.
func TestIdempotencyKeyWhileItRuns(t *testing.T) {
	clock := newClock()
	provider := &waiting{arrived: make(chan struct{}, 1), release: make(chan struct{})}
	b := newBench(t, options{noQueue: true, now: clock.now, pay: func(p pay.Provider) pay.Provider { provider.Provider = p; return provider }})
	ken, _ := b.person("Ken")
	eve, _ := b.person("Eve")
	item := b.item(ken, "Chair", 4500)
	ctx := client.WithIdempotencyKey(t.Context(), "k-1")
	var first client.Order
	var wg sync.WaitGroup
	wg.Go(func() {
		var err error
		if first, err = eve.Buy(ctx, order(item, "tok_ok")); err != nil {
			t.Error(err)
		}
	})
	<-provider.arrived
	p := problem(t, errOf(eve.Buy(ctx, order(item, "tok_ok"))))
	if p.Status != 409 || p.Reason != "request_repeated" || p.RetryAfter == 0 {
		t.Errorf("%v, %v", p, p.RetryAfter)
	}
	clock.add(3 * time.Minute) // as after a crash
	if p := problem(t, errOf(eve.Buy(ctx, order(item, "tok_ok")))); p.Status != 409 || p.RetryAfter != 0 {
		t.Errorf("%v, %v", p, p.RetryAfter)
	}
	close(provider.release)
	wg.Wait()
	again, err := eve.Buy(ctx, order(item, "tok_ok"))
	if err != nil || again.ID != first.ID || again.State != client.AwaitingShipment {
		b, _ := json.Marshal(again)
		t.Errorf("%s, %v", b, err)
	}
}
