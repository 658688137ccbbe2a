package warm

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// counter counts a server's connections and requests.
type counter struct {
	accepted, open, peak   atomic.Int64
	inFlight, peakInFlight atomic.Int64
	mu                     sync.Mutex
	paths                  map[string]int
	lastHeader             http.Header
	lastHost               string
}

func raise(peak *atomic.Int64, v int64) {
	for {
		old := peak.Load()
		if v <= old || peak.CompareAndSwap(old, v) {
			return
		}
	}
}

func (c *counter) connState(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		c.accepted.Add(1)
		raise(&c.peak, c.open.Add(1))
	case http.StateClosed, http.StateHijacked:
		c.open.Add(-1)
	}
}

func (c *counter) wrap(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		raise(&c.peakInFlight, c.inFlight.Add(1))
		defer c.inFlight.Add(-1)
		c.mu.Lock()
		c.paths[r.URL.RequestURI()]++
		c.lastHeader, c.lastHost = r.Header.Clone(), r.Host
		c.mu.Unlock()
		h(w, r)
	}
}

func (c *counter) seen() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := map[string]int{}
	for k, v := range c.paths {
		seen[k] = v
	}
	return seen
}

// serve starts an origin.
func serve(t *testing.T, h http.HandlerFunc, start func(*httptest.Server)) (*httptest.Server, *counter) {
	t.Helper()
	c := &counter{paths: map[string]int{}}
	srv := httptest.NewUnstartedServer(c.wrap(h))
	srv.Config.ConnState = c.connState
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // some tests break connections on purpose
	if start == nil {
		srv.Start()
	} else {
		start(srv)
	}
	t.Cleanup(srv.Close)
	return srv, c
}

func hello(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }

func once(t *testing.T, o OnceOptions, templates ...string) Summary {
	t.Helper()
	p, err := NewPlan(templates...)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := Once(t.Context(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestOnce(t *testing.T) {
	srv, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Status", "furima; fwd=miss; stored")
		switch r.URL.Query().Get("n") {
		case "1":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case "2":
			http.Error(w, "no", http.StatusInternalServerError)
		case "3":
			w.WriteHeader(http.StatusNoContent)
		case "4":
			w.WriteHeader(http.StatusNotModified)
		case "5": // chunked
			for range 100 {
				fmt.Fprint(w, strings.Repeat("x", 1000))
				w.(http.Flusher).Flush()
			}
		default:
			fmt.Fprint(w, "hello")
		}
	}, nil)
	var last Progress
	calls := 0
	sum := once(t, OnceOptions{
		Workers: 4, Header: http.Header{"furima-refresh": {"s3cret"}, "Host": {"market.example"}, "Accept-Language": {"ja", "en"}},
		Progress: func(p Progress) { last = p; calls++ },
	}, srv.URL+"/items?n={1..100}")
	sum.WallSeconds, sum.PerSecond = 0, 0
	if sum.Latency.P50MS <= 0 || sum.Latency.MaxMS < sum.Latency.P99MS || sum.Latency.P99MS < sum.Latency.P50MS {
		t.Errorf("latency %+v", sum.Latency)
	}
	sum.Latency = Latency{}
	connections := sum.Connections
	sum.Connections = 0
	for i := range sum.Failures {
		sum.Failures[i].URL = strings.TrimPrefix(sum.Failures[i].URL, srv.URL)
	}
	if len(sum.Failures) == 2 && sum.Failures[0].Status == 500 { // workers answer in any order
		sum.Failures[0], sum.Failures[1] = sum.Failures[1], sum.Failures[0]
	}
	want := Summary{
		Combinations: 100, OK: 98, Failed: 2, Workers: 4, Statuses: map[int]int64{200: 96, 204: 1, 304: 1, 302: 1, 500: 1},
		Cache:     map[string]int64{"miss": 100},
		BodyBytes: 95*5 + 100_000 + int64(len("no\n")) + int64(len(`<a href="/elsewhere">Found</a>.`+"\n\n")),
		Failures: []Failure{
			{URL: "/items?n=1", Status: 302, Error: "status 302 Found, redirects are not followed"},
			{URL: "/items?n=2", Status: 500, Error: "status 500 Internal Server Error"},
		},
	}
	if diff := cmp.Diff(want, sum); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if connections != 4 || c.accepted.Load() != 4 {
		t.Errorf("%d connections, the server accepted %d, want 4", connections, c.accepted.Load())
	}
	if last.Done != 100 || last.Total != 100 || last.Failed != 2 || calls == 0 {
		t.Errorf("last progress %+v after %d calls", last, calls)
	}
	for i := 1; i <= 100; i++ {
		if n := c.seen()[fmt.Sprintf("/items?n=%d", i)]; n != 1 {
			t.Errorf("combination %d was requested %d times", i, n)
		}
	}
	wantHeader := http.Header{"Furima-Refresh": {"s3cret"}, "Accept-Language": {"ja", "en"}, "User-Agent": {"furima-warm/1"}, "Accept": {"*/*"}}
	if diff := cmp.Diff(wantHeader, c.lastHeader); diff != "" {
		t.Errorf("header -want +got:\n%s", diff)
	}
	if c.lastHost != "market.example" {
		t.Errorf("host %q", c.lastHost)
	}
}

// TestOnceJSON holds the names that programs read.
func TestOnceJSON(t *testing.T) {
	srv, _ := serve(t, hello, nil)
	text, err := json.Marshal(once(t, OnceOptions{}, srv.URL))
	if err != nil {
		t.Fatal(err)
	}
	for _, has := range []string{`"combinations":1,"ok":1,"failed":0,"skipped":0,"workers":1,"connections":1,"wall_seconds":`, `"requests_per_second":`,
		`"body_bytes":5`, `"latency":{"mean_ms":`, `"p50_ms":`, `"p95_ms":`, `"p99_ms":`, `"max_ms":`, `"statuses":{"200":1}`, `"cache":{"none":1}`, `"failures":[]`} {
		if !strings.Contains(string(text), has) {
			t.Errorf("%s is not in %s", has, text)
		}
	}
}

// TestOnceConnections holds that there are never more connections than
// workers, whatever the server does to them.
func TestOnceConnections(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"kept": hello,
		"said to close": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			hello(w, r)
		},
		"errors": func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusTeapot) },
		"cut": func(w http.ResponseWriter, r *http.Request) {
			panic(http.ErrAbortHandler)
		},
		"cut inside": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "x")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv, c := serve(t, h, nil)
			sum := once(t, OnceOptions{Workers: 5}, srv.URL+"/{1..200}")
			// The server may hear of a close after it has accepted the next
			// connection, so its own count can be ahead; the number of
			// requests at once cannot.
			if got := c.peakInFlight.Load(); got > 5 {
				t.Errorf("%d requests at once", got)
			}
			if name == "kept" || name == "errors" {
				if got := c.accepted.Load(); got != 5 {
					t.Errorf("%d connections for 5 workers", got)
				}
			}
			if sum.OK+sum.Failed != 200 || sum.Failed > 0 && len(sum.Failures) != maxFailures {
				t.Errorf("%+v", sum)
			}
			for u, n := range c.seen() {
				// A cut without an answer on a fresh connection is not tried
				// again; nothing is tried more than once again.
				if n > 2 {
					t.Errorf("%s was requested %d times", u, n)
				}
			}
			if strings.HasPrefix(name, "cut") && sum.Failed != 200 {
				t.Errorf("%d failed, want 200", sum.Failed)
			}
		})
	}
}

