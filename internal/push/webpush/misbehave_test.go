package webpush

import (
	"bytes"
	"encoding/pem"
	"io"
	"log"
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

	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/sandbox"
)

// rogue starts a push service of its own and makes cfg trust it.
func rogue(t *testing.T, cfg *push.WebPushConfig, http2 bool, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = http2
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	trust(t, cfg, srv)
	return srv
}

func trust(t *testing.T, cfg *push.WebPushConfig, srv *httptest.Server) {
	t.Helper()
	roots := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if cfg.CAFile != "" {
		before, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, before...)
	}
	cfg.CAFile = filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(cfg.CAFile, roots, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.AllowPrivate = true
}

func TestRedirectionsAreNotFollowed(t *testing.T) {
	t.Parallel()
	cfg := keyed(t)
	var inside atomic.Int64
	private := rogue(t, &cfg, true, func(http.ResponseWriter, *http.Request) { inside.Add(1) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		service := rogue(t, &cfg, true, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, private.URL+"/admin", status)
		})
		s := openSender(t, cfg)
		if r := sendOne(t, s, subscribe(t, service.URL+"/x")); r.Outcome != push.Retry || r.Reason != reasonOf(status) {
			t.Errorf("%d: %+v", status, r)
		}
	}
	if n := inside.Load(); n > 0 {
		t.Errorf("the address inside was asked %d times", n)
	}
}

func TestProxyOfTheEnvironmentIsNotUsed(t *testing.T) {
	if s := openSender(t, keyed(t)); s.transport.Proxy != nil {
		t.Error("there is a proxy")
	}
}

func TestMisbehavingAnswers(t *testing.T) {
	t.Parallel()
	var wrote atomic.Int64
	big := bytes.Repeat([]byte("x"), 64<<10)
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		want push.Result
	}{
		"a body without an end": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			for {
				n, err := w.Write(big)
				wrote.Add(int64(n))
				if err != nil {
					return
				}
			}
		}, push.Result{Outcome: push.Sent}},
		"a huge header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("y", 2*maxAnswerHeaders))
			w.WriteHeader(http.StatusCreated)
		}, push.Result{Outcome: push.Retry, Reason: reasonLost}},
		"many headers": {func(w http.ResponseWriter, _ *http.Request) {
			for i := range 2000 {
				w.Header().Add("X", strings.Repeat("y", 20+i%2))
			}
			w.WriteHeader(http.StatusCreated)
		}, push.Result{Outcome: push.Retry, Reason: reasonLost}},
		"other protocols": {func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor == 2 {
				w.WriteHeader(http.StatusFound)
				return
			}
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			defer c.Close()
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
			_, _ = io.Copy(io.Discard, c)
		}, push.Result{Outcome: push.Retry}},
		"no answer but an end": {func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		}, push.Result{Outcome: push.Retry, Reason: reasonLost}},
		"many informational answers": {func(w http.ResponseWriter, _ *http.Request) {
			for range 20 {
				w.WriteHeader(http.StatusEarlyHints)
			}
			w.WriteHeader(http.StatusCreated)
		}, push.Result{Outcome: push.Sent}},
	} {
		for _, http2 := range []bool{false, true} {
			cfg := keyed(t)
			service := rogue(t, &cfg, http2, c.h)
			s := openSender(t, cfg)
			got := sendOne(t, s, subscribe(t, service.URL+"/x"))
			if name == "other protocols" {
				got.Reason = ""
			}
			if diff := cmp.Diff(c.want, got, ignoreTook); diff != "" {
				t.Errorf("%s, HTTP/2 %v (-want +got):\n%s", name, http2, diff)
			}
		}
	}
	if n := wrote.Load(); n > 16<<20 { // buffers of the kernel and the server
		t.Errorf("%d bytes of the endless body were taken", n)
	}
}

func TestSlowBodyDoesNotHoldTheMessageUp(t *testing.T) {
	t.Parallel()
	cfg := keyed(t)
	cfg.Timeout = 3 * time.Second // enough for the header
	service := rogue(t, &cfg, true, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	if r := sendOne(t, openSender(t, cfg), subscribe(t, service.URL+"/x")); r.Outcome != push.Sent {
		t.Errorf("%+v", r)
	}
}

func TestSilence(t *testing.T) {
	t.Parallel()
	stand := start(t)
	stand.cfg.Timeout = 3 * time.Second // enough for what is answered
	s := openSender(t, stand.cfg)
	token := stand.NewSubscription()
	stand.Fail(sandbox.Fault{Token: sandbox.PhoneOf(token), Hang: true})
	if r := sendOne(t, s, token); r.Outcome != push.Retry || r.Reason != reasonTimeout {
		t.Errorf("%+v", r)
	}
	if r := sendOne(t, s, token); r.Outcome != push.Sent {
		t.Errorf("once more: %+v", r)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	stand := start(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	garbage, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := garbage.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("SSH-2.0-OpenSSH_9.9\r\n"))
			c.Close()
		}
	})
	t.Cleanup(func() {
		garbage.Close()
		served.Wait()
	})
	for name, c := range map[string]struct {
		origin string
		ca     string
	}{
		"nobody listens":  {"https://" + closed.Addr().String(), stand.cfg.CAFile},
		"another service": {"https://" + garbage.Addr().String(), stand.cfg.CAFile},
		"an unknown root": {stand.URL(), ""},
	} {
		cfg := stand.cfg
		cfg.CAFile = c.ca
		s := openSender(t, cfg)
		results := send(t.Context(), t, s, messages(t, s, subscribe(t, c.origin+"/1"), subscribe(t, c.origin+"/2"), subscribe(t, c.origin+"/3")))
		if diff := cmp.Diff(map[string]int{"retry Unreachable": 3}, tally(results)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if r := sendOne(t, s, subscribe(t, c.origin+"/4")); r.Outcome != push.Retry || r.After <= 0 || r.Took != 0 {
			t.Errorf("%s, during the pause: %+v", name, r)
		}
	}
}

func TestHTTP1(t *testing.T) {
	t.Parallel()
	cfg := keyed(t)
	var mu sync.Mutex
	from, protocols, served, now, most := map[string]int{}, map[string]int{}, 0, 0, 0
	service := rogue(t, &cfg, false, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		from[r.RemoteAddr]++
		protocols[r.Proto]++
		served++
		now--
		mu.Unlock()
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "thank you")
	})
	s := openSender(t, cfg)
	tokens := make([]string, 200)
	for i := range tokens {
		tokens[i] = subscribe(t, service.URL+"/x")
	}
	results := tally(send(t.Context(), t, s, messages(t, s, tokens...)))
	if diff := cmp.Diff(map[string]int{"sent ": 200}, results); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	mu.Lock()
	defer mu.Unlock()
	// net/http lets go of a connection whose answer overtakes its own notice that
	// the request is written, so there may be a few more than are open at once.
	if most > maxConns || len(from) > 5*maxConns || served != 200 || protocols["HTTP/1.1"] != 200 {
		t.Errorf("%d requests, %d at once, over %d connections, protocols %v", served, most, len(from), protocols)
	}
}

// A push service restarts: what it had kept open is closed.
func TestKeptConnectionIsClosed(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		cfg := keyed(t)
		service := rogue(t, &cfg, http2, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) })
		s := openSender(t, cfg)
		for i := range 5 {
			if r := sendOne(t, s, subscribe(t, service.URL+"/x")); r.Outcome != push.Sent {
				t.Errorf("HTTP/2 %v, time %d: %+v", http2, i, r)
			}
			service.CloseClientConnections()
		}
	}
}
