package apns

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"github.com/furima/furima/internal/push"
)

// httpWire is a wire on net/http: a transport a connection, a goroutine a
// request that is under way.
type httpWire struct {
	o        httpWireOptions
	conns    []*http.Transport
	next     atomic.Uint32
	inFlight chan struct{}
}

type httpWireOptions struct {
	endpoint    string
	tls         *tls.Config
	connections int
	maxInFlight int
	timeout     time.Duration
}

// maxSpread bounds the goroutines of one exchange. More of them would only
// wait for their turn on the connections.
const maxSpread = 128

func newHTTPWire(o httpWireOptions) *httpWire {
	w := &httpWire{o: o, inFlight: make(chan struct{}, o.maxInFlight)}
	var only http.Protocols
	only.SetHTTP2(true)
	for range o.connections {
		dialer := net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
		w.conns = append(w.conns, &http.Transport{
			DialContext:           dialer.DialContext,
			TLSClientConfig:       o.tls.Clone(),
			TLSHandshakeTimeout:   5 * time.Second,
			Protocols:             &only,
			MaxConnsPerHost:       1,
			IdleConnTimeout:       30 * time.Minute,
			ResponseHeaderTimeout: o.timeout,
			DisableCompression:    true,
			HTTP2: &http.HTTP2Config{
				StrictMaxConcurrentRequests: true,
				SendPingTimeout:             30 * time.Second, // finds a connection that died silently
				PingTimeout:                 10 * time.Second,
				WriteByteTimeout:            10 * time.Second,
			},
		})
	}
	return w
}

func (w *httpWire) exchange(ctx context.Context, reqs []request, done func(i int, a answer)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(len(reqs), maxSpread) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(reqs) {
					return
				}
				done(i, w.one(ctx, &reqs[i]))
			}
		})
	}
	wg.Wait()
}

// one sends a request and waits for its answer.
func (w *httpWire) one(ctx context.Context, r *request) answer {
	select {
	case w.inFlight <- struct{}{}:
		defer func() { <-w.inFlight }()
	case <-ctx.Done():
		return answer{err: ctx.Err()}
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, w.o.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.o.endpoint+"/3/device/"+r.token, bytes.NewReader(r.rendered.Payload))
	if err != nil {
		return answer{err: err}
	}
	for _, h := range r.rendered.Header {
		req.Header[http.CanonicalHeaderKey(h.Name)] = []string{h.Value}
	}
	req.Header["Apns-Id"] = []string{r.id.String()}
	req.Header["User-Agent"] = nil
	if r.authorization != "" {
		req.Header["Authorization"] = []string{r.authorization}
	}
	conn := w.conns[w.next.Add(1)%uint32(len(w.conns))]
	// RoundTrip and not Client.Do: there are no redirects to follow, and its
	// errors do not hold the URL, which has the device token in it.
	res, err := conn.RoundTrip(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if err != nil && res.StatusCode != http.StatusOK {
		return answer{err: err}
	}
	return answer{status: res.StatusCode, body: body, retryAfter: res.Header.Get("Retry-After"), took: time.Since(start)}
}

func (w *httpWire) close() error {
	for _, c := range w.conns {
		c.CloseIdleConnections()
	}
	return nil
}

// judge says what an answer means for its message.
func judge(ctx context.Context, a answer) push.Result {
	if a.err == nil {
		r := result(a.status, a.body, a.retryAfter)
		r.Took = a.took
		return r
	}
	var reset http2.StreamError
	switch {
	case ctx.Err() != nil:
		return push.Result{Outcome: push.Retry} // interrupted, which is no one's fault
	case errors.Is(a.err, context.DeadlineExceeded), isTimeout(a.err):
		return push.Result{Outcome: push.Retry, Reason: reasonTimeout}
	case errors.As(a.err, &reset):
		return push.Result{Outcome: push.Retry, Reason: reasonReset}
	}
	return push.Result{Outcome: push.Down, Reason: reasonUnreachable, Err: a.err}
}

func isTimeout(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return false // nobody is there, which is not one message's fate
	}
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
