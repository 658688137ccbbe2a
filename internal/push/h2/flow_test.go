package h2_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/furima/furima/internal/push/h2"
)

func TestMaxConcurrentStreamsFollowsTheServer(t *testing.T) {
	bubble(t, h2.Config{Connections: 1}, func(w *world) {
		b := w.start(post(t, 100, "x")...)
		p := w.accept(maxStreams(10))
		open := p.expect(10)

		p.settings(maxStreams(1)) // as Apple does after a rejection
		p.answerAll(open[:9])
		p.expect(0) // one is still open
		p.answerAll(open[9:])
		open = p.expect(1)
		p.answerAll(open)
		open = p.expect(1)

		p.settings(maxStreams(0))
		p.answerAll(open)
		p.expect(0)
		time.Sleep(time.Minute)
		p.expect(0)

		p.settings(maxStreams(5))
		open = p.expect(5)
		p.settings(maxStreams(1000))
		open = append(open, p.expect(100-12-5)...)
		p.answerAll(open)
		wantOK(t, w.wait(b))
	})
}

func TestOwnLimitOfStreams(t *testing.T) {
	bubble(t, h2.Config{Connections: 1, MaxStreams: 7}, func(w *world) {
		b := w.start(post(t, 14, "x")...)
		p := w.accept() // no limit
		p.answerAll(p.expect(7))
		p.answerAll(p.expect(7))
		wantOK(t, w.wait(b))
	})
}

func TestNothingBeforeTheSettings(t *testing.T) {
	bubble(t, h2.Config{}, func(w *world) {
		b := w.start(post(t, 3, "x")...)
		p := w.acceptSilent()
		p.expect(0)
		p.settings()
		p.answerAll(p.expect(3))
		wantOK(t, w.wait(b))
	})
}

func TestInitialStreams(t *testing.T) {
	bubble(t, h2.Config{Connections: 4, InitialStreams: 1}, func(w *world) {
		b := w.start(post(t, 50, "x")...)
		p := w.acceptSilent()
		first := p.expect(1) // without waiting for the settings
		p.settings(maxStreams(20))
		p.expect(0)
		for _, status := range []int{403, 401, 429, 503} {
			p.answer(first[0], status, "")
			first = p.expect(1)
		}
		if len(w.dials) != 1 {
			t.Errorf("%d connections before the first good answer, want 1", len(w.dials))
		}
		p.answer(first[0], 410, "") // a dead device, but we are served
		p.answerAll(p.expect(20))
		p2 := w.accept(maxStreams(1)) // more waits than one connection takes
		for !finished(b) {
			p.answerAll(p.take())
			p2.answerAll(p2.take())
			for len(w.peers) > 0 {
				w.accept(maxStreams(0))
			}
		}
		for _, r := range w.wait(b) {
			if r.Err != nil {
				t.Error(r.Err)
			}
		}
	})
}

func TestWindowOfTheConnection(t *testing.T) {
	bubble(t, h2.Config{Connections: 1}, func(w *world) {
		body := strings.Repeat("x", 1000)
		b := w.start(post(t, 100, body)...)
		p := w.accept()
		done := p.expect(65) // of 65,535 bytes
		// The 66th has begun, and the others do not.
		if len(p.requests) != 1 {
			t.Errorf("%d requests wait in the middle, want 1", len(p.requests))
		}
		p.window(0, 465-1)
		p.expect(0)
		p.window(0, 1)
		done = append(done, p.expect(1)...)
		if len(p.requests) != 0 {
			t.Errorf("%d requests have begun without a window, want 0", len(p.requests))
		}
		p.window(0, 2500)
		done = append(done, p.expect(2)...)
		p.window(0, 1<<20)
		done = append(done, p.expect(100-65-3)...)
		for _, r := range done {
			if string(r.body) != body {
				t.Fatalf("stream %d: a body of %d bytes, want %d", r.id, len(r.body), len(body))
			}
		}
		p.answerAll(done)
		wantOK(t, w.wait(b))
	})
}

