package h2

import (
	"strconv"
	"strings"
)

// encoder writes header blocks (HPACK, RFC 7541) for one connection.
//
// It is not hpack.Encoder because it knows which fields are stable: only those
// enter the dynamic table, each once, so that the block of a Headers is the same
// few bytes for every request until the table changes, and can be kept. The
// fields of a single request are literals that nobody may index. Strings are
// not Huffman-coded: that would save a quarter of the bytes and cost, on both
// sides, more than everything else that is done for a request here.
//
// An encoder belongs to conn.mu.
type encoder struct {
	table  []tableEntry // oldest first
	size   uint32       // of table, as RFC 7541 section 4.1 counts
	limit  uint32       // of size
	shrunk uint32       // smallest limit since the last block
	change bool         // the limit has to be announced

	// blocks are what Headers come out as while the table stays as it is.
	blocks map[*Headers]*block
	last   *Headers
	lastB  *block
}

type tableEntry struct{ name, value string }

func (e tableEntry) size() uint32 { return uint32(len(e.name)+len(e.value)) + 32 }

// block is the header block of a Headers in two parts; what is a request's own
// goes between them and behind.
type block struct{ pseudo, fields []byte }

const (
	defaultTable = 4096 // what both sides begin with, and the most that we use
	staticTable  = 61   // entries of the static table
	maxBlocks    = 1024 // that are kept; far above what NewHeaders asks for
)

func newEncoder() *encoder {
	return &encoder{limit: defaultTable, blocks: make(map[*Headers]*block)}
}

// setLimit takes the peer's SETTINGS_HEADER_TABLE_SIZE. The next block announces
// what has changed: the smallest limit in between, then the last one.
func (e *encoder) setLimit(n uint32) {
	n = min(n, defaultTable)
	if n == e.limit && !e.change {
		return
	}
	if !e.change {
		e.change, e.shrunk = true, e.limit
	}
	e.shrunk = min(e.shrunk, n)
	e.limit = n
	e.evict(n)
}

// evict makes the table no larger than n.
func (e *encoder) evict(n uint32) {
	k := 0
	for e.size > n {
		e.size -= e.table[k].size()
		k++
	}
	if k > 0 {
		e.table = append(e.table[:0], e.table[k:]...)
		e.forget()
	}
}

func (e *encoder) forget() {
	clear(e.blocks)
	e.last, e.lastB = nil, nil
}

// appendRequest appends the header block of a request to dst.
func (e *encoder) appendRequest(dst []byte, t *target, r *Request) []byte {
	if e.change {
		e.change = false
		if e.shrunk < e.limit {
			// Down and up again. Down to nothing is right in every case, and
			// decoders are known that take a second size only when their table
			// is empty (hpack's is one).
			e.evict(0)
			dst = append(dst, 0x20)
		}
		dst = appendInt(dst, 0x20, 5, uint64(e.limit))
	}
	h := r.Headers
	if h != e.last {
		e.last, e.lastB = h, e.blocks[h]
	}
	// A kept block with the path of the Headers in it does not fit a request
	// with a path of its own.
	if b := e.lastB; b != nil && (r.Path == "") == (h.path != "") {
		dst = append(dst, b.pseudo...)
		dst = appendPath(dst, r.Path)
		dst = append(dst, b.fields...)
	} else {
		dst = e.appendFirst(dst, t, r)
	}
	for _, f := range r.Fields {
		dst = appendName(dst, 0x10, 4, staticIndex(f.Name), f.Name)
		dst = appendString(dst, f.Value)
	}
	if len(r.Body) == 0 && !h.length {
		return dst
	}
	return appendLength(dst, len(r.Body))
}

