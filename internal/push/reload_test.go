package push_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/sandbox"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

// reloadable makes a configuration that is complete, as one from a file.
func reloadable(c push.Config) push.Config {
	c.Listen, c.Store = "127.0.0.1:1056", "sqlite:unused.db"
	return c
}

func TestReloadTriesARepairedKeyAtOnce(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "key.p8")
	r := newRig(t, sqldbtest.SQLite(t), func(c *push.Config) {
		*c = reloadable(*c)
		raw, err := os.ReadFile(c.Apps[0].APNS.KeyFile)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(key, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		c.Apps[0].APNS.KeyFile = key
		c.Apps[0].APNS.KeyID = "REVOKEDKEY"
		c.RetryMin, c.RetryMax = time.Hour, time.Hour // nothing is tried again by itself
	})
	id := r.send(sold(tokens(0, 300)...))
	r.logged("level=ERROR", "refuses the app", "app=market", "reason=InvalidProviderToken")
	if err := r.gw.Reload(r.cfg); err != nil {
		t.Fatal(err)
	}
	if held := r.gw.Stats("").Platforms[push.APNS]; held.Held != "refused" {
		t.Errorf("a reload without a change made of the breaker: %+v", held)
	}
	r.cfg.Apps[0].APNS.KeyID = sandbox.KeyID
	if err := r.gw.Reload(r.cfg); err != nil {
		t.Fatal(err)
	}
	if st := r.ended(id); st.Sent != 300 {
		t.Errorf("status %+v", st)
	}
	// The same path, another key in it.
	other := startApple(t, sandbox.AppleOptions{Dir: t.TempDir(), Phones: r.phones})
	raw, err := os.ReadFile(other.KeyFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.gw.Reload(r.cfg); err != nil {
		t.Fatal(err)
	}
	r.logged("push configuration reloaded", "senders_replaced=1")
	id = r.send(sold(token(1000)))
	eventually(t, func() bool { return r.gw.Stats("").Platforms[push.APNS].Held == "refused" }, r.logs.String)
	if st := r.status(id); st.Waiting != 1 {
		t.Errorf("the new content of the file is not used: %+v", st)
	}
}

// hang is an answer that comes when the channel is closed.
func hang(until <-chan struct{}) func(push.Message) push.Result {
	return func(push.Message) push.Result {
		<-until
		return push.Result{Outcome: push.Sent}
	}
}

func TestReloadEndsWhatIsUnderWayWithTheOldSender(t *testing.T) {
	t.Parallel()
	answer := make(chan struct{})
	oldSender, newSender := &fakeSender{answer: hang(answer)}, &fakeSender{answer: sentAll}
	s := newStand(t, standOptions{
		url: sqldbtest.SQLite(t), cfg: reloadable(push.Config{Apps: market()}),
		providers: map[push.Platform]push.Provider{push.WebPush: provider(func(app push.AppConfig) (push.Sender, error) {
			if app.WebPush.Timeout == 0 {
				return oldSender, nil
			}
			return newSender, nil
		})},
	})
	first := s.send("", to(push.WebPush, token(1)))
	eventually(t, func() bool { return oldSender.now.Load() == 1 }, s.logs.String)
	cfg := reloadable(push.Config{Apps: market()})
	cfg.Apps[0].WebPush = vapid(t, time.Minute)
	if err := s.gw.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	if st := s.ended(s.send("", to(push.WebPush, tokens(10, 20)...))); st.Sent != 20 || newSender.total.Load() != 20 {
		t.Errorf("after the reload: %+v, %d by the new sender", st, newSender.total.Load())
	}
	if oldSender.closed.Load() {
		t.Error("the old sender was closed with a message under way")
	}
	close(answer)
	if st := s.ended(first); st.Sent != 1 {
		t.Errorf("what was under way: %+v", st)
	}
	eventually(t, oldSender.closed.Load, s.logs.String)
	s.stop()
	if !newSender.closed.Load() || oldSender.late.Load()+newSender.late.Load() != 0 {
		t.Errorf("closed %v, batches after that %d and %d", newSender.closed.Load(), oldSender.late.Load(), newSender.late.Load())
	}
}

func TestReloadAddsAndRemovesApps(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, url string) {
		var mu sync.Mutex
		opened := map[string]int{}
		var failing atomic.Bool
		s := newStand(t, standOptions{
			url: url, cfg: reloadable(push.Config{Apps: market()}),
			providers: map[push.Platform]push.Provider{push.APNS: provider(func(app push.AppConfig) (push.Sender, error) {
				mu.Lock()
				opened[app.Name]++
				mu.Unlock()
				return &fakeSender{answer: func(push.Message) push.Result {
					if app.Name == "second" && failing.Load() {
						return push.Result{Outcome: push.Down, Reason: "Unreachable"}
					}
					return push.Result{Outcome: push.Sent}
				}}, nil
			})},
		})
		one := reloadable(push.Config{Apps: market()})
		two := reloadable(push.Config{Apps: []push.AppConfig{{Name: "market"}, {Name: "second"}}})
		if err := s.gw.Reload(two); err != nil {
			t.Fatal(err)
		}
		if st := s.ended(s.send("second", to(push.APNS, tokens(0, 10)...))); st.Sent != 10 {
			t.Errorf("the new app: %+v", st)
		}
		failing.Store(true)
		var kept []string
		for i := range 20 {
			kept = append(kept, s.send("second", to(push.APNS, tokens(100*i, 50)...)))
		}
		eventually(t, func() bool { return s.gw.Degraded() != nil }, s.logs.String)
		if err := s.gw.Reload(one); err != nil {
			t.Fatal(err)
		}
		_, err := s.gw.Accept(t.Context(), push.Request{App: "second", Notifications: []push.Notification{to(push.APNS, token(1))}})
		if _, ok := errors.AsType[*push.InvalidError](err); !ok {
			t.Errorf("an app that is gone is taken notifications for: %v", err)
		}
		eventually(t, func() bool { // its worker has ended
			_, there := s.metric("furima_push_paused", "app", "second")
			return !there && s.gw.Degraded() == nil
		}, s.logs.String)
		if st := s.ended(s.send("market", to(push.APNS, tokens(0, 10)...))); st.Sent != 10 {
			t.Errorf("the app that stays: %+v", st)
		}
		failing.Store(false)
		if err := s.gw.Reload(two); err != nil {
			t.Fatal(err)
		}
		for _, id := range kept {
			if st := s.ended(id); st.Sent != 50 {
				t.Errorf("what had waited for the app: %+v", st)
			}
		}
		if diff := cmp.Diff(map[string]int{"market": 1, "second": 2}, opened); diff != "" {
			t.Errorf("senders opened (-want +got):\n%s", diff)
		}
	})
}

