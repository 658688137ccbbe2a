package h2_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/http2"

	"github.com/furima/furima/internal/push/h2"
)

func TestBackoff(t *testing.T) {
	refused := errors.New("connection refused")
	bubble(t, h2.Config{Connections: 4, QueueTimeout: 10 * time.Minute, BackoffMin: 100 * time.Millisecond, BackoffMax: 10 * time.Second}, func(w *world) {
		w.deny = func() error { return refused }
		b := w.start(post(t, 100, "x")...)
		got := w.wait(b)
		for _, r := range got {
			wantErr(t, r, h2.Queued, false)
			if !errors.Is(r.Err, refused) {
				t.Fatalf("error %v does not say why", r.Err)
			}
		}
		n := len(w.dials)
		if n < 600/15 || n > 600/5+20 {
			t.Errorf("%d attempts in ten minutes, want one every 10 s after the first seconds", n)
		}
		for i := 1; i < n; i++ {
			gap := w.dials[i].Sub(w.dials[i-1])
			if low := min(50*time.Millisecond<<(i-1), 5*time.Second); gap < low {
				t.Errorf("gap %d is %v, want at least %v", i, gap, low)
			}
		}
		// It is back, and at once there are as many connections as are needed.
		w.deny = nil
		b = w.start(post(t, 2, "x")...)
		p := w.accept(maxStreams(1))
		p.answerAll(p.expect(1))
		p.answerAll(p.expect(1))
		wantOK(t, w.wait(b))
	})
}

func TestGiveUpAfter(t *testing.T) {
	refused := errors.New("connection refused")
	bubble(t, h2.Config{GiveUpAfter: 3, MaxQueued: 10}, func(w *world) {
		w.deny = func() error { return refused }
		start := time.Now()
		b := w.start(post(t, 10, "x")...)
		waits := make(chan error)
		go func() { waits <- w.pool.Start(context.Background(), &h2.Batch{Requests: post(t, 1, "x")}) }()
		for _, r := range w.wait(b) {
			wantErr(t, r, h2.Queued, false)
			if !errors.Is(r.Err, refused) {
				t.Fatalf("error %v does not say why", r.Err)
			}
		}
		if err := <-waits; h2.ReasonOf(err) != h2.Queued {
			t.Errorf("a Start that waited for room: %v", err)
		}
		if n, took := len(w.dials), time.Since(start); n != 3 || took > time.Second {
			t.Errorf("%d attempts, %v", n, took)
		}
		// What comes later is for the next attempt.
		wantErr(t, w.wait(w.start(post(t, 1, "x")...))[0], h2.Queued, false)
		if n := len(w.dials); n != 4 {
			t.Errorf("%d attempts, want one more", n)
		}
		w.deny = nil
		b = w.start(post(t, 2, "x")...)
		p := w.accept()
		p.answerAll(p.expect(2))
		wantOK(t, w.wait(b))
	})
}

func TestConnectionsThatAreNoGoodBackOff(t *testing.T) {
	bubble(t, h2.Config{Connections: 2, QueueTimeout: 2 * time.Minute}, func(w *world) {
		b := w.start(post(t, 2, "x")...)
		stop := w.each(func(p *peer) {
			_ = p.nc.Close()
		})
		for _, r := range w.wait(b) {
			wantErr(t, r, h2.Queued, false)
			if !errors.Is(r.Err, io.EOF) && !errors.Is(r.Err, io.ErrClosedPipe) {
				t.Errorf("error %v does not say why", r.Err)
			}
		}
		stop()
		if n := len(w.dials); n > 30 {
			t.Errorf("%d connections in two minutes", n)
		}
	})
}

func TestStartWaitsForRoom(t *testing.T) {
	bubble(t, h2.Config{Connections: 1, MaxQueued: 10}, func(w *world) {
		all := []*h2.Batch{w.start(post(t, 30, "x")...)} // alone, a batch may be larger
		var begun atomic.Int32
		for i := range 3 {
			b := &h2.Batch{Requests: post(t, 5, strconv.Itoa(i))}
			all = append(all, b)
			go func() {
				if err := w.pool.Start(context.Background(), b); err != nil {
					t.Error(err)
				}
				begun.Add(1)
			}()
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		late := &h2.Batch{Requests: post(t, 1, "x")}
		if err := w.pool.Start(ctx, late); h2.ReasonOf(err) != h2.Canceled || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Start without room: %v, want the end of the context", err)
		}
		p := w.accept(maxStreams(20))
		open := p.expect(20) // 10 are left: no room for any
		if n := begun.Load(); n != 0 {
			t.Errorf("%d batches have begun in a full queue", n)
		}
		p.answerAll(open[:5])
		open = append(open[5:], p.expect(5)...) // 5 are left: room for one
		if n := begun.Load(); n != 1 {
			t.Errorf("%d batches have begun, want the first alone", n)
		}
		order := ""
		for len(open) > 0 {
			for _, r := range open {
				order += string(r.body)
			}
			p.answerAll(open)
			open = p.take()
		}
		if order = strings.TrimLeft(order, "x"); order != "000001111122222" {
			t.Errorf("batches came in the order %s", order)
		}
		for _, b := range all {
			wantOK(t, w.wait(b))
		}
	})
}

