package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/photo"
)

// kind is one type of problem: what /problems/{slug} explains.
type kind struct {
	slug   string
	title  string
	status int
	code   client.Code
	about  string // for people who read the page
}

// The kinds of problems. kinds has them all.
var (
	kindMalformed = &kind{"malformed-request", "Malformed request", http.StatusBadRequest, client.Invalid,
		"The request cannot be read at all: its body is not JSON, not a form, or cut off. Repeating it will not help."}
	kindCursor = &kind{"invalid-cursor", "Invalid cursor", http.StatusBadRequest, client.Invalid,
		"The cursor does not come from this list, or has been changed. Start again without one."}
	kindUnauthenticated = &kind{"unauthenticated", "Log in first", http.StatusUnauthorized, client.Unauthenticated,
		"The operation needs a session, and the request has none, or one that has ended. Log in with POST /v1/sessions and send the token as Authorization: Bearer."}
	kindCredentials = &kind{"wrong-credentials", "Wrong e-mail address or password", http.StatusUnauthorized, client.Unauthenticated,
		"No account has this e-mail address with this password. Which of the two is wrong is not told."}
	kindDeclined = &kind{"payment-declined", "Payment declined", http.StatusPaymentRequired, client.Conflict,
		"The payment provider has refused the charge. Nothing was charged, and the item is on sale again."}
	kindForbidden = &kind{"forbidden", "Not allowed", http.StatusForbidden, client.Forbidden,
		"The session is good, but may not do this."}
	kindNotFound = &kind{"not-found", "Not found", http.StatusNotFound, client.NotFound,
		"There is no such thing, or none that the session may see."}
	kindMethod = &kind{"method-not-allowed", "Method not allowed", http.StatusMethodNotAllowed, client.Invalid,
		"The path is right, the method is not. The Allow header has those that are."}
	kindSlow = &kind{"request-timeout", "Request too slow", http.StatusRequestTimeout, client.Invalid,
		"The body did not arrive in time. Nothing was changed."}
	kindConflict = &kind{"conflict", "Conflict", http.StatusConflict, client.Conflict,
		"The thing is not in the state that the operation needs. Read it again."}
	kindItemSold = &kind{"item-sold", "Somebody was quicker", http.StatusConflict, client.Conflict,
		"Somebody else has bought the item, or is paying for it. Nothing was charged."}
	kindPriceChanged = &kind{"price-changed", "The price has changed", http.StatusConflict, client.Conflict,
		"The item has another price than expected_price. Nothing was charged. Read the item, ask the buyer, try again."}
	kindEmailTaken = &kind{"email-taken", "E-mail address taken", http.StatusConflict, client.Conflict,
		"There is an account with this e-mail address. Log in instead."}
	kindPrecondition = &kind{"version-mismatch", "Changed in the meantime", http.StatusPreconditionFailed, client.Conflict,
		"If-Match names another version than the thing has. Read it again and decide anew."}
	kindTooLarge = &kind{"body-too-large", "Body too large", http.StatusRequestEntityTooLarge, client.Invalid,
		"The body has more bytes than the operation takes."}
	kindMediaType = &kind{"unsupported-media-type", "Unsupported media type", http.StatusUnsupportedMediaType, client.Invalid,
		"The operation takes another kind of content: JSON, or for photos a JPEG, PNG or WebP picture in a form. HEIC is not taken."}
	kindInvalid = &kind{"invalid-request", "Invalid request", http.StatusUnprocessableEntity, client.Invalid,
		"Fields are wrong, missing or unknown: errors names each. Values are not repeated."}
	kindRateLimited = &kind{"rate-limited", "Too many requests", http.StatusTooManyRequests, client.RateLimited,
		"Too many requests. Retry-After says how long to wait."}
	kindInternal = &kind{"internal", "Internal error", http.StatusInternalServerError, client.Internal,
		"The server is at fault. The request_id finds the cause in its log."}
	kindUnavailable = &kind{"unavailable", "Temporarily unavailable", http.StatusServiceUnavailable, client.Unavailable,
		"The server cannot do this right now, because it is busy or something that it needs is down. Retry-After says when to try again."}
)

