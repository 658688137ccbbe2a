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
	"TooManyProviderTokenUpdates": push.Down, // nothing of the app goes on meanwhile
}

// channelReasons are those that Apple documents for channels alone. The others
// mean the same as for a device.
var channelReasons = map[string]push.Outcome{
	"ChannelNotRegistered": push.Unregistered, // no device is to be forgotten for it

	"BadChannelId":      push.Rejected,
	"BadDate":           push.Rejected,
	"BadRequestParams":  push.Rejected,
	"BadRequestPayload": push.Rejected,
	"FeatureNotEnabled": push.Rejected, // of the app: its other messages may go on
	"MissingChannelId":  push.Rejected,
	"MissingPushType":   push.Rejected,
	"TopicMismatch":     push.Rejected,
}

// tokenHold is how long everything waits at least after Apple has called the
// app's provider tokens too many, if it does not say how long.
const tokenHold = time.Minute

// Reasons of our own, for what Apple did not answer.
const (
	reasonTimeout     = "Timeout"
	reasonReset       = "StreamReset"
	reasonLost        = "ConnectionLost"
	reasonInvalid     = "InvalidHeader"
	reasonUnreachable = "Unreachable"
	reasonToken       = "ProviderToken"
)

const (
	expiredProviderToken = "ExpiredProviderToken"
	tooManyTokens        = "TooManyProviderTokenUpdates"
)

// answer is what Apple says with a refusal.
type answer struct {
	Reason    string `json:"reason"`
	Timestamp int64  `json:"timestamp"`
}

func answered(body []byte) answer {
	var a answer
	_ = json.Unmarshal(body, &a) // a proxy in between may answer anything
	return a
}

// outcomeOf returns what a reason means.
func outcomeOf(reason string, broadcast bool) (push.Outcome, bool) {
	if broadcast {
		if o, known := channelReasons[reason]; known {
			return o, true
		}
	}
	o, known := reasons[reason]
	return o, known
}

// result says what an answer means. An answer that Apple does not document is
// judged by its status.
func result(status int, body []byte, retryAfter string, broadcast bool) push.Result {
	if status == 200 {
		return push.Result{Outcome: push.Sent}
	}
	answer := answered(body)
	r := push.Result{Reason: answer.Reason}
	var known bool
	if r.Outcome, known = outcomeOf(answer.Reason, broadcast); !known {
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
	if r.Reason == tooManyTokens {
		r.After = max(r.After, tokenHold)
	}
	return r
}
