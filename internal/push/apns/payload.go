package apns

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
)

type alert struct {
	Title        string   `json:"title,omitempty"`
	TitleLocKey  string   `json:"title-loc-key,omitempty"`
	TitleLocArgs []string `json:"title-loc-args,omitempty"`
	Subtitle     string   `json:"subtitle,omitempty"`
	Body         string   `json:"body,omitempty"`
	LocKey       string   `json:"loc-key,omitempty"`
	LocArgs      []string `json:"loc-args,omitempty"`
}

type aps struct {
	Alert             *alert  `json:"alert,omitempty"`
	Badge             *int    `json:"badge,omitempty"`
	Sound             string  `json:"sound,omitempty"`
	Category          string  `json:"category,omitempty"`
	ThreadID          string  `json:"thread-id,omitempty"`
	ContentAvailable  int     `json:"content-available,omitempty"`
	ContentChanged    bool    `json:"content-changed,omitempty"`
	MutableContent    int     `json:"mutable-content,omitempty"`
	InterruptionLevel string  `json:"interruption-level,omitempty"`
	RelevanceScore    float64 `json:"relevance-score,omitempty"`
}

// imageMember is where an app's notification service extension finds the URL of
// the picture to load: Apple has no member of its own for it.
const imageMember = "image"

// payload makes the payload: the one that the notification brings, or one of
// what is common to all platforms, with the members of apns.aps over it.
func (d *draft) payload() []byte {
	if len(d.o.Payload) > 0 {
		if !isObject(d.o.Payload) {
			d.fault("/apns/payload", "must be a JSON object")
		}
		if len(d.o.APS) > 0 {
			d.fault("/apns/aps", "has no effect beside apns.payload, which replaces the whole payload")
		}
		return d.o.Payload
	}
	a := d.common()
	own, isEmpty := a.appendTo, a == (aps{})
	if merged := d.merged(a); merged != nil {
		own, isEmpty = func(b []byte) []byte { return append(b, d.encode(merged)...) }, len(merged) == 0
	} else if d.pushType == "alert" && a.Alert == nil && a.Badge == nil && a.Sound == "" && a.ContentAvailable == 0 {
		d.fault("", nothingToShow)
	} else if d.pushType == "liveactivity" {
		d.fault("/apns/aps", "is required for liveactivity: event, content-state and timestamp")
	}
	if d.has("aps") {
		d.fault("/data/aps", "is reserved; apns.payload replaces the whole payload")
	}
	if d.Image != "" && d.has(imageMember) {
		d.fault("/data/"+imageMember, "is reserved for the notification's image")
	}
	if m := d.kind.member; m != "" && !d.has(m) {
		d.fault("/data/"+m, "is required for "+d.pushType+", or apns.payload")
	}
	if isEmpty && (len(d.Data) > 0 || d.Image != "") {
		own = nil
	}
	return d.encodeAll(own)
}

// has reports whether the notification's data has a member.
func (d *draft) has(member string) bool {
	_, ok := d.Data[member]
	return ok
}

const nothingToShow = "has nothing to show: give title, body, badge, sound or apns.content_available"

