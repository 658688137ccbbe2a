package webpush

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/furima/furima/internal/push"
)

// defaultTTL is how long a push service keeps a message without a ttl of its
// own: four weeks, which is the most that the large ones keep.
const defaultTTL = 28 * 24 * time.Hour

// Headers of a rendered notification.
const (
	headerTTL     = "ttl"
	headerUrgency = "urgency"
	headerTopic   = "topic"

	// headerExpires is not sent: when a message is not worth delivering any
	// more, in Unix seconds. The TTL header is what is left when it is sent.
	headerExpires = "furima-expires"
)

// maxTopic is how long a Topic may be, and maxFaults how many tokens are found
// fault with.
const (
	maxTopic  = 32
	maxFaults = 50
)

// message is what a service worker gets.
type message struct {
	Title      string            `json:"title,omitempty"`
	Body       string            `json:"body,omitempty"`
	Badge      *int              `json:"badge,omitempty"`
	Sound      string            `json:"sound,omitempty"`
	Image      string            `json:"image,omitempty"`
	Category   string            `json:"category,omitempty"`
	ThreadID   string            `json:"thread_id,omitempty"`
	CollapseID string            `json:"collapse_id,omitempty"`
	Data       map[string]string `json:"data,omitempty"`
}

// Render implements push.Sender.
func (s *sender) Render(n *push.Notification, at time.Time) (push.Rendered, []push.FieldError) {
	var faults []push.FieldError
	fault := func(pointer, message string) {
		faults = append(faults, push.FieldError{Pointer: pointer, Message: message})
	}
	var o push.WebPushOverride
	if n.WebPush != nil {
		o = *n.WebPush
	}
	payload := []byte(o.Payload)
	switch {
	case len(payload) == 0:
		payload = render(n, fault)
	case !json.Valid(payload):
		fault("/webpush/payload", "must be JSON")
	}
	if len(payload) > maxPlainBytes {
		fault("", fmt.Sprintf("makes a payload of %d bytes; Web Push takes %d", len(payload), maxPlainBytes))
	}
	header := headers(n, o, at, fault)
	for i, t := range n.Tokens {
		if _, err := parse(t, s.private); err != nil {
			fault(fmt.Sprintf("/tokens/%d", i), err.Error())
			if len(faults) >= maxFaults {
				break
			}
		}
	}
	if faults != nil {
		return push.Rendered{}, faults
	}
	return push.Rendered{Header: header, Payload: payload}, nil
}

// render makes the payload from what is common to all platforms.
func render(n *push.Notification, fault func(pointer, message string)) []byte {
	for _, k := range []struct{ pointer, key, text string }{
		{"/title_loc_key", n.TitleLocKey, n.Title},
		{"/body_loc_key", n.BodyLocKey, n.Body},
	} {
		if k.key != "" && k.text == "" {
			fault(k.pointer, "is for Apple and Google: a browser needs the text itself")
		}
	}
	if n.Title == "" && n.Body == "" && n.Badge == nil && n.Image == "" && len(n.Data) == 0 && n.TitleLocKey == "" && n.BodyLocKey == "" {
		fault("", "has nothing for a service worker: give title, body, badge, image, data or webpush.payload")
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // it would make text longer for nothing
	if err := enc.Encode(message{
		Title: n.Title, Body: n.Body, Badge: n.Badge, Sound: n.Sound, Image: n.Image, Category: n.Category,
		ThreadID: n.ThreadID, CollapseID: n.CollapseID, Data: n.Data,
	}); err != nil {
		fault("", "cannot be made into a payload")
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// headers makes what all messages of n say to the push service.
func headers(n *push.Notification, o push.WebPushOverride, at time.Time, fault func(pointer, message string)) []push.Header {
	h := make([]push.Header, 0, 3)
	if ttl := time.Duration(n.TTL); ttl > 0 && ttl < defaultTTL {
		expires := at.Add(ttl + time.Second - time.Nanosecond).Unix() // rounded up, so that a short ttl is not over at once
		h = append(h, push.Header{Name: headerExpires, Value: strconv.FormatInt(expires, 10)})
	} else {
		h = append(h, push.Header{Name: headerTTL, Value: strconv.Itoa(int(defaultTTL / time.Second))})
	}
	urgency := o.Urgency
	switch urgency {
	case "":
		urgency = "high" // as everywhere, none means high
		if n.Priority == push.Normal || n.Priority == push.Low {
			urgency = string(n.Priority)
		}
	case "very-low", "low", "normal", "high":
	default:
		fault("/webpush/urgency", "must be very-low, low, normal or high")
	}
	h = append(h, push.Header{Name: headerUrgency, Value: urgency})
	topic := o.Topic
	switch {
	case topic != "" && !isTopic(topic):
		fault("/webpush/topic", "must be at most 32 characters of base64url")
	case topic == "" && n.CollapseID != "":
		topic = topicOf(n.CollapseID)
	}
	if topic != "" {
		h = append(h, push.Header{Name: headerTopic, Value: topic})
	}
	return h
}

// topicOf makes a topic of a collapse id: the id itself where it can be one,
// else what is almost surely no other id's.
func topicOf(collapseID string) string {
	if isTopic(collapseID) {
		return collapseID
	}
	sum := sha256.Sum256([]byte(collapseID))
	return base64.RawURLEncoding.EncodeToString(sum[:])[:maxTopic]
}

func isTopic(s string) bool {
	return len(s) <= maxTopic && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}
