package h2

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2/hpack"
)

var testTarget = target{secure: true, authority: "api.push.apple.com"}

func mustHeaders(tb testing.TB, fields ...Field) *Headers {
	tb.Helper()
	h, err := NewHeaders("POST", fields...)
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

// wantFields is what a request has to decode to.
func wantFields(t *target, r *Request) []hpack.HeaderField {
	scheme := "http"
	if t.secure {
		scheme = "https"
	}
	path := hpack.HeaderField{Name: ":path", Value: r.Path, Sensitive: true}
	if r.Path == "" {
		path = hpack.HeaderField{Name: ":path", Value: r.Headers.path}
	}
	out := []hpack.HeaderField{{Name: ":method", Value: r.Headers.method}, {Name: ":scheme", Value: scheme}, {Name: ":authority", Value: t.authority}, path}
	for _, f := range r.Headers.fields {
		out = append(out, hpack.HeaderField{Name: f.Name, Value: f.Value})
	}
	for _, f := range r.Fields {
		out = append(out, hpack.HeaderField{Name: f.Name, Value: f.Value, Sensitive: true})
	}
	return append(out, hpack.HeaderField{Name: "content-length", Value: fmt.Sprint(len(r.Body))})
}

func TestEncoderIndexesWhatIsStable(t *testing.T) {
	e := newEncoder()
	dec := hpack.NewDecoder(4096, nil)
	h := mustHeaders(t, Field{"authorization", "bearer " + strings.Repeat("x", 200)}, Field{"apns-topic", "com.example.market"})
	var sizes []int
	for i := range 3 {
		r := &Request{Headers: h, Path: fmt.Sprintf("/3/device/%064x", i), Fields: []Field{{"apns-id", "12345678"}}, Body: make([]byte, 192)}
		block := e.appendRequest(nil, &testTarget, r)
		got, err := dec.DecodeFull(block)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(wantFields(&testTarget, r), got); d != "" {
			t.Errorf("request %d (-want +got):\n%s", i, d)
		}
		if i > 0 && bytes.Contains(block, []byte("bearer")) {
			t.Errorf("request %d has the whole authorization in it", i)
		}
		sizes = append(sizes, len(block))
	}
	// :method, :scheme, :authority and two fields in a byte each; the path; the
	// id with its name; the length.
	if want := 5 + (2 + 74) + (2 + 7 + 1 + 8) + (3 + 3); sizes[1] != want || sizes[2] != want {
		t.Errorf("blocks of %v bytes, want %d after the first", sizes, want)
	}
}

// TestEncoderThrashes uses more headers than fit into the table: slow, but
// right.
func TestEncoderThrashes(t *testing.T) {
	e := newEncoder()
	dec := hpack.NewDecoder(4096, nil)
	var hs []*Headers
	for i := range 100 {
		hs = append(hs, mustHeaders(t, Field{"authorization", strings.Repeat("x", 50+i)}, Field{"apns-topic", "topic"}, Field{"huge", strings.Repeat("y", 4100)}))
	}
	for i := range 500 {
		r := &Request{Headers: hs[i*7%len(hs)], Path: "/"}
		got, err := dec.DecodeFull(e.appendRequest(nil, &testTarget, r))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(wantFields(&testTarget, r), got); d != "" {
			t.Fatalf("request %d (-want +got):\n%s", i, d)
		}
	}
}

// FuzzEncoder lets requests and changes of the table's size come in any order
// and checks that hpack's decoder reads what was meant.
func FuzzEncoder(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 0, 1, 0x80, 0, 0xff, 1, 1})
	f.Add([]byte{0x81, 5, 0x82, 6, 0x80, 0x85, 5, 7, 7})
	f.Add(bytes.Repeat([]byte{9, 0xa0, 10, 0x80, 0xbf}, 20))
	f.Fuzz(func(t *testing.T, script []byte) {
		script = script[:min(len(script), 500)]
		e := newEncoder()
		dec := hpack.NewDecoder(4096, nil)
		headers := map[byte]*Headers{}
		for i, op := range script {
			if op >= 0x80 { // a size, several before a request count together
				size := uint32(op&0x7f) * 70
				e.setLimit(size)
				dec.SetAllowedMaxDynamicTableSize(min(size, 4096))
				continue
			}
			h := headers[op]
			if h == nil {
				h = mustHeaders(t, Field{"authorization", strings.Repeat("t", int(op)*9)}, Field{fmt.Sprintf("x-%d", op%5), "v"})
				if op%7 == 0 {
					h.path = "/stable"
				}
				headers[op] = h
			}
			r := &Request{Headers: h, Body: make([]byte, i)}
			if h.path == "" || i%2 == 0 {
				r.Path = "/" + strings.Repeat("p", i%200)
			}
			if i%3 == 0 {
				r.Fields = []Field{{"apns-id", "x"}, {"content-type", "text"}}
			}
			got, err := dec.DecodeFull(e.appendRequest(nil, &testTarget, r))
			if err != nil {
				t.Fatalf("request %d: %v", i, err)
			}
			if d := cmp.Diff(wantFields(&testTarget, r), got); d != "" {
				t.Fatalf("request %d (-want +got):\n%s", i, d)
			}
			if e.size > e.limit {
				t.Fatalf("request %d: a table of %d bytes, limit %d", i, e.size, e.limit)
			}
		}
	})
}
