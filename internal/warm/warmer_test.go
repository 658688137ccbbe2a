package warm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// run runs a warmer until until says so, or fails the test.
func run(t *testing.T, cfg Config, o Options, until func() bool) {
	t.Helper()
	cfg.Validate(func(key, problem string) {
		if !strings.HasSuffix(key, "interval") { // tests are quicker than a second
			t.Errorf("%s: %s", key, problem)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	w := New(cfg, o)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !until() {
		select {
		case <-tick.C:
		case err := <-ended:
			t.Fatalf("Run ended early: %v", err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	timedOut := ctx.Err() != nil
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if timedOut {
		t.Fatal("what the test waits for did not come")
	}
}

func TestWarmer(t *testing.T) {
	srv, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Furima-Refresh") != "0123456789abcdef" || r.Header.Get("Accept-Encoding") != "gzip" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		w.Header().Set("Cache-Status", "furima; fwd=request; stored")
		if page := r.URL.Query().Get("cursor"); page != "2" {
			next := map[string]string{"": "1", "1": "2"}[page]
			w.Header().Set("Link", fmt.Sprintf("<%s?cursor=%s>; rel=\"next\"", r.URL.Path, next))
		}
		hello(w, r)
	}, nil)
	reg := prometheus.NewRegistry()
	var logged syncBuffer
	cfg := Config{Targets: []TargetConfig{{
		Name: "lists", URL: srv.URL + "/{kind}/{1..5}", Parameters: map[string][]string{"kind": {"a", "b"}},
		Headers: []string{"Accept-Encoding: gzip"}, RefreshSecret: "0123456789abcdef",
		Interval: 50 * time.Millisecond, Workers: 3, Pages: 2,
	}}}
	run(t, cfg, Options{Registerer: reg, Logger: slog.New(slog.NewJSONHandler(&logged, nil))}, func() bool {
		seen := c.seen()
		for _, kind := range []string{"a", "b"} {
			for i := 1; i <= 5; i++ {
				path := fmt.Sprintf("/%s/%d", kind, i)
				if seen[path] < 5 || seen[path+"?cursor=1"] < 4 {
					return false
				}
			}
		}
		return true
	})
	if got := c.peakInFlight.Load(); got > 3 {
		t.Errorf("%d requests at once for 3 workers", got)
	}
	if got := c.accepted.Load(); got > 3 {
		t.Errorf("%d connections for 3 workers", got)
	}
	for path := range c.seen() {
		if strings.Contains(path, "cursor=2") {
			t.Errorf("%s was requested, the third page of two", path)
		}
	}
	sums := gather(t, reg)
	if sums["furima_warm_refreshes_total ok"] < 90 || sums["furima_warm_refreshes_total bad_status"] != 0 || sums["furima_warm_answers_total refresh"] < 90 ||
		sums["furima_warm_combinations"] != 10 || sums["furima_warm_slowdown_ratio"] != 1 {
		t.Errorf("metrics %v", sums)
	}
	if _, there := sums["furima_warm_coverage_ratio"]; !there {
		t.Error("no coverage")
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
	line, _, _ := strings.Cut(logged.String(), "\n")
	var attrs map[string]any
	if err := json.Unmarshal([]byte(line), &attrs); err != nil || attrs["msg"] != "warm cycle" || attrs["target"] != "lists" || attrs["level"] != "INFO" || attrs["combinations"] != 10.0 {
		t.Errorf("%v: log line %s", err, line)
	}
	if strings.Contains(logged.String(), "0123456789abcdef") {
		t.Error("the secret is in the log")
	}
}

// gather returns the sums of all metrics by name and, if it has one, the label
// that is not the target.
func gather(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				if l.GetName() != "target" {
					name += " " + l.GetValue()
				}
			}
			sums[name] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sums
}

// TestWarmerOrigin holds that an origin in trouble is asked less, that no
// combination is blamed for it, and that all goes on when it is back.
func TestWarmerOrigin(t *testing.T) {
	var down atomic.Bool
	down.Store(true)
	srv, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		hello(w, r)
	}, nil)
	var logged syncBuffer
	reg := prometheus.NewRegistry()
	slowed := false
	cfg := Config{Targets: []TargetConfig{{Name: "a", URL: srv.URL + "/{1..10}", Interval: 20 * time.Millisecond, Workers: 2}}}
	run(t, cfg, Options{Logger: slog.New(slog.NewTextHandler(&logged, nil)), Registerer: reg}, func() bool {
		if m := gather(t, reg); !slowed && m["furima_warm_slowdown_ratio"] >= 8 {
			slowed = true
			down.Store(false)
		}
		if !slowed {
			return false
		}
		for i := 1; i <= 10; i++ {
			if c.seen()[fmt.Sprintf("/%d", i)] < 10 {
				return false
			}
		}
		return true
	})
	text := logged.String()
	if n := strings.Count(text, "origin in trouble"); n != 1 {
		t.Errorf("trouble was logged %d times:\n%s", n, text)
	}
	if !strings.Contains(text, "status 503") || !strings.Contains(text, "origin answers again") {
		t.Errorf("log:\n%s", text)
	}
}

// TestWarmerFollowsNowhereElse holds that a Link to another host is a failure
// and never a request.
func TestWarmerFollowsNowhereElse(t *testing.T) {
	other, seen := serve(t, hello, nil)
	srv, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "<"+other.URL+"/x>; rel=next")
		hello(w, r)
	}, nil)
	reg := prometheus.NewRegistry()
	var logged syncBuffer
	cfg := Config{Targets: []TargetConfig{{Name: "a", URL: srv.URL, Interval: 10 * time.Millisecond, Pages: 5, RefreshSecret: "0123456789abcdef"}}}
	run(t, cfg, Options{Registerer: reg, Logger: slog.New(slog.NewTextHandler(&logged, nil))}, func() bool {
		return c.seen()["/"] > 2 && strings.Contains(logged.String(), "another host")
	})
	if len(seen.seen()) > 0 {
		t.Errorf("the other host was asked: %v", seen.seen())
	}
}

