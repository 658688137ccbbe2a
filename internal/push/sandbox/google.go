package sandbox

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// GoogleOptions say how the stand-in for Google is set up.
type GoogleOptions struct {
	// Listen is the address to listen on. Empty means a free port of
	// 127.0.0.1.
	Listen string
	// Dir is where the service account and the root certificate are kept; it is
	// made when missing, and may be that of the other stand-ins. Required.
	Dir string
	// Project is the id of the one project that there is. Empty means
	// "furima-sandbox".
	Project string
	// TokenLife is how long an access token lasts. 0 means an hour.
	TokenLife time.Duration
	// MaxStreams is how many requests one connection may carry at once. 0 means
	// 100.
	MaxStreams int
	// Phones receive what is accepted. Required.
	Phones *Phones
	// Logger may be nil.
	Logger *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Google is a stand-in for Firebase Cloud Messaging, and for where its access
// tokens come from: POST /v1/projects/<id>/messages:send and POST /token of one
// server.
//
// A token of a device is 20 letters, digits, '-', '_' and ':' or more. One that
// begins with DeadPrefix is unregistered, one with ForeignPrefix belongs to
// another sender. What goes to a topic or a condition lands on a phone of that
// name, as in "/topics/news".
type Google struct {
	o       GoogleOptions
	account serviceAccount
	caFile  string
	ln      net.Listener
	server  *http.Server
	sends   troubles // of messages:send
	grants  troubles // of the token endpoint

	mu      sync.Mutex // guards what follows
	issued  map[string]time.Time
	answers map[string]int64 // by status and code
	conns   int
}

// OpenGoogle makes or reads the credentials and listens; Run then serves. It
// pairs with Close, which Run calls.
func OpenGoogle(o GoogleOptions) (*Google, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Project == "" {
		o.Project = "furima-sandbox"
	}
	if o.TokenLife <= 0 {
		o.TokenLife = time.Hour
	}
	if o.MaxStreams <= 0 {
		o.MaxStreams = 100
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("open the sandbox for Google: %w", err)
	}
	creds, err := loadCredentials(o.Dir, o.Now(), []string{host})
	if err != nil {
		return nil, fmt.Errorf("open the sandbox for Google: %w", err)
	}
	ln, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("open the sandbox for Google: %w", err)
	}
	g := &Google{o: o, caFile: creds.caFile, ln: ln, issued: make(map[string]time.Time), answers: make(map[string]int64)}
	if g.account, err = loadServiceAccount(o.Dir, o.Project, g.URL()+tokenPath); err != nil {
		return nil, errors.Join(fmt.Errorf("open the sandbox for Google: %w", err), ln.Close())
	}
	g.server = &http.Server{
		Handler: http.HandlerFunc(g.serve),
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{creds.server},
			MinVersion:   tls.VersionTLS12,
			NextProtos:   []string{"h2", "http/1.1"},
		},
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: o.MaxStreams},
		ConnState:         g.countConn,
		ConnContext:       func(ctx context.Context, nc net.Conn) context.Context { return context.WithValue(ctx, connKey{}, nc) },
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Hour,
		MaxHeaderBytes:    16 << 10,
		// Broken handshakes of clients are their business.
		ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}
	return g, nil
}

// Addr is the address that the stand-in listens on.
func (g *Google) Addr() net.Addr { return g.ln.Addr() }

// URL is the endpoint to configure.
func (g *Google) URL() string { return "https://" + g.ln.Addr().String() }

// CredentialsFile is the JSON file of the one service account that is known.
// Its token_uri is the stand-in's.
func (g *Google) CredentialsFile() string { return g.account.file }

// CAFile is the PEM file of the root that the server's certificate is from.
func (g *Google) CAFile() string { return g.caFile }

// Project is the id of the project.
func (g *Google) Project() string { return g.o.Project }

// Run serves until ctx ends.
func (g *Google) Run(ctx context.Context) error {
	// Answers that wait (Fault.Hang, latency) end with ctx.
	g.server.BaseContext = func(net.Listener) context.Context { return ctx }
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if g.server.Shutdown(grace) != nil {
			_ = g.server.Close()
		}
	}()
	err := g.server.ServeTLS(g.ln, "", "")
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the sandbox for Google: %w", err)
	}
	<-stopped
	return nil
}

// Close stops listening. It is needed only when Run is not called.
func (g *Google) Close() error { return g.ln.Close() }

