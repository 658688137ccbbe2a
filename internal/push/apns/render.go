package apns

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/furima/furima/internal/push"
)

// Apple's limits of a payload in bytes.
const (
	payloadLimit     = push.MaxPayloadBytes
	voipPayloadLimit = 5120
)

// topicSuffixes are the push types and what the topic of each ends in.
var topicSuffixes = map[string]string{
	"alert":        "",
	"background":   "",
	"complication": ".complication",
	"controls":     ".push-type.controls",
	"fileprovider": ".pushkit.fileprovider",
	"liveactivity": ".push-type.liveactivity",
	"location":     ".location-query",
	"mdm":          "",
	"pushtotalk":   ".voip-ptt",
	"voip":         ".voip",
	"widgets":      ".push-type.widgets",
}

type alert struct {
	Title    string `json:"title,omitempty"`
	Subtitle string `json:"subtitle,omitempty"`
	Body     string `json:"body,omitempty"`
}

type aps struct {
	Alert             *alert  `json:"alert,omitempty"`
	Badge             *int    `json:"badge,omitempty"`
	Sound             string  `json:"sound,omitempty"`
	Category          string  `json:"category,omitempty"`
	ThreadID          string  `json:"thread-id,omitempty"`
	ContentAvailable  int     `json:"content-available,omitempty"`
	MutableContent    int     `json:"mutable-content,omitempty"`
	InterruptionLevel string  `json:"interruption-level,omitempty"`
	RelevanceScore    float64 `json:"relevance-score,omitempty"`
}

// Render makes the payload and the headers that all tokens of n share.
func (s *sender) Render(n *push.Notification, at time.Time) (push.Rendered, []push.FieldError) {
	var faults []push.FieldError
	fault := func(pointer, message string) {
		faults = append(faults, push.FieldError{Pointer: pointer, Message: message})
	}
	var o push.APNSOverride
	if n.APNS != nil {
		o = *n.APNS
	}
	pushType := o.PushType
	if pushType == "" {
		pushType = "alert"
		if o.ContentAvailable && len(o.Payload) == 0 && n.Title == "" && n.Body == "" && o.Subtitle == "" && n.Badge == nil && n.Sound == "" {
			pushType = "background"
		}
	}
	suffix, known := topicSuffixes[pushType]
	if !known {
		fault("/apns/push_type", "must be one of Apple's push types: alert, background, liveactivity, voip, …")
	}
	payload := o.Payload
	switch {
	case len(payload) == 0:
		payload = s.payload(n, o, pushType, fault)
	case !isObject(payload):
		fault("/apns/payload", "must be a JSON object")
	}
	limit := payloadLimit
	if pushType == "voip" {
		limit = voipPayloadLimit
	}
	if len(payload) > limit {
		fault("", fmt.Sprintf("makes a payload of %d bytes; Apple takes %d", len(payload), limit))
	}
	topic := s.topic
	if o.Topic != "" {
		topic = o.Topic
	}
	switch {
	case strings.Trim(topic, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_") != "":
		fault("/apns/topic", "must be letters, digits, '.', '-' and '_'")
	case topic != "" && !strings.HasSuffix(topic, suffix):
		topic += suffix
	}
	if faults != nil {
		return push.Rendered{}, faults
	}
	return push.Rendered{Header: header(n, topic, pushType, at), Payload: payload}, nil
}

func header(n *push.Notification, topic, pushType string, at time.Time) []push.Header {
	h := make([]push.Header, 0, 5)
	if topic != "" { // a certificate may stand for its only topic
		h = append(h, push.Header{Name: "apns-topic", Value: topic})
	}
	priority := "10"
	if pushType == "background" || n.Priority == push.Normal || n.Priority == push.Low {
		priority = "5" // Apple takes no other for background
	}
	h = append(h,
		push.Header{Name: "apns-push-type", Value: pushType},
		push.Header{Name: "apns-priority", Value: priority})
	if n.TTL > 0 {
		h = append(h, push.Header{Name: "apns-expiration", Value: strconv.FormatInt(at.Add(time.Duration(n.TTL)).Unix(), 10)})
	}
	if n.CollapseID != "" {
		h = append(h, push.Header{Name: "apns-collapse-id", Value: n.CollapseID})
	}
	return h
}

// payload makes the payload from what is common to all platforms.
func (s *sender) payload(n *push.Notification, o push.APNSOverride, pushType string, fault func(pointer, message string)) []byte {
	a := aps{
		Badge:             n.Badge,
		Sound:             n.Sound,
		Category:          n.Category,
		ThreadID:          n.ThreadID,
		InterruptionLevel: o.InterruptionLevel,
		RelevanceScore:    o.RelevanceScore,
	}
	if n.Title != "" || n.Body != "" || o.Subtitle != "" {
		a.Alert = &alert{Title: n.Title, Subtitle: o.Subtitle, Body: n.Body}
	}
	if o.ContentAvailable || pushType == "background" {
		a.ContentAvailable = 1
	}
	if o.MutableContent {
		a.MutableContent = 1
	}
	switch o.InterruptionLevel {
	case "", "passive", "active", "time-sensitive", "critical":
	default:
		fault("/apns/interruption_level", "must be passive, active, time-sensitive or critical")
	}
	if o.RelevanceScore < 0 || o.RelevanceScore > 1 {
		fault("/apns/relevance_score", "must be between 0 and 1")
	}
	if a == (aps{}) || pushType == "alert" && a.Alert == nil && a.Badge == nil && a.Sound == "" && a.ContentAvailable == 0 {
		fault("", "has nothing to show: give title, body, badge, sound or apns.content_available")
	}
	if _, taken := n.Data["aps"]; taken {
		fault("/data/aps", "is reserved; apns.payload replaces the whole payload")
	}
	all := make(map[string]any, len(n.Data)+1)
	for k, v := range n.Data {
		all[k] = v
	}
	all["aps"] = a
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // it would make text longer for nothing
	if err := enc.Encode(all); err != nil {
		fault("", "cannot be made into a payload")
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func isObject(raw []byte) bool {
	var o map[string]json.RawMessage
	return json.Unmarshal(raw, &o) == nil && o != nil
}
