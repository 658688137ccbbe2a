package fcm

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/h2"
)

// wire carries messages over HTTP/2: a batch of requests for a batch of
// messages, and no goroutine for any of them.
type wire struct {
	pool    *h2.Pool
	spare   sync.Pool // of *flight
	timeout time.Duration
}

type wireOptions struct {
	endpoint    string
	tls         *tls.Config
	connections int
	maxInFlight int
	timeout     time.Duration
	dial        func(ctx context.Context, network, addr string) (net.Conn, error) // nil means TCP
	logger      *slog.Logger
	metrics     *h2.Metrics
}

const (
	// dialTimeout is shorter than what messages wait for a connection, so that
	// they know why there was none.
	dialTimeout = 5 * time.Second
	// queueGrace is how much longer than for an answer a message waits for a
	// connection.
	queueGrace = 2 * time.Second
	// giveUpAfter failures to connect everything that waits is held back. The
	// pauses between attempts are the gateway's from then on; backoffMax is for
	// what it sends nevertheless.
	giveUpAfter = 3
	backoffMax  = 5 * time.Second
	// idleTimeout is below the four minutes after which Google's front ends
	// close connections, so that a request seldom meets one that is closing.
	idleTimeout = 3 * time.Minute
	// maxAnswerBytes is far above what Google says with a refusal.
	maxAnswerBytes = 8 << 10
)

func openWire(o wireOptions) (*wire, error) {
	cfg := h2.Config{
		URL:  o.endpoint,
		Name: string(push.FCM),
		TLS:  o.tls,
		Dial: o.dial,
		// No more in flight than configured, over all connections. Within that
		// the server's settings count, which are waited for: above its limit
		// Google says GOAWAY.
		Connections:  min(o.connections, o.maxInFlight),
		Timeout:      o.timeout,
		QueueTimeout: o.timeout + queueGrace,
		// What waits longer than the queue does it in Start, without a limit in
		// time: a slow provider makes senders wait, it does not fail messages.
		MaxQueued:    2 * o.maxInFlight,
		GiveUpAfter:  giveUpAfter,
		DialTimeout:  dialTimeout,
		IdleTimeout:  idleTimeout,
		BackoffMax:   backoffMax,
		Keep:         []string{"retry-after"},
		MaxBodyBytes: maxAnswerBytes,
		DiscardOK:    true,
		Logger:       o.logger,
		Metrics:      o.metrics,
	}
	cfg.MaxStreams = o.maxInFlight / cfg.Connections
	pool, err := h2.Open(cfg)
	if err != nil {
		return nil, err
	}
	return &wire{pool: pool, timeout: o.timeout}, nil
}

// close waits for what is under way, which is nothing after the last Send, and
// closes the connections.
func (w *wire) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), w.timeout)
	defer cancel()
	return w.pool.Close(ctx)
}

// flight is a batch on its way, in memory that is used again.
type flight struct {
	batch  h2.Batch
	bodies []byte // of all requests
}

func (w *wire) flight() *flight {
	if f, ok := w.spare.Get().(*flight); ok {
		return f
	}
	return new(flight)
}

// release takes a flight back. It must have ended.
func (w *wire) release(f *flight) {
	clear(f.batch.Requests)
	clear(f.batch.Responses)
	f.batch.Requests, f.batch.Done = f.batch.Requests[:0], nil
	if cap(f.bodies) > 2*maxFlightBytes {
		f.bodies = nil
	}
	w.spare.Put(f)
}

// maxFlightBytes is about how large the bodies of a flight are together. It
// bounds the memory of what waits for its turn.
const maxFlightBytes = 256 << 10

// fit returns how many of the messages with the given indexes, at most limit,
// go into one flight: at least one.
func fit(msgs []push.Message, which []int, limit int) int {
	size := 0
	for n, i := range which[:limit] {
		if size += bodySize(&msgs[i]); size > maxFlightBytes {
			return max(n, 1)
		}
	}
	return limit
}

// load makes the requests for the messages with the given indexes.
func (f *flight) load(msgs []push.Message, which []int, headers *h2.Headers) {
	size := 0
	for _, i := range which {
		size += bodySize(&msgs[i])
	}
	if cap(f.bodies) < size {
		f.bodies = make([]byte, 0, max(size, maxFlightBytes/8))
	}
	b := f.bodies[:0]
	for _, i := range which {
		at := len(b)
		b = appendBody(b, &msgs[i])
		// An estimate that was too small moves b; earlier bodies stay where
		// they are.
		f.batch.Requests = append(f.batch.Requests, h2.Request{Headers: headers, Body: b[at:len(b):len(b)]})
	}
	f.bodies = b
}

// bodySize is how long the body of a message is, about.
func bodySize(m *push.Message) int {
	return len(m.Rendered.Payload) + len(m.Token) + len(`,"condition":""`)
}

// hole is the end of a payload, before which the target goes: the end of the
// message and of the request.
const hole = "}}"

// appendBody appends the body of a message's request: the payload, with its
// target in the hole.
func appendBody(b []byte, m *push.Message) []byte {
	payload := m.Rendered.Payload
	b = append(b, payload[:len(payload)-len(hole)]...)
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	name, target := "token", m.Token
	if audience, ok := strings.CutPrefix(target, push.TopicPrefix); ok {
		name, target = "topic", audience
	} else if audience, ok := strings.CutPrefix(target, push.ConditionPrefix); ok {
		name, target = "condition", audience
	}
	b = append(b, '"')
	b = append(b, name...)
	b = append(b, `":`...)
	b = appendString(b, target)
	return append(b, hole...)
}

// appendString appends s as a string of JSON. Tokens need no escapes.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // strings always encode
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