func TestReloadWithAnErrorChangesNothing(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var opened []*fakeSender
	broken := errors.New("no such key")
	s := newStand(t, standOptions{
		url: sqldbtest.SQLite(t), cfg: reloadable(push.Config{Apps: market(), Tokens: []string{"old"}, MaxBacklog: 1000}),
		providers: map[push.Platform]push.Provider{push.APNS: provider(func(app push.AppConfig) (push.Sender, error) {
			if app.Name == "broken" {
				return nil, broken
			}
			mu.Lock()
			defer mu.Unlock()
			opened = append(opened, &fakeSender{answer: sentAll})
			return opened[len(opened)-1], nil
		})},
	})
	err := s.gw.Reload(reloadable(push.Config{
		Tokens: []string{"new"}, MaxBacklog: 5,
		Apps: []push.AppConfig{{Name: "market"}, {Name: "fresh"}, {Name: "broken"}},
	}))
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "broken") {
		t.Errorf("error %v", err)
	}
	err = s.gw.Reload(reloadable(push.Config{Workers: -1, RetryMin: -1, Apps: []push.AppConfig{{Name: "bad name!"}}}))
	for _, want := range []string{"push.workers:", "push.retry_min:", "push.apps[0].name:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v has no %s", err, want)
		}
	}
	if len(opened) != 2 || opened[0].closed.Load() || !opened[1].closed.Load() {
		t.Errorf("opened %d senders; the one in use is closed: %v", len(opened), opened[0].closed.Load())
	}
	if w := ask(s.handler, "GET", "/v1/feedback", "new", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("the new token is let in: %d", w.Code)
	}
	if w := ask(s.handler, "GET", "/v1/feedback", "old", ""); w.Code != http.StatusOK {
		t.Errorf("the old token is not: %d", w.Code)
	}
	if st := s.gw.Stats("fresh"); st.MaxBacklog != 1000 || len(st.Platforms) != 0 {
		t.Errorf("stats %+v", st)
	}
	if st := s.ended(s.send("market", to(push.APNS, token(1)))); st.Sent != 1 {
		t.Errorf("status %+v", st)
	}
}

func TestReloadReplacesTokensAndLimits(t *testing.T) {
	t.Parallel()
	s := newStand(t, standOptions{
		url: sqldbtest.SQLite(t), cfg: reloadable(push.Config{Apps: market(), Tokens: []string{"old"}}),
		providers: map[push.Platform]push.Provider{push.APNS: always(&fakeSender{answer: sentAll})},
	})
	cfg := reloadable(push.Config{Apps: market(), Tokens: []string{"new"}, MaxBacklog: 2, MaxRequestBytes: 200, Workers: 3})
	if err := s.gw.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(s.logs.String(), "push.workers") {
		t.Errorf("what needs a restart is not named:\n%s", s.logs)
	}
	for _, c := range []struct {
		token, body string
		want        int
	}{
		{"old", `{}`, 401},
		{"new", `{"notifications":[{"platform":"apns","tokens":["a","b","c"],"title":"x"}]}`, 429},
		{"new", `{"notifications":[{"platform":"apns","tokens":["a"],"title":"` + strings.Repeat("x", 200) + `"}]}`, 413},
	} {
		if w := ask(s.handler, "POST", "/v1/push", c.token, c.body); w.Code != c.want {
			t.Errorf("%s %.40s: %d %s, want %d", c.token, c.body, w.Code, w.Body, c.want)
		}
	}
	s.stop()
	if err := s.gw.Reload(cfg); err == nil {
		t.Error("a gateway that has ended reloads")
	}
}

