package fcm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/h2"
)

// played is a sender in a bubble, with a server at the other end that the test
// plays.
type played struct {
	t       *testing.T
	sender  *sender
	issued  int // access tokens
	dials   int
	away    error // what a dial meets
	peers   chan *peer
	results chan []push.Result
}

// play runs a test in a bubble.
func play(t *testing.T, perMinute int, f func(t *testing.T, p *played)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &played{t: t, peers: make(chan *peer, 100), results: make(chan []push.Result, 100)}
		w, err := openWire(wireOptions{endpoint: "http://google.example", connections: 2, maxInFlight: 200, timeout: 10 * time.Second, dial: p.dial})
		if err != nil {
			t.Fatal(err)
		}
		provider := NewProvider(Options{})
		p.sender = &sender{app: "market", logger: slog.New(slog.DiscardHandler), now: time.Now, wire: w, quota: provider.quota("p", perMinute)}
		p.sender.tokens = &tokenSource{now: time.Now, fetch: p.fetch}
		defer func() {
			if err := p.sender.Close(); err != nil {
				t.Error(err)
			}
		}()
		f(t, p)
	})
}

func (p *played) fetch(context.Context) (*access, error) {
	p.issued++
	h, err := h2.NewHeaders("POST", h2.Field{Name: ":path", Value: sendPath("p")},
		h2.Field{Name: "authorization", Value: "Bearer token" + strconv.Itoa(p.issued)}, h2.Field{Name: "content-type", Value: "application/json"})
	return &access{headers: h, issued: time.Now(), expires: time.Now().Add(time.Hour)}, err
}

func (p *played) dial(context.Context, string, string) (net.Conn, error) {
	p.dials++
	if p.away != nil {
		return nil, p.away
	}
	client, server := net.Pipe()
	peer := &peer{nc: server, in: make(chan heard, 10_000)}
	peer.fr = http2.NewFramer(&peer.out, server)
	peer.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	go peer.read()
	p.peers <- peer
	return client, nil
}

// send begins to send n messages.
func (p *played) send(n int) {
	p.t.Helper()
	batch := messages(p.t, p.sender, n)
	go func() { p.results <- send(p.t.Context(), p.t, p.sender, batch) }()
}

// accept returns the next connection, with the settings sent.
func (p *played) accept(streams uint32) *peer {
	p.t.Helper()
	synctest.Wait()
	select {
	case peer := <-p.peers:
		_ = peer.fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: streams})
		_ = peer.fr.WriteWindowUpdate(0, 1<<30)
		peer.flush()
		return peer
	case <-time.After(time.Minute):
		p.t.Fatal("no connection within a minute")
		return nil
	}
}

func (p *played) wantAll(outcome push.Outcome, reason string) []push.Result {
	p.t.Helper()
	results := <-p.results
	for i, r := range results {
		if r.Outcome != outcome || r.Reason != reason {
			p.t.Errorf("message %d: %v %q %v, want %v %q", i, r.Outcome, r.Reason, r.Err, outcome, reason)
		}
	}
	return results
}

// peer is the server's end of a connection.
type peer struct {
	nc  net.Conn
	fr  *http2.Framer
	out bytes.Buffer
	in  chan heard
}

type heard struct {
	stream uint32
	fields []hpack.HeaderField
	body   []byte
}

func (h heard) get(name string) string {
	for _, f := range h.fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// read keeps requests.
func (p *peer) read() {
	if _, err := io.CopyN(io.Discard, p.nc, int64(len(http2.ClientPreface))); err != nil {
		return
	}
	under := make(map[uint32]*heard)
	for {
		f, err := p.fr.ReadFrame()
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			under[f.StreamID] = &heard{stream: f.StreamID, fields: f.Fields}
		case *http2.DataFrame:
			h := under[f.StreamID]
			h.body = append(h.body, f.Data()...)
			if f.StreamEnded() {
				delete(under, f.StreamID)
				p.in <- *h
			}
		}
	}
}

// expect returns the requests that have come, which must be n.
func (p *peer) expect(t *testing.T, n int) []heard {
	t.Helper()
	synctest.Wait()
	if len(p.in) != n {
		t.Fatalf("%d requests have come, want %d", len(p.in), n)
	}
	reqs := make([]heard, n)
	for i := range reqs {
		reqs[i] = <-p.in
	}
	return reqs
}

