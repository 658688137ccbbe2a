package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// googleMessage is a message that was sent.
type googleMessage struct {
	target       string // a token, or "/topics/…", or "/conditions/…"
	project      string
	validateOnly bool
	raw          json.RawMessage
	fields       map[string]any
}

// check goes through a request in the order of what Google checks. The message
// is complete when there is no refusal.
func (g *Google) check(r *http.Request, project string, body []byte) (googleMessage, *googleRefusal) {
	m := googleMessage{project: project}
	switch {
	case !g.authorized(r):
		return m, &googleRefusal{status: 401, code: "UNAUTHENTICATED", message: "Request had invalid authentication credentials.",
			details: []map[string]any{errorInfo("ACCESS_TOKEN_EXPIRED")}}
	case project != g.o.Project:
		return m, &googleRefusal{status: 403, code: "PERMISSION_DENIED", message: "Permission denied on the project, or it does not exist."}
	case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		return m, invalid("", "The content type is not application/json.")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var all map[string]any
	if err := dec.Decode(&all); err != nil || all == nil {
		return m, invalid("", "Invalid JSON payload received.")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return m, invalid("", "Invalid JSON payload received.")
	}
	if field, problem := requestSchema.check("", all); problem != "" {
		return m, invalid(field, problem)
	}
	m.validateOnly, _ = member(all, "validate_only").(bool)
	m.fields, _ = all["message"].(map[string]any)
	if m.fields == nil {
		return m, invalid("message", "The message is not set.")
	}
	var part struct {
		Message json.RawMessage `json:"message"`
	}
	_ = json.Unmarshal(body, &part) // it has been read above
	m.raw = part.Message
	return m, g.checkMessage(&m)
}

// checkMessage checks what the schema does not say.
func (g *Google) checkMessage(m *googleMessage) *googleRefusal {
	token, _ := m.fields["token"].(string)
	topic, _ := m.fields["topic"].(string)
	condition, _ := m.fields["condition"].(string)
	targets := 0
	for _, t := range []struct{ prefix, v string }{{"", token}, {"/topics/", topic}, {"/conditions/", condition}} {
		if t.v != "" {
			m.target = t.prefix + t.v
			targets++
		}
	}
	limit := 4096
	switch {
	case targets == 0:
		return invalid("message", "Exactly one of token, topic or condition is required")
	case targets > 1:
		return invalid("message", "Only one of token, topic or condition may be set")
	case topic != "" && !topicName.MatchString(topic):
		return fcmInvalid("message.topic", "Invalid topic name")
	case strings.Count(condition, "in topics") > 5:
		return fcmInvalid("message.condition", "Too many topics")
	case token == "":
		limit = 2048
	}
	data, _ := m.fields["data"].(map[string]any)
	for _, k := range slices.Sorted(maps.Keys(data)) {
		if k == "from" || k == "message_type" || strings.HasPrefix(k, "google.") || strings.HasPrefix(k, "gcm.") {
			return fcmInvalid("message.data", "Invalid data payload key: "+k)
		}
	}
	if size(data)+size(m.fields["notification"]) > limit {
		return fcmInvalid("message", "Message is too big")
	}
	if d, err := time.ParseDuration(m.text("android", "ttl")); err == nil && (d < 0 || d > 28*24*time.Hour) {
		return fcmInvalid("message.android.ttl", "Invalid TTL")
	}
	if token == "" {
		return nil
	}
	if !googleToken.MatchString(token) {
		no := fcmInvalid("message.token", "Invalid registration token")
		no.message = "The registration token is not a valid FCM registration token"
		return no
	}
	if strings.HasPrefix(token, ForeignPrefix) {
		return &googleRefusal{status: 403, code: "SENDER_ID_MISMATCH", message: "SenderId mismatch", details: []map[string]any{fcmError("SENDER_ID_MISMATCH")}}
	}
	if _, gone := g.o.Phones.uninstalled(canonical(token)); gone {
		return &googleRefusal{status: 404, code: "UNREGISTERED", message: "Requested entity was not found.", details: []map[string]any{fcmError("UNREGISTERED")}}
	}
	return nil
}

var (
	topicName   = regexp.MustCompile(`^[a-zA-Z0-9-_.~%]{1,900}$`)
	googleToken = regexp.MustCompile(`^[a-zA-Z0-9_:-]{20,}$`)
	duration    = regexp.MustCompile(`^-?[0-9]+(\.[0-9]{1,9})?s$`)
)

// invalid is what Google's front end says to a request that is not of the form.
func invalid(field, description string) *googleRefusal {
	no := &googleRefusal{status: 400, code: "INVALID_ARGUMENT", message: description}
	if field != "" {
		no.details = []map[string]any{badRequest(field, description)}
	}
	return no
}

// fcmInvalid is what FCM itself says.
func fcmInvalid(field, description string) *googleRefusal {
	return &googleRefusal{status: 400, code: "INVALID_ARGUMENT", message: description,
		details: []map[string]any{fcmError("INVALID_ARGUMENT"), badRequest(field, description)}}
}

// delivery is what the phone gets.
func (m *googleMessage) delivery(id string) Delivery {
	d := Delivery{
		Token:      m.target,
		APNSID:     id,
		Topic:      m.project,
		PushType:   "data",
		Priority:   m.text("android", "priority"),
		Expiration: m.text("android", "ttl"),
		CollapseID: m.text("android", "collapse_key"),
		Payload:    m.raw,
	}
	first := func(paths ...[]string) string {
		for _, p := range paths {
			if s := m.text(p...); s != "" {
				return s
			}
		}
		return ""
	}
	d.Title = first([]string{"android", "notification", "title"}, []string{"notification", "title"}, []string{"android", "notification", "title_loc_key"})
	d.Body = first([]string{"android", "notification", "body"}, []string{"notification", "body"}, []string{"android", "notification", "body_loc_key"})
	if d.Title != "" || d.Body != "" {
		d.PushType = "notification"
	} else {
		// What an app does with data is its own business; these are the names
		// that it is likely to show.
		d.Title, d.Body = m.text("data", "title"), first([]string{"data", "message"}, []string{"data", "body"})
	}
	return d
}

// text returns a string within the message, or "".
func (m *googleMessage) text(path ...string) string {
	var at any = m.fields
	for _, p := range path {
		o, _ := at.(map[string]any)
		at = member(o, p)
	}
	s, _ := at.(string)
	return s
}

// canonical returns what a phone is known by: Apple's tokens, which are
// hexadecimal, in lower case, others as they are.
func canonical(token string) string {
	if strings.Trim(token, "0123456789abcdefABCDEF") == "" {
		return strings.ToLower(token)
	}
	return token
}

// member returns a member by its name, in either of JSON's fashions.
func member(o map[string]any, name string) any {
	if v, ok := o[name]; ok {
		return v
	}
	for k, v := range o {
		if snake(k) == name {
			return v
		}
	}
	return nil
}

// size is how long the keys and values are.
func size(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case map[string]any:
		n := 0
		for k, e := range v {
			n += len(k) + size(e)
		}
		return n
	case nil:
		return 0
	}
	return len(fmt.Sprint(v))
}

