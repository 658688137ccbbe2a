package edge

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
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
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// running is an edge that runs for the length of a test.
type running struct {
	*Edge
	dir    string
	reg    *prometheus.Registry
	log    *syncBuffer
	cancel context.CancelFunc
	ended  chan error
}

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

// runEdge starts an edge and waits until it serves. It is stopped at the end
// of the test, which fails if anything of nginx is left.
func runEdge(t *testing.T, c Config) *running {
	t.Helper()
	needNginx(t)
	if c.RunDir == "" {
		c.RunDir = filepath.Join(shortDir(t), "run")
	}
	if c.Workers == 0 {
		c.Workers = 2
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{dir: c.RunDir, reg: prometheus.NewRegistry(), log: &syncBuffer{}, cancel: cancel, ended: make(chan error, 1)}
	r.Edge = New(c, Options{Logger: slog.New(slog.NewTextHandler(r.log, nil)), Registerer: r.reg})
	go func() {
		r.ended <- r.Run(ctx)
		cancel() // a start that fails must not leave Ready waiting
	}()
	t.Cleanup(func() { r.stop(t) })
	if err := r.Ready(ctx); err != nil {
		err := <-r.ended
		r.ended <- err
		t.Fatalf("the edge does not start: %v\n%s", err, r.log)
	}
	return r
}

// stop stops the edge, once.
func (r *running) stop(t *testing.T) {
	t.Helper()
	pid := r.pid()
	r.cancel()
	err := <-r.ended
	r.ended <- err
	if err != nil {
		t.Errorf("Run: %v", err)
	}
	if left := members(pid); pid > 0 && len(left) > 0 {
		t.Errorf("processes left behind: %v", left)
	}
}

func (r *running) pid() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.proc == nil {
		return 0
	}
	return r.proc.cmd.Process.Pid
}

