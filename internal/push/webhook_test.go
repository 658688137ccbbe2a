package push_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

const hookSecret = "a secret of some length"

// receiver is what an app runs to hear of its dead tokens.
type receiver struct {
	t      *testing.T
	server *httptest.Server
	answer atomic.Value // func(w http.ResponseWriter) bool: whether the page counts

	mu      sync.Mutex
	got     map[string]int
	pages   []int // tokens in each page that counted
	posts   int
	failure string // the first thing that was wrong
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{t: t, got: map[string]int{}}
	r.answer.Store(func(http.ResponseWriter) bool { return true })
	r.server = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.server.Close)
	t.Cleanup(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.failure != "" {
			t.Error(r.failure)
		}
	})
	return r
}

func (r *receiver) serve(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err == nil {
		err = client.VerifyWebhook(req.Header.Get(client.WebhookSignature), body, hookSecret, time.Now())
	}
	var page client.FeedbackPage
	if err == nil {
		decode(r.t, body, &page)
		if len(page.Tokens) == 0 || !strings.HasPrefix(page.NextCursor, "fb_") || req.Method != "POST" || req.Header.Get("Content-Type") != "application/json" {
			err = fmt.Errorf("%s of %s with %s", req.Method, req.Header.Get("Content-Type"), body)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.posts++
	if err != nil && r.failure == "" {
		r.failure = err.Error()
	}
	if !r.answer.Load().(func(http.ResponseWriter) bool)(w) {
		return
	}
	r.pages = append(r.pages, len(page.Tokens))
	for _, t := range page.Tokens {
		if t.App != "market" || t.Platform != client.APNS || t.Reason != "Unregistered" {
			r.failure = fmt.Sprintf("got %+v", t)
		}
		r.got[t.Token]++
	}
}

// has reports whether exactly n tokens have come, each once.
func (r *receiver) has(n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for token, times := range r.got {
		if times != 1 && r.failure == "" {
			r.failure = fmt.Sprintf("%s came %d times", token, times)
		}
	}
	return len(r.got) == n
}

func (r *receiver) count() (posts, pages int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.posts, len(r.pages)
}

func hooked(url string) push.Config {
	return reloadable(push.Config{Apps: []push.AppConfig{
		{Name: "market", Webhook: push.WebhookConfig{URL: url, Secret: hookSecret, BatchSize: 10, Interval: 20 * time.Millisecond, AllowPrivate: true}},
		{Name: "other"},
	}})
}

// dead answers that every token is.
func dead(push.Message) push.Result {
	return push.Result{Outcome: push.Unregistered, Reason: "Unregistered"}
}

func hookStand(t *testing.T, url string, cfg push.Config, now func() time.Time) *stand {
	t.Helper()
	return newStand(t, standOptions{url: url, cfg: cfg, now: now, providers: map[push.Platform]push.Provider{push.APNS: always(&fakeSender{answer: dead})}})
}

func TestWebhookGetsEveryDeadTokenOnce(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, url string) {
		r := newReceiver(t)
		s := hookStand(t, url, hooked(r.server.URL), nil)
		s.ended(s.send("other", to(push.APNS, tokens(9000, 5)...)))
		s.ended(s.send("market", to(push.APNS, tokens(0, 35)...)))
		eventually(t, func() bool { return r.has(35) }, s.logs.String)
		for _, n := range r.pages {
			if n > 10 {
				t.Errorf("pages of %v tokens, want 10 at most", r.pages)
			}
		}
		// After a restart it goes on, and repeats nothing.
		s.stop()
		s = hookStand(t, url, hooked(r.server.URL), nil)
		s.ended(s.send("market", to(push.APNS, tokens(100, 5)...)))
		eventually(t, func() bool { return r.has(40) }, s.logs.String)
		eventually(t, func() bool {
			n, _ := s.metric("furima_push_webhook_tokens_total", "app", "market")
			return n == 5
		}, s.logs.String)
	})
}

func TestWebhookThatFailsIsTriedOn(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, url string) {
		r := newReceiver(t)
		refuse := func(w http.ResponseWriter) bool {
			w.WriteHeader(http.StatusInternalServerError)
			return false
		}
		r.answer.Store(refuse)
		var ahead atomic.Int64
		now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		s := hookStand(t, url, hooked(r.server.URL), now)
		s.ended(s.send("market", to(push.APNS, tokens(0, 15)...)))
		eventually(t, func() bool { posts, _ := r.count(); return posts >= 1 }, s.logs.String)
		eventually(t, func() bool { return strings.Contains(s.logs.String(), "answered 500") }, s.logs.String)
		// Another process keeps to the pause that the first one has begun.
		posts, _ := r.count()
		s.stop()
		s = hookStand(t, url, hooked(r.server.URL), now)
		if again, _ := r.count(); again > posts+1 {
			t.Errorf("%d posts while it fails", again)
		}
		r.answer.Store(func(http.ResponseWriter) bool { return true })
		ahead.Store(int64(10 * time.Minute))
		eventually(t, func() bool { return r.has(15) }, s.logs.String)
	})
}