// schema is the form of a JSON value. Objects have members; others a check.
type schema struct {
	members map[string]*schema
	is      func(v any) bool
	what    string // that it must be
}

var (
	aString  = &schema{is: isString, what: "a string"}
	aBool    = &schema{is: func(v any) bool { _, ok := v.(bool); return ok }, what: "a boolean"}
	aNumber  = &schema{is: func(v any) bool { _, ok := v.(json.Number); return ok }, what: "a number"}
	anObject = &schema{is: func(v any) bool { _, ok := v.(map[string]any); return ok }, what: "an object"}
	aTTL     = &schema{is: func(v any) bool { s, ok := v.(string); return ok && duration.MatchString(s) }, what: "a duration"}
	aTime    = &schema{is: func(v any) bool {
		s, _ := v.(string)
		_, err := time.Parse(time.RFC3339Nano, s)
		return err == nil
	}, what: "a timestamp"}
	strs   = &schema{is: func(v any) bool { l, ok := v.([]any); return ok && !slices.ContainsFunc(l, notString) }, what: "a list of strings"}
	strMap = &schema{is: func(v any) bool {
		o, ok := v.(map[string]any)
		for _, e := range o {
			ok = ok && isString(e)
		}
		return ok
	}, what: "an object of strings"}
)

func isString(v any) bool  { _, ok := v.(string); return ok }
func notString(v any) bool { return !isString(v) }

