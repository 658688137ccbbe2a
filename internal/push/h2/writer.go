package h2

import (
	"encoding/binary"
	"errors"
	"time"

	"golang.org/x/net/http2"
)

// writeSize is how much one write gathers: four TLS records but for a last
// request, which may go beyond.
const writeSize = 4<<14 - 512

var (
	errNoSettings = errors.New("the server sent no settings")
	errNotReading = errors.New("the server does not read")
	errNoPong     = errors.New("the server does not answer a PING")
)

// write is the connection's writer. It writes whatever there is, everything that
// has come up during one write in the next, and sleeps when there is nothing.
// It closes the connection when it ends.
func (c *conn) write() {
	defer c.hangUp()
	var buf []byte
	for {
		c.mu.Lock()
		buf = c.fill(buf[:0])
		closed := c.closed
		c.writing = time.Time{}
		if len(buf) > 0 {
			c.writing = time.Now()
		}
		c.mu.Unlock()
		if err := c.send(buf); err != nil {
			c.end(lossLost, err, codeNone)
			return
		}
		if closed {
			return
		}
		if len(buf) == 0 {
			<-c.wake
		}
	}
}

// hangUp closes the connection, with TLS's own farewell.
func (c *conn) hangUp() {
	c.wire.gather(nil)
	_ = c.nc.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.late != nil {
		c.late.Stop()
	}
}

// send writes b, and what else has been gathered, in one system call.
func (c *conn) send(b []byte) error {
	if len(b) > 0 {
		c.p.count.writes.Inc()
		c.sending.Store(true)
		_, err := c.nc.Write(b)
		c.sending.Store(false) // before the flush, which takes all that came until now
		if err != nil {
			return err
		}
	}
	return c.wire.flush()
}

// fill appends what can be written now: frames of the connection, bodies that
// had to wait for a window, and new requests. mu is held.
func (c *conn) fill(buf []byte) []byte {
	// The hint first: whoever puts something into the queue from here on either
	// sees it and wakes us, or is seen.
	n := c.updateFree()
	if n <= 0 || c.p.waiting.Load() == 0 {
		return c.fillBodies(c.fillControl(buf))
	}
	now := time.Now()
	if c.check(now) {
		c.updateFree()
		return c.fillControl(buf)
	}
	buf = c.fillBodies(c.fillControl(buf))
	buf = c.fillRequests(buf, n, now)
	c.updateFree()
	return buf
}

func (c *conn) fillControl(buf []byte) []byte {
	buf = append(buf, c.ctrl...)
	c.ctrl = c.ctrl[:0]
	return buf
}

// check reports whether the connection has been silent for so long that it must
// answer a PING before it gets requests.
func (c *conn) check(now time.Time) bool {
	if len(c.streams) > 0 {
		return false
	}
	if c.pinged.IsZero() && now.Sub(c.lastRead) > c.p.cfg.PingAfter {
		c.ping(now)
	}
	return !c.pinged.IsZero()
}

// fillRequests opens up to n streams with calls from the queue.
func (c *conn) fillRequests(buf []byte, n int, now time.Time) []byte {
	if c.nextID > maxStreamID {
		c.drain()
		c.p.kickKeeper()
		return buf
	}
	n = min(n, int(maxStreamID-c.nextID)/2+1)
	window := c.window
	if window > 0 && c.starving() {
		window = 0
	}
	c.calls = c.p.take(c.calls[:0], n, writeSize-len(buf), window)
	for _, k := range c.calls {
		buf = c.appendRequest(buf, c.openStream(k, now))
	}
	if len(c.calls) > 0 {
		c.lastUse = now
		c.p.count.requests.Add(float64(len(c.calls)))
		clear(c.calls) // their batches may go
	}
	return buf
}

// starving reports whether a body waits for the connection's window.
func (c *conn) starving() bool {
	for _, s := range c.blocked {
		if s.window > 0 {
			return true
		}
	}
	return false
}

// appendRequest appends the frames of a request, as far as the windows allow.
func (c *conn) appendRequest(buf []byte, s *stream) []byte {
	r := s.request()
	buf = append(buf, make([]byte, frameHeader)...)
	at := len(buf)
	buf = c.enc.appendRequest(buf, &c.p.target, r)
	if len(r.Body) == 0 {
		s.complete = true
		return splitHeaders(buf, at, s.id, flagEndStream, c.peer.frame)
	}
	buf = splitHeaders(buf, at, s.id, 0, c.peer.frame)
	if buf = c.appendBody(buf, s); !s.complete {
		c.blocked = append(c.blocked, s)
	}
	return buf
}

// appendBody appends what the windows allow of what is left of a body.
func (c *conn) appendBody(buf []byte, s *stream) []byte {
	body := s.request().Body
	for s.sent < len(body) {
		n := int(min(int64(len(body)-s.sent), int64(c.peer.frame), s.window, c.window))
		if n <= 0 {
			return buf
		}
		part := body[s.sent : s.sent+n]
		s.sent += n
		s.window -= int64(n)
		c.window -= int64(n)
		var flags byte
		if s.sent == len(body) {
			flags, s.complete = flagEndStream, true
		}
		buf = appendFrame(buf, n, frameData, flags, s.id)
		buf = append(buf, part...)
	}
	return buf
}

// fillBodies goes on with bodies that had to wait, the oldest first.
func (c *conn) fillBodies(buf []byte) []byte {
	if len(c.blocked) == 0 {
		return buf
	}
	kept := c.blocked[:0]
	for _, s := range c.blocked {
		if len(buf) < writeSize {
			buf = c.appendBody(buf, s)
		}
		if !s.complete {
			kept = append(kept, s)
		}
	}
	clear(c.blocked[len(kept):])
	c.blocked = kept
	return buf
}

// bodiesWait reports whether a body can go on.
func (c *conn) bodiesWait() bool { return c.window > 0 && c.starving() }

func appendSettings(dst []byte, settings ...http2.Setting) []byte {
	dst = appendFrame(dst, 6*len(settings), frameSettings, 0, 0)
	for _, s := range settings {
		dst = binary.BigEndian.AppendUint16(dst, uint16(s.ID))
		dst = binary.BigEndian.AppendUint32(dst, s.Val)
	}
	return dst
}

func pingData(n uint64) (b [8]byte) {
	binary.BigEndian.PutUint64(b[:], n)
	return b
}
