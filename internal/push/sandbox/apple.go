package sandbox

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
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
	o        AppleOptions
	creds    credentials
	ln       net.Listener
	tls      *tls.Config
	auth     tokenCheck
	devices  deviceLimit
	channels channelStore
	manners  atomic.Pointer[Manners]

	accepted  atomic.Int64 // answers of 200
	unwelcome atomic.Int64 // streams beyond what a connection may have

	mu      sync.Mutex // guards what follows
	latency time.Duration
	faults  []*fault
	answers map[string]int64 // by status and reason
	hanging int
	made    int // connections
	conns   map[*conn]struct{}
	stopped bool
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
	a := &Apple{
		o: o, creds: creds, ln: ln,
		tls: &tls.Config{
			Certificates: []tls.Certificate{creds.server},
			MinVersion:   tls.VersionTLS12,
			NextProtos:   []string{"h2"},
			// Any certificate is as good as a provider token.
			ClientAuth: tls.RequestClientCert,
			// Small writes are a mode of their own: see Manners.TinyWrites.
			DynamicRecordSizingDisabled: true,
		},
		auth:    tokenCheck{key: &creds.signing.PublicKey, now: o.Now},
		answers: make(map[string]int64),
		conns:   make(map[*conn]struct{}),
	}
	a.manners.Store(&Manners{})
	return a, nil
}

// Addr is the address that the stand-in listens on.
func (a *Apple) Addr() net.Addr { return a.ln.Addr() }

// URL is the endpoint to configure, for notifications and for channels.
func (a *Apple) URL() string { return "https://" + a.ln.Addr().String() }

// KeyFile is the .p8 file of the one signing key that is known.
func (a *Apple) KeyFile() string { return a.creds.keyFile }

// CAFile is the PEM file of the root that the server's certificate is from.
func (a *Apple) CAFile() string { return a.creds.caFile }

// Run serves until ctx ends.
func (a *Apple) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer context.AfterFunc(ctx, a.stop)()
	for {
		nc, err := a.ln.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = nc.Close()
			}
			a.stop()
			return nil
		}
		if err != nil {
			a.stop()
			return fmt.Errorf("serve the sandbox for Apple: %w", err)
		}
		c := newConn(a, nc)
		if !a.add(c) {
			_ = nc.Close()
			continue
		}
		wg.Go(c.serve)
	}
}

// Close stops listening. It is needed only when Run is not called.
func (a *Apple) Close() error { return a.ln.Close() }

// stop ends the listener and the connections.
func (a *Apple) stop() {
	_ = a.ln.Close()
	a.mu.Lock()
	a.stopped = true
	a.mu.Unlock()
	for _, c := range a.open() {
		c.shutdown()
	}
}

func (a *Apple) add(c *conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return false
	}
	a.made++
	a.conns[c] = struct{}{}
	return true
}

func (a *Apple) remove(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.conns, c)
}

// open returns the connections that are open.
func (a *Apple) open() []*conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	conns := make([]*conn, 0, len(a.conns))
	for c := range a.conns {
		conns = append(conns, c)
	}
	return conns
}

// Fail adds a fault. Faults are tried in the order in which they were added.
func (a *Apple) Fail(f Fault) {
	if f.Count == 0 {
		f.Count = 1
	}
	f.Token = canonical(f.Token)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = append(a.faults, &fault{Fault: f})
}

// SetLatency makes every answer take at least d.
func (a *Apple) SetLatency(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.latency = d
}

// SetManners says how connections behave from now on, those that are open too.
func (a *Apple) SetManners(m Manners) {
	a.manners.Store(&m)
	for _, c := range a.open() {
		c.announce()
	}
}

// Recover takes all faults, the latency and the manners back. Requests that hang
// end without an answer, and connections that had fallen silent end.
func (a *Apple) Recover() {
	a.mu.Lock()
	a.faults, a.latency = nil, 0
	a.mu.Unlock()
	a.SetManners(Manners{})
	for _, c := range a.open() {
		c.recover()
	}
}

// Answers returns how often each answer was given: "200" for accepted, else
// status and reason, as in "410 Unregistered".
func (a *Apple) Answers() map[string]int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	answers := make(map[string]int64, len(a.answers)+1)
	for k, n := range a.answers {
		answers[k] = n
	}
	if n := a.accepted.Load(); n > 0 {
		answers["200"] = n
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
	return a.made
}

// Open returns how many connections there are now.
func (a *Apple) Open() int { return len(a.open()) }

// RefusedStreams returns how many streams were refused because a client opened
// more than the connection had allowed it and it had acknowledged.
func (a *Apple) RefusedStreams() int64 { return a.unwelcome.Load() }

// count notes an answer.
func (a *Apple) count(status int, reason string) {
	if status == 200 {
		a.accepted.Add(1)
		return
	}
	key := fmt.Sprintf("%d %s", status, reason)
	a.mu.Lock()
	a.answers[key]++
	a.mu.Unlock()
}

// hang counts requests without an answer.
func (a *Apple) hang(n int) {
	a.mu.Lock()
	a.hanging += n
	a.mu.Unlock()
}

func (a *Apple) delay() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.latency
}