func (p *peer) flush() {
	_, _ = p.nc.Write(p.out.Bytes())
	p.out.Reset()
}

func (p *peer) answer(status int, retryAfter, body string, reqs ...heard) {
	for _, r := range reqs {
		var block bytes.Buffer
		enc := hpack.NewEncoder(&block)
		_ = enc.WriteField(hpack.HeaderField{Name: ":status", Value: strconv.Itoa(status), Sensitive: true})
		if retryAfter != "" {
			_ = enc.WriteField(hpack.HeaderField{Name: "retry-after", Value: retryAfter, Sensitive: true})
		}
		_ = p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: r.stream, BlockFragment: block.Bytes(), EndHeaders: true})
		_ = p.fr.WriteData(r.stream, true, []byte(body))
	}
	p.flush()
}

const taken = `{"name":"projects/p/messages/0:1"}`

func TestRequests(t *testing.T) {
	t.Parallel()
	play(t, -1, func(t *testing.T, p *played) {
		p.send(10)
		google := p.accept(100)
		reqs := google.expect(t, 10)
		google.answer(200, "", taken, reqs...)
		p.wantAll(push.Sent, "")
		for i, r := range reqs {
			for name, want := range map[string]string{
				":method": "POST", ":path": "/v1/projects/p/messages:send", "authorization": "Bearer token1",
				"content-type": "application/json", "content-length": strconv.Itoa(len(r.body)),
			} {
				if got := r.get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			var body struct {
				Message struct {
					Token string            `json:"token"`
					Data  map[string]string `json:"data"`
				} `json:"message"`
			}
			if err := json.Unmarshal(r.body, &body); err != nil || body.Message.Token != token(i) || body.Message.Data["order"] != "or_1" {
				t.Errorf("body %d: %v, %s", i, err, r.body)
			}
		}
	})
}

// A connection carries what the server allows, all of them what is configured.
func TestInFlight(t *testing.T) {
	t.Parallel()
	play(t, -1, func(t *testing.T, p *played) {
		p.send(300)
		first := p.accept(40)
		a := first.expect(t, 40)
		second := p.accept(1000)
		b := second.expect(t, 100) // half of maxInFlight
		first.answer(200, "", taken, a...)
		a = first.expect(t, 40)
		second.answer(200, "", taken, b...)
		b = second.expect(t, 100)
		first.answer(200, "", taken, a...)
		a = first.expect(t, 20)
		first.answer(200, "", taken, a...)
		second.answer(200, "", taken, b...)
		p.wantAll(push.Sent, "")
		if len(p.peers) > 0 {
			t.Error("a third connection")
		}
	})
}

func TestGoAwayMidBatch(t *testing.T) {
	t.Parallel()
	play(t, -1, func(t *testing.T, p *played) {
		p.send(20)
		old := p.accept(100)
		reqs := old.expect(t, 20)
		_ = old.fr.WriteGoAway(reqs[9].stream, http2.ErrCodeNo, nil)
		old.flush()
		old.answer(200, "", taken, reqs[:10]...)
		fresh := p.accept(100)
		fresh.answer(200, "", taken, fresh.expect(t, 10)...)
		p.wantAll(push.Sent, "")
	})
}

func TestLostConnection(t *testing.T) {
	t.Parallel()
	play(t, -1, func(t *testing.T, p *played) {
		p.send(5)
		google := p.accept(100)
		google.expect(t, 5)
		_ = google.nc.Close()
		p.wantAll(push.Retry, reasonLost) // Google may have them
	})
}

func TestSilentServer(t *testing.T) {
	t.Parallel()
	play(t, -1, func(t *testing.T, p *played) {
		began := time.Now()
		p.send(50)
		p.accept(100)
		for i, r := range <-p.results {
			if r.Outcome != push.Retry || r.Reason != reasonTimeout && r.Reason != reasonLost {
				t.Fatalf("message %d: %v %s", i, r.Outcome, r.Reason)
			}
		}
		if took := time.Since(began); took > 25*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestUnreachableComesBack(t *testing.T) {
	t.Parallel()
	play(t, -1, func(t *testing.T, p *played) {
		p.away = errors.New("connection refused")
		p.send(3000) // more than the queue holds
		for i, r := range <-p.results {
			if r.Outcome != push.Down || r.Reason != reasonUnreachable || !errors.Is(r.Err, p.away) {
				t.Fatalf("message %d: %+v", i, r)
			}
		}
		p.away = nil
		p.send(1) // the gateway's probe
		google := p.accept(100)
		google.answer(200, "", taken, google.expect(t, 1)...)
		p.wantAll(push.Sent, "")
	})
}

// Answers that are not what Google documents end nothing that can be saved.
func TestBrokenAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status  int
		body    string
		outcome push.Outcome
		reason  string
	}{
		"half a 404":           {404, `{"error":{"code":404,"status":"NOT_FOU`, push.Refused, "HTTP 404"},
		"a page":               {404, "<html>", push.Refused, "HTTP 404"},
		"a long one":           {404, `{"error":{"message":"` + strings.Repeat("x", maxAnswerBytes) + `","status":"NOT_FOUND"}}`, push.Refused, "HTTP 404"},
		"a string for details": {503, `{"error":{"status":"UNAVAILABLE","details":"none"}}`, push.Retry, "UNAVAILABLE"},
		"empty":                {500, ``, push.Retry, "HTTP 500"},
		"200 that is no JSON":  {200, `<`, push.Sent, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, -1, func(_ *testing.T, p *played) {
				p.send(3)
				google := p.accept(100)
				google.answer(c.status, "", c.body, google.expect(t, 3)...)
				p.wantAll(c.outcome, c.reason)
			})
		})
	}
}

