package h2

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// conn is one connection. Two goroutines run it, read and write; the keeper
// looks in for time-outs. Whoever holds mu may touch its streams and the
// requests and responses behind them.
type conn struct {
	p    *Pool
	nc   net.Conn // what HTTP/2 is spoken on: TLS, or wire itself
	wire *wire
	wake chan struct{} // wakes the writer
	in   inbound       // the reader's own

	// Hints for those who do not hold mu.
	free      atomic.Int32 // streams that can be opened now
	leaving   atomic.Bool  // opens no more streams
	unsettled atomic.Bool  // how many streams it takes is not known yet
	sending   atomic.Bool  // the writer is about to flush

	mu      sync.Mutex
	closed  bool
	drained bool // leaving, by GOAWAY or for want of stream ids
	opened  time.Time

	streams map[uint32]*stream
	line    line    // of streams, oldest first
	spare   *stream // streams to use again
	nextID  uint32
	enc     *encoder
	ctrl    []byte // frames of the connection, to be written first
	calls   []call // scratch of fill
	blocked []*stream
	window  int64 // what the peer takes of DATA on the connection

	peer struct {
		settled bool // its SETTINGS have come
		streams int
		window  int64 // of new streams
		frame   int
	}
	soft     int  // streams, as refusals have taught
	proven   bool // has given a good answer
	answers  int
	lastRead time.Time
	lastUse  time.Time // a stream was open
	pinged   time.Time // zero if no PING is under way
	pingNo   uint64
	writing  time.Time   // since when a write is under way; zero if none is
	gone     *goneAway   // the peer's GOAWAY
	noted    bool        // the pool knows that this connection was no good
	retired  bool        // by Pool.Retire, which says nothing about the connection
	late     *time.Timer // closes the connection if its last words take too long
	taken    int         // DATA received that has not been given back by WINDOW_UPDATE
}

// stream is a request that is under way.
type stream struct {
	call
	id         uint32
	since      time.Time
	window     int64 // what the peer takes of DATA on this stream
	sent       int   // bytes of the body
	complete   bool  // END_STREAM has been written
	status     int   // of the answer, 0 before its header has come
	received   int   // DATA, padding included
	prev, next *stream
}

// line is the list of streams in the order of their opening.
type line struct{ first, last *stream }

func (l *line) push(s *stream) {
	s.prev, s.next = l.last, nil
	if l.last == nil {
		l.first = s
	} else {
		l.last.next = s
	}
	l.last = s
}

func (l *line) remove(s *stream) {
	if s.prev == nil {
		l.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		l.last = s.prev
	} else {
		s.next.prev = s.prev
	}
}

// Why connections end, for metrics.
const (
	lossIdle     = "idle"
	lossClosed   = "closed"
	lossDrained  = "drained"
	lossSilent   = "silent"
	lossProtocol = "protocol"
	lossLost     = "lost"
)

// codeNone says that a connection ends without a GOAWAY of ours.
const codeNone = http2.ErrCode(1<<32 - 1)

const (
	maxStreamID = 1<<31 - 1
	// ourWindow is the connection's flow-control window for answers.
	ourWindow = 16 << 20
	// maxHeaderList bounds the header of an answer as HTTP/2 counts it, and
	// maxHeaderBlock its bytes on the wire.
	maxHeaderList  = 64 << 10
	maxHeaderBlock = 64 << 10
	// maxControl bounds what waits to be written in answer to the peer's
	// frames. Only a peer that floods, or does not read, gets there.
	maxControl = 256 << 10
)

func newConn(p *Pool, nc net.Conn, w *wire) *conn {
	now := time.Now()
	c := &conn{
		p: p, nc: nc, wire: w,
		wake:    make(chan struct{}, 1),
		opened:  now,
		streams: make(map[uint32]*stream),
		nextID:  firstStreamID,
		enc:     newEncoder(),
		window:  initialWindow,
		soft:    p.cfg.MaxStreams,
		lastUse: now, lastRead: now,
	}
	c.peer.window = initialWindow
	c.peer.frame = 16 << 10
	c.unsettled.Store(true)
	c.in.start(c)
	c.ctrl = append(c.ctrl, http2.ClientPreface...)
	c.ctrl = appendSettings(c.ctrl,
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxHeaderList})
	c.ctrl = appendWindow(c.ctrl, 0, ourWindow-initialWindow)
	c.updateFree()
	return c
}

