package apns

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/h2"
)

var serial = big.NewInt(1)

// Every reason that Apple documents, with its status and what it asks for.
func TestReasons(t *testing.T) {
	t.Parallel()
	covered := map[string]bool{}
	for _, c := range []struct {
		outcome push.Outcome
		status  int
		reasons string
	}{
		{push.Unregistered, 410, "Unregistered ExpiredToken"},
		{push.Unregistered, 400, "BadDeviceToken DeviceTokenNotForTopic"},
		{push.Rejected, 400, "BadCollapseId BadExpirationDate BadMessageId BadPriority BadTopic DuplicateHeaders InvalidPushType MissingDeviceToken MissingTopic PayloadEmpty TopicDisallowed"},
		{push.Rejected, 404, "BadPath"},
		{push.Rejected, 405, "MethodNotAllowed"},
		{push.Rejected, 413, "PayloadTooLarge"},
		{push.Refused, 403, "BadCertificate BadCertificateEnvironment Forbidden InvalidProviderToken MissingProviderToken BadEnvironmentKeyIdInToken UnrelatedKeyIdInToken ExpiredProviderToken"},
		{push.Retry, 429, "TooManyRequests"},
		{push.Down, 429, "TooManyProviderTokenUpdates"},
		{push.Retry, 500, "InternalServerError"},
		{push.Retry, 503, "ServiceUnavailable Shutdown"},
		{push.Retry, 400, "IdleTimeout"},
	} {
		for _, reason := range strings.Fields(c.reasons) {
			covered[reason] = true
			r := result(c.status, fmt.Appendf(nil, `{"reason":%q}`, reason), "", false)
			if r.Outcome != c.outcome || r.Reason != reason {
				t.Errorf("%d %s: %v %s, want %v", c.status, reason, r.Outcome, r.Reason, c.outcome)
			}
		}
	}
	for reason := range reasons {
		if !covered[reason] {
			t.Errorf("%s is in the table and not in this test", reason)
		}
	}
}

func TestUndocumentedAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		body   string
		want   push.Result
	}{
		{200, "", push.Result{Outcome: push.Sent}},
		{200, "<html>", push.Result{Outcome: push.Sent}},
		{400, `{"reason":"SomethingNew"}`, push.Result{Outcome: push.Rejected, Reason: "HTTP 400"}},
		{401, "", push.Result{Outcome: push.Refused, Reason: "HTTP 401"}},
		{403, "", push.Result{Outcome: push.Refused, Reason: "HTTP 403"}},
		{410, `{"reason":"New","timestamp":1700000000000}`, push.Result{Outcome: push.Unregistered, Reason: "HTTP 410", Since: time.UnixMilli(1_700_000_000_000).UTC()}},
		{429, "slow down", push.Result{Outcome: push.Retry, Reason: "HTTP 429"}},
		{502, "<html>bad gateway</html>", push.Result{Outcome: push.Retry, Reason: "HTTP 502"}},
		{301, "", push.Result{Outcome: push.Retry, Reason: "HTTP 301"}},
		{503, `{"reason":"Shutdown"}`, push.Result{Outcome: push.Retry, Reason: "Shutdown"}},
	} {
		if diff := cmp.Diff(c.want, result(c.status, []byte(c.body), "", false)); diff != "" {
			t.Errorf("%d %s (-want +got):\n%s", c.status, c.body, diff)
		}
	}
	for value, want := range map[string]time.Duration{"": 0, "12": 12 * time.Second, "-1": 0, "soon": 0, "99999999999": 0} {
		if r := result(503, nil, value, false); r.After != want {
			t.Errorf("Retry-After %q: %v, want %v", value, r.After, want)
		}
	}
}