// TestWarmerServerGone holds that a connection that cannot be made is told
// once and kept trying, and that ctx ends it at once even so.
func TestWarmerServerGone(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	reg := prometheus.NewRegistry()
	cfg := Config{Targets: []TargetConfig{{Name: "a", URL: "http://" + addr + "/{1..100}", Interval: time.Second}}}
	var back *httptest.Server
	run(t, cfg, Options{Registerer: reg}, func() bool {
		m := gather(t, reg)
		if m["furima_warm_refreshes_total no_answer"] >= 3 && back == nil {
			ln, err := net.Listen("tcp", addr)
			if err != nil {
				t.Skipf("the port was taken meanwhile: %v", err)
			}
			back = httptest.NewUnstartedServer(http.HandlerFunc(hello))
			back.Listener.Close()
			back.Listener = ln
			back.Start()
		}
		return m["furima_warm_refreshes_total ok"] >= 50
	})
	back.Close()
}

func TestWarmerStopsInsideRequests(t *testing.T) {
	srv, c := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, nil)
	cfg := Config{Targets: []TargetConfig{{Name: "a", URL: srv.URL + "/{1..100}", Interval: 10 * time.Millisecond, Workers: 7, Timeout: 10 * time.Minute}}}
	run(t, cfg, Options{}, func() bool { return c.inFlight.Load() == 7 })
	if got := c.peakInFlight.Load(); got != 7 {
		t.Errorf("%d requests at once for 7 workers", got)
	}
}

func TestWarmerWithoutTargets(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := New(DefaultConfig(), Options{}).Run(ctx); err != nil {
		t.Error(err)
	}
	bad := Config{Targets: []TargetConfig{{Name: "a", URL: "http://h/{"}}}
	if err := New(bad, Options{}).Run(ctx); err == nil || !strings.Contains(err.Error(), `warm target "a": position 10`) {
		t.Errorf("error %v", err)
	}
}

