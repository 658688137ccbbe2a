package fcm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/furima/furima/internal/push"
)

// Google's limits.
const (
	payloadLimit = push.MaxPayloadBytes
	topicLimit   = 2048
	maxTTL       = 28 * 24 * time.Hour
	// maxMessageBytes bounds what is not part of the payload: headers for
	// browsers and the like.
	maxMessageBytes = 32 << 10
)

// request is the body of messages:send. The message is its last member: the
// target goes into the hole at its end.
type request struct {
	ValidateOnly bool `json:"validate_only,omitempty"`
	Message      any  `json:"message"`
}

// message is a Message of Google's, as far as it is made from the fields that
// all platforms have.
type message struct {
	Notification *notification     `json:"notification,omitempty"`
	Data         map[string]string `json:"data,omitempty"`
	Android      *android          `json:"android,omitempty"`
	APNS         *apple            `json:"apns,omitempty"`
	WebPush      json.RawMessage   `json:"webpush,omitempty"`
	Options      *options          `json:"fcm_options,omitempty"`
}

type notification struct {
	Title string `json:"title,omitempty"`
	Body  string `json:"body,omitempty"`
	Image string `json:"image,omitempty"`
}

type android struct {
	CollapseKey  string               `json:"collapse_key,omitempty"`
	Priority     string               `json:"priority"`
	TTL          string               `json:"ttl,omitempty"`
	Notification *androidNotification `json:"notification,omitempty"`
}

type androidNotification struct {
	Sound        string   `json:"sound,omitempty"`
	Tag          string   `json:"tag,omitempty"`
	ClickAction  string   `json:"click_action,omitempty"`
	Count        int      `json:"notification_count,omitempty"`
	TitleLocKey  string   `json:"title_loc_key,omitempty"`
	TitleLocArgs []string `json:"title_loc_args,omitempty"`
	BodyLocKey   string   `json:"body_loc_key,omitempty"`
	BodyLocArgs  []string `json:"body_loc_args,omitempty"`
}

// apple is an ApnsConfig: what devices of Apple's that are registered with
// Google get.
type apple struct {
	Headers map[string]string `json:"headers,omitempty"`
	Payload *applePayload     `json:"payload,omitempty"`
}

type applePayload struct {
	APS aps `json:"aps"`
}

type aps struct {
	Alert          *appleAlert `json:"alert,omitempty"`
	Badge          *int        `json:"badge,omitempty"`
	Sound          string      `json:"sound,omitempty"`
	Category       string      `json:"category,omitempty"`
	ThreadID       string      `json:"thread-id,omitempty"`
	MutableContent int         `json:"mutable-content,omitempty"`
}

type appleAlert struct {
	Title        string   `json:"title,omitempty"`
	Body         string   `json:"body,omitempty"`
	TitleLocKey  string   `json:"title-loc-key,omitempty"`
	TitleLocArgs []string `json:"title-loc-args,omitempty"`
	LocKey       string   `json:"loc-key,omitempty"`
	LocArgs      []string `json:"loc-args,omitempty"`
}

type options struct {
	AnalyticsLabel string `json:"analytics_label,omitempty"`
}

// Render makes the body that all requests for n share.
func (s *sender) Render(n *push.Notification, at time.Time) (push.Rendered, []push.FieldError) {
	var faults []push.FieldError
	fault := func(pointer, message string) {
		faults = append(faults, push.FieldError{Pointer: pointer, Message: message})
	}
	var o push.FCMOverride
	if n.FCM != nil {
		o = *n.FCM
	}
	checkTarget(o, fault)
	var m any
	if len(o.Message) > 0 {
		m = replacement(o.Message, fault)
	} else {
		check(n, o, fault)
		m = compose(n, o, at, fault)
	}
	if faults != nil {
		return push.Rendered{}, faults
	}
	payload, err := encode(request{ValidateOnly: o.ValidateOnly, Message: m})
	switch {
	case err != nil || !bytes.HasSuffix(payload, []byte(hole)):
		fault("", "cannot be made into a message")
	case bytes.HasSuffix(payload, []byte("{}}")):
		fault("", "has nothing to say: give title, body or data")
	default:
		checkSize(payload, o.Topic != "" || o.Condition != "", fault)
	}
	if faults != nil {
		return push.Rendered{}, faults
	}
	r := push.Rendered{Payload: payload}
	if n.Priority == push.Normal || n.Priority == push.Low {
		r.Header = []push.Header{{Name: urgencyHeader, Value: string(n.Priority)}}
	}
	return r, nil
}

