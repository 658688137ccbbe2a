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

// AppleOptions say how the stand-in for Apple is set up.
type AppleOptions struct {
	// Listen is the address to listen on. Empty means a free port of
	// 127.0.0.1.
	Listen string
	// Dir is where the signing key and the root certificate are kept; it is
	// made when missing. Required.
	Dir string
	// Topics are the topics that the signing key may send to. None means any.
	Topics []string
	// Phones receive what is accepted. Required.
	Phones *Phones
	// Logger may be nil.
	Logger *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Apple is a stand-in for Apple's push service.
type Apple struct {
	o      AppleOptions
	creds  credentials
	ln     net.Listener
	server *http.Server
	auth   tokenCheck

	mu      sync.Mutex // guards what follows
	latency time.Duration
	faults  []Fault
	answers map[string]int64 // by status and reason
	hanging int
	conns   int
	well    chan struct{} // closed by Recover, then replaced
}

// Fault makes the stand-in refuse what it would have accepted.
type Fault struct {
	// Token is the phone that the fault is for. Empty means every phone.
	Token string `json:"token,omitempty"`
	// Count is how many requests are refused. Below 0 means all from now on,
	// 0 means 1.
	Count int `json:"count,omitempty"`
	// Status and Reason are the answer, as in {"status":503,
	// "reason":"ServiceUnavailable"}.
	Status int    `json:"status"`
	Reason string `json:"reason"`
	// RetryAfter is the Retry-After header in seconds. 0 means none.
	RetryAfter int `json:"retry_after,omitempty"`
	// Deliver says that the notification reaches the phone although the
	// answer says otherwise, as happens when an answer is lost.
	Deliver bool `json:"deliver,omitempty"`
	// Hang says that there is no answer at all until the client gives up.
	Hang bool `json:"hang,omitempty"`
}

// OpenApple makes or reads the credentials and listens; Run then serves. It
// pairs with Close, which Run calls.
func OpenApple(o AppleOptions) (*Apple, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("open the sandbox for Apple: %w", err)
	}
	creds, err := loadCredentials(o.Dir, o.Now(), []string{host})
	if err != nil {
		return nil, fmt.Errorf("open the sandbox for Apple: %w", err)
	}
	ln, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("open the sandbox for Apple: %w", err)
	}
	a := &Apple{o: o, creds: creds, ln: ln, answers: make(map[string]int64), well: make(chan struct{})}
	a.auth = tokenCheck{key: &creds.signing.PublicKey, now: o.Now}
	a.server = &http.Server{
		Handler: http.HandlerFunc(a.serve),
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{creds.server},
			MinVersion:   tls.VersionTLS12,
			NextProtos:   []string{"h2"},
		},
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 1000},
		ConnState:         a.countConn,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Hour,
		MaxHeaderBytes:    16 << 10,
		// Broken handshakes of clients are their business.
		ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}
	return a, nil
}

// Addr is the address that the stand-in listens on.
func (a *Apple) Addr() net.Addr { return a.ln.Addr() }

// URL is the endpoint to configure.
func (a *Apple) URL() string { return "https://" + a.ln.Addr().String() }

// KeyFile is the .p8 file of the one signing key that is known.
func (a *Apple) KeyFile() string { return a.creds.keyFile }

// CAFile is the PEM file of the root that the server's certificate is from.
func (a *Apple) CAFile() string { return a.creds.caFile }

// Run serves until ctx ends.
func (a *Apple) Run(ctx context.Context) error {
	// Answers that wait (Fault.Hang, latency) end with ctx.
	a.server.BaseContext = func(net.Listener) context.Context { return ctx }
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if a.server.Shutdown(grace) != nil {
			_ = a.server.Close()
		}
	}()
	err := a.server.ServeTLS(a.ln, "", "")
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the sandbox for Apple: %w", err)
	}
	<-stopped
	return nil
}

// Close stops listening. It is needed only when Run is not called.
func (a *Apple) Close() error { return a.ln.Close() }

