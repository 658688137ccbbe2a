package h2_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/furima/furima/internal/push/h2"
)

// identity is a certificate for 127.0.0.1, in files too.
type identity struct {
	cert, key string // files
	pair      tls.Certificate
	roots     *x509.CertPool
}

var makeIdentity = sync.OnceValues(func() ([2][]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return [2][]byte{}, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "h2 test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return [2][]byte{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	return [2][]byte{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}, err
})

func newIdentity(t *testing.T) identity {
	t.Helper()
	pems, err := makeIdentity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	id := identity{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), roots: x509.NewCertPool()}
	for i, name := range []string{id.cert, id.key} {
		if err := os.WriteFile(name, pems[i], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if id.pair, err = tls.X509KeyPair(pems[0], pems[1]); err != nil {
		t.Fatal(err)
	}
	id.roots.AppendCertsFromPEM(pems[0])
	return id
}

// load is what a server is sent: batches from several goroutines at once, every
// request with a path, an id and a body of its own.
type load struct {
	workers, rounds, size int
	body                  func(i int) []byte
	path                  func(i int) string // nil: /3/device/i
	check                 func(i int, r *h2.Response) string
	during                func() // runs meanwhile
}

func (l load) run(t *testing.T, cfg h2.Config) {
	t.Helper()
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	pool, err := h2.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	h, err := h2.NewHeaders("POST", h2.Field{Name: "authorization", Value: "bearer " + strings.Repeat("x", 240)}, h2.Field{Name: "apns-topic", Value: "com.example.market"})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var bad atomic.Int32
	for w := range l.workers {
		wg.Go(func() {
			b := &h2.Batch{Requests: make([]h2.Request, l.size)}
			for round := range l.rounds {
				first := (w*l.rounds + round) * l.size
				for k := range b.Requests {
					i := first + k
					path := "/3/device/" + strconv.Itoa(i)
					if l.path != nil {
						path = l.path(i)
					}
					b.Requests[k] = h2.Request{Headers: h, Path: path, Fields: []h2.Field{{Name: "apns-id", Value: strconv.Itoa(i)}}, Body: l.body(i)}
				}
				if err := pool.Start(ctx, b); err != nil {
					t.Error(err)
					return
				}
				b.Wait()
				for k := range b.Responses {
					if what := l.check(first+k, &b.Responses[k]); what != "" && bad.Add(1) < 10 {
						t.Errorf("request %d: %s", first+k, what)
					}
				}
			}
		})
	}
	if l.during != nil {
		l.during()
	}
	wg.Wait()
	if err := pool.Close(ctx); err != nil {
		t.Error(err)
	}
	if n := bad.Load(); n > 0 {
		t.Errorf("%d of %d went wrong", n, l.workers*l.rounds*l.size)
	}
}

// bodyOf is a body that belongs to i.
func bodyOf(i int) []byte { return []byte(strings.Repeat(strconv.Itoa(i)+" ", 1+i%50)) }

// echoed checks that the answer has status 200 and the request's body.
func echoed(i int, r *h2.Response) string {
	switch {
	case r.Err != nil:
		return r.Err.Error()
	case r.Status != 200:
		return fmt.Sprintf("status %d", r.Status)
	case string(r.Body) != string(bodyOf(i)):
		return fmt.Sprintf("body %.60q, want %.60q", r.Body, bodyOf(i))
	}
	return ""
}

func TestGoServer(t *testing.T) {
	id := newIdentity(t)
	start := func(t *testing.T, cfg *http.HTTP2Config) (addr string, srv *http.Server) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv = &http.Server{
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{id.pair}, ClientAuth: tls.RequestClientCert}, HTTP2: cfg, ReadHeaderTimeout: time.Minute,
			ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil || r.Header.Get("apns-topic") != "com.example.market" || int64(len(body)) != r.ContentLength {
					http.Error(w, fmt.Sprint("bad request: ", err, r.Header, r.ContentLength), http.StatusBadRequest)
					return
				}
				w.Header().Set("apns-id", r.Header.Get("apns-id"))
				w.Header().Set("x-certificates", strconv.Itoa(len(r.TLS.PeerCertificates)))
				w.Header().Set("Trailer", "X-End")
				_, _ = w.Write(body)
				w.Header().Set("X-End", "1")
			}),
		}
		ended := make(chan struct{})
		go func() {
			_ = srv.ServeTLS(l, "", "")
			close(ended)
		}()
		t.Cleanup(func() {
			_ = srv.Close()
			<-ended
		})
		return l.Addr().String(), srv
	}
	check := func(i int, r *h2.Response) string {
		if r.Err == nil && r.Kept[0] != strconv.Itoa(i) {
			return fmt.Sprintf("apns-id %q", r.Kept[0])
		}
		return echoed(i, r)
	}
	for name, cfg := range map[string]*http.HTTP2Config{
		"default": {},
		"narrow":  {MaxConcurrentStreams: 3, MaxReceiveBufferPerStream: 70000, MaxReceiveBufferPerConnection: 70000, MaxDecoderHeaderTableSize: 64},
	} {
		t.Run(name, func(t *testing.T) {
			addr, _ := start(t, cfg)
			load{workers: 4, rounds: 5, size: 100, body: bodyOf, check: check}.
				run(t, h2.Config{URL: "https://" + addr, TLS: &tls.Config{RootCAs: id.roots}, Keep: []string{"apns-id"}, Connections: 2})
		})
	}
	t.Run("client certificate", func(t *testing.T) {
		addr, _ := start(t, nil)
		load{workers: 1, rounds: 1, size: 1, body: bodyOf, check: func(i int, r *h2.Response) string {
			if r.Kept[0] != "1" {
				return fmt.Sprintf("%s certificates came, error %v", r.Kept[0], r.Err)
			}
			return ""
		}}.run(t, h2.Config{URL: "https://" + addr, TLS: &tls.Config{RootCAs: id.roots, Certificates: []tls.Certificate{id.pair}}, Keep: []string{"x-certificates"}})
	})
	t.Run("no HTTP/2", func(t *testing.T) {
		l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{id.pair}})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_ = c.(*tls.Conn).HandshakeContext(t.Context())
				_ = c.Close()
			}
		}()
		wantQueued(t, h2.Config{URL: "https://" + l.Addr().String(), TLS: &tls.Config{RootCAs: id.roots}}, "HTTP/2")
	})
	t.Run("wrong certificate", func(t *testing.T) {
		addr, _ := start(t, nil)
		wantQueued(t, h2.Config{URL: "https://" + addr, TLS: &tls.Config{RootCAs: x509.NewCertPool()}}, "certificate")
	})
	t.Run("shut down under load", func(t *testing.T) {
		// Its answers may be lost with the server, but every request ends, and
		// what is said to be not processed was not.
		addr, srv := start(t, nil)
		var seen sync.Map
		var n atomic.Int32
		enough := make(chan struct{})
		inner := srv.Handler
		srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, again := seen.LoadOrStore(r.URL.Path, true); again {
				t.Errorf("%s came twice", r.URL.Path)
			}
			if n.Add(1) == 300 {
				close(enough)
			}
			inner.ServeHTTP(w, r)
		})
		load{workers: 4, rounds: 10, size: 50, body: bodyOf,
			check: func(i int, r *h2.Response) string {
				if _, came := seen.Load("/3/device/" + strconv.Itoa(i)); came && r.Err != nil && !h2.MaybeProcessed(r.Err) {
					return "it came, and this is said: " + r.Err.Error()
				}
				return ""
			},
			during: func() {
				<-enough
				_ = srv.Shutdown(t.Context())
			},
		}.run(t, h2.Config{URL: "https://" + addr, TLS: &tls.Config{RootCAs: id.roots}, Connections: 2, QueueTimeout: 100 * time.Millisecond})
	})
}

// wantQueued checks that there is no connection to a server, for a reason that
// has a word in it.
func wantQueued(t *testing.T, cfg h2.Config, word string) {
	t.Helper()
	cfg.QueueTimeout = 3 * time.Second
	pool, err := h2.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := pool.Do(t.Context(), post(t, 1, "x"))[0]
	wantErr(t, r, h2.Queued, false)
	if r.Err == nil || !strings.Contains(r.Err.Error(), word) {
		t.Errorf("error %v does not speak of %s", r.Err, word)
	}
	if err := pool.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