// statusClientGone is nginx's status for a client that did not wait. Only the log and the metrics see it:
// whoever still listens, because the server stops, is told kindUnavailable.
const statusClientGone = 499

var kinds = []*kind{
	kindMalformed, kindCursor, kindUnauthenticated, kindCredentials, kindDeclined, kindForbidden, kindNotFound, kindMethod, kindSlow,
	kindConflict, kindItemSold, kindPriceChanged, kindEmailTaken, kindPrecondition, kindTooLarge, kindMediaType, kindInvalid,
	kindRateLimited, kindInternal, kindUnavailable,
}

// refusal is an error that says how it is told to the client.
type refusal struct {
	kind       *kind
	reason     string // finer than the code; may be empty
	detail     string // for people outside; empty means the kind's title
	fields     []client.FieldError
	retryAfter time.Duration
	gone       bool  // the client has gone away; nobody is at fault
	err        error // the cause, never shown outside; may be nil
}

func (e *refusal) Error() string {
	s := e.kind.slug
	if e.detail != "" {
		s += ": " + e.detail
	}
	if e.err != nil {
		s += ": " + e.err.Error()
	}
	return s
}

func (e *refusal) Unwrap() error { return e.err }

func refuse(k *kind, format string, args ...any) *refusal {
	return &refusal{kind: k, detail: fmt.Sprintf(format, args...)}
}

// invalidField refuses a request for one field of its body, by JSON pointer, or one parameter.
func invalidField(pointer, message string) *refusal {
	return &refusal{kind: kindInvalid, fields: []client.FieldError{{Pointer: pointer, Message: message}}}
}

// document is the problem as it goes out.
func (e *refusal) document(requestID string) *client.Problem {
	p := &client.Problem{
		Type:      "/problems/" + e.kind.slug,
		Title:     e.kind.title,
		Status:    e.kind.status,
		Code:      e.kind.code,
		Reason:    e.reason,
		Detail:    e.detail,
		RequestID: requestID,
		Errors:    e.fields,
	}
	if requestID != "" {
		p.Instance = "urn:furima:request:" + requestID
	}
	if p.Detail == "" && len(p.Errors) == 0 {
		p.Detail = e.kind.title
	}
	return p
}

// refusalOf turns any error into what the client is told. This is the only
// place that knows which error has which status.
func refusalOf(err error) *refusal {
	// Whatever else it says: the work was ended from outside.
	if errors.Is(err, context.Canceled) {
		return &refusal{kind: kindUnavailable, detail: "the request was ended", retryAfter: retryAfter, gone: true, err: err}
	}
	if e := joined(err); e != nil {
		return e
	}
	if e := domainRefusal(err); e != nil {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &refusal{kind: kindUnavailable, detail: "the request took too long", retryAfter: retryAfter, err: err}
	}
	return &refusal{kind: kindInternal, err: err}
}

// joined returns the refusal in err. Where it is joined with faults that the market has found, it
// gets their fields too, so that a person sees all that is wrong at once.
func joined(err error) *refusal {
	e, ok := errors.AsType[*refusal](err)
	if !ok || err == error(e) || e.kind != kindInvalid {
		return e
	}
	d := domainRefusal(err)
	if d == nil || d.kind != kindInvalid {
		return e
	}
	return &refusal{kind: kindInvalid, fields: append(d.fields, e.fields...), detail: d.detail}
}

// refuse answers the request with the problem in err. What only an operator can
// mend is logged here, once.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := refusalOf(err)
	x := exchangeOf(w)
	a.report(r.Context(), x, e)
	if x.wrote {
		// Part of another answer is out; the client must not take it for whole.
		panic(http.ErrAbortHandler)
	}
	x.writeRefusal(e)
}

