package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// conn is a client's connection. It is spoken to in frames, not through an HTTP
// library, because Apple's ways include what a library's server does not do. Its
// reader handles frames; what is to be written gathers in out until the writer
// takes it.
type conn struct {
	a    *Apple
	raw  net.Conn
	tls  *tls.Conn
	fr   *http2.Framer // reads from the reader's goroutine, writes under mu
	wake chan struct{} // wakes the writer
	said chan struct{} // closed when the writer has had the last word
	done chan struct{} // closed when the connection has ended
	once sync.Once     // of closing done

	certificate bool // the client has shown one

	mu      sync.Mutex // guards what follows
	out     []byte     // frames to write
	last    bool       // the connection ends when out is written
	silent  bool       // nothing is read or written any more
	streams map[uint32]*stream
	newest  uint32 // id that a stream was opened with
	handled uint32 // the highest id that was answered or delivered
	goAway  bool   // streams above final are not looked at
	final   uint32
	henc    *hpack.Encoder
	hbuf    bytes.Buffer
	late    []lateAnswer
	timer   *time.Timer // of the first of late

	// How many streams the client may have open: as it has acknowledged, as it
	// was told and has not acknowledged, and as it was told last.
	allowed int
	told    []int
	latest  int
	valid   bool // a provider token was good
	sulking bool

	window        int64 // what the client takes of DATA
	initialWindow int64
	taken         int // DATA that has not been given back by WINDOW_UPDATE
}

// stream is a request that is coming in or waits for its answer.
type stream struct {
	id      uint32
	request request
	whole   bool // nothing more of it is looked at
	hanging bool
	window  int64
	body    []byte // of the answer, waiting for a window
}

// lateAnswer is an answer that latency holds back.
type lateAnswer struct {
	at time.Time
	id uint32
}

const (
	// maxBody is the largest body that any push type may have.
	maxBody = 5120
	// ourWindow is the connection's flow-control window for requests.
	ourWindow = 16 << 20
	// maxOut bounds what gathers for a client that does not read.
	maxOut           = 4 << 20
	handshakeTimeout = 10 * time.Second
	goodbyeTimeout   = time.Second
	// unlimited is what a client may open before it has acknowledged a limit.
	unlimited = 1 << 20
)

func newConn(a *Apple, raw net.Conn) *conn {
	c := &conn{
		a: a, raw: raw,
		tls:     tls.Server(raw, a.tls),
		wake:    make(chan struct{}, 1),
		said:    make(chan struct{}),
		done:    make(chan struct{}),
		streams: make(map[uint32]*stream),
		allowed: unlimited,
		window:  65535, initialWindow: 65535,
	}
	c.henc = hpack.NewEncoder(&c.hbuf)
	c.fr = http2.NewFramer(gather{c}, bufio.NewReaderSize(slowReader{c}, 16<<10))
	c.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.fr.MaxHeaderListSize = 16 << 10
	c.fr.SetMaxReadFrameSize(16 << 10)
	c.fr.SetReuseFrames()
	return c
}

// gather is what the framer writes to, under mu.
type gather struct{ c *conn }

func (g gather) Write(b []byte) (int, error) {
	g.c.out = append(g.c.out, b...)
	return len(b), nil
}

// slowReader is what the framer reads from. When all that came has been used up
// it lets the writer write.
type slowReader struct{ c *conn }

func (r slowReader) Read(p []byte) (int, error) {
	r.c.flush()
	if d := time.Duration(r.c.a.manners.Load().SlowReads); d > 0 {
		if !r.c.pause(d) {
			return 0, net.ErrClosed
		}
		p = p[:min(len(p), 1<<10)]
	}
	return r.c.tls.Read(p)
}

// pause waits and reports whether the connection lasted.
func (c *conn) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.done:
		return false
	}
}

