package client

import (
	"context"
	"fmt"
	"net/http"
)

// Balance is what a seller has earned.
type Balance struct {
	Available int64  `json:"available" doc:"May be paid out, in the currency's smallest unit."`
	Pending   int64  `json:"pending" doc:"In orders that are not over."`
	OnTheWay  int64  `json:"on_the_way" doc:"In payouts that are not over."`
	Currency  string `json:"currency" doc:"ISO 4217 code." example:"JPY"`

	Items      []BalanceEntry `json:"items" nullable:"false" doc:"What came and went, the newest first."`
	NextCursor string         `json:"next_cursor,omitempty" doc:"For the next page; missing on the last."`
}

// BalanceEntry is something that came to a seller's balance or went from it.
type BalanceEntry struct {
	Kind   string `json:"kind" enum:"completed,payout,payout_failed" doc:"What for: an order that is completed, a payout, a payout that came back."`
	For    string `json:"for" doc:"Id of the order or of the payout." example:"or_0c2tn5w8q1z4x"`
	Amount int64  `json:"amount" doc:"Negative if it went."`
	At     Time   `json:"at" doc:"When."`
}

// NewPayout asks for money.
type NewPayout struct {
	Amount int64 `json:"amount" minimum:"1" doc:"How much of what is available, in the currency's smallest unit."`
}

// PayoutState is where a payout stands.
type PayoutState string

// The states of a payout.
const (
	PayoutPending PayoutState = "pending" // the provider has not said yet
	PayoutPaid    PayoutState = "paid"
	PayoutFailed  PayoutState = "failed" // the money is available again
)

// Payout is money on its way to a seller.
type Payout struct {
	ID        string      `json:"id" doc:"Id of the payout." example:"po_0c2tn5w8q1z4x"`
	Amount    int64       `json:"amount" doc:"How much."`
	Currency  string      `json:"currency" doc:"ISO 4217 code." example:"JPY"`
	State     PayoutState `json:"state" enum:"pending,paid,failed" doc:"Where it stands."`
	Failure   string      `json:"failure,omitempty" doc:"Why it failed."`
	CreatedAt Time        `json:"created_at" doc:"When it was asked for."`
	UpdatedAt Time        `json:"updated_at" doc:"When it changed last."`
}

// Balance returns what the caller has earned, with a page of what came and went.
func (c *Client) Balance(ctx context.Context, cursor string, limit int) (Balance, error) {
	var out Balance
	if err := c.do(ctx, call{method: http.MethodGet, path: "/v1/me/balance", query: pageValues(cursor, limit)}, &out); err != nil {
		return Balance{}, fmt.Errorf("get balance: %w", err)
	}
	return out, nil
}

// RequestPayout has some of the balance paid out. More than is available is a
// Problem with Reason "insufficient_balance".
func (c *Client) RequestPayout(ctx context.Context, n NewPayout) (Payout, error) {
	var out Payout
	if err := c.do(ctx, call{method: http.MethodPost, path: "/v1/me/payouts", json: n}, &out); err != nil {
		return Payout{}, fmt.Errorf("request payout: %w", err)
	}
	return out, nil
}

// Payout returns a payout of the caller.
func (c *Client) Payout(ctx context.Context, id string) (Payout, error) {
	var out Payout
	if err := c.do(ctx, call{method: http.MethodGet, path: "/v1/me/payouts/" + segment(id)}, &out); err != nil {
		return Payout{}, fmt.Errorf("get payout: %w", err)
	}
	return out, nil
}
