package warm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

const (
	readBufferBytes = 16 << 10
	// maxLineBytes bounds a status, header or chunk line, maxHeaderBytes all
	// of one answer's.
	maxLineBytes   = 64 << 10
	maxHeaderBytes = 256 << 10
	maxInterim     = 8
)

// answer is what the warmer keeps of one response.
type answer struct {
	status int
	bytes  int64 // of the body, as sent
	cache  outcome
	// retryAfter is the header Retry-After, if it is in seconds.
	retryAfter time.Duration
	// next is the target of the header Link with rel="next", if it was asked
	// for. It is overwritten by the next answer.
	next     []byte
	wantNext bool
	// reusable says that the connection can take another request.
	reusable bool
}

func (a *answer) reset() {
	*a = answer{next: a.next[:0], wantNext: a.wantNext}
}

var (
	errNotHTTP   = errors.New("the answer is not HTTP/1.1")
	errTruncated = errors.New("the connection ended inside the answer")
)

// reader reads responses through one buffer, which it keeps.
type reader struct {
	src  io.Reader
	buf  []byte
	r, w int
	// got says that at least one byte came since begin.
	got bool
}

func (r *reader) reset(src io.Reader) {
	if r.buf == nil {
		r.buf = make([]byte, readBufferBytes)
	}
	r.src, r.r, r.w, r.got = src, 0, 0, false
}

// fill reads once, behind what is buffered.
func (r *reader) fill() error {
	if r.r == r.w {
		r.r, r.w = 0, 0
	}
	if r.w == len(r.buf) {
		switch {
		case r.r > 0:
			r.w = copy(r.buf, r.buf[r.r:r.w])
			r.r = 0
		case len(r.buf) >= maxLineBytes:
			return fmt.Errorf("a line of the answer is longer than %d bytes", maxLineBytes)
		default:
			r.buf = append(r.buf, make([]byte, len(r.buf))...)
		}
	}
	n, err := r.src.Read(r.buf[r.w:])
	if n > 0 {
		r.w += n
		r.got = true
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// line returns the next line without its end. It is valid until the next call.
func (r *reader) line() ([]byte, error) {
	for from := r.r; ; {
		if k := bytes.IndexByte(r.buf[from:r.w], '\n'); k >= 0 {
			line := r.buf[r.r : from+k]
			r.r = from + k + 1
			return bytes.TrimSuffix(line, []byte{'\r'}), nil
		}
		seen := r.w - r.r
		if err := r.fill(); err != nil {
			return nil, inside(err)
		}
		from = r.r + seen
	}
}

// inside makes the end of the stream an error of its own: bytes are missing.
func inside(err error) error {
	if errors.Is(err, io.EOF) {
		return errTruncated
	}
	return err
}

// discard drops n bytes.
func (r *reader) discard(n int64) error {
	for {
		k := min(n, int64(r.w-r.r))
		r.r += int(k)
		if n -= k; n == 0 {
			return nil
		}
		if err := r.fill(); err != nil {
			return inside(err)
		}
	}
}

// discardAll drops everything up to the end of the stream.
func (r *reader) discardAll() (int64, error) {
	total := int64(0)
	for {
		total += int64(r.w - r.r)
		r.r = r.w
		if err := r.fill(); errors.Is(err, io.EOF) {
			return total, nil
		} else if err != nil {
			return total, err
		}
	}
}

// response reads one response to a GET, its body included.
func (r *reader) response(a *answer) error {
	a.reset()
	r.got = r.r < r.w
	h := head{}
	for range maxInterim {
		if err := r.head(a, &h); err != nil {
			return err
		}
		if a.status >= 200 {
			return r.body(a, &h)
		}
		if a.status == 101 {
			return errNotHTTP
		}
	}
	return fmt.Errorf("more than %d interim answers", maxInterim)
}

// head is what of a response's head decides where its body ends.
type head struct {
	http10    bool
	length    int64 // -1: not given
	encoded   bool  // there is a Transfer-Encoding
	chunked   bool  // whose last coding is chunked
	close     bool
	keepAlive bool
	bytes     int
}

func (r *reader) head(a *answer, h *head) error {
	*h = head{length: -1}
	line, err := r.line()
	if err != nil {
		return err
	}
	h.bytes = len(line)
	if a.status, h.http10, err = parseStatusLine(line); err != nil {
		return err
	}
	for {
		line, err := r.line()
		switch {
		case err != nil:
			return err
		case len(line) == 0:
			return nil
		}
		if h.bytes += len(line); h.bytes > maxHeaderBytes {
			return fmt.Errorf("the answer's header is larger than %d bytes", maxHeaderBytes)
		}
		if err := h.field(a, line); err != nil {
			return err
		}
	}
}

// parseStatusLine reads "HTTP/1.1 200 OK".
func parseStatusLine(line []byte) (status int, http10 bool, err error) {
	if len(line) < len("HTTP/1.1 200") || string(line[:7]) != "HTTP/1." || line[8] != ' ' ||
		(len(line) > 12 && line[12] != ' ') {
		return 0, false, errNotHTTP
	}
	switch line[7] {
	case '0':
		http10 = true
	case '1':
	default:
		return 0, false, errNotHTTP
	}
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return 0, false, errNotHTTP
		}
		status = status*10 + int(c-'0')
	}
	if status < 100 || status > 599 {
		return 0, false, errNotHTTP
	}
	return status, http10, nil
}

