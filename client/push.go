package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Limits of the push API.
const (
	MaxPushTokens = 1000 // tokens of one notification
)

// Platform is the service behind a device token.
type Platform string

// The platforms.
const (
	APNS    Platform = "apns"
	FCM     Platform = "fcm"
	WebPush Platform = "webpush"
)

// Priority says how soon a notification is to be shown.
type Priority string

// The priorities. Empty means high.
const (
	High   Priority = "high"   // at once; wakes the device
	Normal Priority = "normal" // when it suits the device
	Low    Priority = "low"    // behind everything else, for campaigns
)

// Duration is a time.Duration that JSON writes as "1h30m0s"; a number of
// seconds is read as well.
type Duration time.Duration

// MarshalJSON writes the duration as a string.
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(d).String())
}

var errDuration = errors.New(`duration must be a string such as "90s" or a number of seconds`)

// UnmarshalJSON reads "1h30m" or a number of seconds. null is no duration.
func (d *Duration) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	var s string
	if json.Unmarshal(b, &s) == nil {
		v, err := time.ParseDuration(s)
		if err != nil {
			return errDuration
		}
		*d = Duration(v)
		return nil
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil || n > int64(maxDuration/time.Second) || n < -int64(maxDuration/time.Second) {
		return errDuration
	}
	*d = Duration(time.Duration(n) * time.Second)
	return nil
}

const maxDuration = time.Duration(1<<63 - 1)

// PushRequest asks for notifications to be sent. On the wire it may also be a
// single Notification with "app" beside its fields.
type PushRequest struct {
	App           string         `json:"app,omitempty"` // as in the gateway's configuration; empty: its first
	Notifications []Notification `json:"notifications"`

	// IdempotencyKey makes a repeated request count once. It travels as a header.
	IdempotencyKey string `json:"-"`
}

// Notification is one text for up to MaxPushTokens devices of one platform, or
// for a topic or channel that the platform keeps.
type Notification struct {
	Tokens   []string `json:"tokens,omitempty"` // of a browser: WebPushSubscription.Token
	Platform Platform `json:"platform"`

	Title    string `json:"title,omitempty"`
	Body     string `json:"body,omitempty"`
	Badge    *int   `json:"badge,omitempty"` // nil leaves the badge alone, 0 clears it
	Sound    string `json:"sound,omitempty"`
	Category string `json:"category,omitempty"`  // which actions the app offers
	ThreadID string `json:"thread_id,omitempty"` // groups notifications on the device

	// Keys of texts that the app has in its user's language, and what fills
	// their placeholders; a key is used instead of the text. Apple and Google
	// know them, browsers do not.
	TitleLocKey  string   `json:"title_loc_key,omitempty"`
	TitleLocArgs []string `json:"title_loc_args,omitempty"`
	BodyLocKey   string   `json:"body_loc_key,omitempty"`
	BodyLocArgs  []string `json:"body_loc_args,omitempty"`

	Image string `json:"image,omitempty"` // URL of a picture, https; Apple has none of its own

	// Data goes to the app as it is.
	Data map[string]string `json:"data,omitempty"`

	TTL        Duration  `json:"ttl,omitzero"` // how long it is worth delivering; 0: as the gateway is configured
	Priority   Priority  `json:"priority,omitempty"`
	CollapseID string    `json:"collapse_id,omitempty"` // a later one of the same id replaces it; at most 64 bytes
	SendAt     time.Time `json:"send_at,omitzero"`      // not before

	APNS    *APNSOverride    `json:"apns,omitempty"`    // for Apple alone
	FCM     *FCMOverride     `json:"fcm,omitempty"`     // for Google alone
	WebPush *WebPushOverride `json:"webpush,omitempty"` // for browsers alone
}

// APNSOverride says what only Apple knows.
type APNSOverride struct {
	Topic             string  `json:"topic,omitempty"`     // instead of the app's
	PushType          string  `json:"push_type,omitempty"` // "alert" (default), "background", …
	Subtitle          string  `json:"subtitle,omitempty"`
	ContentAvailable  bool    `json:"content_available,omitempty"`
	MutableContent    bool    `json:"mutable_content,omitempty"`
	InterruptionLevel string  `json:"interruption_level,omitempty"` // "passive", "active", "time-sensitive", "critical"
	RelevanceScore    float64 `json:"relevance_score,omitempty"`
	// ChannelID sends to a broadcast channel instead of tokens.
	ChannelID string `json:"channel_id,omitempty"`
	// APS is an object whose members go into the payload's aps dictionary, over
	// what the other fields say: content-state, event and timestamp of a live
	// activity, the dictionary of a critical sound, whatever Apple adds.
	APS json.RawMessage `json:"aps,omitempty"`
	// Payload replaces the whole payload if it is set.
	Payload json.RawMessage `json:"payload,omitempty"`
}

// FCMOverride says what only Google knows. The objects are those of the FCM HTTP
// v1 API; their members go over what the notification's own fields say.
type FCMOverride struct {
	Topic     string `json:"topic,omitempty"`     // sends to a topic instead of tokens
	Condition string `json:"condition,omitempty"` // or to topics: "'a' in topics && 'b' in topics"

	Android json.RawMessage `json:"android,omitempty"` // AndroidConfig
	APNS    json.RawMessage `json:"apns,omitempty"`    // ApnsConfig, for iOS by way of Google
	WebPush json.RawMessage `json:"webpush,omitempty"` // WebpushConfig

	AnalyticsLabel string `json:"analytics_label,omitempty"`
	DataOnly       bool   `json:"data_only,omitempty"`     // no notification: title and body are not sent
	ValidateOnly   bool   `json:"validate_only,omitempty"` // Google checks it and delivers nothing
	// Message replaces the whole message, but for whom it goes to, if it is set.
	Message json.RawMessage `json:"message,omitempty"`
}