func TestRetryAfterAsADate(t *testing.T) {
	t.Parallel()
	play(t, -1, func(t *testing.T, p *played) {
		p.send(1)
		google := p.accept(100)
		google.answer(503, time.Now().UTC().Add(90*time.Second).Format("Mon, 02 Jan 2006 15:04:05 GMT"), "", google.expect(t, 1)...)
		if r := p.wantAll(push.Retry, "HTTP 503")[0]; r.After != 90*time.Second {
			t.Errorf("again after %v", r.After)
		}
	})
}

// The quota holds messages back, and what is held back costs no connection.
func TestSendKeepsTheQuota(t *testing.T) {
	t.Parallel()
	play(t, 600, func(t *testing.T, p *played) { // ten a second
		began := time.Now()
		p.send(30)
		google := p.accept(100)
		for i := range 30 {
			google.answer(200, "", taken, google.expect(t, 1)...)
			if i < 29 {
				time.Sleep(100*time.Millisecond + time.Millisecond)
			}
		}
		p.wantAll(push.Sent, "")
		if took := time.Since(began); took < 2900*time.Millisecond {
			t.Errorf("30 at ten a second took %v", took)
		}
	})
}

func TestSendWaitsForTheQuotaWithinItsContext(t *testing.T) {
	t.Parallel()
	play(t, 1, func(t *testing.T, p *played) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		batch := messages(t, p.sender, 100)
		go func() { p.results <- send(ctx, t, p.sender, batch) }()
		google := p.accept(100)
		google.answer(200, "", taken, google.expect(t, 1)...)
		results := <-p.results
		if err := ctx.Err(); err == nil {
			t.Error("it did not wait")
		}
		wantTally(t, results, map[string]int{"sent": 1, "retry": 99})
	})
}

// A batch may take longer than an access token lasts.
func TestTokenIsReplacedWithinABatch(t *testing.T) {
	t.Parallel()
	play(t, 1, func(t *testing.T, p *played) {
		p.send(120) // two hours
		google := p.accept(100)
		seen := make(map[string]int)
		for range 120 {
			synctest.Wait()
			for len(google.in) == 0 {
				time.Sleep(time.Second)
				synctest.Wait()
				select {
				case other := <-p.peers: // the old one was idle for too long
					google = other
					_ = google.fr.WriteSettings()
					_ = google.fr.WriteWindowUpdate(0, 1<<20)
					google.flush()
				default:
				}
			}
			reqs := google.expect(t, 1)
			seen[reqs[0].get("authorization")]++
			google.answer(200, "", taken, reqs...)
		}
		p.wantAll(push.Sent, "")
		if len(seen) != 3 || p.issued != 3 {
			t.Errorf("%d tokens were used, %d issued: %v", len(seen), p.issued, seen)
		}
	})
}

