package market

import "time"

// ChargeStatus is what became of a charge.
type ChargeStatus string

// The statuses of a charge.
const (
	ChargeSucceeded ChargeStatus = "succeeded" // the money is taken
	ChargeDeclined  ChargeStatus = "declined"  // refused for good
	ChargeRefunded  ChargeStatus = "refunded"  // taken and given back
)

// Charge is what a payment provider knows about the payment of an order.
type Charge struct {
	ID        string // the provider's name of it
	Key       string // the idempotency key, Order.ChargeKey
	Status    ChargeStatus
	Amount    Money
	Currency  string
	Failure   Reason // why it was declined
	CreatedAt time.Time
}

// Verdict is what is to be done with an order that waits for its payment.
type Verdict int

// The verdicts.
const (
	VerdictNone    Verdict = iota // nothing: the order does not wait
	VerdictSettle                 // the charge succeeded: settle
	VerdictDecline                // the charge was declined: release
	VerdictExpire                 // there is no charge and the time is over: release
	VerdictWait                   // there is no charge yet: ask again later
)

// Sweep decides what becomes of an order whose purchase was left half done.
// Charge is what the provider knows under the order's key, nil if it knows
// nothing.
//
// An order without a charge is given up only after its deadline, which is long
// after the last call that could charge it has timed out.
func Sweep(o Order, charge *Charge, now time.Time) Verdict {
	switch {
	case o.State != OrderPendingPayment:
		return VerdictNone
	case charge != nil && charge.Status == ChargeSucceeded:
		return VerdictSettle
	case charge != nil:
		return VerdictDecline
	case !now.Before(o.DeadlineAt):
		return VerdictExpire
	}
	return VerdictWait
}
