package apns

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
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
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/sandbox"
)

func TestMain(m *testing.M) {
	if certFile := os.Getenv(leanEnv); certFile != "" {
		if err := leanMain(certFile); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// stand is a running stand-in for Apple and the configuration to reach it.
type stand struct {
	*sandbox.Apple
	phones *sandbox.Phones
	cfg    push.APNSConfig
}

func start(t *testing.T) *stand {
	t.Helper()
	phones := sandbox.NewPhones(sandbox.PhonesOptions{Keep: 10_000})
	apple, err := sandbox.OpenApple(sandbox.AppleOptions{Dir: t.TempDir(), Phones: phones})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- apple.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run the stand-in: %v", err)
		}
	})
	return &stand{apple, phones, push.APNSConfig{
		KeyFile: apple.KeyFile(), KeyID: sandbox.KeyID, TeamID: sandbox.TeamID, Topic: "com.example.market",
		Endpoint: apple.URL(), CAFile: apple.CAFile(),
	}}
}

func open(t *testing.T, cfg push.APNSConfig) push.Sender {
	t.Helper()
	return openWith(t, cfg, Options{})
}

func openWith(t *testing.T, cfg push.APNSConfig, o Options) push.Sender {
	t.Helper()
	s, err := NewProvider(o).Open(push.AppConfig{Name: "market", APNS: cfg}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func token(i int) string { return fmt.Sprintf("%064x", i) }

// messages renders a notification for n tokens.
func messages(t *testing.T, s push.Sender, n int) []push.Message {
	t.Helper()
	rendered, faults := s.Render(&push.Notification{Title: "Sold!", Body: "A film camera"}, time.Now())
	if faults != nil {
		t.Fatal(faults)
	}
	batch := make([]push.Message, n)
	for i := range batch {
		batch[i] = push.Message{Token: token(i), ID: push.MessageID{6: 0x80, 8: 0x80, 14: byte(i >> 8), 15: byte(i)}, Rendered: &rendered}
	}
	return batch
}

// send returns the results in the order of the batch, and fails if a message
// has none or two.
func send(ctx context.Context, t *testing.T, s push.Sender, batch []push.Message) []push.Result {
	t.Helper()
	var mu sync.Mutex
	results := make([]push.Result, len(batch))
	s.Send(ctx, batch, func(i int, r push.Result) {
		mu.Lock()
		defer mu.Unlock()
		if results[i].Outcome != 0 {
			t.Errorf("message %d has two results: %v and %v", i, results[i], r)
		}
		results[i] = r
	})
	for i, r := range results {
		if r.Outcome == 0 {
			t.Errorf("message %d has no result", i)
		}
	}
	return results
}

var ignoreTook = cmpopts.IgnoreFields(push.Result{}, "Took", "Err")

func TestSendDeliversEachOnce(t *testing.T) {
	t.Parallel()
	stand := start(t)
	s := open(t, stand.cfg)
	batch := messages(t, s, 1000)
	for i, r := range send(t.Context(), t, s, batch) {
		if r.Outcome != push.Sent || r.Took <= 0 {
			t.Fatalf("message %d: %+v", i, r)
		}
	}
	if total, repeated := stand.phones.Received(); total != 1000 || repeated != 0 {
		t.Errorf("received %d, repeated %d", total, repeated)
	}
	for i := range batch {
		if n := stand.phones.Count(batch[i].ID.String()); n != 1 {
			t.Fatalf("message %d arrived %d times under its id", i, n)
		}
	}
	d := stand.phones.Deliveries(0, 1)[0]
	if d.Topic != "com.example.market" || d.PushType != "alert" || d.Priority != "10" || d.Title != "Sold!" || d.Body != "A film camera" {
		t.Errorf("arrived as %+v", d)
	}
}

func TestSendTellsEachFate(t *testing.T) {
	t.Parallel()
	stand := start(t)
	s := open(t, stand.cfg)
	batch := messages(t, s, 6)
	batch[1].Token = sandbox.DeadPrefix + token(1)
	batch[2].Token = sandbox.ForeignPrefix + token(2)
	batch[3].Token = "not/hexadecimal"
	stand.Fail(sandbox.Fault{Token: token(4), Status: 503, Reason: "ServiceUnavailable", RetryAfter: 7})
	stand.Fail(sandbox.Fault{Token: token(5), Status: 400, Reason: "BadCollapseId"})
	want := []push.Result{
		{Outcome: push.Sent},
		{Outcome: push.Unregistered, Reason: "Unregistered", Since: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)},
		{Outcome: push.Unregistered, Reason: "BadDeviceToken"},
		{Outcome: push.Unregistered, Reason: "BadDeviceToken"},
		{Outcome: push.Retry, Reason: "ServiceUnavailable", After: 7 * time.Second},
		{Outcome: push.Rejected, Reason: "BadCollapseId"},
	}
	if diff := cmp.Diff(want, send(t.Context(), t, s, batch), ignoreTook); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if n := stand.Answers()["404 BadPath"]; n != 0 {
		t.Errorf("a token that is none became a path")
	}
}

func TestExpiredProviderTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	stand := start(t)
	var ahead atomic.Int64
	s := openWith(t, stand.cfg, Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load()) - 30*time.Minute) }})
	send(t.Context(), t, s, messages(t, s, 1))
	ahead.Store(int64(25 * time.Minute))
	stand.Fail(sandbox.Fault{Count: 3, Status: 403, Reason: "ExpiredProviderToken"})
	for i, r := range send(t.Context(), t, s, messages(t, s, 10)) {
		if r.Outcome != push.Sent {
			t.Errorf("message %d: %+v", i, r)
		}
	}
	// A new one so soon after would only get the team blocked: the clock is off.
	stand.Fail(sandbox.Fault{Count: 1, Status: 403, Reason: "ExpiredProviderToken"})
	r := send(t.Context(), t, s, messages(t, s, 1))[0]
	if r.Outcome != push.Refused || r.Reason != "ExpiredProviderToken" {
		t.Errorf("again at once: %+v", r)
	}
}