func FuzzResult(f *testing.F) {
	f.Add(410, []byte(`{"reason":"Unregistered","timestamp":1700000000000}`), "5", false)
	f.Add(503, []byte(`{`), "x", false)
	f.Add(400, []byte(`{"reason":"ChannelNotRegistered"}`), "", true)
	f.Add(429, []byte(`{"reason":"TooManyProviderTokenUpdates"}`), "-3", true)
	f.Fuzz(func(t *testing.T, status int, body []byte, retryAfter string, broadcast bool) {
		isSpent(&h2.Response{Status: status, Body: body})
		r := result(status, body, retryAfter, broadcast)
		if r.Outcome < push.Sent || r.Outcome > push.Refused {
			t.Errorf("outcome %v", r.Outcome)
		}
		if _, known := outcomeOf(r.Reason, broadcast); !known && r.Reason != "" && r.Reason != fmt.Sprint("HTTP ", status) {
			t.Errorf("reason %q is from outside", r.Reason)
		}
	})
}

func TestRender(t *testing.T) {
	t.Parallel()
	zero, three := 0, 3
	at := time.Unix(1_800_000_000, 0)
	const common = "apns-topic=com.example.market apns-push-type=alert apns-priority=10"
	for name, c := range map[string]struct {
		n       push.Notification
		header  string
		payload string
	}{
		"title and body": {
			push.Notification{Title: "売れました", Body: "Your <camera> & lens"},
			common, `{"aps":{"alert":{"title":"売れました","body":"Your <camera> & lens"}}}`,
		},
		"everything": {
			push.Notification{
				Title: "t", Body: "b", Badge: &three, Sound: "default", Category: "ORDER", ThreadID: "or_1", Data: map[string]string{"url": "furima://x", "a": "1"},
				TTL: push.Duration(time.Hour), Priority: push.Normal, CollapseID: "or_1",
				APNS: &push.APNSOverride{Subtitle: "s", MutableContent: true, ContentAvailable: true, InterruptionLevel: "time-sensitive", RelevanceScore: .5},
			},
			"apns-topic=com.example.market apns-push-type=alert apns-priority=5 apns-expiration=1800003600 apns-collapse-id=or_1",
			`{"a":"1","aps":{"alert":{"title":"t","subtitle":"s","body":"b"},"badge":3,"sound":"default","category":"ORDER","thread-id":"or_1","content-available":1,"mutable-content":1,"interruption-level":"time-sensitive","relevance-score":0.5},"url":"furima://x"}`,
		},
		"the badge alone":       {push.Notification{Badge: &zero}, common, `{"aps":{"badge":0}}`},
		"low is not in a hurry": {push.Notification{Body: "b", Priority: push.Low}, strings.Replace(common, "=10", "=1", 1), `{"aps":{"alert":{"body":"b"}}}`},
		"background by content": {
			push.Notification{Data: map[string]string{"k": "v"}, APNS: &push.APNSOverride{ContentAvailable: true}},
			"apns-topic=com.example.market apns-push-type=background apns-priority=5", `{"aps":{"content-available":1},"k":"v"}`,
		},
		"background by type": {
			push.Notification{Priority: push.High, APNS: &push.APNSOverride{PushType: "background"}},
			"apns-topic=com.example.market apns-push-type=background apns-priority=5", `{"aps":{"content-available":1}}`,
		},
		"a payload as it is": {
			push.Notification{Title: "not used", APNS: &push.APNSOverride{Payload: json.RawMessage(`{"aps": {"alert":"x"}}`)}},
			common, `{"aps": {"alert":"x"}}`,
		},
		"another topic with its suffix": {
			push.Notification{Body: "b", APNS: &push.APNSOverride{Topic: "com.example.other", PushType: "voip"}},
			"apns-topic=com.example.other.voip apns-push-type=voip apns-priority=10", `{"aps":{"alert":{"body":"b"}}}`,
		},
		"a topic that has its suffix": {
			push.Notification{Body: "b", APNS: &push.APNSOverride{Topic: "com.example.other.voip", PushType: "voip"}},
			"apns-topic=com.example.other.voip apns-push-type=voip apns-priority=10", `{"aps":{"alert":{"body":"b"}}}`,
		},
	} {
		r, faults := (&sender{topic: "com.example.market"}).Render(&c.n, at)
		if faults != nil {
			t.Errorf("%s: %v", name, faults)
			continue
		}
		var header []string
		for _, h := range r.Header {
			header = append(header, h.Name+"="+h.Value)
		}
		if diff := cmp.Diff(c.header, strings.Join(header, " ")); diff != "" {
			t.Errorf("%s: header (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(c.payload, string(r.Payload)); diff != "" {
			t.Errorf("%s: payload (-want +got):\n%s", name, diff)
		}
	}
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	body := func(n int) push.Notification {
		return push.Notification{Body: strings.Repeat("x", n-len(`{"aps":{"alert":{"body":""}}}`))}
	}
	with := func(o push.APNSOverride) push.Notification { return push.Notification{Body: "b", APNS: &o} }
	for name, c := range map[string]struct {
		n       push.Notification
		pointer string // "-": fine
	}{
		"4096 bytes":           {body(4096), "-"},
		"4097 bytes":           {body(4097), ""},
		"nothing to show":      {push.Notification{Data: map[string]string{"k": "v"}}, ""},
		"unknown push type":    {with(push.APNSOverride{PushType: "loud"}), "/apns/push_type"},
		"unknown interruption": {with(push.APNSOverride{InterruptionLevel: "loud"}), "/apns/interruption_level"},
		"relevance above 1":    {with(push.APNSOverride{RelevanceScore: 1.1}), "/apns/relevance_score"},
		"topic with a newline": {with(push.APNSOverride{Topic: "a\nb"}), "/apns/topic"},
		"payload no object":    {with(push.APNSOverride{Payload: json.RawMessage(`[1]`)}), "/apns/payload"},
		"payload too large":    {with(push.APNSOverride{Payload: json.RawMessage(`{"x":"` + strings.Repeat("y", 4096) + `"}`)}), ""},
		"aps in data":          {push.Notification{Body: "b", Data: map[string]string{"aps": "x"}}, "/data/aps"},
	} {
		_, faults := (&sender{topic: "com.example.market"}).Render(&c.n, time.Now())
		switch {
		case c.pointer == "-" && faults != nil:
			t.Errorf("%s: %v", name, faults)
		case c.pointer != "-" && (len(faults) != 1 || faults[0].Pointer != c.pointer):
			t.Errorf("%s: %v, want one fault at %q", name, faults, c.pointer)
		}
	}
}

func TestTokenSource(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	s := &tokenSource{key: key, keyID: "K", teamID: "T", now: func() time.Time { return now }}
	get := func() string {
		t.Helper()
		h, err := s.authorization()
		if err != nil || !strings.HasPrefix(h, "bearer ") {
			t.Fatal(h, err)
		}
		return h
	}
	first := get()
	now = now.Add(49 * time.Minute)
	if get() != first {
		t.Error("replaced before its time")
	}
	now = now.Add(2 * time.Minute)
	second := get()
	if second == first {
		t.Error("not replaced in time")
	}
	if h, ok := s.renew(first); !ok || h != second {
		t.Error("a token that has been replaced already was replaced again")
	}
	if _, ok := s.renew(second); ok {
		t.Error("replaced although it was made a moment ago")
	}
	now = now.Add(25 * time.Minute)
	third, ok := s.renew(second)
	if !ok || third == second || get() != third {
		t.Error("not replaced although Apple called it too old")
	}
	now = now.Add(19 * time.Minute)
	if _, ok := s.renew(third); ok {
		t.Error("replaced twice within 20 minutes")
	}
	now = now.Add(2 * time.Minute)
	if _, ok := s.renew(third); !ok {
		t.Error("not replaced after 20 minutes")
	}
	now = now.Add(-2 * time.Hour)
	before := s.header
	if get() == before {
		t.Error("a token of the future is kept after the clock was set back")
	}
}