// firstStreamID is where stream ids begin; a variable for tests, which cannot
// wait for a thousand million requests.
var firstStreamID uint32 = 1

func (c *conn) wakeWriter() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// limit is how many streams may be open now.
func (c *conn) limit() int {
	cfg := &c.p.cfg
	switch {
	case c.closed || c.drained:
		return 0
	case !c.peer.settled:
		return min(cfg.InitialStreams, cfg.MaxStreams)
	}
	n := min(c.peer.streams, cfg.MaxStreams, c.soft)
	if cfg.InitialStreams > 0 && !c.proven {
		n = min(n, cfg.InitialStreams)
	}
	return n
}

// updateFree tells those without the lock what limit says.
func (c *conn) updateFree() int {
	n := c.limit() - len(c.streams)
	if c.window <= 0 || c.starving() || len(c.streams) == 0 && !c.pinged.IsZero() {
		n = min(n, 0) // for the time being
	}
	c.free.Store(int32(n))
	if c.unsettled.Load() && (c.closed || c.drained || c.peer.settled && (c.proven || c.p.cfg.InitialStreams == 0)) {
		c.unsettled.Store(false)
	}
	return n
}

// openStream makes a stream for a call and gives it the next id.
func (c *conn) openStream(k call, now time.Time) *stream {
	s := c.spare
	if s == nil {
		s = new(stream)
	} else {
		c.spare = s.next
	}
	*s = stream{call: k, id: c.nextID, since: now, window: c.peer.window}
	c.nextID += 2
	c.streams[s.id] = s
	c.line.push(s)
	return s
}

// dropStream forgets a stream. Nothing refers to it afterwards.
func (c *conn) dropStream(s *stream) call {
	delete(c.streams, s.id)
	c.line.remove(s)
	if !s.complete {
		for i, b := range c.blocked {
			if b == s {
				c.blocked = append(c.blocked[:i], c.blocked[i+1:]...)
				break
			}
		}
	}
	k := s.call
	*s = stream{next: c.spare}
	c.spare = s
	return k
}

// reset ends a stream with an error of ours and tells the peer.
func (c *conn) reset(s *stream, code http2.ErrCode, err *Error) call {
	c.ctrl = appendReset(c.ctrl, s.id, uint32(code))
	s.response().Err = err
	return c.dropStream(s)
}

// drain ends the opening of streams.
func (c *conn) drain() {
	c.drained = true
	c.leaving.Store(true)
	c.updateFree()
}

// retire ends the opening of streams, and the connection after the last.
func (c *conn) retire() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.retired = true
	c.drain()
	idle := len(c.streams) == 0
	c.mu.Unlock()
	if idle { // else the reader ends it
		c.end(lossDrained, nil, http2.ErrCodeNo)
	}
}

// abandon resets the streams of a batch and appends their calls to done.
func (c *conn) abandon(b *Batch, run uint32, err *Error, done []call) []call {
	c.mu.Lock()
	before := len(done)
	for s := c.line.first; s != nil; {
		next := s.next
		if s.b == b && s.run == run {
			done = append(done, c.reset(s, http2.ErrCodeCancel, err.unlessIncomplete(s)))
		}
		s = next
	}
	c.updateFree()
	c.mu.Unlock()
	if len(done) > before {
		c.wakeWriter()
	}
	return done
}

// unlessIncomplete returns e, or what it is for a stream whose request was not
// completely written: a server cannot have processed that.
func (e *Error) unlessIncomplete(s *stream) *Error {
	if s.complete || !e.Unknown {
		return e
	}
	known := *e
	known.Unknown = false
	return &known
}

