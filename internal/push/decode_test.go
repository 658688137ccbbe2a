package push

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/client"
)

func TestDecodeBody(t *testing.T) {
	t.Parallel()
	two := 2
	full := Notification{
		Tokens: []string{"aa", "bb"}, Platform: APNS, Title: "t", Body: "b", Badge: &two, Sound: "default", Category: "c", ThreadID: "th",
		Data: map[string]string{"k": "v"}, TTL: Duration(time.Hour), Priority: client.Low, CollapseID: "x",
		SendAt: time.Date(2026, 1, 31, 9, 0, 0, 0, time.UTC),
		APNS:   &APNSOverride{Subtitle: "s", RelevanceScore: .5, Payload: json.RawMessage(`{"aps":{}}`)},
	}
	fields := `"tokens":["aa","bb"],"platform":"apns","title":"t","body":"b","badge":2,"sound":"default","category":"c","thread_id":"th",
		"data":{"k":"v"},"ttl":"1h","priority":"low","collapse_id":"x","send_at":"2026-01-31T09:00:00Z",
		"apns":{"subtitle":"s","relevance_score":0.5,"payload":{"aps":{}}}`
	for name, c := range map[string]struct {
		body string
		want Request
	}{
		"a list":            {`{"app":"market","notifications":[{` + fields + `},{"tokens":["cc"],"ttl":90}]}`, Request{App: "market", Notifications: []Notification{full, {Tokens: []string{"cc"}, TTL: Duration(90 * time.Second)}}}},
		"one":               {`{"app":"market",` + fields + `}`, Request{App: "market", Notifications: []Notification{full}, single: true}},
		"one without app":   {`{` + fields + `}`, Request{Notifications: []Notification{full}, single: true}},
		"space around":      {" {\"notifications\":[]}\n", Request{Notifications: []Notification{}}},
		"what Send writes":  {marshal(t, client.PushRequest{App: "market", Notifications: []Notification{full}}), Request{App: "market", Notifications: []Notification{full}}},
		"null is as absent": {`{"app":"market","notifications":[{"tokens":["cc"],"badge":null,"ttl":null}]}`, Request{App: "market", Notifications: []Notification{{Tokens: []string{"cc"}}}}},
	} {
		got, p := decodeBody([]byte(c.body))
		if p != nil {
			t.Errorf("%s: %v", name, p)
			continue
		}
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(Request{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDecodeBodyRefuses(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t-t0k3n"
	for _, c := range []struct {
		body    string
		status  int
		pointer string
		message string
	}{
		{``, 400, "", "empty or cut off"},
		{`{"notifications":[`, 400, "", "empty or cut off"},
		{`{"notifications":[}`, 400, "", "not JSON from byte 18 on"},
		{`nonsense`, 400, "", "not JSON"},
		{`{"notifications":[]} x`, 400, "", "not JSON"},
		{"{\"app\":\"\xff\"}", 400, "", "not JSON"},
		{`[]`, 422, "", "must be an object"},
		{`{}`, 422, "/notifications", "is required"},
		{`{"app":"market"}`, 422, "/notifications", "is required"},
		{`{"notifications":null}`, 422, "/notifications", "is required"},
		{`{"notifications":[],"title":"t"}`, 422, "/notifications", "excludes"},
		{`{"notifications":{}}`, 422, "/notifications", "must be a list"},
		{`{"notifications":[{"tokens":"` + secret + `"}]}`, 422, "/notifications/0/tokens", "must be a list"},
		{`{"notifications":[{"tokens":["a",{"x":"` + secret + `"}]}]}`, 422, "/notifications/0/tokens/1", "must be a string"},
		{`{"notifications":[{},{"tokenz":["` + secret + `"]}]}`, 422, "/notifications/1/tokenz", "not a known field"},
		{`{"notifications":[{"Tokens":[]}]}`, 422, "/notifications/0/Tokens", "not a known field"},
		{`{"notifications":[{"apns":{"loud":1}}]}`, 422, "/notifications/0/apns/loud", "not a known field"},
		{`{"notifications":[{"badge":"` + secret + `"}]}`, 422, "/notifications/0/badge", "must be a whole number"},
		{`{"notifications":[{"badge":1.5}]}`, 422, "/notifications/0/badge", "must be a whole number"},
		{`{"notifications":[{"ttl":"` + secret + `"}]}`, 422, "/notifications/0/ttl", "must be a duration"},
		{`{"notifications":[{"send_at":"` + secret + `"}]}`, 422, "/notifications/0/send_at", "must be a time"},
		{`{"notifications":[{"data":{"k":1}}]}`, 422, "/notifications/0/data/k", "must be a string"},
		{`{"notifications":[{"apns":{"content_available":"` + secret + `"}}]}`, 422, "/notifications/0/apns/content_available", "must be true or false"},
		{`{"title":"a","title":"` + secret + `"}`, 422, "/title", "given twice"},
		{`{"title":7}`, 422, "/title", "must be a string"},
	} {
		_, p := decodeBody([]byte(c.body))
		if p == nil {
			t.Errorf("%s is taken", c.body)
			continue
		}
		got := p.Detail
		pointer := ""
		if len(p.Errors) > 0 {
			pointer, got = p.Errors[0].Pointer, p.Errors[0].Message
		}
		if p.Status != c.status || pointer != c.pointer || !strings.Contains(got, c.message) {
			t.Errorf("%s: %d %q %q, want %d %q …%s…", c.body, p.Status, pointer, got, c.status, c.pointer, c.message)
		}
		if text := marshal(t, p); strings.Contains(text, secret) {
			t.Errorf("%s: the answer repeats what was sent: %s", c.body, text)
		}
	}
}

func FuzzDecodeBody(f *testing.F) {
	f.Add([]byte(`{"app":"market","notifications":[{"tokens":["aa"],"platform":"apns","title":"t","ttl":"1h","badge":0}]}`))
	f.Add([]byte(`{"tokens":["aa"],"platform":"apns","apns":{"payload":{"aps":{"alert":"x"}}}}`))
	f.Add([]byte(`{"notifications":[{"data":{"a":"b","a":"c"}}]}`))
	f.Add([]byte(`{"ttl":9223372036854775807}`))
	f.Add([]byte("{\"title\":\"\\ud800\"}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		req, p := decodeBody(raw)
		if p != nil {
			if p.Status != 400 && p.Status != 422 {
				t.Errorf("status %d", p.Status)
			}
			return
		}
		// What is taken can be written and read again as the same.
		again, p := decodeBody([]byte(marshal(t, client.PushRequest{App: req.App, Notifications: req.Notifications})))
		if p != nil {
			t.Fatalf("what was read cannot be read again: %v", p)
		}
		if len(again.Notifications) != len(req.Notifications) {
			t.Errorf("%d notifications became %d", len(req.Notifications), len(again.Notifications))
		}
	})
}
