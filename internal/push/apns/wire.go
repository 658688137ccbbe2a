package apns

import (
	"context"
	"crypto/tls"
	"errors"
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
	headers headerCache
	spare   sync.Pool // of *flight
	timeout time.Duration
}

type wireOptions struct {
	endpoint    string
	tls         *tls.Config
	connections int
	maxInFlight int
	timeout     time.Duration
	token       bool                                                              // requests carry a provider token
	dial        func(ctx context.Context, network, addr string) (net.Conn, error) // nil means TCP
	logger      *slog.Logger
	metrics     *h2.Metrics
}

const (
	// dialTimeout is shorter than what messages wait for a connection, so that
	// they know why there was none.
	dialTimeout = 5 * time.Second
	// queueGrace is how much longer than for an answer a message waits for a
	// connection: a first request that is never answered holds up the others,
	// and they shall have their turn.
	queueGrace = 2 * time.Second
	// giveUpAfter failures to connect everything that waits is held back. The
	// pauses between attempts are the gateway's from then on; backoffMax is for
	// what it sends nevertheless.
	giveUpAfter = 3
	backoffMax  = 5 * time.Second
	// idleTimeout is long because Apple wants connections to be kept.
	idleTimeout = 30 * time.Minute
	// pingAfter is far from what Apple calls too often.
	pingAfter   = 10 * time.Second
	pingTimeout = 5 * time.Second
	// maxAnswerBytes is far above what Apple says with a refusal.
	maxAnswerBytes = 4 << 10
)

func openWire(o wireOptions) (*wire, error) {
	cfg := h2.Config{
		URL:  o.endpoint,
		Name: string(push.APNS),
		TLS:  o.tls,
		Dial: o.dial,
		// No more in flight than configured, over all connections.
		Connections:  min(o.connections, o.maxInFlight),
		Timeout:      o.timeout,
		QueueTimeout: o.timeout + queueGrace,
		// What waits longer than the queue does it in Start, without a limit in
		// time: a slow provider makes senders wait, it does not fail messages.
		MaxQueued:   2 * o.maxInFlight,
		GiveUpAfter: giveUpAfter,
		DialTimeout: dialTimeout,
		// A connection that has died takes no message's time twice.
		PingAfter:    min(o.timeout, pingAfter),
		PingTimeout:  min(o.timeout, pingTimeout),
		IdleTimeout:  idleTimeout,
		BackoffMax:   backoffMax,
		Keep:         []string{"retry-after"},
		MaxBodyBytes: maxAnswerBytes,
		DiscardOK:    true,
		Spent:        isSpent,
		Logger:       o.logger,
		Metrics:      o.metrics,
	}
	cfg.MaxStreams = o.maxInFlight / cfg.Connections
	if o.token {
		cfg.InitialStreams = 1 // until Apple has seen a token that it accepts
	}
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
	index  []int      // of each request in the messages
	fields []h2.Field // of all requests

	// What is common to the requests of a notification.
	rendered *push.Rendered
	headers  *h2.Headers
	bundle   string     // of a broadcast
	own      []h2.Field // beside the id
}

func (w *wire) flight() *flight {
	if f, ok := w.spare.Get().(*flight); ok {
		return f
	}
	return new(flight)
}

// release takes a flight back. It must have ended.
func (w *wire) release(f *flight) {
	clear(f.batch.Requests) // payloads and tokens may go
	clear(f.batch.Responses)
	clear(f.fields)
	clear(f.own)
	f.batch.Requests, f.index, f.fields, f.own = f.batch.Requests[:0], f.index[:0], f.fields[:0], f.own[:0]
	f.batch.Done, f.rendered, f.headers, f.bundle = nil, nil, nil, ""
	w.spare.Put(f)
}

const (
	devicePath    = "/3/device/"
	broadcastPath = "/4/broadcasts/apps/"
	uuidLen       = 36
	// maxFields is how many fields of its own a request has at most, of those
	// that Render makes: the id, apns-expiration, and apns-collapse-id or
	// apns-channel-id.
	maxFields = 3
)

// isBroadcast reports whether a message is for a channel instead of a device.
func isBroadcast(m *push.Message) bool { return strings.HasPrefix(m.Token, push.ChannelPrefix) }

