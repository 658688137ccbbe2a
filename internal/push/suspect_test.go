package push_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

func feedback(s *stand) []client.DeadToken {
	s.t.Helper()
	w := ask(s.handler, "GET", "/v1/feedback", "", "")
	var page client.FeedbackPage
	decode(s.t, w.Body.Bytes(), &page)
	return page.Tokens
}

func TestWrongTopicBuriesNoToken(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{"BadDeviceToken", "DeviceTokenNotForTopic"} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			var mended atomic.Bool
			s := newStand(t, standOptions{url: sqldbtest.SQLite(t), cfg: push.Config{Apps: market()}, providers: map[push.Platform]push.Provider{
				push.APNS: always(&fakeSender{answer: func(m push.Message) push.Result {
					if mended.Load() || m.Token == token(1) {
						return push.Result{Outcome: push.Sent}
					}
					return push.Result{Outcome: push.Unregistered, Reason: reason}
				}}),
			}})
			if st := s.ended(s.send("", to(push.APNS, token(1)))); st.Sent != 1 {
				t.Fatalf("before: %+v", st)
			}
			id := s.send("", to(push.APNS, tokens(1000, 500)...))
			eventually(t, func() bool {
				n, _ := s.metric("furima_push_breaker_state", "app", "market", "provider", "apns", "state", "suspect")
				return n == 1
			}, s.logs.String)
			eventually(t, func() bool { // probes have been made, and brought nothing
				n, _ := s.metric("furima_push_results_total", "reason", reason)
				return n > 520
			}, s.logs.String)
			if st := s.status(id); st.Waiting != 500 {
				t.Errorf("messages ended: %+v", st)
			}
			if dead := feedback(s); len(dead) != 0 {
				t.Errorf("%d tokens were reported dead", len(dead))
			}
			if !strings.Contains(s.logs.String(), "level=ERROR") || strings.Count(s.logs.String(), "knows none of the app's tokens") != 1 {
				t.Errorf("not one clear line in the log:\n%s", s.logs)
			}
			if held := s.gw.Stats("").Platforms[push.APNS]; held.Held != "suspect" || held.Reason != reason {
				t.Errorf("stats say %+v", held)
			}
			if d := s.gw.Degraded(); d == nil || !strings.Contains(d.Error(), "app market at apns: suspect ("+reason+")") {
				t.Errorf("degraded: %v", d)
			}
			mended.Store(true)
			if st := s.ended(id); st.Sent != 500 {
				t.Errorf("after it was mended: %+v", st)
			}
			if d := s.gw.Degraded(); d != nil {
				t.Errorf("still degraded: %v", d)
			}
		})
	}
}

// A list of old tokens, of which most are bad, is no wrong topic.
func TestSingleBadTokensAreBuried(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ good, bad int }{
		"few, and none good":       {0, 49},
		"many, and one good":       {1, 400},
		"the good one comes later": {0, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t, standOptions{url: sqldbtest.SQLite(t), cfg: push.Config{Apps: market()}, providers: map[push.Platform]push.Provider{
				push.APNS: always(&fakeSender{answer: func(m push.Message) push.Result {
					if m.Token[0] == 'f' {
						return push.Result{Outcome: push.Unregistered, Reason: "BadDeviceToken"}
					}
					return push.Result{Outcome: push.Sent}
				}}),
			}})
			ts := tokens(0, c.good)
			for _, bad := range tokens(5000, c.bad) {
				ts = append(ts, "f"+bad)
			}
			id := s.send("", to(push.APNS, ts...))
			if c.good == 0 && c.bad > 50 {
				eventually(t, func() bool { return s.gw.Degraded() != nil }, s.logs.String)
				s.ended(s.send("", to(push.APNS, token(1)))) // a probe, sooner or later
			}
			want := client.PushStatus{Total: c.good + c.bad, Sent: c.good, Unregistered: c.bad, Reasons: map[string]int{"BadDeviceToken": c.bad}}
			if diff := cmp.Diff(want, s.ended(id), ignoreOrigin); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
			eventually(t, func() bool { return len(feedback(s)) == c.bad }, s.logs.String)
		})
	}
}