// Fail adds a fault of messages:send, whose Reason is a code of FCM's
// ("UNAVAILABLE", "QUOTA_EXCEEDED", …) or of Google's front end
// ("UNAUTHENTICATED", "RESOURCE_EXHAUSTED", …). Refuse is as Reset here, and
// Silent as Hang. Faults are tried in the order in which they were added.
func (g *Google) Fail(f Fault) { g.sends.add(f) }

// FailTokens adds a fault of the token endpoint, whose Reason is an error of
// OAuth ("invalid_grant", …).
func (g *Google) FailTokens(f Fault) { g.grants.add(f) }

// SetLatency makes every answer of messages:send take at least d.
func (g *Google) SetLatency(d time.Duration) { g.sends.setLatency(d) }

// ExpireTokens makes all access tokens invalid that were issued so far.
func (g *Google) ExpireTokens() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.issued)
}

// Recover takes all faults and the latency back. Requests that hang end without
// an answer.
func (g *Google) Recover() {
	g.sends.recover()
	g.grants.recover()
}

// Answers returns how often each answer was given: "200" for a message that was
// accepted, else status and code, as in "404 UNREGISTERED"; those of the token
// endpoint begin with "token", as in "token 200".
func (g *Google) Answers() map[string]int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	answers := make(map[string]int64, len(g.answers))
	for k, n := range g.answers {
		answers[k] = n
	}
	return answers
}

// Waiting returns how many requests are without an answer because of
// Fault.Hang.
func (g *Google) Waiting() int { return g.sends.waiting() + g.grants.waiting() }

// Connections returns how many connections were made since the start.
func (g *Google) Connections() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.conns
}

func (g *Google) countConn(_ net.Conn, s http.ConnState) {
	if s == http.StateNew {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.conns++
	}
}

func (g *Google) count(answer string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answers[answer]++
}

const (
	tokenPath = "/token"
	// maxGoogleBytes is above any message that can be accepted.
	maxGoogleBytes = 64 << 10
)

func (g *Google) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == tokenPath {
		g.serveToken(w, r)
		return
	}
	project, ok := strings.CutPrefix(r.URL.Path, "/v1/projects/")
	project, isSend := strings.CutSuffix(project, "/messages:send")
	if !ok || !isSend || r.Method != http.MethodPost {
		g.count("404")
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>")
		return
	}
	ctx := r.Context()
	body, err := io.ReadAll(io.LimitReader(r.Body, maxGoogleBytes))
	if err != nil {
		return // the client is gone
	}
	m, no := g.check(r, project, body)
	if !g.sends.delay(ctx) {
		return
	}
	d := m.delivery("0:" + uuid.NewString())
	if no == nil {
		f, faulty := g.sends.next(d.Token)
		if (!faulty || f.Deliver || f.GoAway) && !m.validateOnly {
			g.o.Phones.receive(d)
		}
		if faulty {
			no = g.meet(ctx, w, f)
		}
	}
	g.answer(w, d.APNSID, no)
}

// connKey is where the context of a request has its connection.
type connKey struct{}

// meet does what a fault asks for; it returns the refusal if it is an answer.
func (g *Google) meet(ctx context.Context, w http.ResponseWriter, f Fault) *googleRefusal {
	switch {
	case f.GoAway:
		w.Header().Set("Connection", "close") // which is GOAWAY in HTTP/2
		return nil
	case f.Drop:
		if nc, ok := ctx.Value(connKey{}).(net.Conn); ok {
			_ = nc.Close()
		}
	case f.Hang, f.Silent:
		g.sends.hang(ctx)
	case !f.Refuse && !f.Reset:
		return faultOf(f)
	}
	panic(http.ErrAbortHandler) // resets the stream without an answer
}

// answer writes the name of a message, or the refusal.
func (g *Google) answer(w http.ResponseWriter, id string, no *googleRefusal) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	if no == nil {
		g.count("200")
		_ = json.NewEncoder(w).Encode(map[string]string{"name": "projects/" + g.o.Project + "/messages/" + id}) // the client may be gone
		return
	}
	g.count(fmt.Sprintf("%d %s", no.status, no.code))
	if no.retryAfter > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(no.retryAfter))
	}
	w.WriteHeader(no.status)
	_ = json.NewEncoder(w).Encode(no.body()) // the client may be gone
}
