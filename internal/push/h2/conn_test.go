package h2_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/furima/furima/internal/push/h2"
)

func TestGoAway(t *testing.T) {
	bubble(t, h2.Config{Connections: 1}, func(w *world) {
		b := w.start(post(t, 10, "x")...)
		p := w.accept()
		rs := p.expect(10)
		p.answerAll(rs[:2])
		p.goAwayNow(rs[5].id, http2.ErrCodeNo, "")
		// What is above goes elsewhere at once, what is not may finish here.
		p2 := w.accept()
		again := p2.expect(4)
		paths := map[string]bool{}
		for _, r := range again {
			paths[r.get(":path")] = true
		}
		for _, r := range rs[6:] {
			if !paths[r.get(":path")] {
				t.Errorf("%s was not sent again", r.get(":path"))
			}
		}
		p2.answerAll(again)
		time.Sleep(time.Second)
		p.answerAll(rs[2:6])
		wantOK(t, w.wait(b))
		p.expectGoAway(http2.ErrCodeNo)
		b = w.start(post(t, 3, "x")...)
		p2.answerAll(p2.expect(3))
		wantOK(t, w.wait(b))
	})
}

func TestGoAwayInTwoSteps(t *testing.T) {
	bubble(t, h2.Config{Connections: 1}, func(w *world) {
		b := w.start(post(t, 4, "x")...)
		p := w.accept()
		rs := p.expect(4)
		p.goAwayNow(1<<31-1, http2.ErrCodeNo, "") // no more, please
		p.expect(0)
		b2 := w.start(post(t, 1, "y")...)
		p2 := w.accept()
		p2.answerAll(p2.expect(1))
		wantOK(t, w.wait(b2))
		p.goAwayNow(rs[1].id, http2.ErrCodeNo, "")
		p2.answerAll(p2.expect(2))
		p.answerAll(rs[:2])
		wantOK(t, w.wait(b))
	})
}

func TestGoAwayWithAnErrorAndTheEnd(t *testing.T) {
	bubble(t, h2.Config{Connections: 1}, func(w *world) {
		b := w.start(post(t, 2, "x")...)
		p := w.accept()
		rs := p.expect(2)
		p.goAwayNow(rs[0].id, http2.ErrCodeEnhanceYourCalm, `{"reason":"TooMany"}`+strings.Repeat("x", 5000))
		_ = p.nc.Close()
		start := time.Now()
		p2 := w.accept()
		if d := time.Since(start); d < 50*time.Millisecond {
			t.Errorf("the next connection came after %v, want a pause", d)
		}
		p2.answerAll(p2.expect(1))
		got := w.wait(b)
		wantErr(t, got[0], h2.Lost, true)
		wantOK(t, got[1:])
		e, _ := errors.AsType[*h2.Error](got[0].Err)
		if e.Code != http2.ErrCodeEnhanceYourCalm || !strings.Contains(e.Error(), "TooMany") || len(e.Error()) > 1000 {
			t.Errorf("error %v with code %v", e, e.Code)
		}
	})
}

func TestGoAwayForEverIsNotHammered(t *testing.T) {
	bubble(t, h2.Config{Connections: 2, QueueTimeout: time.Minute}, func(w *world) {
		b := w.start(post(t, 3, "x")...)
		stop := w.each(func(p *peer) {
			_ = p.fr.WriteSettings()
			_ = p.fr.WriteGoAway(0, http2.ErrCodeNo, nil)
			p.flush()
		})
		for _, r := range w.wait(b) {
			if h2.MaybeProcessed(r.Err) || r.Err == nil {
				t.Errorf("error %v, want one of a request that was not processed", r.Err)
			}
		}
		stop()
		if n := len(w.dials); n > 20 {
			t.Errorf("%d connections in a minute", n)
		}
	})
}