func (d *draft) encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // it would make text longer for nothing
	if err := enc.Encode(v); err != nil {
		d.fault("", "cannot be made into a payload")
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// common is the aps dictionary of what is common to all platforms, and of
// Apple's own fields.
func (d *draft) common() aps {
	a := aps{
		Badge:             d.Badge,
		Sound:             d.Sound,
		Category:          d.Category,
		ThreadID:          d.ThreadID,
		InterruptionLevel: d.o.InterruptionLevel,
		RelevanceScore:    d.o.RelevanceScore,
	}
	if d.hasText() {
		a.Alert = &d.alert
		d.alert = alert{
			Title: d.Title, TitleLocKey: d.TitleLocKey, TitleLocArgs: d.TitleLocArgs,
			Subtitle: d.o.Subtitle,
			Body:     d.Body, LocKey: d.BodyLocKey, LocArgs: d.BodyLocArgs,
		}
		// A key is used instead of the text.
		if d.TitleLocKey != "" {
			a.Alert.Title = ""
		}
		if d.BodyLocKey != "" {
			a.Alert.Body = ""
		}
	}
	if len(d.TitleLocArgs) > 0 && d.TitleLocKey == "" {
		d.fault("/title_loc_args", "needs title_loc_key")
	}
	if len(d.BodyLocArgs) > 0 && d.BodyLocKey == "" {
		d.fault("/body_loc_args", "needs body_loc_key")
	}
	if d.o.ContentAvailable || d.pushType == "background" {
		a.ContentAvailable = 1
	}
	if d.o.MutableContent || d.Image != "" && d.pushType == "alert" {
		a.MutableContent = 1 // else no extension gets to see it
	}
	if d.pushType == "widgets" || d.pushType == "controls" {
		a.ContentChanged = true
	}
	if !isInterruptionLevel(d.o.InterruptionLevel) && d.o.InterruptionLevel != "" {
		d.fault("/apns/interruption_level", "must be passive, active, time-sensitive or critical")
	}
	// Live activities are sorted by any number.
	if s := d.o.RelevanceScore; math.IsNaN(s) || d.pushType != "liveactivity" && (s < 0 || s > 1) {
		d.fault("/apns/relevance_score", "must be between 0 and 1")
	}
	return a
}

func isInterruptionLevel(s string) bool {
	switch s {
	case "passive", "active", "time-sensitive", "critical":
		return true
	}
	return false
}

// dictionary is a JSON object whose members are left as they are.
type dictionary map[string]json.RawMessage

// merged returns the aps dictionary with the members of apns.aps over it, nil if
// there are none or they are no object. Objects are merged member by member, and
// null takes a member away, as in a JSON merge patch (RFC 7396).
func (d *draft) merged(a aps) dictionary {
	if len(d.o.APS) == 0 {
		return nil
	}
	var over dictionary
	if json.Unmarshal(d.o.APS, &over) != nil || over == nil {
		d.fault("/apns/aps", "must be a JSON object")
		return dictionary{}
	}
	var base dictionary
	if err := json.Unmarshal(d.encode(a), &base); err != nil {
		d.fault("", "cannot be made into a payload")
		return dictionary{}
	}
	merge(base, over)
	d.checkAPS(base)
	return base
}

// merge puts the members of over into base.
func merge(base, over dictionary) {
	for k, v := range over {
		var old, patch dictionary
		switch {
		case isNull(v):
			delete(base, k)
			continue
		case json.Unmarshal(v, &patch) == nil && json.Unmarshal(base[k], &old) == nil && old != nil:
			merge(old, patch)
			v, _ = json.Marshal(old) // members that came out of JSON go back into it
		}
		base[k] = v
	}
}

func isNull(v json.RawMessage) bool { return string(bytes.TrimSpace(v)) == "null" }

// apsForms are the members of the aps dictionary whose form is known. Apple takes
// another one without a word, and the device shows nothing.
var apsForms = map[string]struct {
	fits func(json.RawMessage) bool
	want string
}{
	"alert":              {isTextOr(isObjectValue), "must be text or an object"},
	"attributes":         {isObjectValue, "must be an object"},
	"attributes-type":    {isText, "must be text"},
	"badge":              {isWhole, "must be a whole number"},
	"category":           {isText, "must be text"},
	"content-available":  {isFlag, "must be 1"},
	"content-state":      {isObjectValue, "must be an object"},
	"dismissal-date":     {isSeconds, "must be a time in seconds since 1970"},
	"event":              {isEvent, "must be start, update or end"},
	"filter-criteria":    {isText, "must be text"},
	"input-push-channel": {isText, "must be text"},
	"input-push-token":   {isFlag, "must be 1"},
	"interruption-level": {isTextThat(isInterruptionLevel), "must be passive, active, time-sensitive or critical"},
	"mutable-content":    {isFlag, "must be 1"},
	"relevance-score":    {isNumber, "must be a number"},
	"sound":              {isTextOr(isSound), "must be text, or an object with critical (0 or 1), name and volume (0 to 1)"},
	"stale-date":         {isSeconds, "must be a time in seconds since 1970"},
	"target-content-id":  {isText, "must be text"},
	"thread-id":          {isText, "must be text"},
	"timestamp":          {isSeconds, "must be a time in seconds since 1970"},
}

// checkAPS checks a dictionary that apns.aps has a part in.
func (d *draft) checkAPS(a dictionary) {
	for name, v := range a {
		if form, known := apsForms[name]; known && !form.fits(v) {
			d.fault("/apns/aps/"+name, form.want)
		}
	}
	switch d.pushType {
	case "alert":
		if a["alert"] == nil && a["badge"] == nil && a["sound"] == nil && a["content-available"] == nil {
			d.fault("", nothingToShow)
		}
	case "liveactivity":
		d.checkActivity(a)
	}
}

// checkActivity checks what a live activity asks for.
func (d *draft) checkActivity(a dictionary) {
	need := func(name string) {
		if a[name] == nil {
			d.fault("/apns/aps/"+name, "is required for liveactivity, or apns.payload")
		}
	}
	need("event")
	need("timestamp")
	need("content-state")
	event := text(a["event"])
	if event == "start" {
		need("attributes-type")
		need("attributes")
	}
	if d.channel && event == "start" {
		d.fault("/apns/aps/event", "must be update or end for a channel")
	}
	if a["input-push-token"] != nil && a["input-push-channel"] != nil {
		d.fault("/apns/aps/input-push-channel", "excludes input-push-token")
	}
}

func text(v json.RawMessage) string {
	var s string
	_ = json.Unmarshal(v, &s) // of another form: none
	return s
}

func isText(v json.RawMessage) bool { return bytes.HasPrefix(bytes.TrimSpace(v), []byte(`"`)) }

func isTextThat(fits func(string) bool) func(json.RawMessage) bool {
	return func(v json.RawMessage) bool { return isText(v) && fits(text(v)) }
}

func isTextOr(fits func(json.RawMessage) bool) func(json.RawMessage) bool {
	return func(v json.RawMessage) bool { return isText(v) || fits(v) }
}

func isObjectValue(v json.RawMessage) bool { return bytes.HasPrefix(bytes.TrimSpace(v), []byte("{")) }

// number returns a JSON number.
func number(v json.RawMessage) (float64, bool) {
	var f float64
	if len(v) == 0 || isNull(v) || json.Unmarshal(v, &f) != nil {
		return 0, false
	}
	return f, true
}

func isNumber(v json.RawMessage) bool { _, ok := number(v); return ok }

func isWhole(v json.RawMessage) bool {
	f, ok := number(v)
	return ok && f == math.Trunc(f)
}

func isFlag(v json.RawMessage) bool {
	f, ok := number(v)
	return ok && (f == 0 || f == 1)
}

// isSeconds reports whether v can be a time in seconds; one in milliseconds is a
// common mistake, thousands of years ahead.
func isSeconds(v json.RawMessage) bool {
	f, ok := number(v)
	return ok && f >= 0 && f < 1e11
}

func isEvent(v json.RawMessage) bool {
	s := text(v)
	return s == "start" || s == "update" || s == "end"
}

// isSound reports whether v is the dictionary of a critical sound.
func isSound(v json.RawMessage) bool {
	var s map[string]json.RawMessage
	if json.Unmarshal(v, &s) != nil || s == nil {
		return false
	}
	for name, v := range s {
		switch f, isNumber := number(v); strings.ToLower(name) {
		case "critical":
			if !isFlag(v) {
				return false
			}
		case "name":
			if !isText(v) {
				return false
			}
		case "volume":
			if !isNumber || f < 0 || f > 1 {
				return false
			}
		}
	}
	return true
}
