package market_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/furima/furima/internal/market"
)

const day = 24 * time.Hour

func paidOrder(t interface{ Fatal(...any) }) market.Order {
	_, order := reserved(t)
	paid, _, err := market.DefaultRules().Settle(order, chargeOf(order), noon)
	if err != nil {
		t.Fatal(err)
	}
	return paid
}

// walk takes an order through steps, a minute apart.
func walk(t *testing.T, o market.Order, steps ...market.Step) market.Order {
	t.Helper()
	for i, s := range steps {
		var err error
		if o, err = market.DefaultRules().Advance(o, s, noon.Add(time.Duration(i+1)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func TestAdvanceToTheEnd(t *testing.T) {
	rules := market.DefaultRules()
	o := paidOrder(t)
	for _, c := range []struct {
		step     market.Step
		state    market.OrderState
		deadline time.Duration // from the step on
		seller   market.Todo
		buyer    market.Todo
	}{
		{market.Step{Event: market.OrderShip, By: market.ActorSeller}, market.OrderShipped, 9 * day, "", market.TodoReceive},
		{market.Step{Event: market.OrderDeliver, By: market.ActorCarrier}, market.OrderDelivered, 3 * day, "", market.TodoReceive},
		{market.Step{Event: market.OrderBuyerReview, By: market.ActorBuyer}, market.OrderReceived, 3 * day, market.TodoReview, ""},
		{market.Step{Event: market.OrderSellerReview, By: market.ActorSeller}, market.OrderCompleted, 0, "", ""},
	} {
		now := o.UpdatedAt.Add(time.Hour)
		next, err := rules.Advance(o, c.step, now)
		if err != nil {
			t.Fatal(err)
		}
		want := o
		want.State, want.Version, want.UpdatedAt, want.DeadlineAt = c.state, o.Version+1, now, time.Time{}
		if c.deadline > 0 {
			want.DeadlineAt = now.Add(c.deadline)
		}
		switch c.step.Event {
		case market.OrderShip:
			want.ShippedAt = now
		case market.OrderSellerReview:
			want.EndedAt = now
		}
		if diff := cmp.Diff(want, next); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", c.step.Event, diff)
		}
		if next.Todo(market.RoleSeller) != c.seller || next.Todo(market.RoleBuyer) != c.buyer {
			t.Errorf("after %s to do: %q, %q; want %q, %q", c.step.Event, next.Todo(market.RoleSeller), next.Todo(market.RoleBuyer), c.seller, c.buyer)
		}
		o = next
	}
}

// TestAdvanceTable tries every event by every actor in every state: what the
// table does not have is refused and says so.
func TestAdvanceTable(t *testing.T) {
	rules := market.DefaultRules()
	actors := []market.Actor{market.ActorBuyer, market.ActorSeller, market.ActorProvider, market.ActorCarrier, market.ActorTimer, market.ActorOperator}
	rows := map[string]market.OrderState{}
	events := map[market.OrderEvent]bool{}
	states := map[market.OrderState]bool{}
	for _, tr := range market.OrderTransitions() {
		events[tr.Event], states[tr.From], states[tr.To] = true, true, true
		for _, by := range tr.By {
			if by == market.ActorParties {
				rows[fmt.Sprint(tr.From, tr.Event, market.ActorBuyer)] = tr.To
				rows[fmt.Sprint(tr.From, tr.Event, market.ActorSeller)] = tr.To
				continue
			}
			rows[fmt.Sprint(tr.From, tr.Event, by)] = tr.To
		}
	}
	for from := range states {
		for e := range events {
			for _, by := range actors {
				o := paidOrder(t)
				o.State = from
				got, err := rules.Advance(o, market.Step{Event: e, By: by}, noon.Add(30*day)) // after every deadline
				want, ok := rows[fmt.Sprint(from, e, by)]
				if from == market.OrderPendingPayment {
					ok = false // Settle and Release
				}
				if ok != (err == nil) || ok && got.State != want {
					t.Errorf("%s, %s by %s: %s, %v; want %s", from, e, by, got.State, err, want)
				}
				if c := market.CodeOf(err); err != nil && c != market.CodeConflict && c != market.CodeForbidden {
					t.Errorf("%s, %s by %s: refused with %s", from, e, by, c)
				}
			}
		}
	}
}

func TestBuyerCancelsAfterShipBy(t *testing.T) {
	rules := market.DefaultRules()
	o := paidOrder(t)
	cancel := market.Step{Event: market.OrderCancel, By: market.ActorBuyer, Note: "it is never sent"}
	if _, err := rules.Advance(o, cancel, rules.ShipBy(o).Add(-time.Second)); market.ReasonOf(err) != market.ReasonTooEarly {
		t.Errorf("cancelled too early: %v", err)
	}
	got, err := rules.Advance(o, cancel, rules.ShipBy(o))
	if err != nil || got.State != market.OrderRefundPending || got.Note != cancel.Note || !got.DeadlineAt.IsZero() {
		t.Errorf("cancelled: %+v, %v", got, err)
	}
	cancel.By = market.ActorSeller
	if _, err := rules.Advance(o, cancel, noon); err != nil {
		t.Errorf("the seller cancels at once: %v", err)
	}
	now := rules.ShipBy(o).Add(-time.Second)
	if diff := cmp.Diff([]market.OrderEvent(nil), rules.Actions(o, market.RoleBuyer, now)); diff != "" {
		t.Errorf("buyer before (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]market.OrderEvent{market.OrderCancel}, rules.Actions(o, market.RoleBuyer, now.Add(time.Second))); diff != "" {
		t.Errorf("buyer after (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]market.OrderEvent{market.OrderShip, market.OrderCancel}, rules.Actions(o, market.RoleSeller, now)); diff != "" {
		t.Errorf("seller (-want +got):\n%s", diff)
	}
}

func TestOverdue(t *testing.T) {
	rules := market.DefaultRules()
	ship := market.Step{Event: market.OrderShip, By: market.ActorSeller}
	receive := market.Step{Event: market.OrderBuyerReview, By: market.ActorBuyer}
	for name, c := range map[string]struct {
		order market.Order
		want  market.OrderState
	}{
		"never sent":  {paidOrder(t), market.OrderRefundPending},
		"no word":     {walk(t, paidOrder(t), ship), market.OrderReceived},
		"delivered":   {walk(t, paidOrder(t), ship, market.Step{Event: market.OrderDeliver, By: market.ActorCarrier}), market.OrderReceived},
		"not rated":   {walk(t, paidOrder(t), ship, receive), market.OrderCompleted},
		"in disputes": {walk(t, paidOrder(t), ship, market.Step{Event: market.OrderProblem, By: market.ActorBuyer}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := c.order
			if c.want == "" {
				if s, ok := market.Overdue(o, noon.Add(1000*day)); ok {
					t.Errorf("the clock takes %+v", s)
				}
				return
			}
			if s, ok := market.Overdue(o, o.DeadlineAt.Add(-time.Microsecond)); ok {
				t.Errorf("too early: %+v", s)
			}
			s, ok := market.Overdue(o, o.DeadlineAt)
			if !ok {
				t.Fatal("nothing happens")
			}
			if _, err := rules.Advance(o, s, o.DeadlineAt.Add(-time.Microsecond)); market.ReasonOf(err) != market.ReasonTooEarly {
				t.Errorf("a clock that was set back: %v", err)
			}
			after, err := rules.Advance(o, s, o.DeadlineAt)
			if err != nil || after.State != c.want {
				t.Errorf("%s, %v; want %s", after.State, err, c.want)
			}
		})
	}
}

// TestMoneyFollowsOrders drives orders along random ways and keeps the books:
// they sum to nothing after every step, an order's account holds what its state
// says, and nothing is held at the end.
func TestMoneyFollowsOrders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := market.DefaultRules()
		rules.Fee = market.BasisPoints(rapid.SampledFrom([]int64{0, 1, 333, 1000, 10_000}).Draw(t, "fee"))
		_, o, err := rules.Reserve(onSale(t), market.Purchase{ID: 9, Item: 7, Buyer: buyer, ExpectedPrice: 4500}, noon)
		if err != nil {
			t.Fatal(err)
		}
		if o, _, err = rules.Settle(o, chargeOf(o), noon); err != nil {
			t.Fatal(err)
		}
		books := map[market.Account]market.Money{}
		posted := map[string]bool{}
		post := func() {
			if p, ok := market.PostingOf(o); ok {
				if err := p.Check(); err != nil {
					t.Fatal(err)
				}
				if posted[p.Key] {
					t.Fatalf("%s is posted twice", p.Key)
				}
				posted[p.Key] = true
				for _, e := range p.Entries {
					books[e.Account] += e.Amount
				}
			}
			sum := market.Money(0)
			for _, m := range books {
				sum += m
			}
			if sum != 0 {
				t.Fatalf("%s: the books sum to %s: %v", o.State, sum, books)
			}
			if held := books[market.HeldAccount(o.ID)]; held != o.Held() || o.State.Final() && held != 0 {
				t.Fatalf("%s: %s is held, want %s", o.State, held, o.Held())
			}
		}
		post()
		now := noon
		for range 40 {
			now = now.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "hours")) * time.Hour)
			var ways []market.Step
			for _, tr := range market.OrderTransitions() {
				if tr.From == o.State {
					for _, by := range []market.Actor{market.ActorBuyer, market.ActorSeller, market.ActorTimer, market.ActorProvider, market.ActorCarrier, market.ActorOperator} {
						ways = append(ways, market.Step{Event: tr.Event, By: by})
					}
				}
			}
			if len(ways) == 0 {
				break
			}
			if after, err := rules.Advance(o, rapid.SampledFrom(ways).Draw(t, "step"), now); err == nil {
				o = after
				post()
			}
		}
	})
}