// TestOnceReconnects holds that a kept connection which the server has closed
// meanwhile costs no combination.
func TestOnceReconnects(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	var accepted atomic.Int64
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			wg.Go(func() {
				defer c.Close()
				// Two answers that promise to go on, then the end, every other
				// time in the way of servers that say why.
				last := accepted.Load()%2 == 0
				br := bufio.NewReader(c)
				for range 2 {
					if _, err := http.ReadRequest(br); err != nil {
						return
					}
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
				}
				if last {
					if _, err := http.ReadRequest(br); err != nil {
						return
					}
					io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				}
			})
		}
	})
	sum := once(t, OnceOptions{Workers: 1}, "http://"+ln.Addr().String()+"/{1..20}")
	if sum.OK != 20 || sum.Connections < 10 || sum.Connections > 20 {
		t.Errorf("%+v", sum)
	}
	ln.Close()
}

func TestOnceTLS(t *testing.T) {
	srv, c := serve(t, hello, (*httptest.Server).StartTLS)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	sum := once(t, OnceOptions{Workers: 3, RootCAs: roots}, srv.URL+"/{1..50}")
	if sum.OK != 50 || c.accepted.Load() != 3 {
		t.Errorf("%d connections: %+v", c.accepted.Load(), sum)
	}
	sum = once(t, OnceOptions{Workers: 1, RootCAs: x509.NewCertPool()}, srv.URL+"/")
	if sum.Failed != 1 || !strings.Contains(sum.Failures[0].Error, "certificate") {
		t.Errorf("an unknown root: %+v", sum.Failures)
	}
}

func TestOnceUnixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "warm") // t.TempDir can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "a b.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	_, c := serve(t, hello, func(s *httptest.Server) {
		s.Listener.Close()
		s.Listener = ln
		s.Start()
	})
	sum := once(t, OnceOptions{Workers: 2}, "http+unix://"+url.PathEscape(path)+"/x/{1..10}")
	if sum.OK != 10 || c.seen()["/x/7"] != 1 || c.lastHost != "localhost" {
		t.Errorf("host %q, %+v", c.lastHost, sum)
	}
}

