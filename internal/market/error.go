package market

import (
	"errors"
	"fmt"
)

// Code is the class of an error. The set is closed: the API maps each code to
// one HTTP status by a table.
type Code string

// The codes.
const (
	CodeInvalid         Code = "invalid"         // the request is wrong and stays wrong
	CodeUnauthenticated Code = "unauthenticated" // who asks is not known
	CodeForbidden       Code = "forbidden"       // who asks is known and may not
	CodeNotFound        Code = "not_found"       // there is no such thing, or none that may be seen
	CodeConflict        Code = "conflict"        // the state of things does not allow it now
	CodeRateLimited     Code = "rate_limited"    // too many requests
	CodeUnavailable     Code = "unavailable"     // something that is needed does not answer; try again
	CodeInternal        Code = "internal"        // a fault of ours
)

// Codes returns every code.
func Codes() []Code {
	return []Code{
		CodeInvalid, CodeUnauthenticated, CodeForbidden, CodeNotFound,
		CodeConflict, CodeRateLimited, CodeUnavailable, CodeInternal,
	}
}

// Reason says more exactly than a Code what is wrong, as a slug that programs
// can compare. The empty reason adds nothing to the code.
type Reason string

// The reasons.
const (
	ReasonInvalidCursor   Reason = "invalid_cursor"
	ReasonInvalidID       Reason = "invalid_id"
	ReasonRequired        Reason = "required"
	ReasonTooLong         Reason = "too_long"
	ReasonTooMany         Reason = "too_many"
	ReasonOutOfRange      Reason = "out_of_range"
	ReasonMalformed       Reason = "malformed"
	ReasonUnknownCategory Reason = "unknown_category"
	ReasonUnknownBrand    Reason = "unknown_brand"
	ReasonUnknownPhoto    Reason = "unknown_photo" // no such photo, or somebody else's, or used in another item
	ReasonEmailTaken      Reason = "email_taken"
	ReasonItemSold        Reason = "item_sold"            // somebody else was first
	ReasonItemNotOnSale   Reason = "item_not_on_sale"     // paused, withdrawn or hidden
	ReasonItemLocked      Reason = "item_locked"          // reserved or sold: cannot be changed any more
	ReasonPriceChanged    Reason = "price_changed"        // not the price that the buyer saw
	ReasonOwnItem         Reason = "own_item"             // not with one's own item
	ReasonVersionMismatch Reason = "version_mismatch"     // somebody changed it since it was read
	ReasonNotYours        Reason = "not_yours"            // belongs to somebody else
	ReasonOrderState      Reason = "order_state"          // the order's state does not allow it
	ReasonOrderCancelled  Reason = "order_cancelled"      // the order was released before
	ReasonOrderPaid       Reason = "order_paid"           // the order has been paid already
	ReasonTooEarly        Reason = "too_early"            // the time for it has not come
	ReasonNoBalance       Reason = "insufficient_balance" // less is available than was asked for
	ReasonPayoutState     Reason = "payout_state"         // the payout has ended already
	ReasonRepeated        Reason = "request_repeated"     // the same request is being carried out, or was
	ReasonDeclined        Reason = "payment_declined"     // the provider refused for good
	ReasonNoFunds         Reason = "insufficient_funds"   // the provider refused: not enough money
	ReasonUnknownToken    Reason = "unknown_payment_token"
	ReasonChargeMismatch  Reason = "charge_mismatch" // the same key with another amount
	ReasonRateLimited     Reason = "rate_limited"
	ReasonBlocked         Reason = "blocked"        // one of the two has blocked the other
	ReasonSuspended       Reason = "suspended"      // by the operator
	ReasonOpenOrders      Reason = "open_orders"    // not before they are at their end
	ReasonBalanceLeft     Reason = "balance_left"   // not before it is paid out
	ReasonWrongPassword   Reason = "wrong_password" // not the account's
)

// Error is an error that the market knows about.
type Error struct {
	Code    Code
	Reason  Reason // may be empty
	Message string // for people outside: lower case, no full stop, never a secret
	Field   string // the field of the request that is at fault, in snake_case; may be empty
	Err     error  // the cause, for the log; never shown outside; may be nil
}

// Error returns the message with its field and its cause, for the log.
func (e *Error) Error() string {
	s := e.Message
	if s == "" {
		s = string(e.Code)
	}
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error. What a %w verb names becomes the cause only if Err is
// set through Wrap; Errorf's text is shown to people.
func Errorf(code Code, reason Reason, format string, args ...any) error {
	return &Error{Code: code, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Fieldf makes an Error of CodeInvalid about one field of the request. The
// message must not repeat the value.
func Fieldf(field string, reason Reason, format string, args ...any) error {
	return &Error{Code: CodeInvalid, Reason: reason, Field: field, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an Error with a cause that is logged and never shown.
func Wrap(code Code, reason Reason, err error, message string) error {
	return &Error{Code: code, Reason: reason, Message: message, Err: err}
}

// CodeOf returns the code of the first Error in err, CodeInternal if there is
// none, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

// ReasonOf returns the reason of the first Error in err, or "".
func ReasonOf(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return ""
}

// Faults returns every Error that err joins, in order: a request with three
// wrong fields gives three. It returns nil if err holds no Error.
func Faults(err error) []*Error {
	switch e := err.(type) {
	case nil:
		return nil
	case *Error:
		return []*Error{e}
	case interface{ Unwrap() []error }:
		var all []*Error
		for _, one := range e.Unwrap() {
			all = append(all, Faults(one)...)
		}
		return all
	case interface{ Unwrap() error }:
		return Faults(e.Unwrap())
	}
	return nil
}
