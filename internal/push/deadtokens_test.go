package push_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/sandbox"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

func TestDeadTokensAreNotTriedAgain(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, url string) {
		var ahead atomic.Int64
		now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		sender := &fakeSender{answer: func(m push.Message) push.Result {
			if m.Token[0] == 'd' {
				return push.Result{Outcome: push.Unregistered, Reason: "ExpiredToken"}
			}
			return push.Result{Outcome: push.Sent}
		}}
		o := standOptions{url: url, now: now, cfg: push.Config{Apps: market()}, providers: map[push.Platform]push.Provider{push.APNS: always(sender), push.FCM: always(sender)}}
		s := newStand(t, o)
		want := client.PushStatus{Total: 3, Sent: 1, Unregistered: 2, Reasons: map[string]int{"ExpiredToken": 2}}
		send := func() {
			t.Helper()
			if diff := cmp.Diff(want, s.ended(s.send("", to(push.APNS, "dead1", "dead2", "alive"))), ignoreOrigin); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		}
		asked := func(n int64) {
			t.Helper()
			if got := sender.total.Swap(0); got != n {
				t.Errorf("the provider was asked for %d tokens, want %d", got, n)
			}
		}
		send()
		asked(3)
		send()
		asked(1)
		eventually(t, func() bool {
			n, _ := s.metric("furima_push_dead_token_hits_total", "app", "market", "provider", "apns")
			return n == 2
		}, s.logs.String)
		if n, _ := s.metric("furima_push_dead_tokens"); n != 2 {
			t.Errorf("%v tokens are remembered", n)
		}
		eventually(t, func() bool { return len(feedback(s)) == 2 }, s.logs.String)
		s.ended(s.send("", to(push.FCM, "dead1"))) // another provider's token
		asked(1)
		// A restart knows what is on record.
		s.stop()
		s = newStand(t, o)
		eventually(t, func() bool { n, _ := s.metric("furima_push_dead_tokens"); return n == 3 }, s.logs.String)
		send()
		asked(1)
		// After a day it may have been registered again.
		ahead.Store(int64(25 * time.Hour))
		send()
		asked(3)
	})
}

func TestDeadTokenCacheCanBeOff(t *testing.T) {
	t.Parallel()
	sender := &fakeSender{answer: dead}
	s := newStand(t, standOptions{url: sqldbtest.SQLite(t), cfg: push.Config{Apps: market(), DeadTokenCache: -1},
		providers: map[push.Platform]push.Provider{push.APNS: always(sender)}})
	for range 3 {
		s.ended(s.send("", to(push.APNS, token(1))))
	}
	if n := sender.total.Load(); n != 3 {
		t.Errorf("asked %d times, want every time", n)
	}
}

// What was the app's fault, and is mended, is not held against its tokens.
func TestDeadTokensOfOldCredentialsAreTriedAgain(t *testing.T) {
	t.Parallel()
	var mended atomic.Bool
	s := newStand(t, standOptions{url: sqldbtest.SQLite(t), cfg: reloadable(push.Config{Apps: market()}),
		providers: map[push.Platform]push.Provider{push.APNS: always(&fakeSender{answer: func(m push.Message) push.Result {
			if mended.Load() {
				return push.Result{Outcome: push.Sent}
			}
			return push.Result{Outcome: push.Unregistered, Reason: m.Token}
		}})}})
	for range 2 {
		if st := s.ended(s.send("", to(push.APNS, "BadDeviceToken", "Unregistered"))); st.Unregistered != 2 {
			t.Errorf("before: %+v", st)
		}
	}
	mended.Store(true)
	cfg := reloadable(push.Config{Apps: market()})
	cfg.Apps[0].APNS = credentials(startApple(t, sandbox.AppleOptions{Dir: t.TempDir(), Phones: sandbox.NewPhones(sandbox.PhonesOptions{})}))
	if err := s.gw.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	if st := s.ended(s.send("", to(push.APNS, "BadDeviceToken", "Unregistered"))); st.Sent != 2 {
		t.Errorf("after a change of credentials: %+v", st)
	}
}