func TestPostingCheck(t *testing.T) {
	for name, p := range map[string]market.Posting{
		"nothing":      {},
		"one entry":    {Entries: []market.Entry{{Account: "a", Amount: 1}}},
		"makes money":  {Entries: []market.Entry{{Account: "a", Amount: 2}, {Account: "b", Amount: -1}}},
		"empty entry":  {Entries: []market.Entry{{Account: "a", Amount: 1}, {Account: "b", Amount: -1}, {Account: "c"}}},
		"no account":   {Entries: []market.Entry{{Account: "a", Amount: 1}, {Amount: -1}}},
		"overflow":     {Entries: []market.Entry{{Account: "a", Amount: 1<<63 - 1}, {Account: "b", Amount: 1<<63 - 1}, {Account: "c", Amount: 2}}},
		"out of order": {Entries: []market.Entry{{Account: "a", Amount: 1}, {Account: "b", Amount: 1}}},
	} {
		if p.Check() == nil {
			t.Errorf("%s passes", name)
		}
	}
}

func TestPayout(t *testing.T) {
	rules := market.DefaultRules()
	if _, err := rules.NewPayout(1, seller, 199, 1000, noon); market.CodeOf(err) != market.CodeInvalid {
		t.Errorf("too small: %v", err)
	}
	if _, err := rules.NewPayout(1, seller, 1001, 1000, noon); market.ReasonOf(err) != market.ReasonNoBalance {
		t.Errorf("too much: %v", err)
	}
	p, err := rules.NewPayout(1, seller, 1000, 1000, noon)
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []market.PayoutState{market.PayoutPaid, market.PayoutFailed} {
		after, changed, err := p.End(to, "bank_closed", noon.Add(time.Hour))
		if err != nil || !changed || after.State != to || (after.Failure != "") != (to == market.PayoutFailed) {
			t.Fatalf("End(%s) = %+v, %v, %v", to, after, changed, err)
		}
		if again, changed, err := after.End(to, "", noon.Add(day)); err != nil || changed || again != after {
			t.Errorf("told twice: %+v, %v, %v", again, changed, err)
		}
		other := market.PayoutPaid
		if to == other {
			other = market.PayoutFailed
		}
		if _, _, err := after.End(other, "", noon); market.ReasonOf(err) != market.ReasonPayoutState {
			t.Errorf("%s became %s: %v", to, other, err)
		}
		books := map[market.Account]market.Money{}
		for _, posting := range []market.Posting{market.PostingOfPayout(p), market.PostingOfPayout(after)} {
			if err := posting.Check(); err != nil {
				t.Error(err)
			}
			for _, e := range posting.Entries {
				books[e.Account] += e.Amount
			}
		}
		if books[market.PayoutAccount(seller)] != 0 {
			t.Errorf("%s: something is still on its way: %v", to, books)
		}
	}
}

