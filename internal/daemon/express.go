package daemon

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// express serves the plain requests of a few routes itself, for which net/http
// does more than is needed: it reads ahead in a goroutine of its own to notice
// clients that go away, and sets deadlines and makes contexts for each request.
// It is a listener for net/http, which gets every connection on which anything
// else is asked for, with all that has been read of it: express decides on
// requests that are beyond doubt, and has no opinion on the others. docs/adr/0004
// has the numbers.
//
// Its handlers must not keep a request or its header when they return, cannot
// flush or hijack, and are not told when a client goes away.
type express struct {
	net.Listener
	o      expressOptions
	routes map[string]*http.Request // by request line: what does not change of a request

	handed   chan net.Conn // to net/http
	failed   chan error    // of Accept
	closed   chan struct{}
	closing  sync.Once
	stopping atomic.Bool

	mu    sync.Mutex
	conns map[*expressConn]struct{}
	none  chan struct{} // closed when the last of conns has ended, after the stop has begun
}

type expressOptions struct {
	handler                           http.Handler
	base                              context.Context
	log                               errorLog
	header, read, write, idle, linger time.Duration // none may be 0 for none, but linger
}

// newExpress serves routes, as "POST /v1/push", of what connects to ln.
func newExpress(ln net.Listener, routes []string, o expressOptions) (*express, error) {
	e := &express{
		Listener: ln, o: o, routes: make(map[string]*http.Request),
		handed: make(chan net.Conn), failed: make(chan error), closed: make(chan struct{}),
		conns: make(map[*expressConn]struct{}), none: make(chan struct{}),
	}
	for _, route := range routes {
		r, err := newRoute(o.base, route)
		if err != nil {
			return nil, err
		}
		e.routes[route+" HTTP/1.1"] = r
	}
	return e, nil
}

// run accepts connections until the listener is closed.
func (e *express) run() {
	for {
		nc, err := e.Listener.Accept()
		if err != nil {
			select {
			case e.failed <- err: // net/http knows which errors pass, and waits
				if errors.Is(err, net.ErrClosed) {
					return
				}
				continue
			case <-e.closed:
				return
			}
		}
		if c := e.enter(nc); c != nil {
			go c.serve()
		}
	}
}

// Accept returns the next connection that is net/http's.
func (e *express) Accept() (net.Conn, error) {
	select {
	case c := <-e.handed:
		return c, nil
	case err := <-e.failed:
		return nil, err
	case <-e.closed:
		return nil, net.ErrClosed
	}
}

func (e *express) Close() error {
	e.closing.Do(func() { close(e.closed) })
	return e.Listener.Close()
}

// enter keeps a connection in mind, unless it is too late for it.
func (e *express) enter(nc net.Conn) *expressConn {
	c := &expressConn{express: e, Conn: nc, remote: nc.RemoteAddr().String()}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopping.Load() {
		_ = nc.Close() // nobody is told: nothing was asked
		return nil
	}
	e.conns[c] = struct{}{}
	return c
}

func (e *express) leave(c *expressConn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.conns, c)
	if e.stopping.Load() && len(e.conns) == 0 {
		close(e.none)
	}
}

