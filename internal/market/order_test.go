package market_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/furima/furima/internal/market"
)

func reserved(t interface{ Fatal(...any) }) (market.Item, market.Order) {
	item, order, err := market.DefaultRules().Reserve(onSale(t), market.Purchase{ID: 9, Item: 7, Buyer: buyer, ExpectedPrice: 4500}, noon)
	if err != nil {
		t.Fatal(err)
	}
	return item, order
}

func chargeOf(o market.Order) market.Charge {
	return market.Charge{ID: "ch_1", Key: o.ChargeKey(), Status: market.ChargeSucceeded, Amount: o.Price, Currency: o.Currency, CreatedAt: noon}
}

func TestReserve(t *testing.T) {
	item, order := reserved(t)
	want := market.Order{
		ID: 9, Item: 7, ItemTitle: "Oak chair", Buyer: buyer, Seller: seller, State: market.OrderPendingPayment, Price: 4500, Fee: 450,
		Currency: "JPY", Version: 1, DeadlineAt: noon.Add(15 * time.Minute), CreatedAt: noon, UpdatedAt: noon,
	}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if item.State != market.ItemReserved || item.Version != 2 {
		t.Errorf("item is %s at version %d", item.State, item.Version)
	}
	if order.Proceeds() != 4050 {
		t.Errorf("proceeds %d", order.Proceeds())
	}
}

func TestReserveRefuses(t *testing.T) {
	rules := market.DefaultRules()
	for name, c := range map[string]struct {
		state  market.ItemState
		buyer  market.UserID
		price  market.Money
		code   market.Code
		reason market.Reason
	}{
		"own":       {market.ItemOnSale, seller, 4500, market.CodeConflict, market.ReasonOwnItem},
		"reserved":  {market.ItemReserved, buyer, 4500, market.CodeConflict, market.ReasonItemSold},
		"sold":      {market.ItemSold, buyer, 4500, market.CodeConflict, market.ReasonItemSold},
		"paused":    {market.ItemPaused, buyer, 4500, market.CodeNotFound, ""},
		"withdrawn": {market.ItemWithdrawn, buyer, 4500, market.CodeNotFound, ""},
		"hidden":    {market.ItemHidden, buyer, 4500, market.CodeNotFound, ""},
		"dearer":    {market.ItemOnSale, buyer, 4400, market.CodeConflict, market.ReasonPriceChanged},
		"cheaper":   {market.ItemOnSale, buyer, 4600, market.CodeConflict, market.ReasonPriceChanged},
	} {
		t.Run(name, func(t *testing.T) {
			item := onSale(t)
			item.State = c.state
			_, order, err := rules.Reserve(item, market.Purchase{Item: 7, Buyer: c.buyer, ExpectedPrice: c.price}, noon)
			if market.CodeOf(err) != c.code || market.ReasonOf(err) != c.reason || order != (market.Order{}) {
				t.Errorf("Reserve = %+v, %v; want %s %s", order, err, c.code, c.reason)
			}
		})
	}
}

func TestSettle(t *testing.T) {
	rules := market.DefaultRules()
	_, order := reserved(t)
	later := noon.Add(time.Second)
	paid, changed, err := rules.Settle(order, chargeOf(order), later)
	want := order
	want.State, want.ChargeID, want.PaidAt, want.DeadlineAt, want.Version, want.UpdatedAt = market.OrderAwaitingShipment, "ch_1", later, later.Add(7*24*time.Hour), 2, later
	if diff := cmp.Diff(want, paid); err != nil || !changed || diff != "" {
		t.Fatalf("changed %v, %v (-want +got):\n%s", changed, err, diff)
	}
	if again, changed, err := rules.Settle(paid, chargeOf(order), later.Add(time.Hour)); err != nil || changed || again != paid {
		t.Errorf("settled again: %+v, %v, %v", again, changed, err)
	}
	other := chargeOf(order)
	other.ID = "ch_2"
	if _, _, err := rules.Settle(paid, other, later); market.ReasonOf(err) != market.ReasonOrderPaid {
		t.Errorf("settled with a second charge: %v", err)
	}
	for name, spoil := range map[string]func(*market.Charge){
		"declined": func(c *market.Charge) { c.Status = market.ChargeDeclined },
		"refunded": func(c *market.Charge) { c.Status = market.ChargeRefunded },
		"amount":   func(c *market.Charge) { c.Amount-- },
		"currency": func(c *market.Charge) { c.Currency = "USD" },
		"no name":  func(c *market.Charge) { c.ID = "" },
		"key":      func(c *market.Charge) { c.Key = "order:another:pay" },
	} {
		c := chargeOf(order)
		spoil(&c)
		if _, changed, err := rules.Settle(order, c, later); market.CodeOf(err) != market.CodeInternal || changed {
			t.Errorf("a charge with another %s pays: %v", name, err)
		}
	}
}