// browser is a client that trusts the development root.
func browser(t *testing.T, cert Certificate, h2 bool) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(cert.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("the root is no PEM")
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: h2, DisableCompression: true, MaxIdleConnsPerHost: 64}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func fetch(t *testing.T, hc *http.Client, req *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := hc.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func request(t *testing.T, method, url, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// TestServe holds the whole way of a request: TLS and HTTP/2 outside, kept
// HTTP/1.1 connections inside, headers that the edge alone decides about.
func TestServe(t *testing.T) {
	cert := devCertificate(t)
	type seen struct {
		Proto, Host, URI string
		Header           http.Header
	}
	requests := make(chan seen, 1)
	_, addr := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		requests <- seen{r.Proto, r.Host, r.URL.RequestURI(), r.Header.Clone()}
		w.Header().Set("X-Content-Type-Options", "sniff")
		w.Header().Set("Strict-Transport-Security", "max-age=1")
		w.Header().Set("Cache-Status", "furima; hit")
		w.Header().Set("Server", "gopher")
		io.WriteString(w, "hello")
	})
	site := siteFor(t, cert, addr)
	r := runEdge(t, Config{Sites: []SiteConfig{site}})
	for _, h2 := range []bool{true, false} {
		req := request(t, http.MethodGet, "https://"+site.Listen+"/v1/items?q=a%20b&c=%2F", "")
		req.Header.Set("X-Forwarded-For", "6.6.6.6")
		req.Header.Set("X-Forwarded-Proto", "gopher")
		req.Header.Set("X-Request-Id", "evil")
		req.Header.Set("Forwarded", "for=6.6.6.6")
		req.Header.Set("Connection", "keep-alive")
		req.Header.Set("Authorization", "Bearer x")
		res, body := fetch(t, browser(t, cert, h2), req)
		if res.StatusCode != http.StatusOK || body != "hello" || res.ProtoMajor == 2 != h2 {
			t.Fatalf("h2 %v: %s %s %q", h2, res.Proto, res.Status, body)
		}
		got := <-requests
		id := got.Header.Get("X-Request-Id")
		if len(id) != 32 || res.Header.Get("X-Request-Id") != id {
			t.Errorf("request id %q inside, %q outside", id, res.Header.Get("X-Request-Id"))
		}
		got.Header.Del("X-Request-Id")
		got.Header.Del("User-Agent")
		_, port, _ := net.SplitHostPort(site.Listen)
		want := seen{"HTTP/1.1", "127.0.0.1", "/v1/items?q=a%20b&c=%2F", http.Header{
			"X-Forwarded-For": {"127.0.0.1"}, "X-Real-Ip": {"127.0.0.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"127.0.0.1"},
			"X-Forwarded-Port": {port}, "Authorization": {"Bearer x"},
		}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("h2 %v -want +got:\n%s", h2, diff)
		}
		wantHeader := http.Header{
			"Server": {"nginx"}, "X-Content-Type-Options": {"nosniff"}, "Referrer-Policy": {"strict-origin-when-cross-origin"}, "Cache-Status": {"furima; hit"},
			"Content-Type": {"text/plain; charset=utf-8"}, "Content-Length": {"5"}, "X-Request-Id": {id}, "Date": res.Header["Date"],
		}
		if !h2 {
			wantHeader["Connection"] = res.Header["Connection"]
			if wantHeader["Connection"] == nil {
				delete(wantHeader, "Connection")
			}
		}
		if diff := cmp.Diff(wantHeader, res.Header); diff != "" {
			t.Errorf("h2 %v header -want +got:\n%s", h2, diff)
		}
	}
	if err := r.Serving(t.Context()); err != nil {
		t.Errorf("health: %v", err)
	}
	problems, err := testutil.GatherAndLint(r.reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v %v", problems, err)
	}
	if n, err := testutil.GatherAndCount(r.reg, "furima_edge_up", "furima_edge_config_info", "furima_edge_connections", "furima_edge_requests_total"); err != nil || n != 6 {
		t.Errorf("%d metrics (%v), want 6", n, err)
	}
	r.stop(t)
	if err := r.Serving(t.Context()); err == nil {
		t.Error("a stopped edge is healthy")
	}
	checkAccessLog(t, r.dir)
}

// checkAccessLog holds that every line is JSON with what operators look for.
func checkAccessLog(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "logs/access.log"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines:\n%s", len(lines), text)
	}
	byProtocol := map[any]map[string]any{} // each worker writes its lines when it likes
	for _, text := range lines {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		byProtocol[line["protocol"]] = line
	}
	for protocol, agent := range map[string]string{"HTTP/2.0": "Go-http-client/2.0", "HTTP/1.1": "Go-http-client/1.1"} {
		line := byProtocol[protocol]
		for key, want := range map[string]any{
			"method": "GET", "uri": "/v1/items?q=a%20b&c=%2F", "status": 200.0, "cache_status": "furima; hit", "site": "localhost",
			"host": "127.0.0.1", "remote_addr": "127.0.0.1", "tls": "TLSv1.3", "tls_resumed": ".", "upstream_status": "200", "user_agent": agent,
		} {
			if line[key] != want {
				t.Errorf("%s: %s is %v, want %v", protocol, key, line[key], want)
			}
		}
		if id, _ := line["request_id"].(string); len(id) != 32 {
			t.Errorf("%s: request_id %v", protocol, line["request_id"])
		}
		if s, ok := line["upstream_seconds"].(string); !ok || s == "" {
			t.Errorf("%s: upstream_seconds %v", protocol, line["upstream_seconds"])
		}
	}
}

// TestKeptUpstream holds that requests share few connections to the upstream.
func TestKeptUpstream(t *testing.T) {
	cert := devCertificate(t)
	var accepted atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			accepted.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	site := siteFor(t, cert, srv.Listener.Addr().String())
	runEdge(t, Config{Sites: []SiteConfig{site}})
	hc := browser(t, cert, true)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				res, err := hc.Get("https://" + site.Listen + "/")
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		})
	}
	wg.Wait()
	if got := accepted.Load(); got > 20 {
		t.Errorf("%d upstream connections for 800 requests, 8 at once", got)
	}
}

type problemDocument struct {
	Type, Title, Code, Detail, Instance string
	Status                              int
	RequestID                           string `json:"request_id"`
}

