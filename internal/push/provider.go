package push

import (
	"context"
	"log/slog"
	"time"

	"github.com/furima/furima/client"
)

// Platform names a provider: client.APNS, client.FCM or client.WebPush.
type Platform = client.Platform

// The providers.
const (
	APNS    = client.APNS
	FCM     = client.FCM
	WebPush = client.WebPush
)

// The priorities of a notification; none means High.
const (
	High   = client.High
	Normal = client.Normal
	Low    = client.Low
)

// The wire types of the native surface, which senders and other surfaces fill
// and read as well.
type (
	// Notification is one text for many tokens of one platform.
	Notification = client.Notification
	// APNSOverride is what a notification says to Apple alone.
	APNSOverride = client.APNSOverride
	// FCMOverride is what a notification says to Google alone.
	FCMOverride = client.FCMOverride
	// WebPushOverride is what a notification says to browsers alone.
	WebPushOverride = client.WebPushOverride
	// Duration is a time.Duration that JSON writes as text.
	Duration = client.Duration
	// FieldError is what is wrong with one field. It never holds the value.
	FieldError = client.FieldError
)

// Provider opens senders for apps.
type Provider interface {
	// Open returns a sender for the app, or nil if the app has no credentials
	// for this provider. It reads credentials and does not use the network.
	Open(app AppConfig, logger *slog.Logger) (Sender, error)
}

// Sender delivers to one provider for one app. Its methods may be called from
// several goroutines at once.
type Sender interface {
	// Render checks a notification that is to go out at the given time and
	// renders what is the same for all of its tokens. The pointers of its
	// errors are relative to the notification.
	Render(n *Notification, at time.Time) (Rendered, []FieldError)

	// Send delivers a batch and calls done once for every message, with the
	// index of the message, from any goroutine, possibly several at once. done
	// does not block. Send returns after the last call. When ctx ends it
	// returns soon, and what is not known to have arrived has the outcome
	// Retry. Thousands of messages may be in one batch; how many are under way
	// at once is the sender's to bound.
	Send(ctx context.Context, batch []Message, done func(i int, r Result))

	// Close closes idle connections. It is called after the last Send.
	Close() error
}

// Rendered is what all messages of a notification share.
type Rendered struct {
	Header  []Header // of the request to the provider, names in lower case
	Payload []byte
}

// Header is a field of a request to a provider.
type Header struct{ Name, Value string }

// Message is one notification for one token.
type Message struct {
	Token    string // of a device, or an audience: see TopicPrefix
	ID       MessageID
	Rendered *Rendered // shared, read only
}

// Outcome is what became of a message.
type Outcome uint8

// The outcomes. The first three are final.
const (
	// Sent: the provider has taken it.
	Sent Outcome = iota + 1
	// Unregistered: the token is dead, Result.Since says since when.
	Unregistered
	// Rejected: the provider will never take this message.
	Rejected
	// Retry: this message again, after a while.
	Retry
	// Down: the provider cannot be reached or serves nobody; everything for it
	// waits.
	Down
	// Refused: the provider does not accept the app's credentials; everything
	// of this app for it waits, and someone must act.
	Refused
)

// String returns the outcome as metrics and logs have it.
func (o Outcome) String() string {
	switch o {
	case Sent:
		return "sent"
	case Unregistered:
		return "unregistered"
	case Rejected:
		return "rejected"
	case Retry:
		return "retry"
	case Down:
		return "down"
	case Refused:
		return "refused"
	}
	return "none"
}

// Result is what became of one message.
type Result struct {
	Outcome Outcome
	Reason  string        // the provider's word, of a closed set per provider; empty if sent
	Since   time.Time     // with Unregistered: since when, zero if not told
	After   time.Duration // with Retry, Down and Refused: not before, 0 if not told
	Took    time.Duration // from handing the request over to its answer, 0 without one
	Err     error         // with Down and Refused: more for the log, never a token
}
