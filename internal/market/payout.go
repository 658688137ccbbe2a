package market

import "time"

// PayoutState is where a payout stands.
type PayoutState string

// The states of a payout.
const (
	PayoutPending PayoutState = "pending" // the provider has not said yet
	PayoutPaid    PayoutState = "paid"
	PayoutFailed  PayoutState = "failed" // the money is available again
)

// Payout is money on its way from the market to a seller.
type Payout struct {
	ID        PayoutID
	User      UserID
	Amount    Money
	Currency  string
	State     PayoutState
	Failure   Reason // why it failed; empty otherwise
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Key is the idempotency key under which the provider pays.
func (p Payout) Key() string { return "payout:" + p.ID.String() }

// NewPayout decides whether a seller who has the given amount available may
// have some of it paid out.
func (r Rules) NewPayout(id PayoutID, user UserID, amount, available Money, now time.Time) (Payout, error) {
	switch {
	case amount < r.MinPayout:
		return Payout{}, Fieldf("amount", ReasonOutOfRange, "must be at least %s", r.MinPayout)
	case amount > available:
		return Payout{}, Errorf(CodeConflict, ReasonNoBalance, "the balance is %s", available)
	}
	now = now.UTC()
	return Payout{ID: id, User: user, Amount: amount, Currency: r.Currency, State: PayoutPending, CreatedAt: now, UpdatedAt: now}, nil
}

// End returns the payout after the provider's answer. Changed is false if it
// has been told before.
func (p Payout) End(to PayoutState, failure Reason, now time.Time) (after Payout, changed bool, err error) {
	switch {
	case p.State == to:
		return p, false, nil
	case p.State != PayoutPending || to == PayoutPending:
		return Payout{}, false, Errorf(CodeConflict, ReasonPayoutState, "the payout is %s already", p.State)
	}
	p.State, p.UpdatedAt = to, now.UTC()
	if to == PayoutFailed {
		p.Failure = failure
	}
	return p, true, nil
}

// PostingOfPayout returns what a payout's arrival in its state does to the
// ledger.
func PostingOfPayout(p Payout) Posting {
	key := "payout:" + p.ID.String()
	switch p.State {
	case PayoutPaid:
		return posting(key, PostingPayoutPaid, Entry{PayoutAccount(p.User), -p.Amount}, Entry{AccountClearing, p.Amount})
	case PayoutFailed:
		return posting(key, PostingPayoutFailed, Entry{PayoutAccount(p.User), -p.Amount}, Entry{AvailableAccount(p.User), p.Amount})
	default:
		return posting(key, PostingPayout, Entry{AvailableAccount(p.User), -p.Amount}, Entry{PayoutAccount(p.User), p.Amount})
	}
}