func wantProblem(t *testing.T, res *http.Response, body string, status int, kind, code string) {
	t.Helper()
	var p problemDocument
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("%s: %v: %q", res.Status, err, body)
	}
	if res.StatusCode != status || p.Status != status || p.Type != "/problems/"+kind || p.Code != code || p.Detail == "" || p.Title == "" ||
		p.RequestID == "" || p.RequestID != res.Header.Get("X-Request-Id") || p.Instance != "urn:furima:request:"+p.RequestID {
		t.Errorf("%s: %+v", res.Status, p)
	}
	for name, want := range map[string]string{"Content-Type": "application/problem+json", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
		if got := res.Header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %s is %q, want %q", res.Status, name, got, want)
		}
	}
}

// TestRefusals holds that what nginx refuses by itself is a problem document,
// and that the upstream never hears of it.
func TestRefusals(t *testing.T) {
	cert := devCertificate(t)
	var asked atomic.Int64
	srv, addr := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			t.Errorf("body: %v", err)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprintf(w, `{"read":%d}`, n)
	})
	site := siteFor(t, cert, addr)
	site.MaxBodyBytes = 300_000
	runEdge(t, Config{Sites: []SiteConfig{site}})
	base := "https://" + site.Listen
	for _, h2 := range []bool{false, true} {
		hc := browser(t, cert, h2)
		// Larger than any buffer, so that it goes through a file if there may
		// be one, and exactly as large as it may be.
		res, body := fetch(t, hc, request(t, http.MethodPost, base, strings.Repeat("x", 300_000)))
		if res.StatusCode != http.StatusUnprocessableEntity || body != `{"read":300000}` {
			t.Errorf("h2 %v: the upstream's own answer: %s %q", h2, res.Status, body)
		}
		asked.Store(0)
		res, body = fetch(t, hc, request(t, http.MethodPost, base, strings.Repeat("x", 300_001)))
		wantProblem(t, res, body, http.StatusRequestEntityTooLarge, "body-too-large", "invalid")
		req := request(t, http.MethodGet, base, "")
		req.Header.Set("X-Big", strings.Repeat("x", 20_000))
		if res, err := hc.Do(req); err == nil { // over HTTP/2 the connection may be closed instead
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			wantProblem(t, res, string(body), http.StatusBadRequest, "malformed-request", "invalid")
		} else if !h2 {
			t.Error(err)
		}
	}
	res, body := fetch(t, http.DefaultClient, request(t, http.MethodGet, "http://"+site.Listen, ""))
	wantProblem(t, res, body, http.StatusBadRequest, "malformed-request", "invalid")
	http.DefaultClient.CloseIdleConnections()
	if asked.Load() != 0 {
		t.Errorf("the upstream was asked %d times", asked.Load())
	}
	srv.Close()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		res, body := fetch(t, browser(t, cert, true), request(t, method, base, ""))
		wantProblem(t, res, body, http.StatusBadGateway, "unavailable", "unavailable")
		if res.Header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After %q", res.Header.Get("Retry-After"))
		}
	}
}

// TestNeverTwice holds that a GET is tried at another server when one breaks,
// and that a POST is not.
func TestNeverTwice(t *testing.T) {
	cert := devCertificate(t)
	var broken, good atomic.Int64
	_, breaks := upstream(t, func(http.ResponseWriter, *http.Request) {
		broken.Add(1)
		panic(http.ErrAbortHandler)
	})
	_, works := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		good.Add(1)
		io.WriteString(w, "hello")
	})
	site := siteFor(t, cert, breaks, works)
	runEdge(t, Config{Workers: 1, Sites: []SiteConfig{site}})
	hc := browser(t, cert, true)
	for range 2 { // each server has its turn
		if res, body := fetch(t, hc, request(t, http.MethodGet, "https://"+site.Listen, "")); body != "hello" {
			t.Errorf("GET: %s %q", res.Status, body)
		}
	}
	if broken.Load() == 0 || good.Load() != 2 {
		t.Errorf("GET: %d tries broke, %d worked", broken.Load(), good.Load())
	}
	broken.Store(0)
	good.Store(0)
	failed := 0
	for range 4 {
		if res, _ := fetch(t, hc, request(t, http.MethodPost, "https://"+site.Listen, "x")); res.StatusCode == http.StatusBadGateway {
			failed++
		}
	}
	if total := broken.Load() + good.Load(); total != 4 || failed != int(broken.Load()) || failed == 0 {
		t.Errorf("POST: %d requests reached a server for 4, %d broke, %d were answered 502", total, broken.Load(), failed)
	}
}