// load makes the requests for the messages with the given indexes, and calls
// bad for those that cannot be one.
func (w *wire) load(f *flight, msgs []push.Message, which []int, authorization string, bad func(i int, err error)) {
	size := 0
	for _, i := range which {
		size += len(devicePath) + len(msgs[i].Token) + uuidLen
	}
	if n := maxFields * len(which); cap(f.fields) < n {
		f.fields = make([]h2.Field, 0, n)
	}
	// One string for all paths and ids of the batch.
	var text strings.Builder
	text.Grow(size)
	for _, i := range which {
		m := &msgs[i]
		broadcast := isBroadcast(m)
		if m.Rendered != f.rendered || f.headers == nil {
			if err := w.common(f, m.Rendered, authorization, broadcast); err != nil {
				bad(i, err)
				continue
			}
		}
		at := text.Len()
		if broadcast {
			text.WriteString(broadcastPath)
			text.WriteString(f.bundle)
		} else {
			text.WriteString(devicePath)
			text.WriteString(m.Token)
		}
		path := text.String()[at:]
		at = text.Len()
		appendID(&text, m.ID)
		id := text.String()[at:]

		first := len(f.fields)
		if broadcast {
			f.fields = append(f.fields,
				h2.Field{Name: headerRequest, Value: id},
				h2.Field{Name: headerChannel, Value: m.Token[len(push.ChannelPrefix):]})
		} else {
			f.fields = append(f.fields, h2.Field{Name: headerID, Value: id})
		}
		f.fields = append(f.fields, f.own...)
		f.batch.Requests = append(f.batch.Requests, h2.Request{
			Headers: f.headers,
			Path:    path,
			Fields:  f.fields[first:len(f.fields):len(f.fields)],
			Body:    m.Rendered.Payload,
		})
		f.index = append(f.index, i)
	}
}

// common sorts the header of a notification into what many notifications share
// and what is its own. The topic of a broadcast is in its path instead.
func (w *wire) common(f *flight, r *push.Rendered, authorization string, broadcast bool) error {
	var key headerKey
	f.own = f.own[:0]
	for _, h := range r.Header {
		switch h.Name {
		case headerTopic:
			if broadcast {
				f.bundle = h.Value
			} else {
				key.topic = h.Value
			}
		case headerPushType:
			key.pushType = h.Value
		case headerPriority:
			key.priority = h.Value
		default: // apns-expiration and apns-collapse-id
			f.own = append(f.own, h2.Field{Name: h.Name, Value: h.Value})
		}
	}
	var err error
	f.rendered = r
	f.headers, err = w.headers.get(authorization, key)
	return err
}

func appendID(b *strings.Builder, id push.MessageID) {
	const hex = "0123456789abcdef"
	for i, c := range id {
		switch i {
		case 4, 6, 8, 10:
			b.WriteByte('-')
		}
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
}

// headerKey is what a few kinds of notifications have in common.
type headerKey struct{ topic, pushType, priority string }

// headerCache keeps the headers that requests share, so that a connection sends
// them once.
type headerCache struct {
	mu            sync.Mutex
	authorization string // of all kept
	kept          map[headerKey]*h2.Headers
}

// maxHeaders bounds a cache whose topics are the callers' to choose.
const maxHeaders = 64

func (c *headerCache) get(authorization string, key headerKey) (*h2.Headers, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.kept[key]; h != nil && c.authorization == authorization {
		return h, nil
	}
	fields := make([]h2.Field, 0, 4)
	for _, f := range []h2.Field{
		{Name: "authorization", Value: authorization},
		{Name: headerTopic, Value: key.topic},
		{Name: headerPushType, Value: key.pushType},
		{Name: headerPriority, Value: key.priority},
	} {
		if f.Value != "" {
			fields = append(fields, f)
		}
	}
	h, err := h2.NewHeaders("POST", fields...)
	if err != nil {
		return nil, err
	}
	if c.kept == nil || c.authorization != authorization || len(c.kept) >= maxHeaders {
		c.authorization, c.kept = authorization, make(map[headerKey]*h2.Headers)
	}
	c.kept[key] = h
	return h, nil
}

// isSpent reports whether an answer says that its connection is about to end,
// whatever becomes of the message.
func isSpent(r *h2.Response) bool {
	if r.Status != 503 && r.Status != 400 {
		return false
	}
	reason := answered(r.Body).Reason
	return reason == "Shutdown" || reason == "IdleTimeout"
}

// judge says what a response means for its message.
func judge(r *h2.Response, broadcast bool) push.Result {
	if r.Err != nil {
		return judgeError(r.Err)
	}
	res := result(r.Status, r.Body, r.Kept[0], broadcast)
	res.Took = r.Latency
	return res
}

// judgeError says what it means for a message that it has no answer. The same
// apns-id goes with it when it is sent again, whether Apple may have taken it
// or surely has not.
func judgeError(err error) push.Result {
	switch h2.ReasonOf(err) {
	case h2.Canceled, h2.Closed:
		return push.Result{Outcome: push.Retry} // interrupted, which is no one's fault
	case h2.Invalid:
		return push.Result{Outcome: push.Rejected, Reason: reasonInvalid}
	case h2.Timeout:
		return push.Result{Outcome: push.Retry, Reason: reasonTimeout}
	case h2.Reset, h2.Refused, h2.Malformed:
		return push.Result{Outcome: push.Retry, Reason: reasonReset}
	case h2.Queued:
		if errors.Unwrap(err) == nil { // there are connections; they are busy
			return push.Result{Outcome: push.Retry, Reason: reasonTimeout}
		}
	case h2.Lost:
		if h2.MaybeProcessed(err) {
			return push.Result{Outcome: push.Retry, Reason: reasonLost}
		}
	}
	return push.Result{Outcome: push.Down, Reason: reasonUnreachable, Err: err}
}
