package push

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
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
// read this one for as long as a queue may hold it.
const envelopeVersion = 1

// encode returns the envelope as it is stored.
func (e *envelope) encode() []byte {
	size := 64
	for i := range e.parts {
		p := &e.parts[i]
		size += 64 + len(p.rendered.Payload)
		for _, h := range p.rendered.Header {
			size += len(h.Name) + len(h.Value) + 4
		}
		for _, t := range p.tokens {
			size += len(t) + 2
		}
	}
	b := make([]byte, 0, size)
	b = append(b, envelopeVersion)
	b = append(b, e.base[:]...)
	b = appendString(b, e.app)
	b = appendString(b, string(e.platform))
	b = binary.AppendVarint(b, e.created.UnixMicro())
	b = binary.AppendVarint(b, e.due.UnixMicro())
	b = binary.AppendUvarint(b, uint64(len(e.parts)))
	for i := range e.parts {
		p := &e.parts[i]
		b = binary.AppendUvarint(b, uint64(p.first))
		b = binary.AppendVarint(b, p.expires.Unix())
		b = binary.AppendUvarint(b, uint64(len(p.rendered.Header)))
		for _, h := range p.rendered.Header {
			b = appendString(b, h.Name)
			b = appendString(b, h.Value)
		}
		b = binary.AppendUvarint(b, uint64(len(p.rendered.Payload)))
		b = append(b, p.rendered.Payload...)
		b = binary.AppendUvarint(b, uint64(len(p.tokens)))
		for _, t := range p.tokens {
			b = appendString(b, t)
		}
	}
	return b
}

// decodeEnvelope reads what encode wrote. Nothing in the result refers to raw.
func decodeEnvelope(raw []byte) (*envelope, error) {
	r := reader{rest: string(raw)}
	if v := r.bytes(1); v != string(rune(envelopeVersion)) {
		return nil, fmt.Errorf("envelope version %x is not known", v)
	}
	e := &envelope{}
	copy(e.base[:], r.bytes(16))
	e.app = r.string()
	e.platform = Platform(r.string())
	e.created = time.UnixMicro(r.varint()).UTC()
	e.due = time.UnixMicro(r.varint()).UTC()
	e.parts = make([]part, r.count(5))
	for i := range e.parts {
		p := &e.parts[i]
		p.first = uint32(r.uvarint())
		p.expires = time.Unix(r.varint(), 0).UTC()
		p.rendered.Header = make([]Header, r.count(2))
		for j := range p.rendered.Header {
			p.rendered.Header[j] = Header{Name: r.string(), Value: r.string()}
		}
		p.rendered.Payload = []byte(r.string())
		p.tokens = make([]string, r.count(1))
		for j := range p.tokens {
			p.tokens[j] = r.string()
		}
	}
	if r.broken || r.rest != "" {
		return nil, errors.New("envelope is damaged")
	}
	return e, nil
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