// syncBuffer is a buffer that a logger and a test share.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestConfigValidate(t *testing.T) {
	cfg := Config{Targets: []TargetConfig{
		{},
		{Name: "a", URL: "http://h/{1..3}", Headers: []string{"Authorization: Bearer hunter2"}},
		{Name: "a", URL: "http://h/{x", Parameters: map[string][]string{"x": {"1"}}, Headers: []string{"hunter2"}, Interval: time.Millisecond, Workers: -1, Pages: 1001, Timeout: -1, CAFile: "/nowhere.pem", RefreshSecret: "hunter2\n"},
		{Name: "b c", URL: "http://h/", Headers: []string{"Connection: hunter2"}},
		{Name: "d", URL: "http://h/", Headers: []string{"A B: hunter2"}, Interval: 24 * time.Hour, CAFile: "config.go"},
		{Name: "e", URL: "http://h/{1..50000001}"},
	}}
	var got []string
	cfg.Validate(func(key, problem string) { got = append(got, key+": "+problem) })
	want := []string{
		`targets[0].name: is required`,
		`targets[0].url: is required`,
		`targets[2].name: "a" is already the name of targets[1]`,
		`targets[2].url: position 10: "{" is never closed; write \{ for the character itself`,
		`targets[2].headers: entry 1 is not "Name: value"`,
		`targets[2].refresh_secret: holds characters that cannot stand in a header`,
		`targets[2].workers: must be 1 to 4096, or 0 for the default`,
		`targets[2].pages: must be 1 to 1000, or 0 for the default`,
		`targets[2].interval: must be "1s" to "720h", or "0s" for the default`,
		`targets[2].timeout: must be "10ms" to "10m", or "0s" for the default`,
		`targets[2].ca_file: cannot read /nowhere.pem: no such file or directory`,
		`targets[3].name: "b c" must be at most 64 letters, digits, '.', '_' or '-'`,
		`targets[3].headers: entry 1: the header Connection is the warmer's own`,
		`targets[4].headers: entry 1 has no valid header name before its colon`,
		`targets[4].ca_file: config.go holds no PEM certificate`,
		`targets[5].url: 50000001 combinations are more than 50000000, what one target may have`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	DefaultConfig().Validate(func(key, problem string) { t.Errorf("default: %s: %s", key, problem) })
}

func TestForecast(t *testing.T) {
	got, err := TargetConfig{Name: "lists", URL: "http://h/{1..40}?s={new,price}", Pages: 3}.Forecast()
	want := Forecast{Name: "lists", Combinations: 80, Pages: 3, IntervalS: 30, Workers: 4, PerSecond: 8}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v -want +got:\n%s", err, diff)
	}
}

// newTestTarget makes a target as Run does.
func newTestTarget(t *testing.T, cfg TargetConfig) *target {
	t.Helper()
	w := New(Config{Targets: []TargetConfig{cfg}}, Options{})
	if w.err != nil {
		t.Fatal(w.err)
	}
	return w.targets[0]
}

// TestBatchEndsWithTrouble holds that a worker which finds the origin in
// trouble gives the rest of its batch back, and that nobody is blamed for it.
func TestBatchEndsWithTrouble(t *testing.T) {
	srv, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/2" {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		hello(w, r)
	}, nil)
	tg := newTestTarget(t, TargetConfig{Name: "a", URL: srv.URL + "/{1..5}"})
	tg.began, tg.last = epoch, make([]int64, 5)
	w := &worker{t: tg, c: &conn{d: tg.dialer}}
	defer w.c.close()
	b := &batch{keys: []int64{0, 1, 2, 3}}
	w.do(t.Context(), b)
	var got []string
	cyc := &cycle{}
	s := newRoundRobin(5, time.Second, epoch)
	for _, r := range b.results {
		got = append(got, fmt.Sprint(r.key, r.verdict, r.skipped))
		tg.finished(s, r, cyc)
	}
	want := []string{fmt.Sprint(0, verdictOK, false), fmt.Sprint(1, verdictOrigin, false), fmt.Sprint(2, verdictOrigin, true), fmt.Sprint(3, verdictOrigin, true)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if n := len(c.seen()); n != 2 {
		t.Errorf("%d combinations were requested, want 2", n)
	}
	if cyc.ok != 1 || cyc.failed != 1 || len(s.failing) != 0 {
		t.Errorf("cycle %+v, failing %v", cyc, s.failing)
	}
}

// TestFill holds that a worker is never given more than it does within the
// slack, so that turns are not late because of it.
func TestFill(t *testing.T) {
	tg := newTestTarget(t, TargetConfig{Name: "a", URL: "http://127.0.0.1:1/{1..4000}", Interval: 10 * time.Minute})
	for usual, want := range map[time.Duration]int{0: 1, time.Second: 1, 100 * time.Millisecond: 2, time.Millisecond: maxBatch} {
		tg.usual = usual
		s := newRoundRobin(4000, tg.cfg.Interval, epoch)
		b := &batch{}
		due := tg.fill(b, s, epoch, epoch.Add(time.Minute), &cycle{})
		if len(b.keys) != want || due != s.due() || !due.After(epoch) {
			t.Errorf("a refresh takes %v: a batch of %d, want %d; due %v", usual, len(b.keys), want, due)
		}
	}
}
