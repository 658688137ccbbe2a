package h2

import (
	"bufio"
	"errors"
	"io"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// inbound is what belongs to the reader alone.
type inbound struct {
	framer   *http2.Framer
	dec      *hpack.Decoder
	locked   bool   // conn.mu is held
	frames   int    // since it was taken
	done     []call // answered since it was taken, to be told without it
	answer   answer // the header that is coming in
	stranger bool   // no frame has come yet
}

// answer is a header block of the server's while it comes in, which may take
// several frames.
type answer struct {
	id      uint32
	end     bool // of the stream
	status  int
	kept    [MaxKept]string
	block   int    // bytes on the wire
	list    int    // size as HTTP/2 counts it
	regular bool   // a field that is none of HTTP/2's own has come
	fault   string // what is wrong with it
}

// maxFrames is how many frames are handled under one lock. The writer waits
// meanwhile.
const maxFrames = 128

func (in *inbound) start(c *conn) {
	in.stranger = true
	in.framer = http2.NewFramer(io.Discard, bufio.NewReaderSize(c.nc, 16<<10))
	in.framer.SetMaxReadFrameSize(16 << 10)
	in.framer.SetReuseFrames()
	in.dec = hpack.NewDecoder(defaultTable, c.onField)
	in.dec.SetMaxStringLength(maxHeaderList)
	c.wire.idle = c.settle
	c.wire.gather(func() {
		if !c.sending.Load() { // else the writer flushes by itself
			c.wakeWriter()
		}
	})
}

// protocolError ends the connection with a code.
type protocolError struct {
	code http2.ErrCode
	what string
}

func (e *protocolError) Error() string {
	return "the server broke HTTP/2: " + e.code.String() + ", " + e.what
}

func breach(code http2.ErrCode, what string) error { return &protocolError{code, what} }

var errClosedConn = errors.New("the connection is closed")

// read is the connection's reader. It handles frames under one lock until all
// that has arrived is used up, and only then, before it waits for more, wakes
// the writer and tells batches of their answers (settle, called by wire).
func (c *conn) read() {
	err := c.readFrames()
	c.settle()
	var pe *protocolError
	switch {
	case errors.As(err, &pe):
		c.end(lossProtocol, err, pe.code)
	case c.isDrained():
		c.end(lossDrained, err, codeNone)
	default:
		c.end(lossLost, err, codeNone)
	}
}

func (c *conn) isDrained() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone != nil && c.gone.code == http2.ErrCodeNo
}

func (c *conn) readFrames() error {
	for {
		f, err := c.in.framer.ReadFrame()
		if !c.in.locked {
			c.mu.Lock()
			c.in.locked = true
			c.lastRead = c.wire.lastRead
			c.pinged = time.Time{} // it lives, whatever it says
		}
		if c.closed {
			return errClosedConn
		}
		if err != nil {
			if err = c.onBadFrame(err); err != nil {
				return err
			}
		} else if err := c.onFrame(f); err != nil {
			return err
		}
		if len(c.ctrl) > maxControl {
			return breach(http2.ErrCodeEnhanceYourCalm, "it floods")
		}
		if c.in.frames++; c.in.frames >= maxFrames {
			c.settle()
		}
	}
}

// settle ends what was done under one lock: it gives the lock back, wakes the
// writer if there is something to write, and delivers answers. Only the reader
// calls it.
func (c *conn) settle() {
	if !c.in.locked {
		return
	}
	free := c.updateFree()
	wake := len(c.ctrl) > 0 || free > 0 && c.p.waiting.Load() > 0 || c.bodiesWait()
	finished := c.drained && len(c.streams) == 0 && !c.closed
	done := c.in.done
	c.in.locked, c.in.frames = false, 0
	c.mu.Unlock()
	if wake {
		c.wakeWriter()
	}
	c.p.deliver(done)
	clear(done)
	c.in.done = done[:0]
	if finished {
		c.end(lossDrained, nil, http2.ErrCodeNo)
	}
}
