package push

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"
	"unsafe"
)

// MessageID identifies one message through all of its attempts: a UUID that
// follows from the request's and the message's place in it, so that a message
// that is sent again after a crash has the same one.
type MessageID [16]byte

// String returns the id as a UUID in lower case.
func (id MessageID) String() string {
	var b [36]byte
	hex.Encode(b[:], id[:4])
	b[8] = '-'
	hex.Encode(b[9:], id[4:6])
	b[13] = '-'
	hex.Encode(b[14:], id[6:8])
	b[18] = '-'
	hex.Encode(b[19:], id[8:10])
	b[23] = '-'
	hex.Encode(b[24:], id[10:])
	return string(b[:])
}

// newBase returns the id that the messages of a request count from: version 8
// and variant as RFC 9562 has it, 90 random bits, and 32 bits for the place.
func newBase() MessageID {
	var id MessageID
	_, _ = rand.Read(id[:12]) // never fails: the program ends if the system has no randomness
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// at returns the id of the message at a place in its request.
func (id MessageID) at(place uint32) MessageID {
	binary.BigEndian.PutUint32(id[12:], place)
	return id
}

// envelope is the payload of a job: a request, or the part of it that goes to
// one provider with one priority at one time. Everything in it is rendered, so
// that delivering it needs neither JSON nor the sender's rules.
type envelope struct {
	base     MessageID
	app      string
	platform Platform
	created  time.Time // when the request was accepted
	due      time.Time // when it is to be sent: then, or at its send_at
	parts    []part
}

// part is one notification of an envelope.
type part struct {
	first    uint32 // place of the first token's message in the request
	expires  time.Time
	rendered Rendered
	note     string // for the observer
	tokens   []string
}

// total returns how many messages the envelope holds.
func (e *envelope) total() int {
	n := 0
	for i := range e.parts {
		n += len(e.parts[i].tokens)
	}
	return n
}

// envelopeVersion is the first byte of every envelope. Later versions must
// read this one for as long as a queue may hold it. (Version 1 was never released.)
const envelopeVersion = 2

// encode returns the envelope as it is stored. It is small, because every byte is
// written to disk at least twice: a header that is that of the part before is not
// repeated, and tokens of hexadecimal digits, as Apple's are, take half their
// length.
func (e *envelope) encode() []byte {
	size, tokens, headers, digits := 64, 0, 0, 0
	for i := range e.parts {
		p := &e.parts[i]
		size += 24 + len(p.rendered.Payload) + len(p.note)
		if !e.sameHeader(i) {
			headers += len(p.rendered.Header)
			for _, h := range p.rendered.Header {
				size += len(h.Name) + len(h.Value) + 4
			}
		}
		tokens += len(p.tokens)
		for _, t := range p.tokens {
			size += len(t) + 3
			if isHex(t) {
				size -= len(t) / 2
				digits += len(t)
			}
		}
	}
	b := make([]byte, 0, size)
	b = append(b, envelopeVersion)
	b = append(b, e.base[:]...)
	b = appendString(b, e.app)
	b = appendString(b, string(e.platform))
	b = binary.AppendVarint(b, e.created.UnixMicro())
	b = binary.AppendVarint(b, e.due.UnixMicro())
	for _, n := range []int{len(e.parts), headers, tokens, digits} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	for i := range e.parts {
		b = e.appendPart(b, i)
	}
	return b
}

func (e *envelope) appendPart(b []byte, i int) []byte {
	p := &e.parts[i]
	b = binary.AppendUvarint(b, uint64(p.first))
	b = binary.AppendVarint(b, p.expires.Unix())
	if e.sameHeader(i) {
		b = append(b, 0)
	} else {
		b = binary.AppendUvarint(b, uint64(len(p.rendered.Header))+1)
		for _, h := range p.rendered.Header {
			b = appendString(b, h.Name)
			b = appendString(b, h.Value)
		}
	}
	b = appendString(b, p.note)
	b = binary.AppendUvarint(b, uint64(len(p.rendered.Payload)))
	b = append(b, p.rendered.Payload...)
	b = binary.AppendUvarint(b, uint64(len(p.tokens)))
	for _, t := range p.tokens {
		b = appendToken(b, t)
	}
	return b
}

// sameHeader reports whether a part has the header of the part before.
func (e *envelope) sameHeader(i int) bool {
	return i > 0 && slices.Equal(e.parts[i].rendered.Header, e.parts[i-1].rendered.Header)
}

// isHex reports whether s is made of pairs of hexadecimal digits in lower case.
func isHex(s string) bool {
	if s == "" || len(s)%2 != 0 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// appendToken appends a token: its length and a bit that says how it is stored,
// and then the token or, of hexadecimal digits, their value.
func appendToken(b []byte, t string) []byte {
	if !isHex(t) {
		b = binary.AppendUvarint(b, uint64(len(t))<<1)
		return append(b, t...)
	}
	b = binary.AppendUvarint(b, uint64(len(t)/2)<<1|1)
	for i := 0; i < len(t); i += 2 {
		b = append(b, hexValue(t[i])<<4|hexValue(t[i+1]))
	}
	return b
}

func hexValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c - 'a' + 10
}

// decodeEnvelope reads what encode wrote. The result refers to raw, which must not
// change from here on.
func decodeEnvelope(raw []byte) (*envelope, error) {
	r := reader{rest: unsafe.String(unsafe.SliceData(raw), len(raw))}
	if v := r.bytes(1); v != string(rune(envelopeVersion)) {
		return nil, fmt.Errorf("envelope version %x is not known", v)
	}
	e := &envelope{}
	copy(e.base[:], r.bytes(16))
	e.app = r.string()
	e.platform = Platform(r.string())
	e.created = time.UnixMicro(r.varint()).UTC()
	e.due = time.UnixMicro(r.varint()).UTC()
	e.parts = make([]part, r.count(6))
	// All of one kind in one piece of memory.
	m := envelopeMemory{headers: make([]Header, 0, r.count(2)), tokens: make([]string, 0, r.count(1))}
	m.digits = make([]byte, 0, r.half())
	for i := range e.parts {
		p := &e.parts[i]
		p.first = uint32(r.uvarint())
		p.expires = time.Unix(r.varint(), 0).UTC()
		switch n := r.count(1); {
		case n > 0:
			p.rendered.Header = m.header(&r, n-1)
		case i > 0:
			p.rendered.Header = e.parts[i-1].rendered.Header
		default:
			r.fail()
		}
		p.note = r.string()
		payload := r.string()
		p.rendered.Payload = unsafe.Slice(unsafe.StringData(payload), len(payload))[:len(payload):len(payload)]
		p.tokens = m.list(&r, r.count(1))
	}
	if r.broken || r.rest != "" || len(m.headers) != cap(m.headers) || len(m.tokens) != cap(m.tokens) || len(m.digits) != cap(m.digits) {
		return nil, errors.New("envelope is damaged")
	}
	return e, nil
}

// envelopeMemory is where decodeEnvelope puts what it reads.
type envelopeMemory struct {
	headers []Header
	tokens  []string
	digits  []byte // of all tokens that were stored as their value
}

func (m *envelopeMemory) header(r *reader, n int) []Header {
	if n > cap(m.headers)-len(m.headers) {
		r.fail()
		return nil
	}
	first := len(m.headers)
	for range n {
		m.headers = append(m.headers, Header{Name: r.string(), Value: r.string()})
	}
	return m.headers[first:len(m.headers):len(m.headers)]
}

func (m *envelopeMemory) list(r *reader, n int) []string {
	if n > cap(m.tokens)-len(m.tokens) {
		r.fail()
		return nil
	}
	first := len(m.tokens)
	for range n {
		m.tokens = append(m.tokens, m.token(r))
	}
	return m.tokens[first:len(m.tokens):len(m.tokens)]
}

func (m *envelopeMemory) token(r *reader) string {
	length := r.uvarint()
	s := r.bytes(length >> 1)
	if length&1 == 0 || r.broken {
		return s
	}
	if 2*len(s) > cap(m.digits)-len(m.digits) {
		r.fail()
		return ""
	}
	const hex = "0123456789abcdef"
	first := len(m.digits)
	for i := range len(s) {
		m.digits = append(m.digits, hex[s[i]>>4], hex[s[i]&15])
	}
	return unsafe.String(unsafe.SliceData(m.digits[first:]), 2*len(s)) // of memory that is not written again
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// reader takes values off the front of a string. After the first value that is
// not there it is broken and returns zero values.
type reader struct {
	rest   string
	broken bool
}

// fail makes the reader broken.
func (r *reader) fail() { r.broken, r.rest = true, "" }

// half reads a length of what takes half as many bytes.
func (r *reader) half() int {
	n := r.uvarint()
	if n > 2*uint64(len(r.rest)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) bytes(n uint64) string {
	if r.broken || n > uint64(len(r.rest)) {
		r.broken, r.rest = true, ""
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *reader) string() string { return r.bytes(r.uvarint()) }

func (r *reader) uvarint() uint64 {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		b := r.bytes(1)
		if r.broken {
			return 0
		}
		v |= uint64(b[0]&0x7f) << shift
		if b[0] < 0x80 {
			return v
		}
	}
	r.broken, r.rest = true, ""
	return 0
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// count reads the length of a list whose elements take at least size bytes, so
// that a damaged one cannot ask for more memory than its input is worth.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.rest)/size) {
		r.broken, r.rest = true, ""
		return 0
	}
	return int(n)
}
