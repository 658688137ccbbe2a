package sandbox

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
)

// WebPushOptions say how the stand-in for a browser's push service is set up.
type WebPushOptions struct {
	// Listen is the address to listen on. Empty means a free port of
	// 127.0.0.1.
	Listen string
	// Dir is where the keys and the root certificate are kept; it is made when
	// missing, and may be that of another stand-in. Required.
	Dir string
	// Phones receive what is accepted. Required.
	Phones *Phones
	// Logger may be nil.
	Logger *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// WebPush is a stand-in for a browser and its push service (RFC 8030): it makes
// subscriptions, and opens the messages that are sent to them.
type WebPush struct {
	o      WebPushOptions
	creds  credentials
	vapid  *ecdsa.PrivateKey
	secret []byte // which the keys of subscriptions are made of
	ln     net.Listener
	server *http.Server

	troubles troubles

	mu      sync.Mutex       // guards what follows
	answers map[string]int64 // by status and reason
	conns   int
}

// OpenWebPush makes or reads the keys and listens; Run then serves. It pairs
// with Close, which Run calls.
func OpenWebPush(o WebPushOptions) (*WebPush, error) {
	w, err := openWebPush(o)
	if err != nil {
		return nil, fmt.Errorf("open the sandbox for Web Push: %w", err)
	}
	return w, nil
}

func openWebPush(o WebPushOptions) (*WebPush, error) {
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
		return nil, err
	}
	w := &WebPush{o: o, answers: make(map[string]int64)}
	if w.creds, err = loadCredentials(o.Dir, o.Now(), []string{host}); err != nil {
		return nil, err
	}
	if w.vapid, err = loadKey(w.KeyFile()); err != nil {
		return nil, err
	}
	// Subscriptions follow from a key that is kept, so that they outlive a
	// restart without a list of them.
	subscriptions, err := loadKey(filepath.Join(o.Dir, "subscriptions.key"))
	if err != nil {
		return nil, err
	}
	if w.secret, err = subscriptions.Bytes(); err != nil {
		return nil, err
	}
	if w.ln, err = net.Listen("tcp", o.Listen); err != nil {
		return nil, err
	}
	w.server = &http.Server{
		Handler: http.HandlerFunc(w.serve),
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{w.creds.server},
			MinVersion:   tls.VersionTLS12,
			NextProtos:   []string{"h2", "http/1.1"},
		},
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 100},
		ConnState:         w.countConn,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Hour,
		MaxHeaderBytes:    16 << 10,
		// Broken handshakes of clients are their business.
		ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}
	return w, nil
}

// Addr is the address that the stand-in listens on.
func (w *WebPush) Addr() net.Addr { return w.ln.Addr() }

// URL is the push service's origin, which every subscription begins with.
func (w *WebPush) URL() string { return "https://" + w.ln.Addr().String() }

// KeyFile is the VAPID key that subscriptions are made with.
func (w *WebPush) KeyFile() string { return filepath.Join(w.o.Dir, "vapid.key") }

// CAFile is the PEM file of the root that the server's certificate is from.
func (w *WebPush) CAFile() string { return w.creds.caFile }

// Run serves until ctx ends.
func (w *WebPush) Run(ctx context.Context) error {
	// Answers that wait (Fault.Hang, latency) end with ctx.
	w.server.BaseContext = func(net.Listener) context.Context { return ctx }
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if w.server.Shutdown(grace) != nil {
			_ = w.server.Close()
		}
	}()
	if err := w.server.ServeTLS(w.ln, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the sandbox for Web Push: %w", err)
	}
	<-stopped
	return nil
}

// Close stops listening. It is needed only when Run is not called.
func (w *WebPush) Close() error { return w.ln.Close() }

// Fail adds a fault. Faults are tried in the order in which they were added.
// Fault.Token is what PhoneOf returns; Fault.Reason is shown in Answers only. Of
// what else a fault can be, it knows Count, Status, RetryAfter, Deliver and Hang.
func (w *WebPush) Fail(f Fault) { w.troubles.add(f) }

// SetLatency makes every answer take at least d.
func (w *WebPush) SetLatency(d time.Duration) { w.troubles.setLatency(d) }

// Recover takes all faults and the latency back. Requests that hang end without
// an answer.
func (w *WebPush) Recover() { w.troubles.recover() }

