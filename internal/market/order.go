package market

import (
	"time"
)

// Order is one purchase of an item, from its reservation on.
type Order struct {
	ID         OrderID
	Item       ItemID
	ItemTitle  string // filled by reads
	Buyer      UserID
	Seller     UserID
	State      OrderState
	Price      Money
	Fee        Money // of the market, out of the price
	Currency   string
	ChargeID   string    // the provider's name of the charge; empty until paid
	Failure    Reason    // why it was cancelled; empty otherwise
	Note       string    // what a side has said about a cancellation or a dispute
	Version    int64     // grows with every change
	DeadlineAt time.Time // when the timer of its state rings; zero = none
	PaidAt     time.Time // zero until paid
	ShippedAt  time.Time // zero until the seller has sent it
	EndedAt    time.Time // zero until nothing can happen to it any more
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// ChargeKey is the idempotency key under which an order is charged: however
// often it is tried, there is at most one charge.
func (o Order) ChargeKey() string { return "order:" + o.ID.String() + ":pay" }

// Proceeds is what the seller gets.
func (o Order) Proceeds() Money { return o.Price - o.Fee }

// Role is the part that a person has in an order.
type Role string

// The roles.
const (
	RoleBuyer  Role = "buyer"
	RoleSeller Role = "seller"
)

// RoleOf returns the part of a person in the order. Whoever has none is told
// that there is no such order.
func (o Order) RoleOf(user UserID) (Role, error) {
	switch user {
	case o.Buyer:
		return RoleBuyer, nil
	case o.Seller:
		return RoleSeller, nil
	}
	return "", ErrOrderNotFound
}

// ErrOrderNotFound is the error for an order that does not exist or that is
// none of one's business.
var ErrOrderNotFound = Errorf(CodeNotFound, "", "there is no such order")

// Purchase is what a buyer gives to buy.
type Purchase struct {
	ID            OrderID
	Item          ItemID
	Buyer         UserID
	ExpectedPrice Money // what the buyer saw
}

// Reserve decides whether the purchase may happen, and returns the item as
// reserved and the order that waits for its payment. Whether this buyer was the
// first is decided by the conditional write of both.
func (r Rules) Reserve(item Item, p Purchase, now time.Time) (Item, Order, error) {
	to, ok := item.State.After(ItemReserve)
	switch {
	case item.Seller == p.Buyer:
		return Item{}, Order{}, Errorf(CodeConflict, ReasonOwnItem, "nobody buys an own item")
	case item.State == ItemReserved || item.State == ItemSold:
		return Item{}, Order{}, Errorf(CodeConflict, ReasonItemSold, "somebody else was first")
	case !item.State.Public():
		return Item{}, Order{}, ErrItemNotFound
	case !ok:
		return Item{}, Order{}, Errorf(CodeConflict, ReasonItemNotOnSale, "the item is not on sale")
	case item.Price != p.ExpectedPrice:
		return Item{}, Order{}, Errorf(CodeConflict, ReasonPriceChanged, "the price has changed")
	}
	fee, err := item.Price.Share(r.Fee)
	if err != nil {
		return Item{}, Order{}, err
	}
	now = now.UTC()
	item.State = to
	item.Version++
	item.UpdatedAt = now
	return item, Order{
		ID: p.ID, Item: item.ID, ItemTitle: item.Title, Buyer: p.Buyer, Seller: item.Seller,
		State: OrderPendingPayment, Price: item.Price, Fee: fee, Currency: r.Currency,
		Version: 1, DeadlineAt: now.Add(r.PayWithin), CreatedAt: now, UpdatedAt: now,
	}, nil
}

// Settle returns the order after its charge succeeded. Changed is false if that
// has been written before.
func (r Rules) Settle(o Order, c Charge, now time.Time) (after Order, changed bool, err error) {
	switch {
	case c.Status != ChargeSucceeded:
		return Order{}, false, Errorf(CodeInternal, ReasonOrderState, "a charge that is %s pays nothing", c.Status)
	case c.ID == "" || c.Key != o.ChargeKey() || c.Amount != o.Price || c.Currency != o.Currency:
		return Order{}, false, Errorf(CodeInternal, ReasonChargeMismatch, "the charge is not that of the order")
	case o.ChargeID == c.ID:
		return o, false, nil
	}
	to, ok := o.State.After(OrderPaid)
	switch {
	case o.State == OrderCancelled:
		return Order{}, false, Errorf(CodeConflict, ReasonOrderCancelled, "the order was cancelled before it was paid")
	case !ok:
		return Order{}, false, Errorf(CodeConflict, ReasonOrderPaid, "the order has been paid already")
	}
	now = now.UTC()
	o.State = to
	o.ChargeID = c.ID
	o.PaidAt = now
	o.DeadlineAt = r.deadline(o, now)
	o.Version++
	o.UpdatedAt = now
	return o, true, nil
}

// Release returns the order after its payment did not come about: event is
// OrderDeclined or OrderExpired, failure says why. Changed is false if the
// order was cancelled before.
func (r Rules) Release(o Order, event OrderEvent, failure Reason, now time.Time) (after Order, changed bool, err error) {
	if o.State == OrderCancelled {
		return o, false, nil
	}
	to, ok := o.State.After(event)
	if !ok || to != OrderCancelled {
		return Order{}, false, Errorf(CodeConflict, ReasonOrderPaid, "the order has been paid already")
	}
	now = now.UTC()
	o.State = to
	o.Failure = failure
	o.DeadlineAt = time.Time{}
	o.EndedAt = now
	o.Version++
	o.UpdatedAt = now
	return o, true, nil
}
