package fcm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/furima/furima/internal/push"
)

var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

// fcmBody is an error of FCM's own, with more details.
func fcmBody(code string, details ...string) string {
	all := append([]string{`{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"` + code + `"}`}, details...)
	return `{"error":{"code":400,"message":"…","status":"X","details":[` + strings.Join(all, ",") + `]}}`
}

func rpcBody(status string) string {
	return `{"error":{"code":400,"message":"…","status":"` + status + `"}}`
}

func violation(field string) string {
	return `{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"` + field + `","description":"…"}]}`
}

func apnsError(reason string) string {
	return `{"@type":"type.googleapis.com/google.firebase.fcm.v1.ApnsError","statusCode":410,"reason":"` + reason + `"}`
}

// Every code that Google documents, with its status and what it asks for.
func TestAnswers(t *testing.T) {
	t.Parallel()
	covered := map[string]bool{}
	for _, c := range []struct {
		name       string
		status     int
		body       string
		retryAfter string
		want       answer
	}{
		{"sent", 200, `{"name":"projects/p/messages/1"}`, "", answer{Result: push.Result{Outcome: push.Sent}}},
		{"sent, with a broken body", 200, `{"na`, "", answer{Result: push.Result{Outcome: push.Sent}}},

		{"dead", 404, fcmBody("UNREGISTERED"), "", answer{Result: push.Result{Outcome: push.Unregistered, Reason: "UNREGISTERED"}}},
		{"of another sender", 403, fcmBody("SENDER_ID_MISMATCH"), "", answer{Result: push.Result{Outcome: push.Unregistered, Reason: "SENDER_ID_MISMATCH"}}},
		{"not found, without a code", 404, rpcBody("NOT_FOUND"), "", answer{Result: push.Result{Outcome: push.Unregistered, Reason: "NOT_FOUND"}}},

		{"token named", 400, fcmBody("INVALID_ARGUMENT", violation("message.token")), "", answer{Result: push.Result{Outcome: push.Unregistered, Reason: "INVALID_ARGUMENT"}}},
		{"token named among others", 400, fcmBody("INVALID_ARGUMENT", violation("message"), violation("message.token")), "", answer{Result: push.Result{Outcome: push.Unregistered, Reason: "INVALID_ARGUMENT"}}},
		{"no field named", 400, fcmBody("INVALID_ARGUMENT"), "", answer{Result: push.Result{Outcome: push.Unregistered, Reason: "INVALID_ARGUMENT"}, doubt: otherFault}},
		{"dead at Apple", 400, fcmBody("INVALID_ARGUMENT", apnsError("Unregistered")), "", answer{Result: push.Result{Outcome: push.Unregistered, Reason: "INVALID_ARGUMENT"}}},
		{"wrong for Apple", 400, fcmBody("INVALID_ARGUMENT", apnsError("BadCollapseId"), violation("message.apns")), "", answer{Result: push.Result{Outcome: push.Rejected, Reason: "INVALID_ARGUMENT"}}},
		{"too big", 400, fcmBody("INVALID_ARGUMENT", violation("message")), "", answer{Result: push.Result{Outcome: push.Rejected, Reason: "INVALID_ARGUMENT"}}},
		{"bad request", 400, `{"error":{"code":400,"status":"INVALID_ARGUMENT","details":[` + violation("message.token") + `]}}`, "", answer{Result: push.Result{Outcome: push.Rejected, Reason: "INVALID_ARGUMENT"}}},
		{"bad request, no details", 400, rpcBody("INVALID_ARGUMENT"), "", answer{Result: push.Result{Outcome: push.Rejected, Reason: "INVALID_ARGUMENT"}}},

		{"Apple's key", 401, fcmBody("THIRD_PARTY_AUTH_ERROR"), "", answer{Result: push.Result{Outcome: push.Refused, Reason: "THIRD_PARTY_AUTH_ERROR"}, doubt: thirdParty}},
		{"our token", 401, rpcBody("UNAUTHENTICATED"), "", answer{Result: push.Result{Outcome: push.Refused, Reason: "UNAUTHENTICATED"}, stale: true}},
		{"our token, says a proxy", 401, "<html>", "", answer{Result: push.Result{Outcome: push.Refused, Reason: "UNAUTHENTICATED"}, stale: true}},
		{"no permission", 403, rpcBody("PERMISSION_DENIED"), "", answer{Result: push.Result{Outcome: push.Refused, Reason: "PERMISSION_DENIED"}}},

		{"rate, no date", 429, fcmBody("QUOTA_EXCEEDED"), "", answer{Result: push.Result{Outcome: push.Retry, Reason: "QUOTA_EXCEEDED", After: time.Minute}, over: true}},
		{"rate, seconds", 429, fcmBody("QUOTA_EXCEEDED"), "17", answer{Result: push.Result{Outcome: push.Retry, Reason: "QUOTA_EXCEEDED", After: 17 * time.Second}, over: true}},
		{"rate, a date", 429, fcmBody("QUOTA_EXCEEDED"), noon.Add(90 * time.Second).Format(http.TimeFormat), answer{Result: push.Result{Outcome: push.Retry, Reason: "QUOTA_EXCEEDED", After: 90 * time.Second}, over: true}},
		{"rate of the project", 429, rpcBody("RESOURCE_EXHAUSTED"), "", answer{Result: push.Result{Outcome: push.Retry, Reason: "QUOTA_EXCEEDED", After: time.Minute}, over: true, wide: true}},
		{"rate, says a proxy", 429, "slow down", "5", answer{Result: push.Result{Outcome: push.Retry, Reason: "QUOTA_EXCEEDED", After: 5 * time.Second}, over: true, wide: true}},

		{"unavailable", 503, fcmBody("UNAVAILABLE"), "", answer{Result: push.Result{Outcome: push.Retry, Reason: "UNAVAILABLE"}}},
		{"unavailable for a while", 503, fcmBody("UNAVAILABLE"), "30", answer{Result: push.Result{Outcome: push.Retry, Reason: "UNAVAILABLE", After: 30 * time.Second}}},
		{"a delay in the details", 503, fcmBody("UNAVAILABLE", `{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"2.5s"}`), "", answer{Result: push.Result{Outcome: push.Retry, Reason: "UNAVAILABLE", After: 2500 * time.Millisecond}}},
		{"internal", 500, fcmBody("INTERNAL"), "", answer{Result: push.Result{Outcome: push.Retry, Reason: "INTERNAL"}}},
		{"internal, of the front end", 500, rpcBody("INTERNAL"), "", answer{Result: push.Result{Outcome: push.Retry, Reason: "INTERNAL"}}},
		{"deadline", 504, rpcBody("DEADLINE_EXCEEDED"), "", answer{Result: push.Result{Outcome: push.Retry, Reason: "DEADLINE_EXCEEDED"}}},
		{"trouble that blames us", 503, fcmBody("UNREGISTERED"), "", answer{Result: push.Result{Outcome: push.Retry, Reason: "HTTP 503"}}},

		{"new code", 400, fcmBody("SOMETHING_NEW"), "", answer{Result: push.Result{Outcome: push.Rejected, Reason: "HTTP 400"}}},
		{"unspecified", 404, fcmBody("UNSPECIFIED_ERROR"), "", answer{Result: push.Result{Outcome: push.Refused, Reason: "HTTP 404"}}},
		{"not Google's 404", 404, "<html>", "", answer{Result: push.Result{Outcome: push.Refused, Reason: "HTTP 404"}}},
		{"403 of a proxy", 403, "", "", answer{Result: push.Result{Outcome: push.Refused, Reason: "HTTP 403"}}},
		{"408", 408, "", "", answer{Result: push.Result{Outcome: push.Retry, Reason: "HTTP 408"}}},
		{"413", 413, "", "", answer{Result: push.Result{Outcome: push.Rejected, Reason: "HTTP 413"}}},
		{"502", 502, "<html>bad gateway</html>", "Fri", answer{Result: push.Result{Outcome: push.Retry, Reason: "HTTP 502"}}},
		{"301", 301, "", "", answer{Result: push.Result{Outcome: push.Retry, Reason: "HTTP 301"}}},
		{"204", 204, "", "", answer{Result: push.Result{Outcome: push.Retry, Reason: "HTTP 204"}}},
		{"wrong types", 400, `{"error":{"status":7,"details":{"a":1}}}`, "", answer{Result: push.Result{Outcome: push.Rejected, Reason: "HTTP 400"}}},
		{"a list", 503, `[{"error":{}}]`, "", answer{Result: push.Result{Outcome: push.Retry, Reason: "HTTP 503"}}},
	} {
		got := result(c.status, []byte(c.body), c.retryAfter, noon)
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(answer{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		covered[got.Reason] = true
	}
	for code := range fcmCodes {
		if !covered[code] {
			t.Errorf("%s is in the table and not in this test", code)
		}
	}
}

// A status of Google's front end means the same with every status of HTTP that
// goes with it.
func TestFrontEndCodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		outcome push.Outcome
		status  int
		codes   string
	}{
		{push.Rejected, 400, "INVALID_ARGUMENT FAILED_PRECONDITION OUT_OF_RANGE"},
		{push.Rejected, 409, "ALREADY_EXISTS"},
		{push.Retry, 409, "ABORTED"},
		{push.Retry, 499, "CANCELLED"},
		{push.Refused, 403, "PERMISSION_DENIED"},
		{push.Refused, 401, "UNAUTHENTICATED"},
		{push.Unregistered, 404, "NOT_FOUND"},
		{push.Retry, 500, "UNKNOWN INTERNAL DATA_LOSS"},
		{push.Retry, 503, "UNAVAILABLE"},
		{push.Retry, 504, "DEADLINE_EXCEEDED"},
	} {
		for _, code := range strings.Fields(c.codes) {
			if a := result(c.status, []byte(rpcBody(code)), "", noon); a.Outcome != c.outcome || a.Reason != code {
				t.Errorf("%d %s: %v %s, want %v", c.status, code, a.Outcome, a.Reason, c.outcome)
			}
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "12": 12 * time.Second, "-1": 0, "soon": 0, "99999999999": 0, "7200": time.Hour, "4294967295": time.Hour,
		noon.Add(3 * time.Second).Format(http.TimeFormat): 3 * time.Second,
		noon.Add(-time.Hour).Format(http.TimeFormat):      0,
		"Sat, 01 Aug 2099 12:00:00 GMT":                   time.Hour,
	} {
		if a := result(503, nil, value, noon); a.After != want {
			t.Errorf("Retry-After %q: %v, want %v", value, a.After, want)
		}
	}
}

func FuzzResult(f *testing.F) {
	f.Add(404, []byte(fcmBody("UNREGISTERED")), "5")
	f.Add(400, []byte(fcmBody("INVALID_ARGUMENT", violation("message.token"))), "")
	f.Add(429, []byte(rpcBody("RESOURCE_EXHAUSTED")), "Sat, 01 Aug 2026 12:00:00 GMT")
	f.Add(503, []byte(`{"error":{"details":[{"@type":"/google.rpc.RetryInfo","retryDelay":"-9223372036854775808s"}]}}`), "x")
	f.Add(401, []byte(`{`), "-3")
	f.Fuzz(func(t *testing.T, status int, body []byte, retryAfter string) {
		a := result(status, body, retryAfter, noon)
		if a.Outcome < push.Sent || a.Outcome > push.Refused {
			t.Errorf("outcome %v", a.Outcome)
		}
		if (a.Outcome == push.Sent) != (status == 200) {
			t.Errorf("%d is %v", status, a.Outcome)
		}
		_, own := fcmCodes[a.Reason]
		_, front := rpcCodes[a.Reason]
		if !own && !front && a.Reason != "" && a.Reason != fmt.Sprint("HTTP ", status) {
			t.Errorf("reason %q is from outside", a.Reason)
		}
		if a.After < 0 || a.After > maxPause || a.After > 0 && a.Outcome != push.Retry {
			t.Errorf("%v after %v", a.Outcome, a.After)
		}
		if (a.Outcome == push.Unregistered || a.Outcome == push.Rejected) && (status < 400 || status >= 500) {
			t.Errorf("%d ends a message as %v", status, a.Outcome)
		}
	})
}

// What the token endpoint says, never with its answer or the assertion in it.
func TestJudgeToken(t *testing.T) {
	t.Parallel()
	retrieve := func(status int, body, retryAfter string) error {
		return &oauth2.RetrieveError{Response: &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {retryAfter}}}, Body: []byte(body)}
	}
	for _, c := range []struct {
		name    string
		err     error
		outcome push.Outcome
		after   time.Duration
		says    string
	}{
		{"grant", retrieve(400, `{"error":"invalid_grant","error_description":"secret"}`, ""), push.Refused, 0, "get an access token: the token endpoint answered HTTP 400 invalid_grant"},
		{"unknown word", retrieve(401, `{"error":"secret"}`, ""), push.Refused, 0, "get an access token: the token endpoint answered HTTP 401"},
		{"wrong URL", retrieve(404, `secret`, ""), push.Refused, 0, "get an access token: the token endpoint answered HTTP 404"},
		{"busy", retrieve(429, ``, "9"), push.Down, 9 * time.Second, "get an access token: the token endpoint answered HTTP 429"},
		{"ill", retrieve(503, `secret`, ""), push.Down, 0, "get an access token: the token endpoint answered HTTP 503"},
		{"elsewhere", retrieve(302, `secret`, ""), push.Down, 0, "get an access token: the token endpoint answered HTTP 302"},
		{"away", errors.New("connection refused"), push.Down, 0, "get an access token: connection refused"},
		{"again", errStillRefused, push.Refused, 0, errStillRefused.Error()},
	} {
		r := judgeToken(t.Context(), c.err, noon)
		if r.Outcome != c.outcome || r.After != c.after || r.Err == nil || r.Err.Error() != c.says {
			t.Errorf("%s: %v after %v, %v; want %v after %v, %s", c.name, r.Outcome, r.After, r.Err, c.outcome, c.after, c.says)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if r := judgeToken(ended, errors.New("interrupted"), noon); r != (push.Result{Outcome: push.Retry}) {
		t.Errorf("when the context has ended: %+v", r)
	}
}
