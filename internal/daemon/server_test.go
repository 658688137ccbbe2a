package daemon_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/furima/furima/internal/daemon"
)

// running is a daemon that serves one server in the background.
type running struct {
	URL  string
	Addr string
	stop context.CancelFunc
	done chan error
}

func run(t *testing.T, o daemon.Options, s daemon.Server) *running {
	t.Helper()
	ln, err := daemon.Listen(t.Context(), "listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Listener = ln
	return runStep(t, o, ln, s.Step())
}

func runStep(t *testing.T, o daemon.Options, ln net.Listener, s daemon.Step) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan struct{})
	o.OnReady = func() { close(ready) }
	r := &running{URL: "http://" + ln.Addr().String(), Addr: ln.Addr().String(), stop: cancel, done: make(chan error, 1)}
	d := daemon.New(o)
	go func() { r.done <- d.Run(ctx, func(ctx context.Context) error { return d.Start(ctx, s) }) }()
	select {
	case <-ready:
	case err := <-r.done:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		http.DefaultClient.CloseIdleConnections()
	})
	return r
}

// end stops the daemon and returns what Run returned.
func (r *running) end() error {
	r.stop()
	return <-r.done
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestServerFinishesRequests(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	r := run(t, daemon.Options{}, daemon.Server{Name: "api", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		if err := r.Context().Err(); err != nil {
			t.Errorf("the context of a running request ended with the stop: %v", err)
		}
		io.WriteString(w, "done")
	})})
	answer := make(chan string)
	go func() {
		_, body := get(t, r.URL)
		answer <- body
	}()
	<-entered
	r.stop()
	waitRefused(t, r.Addr)
	close(release)
	if got := <-answer; got != "done" {
		t.Errorf("answer %q", got)
	}
	if err := <-r.done; err != nil {
		t.Error(err)
	}
}

// waitRefused waits until nobody listens on addr.
func waitRefused(t *testing.T, addr string) {
	t.Helper()
	for t.Context().Err() == nil {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		c.Close()
	}
}

func TestServerDeadline(t *testing.T) {
	entered, left := make(chan struct{}), make(chan struct{})
	r := run(t, daemon.Options{StopTimeout: 50 * time.Millisecond}, daemon.Server{Name: "api", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		close(left)
	})})
	go func() {
		if resp, err := http.Get(r.URL); err == nil {
			resp.Body.Close()
		}
	}()
	<-entered
	wantError(t, r.end(), "stop api: finish running requests: context deadline exceeded")
	<-left
}

func TestServerEndsStreams(t *testing.T) {
	r := run(t, daemon.Options{}, daemon.Server{Name: "ops", WriteTimeout: -1, CancelOnStop: true,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: 1\n\n")
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})})
	resp, err := http.Get(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	if line, err := lines.ReadString('\n'); err != nil || line != "data: 1\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(lines); err != nil || string(rest) != "\n" {
		t.Errorf("the stream did not end well: %q, %v", rest, err)
	}
}

// A browser's spare connection must not hold up the stop for the five seconds
// that net/http gives it.
func TestServerStopsWithSilentConnection(t *testing.T) {
	r := run(t, daemon.Options{StopTimeout: 4 * time.Second}, daemon.Server{Name: "api", Handler: http.NotFoundHandler()})
	c, err := net.Dial("tcp", r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	get(t, r.URL) // by now the silent connection has been accepted, too
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

func TestServerFailure(t *testing.T) {
	ln, err := daemon.Listen(t.Context(), "listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := runStep(t, daemon.Options{}, ln, daemon.Server{Name: "api", Listener: ln, Handler: http.NotFoundHandler()}.Step())
	ln.Close()
	if err := <-r.done; err == nil || !strings.HasPrefix(err.Error(), "api: ") || !errors.Is(err, net.ErrClosed) {
		t.Errorf("a server that cannot accept any more: %v", err)
	}
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

func TestServerLimitsAndErrorLog(t *testing.T) {
	var log syncBuffer
	r := run(t, daemon.Options{}, daemon.Server{
		Name: "api", MaxHeaderBytes: 1 << 10, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("ouch") }),
	})
	req, err := http.NewRequest("GET", r.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Long", strings.Repeat("x", 8<<10))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("long header: %s", resp.Status)
	}
	if resp, err := http.Get(r.URL); err == nil {
		resp.Body.Close()
		t.Errorf("panic: %s", resp.Status)
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
	if s := log.String(); !strings.Contains(s, "level=ERROR") || !strings.Contains(s, "ouch") || !strings.Contains(s, "server=api") {
		t.Errorf("log: %s", s)
	}
}
