package daemon_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/daemon"
)

func newOps(h *daemon.Health, log *slog.Logger) *daemon.Ops {
	return daemon.NewOps(daemon.OpsOptions{Gatherer: daemon.NewRegistry("v1.2.3"), Health: h, Logger: log})
}

func TestOpsRoutes(t *testing.T) {
	ops := newOps(daemon.NewHealth(), nil)
	ops.Handle("GET /{$}", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "the page") }))
	srv := httptest.NewServer(ops)
	defer srv.Close()
	tests := []struct {
		path   string
		status int
		body   string // is part of the answer
	}{
		{"/-/healthy", 200, "ok\n"},
		{"/metrics", 200, `version="v1.2.3"`},
		{"/metrics", 200, "go_goroutines "},
		{"/metrics", 200, "process_cpu_seconds_total "},
		{"/debug/pprof/", 200, "goroutine"},
		{"/debug/pprof/heap?debug=1", 200, "heap profile"},
		{"/debug/pprof/cmdline", 200, ""},
		{"/debug/pprof/trace?seconds=0.01", 200, ""},
		{"/", 200, "the page"},
		{"/nothing", 404, ""},
	}
	for _, tt := range tests {
		status, body := get(t, srv.URL+tt.path)
		if status != tt.status || !strings.Contains(body, tt.body) {
			t.Errorf("GET %s: %d %.100q, want %d …%q…", tt.path, status, body, tt.status, tt.body)
		}
	}
}

func TestOpsReady(t *testing.T) {
	var broken atomic.Bool
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d := daemon.New(daemon.Options{})
	srv := httptest.NewServer(newOps(d.Health(), nil))
	defer srv.Close()
	ask := func() (status int, m map[string]any) {
		t.Helper()
		resp, err := http.Get(srv.URL + "/-/ready")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if ct := resp.Header.Get("Content-Type"); ct != "application/json" {
			t.Errorf("Content-Type %q", ct)
		}
		if err := json.NewDecoder(resp.Body).Decode(&m); err != nil {
			t.Fatal(err)
		}
		for _, c := range m["checks"].([]any) {
			delete(c.(map[string]any), "duration_ms")
		}
		return resp.StatusCode, m
	}
	want := func(wantStatus int, want map[string]any) {
		t.Helper()
		status, got := ask()
		if diff := cmp.Diff(want, got); diff != "" || status != wantStatus {
			t.Errorf("status %d, want %d; (-want +got):\n%s", status, wantStatus, diff)
		}
	}

	want(503, map[string]any{"ready": false, "phase": "starting", "checks": []any{}})
	d.Health().Add("store", func(context.Context) error { return nil })
	err := d.Run(ctx, func(ctx context.Context) error {
		return d.Start(ctx, daemon.Step{Name: "probe", Run: func(ctx context.Context) error {
			for !d.Health().Report(ctx).Ready {
				if ctx.Err() != nil {
					return ctx.Err()
				}
			}
			want(200, map[string]any{"ready": true, "phase": "ready", "checks": []any{
				map[string]any{"name": "store", "state": "ok"}}})
			broken.Store(true)
			d.Health().Add("queue", func(context.Context) error {
				if broken.Load() {
					return errors.New("disk full")
				}
				return nil
			})
			want(503, map[string]any{"ready": false, "phase": "ready", "checks": []any{
				map[string]any{"name": "store", "state": "ok"},
				map[string]any{"name": "queue", "state": "failing", "error": "disk full"}}})
			cancel()
			return nil
		}})
	})
	if err != nil {
		t.Fatal(err)
	}
	if status, m := ask(); status != 503 || m["phase"] != "stopping" {
		t.Errorf("after the stop: %d %v", status, m)
	}
}

func TestOpsRefusesOtherSites(t *testing.T) {
	var log syncBuffer
	ops := newOps(daemon.NewHealth(), slog.New(slog.NewTextHandler(&log, nil)))
	ops.Handle("POST /sandbox/decline", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "set") }))
	ln, err := daemon.Listen(t.Context(), "ops.listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := runStep(t, daemon.Options{}, ln, ops.Step(ln))
	_, port, _ := strings.Cut(r.Addr, ":")
	tests := []struct {
		name, method, path, host string
		header                   map[string]string
		want                     int
	}{
		{"address", "GET", "/-/healthy", r.Addr, nil, 200},
		{"localhost", "GET", "/-/healthy", "localhost:" + port, nil, 200},
		{"forwarded port", "GET", "/-/healthy", "localhost:9999", nil, 200},
		{"IPv6", "GET", "/-/healthy", "[::1]:" + port, nil, 200},
		{"no port", "GET", "/-/healthy", "127.0.0.1", nil, 200},
		{"rebound name", "GET", "/-/healthy", "evil.example:" + port, nil, 421},
		{"tricky name", "GET", "/-/healthy", "localhost.evil.example", nil, 421},
		{"command line", "POST", "/sandbox/decline", r.Addr, nil, 200},
		{"own page", "POST", "/sandbox/decline", r.Addr, map[string]string{"Sec-Fetch-Site": "same-origin"}, 200},
		{"other site", "POST", "/sandbox/decline", r.Addr, map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"other origin", "POST", "/sandbox/decline", r.Addr, map[string]string{"Origin": "https://evil.example"}, 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequest(tt.method, r.URL+tt.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = tt.host
			for k, v := range tt.header {
				req.Header.Set(k, v)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != tt.want {
				t.Errorf("got %s, want %d", resp.Status, tt.want)
			}
		})
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), "level=WARN") {
		t.Errorf("a loopback listener was warned about: %s", log.String())
	}
}

func TestOpsWhenExposed(t *testing.T) {
	var log syncBuffer
	ops := newOps(daemon.NewHealth(), slog.New(slog.NewTextHandler(&log, nil)))
	ln, err := daemon.Listen(t.Context(), "ops.listen", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	r := runStep(t, daemon.Options{}, ln, ops.Step(ln))
	_, port, err := net.SplitHostPort(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("GET", "http://127.0.0.1:"+port+"/-/healthy", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "db1.example:" + port // names are fine where others may come
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("asked by name: %s", resp.Status)
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("no warning: %s", log.String())
	}
}

// A profile of a minute and a live page must not hold up the stop.
func TestOpsStopEndsRequests(t *testing.T) {
	ops := newOps(daemon.NewHealth(), nil)
	entered := make(chan struct{})
	ops.Handle("GET /live", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	}))
	ln, err := daemon.Listen(t.Context(), "ops.listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := runStep(t, daemon.Options{StopTimeout: 5 * time.Second}, ln, ops.Step(ln))
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if resp, err := http.Get(r.URL + "/live"); err == nil {
			resp.Body.Close()
		}
	}()
	<-entered
	if err := r.end(); err != nil {
		t.Error(err)
	}
	<-answered
}