// WebPushOverride says what only browsers' push services know (RFC 8030).
type WebPushOverride struct {
	Urgency string `json:"urgency,omitempty"` // "very-low", "low", "normal", "high"; empty: from the priority
	Topic   string `json:"topic,omitempty"`   // instead of the collapse id: at most 32 characters of base64url
	// Payload is what the page's service worker gets, of any form, instead of
	// an object with title, body and the other fields.
	Payload json.RawMessage `json:"payload,omitempty"`
}

// WebPushSubscription is what a browser's PushManager.subscribe gives, as
// JSON.stringify writes it. Its Token stands for it in a Notification.
type WebPushSubscription struct {
	Endpoint string `json:"endpoint"`
	Keys     struct {
		P256DH string `json:"p256dh"`
		Auth   string `json:"auth"`
	} `json:"keys"`
}

// Token returns the subscription as a token.
func (s WebPushSubscription) Token() string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings always encode
	}
	return string(b)
}

// PushAccepted says that the notifications are on the gateway's disk: each of them
// is delivered, or ends in a state that Status tells.
type PushAccepted struct {
	ID       string `json:"id"`
	Accepted int    `json:"accepted"` // notifications, one a token
}

// PushStatus is what has become of an accepted request. Counts are of notifications, one a
// token; those of the states add up to Total.
type PushStatus struct {
	ID        string    `json:"id"`
	App       string    `json:"app"`
	CreatedAt time.Time `json:"created_at"`
	Total     int       `json:"total"`

	Waiting      int `json:"waiting"`      // not sent yet, or to be tried again
	Sent         int `json:"sent"`         // taken by the provider
	Unregistered int `json:"unregistered"` // the token is dead
	Rejected     int `json:"rejected"`     // the provider will not take it
	Expired      int `json:"expired"`      // not delivered within its ttl
	Cancelled    int `json:"cancelled"`

	Reasons map[string]int `json:"reasons,omitempty"` // the providers' own words for what was not sent
}

// DeadToken is a token that its provider has declared dead.
type DeadToken struct {
	App      string   `json:"app"`
	Platform Platform `json:"platform"`
	Token    string   `json:"token"`
	Reason   string   `json:"reason"`
	// Time is since when the token is dead, as far as is known. A device that
	// registered the same token later is alive.
	Time time.Time `json:"time"`
}

// FeedbackPage is a part of the list of dead tokens, oldest first.
type FeedbackPage struct {
	Tokens []DeadToken `json:"tokens"`
	// NextCursor is where to go on, now or at the next visit. It is the cursor
	// given when there was nothing new.
	NextCursor string `json:"next_cursor"`
}

// PushOptions say how to reach the push gateway.
type PushOptions struct {
	// URL is where the gateway is: "http://127.0.0.1:1056" or "unix:/path". A
	// wrong one is an error of every call.
	URL string
	// Token is the bearer token; empty if the gateway asks for none.
	Token string
	// HTTPClient is as in Options.
	HTTPClient *http.Client
	// UserAgent is sent with every request; empty means the package's name.
	UserAgent string
}

// Push calls the push gateway. Make one with NewPush.
type Push struct{ caller }

// NewPush returns a client of the gateway. It does no I/O.
func NewPush(o PushOptions) *Push {
	return &Push{newCaller(o.URL, o.Token, o.UserAgent, o.HTTPClient)}
}

// Send hands notifications to the gateway. When it returns without an error they
// are on disk there. After an error that is no Problem they may be, so that
// repeating the call without an IdempotencyKey may send them twice.
func (p *Push) Send(ctx context.Context, req PushRequest) (PushAccepted, error) {
	var out PushAccepted
	k := call{method: http.MethodPost, path: "/v1/push", json: req}
	if req.IdempotencyKey != "" {
		k.header = http.Header{"Idempotency-Key": {req.IdempotencyKey}}
	}
	if err := p.do(ctx, k, &out); err != nil {
		return PushAccepted{}, fmt.Errorf("send push: %w", err)
	}
	return out, nil
}

// Status tells what has become of a request. It is not_found some time after
// the request has ended.
func (p *Push) Status(ctx context.Context, id string) (PushStatus, error) {
	var out PushStatus
	if err := p.do(ctx, call{method: http.MethodGet, path: "/v1/push/" + segment(id)}, &out); err != nil {
		return PushStatus{}, fmt.Errorf("status of push: %w", err)
	}
	return out, nil
}

// Cancel gives up what has not been sent yet, and tells how things stand.
func (p *Push) Cancel(ctx context.Context, id string) (PushStatus, error) {
	var out PushStatus
	if err := p.do(ctx, call{method: http.MethodDelete, path: "/v1/push/" + segment(id)}, &out); err != nil {
		return PushStatus{}, fmt.Errorf("cancel push: %w", err)
	}
	return out, nil
}

// Feedback returns tokens that have died since the cursor, at most limit (0: as many as the
// gateway likes). An empty cursor begins with the oldest that is kept.
func (p *Push) Feedback(ctx context.Context, cursor string, limit int) (FeedbackPage, error) {
	q := url.Values{}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	var out FeedbackPage
	if err := p.do(ctx, call{method: http.MethodGet, path: "/v1/feedback", query: q}, &out); err != nil {
		return FeedbackPage{}, fmt.Errorf("read push feedback: %w", err)
	}
	return out, nil
}