// Answers returns how often each answer was given: "201" for accepted, else
// status and reason, as in "403 key".
func (w *WebPush) Answers() map[string]int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.answers)
}

// Waiting returns how many requests are without an answer because of
// Fault.Hang.
func (w *WebPush) Waiting() int { return w.troubles.waiting() }

// Connections returns how many connections were made since the start.
func (w *WebPush) Connections() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.conns
}

func (w *WebPush) countConn(_ net.Conn, s http.ConnState) {
	if s == http.StateNew {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.conns++
	}
}

func (w *WebPush) serve(rw http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	// One byte more than a push service must take shows what is too large.
	body, err := io.ReadAll(io.LimitReader(r.Body, maxWebPushBody+1))
	if err != nil {
		return // the client is gone
	}
	d, no := w.check(r, body)
	if !w.troubles.delay(ctx) {
		return
	}
	if no == nil {
		if f, ok := w.troubles.next(d.Token); ok {
			if f.Deliver {
				w.o.Phones.receive(d)
			}
			if f.Hang {
				w.troubles.hang(ctx)
				panic(http.ErrAbortHandler) // resets the stream without an answer
			}
			no = &refusal{status: f.Status, reason: f.Reason, retryAfter: f.RetryAfter}
		} else {
			w.o.Phones.receive(d)
		}
	}
	w.answer(rw, d, no)
}

func (w *WebPush) answer(rw http.ResponseWriter, d Delivery, no *refusal) {
	key := strconv.Itoa(http.StatusCreated)
	if no != nil {
		key = fmt.Sprintf("%d %s", no.status, no.reason)
	}
	w.mu.Lock()
	w.answers[key]++
	w.mu.Unlock()
	if no == nil {
		rw.Header().Set("Location", w.URL()+"/message/"+d.APNSID)
		rw.WriteHeader(http.StatusCreated)
		return
	}
	if no.retryAfter > 0 {
		rw.Header().Set("Retry-After", strconv.Itoa(no.retryAfter))
	}
	writeJSON(rw, no.status, struct {
		Reason string `json:"reason"`
	}{no.reason})
}

// Control returns the stand-in's own API, beside that of Apple.Control:
//
//	POST   /sandbox/webpush/subscriptions?count=N   {"tokens":["…"],"phones":["…"]}
//	POST   /sandbox/webpush/faults                  {"status":503,"count":3}
//	DELETE /sandbox/webpush/faults                  back to normal
//	GET    /sandbox/webpush/counts                  the answers given
//
// It is for a listener that only the developer reaches. Requests that a
// browser sends from another site are refused.
func (w *WebPush) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sandbox/webpush/subscriptions", w.serveSubscriptions)
	mux.HandleFunc("POST /sandbox/webpush/faults", func(rw http.ResponseWriter, r *http.Request) {
		var f Fault
		err := readJSON(rw, r, &f)
		if err == nil && !f.Hang && (f.Status < 200 || f.Status > 599) {
			err = errors.New("give hang, or status between 200 and 599")
		}
		if err != nil {
			refuse(rw, err)
			return
		}
		w.Fail(f)
		rw.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE /sandbox/webpush/faults", func(rw http.ResponseWriter, _ *http.Request) {
		w.Recover()
		rw.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /sandbox/webpush/counts", func(rw http.ResponseWriter, _ *http.Request) {
		writeJSON(rw, http.StatusOK, struct {
			Answers map[string]int64 `json:"answers"`
		}{w.Answers()})
	})
	return http.NewCrossOriginProtection().Handler(mux)
}

func (w *WebPush) serveSubscriptions(rw http.ResponseWriter, r *http.Request) {
	n, err := number(r, "count")
	if err == nil && n > 10_000 {
		err = errors.New("count must be at most 10000")
	}
	if err != nil {
		refuse(rw, err)
		return
	}
	var out struct {
		Tokens []string `json:"tokens"`
		Phones []string `json:"phones"`
	}
	for range max(n, 1) {
		token := w.NewSubscription()
		out.Tokens = append(out.Tokens, token)
		out.Phones = append(out.Phones, PhoneOf(token))
	}
	writeJSON(rw, http.StatusCreated, out)
}

// newMessageID names a message as its Location does.
func newMessageID() string { return uuid.NewString() }
