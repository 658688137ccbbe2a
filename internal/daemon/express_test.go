package daemon_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/daemon"
)

// seen is what a handler sees of a request.
type seen struct {
	Method, URI, Path, Host, Proto string
	Length                         int64
	Header                         http.Header
	Body                           string
	Err                            string
}

// echo answers with what it sees. Express and net/http must agree on it.
func echo(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Leave") != "" {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	body, err := io.ReadAll(r.Body)
	s := seen{r.Method, r.RequestURI, r.URL.Path, r.Host, r.Proto, r.ContentLength, r.Header, string(body), ""}
	if err != nil {
		s.Err = err.Error()
		w.Header().Set("Connection", "close") // net/http closes it and does not say so
	}
	if len(body) > 1000 { // or net/http sends the answer in chunks
		s.Body = fmt.Sprintf("%x", sha256.Sum256(body))
	}
	if r.Header.Get("X-Split") != "" {
		w.Header()["X-Answer"] = []string{"a\r\nb: c", "d"}
	}
	if r.Header.Get("X-Close") != "" {
		w.Header().Set("Connection", "close")
	}
	if r.Header.Get("X-Nothing") != "" {
		w.WriteHeader(http.StatusNoContent)
	}
	_ = json.NewEncoder(w).Encode(s)
}

var expressRoutes = []string{"POST /v1/push", "POST /push"}

// pair is the same server twice, once with express routes.
type pair struct{ express, plain *running }

func newPair(t *testing.T) pair {
	s := daemon.Server{Name: "push", Handler: http.HandlerFunc(echo)}
	plain := run(t, daemon.Options{}, s)
	s.Express = expressRoutes
	p := pair{express: run(t, daemon.Options{}, s), plain: plain}
	t.Cleanup(func() {
		for _, r := range []*running{p.express, p.plain} {
			if err := r.end(); err != nil {
				t.Error(err)
			}
		}
	})
	return p
}

// exchange sends pieces, says that there will be no more, and returns the answers.
func exchange(t *testing.T, addr string, pieces ...string) []string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, p := range pieces {
		if _, err := io.WriteString(c, p); err != nil {
			break // it has been closed, and the answer says why
		}
	}
	_ = c.(*net.TCPConn).CloseWrite()
	var answers []string
	for br := bufio.NewReader(c); ; {
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
				answers = append(answers, "reset")
			}
			return answers
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		res.Header.Del("Date")
		var text bytes.Buffer
		fmt.Fprintf(&text, "%s close=%t length=%d\n", res.Status, res.Close, res.ContentLength)
		for _, name := range slices.Sorted(maps.Keys(res.Header)) {
			fmt.Fprintf(&text, "%s: %q\n", name, res.Header[name])
		}
		answers = append(answers, text.String()+string(body))
	}
}