func TestLostConnection(t *testing.T) {
	bubble(t, h2.Config{Connections: 1}, func(w *world) {
		b := w.start(append(post(t, 1, "x"), post(t, 2, strings.Repeat("x", 100))...)...)
		p := w.accept(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
		p.expect(1) // of the others only a part has been written
		_ = p.nc.Close()
		p2 := w.accept()
		p2.answerAll(p2.expect(2))
		got := w.wait(b)
		wantErr(t, got[0], h2.Lost, true)
		wantOK(t, got[1:])
	})
}

func TestLostInTheMiddleOfAnAnswer(t *testing.T) {
	bubble(t, h2.Config{Connections: 1}, func(w *world) {
		b := w.start(post(t, 1, "x")...)
		p := w.accept()
		r := p.expect(1)[0]
		p.header(r.id, false, ":status", "400")
		_ = p.nc.Close()
		got := w.wait(b)[0]
		wantErr(t, got, h2.Lost, true)
		if got.Status != 400 {
			t.Errorf("status %d, want what had come: 400", got.Status)
		}
	})
}

func TestSilentConnection(t *testing.T) {
	bubble(t, h2.Config{Connections: 1, PingAfter: 10 * time.Second, PingTimeout: 5 * time.Second, Timeout: time.Hour}, func(w *world) {
		b := w.start(post(t, 2, "x")...)
		p := w.accept()
		p.expect(2)
		start := time.Now()
		for range 3 { // as long as it answers, it may take its time
			time.Sleep(12 * time.Second)
			p.handle()
			if p.pings == 0 {
				t.Fatal("no PING after 12 s of silence")
			}
			_ = p.fr.WritePing(true, [8]byte{})
			p.flush()
			p.pings = 0
		}
		p.expect(0)
		if p.closed != nil {
			t.Fatalf("closed although it answers: %v", p.closed)
		}
		for _, r := range w.wait(b) {
			wantErr(t, r, h2.Lost, true)
		}
		if d := time.Since(start); d < 50*time.Second || d > 54*time.Second {
			t.Errorf("given up after %v, want 36 s + 15 s", d)
		}
		b = w.start(post(t, 1, "x")...)
		p = w.accept()
		p.answerAll(p.expect(1))
		wantOK(t, w.wait(b))
	})
}

func TestIdleConnectionIsCheckedBeforeUse(t *testing.T) {
	bubble(t, h2.Config{Connections: 1}, func(w *world) {
		b := w.start(post(t, 1, "x")...)
		p := w.accept()
		p.answerAll(p.expect(1))
		wantOK(t, w.wait(b))

		time.Sleep(time.Hour)
		p.handle()
		if p.pings != 0 {
			t.Errorf("%d PINGs while there was nothing to do, want 0", p.pings)
		}
		b = w.start(post(t, 1, "x")...)
		p.expect(0)
		if p.pings != 1 {
			t.Errorf("%d PINGs before the connection is used again, want 1", p.pings)
		}
		_ = p.fr.WritePing(true, [8]byte{})
		p.flush()
		p.answerAll(p.expect(1))
		wantOK(t, w.wait(b))

		// Dead: nothing is lost with it.
		time.Sleep(time.Hour)
		b = w.start(post(t, 1, "x")...)
		p2 := w.accept()
		p2.answerAll(p2.expect(1))
		wantOK(t, w.wait(b))
		p.expect(0)
	})
}

func TestPingIsAnswered(t *testing.T) {
	bubble(t, h2.Config{}, func(w *world) {
		b := w.start(post(t, 1, "x")...)
		p := w.accept()
		r := p.expect(1)
		_ = p.fr.WritePing(false, [8]byte{1, 2, 3})
		p.flush()
		synctest.Wait()
		if e := <-p.events; e.kind != http2.FramePing || !e.ack || e.data[1] != 2 {
			t.Errorf("frame %+v, want the answer to the PING", e)
		}
		p.answerAll(r)
		wantOK(t, w.wait(b))
	})
}

func TestStreamIDsRunOut(t *testing.T) {
	defer h2.SetFirstStreamID(1<<31 - 1 - 4)()
	bubble(t, h2.Config{Connections: 1}, func(w *world) {
		b := w.start(post(t, 7, "x")...)
		p := w.accept()
		last := p.expect(3) // 2^31-5, -3, -1
		p2 := w.accept()
		p2.answerAll(p2.expect(3))
		p.answerAll(last)
		p3 := w.accept()
		p3.answerAll(p3.expect(1))
		wantOK(t, w.wait(b))
		p.expectGoAway(http2.ErrCodeNo)
	})
}

func TestServerThatSendsNoSettings(t *testing.T) {
	bubble(t, h2.Config{Connections: 1, DialTimeout: 10 * time.Second}, func(w *world) {
		b := w.start(post(t, 1, "x")...)
		p := w.acceptSilent()
		p2 := w.accept()
		p2.answerAll(p2.expect(1))
		wantOK(t, w.wait(b))
		p.expect(0)
		if p.closed == nil {
			t.Error("the connection without settings is still open")
		}
	})
}

// stalled is a connection whose writes block from some time on.
type stalled struct {
	net.Conn
	stall  chan struct{} // closed: writes block
	closed chan struct{}
}

func (s *stalled) Write(b []byte) (int, error) {
	select {
	case <-s.stall:
		<-s.closed
		return 0, net.ErrClosed
	default:
		return s.Conn.Write(b)
	}
}

func (s *stalled) Close() error {
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	return s.Conn.Close()
}

// bubbleStalled is bubble with connections whose writes block once stall has
// been called.
func bubbleStalled(t *testing.T, f func(w *world, stall func())) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, peers: make(chan *peer, 10)}
		var last *stalled
		pool, err := h2.Open(h2.Config{URL: "http://push.example", Connections: 1, Timeout: time.Hour,
			Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := w.dial(ctx, network, addr)
				last = &stalled{Conn: c, stall: make(chan struct{}), closed: make(chan struct{})}
				return last, err
			}})
		if err != nil {
			t.Fatal(err)
		}
		w.pool = pool
		defer func() { _ = pool.Close(context.Background()) }()
		f(w, func() { close(last.stall) })
	})
}

