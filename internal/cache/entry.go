package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"math"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
)

// States of an entry. Only a live one is served. The state changes under
// Cache.mu, and is read without it.
const (
	unstored uint32 = iota // made, and never to be found
	live                   // in the index and, in a moment, in the store
	purged                 // a tag of it was purged; kept so that the next read is told fwd=stale
	gone                   // replaced or evicted
)

// entry is one stored answer. Everything that a hit writes is ready in it.
type entry struct {
	key         string
	status      int
	plain       variant
	contentType []string
	extra       []extraHeader
	made        int64  // when the load began, by Cache.clock
	weight      uint32 // bytes of memory, for the budget

	state atomic.Uint32
	face  atomic.Pointer[face]

	// The compressed form is made when it is first asked for.
	gzipOnce sync.Once
	gzipped  atomic.Pointer[variant]

	// renewing is set while a renewal of this stale answer waits or runs, and
	// retryAt holds the next one back after an error.
	renewing atomic.Bool
	retryAt  atomic.Int64

	// Guarded by Cache.mu.
	links     []link
	keepUntil int64  // until then a purge makes the cache renew the answer by itself
	load      Loader // for that; nil when keepUntil is 0
}

// variant is an encoding of the body. The header values are slices of length and
// capacity 1, put into the header map as they are: nothing is allocated on a hit.
type variant struct {
	body     []byte
	etag     []string
	length   []string
	encoding []string // nil: identity
}

type extraHeader struct {
	name   string
	values []string
}

// face holds the headers that change once a second.
type face struct {
	age    int64
	ageH   []string
	status []string
}

const (
	// gzipLeast is the smallest body that is worth compressing: below it the
	// gain is less than a packet.
	gzipLeast = 1024
	// entryOverhead is about what an entry takes beside its bytes: itself, its
	// face, its header slices, its place in the store. Measured: 750.
	entryOverhead = 896
	// tagOverhead is about what a tag of an entry takes beside its name. Measured: 35.
	tagOverhead = 48
)

// newEntry prepares a stored answer. made is when its load began.
func newEntry(key string, a *Answer, made int64) *entry {
	e := &entry{
		key:         key,
		status:      a.Status,
		contentType: []string{a.ContentType},
		made:        made,
	}
	if e.status == 0 {
		e.status = http.StatusOK
	}
	e.plain = newVariant(a.Body, etag(a.Body))
	for name, values := range a.Header {
		e.extra = append(e.extra, extraHeader{name, values})
	}
	return e
}

// weigh sets the weight of e, before it is stored.
func (e *entry) weigh(tags []string) {
	size := entryOverhead + len(e.key) + len(e.plain.body)
	for _, x := range e.extra {
		for _, v := range x.values {
			size += len(x.name) + len(v) + 64
		}
	}
	for _, tag := range tags {
		size += len(tag) + tagOverhead
	}
	if z := e.gzipped.Load(); z != nil {
		size += len(z.body)
	} else if len(e.plain.body) >= gzipLeast {
		// Room for the compressed form, should it be asked for. JSON shrinks to a
		// fifth or less; what stays above half is not kept.
		size += len(e.plain.body) / 4
	}
	e.weight = uint32(min(size, math.MaxUint32))
}

func newVariant(body []byte, etag string) variant {
	return variant{body: body, etag: []string{etag}, length: []string{strconv.Itoa(len(body))}}
}

// etag is the strong entity tag of a body.
func etag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}

// gzipSuffix tells the tag of the compressed form from that of the plain one:
// a strong tag names bytes, not a meaning (RFC 9110 section 8.8.3.3).
const gzipSuffix = "-gz"

var encodingGzip = []string{"gzip"}

// gzip returns the compressed form of the answer, nil if it has none. The first call
// makes it; concurrent ones wait.
func (e *entry) gzip() *variant {
	if v := e.gzipped.Load(); v != nil {
		return v
	}
	if len(e.plain.body) < gzipLeast {
		return nil
	}
	e.gzipOnce.Do(func() {
		body := compress(e.plain.body)
		if len(body) > len(e.plain.body)/2 {
			return
		}
		tag := e.plain.etag[0]
		v := newVariant(body, tag[:len(tag)-1]+gzipSuffix+`"`)
		v.encoding = encodingGzip
		e.gzipped.Store(&v)
	})
	return e.gzipped.Load()
}

var gzipWriters = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, 6)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

// compress returns body as gzip, in a slice without spare room.
func compress(body []byte) []byte {
	var buf bytes.Buffer
	buf.Grow(len(body)/4 + 64)
	w := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(w)
	w.Reset(&buf)
	// Writes to a buffer do not fail.
	_, _ = w.Write(body)
	_ = w.Close()
	return bytes.Clone(buf.Bytes())
}

// faceAt returns the headers for an answer of this age, for answers that are fresh for freshFor.
func (e *entry) faceAt(age, freshFor int64) *face {
	seconds := age / 1e9
	f := e.face.Load()
	if f != nil && f.age == seconds {
		return f
	}
	f = &face{
		age:    seconds,
		ageH:   []string{strconv.FormatInt(seconds, 10)},
		status: []string{"furima; hit; ttl=" + strconv.FormatInt(freshFor/1e9-seconds, 10)},
	}
	e.face.Store(f)
	return f
}