// requests are requests of all kinds, whole and broken.
var requests = map[string]string{
	"plain":                  "POST /v1/push HTTP/1.1\r\nHost: furima\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
	"two at once":            "POST /v1/push HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}POST /push HTTP/1.1\r\nHost: b:80\r\nContent-Length: 3\r\n\r\n{ }",
	"and then another route": "POST /v1/push HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}GET /v1/push/pu_1?x=y HTTP/1.1\r\nHost: b\r\n\r\n",
	"no body":                "POST /push HTTP/1.1\r\nHost: a\r\n\r\n",
	"empty body":             "POST /push HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
	"repeated header":        "POST /push HTTP/1.1\r\nHost: a\r\nx-forwarded-for: 1\r\nX-Forwarded-For:  2 \r\nA: b\r\nX-FORWARDED-FOR: 3\r\n\r\n",
	"keep-alive":             "POST /push HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\n1",
	"close":                  "POST /push HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1",
	"the handler closes":     "POST /push HTTP/1.1\r\nHost: a\r\nX-Close: 1\r\n\r\nPOST /push HTTP/1.1\r\nHost: a\r\n\r\n",
	"a header with lines":    "POST /push HTTP/1.1\r\nHost: a\r\nX-Split: 1\r\n\r\n",
	"an answer without body": "POST /push HTTP/1.1\r\nHost: a\r\nX-Nothing: 1\r\n\r\nPOST /push HTTP/1.1\r\nHost: a\r\n\r\n",
	"a body that is left":    "POST /push HTTP/1.1\r\nHost: a\r\nX-Leave: 1\r\nContent-Length: 5\r\n\r\n12345POST /push HTTP/1.1\r\nHost: a\r\n\r\n",
	"a long body":            "POST /push HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("0123456789", 10_000) + "POST /push HTTP/1.1\r\nHost: a\r\n\r\n",
	"a body that is cut off": "POST /push HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345",
	"left and cut off":       "POST /push HTTP/1.1\r\nHost: a\r\nX-Leave: 1\r\nContent-Length: 10\r\n\r\n12345",
	"a head that is cut off": "POST /push HTTP/1.1\r\nHost: a\r\nContent-Le",
	"a long head":            "POST /push HTTP/1.1\r\nHost: a\r\nCookie: " + strings.Repeat("x", 5000) + "\r\n\r\n",
	"many lines":             "POST /push HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("A: b\r\n", 40) + "\r\n",
	"chunked":                "POST /push HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
	"chunked with a length":  "POST /push HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
	"two lengths":            "POST /push HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
	"the same length twice":  "POST /push HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n12",
	"a list of lengths":      "POST /push HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\n12",
	"a signed length":        "POST /push HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n12",
	"a length below 0":       "POST /push HTTP/1.1\r\nHost: a\r\nContent-Length: -2\r\n\r\n12",
	"a huge length":          "POST /push HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n12",
	"no length in length":    "POST /push HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n",
	"space before colon":     "POST /push HTTP/1.1\r\nHost: a\r\nContent-Length : 2\r\n\r\n12",
	"folded":                 "POST /push HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n",
	"bare line feeds":        "POST /push HTTP/1.1\nHost: a\nContent-Length: 2\n\n12",
	"a bare line feed":       "POST /push HTTP/1.1\r\nHost: a\r\nA: b\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n12",
	"a carriage return":      "POST /push HTTP/1.1\r\nHost: a\r\nA: b\rC: d\r\n\r\n",
	"a zero byte":            "POST /push HTTP/1.1\r\nHost: a\r\nA: b\x00\r\n\r\n",
	"beyond ASCII":           "POST /push HTTP/1.1\r\nHost: a\r\nA: é\r\n\r\n",
	"an empty name":          "POST /push HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
	"no colon":               "POST /push HTTP/1.1\r\nHost: a\r\nab\r\n\r\n",
	"no host":                "POST /push HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
	"two hosts":              "POST /push HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
	"an odd host":            "POST /push HTTP/1.1\r\nHost: a/b\r\n\r\n",
	"an empty host":          "POST /push HTTP/1.1\r\nHost: \r\n\r\n",
	"expects":                "POST /push HTTP/1.1\r\nHost: a\r\nExpect: 100-nothing\r\nContent-Length: 2\r\n\r\n12",
	"upgrade":                "POST /push HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n12",
	"pragma":                 "POST /push HTTP/1.1\r\nHost: a\r\nPragma: no-cache\r\n\r\n",
	"HTTP/1.0":               "POST /push HTTP/1.0\r\nContent-Length: 2\r\n\r\n12",
	"HTTP/2":                 "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"another method":         "PUT /push HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n12",
	"a query":                "POST /push?a=b HTTP/1.1\r\nHost: a\r\n\r\n",
	"the whole URL":          "POST http://a/push HTTP/1.1\r\nHost: b\r\n\r\n",
	"spaces":                 "POST  /push  HTTP/1.1\r\nHost: a\r\n\r\n",
	"lines before":           "\r\nPOST /push HTTP/1.1\r\nHost: a\r\n\r\n",
	"TLS":                    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}

// What express serves, and what it leaves to net/http, is what net/http alone
// makes of it.
func TestExpressIsNetHTTP(t *testing.T) {
	p := newPair(t)
	for name, raw := range requests {
		want := exchange(t, p.plain.Addr, raw)
		if diff := cmp.Diff(want, exchange(t, p.express.Addr, raw)); diff != "" {
			t.Errorf("%s (-net/http +express):\n%s", name, diff)
		}
		half := len(raw) / 2
		if diff := cmp.Diff(want, exchange(t, p.express.Addr, raw[:half], raw[half:])); diff != "" {
			t.Errorf("%s, in two pieces (-net/http +express):\n%s", name, diff)
		}
	}
}

