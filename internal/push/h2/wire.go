package h2

import (
	"encoding/binary"
	"net"
	"sync"
	"time"
)

// wire lies between TLS (or HTTP/2 itself, without TLS) and the socket and
// saves system calls both ways. It reads as much as there is, where TLS would
// read a record at a time, and that with servers which answer every request in
// a record of its own. It gathers the records of one write.
//
// Reads come from one goroutine. While it gathers, writes come from any and
// never wait: TLS answers some records from within a read, and a reader that
// waited for a peer who does not read would hold everything up.
type wire struct {
	net.Conn

	in       []byte // read ahead: in[r:w]
	r, w     int
	idle     func() // called before a read that may wait; nil at first
	lastRead time.Time

	mu      sync.Mutex
	written func() // tells the writer that there is something to flush; nil: nothing is gathered
	out     []byte
	spare   []byte
}

const readAhead = 64 << 10

func newWire(c net.Conn) *wire {
	return &wire{Conn: c, in: make([]byte, readAhead)}
}

// Read implements net.Conn.
func (w *wire) Read(b []byte) (int, error) {
	if w.r == w.w {
		if w.idle != nil {
			w.idle()
		}
		n, err := w.Conn.Read(w.in)
		if n == 0 {
			return 0, err
		}
		w.r, w.w = 0, n
		w.lastRead = time.Now()
	}
	n := copy(b, w.in[w.r:w.w])
	w.r += n
	return n, nil
}

// Write implements net.Conn.
func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	if w.written == nil {
		w.mu.Unlock()
		return w.Conn.Write(b)
	}
	w.out = append(w.out, b...)
	written := w.written
	w.mu.Unlock()
	written()
	return len(b), nil
}

// gather makes writes wait for flush. written is called for each. With nil,
// writes go out at once again; what is gathered is dropped.
func (w *wire) gather(written func()) {
	w.mu.Lock()
	w.written = written
	w.out = nil
	w.mu.Unlock()
}

// flush writes what has been gathered, in one system call. Only one goroutine
// calls it.
func (w *wire) flush() error {
	w.mu.Lock()
	out := w.out
	w.out = w.spare[:0]
	w.mu.Unlock()
	w.spare = out
	if len(out) == 0 {
		return nil
	}
	_, err := w.Conn.Write(out)
	return err
}

// Frames that are written, appended by hand: a frame's header is nine bytes,
// and its payload is made in place behind it.

const (
	frameHeader   = 9
	frameData     = 0
	frameHeaders  = 1
	frameReset    = 3
	frameSettings = 4
	framePing     = 6
	frameGoAway   = 7
	frameWindow   = 8
	frameMore     = 9 // CONTINUATION

	flagAck        = 1
	flagEndStream  = 1
	flagEndHeaders = 4
)

func appendFrame(dst []byte, length int, kind, flags byte, stream uint32) []byte {
	return append(dst, byte(length>>16), byte(length>>8), byte(length), kind, flags,
		byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
}

func appendReset(dst []byte, stream, code uint32) []byte {
	return binary.BigEndian.AppendUint32(appendFrame(dst, 4, frameReset, 0, stream), code)
}

func appendWindow(dst []byte, stream, n uint32) []byte {
	return binary.BigEndian.AppendUint32(appendFrame(dst, 4, frameWindow, 0, stream), n)
}

func appendPing(dst []byte, flags byte, data [8]byte) []byte {
	return append(appendFrame(dst, 8, framePing, flags, 0), data[:]...)
}

func appendGoAway(dst []byte, code uint32) []byte {
	dst = appendFrame(dst, 8, frameGoAway, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, 0) // no stream of the server's was seen
	return binary.BigEndian.AppendUint32(dst, code)
}

// splitHeaders makes the header block at dst[at:] a HEADERS frame, and
// CONTINUATION frames where it is longer than a frame may be. In front of the
// block is room for one frame header.
func splitHeaders(dst []byte, at int, stream uint32, flags byte, maxFrame int) []byte {
	block := dst[at:]
	if len(block) <= maxFrame {
		appendFrame(dst[:at-frameHeader], len(block), frameHeaders, flags|flagEndHeaders, stream)
		return dst
	}
	rest := append([]byte(nil), block[maxFrame:]...)
	appendFrame(dst[:at-frameHeader], maxFrame, frameHeaders, flags, stream)
	dst = dst[:at+maxFrame]
	for len(rest) > 0 {
		n := min(len(rest), maxFrame)
		var f byte
		if n == len(rest) {
			f = flagEndHeaders
		}
		dst = appendFrame(dst, n, frameMore, f, stream)
		dst = append(dst, rest[:n]...)
		rest = rest[n:]
	}
	return dst
}
