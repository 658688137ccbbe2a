package webpush

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/furima/furima/internal/push"
)

// Reasons of our own, for what no push service answered.
const (
	reasonTimeout      = "Timeout"
	reasonLost         = "ConnectionLost"
	reasonUnreachable  = "Unreachable"
	reasonForbidden    = "ForbiddenAddress"
	reasonSubscription = "BadSubscription"
	reasonPayload      = "BadPayload"
	reasonSlow         = "OriginSlow"
	reasonOrigins      = "TooManyOrigins"
	reasonStopped      = "Stopped"
	reasonKey          = "VAPIDKey"
)

// effect is what an answer says about its origin.
type effect uint8

const (
	neutral  effect = iota // nothing: the message was wrong, or was not sent
	took                   // it takes messages, or knows that it will not take this one
	failed                 // it did not do what it is for
	refused                // it does not accept the VAPID key, or not for this subscription
	nobody                 // no connection can be had
	offLimit               // it is where no request goes
)

// answer says what an HTTP answer means for a message and for its origin.
func answer(status int, header http.Header, now time.Time) (push.Result, effect) {
	r := push.Result{Reason: reasonOf(status)}
	switch {
	case status >= 200 && status < 300:
		return push.Result{Outcome: push.Sent}, took
	case status == http.StatusNotFound || status == http.StatusGone:
		r.Outcome = push.Unregistered
		return r, took
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		r.Outcome = push.Retry // see refusals
		return r, refused
	case status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status == http.StatusMisdirectedRequest ||
		status == http.StatusTooEarly || status >= 500 || status < 400:
		// Redirections are not followed: they would lead where users like.
		r.Outcome, r.After = push.Retry, retryAfter(header.Get("Retry-After"), now)
		return r, failed
	default:
		r.Outcome = push.Rejected
		return r, took
	}
}

// reasonOf names a status, as in "410 Gone".
func reasonOf(status int) string {
	if text := http.StatusText(status); text != "" {
		return strconv.Itoa(status) + " " + text
	}
	return "HTTP " + strconv.Itoa(status)
}

// maxRetryAfter bounds how long a push service can put a message off: a
// mistaken one would do so for ever.
const maxRetryAfter = time.Hour

// retryAfter reads the header: seconds or a date.
func retryAfter(v string, now time.Time) time.Duration {
	if s, err := strconv.ParseUint(v, 10, 31); err == nil {
		return min(time.Duration(s)*time.Second, maxRetryAfter)
	}
	if t, err := http.ParseTime(v); err == nil {
		return min(max(t.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

// judgeError says what it means that there is no answer. The error itself is
// not passed on: it may hold the subscription's URL.
func judgeError(ctx context.Context, err error, connected bool) (push.Result, effect) {
	r := push.Result{Outcome: push.Retry}
	var ne net.Error
	timedOut := errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
	switch {
	case ctx.Err() != nil:
		r.Reason = reasonStopped
		return r, neutral
	case errors.Is(err, errForbidden):
		r.Outcome, r.Reason = push.Rejected, reasonForbidden
		return r, offLimit
	case errors.Is(err, errNoRoom):
		r.Reason = reasonTimeout
		return r, failed
	case !connected:
		r.Reason = reasonUnreachable
		return r, nobody
	case timedOut:
		r.Reason = reasonTimeout
		return r, failed
	default:
		r.Reason = reasonLost
		return r, failed
	}
}
