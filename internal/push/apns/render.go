package apns

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/furima/furima/internal/push"
)

// Apple's limits of a payload in bytes: of most, and of voip and broadcasts.
const (
	payloadLimit      = push.MaxPayloadBytes
	largePayloadLimit = 5120
)

// pushKind is what Apple asks of a push type.
type pushKind struct {
	suffix   string // of the topic
	limit    int    // of the payload
	priority string // the only one that there is; empty: as the notification says
	low      string // apns-priority of push.Low
	token    bool   // not with a certificate
	member   string // of the payload that must be there
}

// pushKinds are the push types.
var pushKinds = map[string]pushKind{
	"alert":        {limit: payloadLimit, low: "1"},
	"background":   {limit: payloadLimit, priority: "5"},
	"complication": {suffix: ".complication", limit: payloadLimit, low: "5"},
	"controls":     {suffix: ".push-type.controls", limit: payloadLimit, low: "5"},
	"fileprovider": {suffix: ".pushkit.fileprovider", limit: payloadLimit, low: "5", member: "container-identifier"},
	"liveactivity": {suffix: ".push-type.liveactivity", limit: payloadLimit, low: "5"},
	"location":     {suffix: ".location-query", limit: payloadLimit, low: "5", token: true},
	"mdm":          {limit: payloadLimit, low: "5", member: "mdm"},
	"pushtotalk":   {suffix: ".voip-ptt", limit: payloadLimit, low: "5"},
	"voip":         {suffix: ".voip", limit: largePayloadLimit, low: "5"},
	"widgets":      {suffix: ".push-type.widgets", limit: payloadLimit, low: "5"},
}

// draft is a notification while it is rendered.
type draft struct {
	*push.Notification
	o        push.APNSOverride
	pushType string
	kind     pushKind
	channel  bool // it is a broadcast
	faults   []push.FieldError
	alert    alert // of common
}

func (d *draft) fault(pointer, message string) {
	d.faults = append(d.faults, push.FieldError{Pointer: pointer, Message: message})
}

// Render makes the payload and the headers that all tokens of n share. For a
// broadcast the topic is the plain bundle id: it becomes part of the path.
func (s *sender) Render(n *push.Notification, at time.Time) (push.Rendered, []push.FieldError) {
	d := &draft{Notification: n}
	if n.APNS != nil {
		d.o = *n.APNS
	}
	d.channel = d.o.ChannelID != ""
	d.findKind()
	if d.kind.token && s.tokens == nil {
		d.fault("/apns/push_type", d.pushType+" needs an app with a signing key: Apple does not take a certificate for it")
	}
	if d.channel && n.CollapseID != "" {
		d.fault("/collapse_id", "cannot be used with a channel")
	}
	payload := d.payload()
	if limit := d.limit(); len(payload) > limit {
		d.fault("", fmt.Sprintf("makes a payload of %d bytes; Apple takes %d", len(payload), limit))
	}
	topic := d.topic(s.topic)
	if d.faults != nil {
		return push.Rendered{}, d.faults
	}
	return push.Rendered{Header: s.header(d, topic, at), Payload: payload}, nil
}

// header is draft.header. The plain ones, with nothing of a notification's own,
// are few and shared.
func (s *sender) header(d *draft, topic string, at time.Time) []push.Header {
	if d.TTL > 0 || d.CollapseID != "" || d.channel || topic != s.topic {
		return d.header(topic, at)
	}
	key := [2]string{d.pushType, d.priority()}
	if h, ok := s.plain.Load(key); ok {
		return h.([]push.Header)
	}
	h, _ := s.plain.LoadOrStore([2]string{strings.Clone(d.pushType), key[1]}, d.header(topic, at))
	return h.([]push.Header)
}

// findKind finds the push type.
func (d *draft) findKind() {
	d.pushType = d.o.PushType
	switch {
	case d.pushType != "":
	case d.channel:
		d.pushType = "liveactivity"
	case d.o.ContentAvailable && len(d.o.Payload) == 0 && len(d.o.APS) == 0 && !d.hasText() && d.Badge == nil && d.Sound == "":
		d.pushType = "background"
	default:
		d.pushType = "alert"
	}
	var known bool
	switch d.kind, known = pushKinds[d.pushType]; {
	case !known:
		d.fault("/apns/push_type", "must be one of Apple's push types: alert, background, liveactivity, voip, …")
		d.kind = pushKind{limit: payloadLimit}
	case d.channel && d.pushType != "liveactivity":
		d.fault("/apns/push_type", "must be liveactivity for a channel")
		d.pushType, d.kind = "liveactivity", pushKinds["liveactivity"] // whose faults are told as well
	}
}

func (d *draft) hasText() bool {
	return d.Title != "" || d.Body != "" || d.o.Subtitle != "" || d.TitleLocKey != "" || d.BodyLocKey != ""
}

func (d *draft) limit() int {
	if d.channel {
		return largePayloadLimit
	}
	return d.kind.limit
}

// topic returns the topic: the app's or the notification's, with the suffix of
// the push type or, for a broadcast, without one.
func (d *draft) topic(topic string) string {
	if d.o.Topic != "" {
		topic = d.o.Topic
	}
	suffix := d.kind.suffix
	switch {
	case strings.Trim(topic, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_") != "":
		d.fault("/apns/topic", "must be letters, digits, '.', '-' and '_'")
	case d.channel && topic == "":
		d.fault("/apns/topic", "is required for a channel: the app has none")
	case d.channel:
		topic = strings.TrimSuffix(topic, suffix)
	case topic != "" && !strings.HasSuffix(topic, suffix):
		topic += suffix
	}
	return topic
}

func (d *draft) header(topic string, at time.Time) []push.Header {
	h := make([]push.Header, 0, 5)
	if topic != "" { // a certificate may stand for its only topic
		h = append(h, push.Header{Name: headerTopic, Value: topic})
	}
	h = append(h,
		push.Header{Name: headerPushType, Value: d.pushType},
		push.Header{Name: headerPriority, Value: d.priority()})
	switch {
	case d.TTL > 0:
		h = append(h, push.Header{Name: headerExpiration, Value: strconv.FormatInt(at.Add(time.Duration(d.TTL)).Unix(), 10)})
	case d.channel: // where it is required; without storage no other value is taken
		h = append(h, push.Header{Name: headerExpiration, Value: "0"})
	}
	if d.CollapseID != "" {
		h = append(h, push.Header{Name: headerCollapse, Value: d.CollapseID})
	}
	return h
}

func (d *draft) priority() string {
	switch {
	case d.kind.priority != "":
		return d.kind.priority
	case d.Priority == push.Low:
		return d.kind.low
	case d.Priority == push.Normal:
		return "5"
	}
	return "10"
}

// The names of Apple's header fields.
const (
	headerTopic      = "apns-topic"
	headerPushType   = "apns-push-type"
	headerPriority   = "apns-priority"
	headerExpiration = "apns-expiration"
	headerCollapse   = "apns-collapse-id"
	headerID         = "apns-id"
	headerChannel    = "apns-channel-id"
	headerRequest    = "apns-request-id"
)

func isObject(raw []byte) bool {
	var o map[string]json.RawMessage
	return json.Unmarshal(raw, &o) == nil && o != nil
}