// When Google is away or busy, the rest of a batch does not add to it.
func TestTroubleStopsTheBatch(t *testing.T) {
	t.Parallel()
	t.Run("unreachable", func(t *testing.T) {
		t.Parallel()
		play(t, 60_000, func(t *testing.T, p *played) { // in flights of a hundred
			p.away = errors.New("connection refused")
			p.send(1000)
			p.wantAll(push.Down, reasonUnreachable)
			if p.dials != giveUpAfter {
				t.Errorf("%d dials, want %d", p.dials, giveUpAfter)
			}
		})
	})
	t.Run("unavailable", func(t *testing.T) {
		t.Parallel()
		play(t, 60_000, func(t *testing.T, p *played) {
			p.send(1000)
			google := p.accept(100)
			google.answer(503, "20", fcmBody("UNAVAILABLE"), google.expect(t, 100)...)
			for i, r := range p.wantAll(push.Retry, "UNAVAILABLE") {
				if r.After != 20*time.Second {
					t.Fatalf("message %d again after %v", i, r.After)
				}
			}
			google.expect(t, 0)
		})
	})
	t.Run("unavailable for most", func(t *testing.T) {
		t.Parallel()
		play(t, 60_000, func(t *testing.T, p *played) {
			p.send(200)
			google := p.accept(100)
			reqs := google.expect(t, 100)
			google.answer(503, "", fcmBody("UNAVAILABLE"), reqs[1:]...)
			google.answer(200, "", taken, reqs[0])
			time.Sleep(time.Second)
			google.answer(200, "", taken, google.expect(t, 100)...)
			wantTally(t, <-p.results, map[string]int{"sent": 101, "retry UNAVAILABLE": 99})
		})
	})
}

// A token that expires in the middle of a batch is not tried to its end.
func TestStaleTokenWithinABatch(t *testing.T) {
	t.Parallel()
	play(t, 60_000, func(t *testing.T, p *played) {
		p.send(300)
		google := p.accept(100)
		reqs := google.expect(t, 100)
		google.answer(200, "", taken, reqs[:90]...)
		google.answer(401, "", rpcBody("UNAUTHENTICATED"), reqs[90:]...)
		for _, n := range []int{100, 100, 10} {
			time.Sleep(time.Second)
			reqs := google.expect(t, n)
			if got := reqs[0].get("authorization"); got != "Bearer token2" {
				t.Errorf("with %q", got)
			}
			google.answer(200, "", taken, reqs...)
		}
		p.wantAll(push.Sent, "")
	})
}

// Answers to topics say nothing about a device.
func TestAudienceIsNoDevice(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]push.Outcome{
		fcmBody("INVALID_ARGUMENT"): push.Rejected,
		fcmBody("UNREGISTERED"):     push.Rejected,
		rpcBody("NOT_FOUND"):        push.Refused,
	} {
		play(t, -1, func(t *testing.T, p *played) {
			batch := messages(t, p.sender, 1)
			batch[0].Token = "/topics/news"
			go func() { p.results <- send(t.Context(), t, p.sender, batch) }()
			google := p.accept(100)
			google.answer(404, "", body, google.expect(t, 1)...)
			if r := (<-p.results)[0]; r.Outcome != want {
				t.Errorf("%s: %+v", body, r)
			}
		})
	}
}

// What was not rendered here is not sent.
func TestForeignPayload(t *testing.T) {
	t.Parallel()
	play(t, -1, func(t *testing.T, p *played) {
		batch := messages(t, p.sender, 3)
		batch[0].Rendered = &push.Rendered{}
		batch[2].Rendered = &push.Rendered{Payload: []byte("x")}
		go func() { p.results <- send(t.Context(), t, p.sender, batch) }()
		google := p.accept(100)
		google.answer(200, "", taken, google.expect(t, 1)...)
		wantTally(t, <-p.results, map[string]int{"sent": 1, "rejected InvalidHeader": 2})
	})
}