func FuzzExpress(f *testing.F) {
	for _, raw := range requests {
		if len(raw) < 1000 {
			f.Add(raw)
		}
	}
	var p pair
	f.Fuzz(func(t *testing.T, raw string) {
		if p.plain == nil {
			p = newFuzzPair()
		}
		if strings.Contains(strings.ToLower(raw), "expect") {
			t.Skip("an interim answer comes when net/http likes")
		}
		want, got := exchange(t, p.plain.Addr, raw), exchange(t, p.express.Addr, raw)
		if n := len(want); n > 0 && len(got) == n+1 && strings.HasPrefix(got[n], "400 ") {
			got = got[:n] // net/http says nothing to less than four bytes after a request
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-net/http +express):\n%s", raw, diff)
		}
	})
	if p.plain != nil {
		p.plain.stop()
		p.express.stop()
		<-p.plain.done
		<-p.express.done
	}
}

// newFuzzPair is newPair for longer than a test.
func newFuzzPair() pair {
	one := func(express ...string) *running {
		ln, err := daemon.Listen(context.Background(), "listen", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		s := daemon.Server{Name: "push", Handler: http.HandlerFunc(echo), Listener: ln, Express: express}.Step()
		ctx, cancel := context.WithCancel(context.Background())
		r := &running{Addr: ln.Addr().String(), stop: cancel, done: make(chan error, 1)}
		d := daemon.New(daemon.Options{})
		go func() { r.done <- d.Run(ctx, func(ctx context.Context) error { return d.Start(ctx, s) }) }()
		return r
	}
	return pair{express: one(expressRoutes...), plain: one()}
}

// A body that nobody reads and that is too long to read away ends the connection,
// and the answer arrives nevertheless.
func TestExpressLeavesALongBody(t *testing.T) {
	p := newPair(t)
	for _, r := range []*running{p.plain, p.express} {
		got := exchange(t, r.Addr, "POST /push HTTP/1.1\r\nHost: a\r\nX-Leave: 1\r\nContent-Length: 300000\r\n\r\n", strings.Repeat("x", 300_000))
		if want := []string{"418 I'm a teapot close=true length=0\nContent-Length: [\"0\"]\n"}; !cmp.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestExpressPanics(t *testing.T) {
	var logged bytes.Buffer
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Abort") != "" {
			panic(http.ErrAbortHandler)
		}
		panic("oh")
	})
	r := run(t, daemon.Options{}, daemon.Server{Name: "push", Handler: h, Express: expressRoutes, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	for _, header := range []string{"", "X-Abort: 1\r\n"} {
		if got := exchange(t, r.Addr, "POST /push HTTP/1.1\r\nHost: a\r\n"+header+"\r\n"); len(got) != 0 {
			t.Errorf("answers %q", got)
		}
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(logged.String(), "panic serving"); n != 1 || !strings.Contains(logged.String(), "level=ERROR") {
		t.Errorf("%d panics in the log: %s", n, &logged)
	}
}

// A stop finishes what is under way, closes what is idle and says so in the last answer.
func TestExpressStops(t *testing.T) {
	entered, release := make(chan struct{}, 1), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Wait") == "" {
			return
		}
		entered <- struct{}{}
		<-release
		if err := r.Context().Err(); err != nil {
			t.Errorf("the context of a running request ended with the stop: %v", err)
		}
	})
	r := run(t, daemon.Options{}, daemon.Server{Name: "push", Handler: h, Express: expressRoutes})
	silent, err := net.Dial("tcp", r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	idle, err := net.Dial("tcp", r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	io.WriteString(idle, "POST /push HTTP/1.1\r\nHost: a\r\n\r\n")
	if res, err := http.ReadResponse(bufio.NewReader(idle), nil); err != nil || res.Close {
		t.Fatalf("%v, %v", res, err)
	}
	answers := make(chan []string)
	go func() { answers <- exchange(t, r.Addr, "POST /push HTTP/1.1\r\nHost: a\r\nX-Wait: 1\r\n\r\n") }()
	<-entered
	r.stop()
	for _, c := range []net.Conn{silent, idle} {
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%d bytes and %v from a connection without a request", n, err)
		}
	}
	close(release)
	if got, want := <-answers, []string{"200 OK close=true length=0\nContent-Length: [\"0\"]\n"}; !cmp.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if err := <-r.done; err != nil {
		t.Error(err)
	}
}

func TestExpressDeadline(t *testing.T) {
	entered, left := make(chan struct{}), make(chan struct{})
	r := run(t, daemon.Options{StopTimeout: 50 * time.Millisecond}, daemon.Server{Name: "push", Express: expressRoutes, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		close(left)
	})})
	done := make(chan []string)
	go func() { done <- exchange(t, r.Addr, "POST /push HTTP/1.1\r\nHost: a\r\n\r\n") }()
	<-entered
	wantError(t, r.end(), "stop push: finish running requests: context deadline exceeded")
	<-left
	<-done
}