// appendFirst appends the block of a Headers that has none yet, and keeps it if
// it comes out the same the next time.
func (e *encoder) appendFirst(dst []byte, t *target, r *Request) []byte {
	h := r.Headers
	stable := true
	field := func(name, value string) {
		var fixed bool
		dst, fixed = e.appendStable(dst, name, value)
		stable = stable && fixed
	}
	start := len(dst)
	field(":method", h.method)
	scheme := "http"
	if t.secure {
		scheme = "https"
	}
	field(":scheme", scheme)
	field(":authority", t.authority)
	if r.Path == "" {
		field(":path", h.path)
	}
	pseudo := len(dst)
	dst = appendPath(dst, r.Path)
	fields := len(dst)
	for _, f := range h.fields {
		field(f.Name, f.Value)
	}
	if stable && (r.Path == "") == (h.path != "") && len(e.blocks) < maxBlocks {
		e.lastB = &block{pseudo: append([]byte(nil), dst[start:pseudo]...), fields: append([]byte(nil), dst[fields:]...)}
		e.blocks[h] = e.lastB
	}
	return dst
}

// appendStable appends a field that will come again. fixed says that it would
// come out the same next time: it did not change the table.
func (e *encoder) appendStable(dst []byte, name, value string) (_ []byte, fixed bool) {
	index := staticIndex(name)
	switch {
	case index == idxMethod && value == "POST":
		return append(dst, 0x80|idxMethod+1), true
	case index == idxMethod && value == "GET":
		return append(dst, 0x80|idxMethod), true
	case index == idxScheme && value == "https":
		return append(dst, 0x80|idxScheme+1), true
	case index == idxScheme && value == "http":
		return append(dst, 0x80|idxScheme), true
	}
	for i, entry := range e.table {
		if entry.value != value || entry.name != name {
			continue
		}
		return appendInt(dst, 0x80, 7, uint64(staticTable+len(e.table)-i)), true
	}
	// The strings live as long as the table: they must not hold on to more.
	entry := tableEntry{strings.Clone(name), strings.Clone(value)}
	if entry.size() > e.limit {
		dst = appendName(dst, 0x00, 4, index, name)
		return appendString(dst, value), true
	}
	dst = appendName(dst, 0x40, 6, index, name)
	dst = appendString(dst, value)
	e.evict(e.limit - entry.size())
	e.table = append(e.table, entry)
	e.size += entry.size()
	e.forget()
	e.last = nil
	return dst, false
}

// The static table as far as it is of use.
const (
	idxAuthority = 1
	idxMethod    = 2 // GET; 3 is POST
	idxPath      = 4
	idxScheme    = 6 // http; 7 is https
	idxLength    = 28
)

func staticIndex(name string) uint64 {
	switch name {
	case ":authority":
		return idxAuthority
	case ":method":
		return idxMethod
	case ":path":
		return idxPath
	case ":scheme":
		return idxScheme
	case "accept":
		return 19
	case "authorization":
		return 23
	case "content-encoding":
		return 26
	case "content-type":
		return 31
	case "user-agent":
		return 58
	}
	return 0
}

// appendPath appends the path of a single request, if it has one.
func appendPath(dst []byte, path string) []byte {
	if path == "" {
		return dst
	}
	dst = append(dst, 0x10|idxPath)
	return appendString(dst, path)
}

// appendLength appends content-length, without indexing: 0x0f 0x0d is the
// static name 28 in four bits. Its value needs one byte of length.
func appendLength(dst []byte, n int) []byte {
	dst = append(dst, 0x0f, idxLength-0x0f, 0)
	at := len(dst)
	dst = strconv.AppendInt(dst, int64(n), 10)
	dst[at-1] = byte(len(dst) - at)
	return dst
}

// appendName appends the first byte of a literal field and its name, by index
// if that is not 0.
func appendName(dst []byte, kind byte, bits uint, index uint64, name string) []byte {
	dst = appendInt(dst, kind, bits, index)
	if index == 0 {
		dst = appendString(dst, name)
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	return append(appendInt(dst, 0, 7, uint64(len(s))), s...)
}

// appendInt appends an integer of RFC 7541 section 5.1 with a prefix of so many
// bits; the bits above them are those of first.
func appendInt(dst []byte, first byte, bits uint, n uint64) []byte {
	top := uint64(1)<<bits - 1
	if n < top {
		return append(dst, first|byte(n))
	}
	dst = append(dst, first|byte(top))
	for n -= top; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}
