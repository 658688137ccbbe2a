package market

import "fmt"

// The ledger is double entry: every posting moves amounts between accounts and
// sums to zero, so that all of the accounts together always hold nothing. An
// account above zero is what the market owes somebody; the payment provider's
// clearing account, which holds the money, is below zero.

// Account names an account of the ledger.
type Account string

// The accounts that there is one of.
const (
	AccountClearing Account = "clearing" // what the payment provider holds for the market, as a negative amount
	AccountFees     Account = "fees"     // what the market has earned
	AccountLosses   Account = "losses"   // what the market has paid for others, as a negative amount
)

// HeldAccount holds the money of one order from its payment until it ends.
func HeldAccount(id OrderID) Account { return Account("held:" + id.String()) }

// AvailableAccount is what a seller has earned and may have paid out. It is
// never below zero.
func AvailableAccount(id UserID) Account { return Account("available:" + id.String()) }

// PayoutAccount is what is on its way to a seller's bank.
func PayoutAccount(id UserID) Account { return Account("payout:" + id.String()) }

// Entry is what a posting does to one account.
type Entry struct {
	Account Account
	Amount  Money
}

// PostingKind says what a posting is for.
type PostingKind string

// The kinds of postings.
const (
	PostingPaid         PostingKind = "paid"          // an order's price is held
	PostingCompleted    PostingKind = "completed"     // it goes to the seller and to the market
	PostingRefunded     PostingKind = "refunded"      // or back to the buyer
	PostingPayout       PostingKind = "payout"        // a seller asks for money
	PostingPayoutPaid   PostingKind = "payout_paid"   // and has it
	PostingPayoutFailed PostingKind = "payout_failed" // or not
)

// Posting is one movement of money. Its key is what it is for: there is at most
// one posting of a key, however often the event that causes it is told.
type Posting struct {
	Key     string
	Kind    PostingKind
	Entries []Entry
}

// Check returns an error if the posting would make money or lose it.
func (p Posting) Check() error {
	sum := Money(0)
	for _, e := range p.Entries {
		var err error
		if sum, err = sum.Add(e.Amount); err != nil {
			return fmt.Errorf("posting %s: %w", p.Key, err)
		}
		if e.Amount == 0 || e.Account == "" {
			return fmt.Errorf("posting %s has an empty entry", p.Key)
		}
	}
	if sum != 0 || len(p.Entries) < 2 {
		return fmt.Errorf("posting %s sums to %s", p.Key, sum)
	}
	return nil
}

// posting drops what is zero: a market without a fee, for one.
func posting(key string, kind PostingKind, entries ...Entry) Posting {
	p := Posting{Key: key + ":" + string(kind), Kind: kind}
	for _, e := range entries {
		if e.Amount != 0 {
			p.Entries = append(p.Entries, e)
		}
	}
	return p
}

// PostingOf returns what an order's arrival in its state does to the ledger,
// and whether it does anything.
func PostingOf(o Order) (Posting, bool) {
	key := "order:" + o.ID.String()
	switch o.State {
	case OrderAwaitingShipment:
		return posting(key, PostingPaid, Entry{AccountClearing, -o.Price}, Entry{HeldAccount(o.ID), o.Price}), true
	case OrderCompleted:
		return posting(key, PostingCompleted,
			Entry{HeldAccount(o.ID), -o.Price}, Entry{AvailableAccount(o.Seller), o.Proceeds()}, Entry{AccountFees, o.Fee}), true
	case OrderRefunded:
		return posting(key, PostingRefunded, Entry{HeldAccount(o.ID), -o.Price}, Entry{AccountClearing, o.Price}), true
	}
	return Posting{}, false
}

// Held is what the account of an order holds in its state.
func (o Order) Held() Money {
	switch o.State {
	case OrderPendingPayment, OrderCancelled, OrderCompleted, OrderRefunded:
		return 0
	}
	return o.Price
}
