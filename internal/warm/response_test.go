package warm

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// read reads one response, in pieces of one byte or as it is.
func read(raw string, bytewise bool) (answer, int, error) {
	var src io.Reader = strings.NewReader(raw)
	if bytewise {
		src = iotest.OneByteReader(src)
	}
	var r reader
	r.reset(src)
	a := answer{wantNext: true}
	err := r.response(&a)
	rest := r.w - r.r
	more, _ := io.Copy(io.Discard, src)
	return a, rest + int(more), err
}

func TestResponse(t *testing.T) {
	long := strings.Repeat("x", 40_000)
	type want struct {
		Status   int
		Bytes    int64
		Reusable bool
		Cache    string
		Next     string
		Retry    time.Duration
		Err      string
	}
	for _, tt := range []struct {
		name, raw string
		want      want
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", want{Status: 200, Bytes: 5, Reusable: true}},
		{"no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", want{Status: 200, Reusable: true}},
		{"bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", want{Status: 200, Bytes: 2, Reusable: true}},
		{"equal lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\nContent-Length: 2\r\n\r\nhi", want{Status: 200, Bytes: 2, Reusable: true}},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n0A\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n", want{Status: 200, Bytes: 15, Reusable: true}},
		{"gzip and chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n0\r\n\r\n", want{Status: 200, Reusable: true}},
		{"chunks beside a length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", want{Status: 200, Bytes: 1}},
		{"until close", "HTTP/1.1 200 OK\r\n\r\nhello", want{Status: 200, Bytes: 5}},
		{"other coding until close", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello", want{Status: 200, Bytes: 5}},
		{"close", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: foo, Close\r\n\r\nhi", want{Status: 200, Bytes: 2}},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", want{Status: 200, Bytes: 2}},
		{"HTTP/1.0 kept", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\n\r\nhi", want{Status: 200, Bytes: 2, Reusable: true}},
		{"204", "HTTP/1.1 204 No Content\r\n\r\n", want{Status: 204, Reusable: true}},
		{"304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", want{Status: 304, Reusable: true}},
		{"interim", "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\nContent-Length: 9\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", want{Status: 200, Bytes: 2, Reusable: true}},
		{"bytes nobody asked for", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n", want{Status: 200, Bytes: 2}},
		{"large body", "HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n" + long, want{Status: 200, Bytes: 40_000, Reusable: true}},
		{"long header", "HTTP/1.1 200 OK\r\nX: " + long + "\r\nContent-Length: 0\r\n\r\n", want{Status: 200, Reusable: true}},
		{"cache and link", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nCACHE-status: furima; hit; ttl=3\r\nlink: </a>; rel=prev, </b?c=1>; rel=\"next\"\r\n\r\n",
			want{Status: 200, Reusable: true, Cache: "hit", Next: "/b?c=1"}},
		{"retry", "HTTP/1.1 503 x\r\nContent-Length: 0\r\nRetry-After: 7\r\n\r\n", want{Status: 503, Reusable: true, Retry: 7 * time.Second}},
		{"retry at a date", "HTTP/1.1 503 x\r\nContent-Length: 0\r\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n\r\n", want{Status: 503, Reusable: true}},

		{"nothing", "", want{Err: errTruncated.Error()}},
		{"half a status", "HTTP/1.1 2", want{Err: errTruncated.Error()}},
		{"half a header", "HTTP/1.1 200 OK\r\nContent-Len", want{Err: errTruncated.Error()}},
		{"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", want{Err: errTruncated.Error()}},
		{"half a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello", want{Err: errTruncated.Error()}},
		{"no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", want{Err: errTruncated.Error()}},
		{"chunk longer than it says", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n0\r\n\r\n", want{Err: "malformed"}},
		{"chunk without a size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n;x\r\n", want{Err: "malformed"}},
		{"chunk with a sign", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n", want{Err: "malformed"}},
		{"chunk too large", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\nx\r\n", want{Err: "malformed"}},
		{"not HTTP", "SSH-2.0-OpenSSH_9.2p1\r\n", want{Err: "not HTTP/1.1"}},
		{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", want{Err: "not HTTP/1.1"}},
		{"status 099", "HTTP/1.1 099 x\r\n\r\n", want{Err: "not HTTP/1.1"}},
		{"status 2000", "HTTP/1.1 2000 x\r\n\r\n", want{Err: "not HTTP/1.1"}},
		{"status 600", "HTTP/1.1 600 x\r\n\r\n", want{Err: "not HTTP/1.1"}},
		{"switching protocols", "HTTP/1.1 101 x\r\n\r\n", want{Err: "not HTTP/1.1"}},
		{"folded header", "HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n\r\n", want{Err: "folded"}},
		{"header without a colon", "HTTP/1.1 200 OK\r\nX\r\n\r\n", want{Err: "without a name"}},
		{"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", want{Err: "Content-Length"}},
		{"signed length", "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx", want{Err: "Content-Length"}},
		{"no length", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", want{Err: "Content-Length"}},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", want{Err: "Content-Length"}},
		{"interim for ever", strings.Repeat("HTTP/1.1 100 x\r\n\r\n", 20), want{Err: "interim"}},
		{"endless line", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxLineBytes+1), want{Err: "longer than"}},
		{"endless header", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("x", 60_000)+"\r\n", 5), want{Err: "larger than"}},
		{"endless trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("X: "+strings.Repeat("x", 60_000)+"\r\n", 5), want{Err: "larger than"}},
	} {
		for _, bytewise := range []bool{false, true} {
			name := tt.name
			if bytewise {
				name += ", bytewise"
			}
			t.Run(name, func(t *testing.T) {
				a, _, err := read(tt.raw, bytewise)
				if tt.want.Err != "" {
					if err == nil || !strings.Contains(err.Error(), tt.want.Err) {
						t.Fatalf("error %v, want %q", err, tt.want.Err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if tt.want.Cache == "" {
					tt.want.Cache = "none"
				}
				got := want{Status: a.status, Bytes: a.bytes, Reusable: a.reusable, Cache: outcomeNames[a.cache], Next: string(a.next), Retry: a.retryAfter}
				if bytewise && tt.name == "bytes nobody asked for" {
					tt.want.Reusable = true // they have not come yet
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		}
	}
}

// FuzzResponse holds that whatever a server says, reading it ends without a
// panic, within the buffer's bound, and, where Go's own client reads it too,
// with the same status and the same end of the body.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.1 103 x\r\nLink: </a>\r\n\r\nHTTP/1.1 204 x\r\n\r\nrest",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1, 1\r\n\r\nxy",
		"HTTP/1.1 304 x\r\nContent-Length: 3\r\nCache-Status: a;hit, \"b,c\"; fwd=miss\r\nLink: <x>;rel=\"a next\"\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, rest, err := read(string(raw), false)
		b, _, errBytewise := read(string(raw), true)
		if (err == nil) != (errBytewise == nil) || err == nil && (a.status != b.status || a.bytes != b.bytes || a.cache != b.cache || string(a.next) != string(b.next)) {
			t.Fatalf("at once %+v %v, bytewise %+v %v", a, err, b, errBytewise)
		}
		if err != nil {
			return
		}
		if a.status < 200 || a.status > 599 || a.bytes < 0 || a.bytes > int64(len(raw)) || a.cache >= outcomes {
			t.Fatalf("%+v", a)
		}
		status, n, left, ok := readStd(raw)
		if !ok {
			return
		}
		if a.status != status || a.bytes != n {
			t.Fatalf("status %d and %d bytes, net/http reads %d and %d", a.status, a.bytes, status, n)
		}
		if a.reusable && (rest != 0 || left != 0) {
			t.Fatalf("reusable with %d bytes left, net/http leaves %d", rest, left)
		}
	})
}

// readStd reads a response with net/http; ok is false if that refuses it.
func readStd(raw []byte) (status int, body int64, left int, ok bool) {
	br := bufio.NewReader(bytes.NewReader(raw))
	req := &http.Request{Method: http.MethodGet}
	for {
		res, err := http.ReadResponse(br, req)
		if err != nil {
			return 0, 0, 0, false
		}
		n, err := io.Copy(io.Discard, res.Body)
		if err != nil {
			return 0, 0, 0, false
		}
		if res.StatusCode >= 200 {
			more, _ := io.Copy(io.Discard, br)
			return res.StatusCode, n, int(more), true
		}
	}
}

func TestCacheStatus(t *testing.T) {
	for v, want := range map[string]string{
		"furima; hit; ttl=7":               "hit",
		"furima; fwd=miss; stored":         "miss",
		"furima; fwd=stale; stored":        "stale",
		"furima; fwd=request; stored":      "refresh",
		"furima; fwd=bypass":               "bypass",
		"furima;fwd=uri-miss;stored":       "miss",
		`"a, b;hit"; fwd=miss`:             "miss",
		`"a\", b"; hit`:                    "hit",
		"origin; fwd=miss, cdn; hit":       "hit",
		"origin; fwd=stale, cdn; fwd=miss": "stale",
		"furima":                           "other",
		"furima; fwd=teapot":               "other",
		"":                                 "other",
	} {
		if got := outcomeNames[parseCacheStatus([]byte(v))]; got != want {
			t.Errorf("%q is %s, want %s", v, got, want)
		}
	}
}

func TestNextLink(t *testing.T) {
	for v, want := range map[string]string{
		`</a?c=1>; rel="next"`:                       "/a?c=1",
		`</a>; rel=next`:                             "/a",
		`</a>; title="x, y; rel=next"; rel=prev`:     "",
		`</a,b>; rel=prev, <?c=2>; REL="last  next"`: "?c=2",
		`</a>; rel=prev; rel=next`:                   "",
		`</a>`:                                       "",
		`/a; rel=next`:                               "",
		`</a; rel=next`:                              "",
		` , , </b>;rel = next`:                       "/b",
	} {
		if got := string(appendNext(nil, []byte(v))); got != want {
			t.Errorf("%q leads to %q, want %q", v, got, want)
		}
	}
}

func TestFollow(t *testing.T) {
	o := &origin{network: "tcp", addr: "h:80", host: "h"}
	for _, tt := range []struct{ page, link, want string }{
		{"/v1/items?a=1", "/v1/items?c=2", "/v1/items?c=2"},
		{"/v1/items?a=1", "?c=2", "/v1/items?c=2"},
		{"?a=1", "?c=2", "?c=2"},
		{"/v1/items?a=1", "items?c=2#x", "/v1/items?c=2"},
		{"/v1/items?a=1", "http://h/x?c=2", "/x?c=2"},
		{"/v1/items?a=1", "HTTP://h:80/x", ""}, // another spelling of the origin is not recognised as it
		{"/v1/items", "http://other/x", ""},
		{"/v1/items", "https://h/x", ""},
		{"/v1/items", "//other/x", ""},
		{"/v1/items", "javascript:alert(1)", ""},
		{"/v1/items", "/a b", ""},
		{"/v1/items", "/a\r\nX: 1", ""},
		{"/v1/items", "#top", "/v1/items"},
	} {
		got, err := follow(o, []byte(tt.page), []byte(tt.link))
		if string(got) != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q on %q leads to %q (%v), want %q", tt.link, tt.page, got, err, tt.want)
		}
	}
	if _, err := follow(o, []byte("/"), []byte("http://other/")); !errors.Is(err, errOtherOrigin) {
		t.Errorf("error %v", err)
	}
}

func TestHistogram(t *testing.T) {
	for _, us := range []uint64{0, 1, 63, 64, 65, 127, 128, 1000, 20_000, 123_456_789} {
		b := bucketOf(us)
		top := topOf(b)
		if top < int64(us) || float64(top) > float64(us)*(1+1.0/subBuckets) || b > 0 && topOf(b-1) >= int64(us) {
			t.Errorf("%d µs is in bucket %d up to %d", us, b, top)
		}
	}
	var h histogram
	if h.quantile(0.5) != 0 || h.mean() != 0 {
		t.Error("an empty histogram has quantiles")
	}
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500, 0.95: 950, 0.99: 990, 1: 1000} {
		want *= time.Millisecond
		if got := h.quantile(q); got < want || got > want+want/subBuckets {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if got := h.mean(); got != 500500*time.Microsecond {
		t.Errorf("mean %v", got)
	}
	h.add(1<<62 - 1)
	h.add(-1)
	if h.quantile(1) <= 0 {
		t.Errorf("huge: %v", h.quantile(1))
	}
}
