package gaurun

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/furima/furima/internal/push"
)

// Gaurun's numbers of the platforms.
const (
	ios     = 1
	android = 2
)

// notification is an element of the body of POST /push. Names match without
// regard to case and unknown ones are ignored, as in Gaurun.
type notification struct {
	Tokens   []string `json:"token"`
	Platform int      `json:"platform"`
	Message  string   `json:"message"`

	Title            string `json:"title"`
	Subtitle         string `json:"subtitle"`
	Badge            int    `json:"badge"`
	Category         string `json:"category"`
	Sound            string `json:"sound"`
	ContentAvailable bool   `json:"content_available"`
	MutableContent   bool   `json:"mutable_content"`
	Expiry           int    `json:"expiry"`
	PushType         string `json:"push_type"`

	CollapseKey    string `json:"collapse_key"`
	DelayWhileIdle bool   `json:"delay_while_idle"` // means nothing any more
	TimeToLive     int    `json:"time_to_live"`
	Priority       string `json:"priority"`

	Extend []extend `json:"extend"`

	Identifier string `json:"identifier"` // for the log alone

	// What Gaurun reads too, so that a wrong type is an error as it is there.
	Retry int    `json:"retry"`
	ID    uint64 `json:"seq_id"`
}

type extend struct {
	Key   string `json:"key"`
	Value string `json:"val"`
}

// Limits of the providers.
const (
	maxExpiry     = 30 * 24 * time.Hour
	maxTimeToLive = 2_419_200 // four weeks, Google's limit in seconds
)

// What the gateway's own collapse id may be.
const (
	maxCollapseID = 64
	letters       = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
)

// check returns why Gaurun would drop the notification, or "".
func (n *notification) check(allowsEmptyMessage bool) string {
	if len(n.Tokens) == 0 {
		return "empty token"
	}
	for _, t := range n.Tokens {
		if t == "" {
			return "empty token"
		}
	}
	switch {
	case n.Platform != ios && n.Platform != android:
		return "invalid platform"
	case n.Message == "" && !allowsEmptyMessage:
		return "empty message"
	case n.PushType != "" && n.PushType != "alert" && n.PushType != "background":
		return "push_type must be alert or background"
	}
	return ""
}

// convert makes the gateway's notification of Gaurun's, or says why it cannot.
func (n *notification) convert() (push.Notification, string) {
	if n.Platform == android {
		return n.convertAndroid()
	}
	out := push.Notification{
		Platform: push.APNS,
		Tokens:   n.Tokens,
		APNS:     &push.APNSOverride{PushType: "alert", Payload: n.payload()},
	}
	if n.PushType != "" {
		out.APNS.PushType = n.PushType
	}
	if n.Expiry > 0 {
		// Apple keeps nothing for longer, whatever is asked.
		out.TTL = seconds(min(n.Expiry, int(maxExpiry/time.Second)))
	}
	return out, ""
}

// payload is what Gaurun sends to Apple: the badge always, the alert as plain
// text unless it has a title.
func (n *notification) payload() []byte {
	type dictionary struct {
		Title    string `json:"title,omitempty"`
		Subtitle string `json:"subtitle,omitempty"`
		Body     string `json:"body,omitempty"`
	}
	aps := struct {
		Alert            any    `json:"alert,omitempty"`
		Badge            int    `json:"badge"`
		Category         string `json:"category,omitempty"`
		Sound            string `json:"sound,omitempty"`
		ContentAvailable int    `json:"content-available,omitempty"`
		MutableContent   int    `json:"mutable-content,omitempty"`
	}{Badge: n.Badge, Category: n.Category, Sound: n.Sound}
	switch {
	case n.Title != "" || n.Subtitle != "":
		aps.Alert = dictionary{Title: n.Title, Subtitle: n.Subtitle, Body: n.Message}
	case n.Message != "":
		aps.Alert = n.Message
	}
	if n.ContentAvailable {
		aps.ContentAvailable = 1
	}
	if n.MutableContent {
		aps.MutableContent = 1
	}
	if len(n.Extend) == 0 {
		return object("aps", aps)
	}
	all := map[string]any{"aps": aps}
	for _, e := range n.Extend {
		all[e.Key] = e.Value
	}
	return encodeJSON(all)
}

// object returns a JSON object with one member.
func object(key string, value any) []byte {
	b := append([]byte{'{'}, strconv.Quote(key)...)
	b = append(b, ':')
	return append(append(b, encodeJSON(value)...), '}')
}

func encodeJSON(value any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // it would make text longer for nothing
	if err := enc.Encode(value); err != nil {
		panic(err) // strings and numbers always encode
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func (n *notification) convertAndroid() (push.Notification, string) {
	out := push.Notification{
		Platform: push.FCM,
		Tokens:   n.Tokens,
		Priority: push.Normal,
		Data:     map[string]string{"message": n.Message},
	}
	switch {
	case n.CollapseKey == "":
	case len(n.CollapseKey) <= maxCollapseID && strings.Trim(n.CollapseKey, letters) == "":
		out.CollapseID = n.CollapseKey
	default: // Google takes any text, which the gateway's own field does not
		out.FCM = &push.FCMOverride{Android: object("collapse_key", n.CollapseKey)}
	}
	for _, e := range n.Extend {
		out.Data[e.Key] = e.Value
	}
	switch n.Priority {
	case "", "normal":
	case "high":
		out.Priority = push.High
	default:
		return out, "priority must be high or normal"
	}
	if n.TimeToLive < 0 || n.TimeToLive > maxTimeToLive {
		return out, "time_to_live must be between 0 and 2419200"
	}
	out.TTL = seconds(n.TimeToLive)
	return out, ""
}

func seconds(n int) push.Duration { return push.Duration(time.Duration(n) * time.Second) }
