package h2_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/furima/furima/internal/push/h2"
)

func TestRequestAsTheServerSeesIt(t *testing.T) {
	bubble(t, h2.Config{}, func(w *world) {
		reqs := post(t, 1, `{"aps":{}}`)
		reqs[0].Fields = []h2.Field{{Name: "apns-id", Value: "1-2-3"}}
		b := w.start(reqs...)
		p := w.accept()
		r := p.expect(1)[0]
		want := []hpack.HeaderField{
			{Name: ":method", Value: "POST"},
			{Name: ":scheme", Value: "http"},
			{Name: ":authority", Value: "push.example"},
			{Name: ":path", Value: "/3/device/0", Sensitive: true},
			{Name: "authorization", Value: "bearer token"},
			{Name: "apns-topic", Value: "com.example.market"},
			{Name: "apns-id", Value: "1-2-3", Sensitive: true},
			{Name: "content-length", Value: "10"},
		}
		if d := cmp.Diff(want, r.fields); d != "" {
			t.Errorf("fields (-want +got):\n%s", d)
		}
		if string(r.body) != `{"aps":{}}` {
			t.Errorf("body %q", r.body)
		}
		if p.acks != 1 {
			t.Errorf("%d acknowledgements of settings, want 1", p.acks)
		}
		p.answer(r, 200, "")
		wantOK(t, w.wait(b))
	})
}

func TestAnswers(t *testing.T) {
	tests := []struct {
		name   string
		cfg    h2.Config
		answer func(p *peer, id uint32)
		want   h2.Response
	}{
		{
			name:   "bare",
			answer: func(p *peer, id uint32) { p.header(id, true, ":status", "200") },
			want:   h2.Response{Status: 200},
		},
		{
			name: "kept fields, in the order of the configuration",
			cfg:  h2.Config{Keep: []string{"apns-id", "retry-after"}},
			answer: func(p *peer, id uint32) {
				p.header(id, true, ":status", "429", "retry-after", "7", "date", "now", "apns-id", "abc")
			},
			want: h2.Response{Status: 429, Kept: [h2.MaxKept]string{"abc", "7"}},
		},
		{
			name: "body in pieces, padded, with trailers",
			answer: func(p *peer, id uint32) {
				p.header(id, false, ":status", "400")
				_ = p.fr.WriteDataPadded(id, false, []byte(`{"reason":`), make([]byte, 100))
				_ = p.fr.WriteData(id, false, nil)
				_ = p.fr.WriteData(id, false, []byte(`"BadTopic"}`))
				p.flush()
				p.header(id, true, "grpc-status", "0")
			},
			want: h2.Response{Status: 400, Body: []byte(`{"reason":"BadTopic"}`)},
		},
		{
			name: "interim answers",
			answer: func(p *peer, id uint32) {
				p.header(id, false, ":status", "100")
				p.header(id, false, ":status", "103", "link", "x")
				p.header(id, true, ":status", "410")
			},
			want: h2.Response{Status: 410},
		},
		{
			name: "header over CONTINUATION frames",
			cfg:  h2.Config{Keep: []string{"apns-id"}},
			answer: func(p *peer, id uint32) {
				b := p.block(":status", "200", "apns-id", "abc", "filler", strings.Repeat("x", 300))
				_ = p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: b[:1], EndStream: true, PadLength: 9})
				for i := 1; i < len(b); i += 50 {
					_ = p.fr.WriteContinuation(id, i+50 >= len(b), b[i:min(i+50, len(b))])
				}
				p.flush()
			},
			want: h2.Response{Status: 200, Kept: [h2.MaxKept]string{"abc"}},
		},
		{
			name: "frames that nobody knows",
			answer: func(p *peer, id uint32) {
				_ = p.fr.WriteRawFrame(0xbe, 0xff, id, []byte("what"))
				_ = p.fr.WritePriority(id, http2.PriorityParam{Weight: 3})
				_ = p.fr.WriteRawFrame(0xa, 0, 0, []byte{0, 1, 'x', 'y'}) // ALTSVC
				p.header(id, true, ":status", "204")
			},
			want: h2.Response{Status: 204},
		},
		{
			name: "body longer than is kept",
			cfg:  h2.Config{MaxBodyBytes: 8},
			answer: func(p *peer, id uint32) {
				p.header(id, false, ":status", "500")
				_ = p.fr.WriteData(id, false, []byte("0123456789"))
				p.flush()
			},
			want: h2.Response{Status: 500, Body: []byte("01234567"), Truncated: true},
		},
		{
			name: "body of a success that is not wanted",
			cfg:  h2.Config{DiscardOK: true},
			answer: func(p *peer, id uint32) {
				p.header(id, false, ":status", "200")
				_ = p.fr.WriteData(id, true, []byte(`{"name":"projects/x/messages/1"}`))
				p.flush()
			},
			want: h2.Response{Status: 200},
		},
		{
			name: "byte by byte",
			answer: func(p *peer, id uint32) {
				_ = p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block(":status", "400"), EndHeaders: true})
				_ = p.fr.WriteData(id, true, []byte("slow"))
				for _, b := range p.wbuf.Bytes() {
					_, _ = p.nc.Write([]byte{b})
				}
				p.wbuf.Reset()
			},
			want: h2.Response{Status: 400, Body: []byte("slow")},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, tt.cfg, func(w *world) {
				b := w.start(post(t, 1, "x")...)
				p := w.accept()
				r := p.expect(1)[0]
				time.Sleep(3 * time.Second) // of the bubble
				tt.answer(p, r.id)
				got := w.wait(b)[0]
				tt.want.Latency = 3 * time.Second
				if d := cmp.Diff(tt.want, got); d != "" {
					t.Errorf("response (-want +got):\n%s", d)
				}
				if tt.want.Truncated {
					p.expectReset(r.id, http2.ErrCodeCancel)
				}
				// The connection goes on.
				b = w.start(post(t, 1, "x")...)
				p.answerAll(p.expect(1))
				wantOK(t, w.wait(b))
				if len(w.dials) != 1 {
					t.Errorf("%d connections were opened, want 1", len(w.dials))
				}
			})
		})
	}
}

