package push_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

func TestAuthorisation(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, url string) {
		s := newStand(t, standOptions{
			url:       url,
			cfg:       push.Config{Tokens: []string{"all"}, Apps: []push.AppConfig{{Name: "market", Tokens: []string{"m", "both"}}, {Name: "other", Tokens: []string{"o", "both"}}, {Name: "shut"}}},
			providers: map[push.Platform]push.Provider{push.APNS: always(&fakeSender{answer: dead})},
		})
		ids := map[string]string{}
		for _, app := range []string{"market", "other"} {
			s.ended(s.send(app, to(push.APNS, app+"-token")))
			ids[app] = s.send(app, later(push.APNS, token(1)))
		}
		eventually(t, func() bool {
			var page client.FeedbackPage
			decode(t, ask(s.handler, "GET", "/v1/feedback", "all", "").Body.Bytes(), &page)
			return len(page.Tokens) == 2
		}, s.logs.String)
		note := `{"app":"APP","platform":"apns","tokens":["x"],"title":"x","send_at":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"}`
		for _, c := range []struct {
			method, path, body string
			want               map[string]int // by token
		}{
			{"POST", "/v1/push", strings.Replace(note, "APP", "market", 1), map[string]int{"": 401, "x": 401, "m": 202, "o": 403, "both": 202, "all": 202}},
			{"POST", "/v1/push", strings.Replace(note, "APP", "other", 1), map[string]int{"": 401, "x": 401, "m": 403, "o": 202, "both": 202, "all": 202}},
			{"POST", "/v1/push", strings.Replace(note, `"app":"APP",`, "", 1), map[string]int{"": 401, "m": 202, "o": 202, "both": 202, "all": 202}}, // its own, or the first
			{"POST", "/v1/push", strings.Replace(note, "APP", "shut", 1), map[string]int{"": 401, "m": 403, "o": 403, "both": 403, "all": 202}},
			{"POST", "/v1/push", strings.Replace(note, "APP", "nobody", 1), map[string]int{"": 401, "m": 403, "all": 422}},
			{"GET", "/v1/push/" + ids["market"], "", map[string]int{"": 401, "x": 401, "m": 200, "o": 404, "both": 200, "all": 200}},
			{"GET", "/v1/push/" + ids["other"], "", map[string]int{"": 401, "x": 401, "m": 404, "o": 200, "both": 200, "all": 200}},
			{"GET", "/v1/push/pu_00", "", map[string]int{"": 401, "m": 404, "all": 404}},
			{"DELETE", "/v1/push/" + ids["market"], "", map[string]int{"": 401, "x": 401, "o": 404}},
			{"GET", "/v1/push/" + ids["market"], "", map[string]int{"m": 200}}, // which has cancelled nothing
			{"GET", "/v1/feedback", "", map[string]int{"": 401, "x": 401, "m": 200, "o": 200, "both": 200, "all": 200}},
			{"GET", "/v1/feedback?app=market", "", map[string]int{"": 401, "m": 200, "o": 404, "both": 200, "all": 200}},
			{"GET", "/v1/feedback?app=nobody", "", map[string]int{"": 401, "m": 404, "all": 404}},
			{"PUT", "/v1/push", "", map[string]int{"all": 405}},
			{"GET", "/v1/other", "", map[string]int{"all": 404}},
		} {
			for token, want := range c.want {
				w := ask(s.handler, c.method, c.path, token, c.body)
				if w.Code != want {
					t.Errorf("%s %s %.20s with %q: %d %s, want %d", c.method, c.path, c.body, token, w.Code, w.Body, want)
				}
				if w.Code == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") != "Bearer" {
					t.Errorf("%s %s: a 401 without WWW-Authenticate", c.method, c.path)
				}
				// What is not one's own looks as what is not there.
				if w.Code == http.StatusNotFound && (strings.Contains(w.Body.String(), "market") || strings.Contains(w.Body.String(), "other")) {
					t.Errorf("%s %s with %q tells: %s", c.method, c.path, token, w.Body)
				}
			}
		}
		var st client.PushStatus
		decode(t, ask(s.handler, "GET", "/v1/push/"+ids["market"], "m", "").Body.Bytes(), &st)
		if st.Waiting != 1 {
			t.Errorf("another app has cancelled it: %+v", st)
		}
		decode(t, ask(s.handler, "DELETE", "/v1/push/"+ids["market"], "m", "").Body.Bytes(), &st)
		if st.Cancelled != 1 {
			t.Errorf("its own app has not cancelled it: %+v", st)
		}
		for token, want := range map[string]string{"m": "market-token", "o": "other-token", "both": "market-token other-token", "all": "market-token other-token"} {
			var page client.FeedbackPage
			decode(t, ask(s.handler, "GET", "/v1/feedback", token, "").Body.Bytes(), &page)
			var got []string
			for _, d := range page.Tokens {
				got = append(got, d.Token)
			}
			if strings.Join(got, " ") != want {
				t.Errorf("feedback with %q: %q, want %q", token, got, want)
			}
		}
	})
}