func TestServerThatDoesNotRead(t *testing.T) {
	bubbleStalled(t, func(w *world, stall func()) {
		b := w.start(post(t, 1, "x")...)
		p := w.accept()
		p.answerAll(p.expect(1))
		wantOK(t, w.wait(b))
		stall()
		b = w.start(post(t, 1, "x")...)
		start := time.Now()
		go func() { // it goes on talking, which does not help
			for range 100 {
				time.Sleep(time.Second)
				p.window(0, 1)
			}
		}()
		wantErr(t, w.wait(b)[0], h2.Lost, true)
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("given up after %v", d)
		}
		time.Sleep(2 * time.Minute)
	})
}

func TestFloodEndsTheConnection(t *testing.T) {
	bubbleStalled(t, func(w *world, stall func()) {
		b := w.start(post(t, 1, "x")...)
		p := w.accept()
		p.expect(1)
		stall()
		start := time.Now()
		go func() {
			for range h2.MaxControl / 17 * 2 {
				_ = p.fr.WritePing(false, [8]byte{})
			}
			p.flush()
		}()
		got := w.wait(b)[0]
		wantErr(t, got, h2.Lost, true)
		if d := time.Since(start); d != 0 || !strings.Contains(got.Err.Error(), "ENHANCE_YOUR_CALM") {
			t.Errorf("ended after %v with %v", d, got.Err)
		}
	})
}

func TestBreaches(t *testing.T) {
	frame := func(kind http2.FrameType, flags http2.Flags, id uint32, payload string) func(p *peer) {
		return func(p *peer) {
			_ = p.fr.WriteRawFrame(kind, flags, id, []byte(payload))
			p.flush()
		}
	}
	setting := func(id http2.SettingID, v uint32) func(p *peer) {
		return func(p *peer) { p.settings(http2.Setting{ID: id, Val: v}) }
	}
	tests := map[string]struct {
		do   func(p *peer)
		code http2.ErrCode
	}{
		"frame too large":              {frame(http2.FrameData, 0, 1, strings.Repeat("x", 16385)), http2.ErrCodeFrameSize},
		"HTTP/1.1":                     {func(p *peer) { p.wbuf.WriteString("HTTP/1.1 400 Bad Request\r\n\r\n"); p.flush() }, http2.ErrCodeFrameSize},
		"DATA on stream 0":             {frame(http2.FrameData, 0, 0, "x"), http2.ErrCodeProtocol},
		"DATA on an idle stream":       {frame(http2.FrameData, 0, 9, "x"), http2.ErrCodeProtocol},
		"DATA on a server's stream":    {frame(http2.FrameData, 0, 2, "x"), http2.ErrCodeProtocol},
		"HEADERS on stream 0":          {frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 0, "\x88"), http2.ErrCodeProtocol},
		"HEADERS on an idle stream":    {frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 9, "\x88"), http2.ErrCodeProtocol},
		"padding too long":             {frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersPadded, 1, "\x09\x88"), http2.ErrCodeProtocol},
		"header index out of range":    {frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, "\xff\xff\x03"), http2.ErrCodeCompression},
		"header block cut off":         {frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, "\x40\x05ab"), http2.ErrCodeCompression},
		"table larger than allowed":    {frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, "\x3f\xe2\x1f\x88"), http2.ErrCodeCompression},
		"CONTINUATION alone":           {frame(http2.FrameContinuation, http2.FlagContinuationEndHeaders, 1, "\x88"), http2.ErrCodeProtocol},
		"header broken off":            {func(p *peer) { frame(http2.FrameHeaders, 0, 1, "\x88")(p); frame(http2.FramePing, 0, 0, "12345678")(p) }, http2.ErrCodeProtocol},
		"endless CONTINUATION":         {endlessContinuation, http2.ErrCodeEnhanceYourCalm},
		"PUSH_PROMISE":                 {frame(http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, 1, "\x00\x00\x00\x02\x88"), http2.ErrCodeProtocol},
		"SETTINGS of a wrong size":     {frame(http2.FrameSettings, 0, 0, "12345"), http2.ErrCodeFrameSize},
		"SETTINGS on a stream":         {frame(http2.FrameSettings, 0, 1, ""), http2.ErrCodeProtocol},
		"push enabled":                 {setting(http2.SettingEnablePush, 1), http2.ErrCodeProtocol},
		"window setting too large":     {setting(http2.SettingInitialWindowSize, 1<<31), http2.ErrCodeFlowControl},
		"frame size too small":         {setting(http2.SettingMaxFrameSize, 100), http2.ErrCodeProtocol},
		"PING of a wrong size":         {frame(http2.FramePing, 0, 0, "1"), http2.ErrCodeFrameSize},
		"PING on a stream":             {frame(http2.FramePing, 0, 1, "12345678"), http2.ErrCodeProtocol},
		"GOAWAY on a stream":           {frame(http2.FrameGoAway, 0, 1, "12345678"), http2.ErrCodeProtocol},
		"RST_STREAM of a wrong size":   {frame(http2.FrameRSTStream, 0, 1, "1"), http2.ErrCodeFrameSize},
		"RST_STREAM on an idle stream": {frame(http2.FrameRSTStream, 0, 9, "1234"), http2.ErrCodeProtocol},
		"WINDOW_UPDATE of 0":           {frame(http2.FrameWindowUpdate, 0, 0, "\x00\x00\x00\x00"), http2.ErrCodeProtocol},
		"WINDOW_UPDATE of 0, stream":   {frame(http2.FrameWindowUpdate, 0, 1, "\x00\x00\x00\x00"), http2.ErrCodeProtocol},
		"WINDOW_UPDATE, idle stream":   {frame(http2.FrameWindowUpdate, 0, 9, "\x00\x00\x00\x01"), http2.ErrCodeProtocol},
		"window of the connection":     {frame(http2.FrameWindowUpdate, 0, 0, "\x7f\xff\xff\xff"), http2.ErrCodeFlowControl},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, h2.Config{Connections: 1}, func(w *world) {
				b := w.start(post(t, 1, "x")...)
				p := w.accept()
				p.expect(1)
				go tt.do(p) // it may not be read to its end
				wantErr(t, w.wait(b)[0], h2.Lost, true)
				p.expectGoAway(tt.code)
			})
		})
	}
}

