package apns

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/furima/furima/internal/push"
)

// reasons says what each reason that Apple documents means for a message.
// ExpiredProviderToken is here for when a new token did not help.
var reasons = map[string]push.Outcome{
	// The token is dead.
	"Unregistered":           push.Unregistered,
	"ExpiredToken":           push.Unregistered,
	"BadDeviceToken":         push.Unregistered,
	"DeviceTokenNotForTopic": push.Unregistered,

	// The message is wrong and will be wrong again.
	"BadCollapseId":      push.Rejected,
	"BadExpirationDate":  push.Rejected,
	"BadMessageId":       push.Rejected,
	"BadPath":            push.Rejected,
	"BadPriority":        push.Rejected,
	"BadTopic":           push.Rejected,
	"DuplicateHeaders":   push.Rejected,
	"InvalidPushType":    push.Rejected,
	"MethodNotAllowed":   push.Rejected,
	"MissingDeviceToken": push.Rejected,
	"MissingTopic":       push.Rejected,
	"PayloadEmpty":       push.Rejected,
	"PayloadTooLarge":    push.Rejected,
	"TopicDisallowed":    push.Rejected,

	// The app's credentials are: nothing of the app can be sent.
	"BadCertificate":             push.Refused,
	"BadCertificateEnvironment":  push.Refused,
	"BadEnvironmentKeyIdInToken": push.Refused,
	"ExpiredProviderToken":       push.Refused,
	"Forbidden":                  push.Refused,
	"InvalidProviderToken":       push.Refused,
	"MissingProviderToken":       push.Refused,
	"UnrelatedKeyIdInToken":      push.Refused,

	// Later.
	"IdleTimeout":                 push.Retry,
	"InternalServerError":         push.Retry,
	"ServiceUnavailable":          push.Retry,
	"Shutdown":                    push.Retry,
	"TooManyRequests":             push.Retry,
	"TooManyProviderTokenUpdates": push.Down,
}

// Reasons of our own, for what Apple did not answer.
const (
	reasonTimeout     = "Timeout"
	reasonReset       = "StreamReset"
	reasonLost        = "ConnectionLost"
	reasonInvalid     = "InvalidHeader"
	reasonUnreachable = "Unreachable"
	reasonToken       = "ProviderToken"
)

const expiredProviderToken = "ExpiredProviderToken"

// result says what an answer means. An answer that Apple does not document is
// judged by its status.
func result(status int, body []byte, retryAfter string) push.Result {
	if status == 200 {
		return push.Result{Outcome: push.Sent}
	}
	var answer struct {
		Reason    string `json:"reason"`
		Timestamp int64  `json:"timestamp"`
	}
	_ = json.Unmarshal(body, &answer) // a proxy in between may answer anything
	r := push.Result{Reason: answer.Reason}
	var known bool
	if r.Outcome, known = reasons[answer.Reason]; !known {
		r.Reason = "HTTP " + strconv.Itoa(status)
		switch {
		case status == 410:
			r.Outcome = push.Unregistered
		case status == 429 || status >= 500:
			r.Outcome = push.Retry
		case status == 401 || status == 403:
			r.Outcome = push.Refused
		case status >= 400:
			r.Outcome = push.Rejected
		default: // neither an error nor what success looks like
			r.Outcome = push.Retry
		}
	}
	if r.Outcome == push.Unregistered && answer.Timestamp > 0 {
		r.Since = time.UnixMilli(answer.Timestamp).UTC()
	}
	if r.Outcome == push.Retry || r.Outcome == push.Down {
		if s, err := strconv.ParseUint(retryAfter, 10, 20); err == nil {
			r.After = time.Duration(s) * time.Second
		}
	}
	return r
}