// One provider that is away, refuses or is suspect keeps nothing of another from
// being delivered, nor of another app.
func TestOneFailingProviderDelaysNoOther(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]push.Result{
		"down":    {Outcome: push.Down, Reason: "Unreachable"},
		"refused": {Outcome: push.Refused, Reason: "InvalidProviderToken"},
		"suspect": {Outcome: push.Unregistered, Reason: "BadDeviceToken"},
		"busy":    {Outcome: push.Retry, Reason: "ServiceUnavailable", After: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good := &fakeSender{answer: sentAll}
			s := newStand(t, standOptions{
				url: sqldbtest.SQLite(t),
				cfg: push.Config{Workers: 2, Apps: []push.AppConfig{{Name: "market"}, {Name: "other"}}},
				providers: map[push.Platform]push.Provider{
					push.FCM: always(good),
					push.APNS: provider(func(app push.AppConfig) (push.Sender, error) {
						if app.Name == "other" {
							return good, nil
						}
						return &fakeSender{answer: func(push.Message) push.Result { return r }}, nil
					}),
				},
			})
			var stuck []string
			for i := range 5 { // more requests than there are workers
				stuck = append(stuck, s.send("market", to(push.APNS, tokens(1000*i, 100)...)))
			}
			eventually(t, func() bool { return s.gw.Degraded() != nil }, s.logs.String)
			for range 10 {
				for app, p := range map[string]push.Platform{"market": push.FCM, "other": push.APNS} {
					if st := s.ended(s.send(app, to(p, tokens(0, 50)...))); st.Sent != 50 {
						t.Fatalf("%s at %s: %+v", app, p, st)
					}
				}
			}
			for _, id := range stuck {
				if st := s.status(id); st.Waiting != 100 {
					t.Errorf("of the failing one: %+v", st)
				}
			}
		})
	}
}

// A Retry-After of the provider is kept to, by everything that it concerns.
func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	var first, second atomic.Int64
	s := newStand(t, standOptions{url: sqldbtest.SQLite(t), cfg: push.Config{Apps: market()}, providers: map[push.Platform]push.Provider{
		push.FCM: always(&fakeSender{answer: func(push.Message) push.Result {
			if first.CompareAndSwap(0, time.Now().UnixNano()) {
				return push.Result{Outcome: push.Retry, Reason: "UNAVAILABLE", After: 700 * time.Millisecond}
			}
			second.Store(time.Now().UnixNano())
			return push.Result{Outcome: push.Sent}
		}}),
	}})
	if st := s.ended(s.send("", to(push.FCM, token(1)))); st.Sent != 1 {
		t.Errorf("status %+v", st)
	}
	if waited := time.Duration(second.Load() - first.Load()); waited < 700*time.Millisecond {
		t.Errorf("tried again after %v", waited)
	}
}

// However long a provider asks to wait, a message whose time is over says so.
func TestBackOffEndsWithTheTTL(t *testing.T) {
	t.Parallel()
	s := newStand(t, standOptions{url: sqldbtest.SQLite(t), cfg: push.Config{Apps: market()}, providers: map[push.Platform]push.Provider{
		push.FCM: always(&fakeSender{answer: func(push.Message) push.Result {
			return push.Result{Outcome: push.Retry, Reason: "QUOTA_EXCEEDED", After: 24 * time.Hour}
		}}),
	}})
	n := to(push.FCM, tokens(0, 30)...)
	n.TTL = push.Duration(time.Second)
	want := client.PushStatus{Total: 30, Expired: 30, Reasons: map[string]int{"QUOTA_EXCEEDED": 30}}
	if diff := cmp.Diff(want, s.ended(s.send("", n)), ignoreOrigin); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}