func TestReview(t *testing.T) {
	rules := market.DefaultRules()
	o := paidOrder(t)
	review, step, err := rules.NewReview(o, market.ReviewDraft{ID: 3, Author: buyer, Rating: market.RatingGood, Body: " quick \r\n"}, noon)
	want := market.Review{ID: 3, Order: o.ID, Author: buyer, Subject: seller, Role: market.RoleBuyer, Rating: market.RatingGood, Body: "quick", CreatedAt: noon}
	if diff := cmp.Diff(want, review); err != nil || diff != "" || step != (market.Step{Event: market.OrderBuyerReview, By: market.ActorBuyer}) {
		t.Errorf("%+v, %v (-want +got):\n%s", step, err, diff)
	}
	if review, step, err = rules.NewReview(o, market.ReviewDraft{Author: seller, Rating: market.RatingBad}, noon); err != nil || review.Subject != buyer || step.By != market.ActorSeller {
		t.Errorf("the seller's: %+v, %+v, %v", review, step, err)
	}
	if _, _, err := rules.NewReview(o, market.ReviewDraft{Author: 99, Rating: market.RatingGood}, noon); market.CodeOf(err) != market.CodeNotFound {
		t.Errorf("a stranger's: %v", err)
	}
	if _, _, err := rules.NewReview(o, market.ReviewDraft{Author: buyer, Rating: "great"}, noon); market.CodeOf(err) != market.CodeInvalid {
		t.Errorf("of another rating: %v", err)
	}
}

