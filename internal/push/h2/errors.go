package h2

import (
	"errors"
	"strconv"

	"golang.org/x/net/http2"
)

// Reason says why a request got no answer. The set is closed, so that it can
// label metrics.
type Reason string

// The reasons.
const (
	Invalid   Reason = "invalid"   // the request cannot be sent: a bad path or field
	Closed    Reason = "closed"    // the pool was closed
	Canceled  Reason = "canceled"  // the context of the batch has ended
	Queued    Reason = "queued"    // no connection could take it within Config.QueueTimeout
	Timeout   Reason = "timeout"   // no answer within Config.Timeout
	Refused   Reason = "refused"   // the server refused it again and again
	Reset     Reason = "reset"     // the server reset the stream
	Lost      Reason = "lost"      // the connection broke
	Malformed Reason = "malformed" // the answer broke the rules of HTTP
)

// Error is the error of a request without an answer.
type Error struct {
	Reason Reason
	// Unknown says that the server may have processed the request. If it is
	// false, the server surely has not.
	Unknown bool
	// Code is the server's with Reset and Refused, and with Lost if it sent one.
	Code http2.ErrCode
	// Err is what lies beneath: an error of the network, of the context; or nil.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	s := "h2: " + string(e.Reason)
	if e.Code != 0 {
		s += " " + e.Code.String()
	}
	if e.Unknown {
		s += ", may have been processed"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns what lies beneath.
func (e *Error) Unwrap() error { return e.Err }

// ErrClosed is what lies beneath the errors of a closed pool.
var ErrClosed = errors.New("the pool is closed")

// MaybeProcessed reports whether the server may have processed the request that
// ended with err although it did not answer. It is false for nil.
func MaybeProcessed(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Unknown
}

// ReasonOf returns the reason in err, or an empty one if err is not of this
// package.
func ReasonOf(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return ""
}

// goneAway is the error beneath Lost after the server's GOAWAY.
type goneAway struct {
	code  http2.ErrCode
	debug string
}

// maxDebug bounds what is kept of a server's words.
const maxDebug = 256

func (g *goneAway) Error() string {
	s := "the server sent GOAWAY " + g.code.String()
	if g.debug != "" {
		s += " " + strconv.Quote(g.debug)
	}
	return s
}