// stop closes the connections on which nothing is under way, and waits for the
// others. After ctx it closes those, too.
func (e *express) stop(ctx context.Context) error {
	e.mu.Lock()
	e.stopping.Store(true)
	if len(e.conns) == 0 {
		close(e.none)
	}
	for c := range e.conns {
		if c.state.CompareAndSwap(connIdle, connClosed) {
			_ = c.Conn.Close() // as in enter
		}
	}
	e.mu.Unlock()
	select {
	case <-e.none:
		return nil
	case <-ctx.Done():
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for c := range e.conns {
		_ = c.Conn.Close() // ctx's error says it
	}
	return ctx.Err()
}

// States of a connection. Whoever makes an idle one closed or active has it.
const (
	connIdle int32 = iota
	connActive
	connClosed
)

// expressBuffer holds the head of a request, and the whole of a short one. A
// longer head is net/http's.
const expressBuffer = 4 << 10

// expressConn is a connection. Its goroutine alone uses it, but for state.
type expressConn struct {
	net.Conn
	express *express
	remote  string
	state   atomic.Int32

	buf        [expressBuffer]byte
	begin, end int // what has been read and not used yet
	readBy     time.Time
	writeBy    time.Time

	plain  plainRequest
	req    http.Request
	body   expressBody
	answer expressAnswer
}

// serve answers requests until the connection ends or goes to net/http.
func (c *expressConn) serve() {
	e := c.express
	defer e.leave(c)
	c.answer.header = make(http.Header)
	c.plain.header = make(http.Header)
	for wait := e.o.header; ; wait = e.o.idle {
		if c.begin == c.end {
			c.begin, c.end = 0, 0
			c.deadline(&c.readBy, wait, c.SetReadDeadline)
			n, err := c.Conn.Read(c.buf[:])
			if n == 0 || !c.state.CompareAndSwap(connIdle, connActive) {
				if err != nil || c.state.Load() == connClosed {
					c.close()
					return
				}
				continue
			}
			c.end = n
		} else if !c.state.CompareAndSwap(connIdle, connActive) {
			c.close()
			return
		}
		route := c.plain.parse(c.buf[c.begin:c.end], e.routes)
		if route == nil {
			c.handOver()
			return
		}
		c.begin += c.plain.size
		if !c.handle(route) {
			c.close()
			return
		}
		c.state.Store(connIdle)
		if e.stopping.Load() && c.state.CompareAndSwap(connIdle, connClosed) {
			c.close()
			return
		}
	}
}

func (c *expressConn) close() {
	_ = c.Conn.Close() // the client sees it, and nobody else has use for it
}

// coarse is how much later than asked for a deadline may be: setting one costs as much
// as parsing a request.
const coarse = time.Second

// deadline sees to it that a deadline is between d and d+coarse from now.
func (c *expressConn) deadline(last *time.Time, d time.Duration, set func(time.Time) error) {
	if d <= 0 {
		return
	}
	now := time.Now()
	if left := last.Sub(now); left >= d && left <= d+coarse {
		return
	}
	*last = now.Add(d + coarse)
	_ = set(*last) // fails on a closed connection, which reading notices
}

// handOver gives the connection to net/http.
func (c *expressConn) handOver() {
	_ = c.SetDeadline(time.Time{}) // fails on a closed connection, which net/http notices
	rest := append([]byte(nil), c.buf[c.begin:c.end]...)
	select {
	case c.express.handed <- &handedConn{Conn: c.Conn, rest: rest}:
	case <-c.express.closed:
		c.close()
	}
}

// handedConn is a connection with what was read of it.
type handedConn struct {
	net.Conn
	rest []byte
}

func (c *handedConn) Read(p []byte) (int, error) {
	if len(c.rest) > 0 {
		n := copy(p, c.rest)
		c.rest = c.rest[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// CloseWrite is for net/http, which lets a client read its answer before it
// closes a connection.
func (c *handedConn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// handle answers a request and reports whether the connection stays.
func (c *expressConn) handle(route *http.Request) (stays bool) {
	c.body = expressBody{conn: c, left: c.plain.length}
	c.req = *route
	c.req.Header, c.req.Host, c.req.ContentLength = c.plain.header, c.plain.host, c.plain.length
	c.req.RemoteAddr = c.remote
	c.req.Body = http.NoBody
	if c.plain.length > 0 {
		c.req.Body = &c.body
	}
	c.answer.reset()
	if !c.call() {
		return false
	}
	stays = c.body.discard() && !c.express.stopping.Load() && !c.answer.closes()
	raw := c.answer.encode(time.Now(), !stays)
	c.deadline(&c.writeBy, c.express.o.write, c.SetWriteDeadline)
	if _, err := c.Write(raw); err != nil {
		return false
	}
	if !stays && c.body.left > 0 {
		// To close now would reset the connection and with it take back the answer.
		_ = closeWrite(c.Conn) // fails if the client has closed it already
		_ = c.SetReadDeadline(time.Now().Add(c.express.o.linger))
		_, _ = io.Copy(io.Discard, c.Conn) // ends with the deadline
	}
	return stays
}

// call calls the handler, and reports whether it returned.
func (c *expressConn) call() (returned bool) {
	defer func() {
		if returned {
			return
		}
		if v := recover(); v != nil && v != http.ErrAbortHandler {
			c.express.o.log.panicked(c.remote, v, debug.Stack())
		}
	}()
	c.express.o.handler.ServeHTTP(&c.answer, &c.req)
	return true
}

// maxDiscard is how much of a body that a handler did not want is read, so that
// the connection can stay. As in net/http.
const maxDiscard = 256 << 10

// expressBody is the body of a request.
type expressBody struct {
	conn *expressConn
	left int64
	err  error
}

func (b *expressBody) Read(p []byte) (int, error) {
	switch {
	case b.left == 0:
		return 0, io.EOF
	case b.err != nil:
		return 0, b.err
	}
	p = p[:min(int64(len(p)), b.left)]
	c := b.conn
	if c.begin < c.end {
		n := copy(p, c.buf[c.begin:c.end])
		c.begin += n
		b.left -= int64(n)
		return n, b.eof(nil)
	}
	if len(p) == 0 {
		return 0, nil
	}
	c.deadline(&c.readBy, c.express.o.read, c.SetReadDeadline)
	n, err := c.Conn.Read(p)
	b.left -= int64(n)
	return n, b.eof(err)
}

// eof is what Read returns with the last bytes, or when there will be no more.
func (b *expressBody) eof(err error) error {
	if b.left == 0 {
		return io.EOF
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	b.err = err
	return err
}

func (b *expressBody) Close() error { return nil }

// discard reads what the handler has left, and reports whether it could.
func (b *expressBody) discard() bool {
	if b.left == 0 {
		return true
	}
	if b.left > maxDiscard || b.err != nil {
		return false
	}
	_, err := io.Copy(io.Discard, b)
	return err == nil && b.left == 0
}
