package fcm

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/furima/furima/internal/push"
)

// override returns the message as an object, with the members of the overrides
// over what it says already.
func (m *message) override(o push.FCMOverride, fault func(pointer, message string)) any {
	raw, err := encode(m)
	all, ok := object(raw)
	if err != nil || !ok {
		fault("", "cannot be made into a message")
		return nil
	}
	for _, part := range []struct {
		name string
		raw  json.RawMessage
	}{{"android", o.Android}, {"apns", o.APNS}, {"webpush", o.WebPush}} {
		if len(part.raw) == 0 {
			continue
		}
		over, ok := object(part.raw)
		if !ok {
			fault("/fcm/"+part.name, "must be a JSON object")
			continue
		}
		checkConfig("/fcm/"+part.name, part.name, over, fault)
		base, _ := all[part.name].(map[string]any)
		all[part.name] = merge(base, over)
	}
	return all
}

// replacement checks a message that takes the place of everything.
func replacement(raw json.RawMessage, fault func(pointer, message string)) any {
	all, ok := object(raw)
	if !ok {
		fault("/fcm/message", "must be a JSON object")
		return nil
	}
	for _, target := range []string{"token", "topic", "condition"} {
		if _, there := all[target]; there {
			fault("/fcm/message/"+target, "must not be given: tokens, fcm.topic or fcm.condition say whom it goes to")
		}
	}
	checkData("/fcm/message/data", all["data"], fault)
	for _, name := range []string{"android", "apns", "webpush"} {
		switch config := all[name].(type) {
		case nil:
		case map[string]any:
			checkConfig("/fcm/message/"+name, name, config, fault)
		default:
			fault("/fcm/message/"+name, "must be a JSON object")
		}
	}
	return all
}

// object reads a JSON object. Numbers stay as they are written.
func object(raw []byte) (map[string]any, bool) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var o map[string]any
	if dec.Decode(&o) != nil || o == nil || dec.More() {
		return nil, false
	}
	return o, true
}

// merge puts the members of over over those of base, objects into objects; null
// takes a member away. Google reads names in both of JSON's fashions: what is
// given as collapseKey replaces collapse_key.
func merge(base, over map[string]any) map[string]any {
	out := make(map[string]any, len(base)+len(over))
	for k, v := range base {
		out[k] = v
	}
	for k, v := range over {
		if s := snake(k); s != k {
			if _, ours := base[s]; ours {
				k = s
			}
		}
		if v == nil {
			delete(out, k)
			continue
		}
		if o, ok := v.(map[string]any); ok {
			b, _ := out[k].(map[string]any)
			v = merge(b, o)
		}
		out[k] = v
	}
	return out
}

// snake returns collapse_key for collapseKey.
func snake(s string) string {
	if !strings.ContainsFunc(s, isUpper) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if isUpper(r) {
			b.WriteByte('_')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

func isUpper(r rune) bool { return 'A' <= r && r <= 'Z' }

// checkConfig checks what is known to be refused in an AndroidConfig,
// ApnsConfig or WebpushConfig; the rest is for Google, who knows more members
// every year.
func checkConfig(at, name string, config map[string]any, fault func(pointer, message string)) {
	if name == "apns" {
		return
	}
	checkData(at+"/data", config["data"], fault)
	if ttl, ok := config["ttl"].(string); ok && name == "android" && !isTTL(ttl) {
		fault(at+"/ttl", `must be seconds up to four weeks, as in "3600s"`)
	}
}

// checkData checks data of which every value must be a string.
func checkData(at string, data any, fault func(pointer, message string)) {
	if data == nil {
		return
	}
	o, ok := data.(map[string]any)
	if !ok {
		fault(at, "must be a JSON object")
		return
	}
	for _, k := range slices.Sorted(maps.Keys(o)) {
		checkDataKey(at, k, fault)
		switch o[k].(type) {
		case string, nil:
		default:
			fault(at+"/"+escapePointer(k), "must be a string")
		}
	}
}

var ttlPattern = regexp.MustCompile(`^[0-9]{1,7}(\.[0-9]{1,9})?s$`)

func isTTL(s string) bool {
	if !ttlPattern.MatchString(s) {
		return false
	}
	n, err := strconv.ParseFloat(strings.TrimSuffix(s, "s"), 64)
	return err == nil && n <= maxTTL.Seconds()
}