// Reloads, deliveries and requests at once lose and repeat nothing.
func TestReloadsUnderLoad(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	got := map[string]int{}
	count := &fakeSender{answer: func(m push.Message) push.Result {
		mu.Lock()
		defer mu.Unlock()
		got[m.Token]++
		return push.Result{Outcome: push.Sent}
	}}
	var late atomic.Int64
	s := newStand(t, standOptions{
		url: sqldbtest.SQLite(t), cfg: reloadable(push.Config{Apps: market()}),
		providers: map[push.Platform]push.Provider{push.WebPush: provider(func(push.AppConfig) (push.Sender, error) {
			return &wrapped{fakeSender: count, late: &late}, nil
		})},
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			cfg := reloadable(push.Config{Apps: market()})
			cfg.Apps[0].WebPush = vapid(t, time.Duration(i+1)*time.Second)
			if i%5 == 4 {
				cfg.Apps = []push.AppConfig{{Name: "another"}}
			}
			if err := s.gw.Reload(cfg); err != nil {
				t.Errorf("reload: %v", err)
				return
			}
			s.gw.SetMaxInFlight("market", i%3)
		}
	})
	var ids []string
	for i := 0; len(ids) < 100; i++ {
		accepted, err := s.gw.Accept(t.Context(), push.Request{App: "market", Notifications: []push.Notification{to(push.WebPush, tokens(100*len(ids), 100)...)}})
		if _, gone := errors.AsType[*push.InvalidError](err); gone {
			continue // the other configuration counts for a moment
		}
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, accepted.ID)
	}
	cancel()
	wg.Wait()
	cfg := reloadable(push.Config{Apps: market()})
	cfg.Apps[0].WebPush = vapid(t, time.Hour)
	if err := s.gw.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if st := s.ended(id); st.Sent != 100 {
			t.Errorf("status %+v", st)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	repeated := 0
	for _, n := range got {
		repeated += n - 1
	}
	if len(got) != 10_000 || repeated != 0 {
		t.Errorf("%d tokens got it, %d of them again", len(got), repeated)
	}
	if n := late.Load(); n != 0 {
		t.Errorf("%d batches went to a sender that was closed", n)
	}
}

// wrapped is a sender of its own before one that counts for all.
type wrapped struct {
	*fakeSender
	closed atomic.Bool
	late   *atomic.Int64
}

func (w *wrapped) Send(ctx context.Context, batch []push.Message, done func(int, push.Result)) {
	if w.closed.Load() {
		w.late.Add(1)
	}
	w.fakeSender.Send(ctx, batch, done)
	if w.closed.Load() {
		w.late.Add(1)
	}
}

func (w *wrapped) Close() error {
	w.closed.Store(true)
	return nil
}

func TestSetMaxInFlight(t *testing.T) {
	t.Parallel()
	free := make(chan struct{})
	sender := &fakeSender{}
	sender.answer = func(push.Message) push.Result {
		<-free
		return push.Result{Outcome: push.Sent}
	}
	s := newStand(t, standOptions{
		url: sqldbtest.SQLite(t), cfg: push.Config{Apps: market()},
		providers: map[push.Platform]push.Provider{push.APNS: always(sender)},
	})
	if st := s.gw.Stats(""); st.MaxInFlight != 6000 {
		t.Errorf("before: %+v", st)
	}
	s.gw.SetMaxInFlight("", 7)
	if st := s.gw.Stats("market"); st.MaxInFlight != 7 {
		t.Errorf("after: %+v", st)
	}
	var ids []string
	for i := range 10 {
		ids = append(ids, s.send("", to(push.APNS, tokens(10*i, 5)...)))
	}
	eventually(t, func() bool { return sender.now.Load() == 7 && s.gw.Stats("").InFlight == 7 }, s.logs.String)
	close(free)
	for _, id := range ids {
		if st := s.ended(id); st.Sent != 5 {
			t.Errorf("status %+v", st)
		}
	}
	if most := sender.most.Load(); most != 7 {
		t.Errorf("the sender had %d messages at once", most)
	}
	s.gw.SetMaxInFlight("market", 0)
	if st := s.gw.Stats(""); st.MaxInFlight != 6000 {
		t.Errorf("back to the configuration: %+v", st)
	}
	s.ended(s.send("", to(push.APNS, tokens(0, 500)...)))
	if most := sender.most.Load(); most != 500 {
		t.Errorf("without a bound the sender had %d messages at once", most)
	}
	s.gw.SetMaxInFlight("nobody", 3) // does nothing
}

// vapid returns the settings of an app that uses Web Push.
func vapid(t *testing.T, timeout time.Duration) push.WebPushConfig {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "vapid.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return push.WebPushConfig{KeyFile: path, Subject: "mailto:ops@example.com", Timeout: timeout}
}