func TestSlowHeader(t *testing.T) {
	cert := devCertificate(t)
	_, addr := upstream(t, func(http.ResponseWriter, *http.Request) { t.Error("the upstream was asked") })
	site := siteFor(t, cert, addr)
	site.HeaderTimeout = 300 * time.Millisecond
	runEdge(t, Config{Sites: []SiteConfig{site}})
	c, err := tls.Dial("tcp", site.Listen, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(15 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	// Nothing more is sent: nginx has to end the connection.
	_, err = io.ReadAll(c)
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		t.Error("the connection is still open")
	}
}

func TestTLS(t *testing.T) {
	cert := devCertificate(t)
	_, addr := upstream(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	site := siteFor(t, cert, addr)
	runEdge(t, Config{Sites: []SiteConfig{site}})
	for name, tt := range map[string]struct {
		cfg *tls.Config
		ok  bool
	}{
		"1.3":    {&tls.Config{MinVersion: tls.VersionTLS13}, true},
		"1.2":    {&tls.Config{MaxVersion: tls.VersionTLS12}, true},
		"1.1":    {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
		"CBC":    {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA}}, false},
		"HTTP/2": {&tls.Config{NextProtos: []string{"h2"}}, true},
	} {
		tt.cfg.InsecureSkipVerify = true
		c, err := tls.Dial("tcp", site.Listen, tt.cfg)
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		if name == "HTTP/2" && c.ConnectionState().NegotiatedProtocol != "h2" {
			t.Errorf("negotiated %q", c.ConnectionState().NegotiatedProtocol)
		}
		c.Close()
	}
	// The second connection of a client resumes its session.
	hc := browser(t, cert, false)
	tr := hc.Transport.(*http.Transport)
	tr.DisableKeepAlives = true
	tr.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for _, resumed := range []bool{false, true} {
		if res, _ := fetch(t, hc, request(t, http.MethodGet, "https://"+site.Listen, "")); res.TLS.DidResume != resumed {
			t.Errorf("resumed %v, want %v", res.TLS.DidResume, resumed)
		}
	}
}

func TestGzip(t *testing.T) {
	cert := devCertificate(t)
	large := `{"items":"` + strings.Repeat("x", 4000) + `"}`
	_, addr := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/compressed" {
			w.Header().Set("Content-Encoding", "gzip")
			zw := gzip.NewWriter(w)
			io.WriteString(zw, large)
			zw.Close()
			return
		}
		io.WriteString(w, large)
	})
	site := siteFor(t, cert, addr)
	runEdge(t, Config{Sites: []SiteConfig{site}})
	for _, path := range []string{"/plain", "/compressed"} {
		req := request(t, http.MethodGet, "https://"+site.Listen+path, "")
		req.Header.Set("Accept-Encoding", "gzip")
		res, body := fetch(t, browser(t, cert, true), req)
		zr, err := gzip.NewReader(strings.NewReader(body))
		if err != nil || res.Header.Get("Content-Encoding") != "gzip" {
			t.Fatalf("%s: %v, encoding %q", path, err, res.Header.Get("Content-Encoding"))
		}
		if got, err := io.ReadAll(zr); err != nil || string(got) != large {
			t.Errorf("%s: %d bytes once unpacked (%v)", path, len(got), err)
		}
	}
}

// TestUnixUpstream also is the case of a site with a second name.
func TestUnixUpstream(t *testing.T) {
	needNginx(t)
	cert := devCertificate(t)
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", filepath.Join(dir, "api.sock"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(ln.Addr().String(), 0o666); err != nil { // for nginx's workers, which may be another user
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) })}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close() })
	site := siteFor(t, cert, "unix:"+ln.Addr().String())
	// Here the workers can enter the run directory, whoever they are.
	runEdge(t, Config{RunDir: filepath.Join(dir, "run"), Sites: []SiteConfig{site}})
	for _, host := range []string{"localhost", "127.0.0.1", "elsewhere.example"} {
		req := request(t, http.MethodPost, "https://"+site.Listen, strings.Repeat("x", 200_000))
		req.Host = host
		if res, body := fetch(t, browser(t, cert, false), req); body != host {
			t.Errorf("host %s: %s %q", host, res.Status, body)
		}
	}
}