func TestMalformedAnswers(t *testing.T) {
	tests := map[string]struct {
		answer func(p *peer, id uint32)
		code   http2.ErrCode
	}{
		"no status":             {func(p *peer, id uint32) { p.header(id, true, "date", "now") }, http2.ErrCodeProtocol},
		"status not a number":   {func(p *peer, id uint32) { p.header(id, true, ":status", "2x0") }, http2.ErrCodeProtocol},
		"status too short":      {func(p *peer, id uint32) { p.header(id, true, ":status", "20") }, http2.ErrCodeProtocol},
		"two statuses":          {func(p *peer, id uint32) { p.header(id, true, ":status", "200", ":status", "200") }, http2.ErrCodeProtocol},
		"status after a field":  {func(p *peer, id uint32) { p.header(id, true, "date", "now", ":status", "200") }, http2.ErrCodeProtocol},
		"another pseudo field":  {func(p *peer, id uint32) { p.header(id, true, ":status", "200", ":path", "/") }, http2.ErrCodeProtocol},
		"upper case":            {func(p *peer, id uint32) { p.header(id, true, ":status", "200", "Date", "now") }, http2.ErrCodeProtocol},
		"empty name":            {func(p *peer, id uint32) { p.header(id, true, ":status", "200", "", "now") }, http2.ErrCodeProtocol},
		"interim and the end":   {func(p *peer, id uint32) { p.header(id, true, ":status", "103") }, http2.ErrCodeProtocol},
		"switching protocols":   {func(p *peer, id uint32) { p.header(id, false, ":status", "101") }, http2.ErrCodeProtocol},
		"second header":         {func(p *peer, id uint32) { p.header(id, false, ":status", "200"); p.header(id, false, "x", "y") }, http2.ErrCodeProtocol},
		"status in trailers":    {func(p *peer, id uint32) { p.header(id, false, ":status", "200"); p.header(id, true, ":status", "200") }, http2.ErrCodeProtocol},
		"DATA before header":    {func(p *peer, id uint32) { _ = p.fr.WriteData(id, true, []byte("x")); p.flush() }, http2.ErrCodeProtocol},
		"header list too large": {func(p *peer, id uint32) { p.hugeHeader(id) }, http2.ErrCodeProtocol},
		"window too large":      {func(p *peer, id uint32) { p.window(id, 1<<31-1) }, http2.ErrCodeFlowControl},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, h2.Config{}, func(w *world) {
				b := w.start(post(t, 1, "x")...)
				p := w.accept()
				r := p.expect(1)[0]
				tt.answer(p, r.id)
				wantErr(t, w.wait(b)[0], h2.Malformed, true)
				p.expectReset(r.id, tt.code)
				// The rest of the connection is not touched, and header
				// compression is still in step.
				b = w.start(post(t, 1, "x")...)
				p.header(r.id, true, ":status", "200", "date", "now") // of a closed stream
				p.answerAll(p.expect(1))
				wantOK(t, w.wait(b))
			})
		})
	}
}

// hugeHeader writes few bytes that decode to very many.
func (p *peer) hugeHeader(id uint32) {
	b := p.block(":status", "200", "big", strings.Repeat("x", 3000))
	again := p.block("big", strings.Repeat("x", 3000)) // one byte, from the table
	for range 30 {
		b = append(b, again...)
	}
	_ = p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: b, EndStream: true, EndHeaders: true})
	p.flush()
}

