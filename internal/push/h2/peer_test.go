package h2_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/furima/furima/internal/push/h2"
)

// world is a pool in a bubble, with a server made of frames at the other end of
// each of its connections, which the test plays.
type world struct {
	t     *testing.T
	pool  *h2.Pool
	peers chan *peer   // connections as they come in
	dials []time.Time  // of every attempt
	deny  func() error // decides about attempts; nil lets all in
}

// bubble runs a test with a pool.
func bubble(t *testing.T, cfg h2.Config, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, peers: make(chan *peer, 1000)}
		cfg.URL = "http://push.example"
		cfg.Dial = w.dial
		pool, err := h2.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		w.pool = pool
		defer func() {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_ = pool.Close(ctx)
			for len(w.peers) > 0 {
				_ = (<-w.peers).nc.Close()
			}
		}()
		f(w)
	})
}

func (w *world) dial(context.Context, string, string) (net.Conn, error) {
	w.dials = append(w.dials, time.Now())
	if w.deny != nil {
		if err := w.deny(); err != nil {
			return nil, err
		}
	}
	client, server := net.Pipe()
	w.peers <- newPeer(w.t, server)
	return client, nil
}

// accept returns the next connection, with the server's settings sent.
func (w *world) accept(settings ...http2.Setting) *peer {
	w.t.Helper()
	p := w.acceptSilent()
	p.settings(settings...)
	return p
}

// acceptSilent returns the next connection without a word to it.
func (w *world) acceptSilent() *peer {
	w.t.Helper()
	synctest.Wait()
	select {
	case p := <-w.peers:
		return p
	case <-time.After(time.Hour):
		w.t.Fatal("no connection within an hour")
		return nil
	}
}

// each does something with every connection that comes in, until stop. One that
// comes later is left to the end of the bubble.
func (w *world) each(do func(p *peer)) (stop func()) {
	done := make(chan struct{})
	go func() {
		for {
			select {
			case p := <-w.peers:
				do(p)
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		synctest.Wait()
	}
}

// start sends requests in a batch.
func (w *world) start(reqs ...h2.Request) *h2.Batch {
	w.t.Helper()
	b := &h2.Batch{Requests: reqs}
	if err := w.pool.Start(context.Background(), b); err != nil {
		w.t.Fatal(err)
	}
	return b
}

// peer is the server's side of a connection.
type peer struct {
	t        *testing.T
	nc       net.Conn
	fr       *http2.Framer
	wbuf     bytes.Buffer // frames, before they are written at once
	events   chan event
	enc      *hpack.Encoder
	hbuf     bytes.Buffer
	requests map[uint32]*request // that are not complete
	complete []*request          // that take has not returned yet
	resets   []event
	pings    int
	acks     int // of settings
	goAway   *event
	closed   error
}

// event is a frame that has come in.
type event struct {
	kind   http2.FrameType
	id     uint32
	end    bool
	code   http2.ErrCode
	ack    bool
	data   []byte
	fields []hpack.HeaderField
	err    error // the connection has ended
}

// request is a request as the server sees it.
type request struct {
	id     uint32
	fields []hpack.HeaderField
	body   []byte
}

func (r *request) get(name string) string {
	for _, f := range r.fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

func newPeer(t *testing.T, nc net.Conn) *peer {
	p := &peer{t: t, nc: nc, events: make(chan event, 100000), requests: make(map[uint32]*request)}
	p.fr = http2.NewFramer(&p.wbuf, nc)
	p.fr.AllowIllegalWrites = true
	p.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	p.enc = hpack.NewEncoder(&p.hbuf)
	go p.read()
	return p
}

// read takes in frames as long as there are any, so that the client never waits
// for the test.
func (p *peer) read() {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(p.nc, preface); err != nil || string(preface) != http2.ClientPreface {
		p.events <- event{err: errors.Join(errors.New("no preface"), err)}
		return
	}
	p.fr.SetMaxReadFrameSize(1 << 20)
	for {
		f, err := p.fr.ReadFrame()
		if err != nil {
			p.events <- event{err: err}
			return
		}
		e := event{kind: f.Header().Type, id: f.Header().StreamID}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			e.fields, e.end = f.Fields, f.StreamEnded()
		case *http2.DataFrame:
			e.data, e.end = slices.Clone(f.Data()), f.StreamEnded()
		case *http2.RSTStreamFrame:
			e.code = f.ErrCode
		case *http2.GoAwayFrame:
			e.code = f.ErrCode
		case *http2.SettingsFrame:
			e.ack = f.IsAck()
		case *http2.PingFrame:
			e.ack, e.data = f.IsAck(), f.Data[:]
		}
		p.events <- e
	}
}

// take returns the requests that are complete.
func (p *peer) take() []*request {
	p.t.Helper()
	p.handle()
	done := p.complete
	p.complete = nil
	return done
}

// handle takes note of all that has come in.
func (p *peer) handle() {
	p.t.Helper()
	for {
		synctest.Wait()
		if len(p.events) == 0 {
			return
		}
		e := <-p.events
		switch {
		case e.err != nil:
			p.closed = e.err
		case e.kind == http2.FrameHeaders:
			p.requests[e.id] = &request{id: e.id, fields: e.fields}
		case e.kind == http2.FrameData:
			r := p.requests[e.id]
			if r == nil {
				p.t.Fatalf("DATA for stream %d, which is not open", e.id)
			}
			r.body = append(r.body, e.data...)
		case e.kind == http2.FrameRSTStream:
			p.resets = append(p.resets, e)
			delete(p.requests, e.id)
		case e.kind == http2.FrameGoAway:
			p.goAway = &e
		case e.kind == http2.FramePing && !e.ack:
			p.pings++
		case e.kind == http2.FrameSettings && e.ack:
			p.acks++
		}
		if e.end {
			p.complete = append(p.complete, p.requests[e.id])
			delete(p.requests, e.id)
		}
	}
}

// expect returns exactly n complete requests.
func (p *peer) expect(n int) []*request {
	p.t.Helper()
	got := p.take()
	if len(got) != n {
		p.t.Fatalf("%d requests have come, want %d", len(got), n)
	}
	return got
}

// expectGoAway checks that the client has ended the connection with a code.
func (p *peer) expectGoAway(code http2.ErrCode) {
	p.t.Helper()
	p.handle()
	if p.goAway == nil || p.goAway.code != code {
		p.t.Errorf("GOAWAY %+v, want code %v", p.goAway, code)
	}
	if p.closed == nil {
		p.t.Error("the connection is still open")
	}
}

// expectReset checks that the client has reset a stream with a code.
func (p *peer) expectReset(id uint32, code http2.ErrCode) {
	p.t.Helper()
	p.handle()
	for _, e := range p.resets {
		if e.id == id {
			if e.code != code {
				p.t.Errorf("RST_STREAM %v for stream %d, want %v", e.code, id, code)
			}
			return
		}
	}
	p.t.Errorf("no RST_STREAM for stream %d", id)
}

// flush writes what has been put together. A client that has closed is no
// fault: tests look at what it has done.
func (p *peer) flush() {
	_, _ = p.nc.Write(p.wbuf.Bytes())
	p.wbuf.Reset()
}

func (p *peer) settings(s ...http2.Setting) {
	_ = p.fr.WriteSettings(s...)
	p.flush()
}

// block encodes a header block.
func (p *peer) block(fields ...string) []byte {
	p.hbuf.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = p.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return slices.Clone(p.hbuf.Bytes())
}

// header writes a HEADERS frame.
func (p *peer) header(id uint32, end bool, fields ...string) {
	_ = p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block(fields...), EndStream: end, EndHeaders: true})
	p.flush()
}