func endlessContinuation(p *peer) {
	_ = p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block(":status", "200")})
	for range 10 {
		_ = p.fr.WriteContinuation(1, false, p.block("x", strings.Repeat("y", 15000)))
	}
	p.flush()
}

func TestFirstFrameMustBeSettings(t *testing.T) {
	bubble(t, h2.Config{Connections: 1, InitialStreams: 1}, func(w *world) {
		b := w.start(post(t, 1, "x")...)
		p := w.acceptSilent()
		p.answerAll(p.expect(1))
		wantErr(t, w.wait(b)[0], h2.Lost, true)
		p.expectGoAway(http2.ErrCodeProtocol)
	})
}

func TestBodyThatIsNotWantedIsCutOff(t *testing.T) {
	bubble(t, h2.Config{DiscardOK: true}, func(w *world) {
		b := w.start(post(t, 1, "x")...)
		p := w.accept()
		r := p.expect(1)[0]
		p.header(r.id, false, ":status", "200")
		for range 5 {
			_ = p.fr.WriteData(r.id, false, make([]byte, 16000))
		}
		p.flush()
		wantOK(t, w.wait(b))
		p.expectReset(r.id, http2.ErrCodeCancel)
	})
}

func TestMoreDataThanTheWindowOfTheStream(t *testing.T) {
	bubble(t, h2.Config{}, func(w *world) {
		b := w.start(post(t, 1, "x")...)
		p := w.accept()
		r := p.expect(1)[0]
		p.header(r.id, false, ":status", "200")
		for range 256 { // nothing but padding, 256 bytes a frame
			_ = p.fr.WriteDataPadded(r.id, false, nil, make([]byte, 255))
		}
		p.flush()
		wantErr(t, w.wait(b)[0], h2.Malformed, true)
		p.expectReset(r.id, http2.ErrCodeFlowControl)
	})
}

func TestIdleTimeout(t *testing.T) {
	bubble(t, h2.Config{Connections: 1, IdleTimeout: time.Minute}, func(w *world) {
		b := w.start(post(t, 1, "x")...)
		p := w.accept()
		rs := p.expect(1)
		p.answerAll(rs)
		wantOK(t, w.wait(b))
		time.Sleep(50 * time.Second)
		p.handle()
		if p.closed != nil {
			t.Fatalf("closed after 50 s: %v", p.closed)
		}
		time.Sleep(30 * time.Second)
		p.expectGoAway(http2.ErrCodeNo)
		start := time.Now()
		b = w.start(post(t, 1, "x")...)
		p = w.accept()
		if d := time.Since(start); d != 0 {
			t.Errorf("the next connection came after %v, want at once", d)
		}
		p.answerAll(p.expect(1))
		wantOK(t, w.wait(b))
	})
}
