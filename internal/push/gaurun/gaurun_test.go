package gaurun_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/apns"
	"github.com/furima/furima/internal/push/fcm"
	"github.com/furima/furima/internal/push/gaurun"
	"github.com/furima/furima/internal/push/sandbox"
	"github.com/furima/furima/internal/sqldb"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const aToken = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// rig is Gaurun's surface on a gateway that delivers to a stand-in for Apple.
type rig struct {
	t      testing.TB
	gw     *push.Gateway
	queue  *job.Queue
	phones *sandbox.Phones
	server *httptest.Server
}

func newRig(t testing.TB, o gaurun.Options, change func(*push.Config)) *rig {
	t.Helper()
	if o.Logs == nil {
		return newRigObserved(t, o, change, nil)
	}
	return newRigObserved(t, o, change, o.Logs)
}

func newRigObserved(t testing.TB, o gaurun.Options, change func(*push.Config), observer push.Observer) *rig {
	t.Helper()
	r := &rig{t: t, phones: sandbox.NewPhones(sandbox.PhonesOptions{})}
	apple, err := sandbox.OpenApple(sandbox.AppleOptions{Dir: t.TempDir(), Phones: r.phones})
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: sqldbtest.SQLite(t)}, sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := push.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	r.queue = job.NewQueue(db, job.Options{})
	cfg := push.Config{Apps: []push.AppConfig{{Name: "market", APNS: push.APNSConfig{
		KeyFile: apple.KeyFile(), KeyID: sandbox.KeyID, TeamID: sandbox.TeamID, Topic: "com.example.market", Endpoint: apple.URL(), CAFile: apple.CAFile(),
	}}}}
	if change != nil {
		change(&cfg)
	}
	r.gw, err = push.New(cfg, push.Deps{
		DB: db, Queue: r.queue, Observer: observer,
		Providers: map[push.Platform]push.Provider{push.APNS: apns.NewProvider(apns.Options{}), push.FCM: fcm.NewProvider(fcm.Options{})},
	})
	if err != nil {
		t.Fatal(err)
	}
	var stops []func() error
	for _, run := range []func(context.Context) error{apple.Run, r.queue.Run, r.gw.Run} {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- run(ctx) }()
		stops = append(stops, func() error { cancel(); return <-ended })
	}
	r.server = httptest.NewServer(gaurun.New(r.gw, o))
	t.Cleanup(func() {
		r.server.Close()
		var errs []error
		for i := range stops {
			errs = append(errs, stops[len(stops)-1-i]())
		}
		if err := errors.Join(append(errs, db.Close())...); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) call(method, path string, body io.Reader, header ...string) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.server.URL+path, body)
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
	return res, string(raw)
}

func one(fields string) string {
	return `{"notifications":[{"token":["` + aToken + `"],"platform":1,"message":"m"` + fields + `}]}`
}

func many(n int) string {
	return `{"notifications":[` + strings.TrimSuffix(strings.Repeat(`{"token":["`+aToken+`"],"platform":1,"message":"m"},`, n), ",") + `]}`
}

// chunked hides the length of a body.
type chunked struct{ io.Reader }

