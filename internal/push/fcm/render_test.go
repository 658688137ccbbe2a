package fcm

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/push"
)

func render(n push.Notification) (push.Rendered, []push.FieldError) {
	return (&sender{}).Render(&n, time.Unix(1_800_000_000, 0))
}

func raw(s string) json.RawMessage { return json.RawMessage(s) }

func TestRender(t *testing.T) {
	t.Parallel()
	zero, three := 0, 3
	for name, c := range map[string]struct {
		n       push.Notification
		payload string
	}{
		"title and body": {
			push.Notification{Title: "売れました", Body: "Your <camera> & lens"},
			`{"message":{"notification":{"title":"売れました","body":"Your <camera> & lens"},"android":{"priority":"HIGH"}}}`,
		},
		"everything": {
			push.Notification{
				Title: "T", Body: "B", Image: "https://img.example/1.jpg", Badge: &three, Sound: "bell", Category: "SOLD", ThreadID: "or_1",
				Data: map[string]string{"b": "2", "a": "1"}, TTL: push.Duration(90 * time.Second), Priority: push.Normal, CollapseID: "or_1",
				FCM: &push.FCMOverride{AnalyticsLabel: "spring_sale", ValidateOnly: true},
			},
			`{"validate_only":true,"message":{"notification":{"title":"T","body":"B","image":"https://img.example/1.jpg"},` +
				`"data":{"a":"1","b":"2"},` +
				`"android":{"collapse_key":"or_1","priority":"NORMAL","ttl":"90s","notification":{"sound":"bell","tag":"or_1","click_action":"SOLD","notification_count":3}},` +
				`"apns":{"headers":{"apns-collapse-id":"or_1","apns-expiration":"1800000090","apns-priority":"5"},` +
				`"payload":{"aps":{"badge":3,"sound":"bell","category":"SOLD","thread-id":"or_1","mutable-content":1}}},` +
				`"fcm_options":{"analytics_label":"spring_sale"}}}`,
		},
		"localised": {
			push.Notification{Title: "Sold", TitleLocKey: "sold", TitleLocArgs: []string{"camera"}, Body: "Pack it"},
			`{"message":{"notification":{"body":"Pack it"},"android":{"priority":"HIGH","notification":{"title_loc_key":"sold","title_loc_args":["camera"]}},` +
				`"apns":{"payload":{"aps":{"alert":{"body":"Pack it","title-loc-key":"sold","title-loc-args":["camera"]}}}}}}`,
		},
		"localised alone": {
			push.Notification{TitleLocKey: "t", BodyLocKey: "b", BodyLocArgs: []string{"1", "2"}},
			`{"message":{"android":{"priority":"HIGH","notification":{"title_loc_key":"t","body_loc_key":"b","body_loc_args":["1","2"]}},` +
				`"apns":{"payload":{"aps":{"alert":{"title-loc-key":"t","loc-key":"b","loc-args":["1","2"]}}}}}}`,
		},
		"badge cleared": {
			push.Notification{Badge: &zero},
			`{"message":{"android":{"priority":"HIGH"},"apns":{"payload":{"aps":{"badge":0}}}}}`,
		},
		"a ttl below a second": {
			push.Notification{Data: map[string]string{"k": "v"}, TTL: push.Duration(time.Millisecond)},
			`{"message":{"data":{"k":"v"},"android":{"priority":"HIGH","ttl":"1s"}}}`,
		},
		"Gaurun's data": {
			push.Notification{Data: map[string]string{"message": "hello", "id": "1"}, CollapseID: "k", TTL: push.Duration(10 * time.Second), Priority: push.Normal},
			`{"message":{"data":{"id":"1","message":"hello"},"android":{"collapse_key":"k","priority":"NORMAL","ttl":"10s"}}}`,
		},
		"data only": {
			push.Notification{Title: "T", Body: "B", Sound: "bell", Data: map[string]string{"k": "v"}, FCM: &push.FCMOverride{DataOnly: true}},
			`{"message":{"data":{"k":"v"},"android":{"priority":"HIGH"}}}`,
		},
		"overrides": {
			push.Notification{
				Title: "T", CollapseID: "c", TTL: push.Duration(time.Minute),
				FCM: &push.FCMOverride{
					Android: raw(`{"ttl":"3.5s","collapseKey":"d","notification":{"channelId":"sales","tag":null,"event_time":"2026-08-01T12:00:00Z","vibrate_timings":["0.2s"]},"direct_boot_ok":true}`),
					APNS:    raw(`{"headers":{"apns-priority":"10"},"payload":{"aps":{"content-available":1,"relevance-score":0.10}}}`),
					WebPush: raw(`{"fcm_options":{"link":"https://example.com/?a=1&b=2"}}`),
				},
			},
			`{"message":{"android":{"collapse_key":"d","direct_boot_ok":true,"notification":{"channelId":"sales","event_time":"2026-08-01T12:00:00Z","vibrate_timings":["0.2s"]},"priority":"HIGH","ttl":"3.5s"},` +
				`"apns":{"headers":{"apns-collapse-id":"c","apns-expiration":"1800000060","apns-priority":"10"},"payload":{"aps":{"content-available":1,"relevance-score":0.10}}},` +
				`"notification":{"title":"T"},"webpush":{"fcm_options":{"link":"https://example.com/?a=1&b=2"}}}}`,
		},
		"an override alone": {
			push.Notification{FCM: &push.FCMOverride{APNS: raw(`{"payload":{"aps":{"content-available":1}}}`)}},
			`{"message":{"android":{"priority":"HIGH"},"apns":{"payload":{"aps":{"content-available":1}}}}}`,
		},
		"another message": {
			push.Notification{Title: "not sent", FCM: &push.FCMOverride{AnalyticsLabel: "not/sent", Message: raw(` {"data": {"k": "v"}, "android": {"priority": "NORMAL"}} `)}},
			`{"message":{"android":{"priority":"NORMAL"},"data":{"k":"v"}}}`,
		},
	} {
		r, faults := render(c.n)
		if faults != nil {
			t.Errorf("%s: %v", name, faults)
			continue
		}
		if diff := cmp.Diff(c.payload, string(r.Payload)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if urgent := c.n.Priority == ""; isUrgent(&r) != urgent {
			t.Errorf("%s: urgent is %v", name, !urgent)
		}
	}
}

func TestRenderFaults(t *testing.T) {
	t.Parallel()
	long := func(n int) map[string]string { return map[string]string{"k": strings.Repeat("x", n-1)} }
	fcm := func(o push.FCMOverride) push.Notification { return push.Notification{Title: "T", FCM: &o} }
	for name, c := range map[string]struct {
		n    push.Notification
		want []string // pointers
	}{
		"nothing":                  {push.Notification{}, []string{""}},
		"nothing left":             {push.Notification{Title: "T", FCM: &push.FCMOverride{DataOnly: true}}, []string{""}},
		"an empty message":         {fcm(push.FCMOverride{Message: raw(`{}`)}), []string{""}},
		"4096 bytes":               {push.Notification{Data: long(4096)}, nil},
		"4097 bytes":               {push.Notification{Data: long(4097)}, []string{""}},
		"4097 bytes of text":       {push.Notification{Title: strings.Repeat("x", 4097-len("title"))}, []string{""}},
		"data and text":            {push.Notification{Title: "hello", Data: long(4090)}, []string{""}},
		"many escapes":             {push.Notification{Data: map[string]string{"k": strings.Repeat("\n", 4095)}}, nil},
		"2048 bytes to a topic":    {push.Notification{Data: long(2048), FCM: &push.FCMOverride{Topic: "news"}}, nil},
		"2049 bytes to a topic":    {push.Notification{Data: long(2049), FCM: &push.FCMOverride{Topic: "news"}}, []string{""}},
		"2049 bytes, condition":    {push.Notification{Data: long(2049), FCM: &push.FCMOverride{Condition: "'a' in topics"}}, []string{""}},
		"Apple's payload":          {fcm(push.FCMOverride{APNS: raw(`{"payload":{"x":"` + strings.Repeat("x", 4096) + `"}}`)}), []string{""}},
		"Android's own data":       {push.Notification{Data: long(4000), FCM: &push.FCMOverride{Android: raw(`{"data":{"k":"` + strings.Repeat("y", 4000) + `"}}`)}}, nil},
		"a large header":           {fcm(push.FCMOverride{WebPush: raw(`{"headers":{"x":"` + strings.Repeat("x", 40_000) + `"}}`)}), []string{""}},
		"four weeks":               {push.Notification{Title: "T", TTL: push.Duration(28 * 24 * time.Hour)}, nil},
		"longer":                   {push.Notification{Title: "T", TTL: push.Duration(28*24*time.Hour + time.Second)}, []string{"/ttl"}},
		"four weeks of override":   {fcm(push.FCMOverride{Android: raw(`{"ttl":"2419200s"}`)}), nil},
		"longer in override":       {fcm(push.FCMOverride{Android: raw(`{"ttl":"2419201s"}`)}), []string{"/fcm/android/ttl"}},
		"not a ttl":                {fcm(push.FCMOverride{Android: raw(`{"ttl":"1h"}`)}), []string{"/fcm/android/ttl"}},
		"plain http":               {push.Notification{Title: "T", Image: "http://img.example/1.jpg"}, []string{"/image"}},
		"reserved keys":            {push.Notification{Data: map[string]string{"from": "", "message_type": "", "google.x": "", "gcm.x": "", "gcm": "", "fromage": ""}}, []string{"/data/from", "/data/gcm.x", "/data/google.x", "/data/message_type"}},
		"reserved with a slash":    {push.Notification{Data: map[string]string{"google.a/b~c": ""}}, []string{"/data/google.a~1b~0c"}},
		"reserved in overrides":    {fcm(push.FCMOverride{Android: raw(`{"data":{"from":"x"}}`), WebPush: raw(`{"data":{"gcm.x":"x"}}`)}), []string{"/fcm/android/data/from", "/fcm/webpush/data/gcm.x"}},
		"data that is no text":     {fcm(push.FCMOverride{Android: raw(`{"data":{"n":1,"s":"x","z":null}}`)}), []string{"/fcm/android/data/n"}},
		"data that is no object":   {fcm(push.FCMOverride{Message: raw(`{"data":[]}`)}), []string{"/fcm/message/data"}},
		"not objects":              {fcm(push.FCMOverride{Android: raw(`[]`), APNS: raw(`"x"`), WebPush: raw(`null`)}), []string{"/fcm/android", "/fcm/apns", "/fcm/webpush"}},
		"not a message":            {fcm(push.FCMOverride{Message: raw(`7`)}), []string{"/fcm/message"}},
		"a message for somebody":   {fcm(push.FCMOverride{Message: raw(`{"token":"x","topic":"y","condition":"z"}`)}), []string{"/fcm/message/token", "/fcm/message/topic", "/fcm/message/condition"}},
		"parts that are none":      {fcm(push.FCMOverride{Message: raw(`{"android":1,"webpush":{"data":{"from":""}}}`)}), []string{"/fcm/message/android", "/fcm/message/webpush/data/from"}},
		"a label":                  {fcm(push.FCMOverride{AnalyticsLabel: strings.Repeat("a", 51)}), []string{"/fcm/analytics_label"}},
		"a label with a space":     {fcm(push.FCMOverride{AnalyticsLabel: "a b"}), []string{"/fcm/analytics_label"}},
		"a topic":                  {fcm(push.FCMOverride{Topic: "news-_.~%1"}), nil},
		"a topic with its prefix":  {fcm(push.FCMOverride{Topic: "/topics/news"}), []string{"/fcm/topic"}},
		"a topic with a space":     {fcm(push.FCMOverride{Topic: "new s"}), []string{"/fcm/topic"}},
		"six topics":               {fcm(push.FCMOverride{Condition: "'a' in topics || 'b' in topics || 'c' in topics || 'd' in topics || 'e' in topics || 'f' in topics"}), []string{"/fcm/condition"}},
		"half a condition":         {fcm(push.FCMOverride{Condition: "'a' in topics &&"}), []string{"/fcm/condition"}},
		"all of it, nothing twice": {push.Notification{TTL: push.Duration(1 << 60), FCM: &push.FCMOverride{Topic: " ", AnalyticsLabel: " "}}, []string{"/fcm/topic", "/ttl", "/fcm/analytics_label", ""}},
	} {
		_, faults := render(c.n)
		var got []string
		for _, f := range faults {
			got = append(got, f.Pointer)
			if f.Message == "" || strings.HasSuffix(f.Message, ".") && !strings.HasSuffix(f.Message, "…") {
				t.Errorf("%s: message %q", name, f.Message)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: faults at %q, want %q: %v", name, got, c.want, faults)
		}
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{
		"'a' in topics":                                     1,
		" 'a'  in  topics ":                                 1,
		"'a' in topics&&'b' in topics":                      2,
		"'a' in topics && ('b' in topics || 'c' in topics)": 3,
		"!('a' in topics)":                                  1,
		"'a' in topics && !('b' in topics)":                 2,
		"(('a-_.~%' in topics))":                            1,
		"":                                                  -1,
		"a in topics":                                       -1,
		"'' in topics":                                      -1,
		"'a b' in topics":                                   -1,
		"'a' in topic":                                      -1,
		"'a' in topicsx":                                    -1,
		"'a' intopics":                                      -1,
		"('a' in topics":                                    -1,
		"'a' in topics)":                                    -1,
		"'a' in topics & 'b' in topics":                     -1,
		"'a' in topics 'b' in topics":                       -1,
		"&& 'a' in topics":                                  -1,
		"!":                                                 -1,
		strings.Repeat("(", 100_000):                        -1,
		strings.Repeat("!", 100_000):                        -1,
	} {
		n, ok := topicsOf(s)
		if !ok {
			n = -1
		}
		if n != want {
			t.Errorf("%.40q: %d topics, want %d", s, n, want)
		}
	}
}

// The target goes into the hole, whatever it is.
func TestBody(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ payload, token, want string }{
		{`{"message":{"data":{"k":"v"}}}`, "abc:DEF_1-2", `{"message":{"data":{"k":"v"},"token":"abc:DEF_1-2"}}`},
		{`{"validate_only":true,"message":{"data":{}}}`, "t", `{"validate_only":true,"message":{"data":{},"token":"t"}}`},
		{`{"message":{}}`, "t", `{"message":{"token":"t"}}`},
		{`{"message":{"data":{"k":"v"}}}`, `a"b\c`, `{"message":{"data":{"k":"v"},"token":"a\"b\\c"}}`},
		{`{"message":{"data":{"k":"v"}}}`, "é\n", `{"message":{"data":{"k":"v"},"token":"é\n"}}`},
		{`{"message":{"data":{"k":"v"}}}`, "/topics/news", `{"message":{"data":{"k":"v"},"topic":"news"}}`},
		{`{"message":{"data":{"k":"v"}}}`, "/conditions/'a' in topics && 'b' in topics", `{"message":{"data":{"k":"v"},"condition":"'a' in topics && 'b' in topics"}}`},
	} {
		m := push.Message{Token: c.token, Rendered: &push.Rendered{Payload: []byte(c.payload)}}
		got := string(appendBody(nil, &m))
		// Escapes may be written in several ways.
		if got != c.want && !sameJSON(got, c.want) {
			t.Errorf("%s for %q: %s", c.payload, c.token, got)
		}
		if n := bodySize(&m); n < len(got) && !strings.Contains(got, `\`) {
			t.Errorf("%q: %d bytes, %d were expected", c.token, len(got), n)
		}
		if string(m.Rendered.Payload) != c.payload {
			t.Error("the shared payload was changed")
		}
	}
}

func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && cmp.Equal(x, y)
}

func TestFit(t *testing.T) {
	t.Parallel()
	small, large := push.Rendered{Payload: make([]byte, 1000)}, push.Rendered{Payload: make([]byte, maxFlightBytes+1)}
	msgs := make([]push.Message, 1000)
	which := make([]int, len(msgs))
	for i := range msgs {
		msgs[i], which[i] = push.Message{Token: "t", Rendered: &small}, i
	}
	if n := fit(msgs, which, 100); n != 100 {
		t.Errorf("%d of 100 small ones fit", n)
	}
	if n := fit(msgs, which, 1000); n < 200 || n > 270 {
		t.Errorf("%d of 1000 small ones fit", n)
	}
	msgs[0].Rendered = &large
	if n := fit(msgs, which, 1000); n != 1 {
		t.Errorf("%d fit with a large one", n)
	}
}

func FuzzOverride(f *testing.F) {
	f.Add([]byte(`{"ttl":"3s","notification":{"tag":null}}`), []byte(`{"headers":{}}`), []byte(`{"data":{"a":"b"}}`), []byte(``))
	f.Add([]byte(``), []byte(``), []byte(``), []byte(`{"android":{"collapseKey":"x"}}`))
	f.Add([]byte(`{"a":{"b":{"c":1e999}}}`), []byte(`[`), []byte(`nul`), []byte(``))
	f.Fuzz(func(t *testing.T, android, apns, webpush, message []byte) {
		n := push.Notification{Title: "T", CollapseID: "c", FCM: &push.FCMOverride{Android: android, APNS: apns, WebPush: webpush, Message: message}}
		r, faults := render(n)
		if faults != nil {
			return
		}
		body := appendBody(nil, &push.Message{Token: "the-token", Rendered: &r})
		var got struct {
			Message map[string]any `json:"message"`
		}
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		if got.Message["token"] != "the-token" || got.Message["topic"] != nil || got.Message["condition"] != nil {
			t.Fatalf("goes to somebody else: %s", body)
		}
		if strings.Count(string(body), `"the-token"`) != 1 && !strings.Contains(fmt.Sprint(string(android), string(apns), string(webpush), string(message)), "token") {
			t.Fatalf("%s", body)
		}
	})
}