// TestOnceOrigins holds that braces in the host work and that a worker that
// changes hosts still has one connection.
func TestOnceOrigins(t *testing.T) {
	a, ca := serve(t, hello, nil)
	b, cb := serve(t, hello, nil)
	portOf := func(s *httptest.Server) string {
		_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
		return port
	}
	sum := once(t, OnceOptions{Workers: 1}, fmt.Sprintf("http://127.0.0.1:{%s,%s}?n={1..3}", portOf(a), portOf(b)))
	if sum.OK != 6 || sum.Connections != 2 || ca.seen()["/?n=2"] != 1 || cb.seen()["/?n=3"] != 1 {
		t.Errorf("%+v %v %v", sum, ca.seen(), cb.seen())
	}
	sum = once(t, OnceOptions{Workers: 1}, fmt.Sprintf("http://127.0.0.1:{%s,http}/", portOf(a)))
	if sum.OK != 1 || sum.Failed != 1 || !strings.Contains(sum.Failures[0].Error, "not host") {
		t.Errorf("a bad host among good ones: %+v", sum)
	}
}

func TestOnceNoAnswer(t *testing.T) {
	release := make(chan struct{})
	slow, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}, nil)
	defer close(release)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := ln.Addr().String()
	ln.Close()
	for name, tt := range map[string]struct{ url, has string }{
		"slow":    {slow.URL, "no answer from " + slow.Listener.Addr().String() + " within 50ms"},
		"refused": {"http://" + gone, "connect to " + gone + ": connection refused"},
		"socket":  {"http+unix://%2Fnowhere.sock/", "connect to /nowhere.sock: no such file"},
	} {
		sum := once(t, OnceOptions{Workers: 2, Timeout: 50 * time.Millisecond}, tt.url+"?n={1..3}")
		if sum.Failed != 3 || !strings.HasPrefix(sum.Failures[0].Error, tt.has) || len(sum.Statuses) != 0 {
			t.Errorf("%s: %+v", name, sum)
		}
	}
}

// TestOnceCancel holds that the end of the context ends requests under way at
// once, and that what was not requested is told.
func TestOnceCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	srv, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/5" {
			cancel()
			<-r.Context().Done() // the warmer's end of the connection is closed
			return
		}
		hello(w, r)
	}, nil)
	p, err := NewPlan(srv.URL + "/{1..1000}")
	if err != nil {
		t.Fatal(err)
	}
	sum, err := Once(ctx, p, OnceOptions{Workers: 1, Timeout: time.Hour})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if sum.OK != 4 || sum.Failed != 0 || sum.Skipped != 996 || len(c.seen()) != 5 {
		t.Errorf("%+v after %d requests", sum, len(c.seen()))
	}
}

func TestOnceOptions(t *testing.T) {
	p, err := NewPlan("http://127.0.0.1:1/")
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]OnceOptions{
		"workers":  {Workers: -1},
		"too many": {Workers: maxWorkers + 1},
		"timeout":  {Timeout: -1},
		"name":     {Header: http.Header{"a b": {"x"}}},
		"value":    {Header: http.Header{"A": {"hunter2\r\nB: c"}}},
		"reserved": {Header: http.Header{"connection": {"close"}}},
	} {
		if _, err := Once(t.Context(), p, o); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestExchangeAllocatesNothing holds that a request on a kept connection
// leaves no garbage.
func TestExchangeAllocatesNothing(t *testing.T) {
	d, err := newDialer(nil, nil, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	c := &conn{d: d, c: &echo{}, to: origin{host: "h"}}
	c.rd.reset(c.c)
	target := []byte("/items?page=1")
	if allocs := testing.AllocsPerRun(100, func() {
		if err := c.get(t.Context(), &c.to, target); err != nil {
			t.Fatal(err)
		}
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// echo is a connection that has an answer to everything.
type echo struct{ net.Conn }

func (*echo) Write(p []byte) (int, error) { return len(p), nil }
func (*echo) SetDeadline(time.Time) error { return nil }
func (*echo) Read(p []byte) (int, error)  { return copy(p, echoed), nil }
func (*echo) Close() error                { return nil }

const echoed = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\nCache-Status: furima; hit; ttl=3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"

func BenchmarkExchange(b *testing.B) {
	d, err := newDialer(nil, nil, time.Minute)
	if err != nil {
		b.Fatal(err)
	}
	c := &conn{d: d, c: &echo{}, to: origin{host: "h"}}
	c.rd.reset(c.c)
	target := []byte("/items?page=1")
	b.ReportAllocs()
	for b.Loop() {
		if err := c.get(b.Context(), &c.to, target); err != nil {
			b.Fatal(err)
		}
	}
}

// TestOnceNeverAsksTwice holds that a request whose answer has begun is not
// sent again: the origin has done the work, and would do it twice.
func TestOnceNeverAsksTwice(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer ln.Close()
	var asked atomic.Int64
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				br := bufio.NewReader(c)
				for _, answer := range []string{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh"} {
					if _, err := http.ReadRequest(br); err != nil {
						return
					}
					asked.Add(1)
					io.WriteString(c, answer)
				}
			})
		}
	})
	sum := once(t, OnceOptions{Workers: 1}, "http://"+ln.Addr().String()+"/{1..20}")
	if asked.Load() != 20 || sum.OK != 10 || sum.Failed != 10 || sum.Failures[0].Error != errTruncated.Error() {
		t.Errorf("%d requests for 20 combinations: %+v", asked.Load(), sum)
	}
}