// serve runs the connection until it ends.
func (c *conn) serve() {
	defer c.a.remove(c)
	defer c.close()
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	err := c.tls.HandshakeContext(ctx)
	cancel()
	if err != nil {
		// Broken handshakes of clients are their business.
		c.a.o.Logger.Debug("TLS handshake with the sandbox", "err", err)
		return
	}
	state := c.tls.ConnectionState()
	if state.NegotiatedProtocol != "h2" {
		return
	}
	c.certificate = len(state.PeerCertificates) > 0

	var wg sync.WaitGroup
	defer wg.Wait()
	defer c.close()
	c.greet()
	wg.Go(c.write)
	if err := c.read(); err != nil {
		c.a.o.Logger.Debug("connection to the sandbox ended", "err", err)
	}
	c.mu.Lock()
	last := c.last
	c.mu.Unlock()
	if last { // the writer has the last word, but not for long
		c.flush()
		t := time.NewTimer(goodbyeTimeout)
		defer t.Stop()
		select {
		case <-c.said:
		case <-c.done:
		case <-t.C:
		}
	}
}

// greet writes the first settings.
func (c *conn) greet() {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.a.manners.Load()
	c.valid = c.certificate
	c.tell(c.streamLimit(m))
	_ = c.fr.WriteWindowUpdate(0, ourWindow-65535)
}

// streamLimit is how many streams the client may have open. mu is held.
func (c *conn) streamLimit(m *Manners) int {
	switch {
	case !c.valid:
		return m.firstStreams()
	case c.sulking:
		return 1
	}
	return m.maxStreams()
}

// tell announces a limit. mu is held.
func (c *conn) tell(n int) {
	if n == c.latest {
		return
	}
	c.latest = n
	c.told = append(c.told, n)
	_ = c.fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: uint32(n)})
}

// announce tells the client what has changed of the limit of its streams.
func (c *conn) announce() {
	m := c.a.manners.Load()
	c.mu.Lock()
	if c.latest != 0 { // it has been greeted
		c.sulking = c.sulking && m.Sulk
		c.tell(c.streamLimit(m))
	}
	c.mu.Unlock()
	c.flush()
}

// flush wakes the writer.
func (c *conn) flush() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write writes what has gathered.
func (c *conn) write() {
	var buf []byte
	for {
		c.mu.Lock()
		if c.silent {
			c.out = nil
		}
		buf, c.out = c.out, buf[:0]
		last := c.last
		c.mu.Unlock()
		if err := c.writeAll(buf); err != nil {
			c.close()
			return
		}
		if last {
			c.sayGoodbye()
			return
		}
		select {
		case <-c.wake:
		case <-c.done:
			return
		}
	}
}

// sayGoodbye ends the writing. What the client has on its way is still read,
// because a connection that is closed before takes our last words with it.
func (c *conn) sayGoodbye() {
	_ = c.tls.CloseWrite()
	if tcp, ok := c.raw.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	_ = c.raw.SetReadDeadline(time.Now().Add(goodbyeTimeout))
	close(c.said)
}

func (c *conn) writeAll(b []byte) error {
	for len(b) > 0 {
		n := len(b)
		if tiny := c.a.manners.Load().TinyWrites; tiny > 0 {
			n = min(n, tiny)
		}
		if _, err := c.tls.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// close ends the connection at once.
func (c *conn) close() {
	c.once.Do(func() {
		close(c.done)
		_ = c.raw.Close()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.timer != nil {
			c.timer.Stop()
		}
		for _, s := range c.streams {
			c.forget(s)
		}
	})
}

// shutdown ends the connection when the stand-in stops: what is unanswered has
// not been delivered.
func (c *conn) shutdown() {
	c.mu.Lock()
	silent := c.silent || c.latest == 0
	if !silent {
		c.sayGoAway(c.handled, "Shutdown")
		c.last = true
	}
	c.mu.Unlock()
	if silent {
		c.close()
		return
	}
	_ = c.raw.SetDeadline(time.Now().Add(goodbyeTimeout))
	c.flush()
}

// recover ends what hangs, and the connection if it has fallen silent.
func (c *conn) recover() {
	c.mu.Lock()
	silent := c.silent
	for _, s := range c.streams {
		if s.hanging {
			c.reset(s, http2.ErrCodeInternal)
		}
	}
	c.mu.Unlock()
	if silent {
		c.close()
		return
	}
	c.flush()
}