func TestResets(t *testing.T) {
	tests := map[http2.ErrCode]bool{ // maybe processed
		http2.ErrCodeInternal:        true,
		http2.ErrCodeCancel:          true,
		http2.ErrCodeNo:              true,
		http2.ErrCodeEnhanceYourCalm: true,
		http2.ErrCodeHTTP11Required:  false,
	}
	for code, unknown := range tests {
		t.Run(code.String(), func(t *testing.T) {
			bubble(t, h2.Config{}, func(w *world) {
				b := w.start(post(t, 2, "x")...)
				p := w.accept()
				rs := p.expect(2)
				p.reset(rs[0].id, code)
				p.answer(rs[1], 200, "")
				got := w.wait(b)
				wantErr(t, got[0], h2.Reset, unknown)
				wantOK(t, got[1:])
			})
		})
	}
}

func TestRefusedStreamIsSentAgain(t *testing.T) {
	bubble(t, h2.Config{}, func(w *world) {
		b := w.start(post(t, 5, "x")...)
		p := w.accept()
		rs := p.expect(5)
		for _, r := range rs[2:] { // it takes two at a time, whatever it said
			p.reset(r.id, http2.ErrCodeRefusedStream)
		}
		p.expect(0) // not while the two are under way
		seen := map[string]bool{}
		for n := 2; n > 0; {
			for _, r := range rs[:n] {
				seen[r.get(":path")] = true
				p.answer(r, 200, "")
			}
			rs = p.take()
			n = len(rs)
		}
		wantOK(t, w.wait(b))
		if len(seen) != 5 {
			t.Errorf("%d different requests were answered, want 5", len(seen))
		}
	})
}

func TestRefusedForEver(t *testing.T) {
	bubble(t, h2.Config{}, func(w *world) {
		b := w.start(post(t, 1, "x")...)
		p := w.accept()
		n := 0
		for rs := p.take(); len(rs) > 0; rs = p.take() {
			n += len(rs)
			p.reset(rs[0].id, http2.ErrCodeRefusedStream)
		}
		wantErr(t, w.wait(b)[0], h2.Refused, false)
		if n != h2.MaxTosses+1 {
			t.Errorf("sent %d times, want %d", n, h2.MaxTosses+1)
		}
	})
}

func TestTimeout(t *testing.T) {
	bubble(t, h2.Config{Timeout: 5 * time.Second}, func(w *world) {
		b := w.start(post(t, 3, "x")...)
		p := w.accept()
		rs := p.expect(3)
		p.answer(rs[1], 200, "")
		start := time.Now()
		got := w.wait(b)
		if d := time.Since(start); d < 5*time.Second || d > 6*time.Second {
			t.Errorf("ended after %v, want about 5 s", d)
		}
		wantErr(t, got[0], h2.Timeout, true)
		wantOK(t, got[1:2])
		wantErr(t, got[2], h2.Timeout, true)
		p.expectReset(rs[0].id, http2.ErrCodeCancel)
		p.expectReset(rs[2].id, http2.ErrCodeCancel)
		// A late answer harms nobody.
		p.answer(rs[0], 200, "late")
		b = w.start(post(t, 1, "x")...)
		p.answerAll(p.expect(1))
		wantOK(t, w.wait(b))
	})
}

func TestContextEnds(t *testing.T) {
	bubble(t, h2.Config{}, func(w *world) {
		ctx, cancel := context.WithCancel(context.Background())
		b := &h2.Batch{Requests: post(t, 4, "x")}
		if err := w.pool.Start(ctx, b); err != nil {
			t.Fatal(err)
		}
		other := w.start(post(t, 1, "y")...)
		p := w.accept(maxStreams(3))
		rs := p.expect(3)
		p.answer(rs[0], 200, "")
		rs = append(rs, p.expect(1)...)
		_ = rs
		p.take()
		cancel()
		synctest.Wait()
		got := w.wait(b)
		wantOK(t, got[:1])
		for _, r := range got[1:] {
			wantErr(t, r, h2.Canceled, true)
		}
		p.expectReset(rs[1].id, http2.ErrCodeCancel)
		p.answerAll(p.take()) // the other batch's
		wantOK(t, w.wait(other))

		// One that has not been sent has surely not been processed.
		p.settings(maxStreams(0))
		ctx, cancel = context.WithCancel(context.Background())
		if err := w.pool.Start(ctx, b); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		cancel()
		for _, r := range w.wait(b) {
			wantErr(t, r, h2.Canceled, false)
		}
	})
}