func TestMessage(t *testing.T) {
	rules := market.DefaultRules()
	_, unpaid := reserved(t)
	done := walk(t, paidOrder(t), market.Step{Event: market.OrderShip, By: market.ActorSeller},
		market.Step{Event: market.OrderBuyerReview, By: market.ActorBuyer}, market.Step{Event: market.OrderSellerReview, By: market.ActorSeller})
	for name, c := range map[string]struct {
		order market.Order
		by    market.UserID
		body  string
		at    time.Time
		code  market.Code
	}{
		"buyer":       {paidOrder(t), buyer, "hello", noon, ""},
		"seller":      {paidOrder(t), seller, "hello", noon, ""},
		"stranger":    {paidOrder(t), 99, "hello", noon, market.CodeNotFound},
		"nothing":     {paidOrder(t), buyer, " \n", noon, market.CodeInvalid},
		"unpaid":      {unpaid, buyer, "hello", noon, market.CodeConflict},
		"after it":    {done, buyer, "thanks", done.EndedAt.Add(14*day - time.Second), ""},
		"long after":  {done, buyer, "thanks", done.EndedAt.Add(14 * day), market.CodeConflict},
		"label or so": {paidOrder(t), buyer, "\u202eolleh", noon, ""},
	} {
		if m, err := rules.NewMessage(c.order, 4, c.by, c.body, c.at); market.CodeOf(err) != c.code || err == nil && (m.Author != c.by || m.Body == "") {
			t.Errorf("%s: %+v, %v; want %q", name, m, err, c.code)
		}
	}
}

func TestLabel(t *testing.T) {
	o := paidOrder(t)
	if err := o.CanLabel(seller); err != nil {
		t.Error(err)
	}
	if err := o.CanLabel(buyer); market.CodeOf(err) != market.CodeForbidden {
		t.Errorf("the buyer: %v", err)
	}
	if err := o.CanLabel(99); market.CodeOf(err) != market.CodeNotFound {
		t.Errorf("a stranger: %v", err)
	}
	if err := walk(t, o, market.Step{Event: market.OrderShip, By: market.ActorSeller}).CanLabel(seller); market.CodeOf(err) != market.CodeConflict {
		t.Errorf("after it was sent: %v", err)
	}
}