// check checks the fields that a message is composed from.
func check(n *push.Notification, o push.FCMOverride, fault func(pointer, message string)) {
	if time.Duration(n.TTL) > maxTTL {
		fault("/ttl", "must be at most 672h, which is how long Google keeps a message")
	}
	if n.Image != "" {
		if u, err := url.Parse(n.Image); err != nil || u.Scheme != "https" || u.Host == "" {
			fault("/image", "must be an https URL")
		}
	}
	for _, k := range slices.Sorted(maps.Keys(n.Data)) {
		checkDataKey("/data", k, fault)
	}
	if o.AnalyticsLabel != "" && (len(o.AnalyticsLabel) > 50 || !isName(o.AnalyticsLabel)) {
		fault("/fcm/analytics_label", "must be at most 50 letters, digits, '-', '_', '.', '~' or '%'")
	}
}

// checkDataKey checks a key of data. Google keeps some for itself.
func checkDataKey(at, key string, fault func(pointer, message string)) {
	if key == "from" || key == "message_type" || strings.HasPrefix(key, "google.") || strings.HasPrefix(key, "gcm.") {
		fault(at+"/"+escapePointer(key), "is reserved by Google")
	}
}

// escapePointer makes a key a segment of a JSON pointer.
func escapePointer(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// compose makes the message from the notification's fields, with the overrides
// over them.
func compose(n *push.Notification, o push.FCMOverride, at time.Time, fault func(pointer, message string)) any {
	m := message{Data: n.Data, Android: &android{CollapseKey: n.CollapseID, Priority: "HIGH"}}
	if n.Priority == push.Normal || n.Priority == push.Low {
		m.Android.Priority = "NORMAL"
	}
	if n.TTL > 0 {
		// Rounded up, so that a short one is not over at once.
		m.Android.TTL = strconv.FormatInt(int64((time.Duration(n.TTL)+time.Second-1)/time.Second), 10) + "s"
	}
	if o.AnalyticsLabel != "" {
		m.Options = &options{AnalyticsLabel: o.AnalyticsLabel}
	}
	said := len(n.Data) > 0
	if !o.DataOnly {
		said = m.show(n, at) || said
	}
	if len(o.Android) == 0 && len(o.APNS) == 0 && len(o.WebPush) == 0 {
		if !said {
			fault("", "has nothing to say: give title, body or data")
		}
		return m
	}
	return m.override(o, fault)
}

// show adds what is seen of a notification, and reports whether there is any.
func (m *message) show(n *push.Notification, at time.Time) bool {
	visible := n.Title != "" || n.Body != "" || n.TitleLocKey != "" || n.BodyLocKey != "" || n.Image != ""
	if visible {
		text := notification{Title: n.Title, Body: n.Body, Image: n.Image}
		// Devices prefer a text to the key of one.
		if n.TitleLocKey != "" {
			text.Title = ""
		}
		if n.BodyLocKey != "" {
			text.Body = ""
		}
		if text != (notification{}) {
			m.Notification = &text
		}
		m.Android.Notification = forAndroid(n)
	}
	a := aps{Badge: n.Badge, Sound: n.Sound, Category: n.Category, ThreadID: n.ThreadID}
	if n.TitleLocKey != "" || n.BodyLocKey != "" {
		a.Alert = &appleAlert{TitleLocKey: n.TitleLocKey, TitleLocArgs: n.TitleLocArgs, LocKey: n.BodyLocKey, LocArgs: n.BodyLocArgs}
		if n.TitleLocKey == "" {
			a.Alert.Title = n.Title
		}
		if n.BodyLocKey == "" {
			a.Alert.Body = n.Body
		}
	}
	if n.Image != "" {
		a.MutableContent = 1 // an extension of the app fetches it
	}
	extra := a != (aps{})
	if visible || extra {
		m.APNS = forApple(n, at)
		if extra {
			if m.APNS == nil {
				m.APNS = &apple{}
			}
			m.APNS.Payload = &applePayload{APS: a}
		}
	}
	return visible || n.Badge != nil || n.Sound != ""
}

// forAndroid is what Android's notifications have beside the text, nil if
// nothing.
func forAndroid(n *push.Notification) *androidNotification {
	a := &androidNotification{
		Sound:       n.Sound,
		Tag:         n.CollapseID, // collapse_key replaces what waits, the tag what is shown
		ClickAction: n.Category,
	}
	if n.Badge != nil {
		a.Count = max(*n.Badge, 0)
	}
	if n.TitleLocKey != "" {
		a.TitleLocKey, a.TitleLocArgs = n.TitleLocKey, n.TitleLocArgs
	}
	if n.BodyLocKey != "" {
		a.BodyLocKey, a.BodyLocArgs = n.BodyLocKey, n.BodyLocArgs
	}
	if a.Sound == "" && a.Tag == "" && a.ClickAction == "" && a.Count == 0 && a.TitleLocKey == "" && a.BodyLocKey == "" {
		return nil
	}
	return a
}

// forApple says to Apple what android.ttl and the like say to Android, nil if
// nothing.
func forApple(n *push.Notification, at time.Time) *apple {
	headers := make(map[string]string)
	if n.CollapseID != "" {
		headers["apns-collapse-id"] = n.CollapseID
	}
	if n.TTL > 0 {
		headers["apns-expiration"] = strconv.FormatInt(at.Add(time.Duration(n.TTL)).Unix(), 10)
	}
	if n.Priority == push.Normal || n.Priority == push.Low {
		headers["apns-priority"] = "5"
	}
	if len(headers) == 0 {
		return nil
	}
	return &apple{Headers: headers}
}

// checkSize checks the payload, which Google counts as the keys and the values
// of what a device gets. What it counts is part of the rendered text, so that
// a short text needs no counting.
func checkSize(rendered []byte, topic bool, fault func(pointer, message string)) {
	limit := payloadLimit
	if topic {
		limit = topicLimit
	}
	if len(rendered) <= limit {
		return
	}
	if len(rendered) > maxMessageBytes {
		fault("", fmt.Sprintf("makes a message of %d bytes; the gateway takes %d", len(rendered), maxMessageBytes))
		return
	}
	var r struct {
		Message map[string]any `json:"message"`
	}
	if json.Unmarshal(rendered, &r) != nil {
		return
	}
	if n := payloadSize(r.Message); n > limit {
		what := ""
		if topic {
			what = " for a topic"
		}
		fault("", fmt.Sprintf("makes a payload of %d bytes; Google takes %d%s", n, limit, what))
	}
}

// payloadSize is the largest payload that a device of any platform gets.
func payloadSize(m map[string]any) int {
	largest := 0
	for _, platform := range []string{"android", "apns", "webpush"} {
		own, _ := m[platform].(map[string]any)
		data, notification := m["data"], m["notification"]
		n := 0
		if d, ok := own["data"]; ok {
			data = d // in place of the message's
		}
		if shown, ok := own["notification"].(map[string]any); ok {
			general, _ := notification.(map[string]any)
			all := make(map[string]any, len(shown)+len(general))
			for _, from := range []map[string]any{general, shown} {
				for k, v := range from {
					all[k] = v
				}
			}
			notification = all
		}
		n = textSize(data) + textSize(notification) + textSize(own["payload"])
		largest = max(largest, n)
	}
	return largest
}

// textSize is how long the keys and the values in v are.
func textSize(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case map[string]any:
		n := 0
		for k, e := range v {
			n += len(k) + textSize(e)
		}
		return n
	case []any:
		n := 0
		for _, e := range v {
			n += textSize(e)
		}
		return n
	case nil:
		return 0
	default:
		return len(fmt.Sprint(v))
	}
}

// encode makes JSON that is no longer than need be.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // it would make text longer for nothing
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