// A client that says nothing, or not all of it, is not waited for without end.
func TestExpressTimeouts(t *testing.T) {
	for name, c := range map[string]struct {
		sent string
		want time.Duration // until the connection is closed
		body string
	}{
		"nothing":        {"", 12 * time.Second, ""},
		"half a head":    {"POST /push HTTP/1.1\r\nHo", 12 * time.Second, "HTTP/1.1 400 "}, // net/http says so
		"half a body":    {"POST /push HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345", 62 * time.Second, "i/o timeout"},
		"no more to say": {"POST /push HTTP/1.1\r\nHost: a\r\n\r\n", 122 * time.Second, "{"},
	} {
		synctest.Test(t, func(t *testing.T) {
			ln := make(pipeListener)
			ctx, cancel := context.WithCancel(context.Background())
			d := daemon.New(daemon.Options{})
			s := daemon.Server{Name: "push", Listener: ln, Express: expressRoutes, Handler: http.HandlerFunc(echo)}.Step()
			done := make(chan error)
			go func() { done <- d.Run(ctx, func(ctx context.Context) error { return d.Start(ctx, s) }) }()
			mine, theirs := net.Pipe()
			ln <- theirs
			began := time.Now()
			if c.sent != "" { // a pipe passes on that nothing was written
				go io.WriteString(mine, c.sent)
			}
			answer, err := io.ReadAll(mine)
			if took := time.Since(began); took > c.want || took < c.want*3/4 {
				t.Errorf("%s: closed after %v, want about %v", name, took, c.want)
			}
			if err != nil || !strings.Contains(string(answer), c.body) || c.body == "" && len(answer) > 0 {
				t.Errorf("%s: %q, %v", name, answer, err)
			}
			mine.Close()
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// pipeListener accepts what is sent to it.
type pipeListener chan net.Conn

func (l pipeListener) Accept() (net.Conn, error) {
	c, ok := <-l
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (l pipeListener) Close() error   { close(l); return nil }
func (l pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func TestExpressRoutes(t *testing.T) {
	for _, route := range []string{"", "POST", "POST push", "POST /v1/{id}", "POST /a?b", "POST /a b"} {
		ln, err := daemon.Listen(t.Context(), "listen", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		d := daemon.New(daemon.Options{})
		s := daemon.Server{Name: "push", Handler: http.NotFoundHandler(), Listener: ln, Express: []string{route}}.Step()
		if err := d.Run(t.Context(), func(ctx context.Context) error { return d.Start(ctx, s) }); err == nil || !strings.Contains(err.Error(), "express route") {
			t.Errorf("%q: %v", route, err)
		}
		ln.Close()
	}
}

func BenchmarkExpress(b *testing.B) {
	for _, express := range [][]string{nil, expressRoutes} {
		b.Run(fmt.Sprintf("express=%t", express != nil), func(b *testing.B) {
			ln, err := daemon.Listen(b.Context(), "listen", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			d := daemon.New(daemon.Options{})
			s := daemon.Server{Name: "push", Listener: ln, Express: express, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(http.StatusAccepted)
			})}.Step()
			done := make(chan error)
			go func() { done <- d.Run(ctx, func(ctx context.Context) error { return d.Start(ctx, s) }) }()
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			request := []byte("POST /push HTTP/1.1\r\nHost: a\r\nContent-Length: 200\r\n\r\n" + strings.Repeat("x", 200))
			answer := make([]byte, 4096)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(request); err != nil {
					b.Fatal(err)
				}
				if _, err := c.Read(answer); err != nil {
					b.Fatal(err)
				}
			}
			c.Close()
			cancel()
			<-done
		})
	}
}
