package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Code is the kind of a problem, of a closed set.
type Code string

// The codes.
const (
	Invalid         Code = "invalid"         // the request is wrong; do not repeat it
	Unauthenticated Code = "unauthenticated" // no, a wrong or an ended session
	Forbidden       Code = "forbidden"       // the session may not do this
	NotFound        Code = "not_found"       // no such thing, or none that the session may see
	Conflict        Code = "conflict"        // the thing is not in the state for it
	RateLimited     Code = "rate_limited"    // too many; again after RetryAfter
	Unavailable     Code = "unavailable"     // cannot be done now; again after RetryAfter
	Internal        Code = "internal"        // the server's fault; RequestID finds it in the log
)

// Problem is a refusal: an RFC 9457 problem document. It is the error of every
// call that the server answered with anything but success.
type Problem struct {
	Type      string       `json:"type,omitempty" doc:"The kind of problem, as a reference to its page." example:"/problems/item-sold"`
	Title     string       `json:"title,omitempty" doc:"The kind in a few words."`
	Status    int          `json:"status" doc:"The HTTP status." example:"409"`
	Code      Code         `json:"code" enum:"invalid,unauthenticated,forbidden,not_found,conflict,rate_limited,unavailable,internal" doc:"The class, of a closed set."`
	Reason    string       `json:"reason,omitempty" doc:"Finer than the code; more are added over time." example:"item_sold"`
	Detail    string       `json:"detail,omitempty" doc:"What is wrong, for people."`
	Instance  string       `json:"instance,omitempty" doc:"This occurrence, as a URN."`
	RequestID string       `json:"request_id,omitempty" doc:"The id of the request, as in X-Request-Id and in the server's log."`
	Errors    []FieldError `json:"errors,omitempty" nullable:"false" doc:"What is wrong with which field."`

	// RetryAfter is the wait that the server asks for; 0 if it says nothing.
	RetryAfter time.Duration `json:"-"`
}

// FieldError is a fault of one field of a request. It never holds the value.
type FieldError struct {
	Pointer string `json:"pointer" doc:"JSON pointer into the body, or query/NAME, header/NAME, path/NAME." example:"/price"`
	Message string `json:"message" doc:"What is wrong with it. The value is not repeated."`
}

// Error returns one line for a log: it holds nothing that the caller sent.
func (p *Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", p.Status, p.Code)
	if p.Reason != "" {
		b.WriteString(" (" + p.Reason + ")")
	}
	if p.Detail != "" {
		b.WriteString(": " + p.Detail)
	}
	for i, e := range p.Errors {
		sep := "; "
		if i == 0 && p.Detail == "" {
			sep = ": "
		}
		b.WriteString(sep + e.Pointer + " " + e.Message)
	}
	return b.String()
}

// Temporary reports whether the same request may succeed later.
func (p *Problem) Temporary() bool {
	return p.Code == RateLimited || p.Code == Unavailable || p.Code == Internal
}

// newProblem reads the problem out of an answer. Whatever stands between the
// server and us may answer with anything else, which is then told by its status.
func newProblem(res *http.Response, body []byte) *Problem {
	p := &Problem{}
	if !isJSON(res.Header.Get("Content-Type")) || json.Unmarshal(body, p) != nil {
		p = &Problem{}
	}
	p.Status = res.StatusCode
	if p.Code == "" {
		p.Code = codeOfStatus(res.StatusCode)
	}
	if p.Title == "" {
		p.Title = http.StatusText(res.StatusCode)
	}
	if p.Detail == "" && len(p.Errors) == 0 {
		p.Detail = strings.ToLower(http.StatusText(res.StatusCode))
	}
	if p.RequestID == "" {
		p.RequestID = res.Header.Get("X-Request-Id")
	}
	p.RetryAfter = retryAfter(res.Header)
	return p
}

func codeOfStatus(status int) Code {
	switch status {
	case http.StatusUnauthorized:
		return Unauthenticated
	case http.StatusForbidden:
		return Forbidden
	case http.StatusNotFound, http.StatusGone:
		return NotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return Conflict
	case http.StatusTooManyRequests:
		return RateLimited
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return Unavailable
	}
	if status >= 500 {
		return Internal
	}
	return Invalid
}

// maxRetryAfter keeps a broken header from putting a caller to sleep for ever.
const maxRetryAfter = 24 * time.Hour

func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if v == "" {
		return 0
	}
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, maxRetryAfter)
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	// The server's own clock, where it tells it, so that ours need not agree.
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
