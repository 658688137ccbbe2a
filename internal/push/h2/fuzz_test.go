package h2_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/furima/furima/internal/push/h2"
)

// script is a server that says what it is given, so much at a time, and then
// hangs up. It takes everything.
type script struct {
	net.Conn
	r     *bytes.Reader
	chunk int
	wrote bytes.Buffer
}

func (s *script) Read(b []byte) (int, error)  { return s.r.Read(b[:min(len(b), s.chunk)]) }
func (s *script) Write(b []byte) (int, error) { return s.wrote.Write(b) }
func (s *script) Close() error                { return nil }

// FuzzReader lets a server say anything at all. Whatever it is, every request
// ends, nothing panics, nothing is left behind, and what the client has written
// are frames.
func FuzzReader(f *testing.F) {
	say := func(do func(fr *http2.Framer)) {
		var b bytes.Buffer
		fr := http2.NewFramer(&b, nil)
		fr.AllowIllegalWrites = true
		do(fr)
		f.Add(b.Bytes(), uint16(1000))
		f.Add(b.Bytes(), uint16(1))
	}
	headers := func(fr *http2.Framer, id uint32, end bool, block string) {
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte(block), EndStream: end, EndHeaders: true})
	}
	say(func(fr *http2.Framer) {
		_ = fr.WriteSettings()
		headers(fr, 1, true, "\x88")
		headers(fr, 3, false, "\x88")
		_ = fr.WriteData(3, true, []byte("body"))
	})
	say(func(fr *http2.Framer) {
		_ = fr.WriteSettings(maxStreams(1), http2.Setting{ID: http2.SettingInitialWindowSize, Val: 3})
		_ = fr.WriteWindowUpdate(1, 100)
		_ = fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
		headers(fr, 1, true, "\x08\x03410\x0f\x2b\x01x")
		_ = fr.WriteGoAway(1, http2.ErrCodeNo, []byte("bye"))
	})
	say(func(fr *http2.Framer) {
		_ = fr.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20})
		_ = fr.WritePing(false, [8]byte{1})
		_ = fr.WriteRSTStream(1, http2.ErrCodeRefusedStream)
		_ = fr.WriteRSTStream(3, http2.ErrCodeInternal)
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, BlockFragment: []byte("\x48\x03"), PadLength: 3})
		_ = fr.WriteContinuation(5, true, []byte("429"))
		_ = fr.WriteDataPadded(5, false, []byte("x"), make([]byte, 20))
		headers(fr, 5, true, "\x00\x01a\x01b")
	})
	say(func(fr *http2.Framer) {
		_ = fr.WriteSettings()
		headers(fr, 1, false, "\x08\x03103")
		_ = fr.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: []byte("\x82"), EndHeaders: true})
	})
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), uint16(7))
	f.Fuzz(func(t *testing.T, say []byte, chunk uint16) {
		synctest.Test(t, func(t *testing.T) { fuzzReader(t, say, int(chunk)+1) })
	})
}

func fuzzReader(t *testing.T, say []byte, chunk int) {
	var conns []*script
	pool, err := h2.Open(h2.Config{
		URL: "http://push.example", Connections: 1, InitialStreams: 4, MaxBodyBytes: 100, Keep: []string{"a"},
		QueueTimeout: time.Second, BackoffMin: 100 * time.Millisecond,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			s := &script{r: bytes.NewReader(say), chunk: chunk}
			conns = append(conns, s)
			return s, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	reqs := append(post(t, 4, "body"), post(t, 1, strings.Repeat("x", 70000))...)
	for i, r := range pool.Do(ctx, reqs) {
		if r.Err == nil && (r.Status < 200 || r.Status > 999) || h2.ReasonOf(r.Err) == h2.Canceled {
			t.Errorf("request %d: status %d, error %v", i, r.Status, r.Err)
		}
		if len(r.Body) > 100 {
			t.Errorf("request %d: a body of %d bytes is kept", i, len(r.Body))
		}
	}
	if err := pool.Close(ctx); err != nil {
		t.Error(err)
	}
	for _, s := range conns {
		checkFrames(t, s.wrote.Bytes())
	}
}

// checkFrames checks that what a client has written is its preface and whole
// frames, in an order that the protocol allows.
func checkFrames(t *testing.T, b []byte) {
	t.Helper()
	rest, ok := bytes.CutPrefix(b, []byte(http2.ClientPreface))
	if !ok {
		if len(b) > 0 {
			t.Errorf("no preface: %q", b)
		}
		return
	}
	fr := http2.NewFramer(nil, bytes.NewReader(rest))
	fr.SetMaxReadFrameSize(1 << 20)
	for {
		if _, err := fr.ReadFrame(); err == io.EOF {
			return
		} else if err != nil {
			t.Errorf("the client has written nonsense: %v", err)
			return
		}
	}
}
