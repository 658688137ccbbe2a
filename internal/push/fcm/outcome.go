package fcm

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/h2"
)

// doubt says what an answer about one message may mean for all of a batch.
type doubt uint8

const (
	// certain: it means what it says.
	certain doubt = iota
	// thirdParty: Google cannot use the key that it has for Apple or for
	// browsers. Messages to Android are not concerned.
	thirdParty
	// otherFault: the token, it seems, but no field is named. If it is all
	// tokens, it is the message.
	otherFault
)

// answer is what one message met.
type answer struct {
	push.Result
	doubt doubt
	stale bool // the access token is not accepted
	over  bool // a quota was exceeded
	wide  bool // and it is surely the project's
}

type meaning struct {
	outcome push.Outcome
	doubt   doubt
}

// fcmCodes says what the codes of an FcmError mean. That SENDER_ID_MISMATCH of
// very many tokens is no fault of theirs is for the gateway to see.
var fcmCodes = map[string]meaning{
	"UNREGISTERED":           {push.Unregistered, certain},
	"SENDER_ID_MISMATCH":     {push.Unregistered, certain},
	"INVALID_ARGUMENT":       {push.Unregistered, otherFault}, // see invalidArgument
	"THIRD_PARTY_AUTH_ERROR": {push.Refused, thirdParty},
	"QUOTA_EXCEEDED":         {push.Retry, certain},
	"UNAVAILABLE":            {push.Retry, certain},
	"INTERNAL":               {push.Retry, certain},
}

// rpcCodes says what the status of an error without an FcmError means, which is
// from Google's front end.
var rpcCodes = map[string]meaning{
	"INVALID_ARGUMENT":    {push.Rejected, certain},
	"FAILED_PRECONDITION": {push.Rejected, certain},
	"OUT_OF_RANGE":        {push.Rejected, certain},
	"UNIMPLEMENTED":       {push.Rejected, certain},
	"ALREADY_EXISTS":      {push.Rejected, certain},
	"UNAUTHENTICATED":     {push.Refused, certain},
	"PERMISSION_DENIED":   {push.Refused, certain},
	"NOT_FOUND":           {push.Unregistered, certain},
	"RESOURCE_EXHAUSTED":  {push.Retry, certain},
	"ABORTED":             {push.Retry, certain},
	"CANCELLED":           {push.Retry, certain},
	"DATA_LOSS":           {push.Retry, certain},
	"DEADLINE_EXCEEDED":   {push.Retry, certain},
	"INTERNAL":            {push.Retry, certain},
	"UNAVAILABLE":         {push.Retry, certain},
	"UNKNOWN":             {push.Retry, certain},
}

// appleGone are the reasons of an ApnsError that say that the token at Apple,
// which stands behind Google's, is dead.
var appleGone = []string{"Unregistered", "ExpiredToken", "BadDeviceToken", "DeviceTokenNotForTopic"}

// Reasons of Google's that the code looks at.
const (
	unauthenticated = "UNAUTHENTICATED"
	invalidArg      = "INVALID_ARGUMENT"
	quotaExceeded   = "QUOTA_EXCEEDED"
	notFound        = "NOT_FOUND"
)

// Reasons of our own, for what Google did not answer.
const (
	reasonTimeout     = "Timeout"
	reasonReset       = "StreamReset"
	reasonLost        = "ConnectionLost"
	reasonInvalid     = "InvalidHeader"
	reasonUnreachable = "Unreachable"
	reasonToken       = "AccessToken"
)

const (
	// quotaPause is how long Google wants senders to wait after 429 if it does
	// not say.
	quotaPause = time.Minute
	// maxPause bounds what an answer can ask for.
	maxPause = time.Hour
)

// failure is the JSON of Google's errors, as far as it is looked at.
type failure struct {
	Error struct {
		Status  string   `json:"status"`
		Details []detail `json:"details"`
	} `json:"error"`
}

// detail has the members of all types of details; Type says which it is.
type detail struct {
	Type            string `json:"@type"`
	ErrorCode       string `json:"errorCode"` // of FcmError
	Reason          string `json:"reason"`    // of ApnsError
	FieldViolations []struct {
		Field string `json:"field"`
	} `json:"fieldViolations"` // of BadRequest
	RetryDelay string `json:"retryDelay"` // of RetryInfo
}

// find returns the first detail of a type, or an empty one.
func (f *failure) find(name string) detail {
	for _, d := range f.Error.Details {
		if strings.HasSuffix(d.Type, "/google."+name) {
			return d
		}
	}
	return detail{}
}