func TestInvalidRequests(t *testing.T) {
	tests := map[string]func(r *h2.Request){
		"no headers":          func(r *h2.Request) { r.Headers = nil },
		"no path":             func(r *h2.Request) { r.Path = "" },
		"relative path":       func(r *h2.Request) { r.Path = "3/device" },
		"space in the path":   func(r *h2.Request) { r.Path = "/3/device/ " },
		"newline in the path": func(r *h2.Request) { r.Path = "/3/device/\r\nx: y" },
		"upper case":          func(r *h2.Request) { r.Fields = []h2.Field{{Name: "Apns-Id", Value: "1"}} },
		"pseudo field":        func(r *h2.Request) { r.Fields = []h2.Field{{Name: ":path", Value: "/"}} },
		"empty name":          func(r *h2.Request) { r.Fields = []h2.Field{{Name: "", Value: "1"}} },
		"newline in a value":  func(r *h2.Request) { r.Fields = []h2.Field{{Name: "apns-id", Value: "1\nx: y"}} },
		"connection":          func(r *h2.Request) { r.Fields = []h2.Field{{Name: "connection", Value: "close"}} },
		"length":              func(r *h2.Request) { r.Fields = []h2.Field{{Name: "content-length", Value: "1"}} },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, h2.Config{}, func(w *world) {
				var told []int
				reqs := post(t, 3, "x")
				spoil(&reqs[1])
				b := &h2.Batch{Requests: reqs, Done: func(ready []int) { told = append(told, ready...) }}
				if err := w.pool.Start(context.Background(), b); err != nil {
					t.Fatal(err)
				}
				p := w.accept()
				p.answerAll(p.expect(2))
				got := w.wait(b)
				wantOK(t, []h2.Response{got[0], got[2]})
				wantErr(t, got[1], h2.Invalid, false)
				if slices.Sort(told); !slices.Equal(told, []int{0, 1, 2}) {
					t.Errorf("Done was told %v", told)
				}
				// All of a batch.
				b.Requests = reqs[1:2]
				if err := w.pool.Start(context.Background(), b); err != nil {
					t.Fatal(err)
				}
				wantErr(t, w.wait(b)[0], h2.Invalid, false)
			})
		})
	}
}

func TestInvalidHeaders(t *testing.T) {
	for name, f := range map[string]func() (*h2.Headers, error){
		"method":  func() (*h2.Headers, error) { return h2.NewHeaders("PO ST") },
		"nothing": func() (*h2.Headers, error) { return h2.NewHeaders("") },
		"name":    func() (*h2.Headers, error) { return h2.NewHeaders("POST", h2.Field{Name: "A", Value: "b"}) },
		"value":   func() (*h2.Headers, error) { return h2.NewHeaders("POST", h2.Field{Name: "a", Value: "b\x00"}) },
		"path":    func() (*h2.Headers, error) { return h2.NewHeaders("POST", h2.Field{Name: ":path", Value: "x"}) },
		"host":    func() (*h2.Headers, error) { return h2.NewHeaders("POST", h2.Field{Name: "host", Value: "x"}) },
	} {
		if h, err := f(); err == nil {
			t.Errorf("%s: %v and no error", name, h)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for _, cfg := range []h2.Config{
		{},
		{URL: "ftp://example.com"},
		{URL: "https://"},
		{URL: "https://example.com/path"},
		{URL: "https://user:secret@example.com"},
		{URL: "https://exa mple\x00.com:secret"},
		{URL: "https://example.com", Connections: -1},
		{URL: "https://example.com", Timeout: -1},
		{URL: "https://example.com", MaxBodyBytes: 1 << 20},
		{URL: "https://example.com", Keep: make([]string, 5)},
	} {
		p, err := h2.Open(cfg)
		if err == nil {
			_ = p.Close(t.Context())
			t.Errorf("%+v is taken", cfg)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("error %q holds a secret", err)
		}
	}
}

func TestStablePath(t *testing.T) {
	bubble(t, h2.Config{}, func(w *world) {
		h, err := h2.NewHeaders("POST", h2.Field{Name: ":path", Value: "/v1/send"})
		if err != nil {
			t.Fatal(err)
		}
		b := w.start(h2.Request{Headers: h}, h2.Request{Headers: h}, h2.Request{Headers: h, Path: "/other"}, h2.Request{Headers: h})
		p := w.accept()
		rs := p.expect(4)
		for i, want := range []string{"/v1/send", "/v1/send", "/other", "/v1/send"} {
			if got := rs[i].get(":path"); got != want {
				t.Errorf("request %d: path %q, want %q", i, got, want)
			}
			if got := rs[i].get("content-length"); got != "0" {
				t.Errorf("request %d: content-length %q, want 0", i, got)
			}
		}
		p.answerAll(rs)
		wantOK(t, w.wait(b))
	})
}

func TestDoneAndReuse(t *testing.T) {
	bubble(t, h2.Config{}, func(w *world) {
		var told []int
		calls, inside := 0, false
		b := &h2.Batch{Requests: post(t, 100, "x"), Done: func(ready []int) {
			if inside {
				t.Error("Done is called while it runs")
			}
			inside = true
			calls++
			told = append(told, ready...)
			inside = false
		}}
		var p *peer
		for round := range 3 {
			told, calls = nil, 0
			if err := w.pool.Start(context.Background(), b); err != nil {
				t.Fatal(err)
			}
			if round == 0 {
				p = w.accept()
			}
			rs := p.expect(100)
			for _, r := range rs[:60] {
				_ = p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: r.id, BlockFragment: []byte{0x88}, EndStream: true, EndHeaders: true})
			}
			p.flush()
			synctest.Wait()
			if len(told) != 60 || calls > 3 {
				t.Errorf("Done was told of %d requests in %d calls, want 60 in few", len(told), calls)
			}
			p.answerAll(rs[60:])
			wantOK(t, w.wait(b))
			slices.Sort(told)
			for i, n := range told {
				if i != n {
					t.Fatalf("Done was told %v", told)
				}
			}
			if len(told) != 100 {
				t.Errorf("Done was told of %d requests, want 100", len(told))
			}
		}
	})
}