// The answers of Gaurun 0.14 in the order of its checks, and ours where it has
// none.
func TestPushAnswers(t *testing.T) {
	t.Parallel()
	r := newRig(t, gaurun.Options{}, func(c *push.Config) { c.MaxRequestBytes = 100_000 })
	for _, c := range []struct {
		name, method string
		body         io.Reader
		status       int
		answer       string
	}{
		{"GET", "GET", nil, 400, `{"message":"method must be POST"}`},
		{"PUT with a body", "PUT", strings.NewReader(one("")), 400, `{"message":"method must be POST"}`},
		{"no body", "POST", nil, 400, `{"message":"request body is empty"}`},
		{"an empty chunked body", "POST", chunked{strings.NewReader("")}, 400, `{"message":"Request-body is malformed"}`},
		{"no JSON", "POST", strings.NewReader("x"), 400, `{"message":"Request-body is malformed"}`},
		{"JSON and more", "POST", strings.NewReader(one("") + "x"), 200, `{"message":"ok"}`},
		{"JSON that breaks off", "POST", strings.NewReader(one("")[:40]), 400, `{"message":"Request-body is malformed"}`},
		{"token is no list", "POST", strings.NewReader(`{"notifications":[{"token":"x"}]}`), 400, `{"message":"Request-body is malformed"}`},
		{"platform is text", "POST", strings.NewReader(`{"notifications":[{"platform":"1"}]}`), 400, `{"message":"Request-body is malformed"}`},
		{"badge is text", "POST", strings.NewReader(one(`,"badge":"1"`)), 400, `{"message":"Request-body is malformed"}`},
		{"identifier is a number", "POST", strings.NewReader(one(`,"identifier":1`)), 400, `{"message":"Request-body is malformed"}`},
		{"a list", "POST", strings.NewReader(`[]`), 400, `{"message":"Request-body is malformed"}`},
		{"no notification", "POST", strings.NewReader(`{"notifications":[]}`), 400, `{"message":"empty notification"}`},
		{"another object", "POST", strings.NewReader(`{}`), 400, `{"message":"empty notification"}`},
		{"null", "POST", strings.NewReader(`null`), 400, `{"message":"empty notification"}`},
		{"101", "POST", strings.NewReader(many(101)), 400, `{"message":"number of notifications(101) over limit(100)"}`},
		{"100", "POST", strings.NewReader(many(100)), 200, `{"message":"ok"}`},
		{"one", "POST", strings.NewReader(one("")), 200, `{"message":"ok"}`},
		{"chunked", "POST", chunked{strings.NewReader(one(""))}, 200, `{"message":"ok"}`},
		{"other case, unknown field", "POST", strings.NewReader(`{"Notifications":[{"TOKEN":["` + aToken + `"],"Platform":1,"message":"m","what":7}]}`), 200, `{"message":"ok"}`},
		{"empty token", "POST", strings.NewReader(`{"notifications":[{"token":["` + aToken + `",""],"platform":1,"message":"m"}]}`), 200, `{"message":"ok","rejected":[{"index":0,"reason":"empty token"}]}`},
		{"no token", "POST", strings.NewReader(`{"notifications":[{"platform":1,"message":"m"}]}`), 200, `{"message":"ok","rejected":[{"index":0,"reason":"empty token"}]}`},
		{"unknown platform", "POST", strings.NewReader(`{"notifications":[{"token":["x"],"platform":3,"message":"m"}]}`), 200, `{"message":"ok","rejected":[{"index":0,"reason":"invalid platform"}]}`},
		{"empty message", "POST", strings.NewReader(`{"notifications":[{"token":["x"],"platform":1}]}`), 200, `{"message":"ok","rejected":[{"index":0,"reason":"empty message"}]}`},
		{"push type", "POST", strings.NewReader(one(`,"push_type":"voip"`)), 200, `{"message":"ok","rejected":[{"index":0,"reason":"push_type must be alert or background"}]}`},
		{"priority", "POST", strings.NewReader(`{"notifications":[{"token":["x"],"platform":2,"message":"m","priority":"x"}]}`), 200, `{"message":"ok","rejected":[{"index":0,"reason":"priority must be high or normal"}]}`},
		{"time to live", "POST", strings.NewReader(`{"notifications":[{"token":["x"],"platform":2,"message":"m","time_to_live":2419201}]}`), 200, `{"message":"ok","rejected":[{"index":0,"reason":"time_to_live must be between 0 and 2419200"}]}`},
		{"a disabled platform", "POST", strings.NewReader(`{"notifications":[{"token":["x"],"platform":2,"message":"m"}]}`), 200, `{"message":"ok","rejected":[{"index":0,"reason":"platform is not configured for app market"}]}`},
		{"4,097 bytes", "POST", strings.NewReader(`{"notifications":[{"token":["x"],"platform":1,"message":"` + strings.Repeat("x", 4097-len(`{"aps":{"alert":"","badge":0}}`)) + `"}]}`), 200, `{"message":"ok","rejected":[{"index":0,"reason":"makes a payload of 4097 bytes; Apple takes 4096"}]}`},
		{"some of a batch", "POST", strings.NewReader(`{"notifications":[{"token":["x"],"platform":9},{"token":["` + aToken + `"],"platform":1,"message":"m"},{"token":["x"],"platform":2,"message":"m"},{"token":["x"],"platform":1}]}`), 200,
			`{"message":"ok","rejected":[{"index":0,"reason":"invalid platform"},{"index":2,"reason":"platform is not configured for app market"},{"index":3,"reason":"empty message"}]}`},
		{"a body too large", "POST", strings.NewReader(strings.Repeat(" ", 100_001)), 413, `{"message":"request body is larger than 100000 bytes"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, body := r.call(c.method, "/push", c.body)
			if res.StatusCode != c.status || body != c.answer+"\n" {
				t.Errorf("%d %q\nwant %d %q", res.StatusCode, body, c.status, c.answer)
			}
			if res.Header.Get("Content-Type") != "application/json; charset=utf-8" || res.Header.Get("Server") != "Gaurun 0.14.0" {
				t.Errorf("header %v", res.Header)
			}
		})
	}
}

// Only with the log level debug does Gaurun read a body before it parses it.
func TestBodyCutOff(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		strict bool
		status int
		answer string
	}{
		{false, 400, `{"message":"Request-body is malformed"}`},
		{true, 500, `{"message":"failed to read request-body"}`},
	} {
		r := newRig(t, gaurun.Options{Strict: c.strict}, nil)
		rec := httptest.NewRecorder()
		req := httptest.NewRequest("POST", "/push", io.MultiReader(strings.NewReader(`{"not`), broken{}))
		r.server.Config.Handler.ServeHTTP(rec, req)
		if rec.Code != c.status || rec.Body.String() != c.answer+"\n" {
			t.Errorf("strict %v: %d %q", c.strict, rec.Code, rec.Body)
		}
	}
	r := newRig(t, gaurun.Options{Strict: true}, nil)
	if res, body := r.call("POST", "/push", strings.NewReader(one("")+"x")); res.StatusCode != 400 || body != `{"message":"Request-body is malformed"}`+"\n" {
		t.Errorf("strict, JSON and more: %d %s", res.StatusCode, body)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestWhatAppleGets(t *testing.T) {
	t.Parallel()
	r := newRig(t, gaurun.Options{AllowsEmptyMessage: true}, nil)
	type arrived struct{ Payload, PushType, Priority, Topic string }
	for _, c := range []struct {
		name, fields string
		want         arrived
		expires      time.Duration
	}{
		{"plain", ``, arrived{`{"aps":{"alert":"m","badge":0}}`, "alert", "10", "com.example.market"}, 0},
		{"title", `,"title":"t"`, arrived{`{"aps":{"alert":{"title":"t","body":"m"},"badge":0}}`, "alert", "10", "com.example.market"}, 0},
		{"subtitle alone", `,"subtitle":"s"`, arrived{`{"aps":{"alert":{"subtitle":"s","body":"m"},"badge":0}}`, "alert", "10", "com.example.market"}, 0},
		{"all", `,"badge":3,"category":"c","sound":"default","content_available":true,"mutable_content":true,"expiry":3600,"identifier":"i","retry":1,"seq_id":9`,
			arrived{`{"aps":{"alert":"m","badge":3,"category":"c","sound":"default","content-available":1,"mutable-content":1}}`, "alert", "10", "com.example.market"}, time.Hour},
		{"background", `,"push_type":"background"`, arrived{`{"aps":{"alert":"m","badge":0}}`, "background", "5", "com.example.market"}, 0},
		{"extend", `,"extend":[{"key":"url","val":"furima://it_1"},{"key":"n","val":"<1>"}]`, arrived{`{"aps":{"alert":"m","badge":0},"n":"<1>","url":"furima://it_1"}`, "alert", "10", "com.example.market"}, 0},
		{"extend over aps", `,"extend":[{"key":"aps","val":"x"}]`, arrived{`{"aps":"x"}`, "alert", "10", "com.example.market"}, 0},
		{"title without a message", `,"message":"","title":"t"`, arrived{`{"aps":{"alert":{"title":"t"},"badge":0}}`, "alert", "10", "com.example.market"}, 0},
		{"no text at all", `,"message":"","badge":7`, arrived{`{"aps":{"badge":7}}`, "alert", "10", "com.example.market"}, 0},
		{"expiry of years", `,"expiry":99999999`, arrived{`{"aps":{"alert":"m","badge":0}}`, "alert", "10", "com.example.market"}, 30 * 24 * time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			sub := r.phones.Subscribe(ctx)
			before := time.Now()
			if res, body := r.call("POST", "/push", strings.NewReader(one(c.fields))); res.StatusCode != 200 || body != `{"message":"ok"}`+"\n" {
				t.Fatalf("%d %s", res.StatusCode, body)
			}
			d, ok := <-sub
			if !ok {
				t.Fatal("it did not arrive")
			}
			if diff := cmp.Diff(c.want, arrived{string(d.Payload), d.PushType, d.Priority, d.Topic}); diff != "" {
				t.Errorf("arrived (-want +got):\n%s", diff)
			}
			if c.expires == 0 {
				if d.Expiration != "" {
					t.Errorf("expires %s", d.Expiration)
				}
				return
			}
			var at int64
			if _, err := fmt.Sscan(d.Expiration, &at); err != nil || time.Unix(at, 0).Sub(before.Add(c.expires)).Abs() > 30*time.Second {
				t.Errorf("expires %q, want in %v", d.Expiration, c.expires)
			}
		})
	}
}

func TestWhatGoogleGets(t *testing.T) {
	t.Parallel()
	phones := sandbox.NewPhones(sandbox.PhonesOptions{})
	google, err := sandbox.OpenGoogle(sandbox.GoogleOptions{Dir: t.TempDir(), Phones: phones})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- google.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	r := newRig(t, gaurun.Options{AllowsEmptyMessage: true}, func(c *push.Config) {
		c.Apps[0].FCM = push.FCMConfig{CredentialsFile: google.CredentialsFile(), Endpoint: google.URL(), CAFile: google.CAFile()}
	})
	const token = "android-token-0123456789abcdef"
	for _, c := range []struct{ name, fields, want string }{
		{"plain", `"message":"m"`, `{"data":{"message":"m"},"android":{"priority":"NORMAL"}}`},
		{"empty", `"message":""`, `{"data":{"message":""},"android":{"priority":"NORMAL"}}`},
		{"all", `"message":"m","collapse_key":"update","delay_while_idle":true,"time_to_live":10,"priority":"high","title":"t","badge":3,"identifier":"i","extend":[{"key":"url","val":"u"}]`,
			`{"data":{"message":"m","url":"u"},"android":{"collapse_key":"update","priority":"HIGH","ttl":"10s"}}`},
		{"extend over message", `"message":"m","priority":"normal","extend":[{"key":"message","val":"x"}]`, `{"data":{"message":"x"},"android":{"priority":"NORMAL"}}`},
		{"a long collapse key", `"message":"m","collapse_key":"` + strings.Repeat("é ", 50) + `"`,
			`{"data":{"message":"m"},"android":{"collapse_key":"` + strings.Repeat("é ", 50) + `","priority":"NORMAL"}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			sub := phones.Subscribe(ctx)
			if res, body := r.call("POST", "/push", strings.NewReader(`{"notifications":[{"token":["`+token+`"],"platform":2,`+c.fields+`}]}`)); res.StatusCode != 200 || body != `{"message":"ok"}`+"\n" {
				t.Fatalf("%d %s", res.StatusCode, body)
			}
			d, ok := <-sub
			if !ok {
				t.Fatal("it did not arrive")
			}
			var got, want map[string]any
			if err := errors.Join(json.Unmarshal(d.Payload, &got), json.Unmarshal([]byte(c.want), &want)); err != nil {
				t.Fatal(err)
			}
			if got["token"] == token {
				delete(got, "token") // the phone may be told by it
			}
			if diff := cmp.Diff(want, got); diff != "" || d.Token != token {
				t.Errorf("for %s arrived (-want +got):\n%s", d.Token, diff)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	r := newRig(t, gaurun.Options{NotificationMax: 2, Version: "0.13.0"}, func(c *push.Config) { c.MaxBacklog = 1 })
	if res, body := r.call("POST", "/push", strings.NewReader(many(3))); res.StatusCode != 400 || body != `{"message":"number of notifications(3) over limit(2)"}`+"\n" || res.Header.Get("Server") != "Gaurun 0.13.0" {
		t.Errorf("%d %s %v", res.StatusCode, body, res.Header)
	}
	if res, body := r.call("POST", "/push", strings.NewReader(many(2))); res.StatusCode != 429 || res.Header.Get("Retry-After") == "" || !strings.Contains(body, `"message":`) {
		t.Errorf("beyond the backlog: %d %s %v", res.StatusCode, body, res.Header)
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	withToken := func(c *push.Config) { c.Tokens = []string{"secret"} }
	closed := newRig(t, gaurun.Options{}, withToken)
	for token, want := range map[string]int{"": 401, "Bearer wrong": 401, "Bearer secret": 200} {
		if res, body := closed.call("POST", "/push", strings.NewReader(one("")), "Authorization", token); res.StatusCode != want {
			t.Errorf("%q: %d %s", token, res.StatusCode, body)
		}
	}
	open := newRig(t, gaurun.Options{Open: true}, withToken)
	if res, body := open.call("POST", "/push", strings.NewReader(one(""))); res.StatusCode != 200 {
		t.Errorf("open: %d %s", res.StatusCode, body)
	}
}

func TestStatApp(t *testing.T) {
	t.Parallel()
	r := newRig(t, gaurun.Options{}, func(c *push.Config) { c.MaxBacklog = 77; c.Apps[0].APNS.MaxInFlight = 12 })
	r.phones.Uninstall(strings.Repeat("ee", 32))
	r.call("POST", "/push", strings.NewReader(`{"notifications":[{"token":["`+aToken+`","`+strings.Repeat("ee", 32)+`","`+strings.Repeat("aa", 32)+`"],"platform":1,"message":"m"}]}`))
	want := `{
 "queue_max": 77,
 "queue_usage": 0,
 "pusher_max": 12,
 "pusher_count": 0,
 "ios": {
  "push_success": 2,
  "push_error": 1
 },
 "android": {
  "push_success": 0,
  "push_error": 0
 }
}`
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		res, body := r.call("GET", "/stat/app", nil)
		if res.StatusCode == 200 && body == want && res.Header.Get("Content-Type") == "application/json; charset=utf-8" && res.Header.Get("Server") == "Gaurun 0.14.0" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%d %s", res.StatusCode, cmp.Diff(want, body))
		}
	}
}

func TestStatGo(t *testing.T) {
	t.Parallel()
	r := newRig(t, gaurun.Options{}, nil)
	for range 2 {
		res, body := r.call("GET", "/stat/go", nil)
		var got map[string]any
		if err := json.Unmarshal([]byte(body), &got); err != nil || res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json" {
			t.Fatalf("%d %s", res.StatusCode, body)
		}
		if !strings.HasPrefix(body, "{\n  \"time\": ") {
			t.Errorf("indented otherwise: %.30q", body)
		}
		for _, field := range strings.Fields(`time go_version go_os go_arch cpu_num goroutine_num gomaxprocs cgo_call_num memory_alloc memory_total_alloc
			memory_sys memory_lookups memory_mallocs memory_frees memory_stack heap_alloc heap_sys heap_idle heap_inuse heap_released heap_objects
			gc_next gc_last gc_num gc_per_second gc_pause_per_second gc_pause`) {
			if _, there := got[field]; !there {
				t.Errorf("%s is missing", field)
			}
			delete(got, field)
		}
		if len(got) > 0 {
			t.Errorf("fields that Gaurun does not have: %v", got)
		}
	}
}

func TestUnknownPath(t *testing.T) {
	t.Parallel()
	r := newRig(t, gaurun.Options{}, nil)
	if res, _ := r.call("GET", "/nothing", nil); res.StatusCode != 404 {
		t.Errorf("%d", res.StatusCode)
	}
}

func FuzzPush(f *testing.F) {
	f.Add([]byte(one("")))
	f.Add([]byte(many(101)))
	f.Add([]byte(one(`,"extend":[{"key":"aps","val":"x"}],"expiry":9223372036854775807`)))
	f.Add([]byte(`{"notifications":[{"token":[null],"platform":1e0}]}`))
	db, err := sqldb.Open(f.Context(), sqldb.Config{URL: "sqlite:" + f.TempDir() + "/t.db"}, sqldb.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = db.Close() })
	// Without an app nothing can be accepted, and everything up to there runs.
	gw, err := push.New(push.Config{Apps: []push.AppConfig{{Name: "market"}}}, push.Deps{DB: db, Queue: job.NewQueue(db, job.Options{})})
	if err != nil {
		f.Fatal(err)
	}
	h := gaurun.New(gw, gaurun.Options{})
	f.Fuzz(func(t *testing.T, body []byte) {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("POST", "/push", strings.NewReader(string(body))))
		var a struct{ Message string }
		if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil || a.Message == "" || (rec.Code != 200 && rec.Code != 400) {
			t.Errorf("%d %q", rec.Code, rec.Body)
		}
	})
}