// result says what an answer means. One that Google does not document is judged
// by its status.
func result(status int, body []byte, retryAfter string, now time.Time) answer {
	if status == http.StatusOK {
		return answer{Result: push.Result{Outcome: push.Sent}}
	}
	var f failure
	_ = json.Unmarshal(body, &f) // a proxy in between may answer anything
	code := f.find("firebase.fcm.v1.FcmError").ErrorCode
	a := answer{}
	m, known := fcmCodes[code]
	switch {
	case known && code == invalidArg:
		m = f.invalidArgument()
	case !known:
		code = f.Error.Status
		m, known = rpcCodes[code]
		a.wide = status == http.StatusTooManyRequests
	}
	// Whatever a server that has trouble of its own says, the message is not to
	// blame.
	if !known || status >= 500 && m.outcome != push.Retry || status < 400 {
		code, m = "HTTP "+strconv.Itoa(status), meaning{outcome: byStatus(status)}
	}
	a.Outcome, a.Reason, a.doubt = m.outcome, code, m.doubt
	switch {
	case status == http.StatusUnauthorized && m.doubt != thirdParty:
		a.Outcome, a.Reason, a.stale = push.Refused, unauthenticated, true
	case status == http.StatusTooManyRequests:
		a.Outcome, a.Reason, a.over = push.Retry, quotaExceeded, true
	}
	if a.Outcome == push.Retry {
		a.After = pause(status, retryAfter, f.find("rpc.RetryInfo").RetryDelay, now)
	}
	return a
}

// invalidArgument says what is wrong in an INVALID_ARGUMENT with an FcmError:
// the token if the details name it, the message if they name something else.
func (f *failure) invalidArgument() meaning {
	if slices.Contains(appleGone, f.find("firebase.fcm.v1.ApnsError").Reason) {
		return meaning{push.Unregistered, certain}
	}
	named := false
	for _, d := range f.Error.Details {
		for _, v := range d.FieldViolations {
			if v.Field == "message.token" {
				return meaning{push.Unregistered, certain}
			}
			named = true
		}
	}
	if named {
		return meaning{push.Rejected, certain}
	}
	return fcmCodes[invalidArg]
}

func byStatus(status int) push.Outcome {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return push.Refused
	case http.StatusNotFound: // not Google's words: it is the endpoint that is wrong
		return push.Refused
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return push.Retry
	}
	if status >= 400 && status < 500 {
		return push.Rejected
	}
	return push.Retry // neither an error of ours nor what success looks like
}

// pause is how long to wait before sending again, 0 if nothing says it.
func pause(status int, retryAfter, retryDelay string, now time.Time) time.Duration {
	d := parseRetryAfter(retryAfter, now)
	if d == 0 && strings.HasSuffix(retryDelay, "s") {
		d, _ = time.ParseDuration(retryDelay) // "3.5s"; 0 if it is none
	}
	if d <= 0 && status == http.StatusTooManyRequests {
		d = quotaPause
	}
	return min(max(d, 0), maxPause)
}

// parseRetryAfter reads seconds or a date of HTTP. What it cannot read is 0.
func parseRetryAfter(s string, now time.Time) time.Duration {
	if s == "" {
		return 0
	}
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(t.Sub(now), 0)
	}
	return 0
}

// judge says what a response means for its message.
func judge(r *h2.Response, now time.Time) answer {
	if r.Err != nil {
		return answer{Result: judgeError(r.Err)}
	}
	a := result(r.Status, r.Body, r.Kept[0], now)
	a.Took = r.Latency
	return a
}

// judgeError says what it means for a message that it has no answer.
func judgeError(err error) push.Result {
	switch h2.ReasonOf(err) {
	case h2.Canceled, h2.Closed:
		return push.Result{Outcome: push.Retry} // interrupted, which is no one's fault
	case h2.Invalid:
		return push.Result{Outcome: push.Rejected, Reason: reasonInvalid}
	case h2.Timeout:
		return push.Result{Outcome: push.Retry, Reason: reasonTimeout}
	case h2.Reset, h2.Refused, h2.Malformed:
		return push.Result{Outcome: push.Retry, Reason: reasonReset}
	case h2.Queued:
		if errors.Unwrap(err) == nil { // there are connections; they are busy
			return push.Result{Outcome: push.Retry, Reason: reasonTimeout}
		}
	case h2.Lost:
		if h2.MaybeProcessed(err) {
			return push.Result{Outcome: push.Retry, Reason: reasonLost}
		}
	}
	return push.Result{Outcome: push.Down, Reason: reasonUnreachable, Err: err}
}