func TestEmptyBatch(t *testing.T) {
	bubble(t, h2.Config{}, func(w *world) {
		if got := w.pool.Do(context.Background(), nil); len(got) != 0 {
			t.Errorf("%d responses", len(got))
		}
		if len(w.dials) != 0 {
			t.Error("it connects for nothing")
		}
	})
}

func TestCloseWaitsForAnswers(t *testing.T) {
	bubble(t, h2.Config{Connections: 1}, func(w *world) {
		b := w.start(post(t, 3, "x")...)
		p := w.accept(maxStreams(2))
		rs := p.expect(2)
		closed := make(chan error, 2)
		for range 2 {
			go func() { closed <- w.pool.Close(context.Background()) }()
		}
		synctest.Wait()
		if err := w.pool.Start(context.Background(), &h2.Batch{Requests: post(t, 1, "x")}); h2.ReasonOf(err) != h2.Closed || !errors.Is(err, h2.ErrClosed) {
			t.Errorf("Start after Close: %v", err)
		}
		wantErr(t, w.pool.Do(context.Background(), post(t, 1, "x"))[0], h2.Closed, false)
		p.answerAll(rs)
		p.answerAll(p.expect(1))
		wantOK(t, w.wait(b))
		for range 2 {
			if err := <-closed; err != nil {
				t.Error(err)
			}
		}
		p.expectGoAway(http2.ErrCodeNo)
	})
}

func TestCloseDoesNotWaitForEver(t *testing.T) {
	bubble(t, h2.Config{Connections: 1, MaxQueued: 1}, func(w *world) {
		b := w.start(post(t, 3, "x")...)
		p := w.accept(maxStreams(1))
		p.expect(1)
		waiting := make(chan error, 1)
		go func() {
			waiting <- w.pool.Start(context.Background(), &h2.Batch{Requests: post(t, 1, "x")})
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		start := time.Now()
		if err := w.pool.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v, want the end of the context", err)
		}
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("Close took %v", d)
		}
		if err := <-waiting; h2.ReasonOf(err) != h2.Closed {
			t.Errorf("Start that waited: %v", err)
		}
		got := w.wait(b)
		wantErr(t, got[0], h2.Closed, true)
		wantErr(t, got[1], h2.Closed, false)
		wantErr(t, got[2], h2.Closed, false)
	})
}

func TestCloseWhileConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool, err := h2.Open(h2.Config{URL: "http://push.example", Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		if err != nil {
			t.Fatal(err)
		}
		b := &h2.Batch{Requests: post(t, 1, "x")}
		if err := pool.Start(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := pool.Close(ctx); err == nil {
			t.Error("Close does not say that something was left")
		}
		b.Wait()
		wantErr(t, b.Responses[0], h2.Closed, false)
	})
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	bubble(t, h2.Config{Name: "apns", Metrics: h2.NewMetrics(reg), Connections: 1}, func(w *world) {
		b := w.start(post(t, 5, "x")...)
		p := w.accept()
		rs := p.expect(5)
		p.reset(rs[0].id, http2.ErrCodeRefusedStream)
		p.reset(rs[1].id, http2.ErrCodeInternal)
		p.answerAll(rs[2:])
		p.answerAll(p.expect(1))
		w.wait(b)
		got := map[string]float64{}
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				got[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
		delete(got, "furima_push_h2_writes_total") // as it comes
		want := map[string]float64{
			"furima_push_h2_connections": 1, "furima_push_h2_connects_total": 1, "furima_push_h2_requests_total": 6,
			"furima_push_h2_errors_total": 1, "furima_push_h2_resent_total": 1,
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("metrics (-want +got):\n%s", d)
		}
	})
}