func TestRefusedKey(t *testing.T) {
	t.Parallel()
	stand := start(t)
	stand.cfg.KeyID = "REVOKEDKEY"
	s := open(t, stand.cfg)
	for i, r := range send(t.Context(), t, s, messages(t, s, 3)) {
		if r.Outcome != push.Refused || r.Reason != "InvalidProviderToken" {
			t.Errorf("message %d: %+v", i, r)
		}
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	stand := start(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "https://" + ln.Addr().String()
	ln.Close()
	noHTTP2 := httptest.NewUnstartedServer(http.NotFoundHandler())
	noHTTP2.Config.ErrorLog = log.New(io.Discard, "", 0)
	noHTTP2.StartTLS()
	t.Cleanup(noHTTP2.Close)
	for name, change := range map[string]func(c *push.APNSConfig){
		"nobody listens":    func(c *push.APNSConfig) { c.Endpoint = closed },
		"an unknown root":   func(c *push.APNSConfig) { c.CAFile = "" },
		"another root":      func(c *push.APNSConfig) { c.Endpoint = noHTTP2.URL },
		"no such host name": func(c *push.APNSConfig) { c.Endpoint = "https://nowhere.invalid" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := stand.cfg
			change(&cfg)
			s := open(t, cfg)
			batch := messages(t, s, 2)
			for i, r := range send(t.Context(), t, s, batch) {
				if r.Outcome != push.Down || r.Err == nil {
					t.Errorf("message %d: %+v", i, r)
				} else if strings.Contains(r.Err.Error(), batch[i].Token) || strings.Contains(r.Err.Error(), "bearer") {
					t.Errorf("message %d: the error tells a token: %v", i, r.Err)
				}
			}
		})
	}
}

func TestSilenceAndReset(t *testing.T) {
	t.Parallel()
	stand := start(t)
	stand.cfg.Timeout = 3 * time.Second // enough for the one that is answered
	s := open(t, stand.cfg)
	stand.Fail(sandbox.Fault{Token: token(0), Hang: true})
	results := send(t.Context(), t, s, messages(t, s, 2))
	want := []push.Result{{Outcome: push.Retry, Reason: "Timeout"}, {Outcome: push.Sent}}
	if diff := cmp.Diff(want, results, ignoreTook); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	t.Parallel()
	stand := start(t)
	s := open(t, stand.cfg)
	stand.Fail(sandbox.Fault{Count: -1, Hang: true})
	ctx, cancel := context.WithCancel(t.Context())
	batch := messages(t, s, 300)
	go func() {
		defer cancel()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for stand.Waiting() == 0 && ctx.Err() == nil { // until the stand-in has something in hand
			<-tick.C
		}
	}()
	results := send(ctx, t, s, batch)
	cancel()
	for i, r := range results {
		if r.Outcome != push.Retry {
			t.Fatalf("message %d: %+v", i, r)
		}
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	stand := start(t)
	stand.cfg.Connections = 2
	s := open(t, stand.cfg)
	stand.SetLatency(2 * time.Millisecond)
	for range 3 {
		send(t.Context(), t, s, messages(t, s, 300))
	}
	if n := stand.Connections(); n > 2 {
		t.Errorf("%d connections, 2 are configured", n)
	}
}

func TestCertificateAuthentication(t *testing.T) {
	t.Parallel()
	certFile, leaf := clientCertificate(t)
	var seen atomic.Value
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen.Store(r.TLS.PeerCertificates[0].Subject.CommonName + r.Header.Get("Authorization"))
	}))
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	srv.EnableHTTP2 = true
	srv.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	srv.StartTLS()
	defer srv.Close()
	caFile := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, push.APNSConfig{CertFile: certFile, CAFile: caFile, Endpoint: srv.URL})
	if r := send(t.Context(), t, s, messages(t, s, 1))[0]; r.Outcome != push.Sent {
		t.Fatalf("%+v", r)
	}
	if got := seen.Load(); got != "an app" {
		t.Errorf("the server saw %q", got)
	}
}

