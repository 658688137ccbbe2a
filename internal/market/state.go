package market

import "slices"

// ItemState is where an item is in its life.
type ItemState string

// The states of an item.
const (
	ItemOnSale    ItemState = "on_sale"   // in every list; can be bought
	ItemPaused    ItemState = "paused"    // taken from the lists by its seller, for a while
	ItemReserved  ItemState = "reserved"  // somebody is paying for it
	ItemSold      ItemState = "sold"      // bought and paid
	ItemWithdrawn ItemState = "withdrawn" // taken back by its seller for good
	ItemHidden    ItemState = "hidden"    // taken away by the operator
)

// ItemEvent is what happens to an item.
type ItemEvent string

// The events of an item.
const (
	ItemPause    ItemEvent = "pause"
	ItemResume   ItemEvent = "resume"
	ItemWithdraw ItemEvent = "withdraw"
	ItemReserve  ItemEvent = "reserve"
	ItemSettle   ItemEvent = "settle"
	ItemRelease  ItemEvent = "release"
	ItemReturn   ItemEvent = "return" // its sale was undone
	ItemHide     ItemEvent = "hide"
)

// ItemTransition is one row of the table of an item's life.
type ItemTransition struct {
	From  ItemState
	Event ItemEvent
	To    ItemState
}

var itemTransitions = []ItemTransition{
	{ItemOnSale, ItemPause, ItemPaused},
	{ItemPaused, ItemResume, ItemOnSale},
	{ItemOnSale, ItemWithdraw, ItemWithdrawn},
	{ItemPaused, ItemWithdraw, ItemWithdrawn},
	{ItemOnSale, ItemReserve, ItemReserved},
	{ItemReserved, ItemSettle, ItemSold},
	{ItemReserved, ItemRelease, ItemOnSale},
	{ItemSold, ItemReturn, ItemPaused}, // its seller decides whether it is sold again
	{ItemOnSale, ItemHide, ItemHidden},
	{ItemPaused, ItemHide, ItemHidden},
	{ItemWithdrawn, ItemHide, ItemHidden},
	{ItemSold, ItemHide, ItemHidden},
}

// ItemTransitions returns the table of an item's life: what is not in it cannot
// happen. A reserved item is not hidden before its payment is decided.
func ItemTransitions() []ItemTransition { return slices.Clone(itemTransitions) }

// After returns the state after an event, and whether the event can happen.
func (s ItemState) After(e ItemEvent) (ItemState, bool) {
	for _, t := range itemTransitions {
		if t.From == s && t.Event == e {
			return t.To, true
		}
	}
	return s, false
}

// Valid reports whether s is one of the states.
func (s ItemState) Valid() bool {
	switch s {
	case ItemOnSale, ItemPaused, ItemReserved, ItemSold, ItemWithdrawn, ItemHidden:
		return true
	}
	return false
}

// Public reports whether everybody may see an item in this state.
func (s ItemState) Public() bool {
	return s == ItemOnSale || s == ItemReserved || s == ItemSold
}

// OrderState is where an order is in its life.
type OrderState string

// The states of an order.
const (
	OrderPendingPayment   OrderState = "pending_payment"
	OrderAwaitingShipment OrderState = "awaiting_shipment"
	OrderShipped          OrderState = "shipped"
	OrderDelivered        OrderState = "delivered"
	OrderReceived         OrderState = "received"
	OrderDisputed         OrderState = "disputed"
	OrderCompleted        OrderState = "completed"
	OrderCancelled        OrderState = "cancelled"
	OrderRefundPending    OrderState = "refund_pending"
	OrderRefunded         OrderState = "refunded"
)

// OrderEvent is what happens to an order.
type OrderEvent string

// The events of an order.
const (
	OrderPaid          OrderEvent = "paid"
	OrderDeclined      OrderEvent = "declined"
	OrderExpired       OrderEvent = "expired"
	OrderShip          OrderEvent = "ship"
	OrderCancel        OrderEvent = "cancel"
	OrderRefundDone    OrderEvent = "refund_done"
	OrderDeliver       OrderEvent = "deliver"
	OrderBuyerReview   OrderEvent = "buyer_review"
	OrderProblem       OrderEvent = "problem"
	OrderSellerReview  OrderEvent = "seller_review"
	OrderResolveRefund OrderEvent = "resolve_refund"
	OrderResolveKeep   OrderEvent = "resolve_keep"
)

// Actor is who makes an event of an order happen.
type Actor string

// The actors.
const (
	ActorBuyer    Actor = "buyer"
	ActorSeller   Actor = "seller"
	ActorParties  Actor = "parties"  // buyer or seller
	ActorProvider Actor = "provider" // the payment provider's answer
	ActorCarrier  Actor = "carrier"
	ActorTimer    Actor = "timer" // a deadline
	ActorOperator Actor = "operator"
)

// OrderTransition is one row of the table of an order's life.
type OrderTransition struct {
	From  OrderState
	Event OrderEvent
	To    OrderState
	By    []Actor
}

var orderTransitions = []OrderTransition{
	{OrderPendingPayment, OrderPaid, OrderAwaitingShipment, []Actor{ActorProvider}},
	{OrderPendingPayment, OrderDeclined, OrderCancelled, []Actor{ActorProvider}},
	{OrderPendingPayment, OrderExpired, OrderCancelled, []Actor{ActorTimer}},
	{OrderAwaitingShipment, OrderShip, OrderShipped, []Actor{ActorSeller}},
	{OrderAwaitingShipment, OrderCancel, OrderRefundPending, []Actor{ActorParties, ActorTimer}},
	{OrderRefundPending, OrderRefundDone, OrderRefunded, []Actor{ActorProvider}},
	{OrderShipped, OrderDeliver, OrderDelivered, []Actor{ActorCarrier}},
	{OrderShipped, OrderBuyerReview, OrderReceived, []Actor{ActorBuyer, ActorTimer}},
	{OrderShipped, OrderProblem, OrderDisputed, []Actor{ActorBuyer}},
	{OrderDelivered, OrderBuyerReview, OrderReceived, []Actor{ActorBuyer, ActorTimer}},
	{OrderDelivered, OrderProblem, OrderDisputed, []Actor{ActorBuyer}},
	{OrderReceived, OrderSellerReview, OrderCompleted, []Actor{ActorSeller, ActorTimer}},
	{OrderDisputed, OrderResolveRefund, OrderRefundPending, []Actor{ActorOperator}},
	{OrderDisputed, OrderResolveKeep, OrderReceived, []Actor{ActorOperator}},
}

// OrderTransitions returns the table of an order's life: what is not in it
// cannot happen.
func OrderTransitions() []OrderTransition { return slices.Clone(orderTransitions) }

// After returns the state after an event, and whether the event can happen.
func (s OrderState) After(e OrderEvent) (OrderState, bool) {
	for _, t := range orderTransitions {
		if t.From == s && t.Event == e {
			return t.To, true
		}
	}
	return s, false
}

// Valid reports whether s is one of the states.
func (s OrderState) Valid() bool {
	return slices.ContainsFunc(orderTransitions, func(t OrderTransition) bool { return t.From == s || t.To == s })
}

// Final reports whether nothing can happen to an order in this state any more.
func (s OrderState) Final() bool {
	return !slices.ContainsFunc(orderTransitions, func(t OrderTransition) bool { return t.From == s })
}

// Live reports whether an order in this state holds its item: there is at most
// one such order an item.
func (s OrderState) Live() bool { return s != OrderCancelled && s != OrderRefunded }