func enum(values ...string) *schema {
	return &schema{is: func(v any) bool { s, ok := v.(string); return ok && slices.Contains(values, s) }, what: "one of " + strings.Join(values, ", ")}
}

// requestSchema is the documented form of messages:send.
var requestSchema = &schema{members: map[string]*schema{
	"validate_only": aBool,
	"message": {members: map[string]*schema{
		"name": aString, "data": strMap, "token": aString, "topic": aString, "condition": aString,
		"notification": {members: map[string]*schema{"title": aString, "body": aString, "image": aString}},
		"fcm_options":  {members: map[string]*schema{"analytics_label": aString}},
		"android": {members: map[string]*schema{
			"collapse_key": aString, "priority": enum("NORMAL", "HIGH", "normal", "high"), "ttl": aTTL,
			"restricted_package_name": aString, "data": strMap, "notification": androidNotificationSchema,
			"fcm_options":    {members: map[string]*schema{"analytics_label": aString}},
			"direct_boot_ok": aBool, "bandwidth_constrained_ok": aBool, "restricted_satellite_ok": aBool,
		}},
		"webpush": {members: map[string]*schema{
			"headers": strMap, "data": strMap, "notification": anObject,
			"fcm_options": {members: map[string]*schema{"link": aString, "analytics_label": aString}},
		}},
		"apns": {members: map[string]*schema{
			"headers": strMap, "payload": anObject, "live_activity_token": aString,
			"fcm_options": {members: map[string]*schema{"analytics_label": aString, "image": aString}},
		}},
	}},
}}

var androidNotificationSchema = &schema{members: map[string]*schema{
	"title": aString, "body": aString, "icon": aString, "color": aString, "sound": aString, "tag": aString,
	"click_action": aString, "body_loc_key": aString, "body_loc_args": strs, "title_loc_key": aString, "title_loc_args": strs,
	"channel_id": aString, "ticker": aString, "sticky": aBool, "event_time": aTime, "local_only": aBool,
	"notification_priority": enum("PRIORITY_UNSPECIFIED", "PRIORITY_MIN", "PRIORITY_LOW", "PRIORITY_DEFAULT", "PRIORITY_HIGH", "PRIORITY_MAX"),
	"default_sound":         aBool, "default_vibrate_timings": aBool, "default_light_settings": aBool,
	"vibrate_timings": strs, "visibility": enum("VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"),
	"notification_count": aNumber, "image": aString, "bypass_proxy_notification": aBool,
	"proxy": enum("PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"),
	"light_settings": {members: map[string]*schema{
		"color":             {members: map[string]*schema{"red": aNumber, "green": aNumber, "blue": aNumber, "alpha": aNumber}},
		"light_on_duration": aTTL, "light_off_duration": aTTL,
	}},
}}

// check returns the first field that is not as it must be, and what is wrong
// with it, or "".
func (s *schema) check(at string, v any) (field, problem string) {
	if v == nil {
		return "", "" // null is not set
	}
	if s.members == nil {
		if !s.is(v) {
			return at, fmt.Sprintf("Invalid value at '%s': must be %s", at, s.what)
		}
		return "", ""
	}
	o, ok := v.(map[string]any)
	if !ok {
		return at, fmt.Sprintf("Invalid value at '%s': must be an object", at)
	}
	seen := make(map[string]bool, len(o))
	for _, k := range slices.Sorted(maps.Keys(o)) {
		name := snake(k)
		m := s.members[name]
		if m == nil || seen[name] {
			return at, fmt.Sprintf("Invalid JSON payload received. Unknown name %q at '%s': Cannot find field.", k, at)
		}
		seen[name] = true
		path := strings.TrimPrefix(at+"."+name, ".")
		if field, problem := m.check(path, o[k]); problem != "" {
			return field, problem
		}
	}
	return "", ""
}

// snake returns collapse_key for collapseKey, which Google reads as well.
func snake(s string) string {
	var b strings.Builder
	for _, r := range s {
		if 'A' <= r && r <= 'Z' {
			b.WriteByte('_')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}
