package push_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/sandbox"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

func problemOf(t *testing.T, err error) *client.Problem {
	t.Helper()
	p, ok := errors.AsType[*client.Problem](err)
	if !ok {
		t.Fatalf("%v is no problem", err)
	}
	return p
}

// call sends a request as it is and returns the answer.
func (r *rig) call(method, path, body string, header ...string) (*http.Response, []byte) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.server.URL+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := r.server.Client().Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res, raw
}

func TestProblems(t *testing.T) {
	t.Parallel()
	r := newRig(t, sqldbtest.SQLite(t), func(c *push.Config) { c.MaxRequestBytes = 200_000 })
	const secret = "5ec4e7"
	notification := func(fields string) string { return `{"notifications":[{"platform":"apns",` + fields + `}]}` }
	list := func(n int) string { return `["` + strings.Join(tokens(0, n), `","`) + `"]` }
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		code               client.Code
		pointer            string
	}{
		"no JSON":                  {"POST", "/v1/push", `{"notifications":`, 400, client.Invalid, ""},
		"empty":                    {"POST", "/v1/push", ``, 400, client.Invalid, ""},
		"too large":                {"POST", "/v1/push", strings.Repeat(" ", 200_001), 413, client.Invalid, ""},
		"unknown field":            {"POST", "/v1/push", notification(`"tokens":["aa"],"titel":"` + secret + `"`), 422, client.Invalid, "/notifications/0/titel"},
		"no notification":          {"POST", "/v1/push", `{"notifications":[]}`, 422, client.Invalid, "/notifications"},
		"no app of that name":      {"POST", "/v1/push", `{"app":"` + secret + `","notifications":[{"platform":"apns","tokens":["aa"],"title":"t"}]}`, 422, client.Invalid, "/app"},
		"no platform":              {"POST", "/v1/push", `{"notifications":[{"tokens":["aa"],"title":"t"}]}`, 422, client.Invalid, "/notifications/0/platform"},
		"unknown platform":         {"POST", "/v1/push", `{"notifications":[{"platform":"` + secret + `","tokens":["aa"],"title":"t"}]}`, 422, client.Invalid, "/notifications/0/platform"},
		"platform not configured":  {"POST", "/v1/push", `{"platform":"fcm","tokens":["aa"],"title":"t"}`, 422, client.Invalid, "/platform"},
		"no tokens":                {"POST", "/v1/push", notification(`"title":"t"`), 422, client.Invalid, "/notifications/0/tokens"},
		"empty token":              {"POST", "/v1/push", notification(`"tokens":["aa",""],"title":"t"`), 422, client.Invalid, "/notifications/0/tokens/1"},
		"token with a newline":     {"POST", "/v1/push", notification(`"tokens":["a\nb"],"title":"t"`), 422, client.Invalid, "/notifications/0/tokens/0"},
		"token with a space":       {"POST", "/v1/push", notification(`"tokens":["` + secret + ` b"],"title":"t"`), 422, client.Invalid, "/notifications/0/tokens/0"},
		"1,001 tokens":             {"POST", "/v1/push", notification(`"title":"t","tokens":` + list(1001)), 422, client.Invalid, "/notifications/0/tokens"},
		"1,001 tokens, single":     {"POST", "/v1/push", `{"platform":"apns","title":"t","tokens":` + list(1001) + `}`, 422, client.Invalid, "/tokens"},
		"4,097 bytes":              {"POST", "/v1/push", notification(`"tokens":["aa"],"body":"` + strings.Repeat("x", 4097-len(`{"aps":{"alert":{"body":""}}}`)) + `"`), 422, client.Invalid, "/notifications/0"},
		"nothing to show":          {"POST", "/v1/push", notification(`"tokens":["aa"]`), 422, client.Invalid, "/notifications/0"},
		"ttl below 0":              {"POST", "/v1/push", notification(`"tokens":["aa"],"title":"t","ttl":-1`), 422, client.Invalid, "/notifications/0/ttl"},
		"ttl of a year":            {"POST", "/v1/push", notification(`"tokens":["aa"],"title":"t","ttl":"8760h"`), 422, client.Invalid, "/notifications/0/ttl"},
		"unknown priority":         {"POST", "/v1/push", notification(`"tokens":["aa"],"title":"t","priority":"` + secret + `"`), 422, client.Invalid, "/notifications/0/priority"},
		"long collapse id":         {"POST", "/v1/push", notification(`"tokens":["aa"],"title":"t","collapse_id":"` + strings.Repeat("c", 65) + `"`), 422, client.Invalid, "/notifications/0/collapse_id"},
		"collapse id of two lines": {"POST", "/v1/push", notification(`"tokens":["aa"],"title":"t","collapse_id":"a\r\nb"`), 422, client.Invalid, "/notifications/0/collapse_id"},
		"send_at far off":          {"POST", "/v1/push", notification(`"tokens":["aa"],"title":"t","send_at":"2099-01-01T00:00:00Z"`), 422, client.Invalid, "/notifications/0/send_at"},
		"no such request":          {"GET", "/v1/push/pu_0", "", 404, client.NotFound, ""},
		"no id":                    {"GET", "/v1/push/it_1", "", 404, client.NotFound, ""},
		"no such to cancel":        {"DELETE", "/v1/push/pu_04", "", 404, client.NotFound, ""},
		"bad cursor":               {"GET", "/v1/feedback?cursor=" + secret, "", 400, client.Invalid, ""},
		"bad limit":                {"GET", "/v1/feedback?limit=0", "", 422, client.Invalid, "query/limit"},
		"other method":             {"PUT", "/v1/push", "", 405, client.Invalid, ""},
		"other method of feedback": {"POST", "/v1/feedback", "", 405, client.Invalid, ""},
		"other path":               {"GET", "/v1/pushes", "", 404, client.NotFound, ""},
	} {
		t.Run(name, func(t *testing.T) {
			res, raw := r.call(c.method, c.path, c.body)
			var p client.Problem
			if err := json.Unmarshal(raw, &p); err != nil {
				t.Fatalf("%d %q: %v", res.StatusCode, raw, err)
			}
			if res.StatusCode != c.status || p.Status != c.status || p.Code != c.code || res.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%d %s", res.StatusCode, raw)
			}
			if p.RequestID == "" || p.RequestID != res.Header.Get("X-Request-Id") {
				t.Errorf("request id %q", p.RequestID)
			}
			switch {
			case c.pointer == "" && len(p.Errors) > 0, c.pointer != "" && (len(p.Errors) != 1 || p.Errors[0].Pointer != c.pointer):
				t.Errorf("errors %+v, want one at %q", p.Errors, c.pointer)
			}
			if strings.Contains(string(raw), secret) {
				t.Errorf("the answer repeats what was sent: %s", raw)
			}
			if c.status == 405 && res.Header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
	if stats, err := r.queue.Stats(t.Context()); err != nil || len(stats) > 0 || r.gw.Stats("").Backlog != 0 {
		t.Errorf("something was taken: %+v, %v", stats, err)
	}
	if strings.Contains(r.logs.String(), secret) {
		t.Error("the log repeats what was sent")
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, sqldbtest.SQLite(t), nil)
	_, err := r.client.Send(t.Context(), client.PushRequest{Notifications: []client.Notification{
		sold(token(1)),
		{Platform: client.APNS, Tokens: []string{""}, Title: "t", Priority: "x"},
		{Platform: client.APNS, Tokens: []string{"aa"}, Title: "t", APNS: &client.APNSOverride{PushType: "x", Topic: "?"}},
	}})
	var got []string
	for _, e := range problemOf(t, err).Errors {
		got = append(got, e.Pointer)
	}
	want := []string{"/notifications/1/tokens/0", "/notifications/1/priority", "/notifications/2/apns/push_type", "/notifications/2/apns/topic"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pointers (-want +got):\n%s", diff)
	}
	if total, _ := r.phones.Received(); total != 0 {
		t.Error("the notification that was right was sent")
	}
}

func TestASingleNotification(t *testing.T) {
	t.Parallel()
	r := newRig(t, sqldbtest.SQLite(t), nil)
	// As curl -d sends it.
	res, raw := r.call("POST", "/v1/push", `{"app":"market","platform":"apns","tokens":["`+token(1)+`"],"title":"Sold!","ttl":60}`, "Content-Type", "application/x-www-form-urlencoded")
	var accepted client.PushAccepted
	if err := json.Unmarshal(raw, &accepted); err != nil || res.StatusCode != 202 || accepted.Accepted != 1 {
		t.Fatalf("%d %s", res.StatusCode, raw)
	}
	if st := r.ended(accepted.ID); st.Sent != 1 {
		t.Errorf("status %+v", st)
	}
}

func TestBearerTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t, sqldbtest.SQLite(t), func(c *push.Config) {
		other := c.Apps[0]
		other.Name, other.Tokens = "other", []string{"of-other"}
		c.Apps = append(c.Apps, other)
		c.Tokens = []string{"of-all"}
	})
	as := func(token string) *client.Push {
		return client.NewPush(client.PushOptions{URL: r.server.URL, Token: token, HTTPClient: r.server.Client()})
	}
	send := func(token, app string) (client.PushAccepted, int) {
		t.Helper()
		accepted, err := as(token).Send(t.Context(), client.PushRequest{App: app, Notifications: []client.Notification{sold(sandbox.DeadPrefix + "00000000000000000000000000000000000000000000000000000000")}})
		if err != nil {
			return accepted, problemOf(t, err).Status
		}
		return accepted, 202
	}
	for _, c := range []struct {
		token, app string
		status     int
	}{
		{"", "market", 401}, {"wrong", "market", 401}, {"of-all", "market", 202}, {"of-all", "other", 202}, {"of-all", "", 202},
		{"of-other", "other", 202}, {"of-other", "", 202}, {"of-other", "market", 403}, {"of-other", "nobody", 403},
	} {
		if _, status := send(c.token, c.app); status != c.status {
			t.Errorf("token %q for app %q: %d, want %d", c.token, c.app, status, c.status)
		}
	}
	mine, _ := send("of-other", "")
	theirs, _ := send("of-all", "market")
	for token, want := range map[string]map[string]int{
		"of-all":   {mine.ID: 200, theirs.ID: 200},
		"of-other": {mine.ID: 200, theirs.ID: 404},
		"":         {mine.ID: 401},
	} {
		for id, status := range want {
			eventually(t, func() bool {
				st, err := as(token).Status(t.Context(), id)
				if err == nil {
					return status == 200 && st.Waiting == 0
				}
				return problemOf(t, err).Status == status
			}, func() string { return token + " " + id })
		}
	}
	if _, err := as("of-other").Cancel(t.Context(), theirs.ID); err == nil || problemOf(t, err).Status != 404 {
		t.Errorf("cancel the request of another app: %v", err)
	}
	// It is told of a moment after the request's state.
	var page client.FeedbackPage
	eventually(t, func() bool {
		var err error
		page, err = as("of-other").Feedback(t.Context(), "", 0)
		return err == nil && len(page.Tokens) > 0
	}, func() string { return "no feedback of its own app" })
	for _, d := range page.Tokens {
		if d.App != "other" {
			t.Errorf("feedback of app %s", d.App)
		}
	}
	if res, _ := r.call("GET", "/v1/feedback", "", "Authorization", "Basic of-all"); res.StatusCode != 401 || res.Header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("with another scheme: %d %q", res.StatusCode, res.Header.Get("WWW-Authenticate"))
	}
}

func TestBrowsersOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, sqldbtest.SQLite(t), nil)
	body := `{"platform":"apns","tokens":["` + token(1) + `"],"title":"x"}`
	if res, raw := r.call("POST", "/v1/push", body, "Sec-Fetch-Site", "cross-site", "Content-Type", "text/plain"); res.StatusCode != 403 {
		t.Errorf("%d %s", res.StatusCode, raw)
	}
}

func TestStoreAway(t *testing.T) {
	t.Parallel()
	r := newRig(t, sqldbtest.SQLite(t), nil)
	r.send(sold(token(1)))
	server := r.server
	handler := server.Config.Handler
	r.stop() // closes the database; the handler is asked once more, as in a stop that is too slow for a client
	rec := newRecorder()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/push", strings.NewReader(`{"platform":"apns","tokens":["aa"],"title":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	handler.ServeHTTP(rec, req)
	var p client.Problem
	if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || rec.Code != 503 || p.Code != client.Unavailable || rec.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}