// Fail adds a fault. Faults are tried in the order in which they were added.
func (a *Apple) Fail(f Fault) {
	if f.Count == 0 {
		f.Count = 1
	}
	f.Token = strings.ToLower(f.Token)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = append(a.faults, f)
}

// SetLatency makes every answer take at least d.
func (a *Apple) SetLatency(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.latency = d
}

// Recover takes all faults and the latency back. Requests that hang end without
// an answer.
func (a *Apple) Recover() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults, a.latency = nil, 0
	close(a.well)
	a.well = make(chan struct{})
}

// Answers returns how often each answer was given: "200" for accepted, else
// status and reason, as in "410 Unregistered".
func (a *Apple) Answers() map[string]int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	answers := make(map[string]int64, len(a.answers))
	for k, n := range a.answers {
		answers[k] = n
	}
	return answers
}

// Waiting returns how many requests are without an answer because of
// Fault.Hang.
func (a *Apple) Waiting() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.hanging
}

// Connections returns how many connections were made since the start.
func (a *Apple) Connections() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.conns
}

func (a *Apple) countConn(_ net.Conn, s http.ConnState) {
	if s == http.StateNew {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.conns++
	}
}

// hang keeps a request without an answer until its client gives up.
func (a *Apple) hang(ctx context.Context) {
	a.mu.Lock()
	a.hanging++
	well := a.well
	a.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-well:
	}
	a.mu.Lock()
	a.hanging--
	a.mu.Unlock()
}

// nextFault returns the fault that this request meets, if any, and uses it up.
func (a *Apple) nextFault(token string) (Fault, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, f := range a.faults {
		if f.Token != "" && f.Token != token {
			continue
		}
		if f.Count > 0 {
			if a.faults[i].Count--; a.faults[i].Count == 0 {
				a.faults = append(a.faults[:i:i], a.faults[i+1:]...)
			}
		}
		return f, true
	}
	return Fault{}, false
}

// refusal is an answer other than 200.
type refusal struct {
	status     int
	reason     string
	since      time.Time // with 410: when the token died
	retryAfter int
}

func (a *Apple) serve(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	a.mu.Lock()
	latency := a.latency
	a.mu.Unlock()

	id := r.Header.Get("apns-id")
	if id == "" {
		id = strings.ToUpper(uuid.NewString())
	}
	w.Header().Set("apns-id", id)

	// One byte more than any push type may have shows what is too large.
	body, err := io.ReadAll(io.LimitReader(r.Body, 5121))
	if err != nil {
		return // the client is gone
	}
	d, no := a.check(r, body)
	d.APNSID = id
	if latency > 0 && !pause(ctx, latency) {
		return
	}
	if no == nil {
		if f, ok := a.nextFault(d.Token); ok {
			if f.Deliver {
				a.o.Phones.receive(d)
			}
			if f.Hang {
				a.hang(ctx)
				panic(http.ErrAbortHandler) // resets the stream without an answer
			}
			no = &refusal{status: f.Status, reason: f.Reason, retryAfter: f.RetryAfter, since: a.o.Now()}
		} else {
			a.o.Phones.receive(d)
		}
	}
	a.answer(w, no)
}

func (a *Apple) answer(w http.ResponseWriter, no *refusal) {
	key := "200"
	if no != nil {
		key = fmt.Sprintf("%d %s", no.status, no.reason)
	}
	a.mu.Lock()
	a.answers[key]++
	a.mu.Unlock()
	if no == nil {
		w.WriteHeader(http.StatusOK)
		return
	}
	if no.retryAfter > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(no.retryAfter))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(no.status)
	answer := struct {
		Reason    string `json:"reason"`
		Timestamp int64  `json:"timestamp,omitempty"`
	}{Reason: no.reason}
	if no.status == http.StatusGone {
		answer.Timestamp = no.since.UnixMilli()
	}
	_ = json.NewEncoder(w).Encode(answer) // the client may be gone
}

// pause waits for d and reports whether ctx lasted.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
