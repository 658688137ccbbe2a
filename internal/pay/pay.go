package pay

import (
	"context"

	"github.com/furima/furima/internal/market"
)

// Provider moves money.
//
// Errors are market errors. CodeUnavailable: it is not known what happened; ask
// Lookup later. CodeConflict with ReasonDeclined or ReasonNoFunds: refused for
// good. CodeConflict with ReasonChargeMismatch: the key was used for another
// amount. CodeInvalid: the request is wrong. CodeNotFound: Lookup and Refund
// know no such charge.
type Provider interface {
	// Charge takes the amount, once a key: the same key again gives the same
	// answer, whatever its token.
	Charge(ctx context.Context, r ChargeRequest) (market.Charge, error)
	// Lookup tells what is known under a key. A charge that was declined is a
	// Charge here, not an error.
	Lookup(ctx context.Context, key string) (market.Charge, error)
	// Refund gives a whole charge back, once: again it does nothing.
	Refund(ctx context.Context, key string) (market.Charge, error)
	// Payout pays a seller, once a key: the same key again gives the same
	// answer. market.PayoutPending means that it is under way: ask again later.
	// A payout that is refused for good is market.PayoutFailed with the reason,
	// not an error.
	Payout(ctx context.Context, r PayoutRequest) (market.PayoutState, market.Reason, error)
	// Close releases what the provider holds. Calls that still run end first.
	Close() error
}

// ChargeRequest is one charge.
type ChargeRequest struct {
	Key      string // market.Order.ChargeKey
	Amount   market.Money
	Currency string
	Token    string // what the buyer's app got from the provider; a secret
}

// PayoutRequest is one payout.
type PayoutRequest struct {
	Key      string // market.Payout.Key
	Seller   market.UserID
	Amount   market.Money
	Currency string
}