func TestWindowOfTheConnectionIsEmptyForOneAlone(t *testing.T) {
	bubble(t, h2.Config{Connections: 2}, func(w *world) {
		b := w.start(post(t, 80, strings.Repeat("x", 1000))...)
		p := w.accept()
		first := p.expect(65)
		second := w.accept() // what the first has no window for
		p2 := second.expect(80 - 66)
		p.window(0, 1<<20)
		p.answerAll(append(first, p.expect(1)...))
		second.answerAll(p2)
		wantOK(t, w.wait(b))
	})
}

func TestWindowsOfStreams(t *testing.T) {
	bubble(t, h2.Config{Connections: 1}, func(w *world) {
		initial := func(n uint32) http2.Setting {
			return http2.Setting{ID: http2.SettingInitialWindowSize, Val: n}
		}
		body := "0123456789abcdefghij"
		b := w.start(post(t, 3, body)...)
		p := w.accept(initial(10))
		p.expect(0)
		if len(p.requests) != 3 {
			t.Fatalf("%d requests have begun, want 3", len(p.requests))
		}
		p.window(1, 4) // to 4
		p.expect(0)
		p.settings(initial(3)) // stream 1 stands at 0-7 = -7, the others too
		p.window(1, 6)         // to -1
		p.window(3, 7)         // to 0
		p.expect(0)
		if n := len(p.requests[1].body); n != 14 {
			t.Errorf("stream 1 has sent %d bytes, want 14", n)
		}
		p.window(3, 5)
		p.expect(0)
		if n := len(p.requests[3].body); n != 15 {
			t.Errorf("stream 3 has sent %d bytes, want 15", n)
		}
		p.settings(initial(1000))
		done := p.expect(3)
		for _, r := range done {
			if string(r.body) != body {
				t.Errorf("stream %d: body %q", r.id, r.body)
			}
		}
		p.answerAll(done)
		wantOK(t, w.wait(b))
	})
}

func TestAnswerBeforeTheRequestIsComplete(t *testing.T) {
	bubble(t, h2.Config{}, func(w *world) {
		b := w.start(post(t, 1, "0123456789")...)
		p := w.accept(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
		p.expect(0)
		p.header(1, true, ":status", "413")
		if r := w.wait(b)[0]; r.Err != nil || r.Status != 413 {
			t.Errorf("status %d, error %v; want 413", r.Status, r.Err)
		}
		p.expectReset(1, http2.ErrCodeCancel)
		p.window(1, 100) // comes too late
		p.expect(0)
	})
}

func TestLargeBodyAndFrameSize(t *testing.T) {
	for _, size := range []uint32{0, 1 << 20} {
		bubble(t, h2.Config{}, func(w *world) {
			body := strings.Repeat("0123456789", 30000)
			b := w.start(post(t, 1, body)...)
			s := []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 1 << 20}}
			if size > 0 {
				s = append(s, http2.Setting{ID: http2.SettingMaxFrameSize, Val: size})
			}
			p := w.accept(s...)
			p.window(0, 1<<20)
			frames, largest := 0, 0
			var got []byte
			for len(got) < len(body) {
				p.t.Helper()
				e := <-p.events
				if e.kind == http2.FrameData {
					got = append(got, e.data...)
					frames++
					largest = max(largest, len(e.data))
				}
				if e.err != nil {
					t.Fatal(e.err)
				}
			}
			if string(got) != body {
				t.Error("the body is not what was sent")
			}
			if size == 0 && largest != 16384 || size > 0 && largest <= 16384 {
				t.Errorf("the largest of %d frames has %d bytes", frames, largest)
			}
			p.header(1, true, ":status", "200")
			wantOK(t, w.wait(b))
		})
	}
}