// tick looks for time-outs and appends the calls that have ended to done.
func (c *conn) tick(now time.Time, done []call) []call {
	cfg := &c.p.cfg
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return done
	}
	before := len(done)
	for s := c.line.first; s != nil && now.Sub(s.since) > cfg.Timeout; s = c.line.first {
		err := &Error{Reason: Timeout, Unknown: true}
		done = append(done, c.reset(s, http2.ErrCodeCancel, err.unlessIncomplete(s)))
	}
	wake := len(done) > before
	var cause string
	var err error
	switch quiet := now.Sub(c.lastRead); {
	case !c.peer.settled && now.Sub(c.opened) > cfg.DialTimeout:
		cause, err = lossSilent, errNoSettings
	case !c.writing.IsZero() && now.Sub(c.writing) > cfg.PingAfter+cfg.PingTimeout:
		cause, err = lossSilent, errNotReading
	case !c.pinged.IsZero() && now.Sub(c.pinged) > cfg.PingTimeout:
		cause, err = lossSilent, errNoPong
	case c.pinged.IsZero() && len(c.streams) > 0 && quiet > cfg.PingAfter:
		c.ping(now)
		wake = true
	case cfg.IdleTimeout > 0 && len(c.streams) == 0 && now.Sub(c.lastUse) > cfg.IdleTimeout:
		cause = lossIdle
	case c.drained && len(c.streams) == 0:
		cause = lossDrained
	}
	if cause != "" {
		c.drain() // so that no stream is opened before it ends
	}
	c.updateFree()
	c.mu.Unlock()
	switch {
	case cause == lossSilent:
		c.end(cause, err, codeNone)
	case cause != "":
		c.end(cause, nil, http2.ErrCodeNo)
	case wake:
		c.wakeWriter()
	}
	return done
}

// ping puts a PING among the frames to write.
func (c *conn) ping(now time.Time) {
	c.pingNo++
	c.ctrl = appendPing(c.ctrl, 0, pingData(c.pingNo))
	c.pinged = now
}

// end closes the connection, once. Of its requests those that were completely
// written end as lost; the others are put back. With a code other than codeNone
// the peer is told by GOAWAY first. mu is not held.
func (c *conn) end(cause string, err error, code http2.ErrCode) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	c.leaving.Store(true)
	lost := &Error{Reason: Lost, Unknown: true, Err: err}
	if c.gone != nil {
		lost.Code, lost.Err = c.gone.code, c.gone
	}
	if cause == lossClosed {
		lost.Reason = Closed
	}
	var done, again []call
	for s := c.line.first; s != nil; s = c.line.first {
		if s.complete {
			s.response().Err = lost
			done = append(done, c.dropStream(s))
		} else {
			again = append(again, c.dropStream(s))
		}
	}
	c.updateFree()
	if code == codeNone {
		c.ctrl = nil
	} else {
		c.ctrl = appendGoAway(c.ctrl, uint32(code))
		// The writer has the last word, but not for long.
		c.late = time.AfterFunc(byeTimeout, func() { _ = c.wire.Conn.Close() })
	}
	good := c.noted || c.retired || cause == lossIdle || cause == lossClosed ||
		c.answers >= fewAnswers && cause != lossSilent && cause != lossProtocol
	c.mu.Unlock()

	if code == codeNone {
		_ = c.wire.Conn.Close() // wakes whoever reads or writes
	}
	c.wakeWriter()
	c.report(cause, lost.Err, len(done), len(again))
	known := *lost
	known.Unknown = false
	done = c.p.putBack(again, &known, done)
	c.p.dropConn(c, good, lost.Err)
	c.p.deliver(done)
}

const (
	// fewAnswers is how many answers a connection must have given to be
	// replaced at once. It keeps a server that takes connections and drops
	// them from being hammered.
	fewAnswers = 10
	byeTimeout = time.Second
)

func (c *conn) report(cause string, err error, unknown, again int) {
	m := c.p.cfg.Metrics
	m.connections.WithLabelValues(c.p.cfg.Name).Dec()
	m.losses.WithLabelValues(c.p.cfg.Name, cause).Inc()
	log := c.p.cfg.Logger.Warn
	if unknown == 0 && (cause == lossIdle || cause == lossClosed || cause == lossDrained) {
		log = c.p.cfg.Logger.Debug
	}
	log("connection to the provider ended", "pool", c.p.cfg.Name, "addr", c.p.target.addr, "cause", cause, "err", err, "unknown", unknown, "put_back", again)
}