func TestRelease(t *testing.T) {
	rules := market.DefaultRules()
	_, order := reserved(t)
	cancelled, changed, err := rules.Release(order, market.OrderDeclined, market.ReasonNoFunds, noon)
	if err != nil || !changed || cancelled.State != market.OrderCancelled || cancelled.Failure != market.ReasonNoFunds || !cancelled.DeadlineAt.IsZero() {
		t.Fatalf("Release = %+v, %v, %v", cancelled, changed, err)
	}
	if again, changed, err := rules.Release(cancelled, market.OrderExpired, "", noon.Add(time.Hour)); err != nil || changed || again != cancelled {
		t.Errorf("released again: %+v, %v, %v", again, changed, err)
	}
	if _, _, err := rules.Settle(cancelled, chargeOf(order), noon); market.ReasonOf(err) != market.ReasonOrderCancelled {
		t.Errorf("settled after the release: %v", err)
	}
	paid, _, err := rules.Settle(order, chargeOf(order), noon)
	if err != nil {
		t.Fatal(err)
	}
	if _, changed, err := rules.Release(paid, market.OrderDeclined, "", noon); market.ReasonOf(err) != market.ReasonOrderPaid || changed {
		t.Errorf("released after it was paid: %v", err)
	}
	if _, _, err := rules.Release(order, market.OrderPaid, "", noon); err == nil {
		t.Error("released by an event that pays")
	}
}

func TestRoles(t *testing.T) {
	_, order := reserved(t)
	for user, want := range map[market.UserID]market.Role{buyer: market.RoleBuyer, seller: market.RoleSeller, 99: ""} {
		got, err := order.RoleOf(user)
		if got != want || (want == "") != (market.CodeOf(err) == market.CodeNotFound) {
			t.Errorf("RoleOf(%d) = %q, %v; want %q", user, got, err, want)
		}
	}
}

// TestSweepEnds drives one order through what can happen around its payment in
// any order and at any time: it is never both paid and cancelled, it is paid
// only if money was taken, and sweeping after the deadline always ends it.
func TestSweepEnds(t *testing.T) {
	rules := market.DefaultRules()
	rapid.Check(t, func(t *rapid.T) {
		_, order := reserved(t)
		var charge *market.Charge
		now := noon
		apply := func(after market.Order, _ bool, err error) {
			if err == nil {
				if order.State.Final() && after != order {
					t.Fatalf("%s became %s", order.State, after.State)
				}
				order = after
			}
		}
		sweep := func() {
			switch v := market.Sweep(order, charge, now); v {
			case market.VerdictSettle:
				apply(rules.Settle(order, *charge, now))
			case market.VerdictDecline:
				apply(rules.Release(order, market.OrderDeclined, charge.Failure, now))
			case market.VerdictExpire:
				apply(rules.Release(order, market.OrderExpired, "", now))
			case market.VerdictWait:
				if !now.Before(order.DeadlineAt) {
					t.Fatal("it waits beyond the deadline")
				}
			case market.VerdictNone:
				if order.State == market.OrderPendingPayment {
					t.Fatal("nothing is done for an order that waits")
				}
			}
		}
		for range rapid.IntRange(0, 8).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0: // the api charges, if it still may
				if charge == nil && now.Before(order.DeadlineAt) {
					c := chargeOf(order)
					c.Status = rapid.SampledFrom([]market.ChargeStatus{market.ChargeSucceeded, market.ChargeDeclined}).Draw(t, "status")
					charge = &c
				}
			case 1:
				now = now.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "seconds")) * time.Second)
			case 2:
				sweep()
			case 3: // the api goes on after its charge
				if charge != nil && charge.Status == market.ChargeSucceeded {
					apply(rules.Settle(order, *charge, now))
				}
			}
		}
		now = now.Add(rules.PayWithin)
		sweep()
		money := charge != nil && charge.Status == market.ChargeSucceeded
		switch {
		case order.State == market.OrderPendingPayment:
			t.Fatal("it waits for ever")
		case money != (order.State == market.OrderAwaitingShipment):
			t.Fatalf("money taken: %v, order %s", money, order.State)
		}
	})
}

func ExampleRules_Reserve() {
	rules := market.DefaultRules()
	item, err := rules.NewItem(market.ItemDraft{
		ID: 7, Seller: 1, Category: 12, Title: "Oak chair", Price: 4500, Condition: market.ConditionGood,
	}, noon)
	if err != nil {
		fmt.Println(err)
		return
	}
	item, order, err := rules.Reserve(item, market.Purchase{ID: 9, Item: item.ID, Buyer: 2, ExpectedPrice: 4500}, noon)
	fmt.Println(item.State, order.State, order.Proceeds(), err)
	_, _, err = rules.Reserve(item, market.Purchase{ID: 10, Item: item.ID, Buyer: 3, ExpectedPrice: 4500}, noon)
	fmt.Println(market.CodeOf(err), market.ReasonOf(err))
	// Output:
	// reserved pending_payment 4050 <nil>
	// conflict item_sold
}