// field takes what matters of one header line.
func (h *head) field(a *answer, line []byte) error {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		if line[0] == ' ' || line[0] == '\t' {
			return errors.New("a folded header line")
		}
		return errors.New("a header line without a name")
	}
	name := line[:colon]
	value := func() []byte { return bytes.Trim(line[colon+1:], " \t") }
	switch len(name) {
	case len("link"):
		if a.wantNext && len(a.next) == 0 && fold(name, "link") {
			a.next = appendNext(a.next, value())
		}
	case len("connection"):
		if fold(name, "connection") {
			h.close = h.close || hasToken(value(), "close")
			h.keepAlive = h.keepAlive || hasToken(value(), "keep-alive")
		}
	case len("retry-after"):
		if fold(name, "retry-after") {
			if n, err := strconv.ParseUint(string(value()), 10, 31); err == nil {
				a.retryAfter = time.Duration(n) * time.Second
			}
		}
	case len("cache-status"):
		if fold(name, "cache-status") {
			a.cache = a.cache.or(parseCacheStatus(value()))
		}
	case len("content-length"):
		if fold(name, "content-length") {
			return h.contentLength(value())
		}
	case len("transfer-encoding"):
		if fold(name, "transfer-encoding") {
			if h.http10 { // which does not know it: its framing cannot be trusted
				h.close = true
				return nil
			}
			h.encoded = true
			v := value()
			h.chunked = fold(bytes.TrimLeft(v[bytes.LastIndexByte(v, ',')+1:], " \t"), "chunked")
		}
	}
	return nil
}

// contentLength takes a length; the same one twice is one, two different ones
// are an attack or a fault.
func (h *head) contentLength(v []byte) error {
	for part := range bytes.SplitSeq(v, []byte{','}) {
		part = bytes.Trim(part, " \t")
		n, err := strconv.ParseInt(string(part), 10, 64)
		if err != nil || n < 0 || part[0] < '0' || part[0] > '9' || (h.length >= 0 && h.length != n) {
			return errors.New("a Content-Length that is no length")
		}
		h.length = n
	}
	return nil
}

func (r *reader) body(a *answer, h *head) (err error) {
	a.reusable = !h.close && (!h.http10 || h.keepAlive)
	switch {
	case a.status == 204 || a.status == 304:
	case h.chunked:
		// A length beside the chunks is how requests are smuggled: this
		// connection carries nothing further.
		a.reusable = a.reusable && h.length < 0
		a.bytes, err = r.chunks()
	case h.encoded, h.length < 0:
		a.reusable = false
		a.bytes, err = r.discardAll()
	default:
		a.bytes, err = h.length, r.discard(h.length)
	}
	if err != nil {
		return err
	}
	// Bytes that nobody asked for: what follows would be read as the answer
	// to another request.
	a.reusable = a.reusable && r.r == r.w
	return nil
}

// chunks drops a chunked body with its trailer.
func (r *reader) chunks() (total int64, err error) {
	for {
		line, err := r.line()
		if err != nil {
			return total, err
		}
		n, err := parseChunkSize(line)
		if err != nil {
			return total, err
		}
		if n == 0 {
			return total, r.trailer()
		}
		total += n
		if err := r.discard(n); err != nil {
			return total, err
		}
		if end, err := r.line(); err != nil {
			return total, err
		} else if len(end) != 0 {
			return total, errBadChunk
		}
	}
}

var errBadChunk = errors.New("a chunk of the answer is malformed")

func parseChunkSize(line []byte) (int64, error) {
	if k := bytes.IndexByte(line, ';'); k >= 0 {
		line = line[:k]
	}
	line = bytes.TrimRight(line, " \t")
	if len(line) == 0 || len(line) > 15 {
		return 0, errBadChunk
	}
	n := int64(0)
	for _, c := range line {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, errBadChunk
		}
		n = n<<4 | int64(c)
	}
	return n, nil
}

func (r *reader) trailer() error {
	for total := 0; total <= maxHeaderBytes; {
		line, err := r.line()
		if err != nil || len(line) == 0 {
			return err
		}
		total += len(line)
	}
	return fmt.Errorf("the answer's trailer is larger than %d bytes", maxHeaderBytes)
}