// writeRefusal answers with the problem. Headers of an answer that did not come
// about go.
func (x *exchange) writeRefusal(e *refusal) {
	h := x.Header()
	for _, name := range []string{"Cache-Control", "Cache-Status", "Etag", "Age", "Link", "Content-Encoding", "Last-Modified"} {
		delete(h, name)
	}
	e.setHeader(h)
	body, err := json.Marshal(e.document(x.requestID))
	if err != nil { // strings and integers always encode
		panic(err)
	}
	h["X-Content-Type-Options"] = headerNoSniff
	h["Content-Type"] = contentProblem
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.declined = 0
	x.ours = true
	x.WriteHeader(e.kind.status)
	if x.req.Method != http.MethodHead {
		_, _ = x.Write(body)
	}
}

var (
	contentJSON    = []string{"application/json"}
	contentProblem = []string{"application/problem+json"}
)

// report notes the refusal for the access log and logs the cause of an internal error.
func (a *API) report(ctx context.Context, x *exchange, e *refusal) {
	x.code = e.kind.code
	x.gone = e.gone
	switch e.kind {
	case kindInternal:
		a.log.LogAttrs(ctx, slog.LevelError, "internal error", slog.String("request_id", x.requestID), slog.Any("error", e.err))
	case kindUnavailable:
		if e.err != nil && !e.gone { // not one of too many clients
			a.log.LogAttrs(ctx, slog.LevelWarn, "unavailable", slog.String("request_id", x.requestID), slog.Any("error", e.err))
		}
	}
}

func (e *refusal) setHeader(h http.Header) {
	if e.retryAfter > 0 {
		seconds := (e.retryAfter + time.Second - 1) / time.Second
		h.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	if e.kind.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	h.Set("Cache-Control", "no-store")
}

// byReason are the reasons of the market that have a kind of problem of their own.
var byReason = map[market.Reason]*kind{
	market.ReasonInvalidCursor:   kindCursor,
	market.ReasonItemSold:        kindItemSold,
	market.ReasonPriceChanged:    kindPriceChanged,
	market.ReasonEmailTaken:      kindEmailTaken,
	market.ReasonVersionMismatch: kindPrecondition,
	market.ReasonDeclined:        kindDeclined,
	market.ReasonNoFunds:         kindDeclined,
}

// byCode is the one table from the market's codes to kinds of problems, and so to HTTP.
var byCode = map[market.Code]*kind{
	market.CodeInvalid:         kindInvalid,
	market.CodeUnauthenticated: kindUnauthenticated,
	market.CodeForbidden:       kindForbidden,
	market.CodeNotFound:        kindNotFound,
	market.CodeConflict:        kindConflict,
	market.CodeRateLimited:     kindRateLimited,
	market.CodeUnavailable:     kindUnavailable,
	market.CodeInternal:        kindInternal,
}

// retryAfter is the wait that we ask for when nobody knows better.
const retryAfter = 2 * time.Second

// domainRefusal says how an error of the market or of the photos is told; nil if it is none of theirs.
func domainRefusal(err error) *refusal {
	if e, ok := errors.AsType[*photo.Error](err); ok {
		return photoRefusal(e)
	}
	faults := market.Faults(err)
	if len(faults) == 0 {
		return nil
	}
	first := faults[0]
	e := &refusal{kind: byCode[first.Code], reason: string(first.Reason), err: err}
	if k := byReason[first.Reason]; k != nil && k.code == client.Code(first.Code) {
		e.kind = k
	}
	switch e.kind {
	case nil, kindInternal:
		// Its message may be for us alone.
		return &refusal{kind: kindInternal, err: err}
	case kindUnavailable, kindRateLimited:
		e.retryAfter = retryAfter
	}
	for _, f := range faults {
		if f.Field == "" {
			e.detail = f.Message
		} else {
			e.fields = append(e.fields, client.FieldError{Pointer: fieldPointer(f.Field), Message: f.Message})
		}
	}
	if len(e.fields) > 1 {
		e.reason = "" // each has its own
	}
	return e
}

// fieldPointer says where in a request the market's field is.
func fieldPointer(field string) string {
	switch field {
	case "cursor", "sort", "role", "limit":
		return "query/" + field
	case "device_id", "user_id":
		return "path/" + field
	}
	return "/" + field
}