func TestLargeHeaderGoesIntoContinuations(t *testing.T) {
	bubble(t, h2.Config{}, func(w *world) {
		reqs := post(t, 2, "x")
		long := strings.Repeat("y", 40000)
		reqs[0].Fields = []h2.Field{{Name: "apns-collapse-id", Value: long}}
		b := w.start(reqs...)
		p := w.accept()
		rs := p.expect(2)
		if got := rs[0].get("apns-collapse-id"); got != long {
			t.Errorf("a field of %d bytes came, want %d", len(got), len(long))
		}
		p.answerAll(rs)
		wantOK(t, w.wait(b))
	})
}

func TestHeaderTableSizeChanges(t *testing.T) {
	bubble(t, h2.Config{Connections: 1}, func(w *world) {
		size := func(n uint32) http2.Setting {
			return http2.Setting{ID: http2.SettingHeaderTableSize, Val: n}
		}
		var p *peer
		for i, sizes := range [][]uint32{{}, {0}, {4096}, {100, 4096}, {0, 60}, {8192}, {4096, 0, 512}, {1 << 31}} {
			b := w.start(post(t, 20, "x")...)
			if i == 0 {
				p = w.accept()
			} else {
				p.answerAll(p.take())
				wantOK(t, w.wait(b))
				for _, n := range sizes {
					// The encoder may use what the server allows, from the
					// acknowledgement on.
					p.fr.ReadMetaHeaders.SetAllowedMaxDynamicTableSize(n)
					p.settings(size(n))
				}
				b = w.start(post(t, 20, "x")...)
			}
			rs := p.take()
			if len(rs) != 20 {
				t.Fatalf("sizes %v: %d requests have come, want 20: %v", sizes, len(rs), p.closed)
			}
			for _, r := range rs {
				if r.get("authorization") != "bearer token" || r.get("apns-topic") != "com.example.market" || r.get(":authority") != "push.example" {
					t.Fatalf("sizes %v: fields %v", sizes, r.fields)
				}
			}
			p.answerAll(rs)
			wantOK(t, w.wait(b))
			if p.closed != nil {
				t.Fatalf("sizes %v: %v", sizes, p.closed)
			}
		}
	})
}

func TestWindowForAnswersIsGivenBack(t *testing.T) {
	bubble(t, h2.Config{MaxBodyBytes: 30000}, func(w *world) {
		body := bytes.Repeat([]byte("x"), 16000)
		var p *peer
		sent := 0
		for sent < 2*h2.OurWindow {
			b := w.start(post(t, 100, "x")...)
			if p == nil {
				p = w.accept()
			}
			rs := p.take()
			for _, r := range rs {
				p.header(r.id, false, ":status", "200")
				_ = p.fr.WriteData(r.id, true, body)
				p.flush()
				sent += len(body)
			}
			for _, r := range w.wait(b) {
				if r.Err != nil || len(r.Body) != len(body) {
					t.Fatalf("after %d bytes: a body of %d, error %v", sent, len(r.Body), r.Err)
				}
			}
		}
	})
}

func TestUrgentOvertakes(t *testing.T) {
	bubble(t, h2.Config{Connections: 1}, func(w *world) {
		bulk := w.start(post(t, 5, "bulk")...)
		p := w.accept(maxStreams(1))
		order := []string{}
		rs := p.expect(1)
		urgent := &h2.Batch{Requests: post(t, 2, "urgent"), Urgent: true}
		if err := w.pool.Start(context.Background(), urgent); err != nil {
			t.Fatal(err)
		}
		for len(rs) > 0 {
			order = append(order, string(rs[0].body))
			p.answerAll(rs)
			rs = p.take()
		}
		if want := []string{"bulk", "urgent", "urgent", "bulk", "bulk", "bulk", "bulk"}; !slices.Equal(order, want) {
			t.Errorf("order %v, want %v", order, want)
		}
		wantOK(t, w.wait(bulk))
		wantOK(t, w.wait(urgent))
	})
}