func clientCertificate(t *testing.T) (file string, cert *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	template.Subject.CommonName = "an app"
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	both := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...)
	file = filepath.Join(t.TempDir(), "app.pem")
	if err := os.WriteFile(file, both, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, cert
}

func TestOpenWithoutCredentials(t *testing.T) {
	t.Parallel()
	if s, err := NewProvider(Options{}).Open(push.AppConfig{Name: "market"}, nil); s != nil || err != nil {
		t.Errorf("got %v, %v; want neither", s, err)
	}
	_, err := NewProvider(Options{}).Open(push.AppConfig{Name: "market", APNS: push.APNSConfig{KeyFile: "/nowhere/key.p8"}}, nil)
	if err == nil || !strings.Contains(err.Error(), "app market") || !strings.Contains(err.Error(), "/nowhere/key.p8") {
		t.Errorf("a missing key: %v", err)
	}
}

func TestAppsShareTheTokenOfAKey(t *testing.T) {
	t.Parallel()
	stand := start(t)
	p := NewProvider(Options{})
	source := func(change func(*push.APNSConfig)) *tokenSource {
		cfg := stand.cfg
		change(&cfg)
		s, err := p.Open(push.AppConfig{Name: "x", APNS: cfg}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s.(*sender).tokens
	}
	first := source(func(*push.APNSConfig) {})
	if source(func(c *push.APNSConfig) { c.Topic = "com.example.other" }) != first {
		t.Error("another app with the same key has a token of its own")
	}
	if source(func(c *push.APNSConfig) { c.KeyID = "OTHERKEYID" }) == first {
		t.Error("another key has the same token")
	}
}
