package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
)

// OrderState is where an order stands.
type OrderState string

// The states of an order.
const (
	PendingPayment   OrderState = "pending_payment"   // the provider's answer is not known yet
	AwaitingShipment OrderState = "awaiting_shipment" // paid
	Shipped          OrderState = "shipped"
	Delivered        OrderState = "delivered"
	Received         OrderState = "received" // the buyer has it and has rated
	Disputed         OrderState = "disputed"
	Completed        OrderState = "completed"
	Cancelled        OrderState = "cancelled" // not paid; the item is on sale again
	RefundPending    OrderState = "refund_pending"
	Refunded         OrderState = "refunded"
)

// Role is a side of an order.
type Role string

// The roles.
const (
	Buyer  Role = "buyer"
	Seller Role = "seller"
)

// Order is a purchase. Its two people see it, and nobody else.
type Order struct {
	ID         string     `json:"id" doc:"Id of the order." example:"or_0c2tn5w8q1z4x"`
	State      OrderState `json:"state" enum:"pending_payment,awaiting_shipment,shipped,delivered,received,disputed,completed,cancelled,refund_pending,refunded" doc:"Where it stands."`
	Role       Role       `json:"role" enum:"buyer,seller" doc:"Which side of it you are."`
	ItemID     string     `json:"item_id" doc:"What is bought." example:"it_0c2tn5w8q1z4x"`
	ItemTitle  string     `json:"item_title" doc:"The item in a line."`
	BuyerID    string     `json:"buyer_id" doc:"Who buys." example:"us_0c2tn5w8q1z4x"`
	SellerID   string     `json:"seller_id" doc:"Who sells." example:"us_0c2tn5w8q1z4x"`
	Price      int64      `json:"price" doc:"What it was bought for, in the currency's smallest unit."`
	Currency   string     `json:"currency" doc:"ISO 4217 code." example:"JPY"`
	Proceeds   int64      `json:"proceeds,omitempty" doc:"What the seller gets of it; only the seller is told."`
	Failure    string     `json:"failure,omitempty" doc:"Why it was cancelled." example:"payment_declined"`
	Note       string     `json:"note,omitempty" doc:"What was said about a cancellation or a problem."`
	Todo       string     `json:"todo,omitempty" enum:"ship,receive,review,wait_payment,await_operator" doc:"What you are to do next, or what you wait for; missing if it is nothing."`
	Actions    []string   `json:"actions,omitempty" doc:"What you can do with it now: ship, cancel, buyer_review, seller_review, problem."`
	Version    int64      `json:"version" doc:"Grows with every change."`
	DeadlineAt *Time      `json:"deadline_at,omitempty" doc:"When its state ends by itself."`
	ShipBy     *Time      `json:"ship_by,omitempty" doc:"Until when the seller is to send it; afterwards the buyer may cancel."`
	PaidAt     *Time      `json:"paid_at,omitempty" doc:"When it was paid."`
	ShippedAt  *Time      `json:"shipped_at,omitempty" doc:"When the seller sent it."`
	EndedAt    *Time      `json:"ended_at,omitempty" doc:"When it was over."`
	CreatedAt  Time       `json:"created_at" doc:"When it was made."`
	UpdatedAt  Time       `json:"updated_at" doc:"When it changed last."`
}

// NewOrder buys an item.
type NewOrder struct {
	ItemID        string `json:"item_id" minLength:"1" maxLength:"64" doc:"Id of the item." example:"it_0c2tn5w8q1z4x"`
	ExpectedPrice int64  `json:"expected_price" minimum:"1" doc:"The price that the buyer has seen; another one is a conflict, and nothing is charged."`
	PaymentToken  string `json:"payment_token" minLength:"1" maxLength:"255" writeOnly:"true" doc:"From the payment provider's form. The sandbox takes tok_ok, tok_declined and more." example:"tok_ok"`
}

// OrderPage is a part of somebody's orders.
type OrderPage struct {
	Items      []Order `json:"items" nullable:"false" doc:"The orders, the newest first."`
	NextCursor string  `json:"next_cursor,omitempty" doc:"For the next page; missing on the last."`
}

// Buy buys an item. When somebody else was quicker, that is a Problem with Reason
// "item_sold", and nothing was charged. An order in state PendingPayment
// means that the provider has not said yet whether it was paid: Order tells later.
func (c *Client) Buy(ctx context.Context, n NewOrder) (Order, error) {
	var out Order
	if err := c.do(ctx, call{method: http.MethodPost, path: "/v1/orders", json: n}, &out); err != nil {
		return Order{}, fmt.Errorf("buy item: %w", err)
	}
	return out, nil
}

// Order returns an order that the caller is a part of.
func (c *Client) Order(ctx context.Context, id string) (Order, error) {
	var out Order
	if err := c.do(ctx, call{method: http.MethodGet, path: "/v1/orders/" + segment(id)}, &out); err != nil {
		return Order{}, fmt.Errorf("get order: %w", err)
	}
	return out, nil
}

// OrderQuery names a list of the caller's orders.
type OrderQuery struct {
	Role   Role       // "" = Buyer
	State  OrderState // "" = any
	Cursor string
	Limit  int // 0: as many as the server likes
}

// Orders returns one page of the caller's orders, the newest first: those as
// Buyer, which an empty role means, or as Seller.
func (c *Client) Orders(ctx context.Context, role Role, cursor string, limit int) (OrderPage, error) {
	return c.OrdersIn(ctx, OrderQuery{Role: role, Cursor: cursor, Limit: limit})
}

// OrdersIn returns one page of the caller's orders, the newest first.
func (c *Client) OrdersIn(ctx context.Context, o OrderQuery) (OrderPage, error) {
	q := pageValues(o.Cursor, o.Limit)
	if o.Role != "" {
		q.Set("role", string(o.Role))
	}
	if o.State != "" {
		q.Set("state", string(o.State))
	}
	var out OrderPage
	if err := c.do(ctx, call{method: http.MethodGet, path: "/v1/orders", query: q}, &out); err != nil {
		return OrderPage{}, fmt.Errorf("list orders: %w", err)
	}
	return out, nil
}

// AllOrders returns the caller's orders, page after page.
func (c *Client) AllOrders(ctx context.Context, role Role) iter.Seq2[Order, error] {
	return pages(func(cursor string) ([]Order, string, error) {
		page, err := c.Orders(ctx, role, cursor, 0)
		return page.Items, page.NextCursor, err
	}, "")
}