func TestWebhookKeepsToRetryAfter(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	r.answer.Store(func(w http.ResponseWriter) bool {
		w.Header().Set("Retry-After", "3000")
		w.WriteHeader(http.StatusServiceUnavailable)
		return false
	})
	var ahead atomic.Int64
	s := hookStand(t, sqldbtest.SQLite(t), hooked(r.server.URL), func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
	s.ended(s.send("market", to(push.APNS, token(1))))
	eventually(t, func() bool { return strings.Contains(s.logs.String(), "answered 503") }, s.logs.String)
	r.answer.Store(func(http.ResponseWriter) bool { return true })
	ahead.Store(int64(2900 * time.Second))
	s.ended(s.send("other", to(push.APNS, token(2)))) // some rounds later
	if r.has(1) {
		t.Error("posted before the time that the answer named")
	}
	ahead.Store(int64(3100 * time.Second))
	eventually(t, func() bool { return r.has(1) }, s.logs.String)
}

func TestTwoGatewaysPostOnce(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	url := sqldbtest.MariaDB(t)
	a := hookStand(t, url, hooked(r.server.URL), nil)
	b := hookStand(t, url, hooked(r.server.URL), nil)
	for i := range 20 {
		s := a
		if i%2 == 0 {
			s = b
		}
		s.ended(s.send("market", to(push.APNS, tokens(10*i, 10)...)))
	}
	eventually(t, func() bool { return r.has(200) }, func() string { return a.logs.String() + b.logs.String() })
	a.stop()
	b.ended(b.send("market", to(push.APNS, tokens(1000, 10)...)))
	eventually(t, func() bool { return r.has(210) }, b.logs.String)
}

func TestWebhookGoesNowhereElse(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	var led atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { led.Add(1) }))
	t.Cleanup(elsewhere.Close)
	for name, c := range map[string]struct {
		url     func() string
		private bool
		log     string
		outcome string
	}{
		"loopback":      {func() string { return r.server.URL }, false, "not a public one", "forbidden"},
		"by name":       {func() string { return strings.Replace(r.server.URL, "127.0.0.1", "localhost", 1) }, false, "not a public one", "forbidden"},
		"a redirection": {func() string { return redirecting(t, elsewhere.URL) }, true, "answered 307", "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := hooked(c.url())
			cfg.Apps[0].Webhook.AllowPrivate = c.private
			s := hookStand(t, sqldbtest.SQLite(t), cfg, nil)
			s.ended(s.send("market", to(push.APNS, token(1))))
			eventually(t, func() bool {
				n, _ := s.metric("furima_push_webhook_posts_total", "app", "market", "outcome", c.outcome)
				return n > 0
			}, s.logs.String)
			eventually(t, func() bool { return strings.Contains(s.logs.String(), c.log) }, s.logs.String)
			if posts, _ := r.count(); posts != 0 || led.Load() != 0 {
				t.Errorf("%d posts to a private address, %d after a redirection", posts, led.Load())
			}
		})
	}
}

func redirecting(t *testing.T, to string) string {
	s := httptest.NewServer(http.RedirectHandler(to, http.StatusTemporaryRedirect))
	t.Cleanup(s.Close)
	return s.URL
}

func TestReloadChangesWebhooks(t *testing.T) {
	t.Parallel()
	first, second := newReceiver(t), newReceiver(t)
	s := hookStand(t, sqldbtest.SQLite(t), reloadable(push.Config{Apps: []push.AppConfig{{Name: "market"}, {Name: "other"}}}), nil)
	s.ended(s.send("market", to(push.APNS, tokens(0, 5)...)))
	for _, r := range []*receiver{first, second} {
		if err := s.gw.Reload(hooked(r.server.URL)); err != nil {
			t.Fatal(err)
		}
		if r == second {
			s.ended(s.send("market", to(push.APNS, tokens(100, 5)...)))
		}
		eventually(t, func() bool { return r.has(5) }, s.logs.String)
	}
	if !first.has(5) {
		t.Error("what died after the reload went to the old webhook")
	}
}

func TestWebhookConfig(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(" "+hookSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := push.WebhookConfig{URL: "https://shop.example/dead", SecretFile: secret}
	for name, c := range map[string]struct {
		change func(*push.WebhookConfig)
		want   string // key of the only fault
	}{
		"good":              {func(*push.WebhookConfig) {}, ""},
		"none":              {func(c *push.WebhookConfig) { *c = push.WebhookConfig{} }, ""},
		"no url":            {func(c *push.WebhookConfig) { c.URL = "" }, "url"},
		"http":              {func(c *push.WebhookConfig) { c.URL = "http://shop.example/" }, "url"},
		"http for tests":    {func(c *push.WebhookConfig) { c.URL, c.AllowPrivate = "http://127.0.0.1:80/", true }, ""},
		"another scheme":    {func(c *push.WebhookConfig) { c.URL, c.AllowPrivate = "file:///etc/passwd", true }, "url"},
		"user and password": {func(c *push.WebhookConfig) { c.URL = "https://u:p@shop.example/" }, "url"},
		"two secrets":       {func(c *push.WebhookConfig) { c.Secret = hookSecret }, "secret"},
		"no secret":         {func(c *push.WebhookConfig) { c.SecretFile = "" }, "secret"},
		"short secret":      {func(c *push.WebhookConfig) { c.SecretFile = short }, "secret_file"},
		"no such file":      {func(c *push.WebhookConfig) { c.SecretFile += "x" }, "secret_file"},
		"large batches":     {func(c *push.WebhookConfig) { c.BatchSize = 10_001 }, "batch_size"},
		"negative":          {func(c *push.WebhookConfig) { c.Interval = -1 }, "interval"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := good
			c.change(&cfg)
			var got []string
			reloadable(push.Config{Apps: []push.AppConfig{{Name: "market", Webhook: cfg}}}).Validate(func(key, problem string) {
				got = append(got, key)
				if strings.Contains(problem, hookSecret) || strings.Contains(problem, "short\n") {
					t.Errorf("the fault tells the secret: %s", problem)
				}
			})
			var want []string
			if c.want != "" {
				want = []string{"apps[0].webhook." + c.want}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}