// answer answers a request with a status and, if it is not empty, a body.
func (p *peer) answer(r *request, status int, body string) {
	p.header(r.id, body == "", ":status", strconv.Itoa(status))
	if body != "" {
		_ = p.fr.WriteData(r.id, true, []byte(body))
		p.flush()
	}
}

func (p *peer) answerAll(reqs []*request) {
	for _, r := range reqs {
		p.answer(r, 200, "")
	}
}

func (p *peer) goAwayNow(last uint32, code http2.ErrCode, debug string) {
	_ = p.fr.WriteGoAway(last, code, []byte(debug))
	p.flush()
}

func (p *peer) window(id, n uint32) {
	_ = p.fr.WriteWindowUpdate(id, n)
	p.flush()
}

func (p *peer) reset(id uint32, code http2.ErrCode) {
	_ = p.fr.WriteRSTStream(id, code)
	p.flush()
}

// post makes n requests that differ in their path and body.
func post(t testing.TB, n int, body string) []h2.Request {
	t.Helper()
	h, err := h2.NewHeaders("POST", h2.Field{Name: "authorization", Value: "bearer token"}, h2.Field{Name: "apns-topic", Value: "com.example.market"})
	if err != nil {
		t.Fatal(err)
	}
	reqs := make([]h2.Request, n)
	for i := range reqs {
		reqs[i] = h2.Request{Headers: h, Path: "/3/device/" + strconv.Itoa(i), Body: []byte(body)}
	}
	return reqs
}

// wait waits for a batch and fails if it takes an hour.
func (w *world) wait(b *h2.Batch) []h2.Response {
	w.t.Helper()
	done := make(chan struct{})
	go func() {
		b.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(time.Hour):
		w.t.Fatal("a batch has not ended within an hour")
	}
	return b.Responses
}

// finished reports whether a batch has ended; it waits for nothing but what runs.
func finished(b *h2.Batch) bool {
	synctest.Wait()
	done := true
	for _, r := range b.Responses {
		done = done && (r.Status != 0 || r.Err != nil)
	}
	return done
}

// wantOK checks that every request has an answer with status 200.
func wantOK(t *testing.T, rs []h2.Response) {
	t.Helper()
	for i, r := range rs {
		if r.Err != nil || r.Status != 200 {
			t.Errorf("request %d: status %d, error %v; want 200", i, r.Status, r.Err)
		}
	}
}

// wantErr checks how a request without an answer ended.
func wantErr(t *testing.T, r h2.Response, reason h2.Reason, unknown bool) {
	t.Helper()
	if h2.ReasonOf(r.Err) != reason || h2.MaybeProcessed(r.Err) != unknown {
		t.Errorf("error %v, maybe processed %v; want %s, %v", r.Err, h2.MaybeProcessed(r.Err), reason, unknown)
	}
}

var maxStreams = func(n uint32) http2.Setting {
	return http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: n}
}
