package apns

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/furima/furima/internal/push"
)

// played is a sender in a bubble, with a server at the other end that the test
// plays.
type played struct {
	t       *testing.T
	sender  *sender
	dials   int
	away    error // what a dial meets
	peers   chan *peer
	results chan []push.Result
}

// play runs a test in a bubble.
func play(t *testing.T, f func(t *testing.T, p *played)) {
	t.Helper()
	playWith(t, true, f)
}

// playWith runs a test in a bubble, with a provider token or with a certificate.
func playWith(t *testing.T, token bool, f func(t *testing.T, p *played)) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		p := &played{t: t, peers: make(chan *peer, 100), results: make(chan []push.Result, 100)}
		w, err := openWire(wireOptions{
			endpoint: "http://apple.example", connections: 2, maxInFlight: 1000, timeout: 10 * time.Second, token: token, dial: p.dial,
		})
		if err != nil {
			t.Fatal(err)
		}
		p.sender = &sender{topic: "com.example.market", wire: w}
		if token {
			p.sender.tokens = &tokenSource{key: key, keyID: "K", teamID: "T", now: time.Now}
		}
		defer func() {
			if err := p.sender.Close(); err != nil {
				t.Error(err)
			}
		}()
		f(t, p)
	})
}

func (p *played) dial(context.Context, string, string) (net.Conn, error) {
	p.dials++
	if p.away != nil {
		return nil, p.away
	}
	client, server := net.Pipe()
	peer := &peer{nc: server, in: make(chan heard, 10_000), ended: make(chan struct{})}
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

// accept returns the next connection, with Apple's settings sent.
func (p *played) accept() *peer {
	p.t.Helper()
	synctest.Wait()
	select {
	case peer := <-p.peers:
		_ = peer.fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1000})
		_ = peer.fr.WriteWindowUpdate(0, 1<<30)
		peer.flush()
		return peer
	case <-time.After(time.Minute):
		p.t.Fatal("no connection within a minute")
		return nil
	}
}

func (p *played) wantAll(outcome push.Outcome, reason string) {
	p.t.Helper()
	for i, r := range <-p.results {
		if r.Outcome != outcome || r.Reason != reason {
			p.t.Errorf("message %d: %v %q %v, want %v %q", i, r.Outcome, r.Reason, r.Err, outcome, reason)
		}
	}
}

// peer is the server's end of a connection.
type peer struct {
	nc  net.Conn
	fr  *http2.Framer
	out bytes.Buffer
	in  chan heard

	ended chan struct{} // closed when the sender has closed the connection
}

type heard struct {
	stream uint32
	fields []hpack.HeaderField
}

// read keeps the headers of requests.
func (p *peer) read() {
	defer close(p.ended)
	if _, err := io.CopyN(io.Discard, p.nc, int64(len(http2.ClientPreface))); err != nil {
		return
	}
	for {
		f, err := p.fr.ReadFrame()
		if err != nil {
			return
		}
		if h, ok := f.(*http2.MetaHeadersFrame); ok {
			p.in <- heard{h.StreamID, h.Fields}
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

func (p *peer) answer(status int, body string, reqs ...heard) {
	for _, r := range reqs {
		var block bytes.Buffer
		_ = hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: strconv.Itoa(status), Sensitive: true})
		_ = p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: r.stream, BlockFragment: block.Bytes(), EndHeaders: true})
		_ = p.fr.WriteData(r.stream, true, []byte(body))
	}
	p.flush()
}

func TestOneStreamUntilTheFirstAnswer(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, p *played) {
		p.send(50)
		apple := p.accept()
		first := apple.expect(t, 1)
		apple.answer(200, "", first...)
		rest := apple.expect(t, 49)
		apple.answer(200, "", rest...)
		p.wantAll(push.Sent, "")
		ids := make(map[string]bool)
		for _, r := range append(first, rest...) {
			for _, f := range r.fields {
				own := f.Name == ":path" || f.Name == "apns-id" || f.Name == "content-length"
				if f.Sensitive != own && f.Name != "content-length" {
					t.Fatalf("%s is never indexed: %v", f.Name, f.Sensitive)
				}
				if f.Name == "apns-id" {
					ids[f.Value] = true
				}
				if f.Name == "authorization" && !strings.HasPrefix(f.Value, "bearer ") {
					t.Fatal("no bearer token")
				}
			}
		}
		if batch := messages(t, p.sender, 50); len(ids) != 50 || !ids[batch[49].ID.String()] {
			t.Errorf("%d ids, %s among them: %v", len(ids), batch[49].ID, ids[batch[49].ID.String()])
		}
	})
}

func TestFieldsOfANotification(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, p *played) {
		var batch []push.Message
		for i, n := range []push.Notification{
			{Body: "a", CollapseID: "or_1", TTL: push.Duration(time.Hour)},
			{Body: "b", Priority: push.Low},
			{Body: "c", CollapseID: "or_2"},
		} {
			r, faults := p.sender.Render(&n, time.Unix(1_800_000_000, 0))
			if faults != nil {
				t.Fatal(faults)
			}
			batch = append(batch, push.Message{Token: token(i), Rendered: &r}, push.Message{Token: token(i + 10), Rendered: &r})
		}
		go func() { p.results <- send(t.Context(), t, p.sender, batch) }()
		apple := p.accept()
		reqs := apple.expect(t, 1)
		apple.answer(200, "", reqs...)
		reqs = append(reqs, apple.expect(t, 5)...)
		apple.answer(200, "", reqs[1:]...)
		p.wantAll(push.Sent, "")
		for i, want := range []string{"10 1800003600 or_1", "1  ", "10  or_2"} {
			for j := range 2 {
				got := make(map[string]string)
				for _, f := range reqs[2*i+j].fields {
					got[f.Name] = f.Value
				}
				if s := got["apns-priority"] + " " + got["apns-expiration"] + " " + got["apns-collapse-id"]; s != want || got[":path"] != "/3/device/"+token(i+10*j) {
					t.Errorf("request %d of notification %d: %q to %s, want %q", j, i, s, got[":path"], want)
				}
			}
		}
	})
}

func TestGoAwayMidBatch(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, p *played) {
		p.send(21)
		old := p.accept()
		old.answer(200, "", old.expect(t, 1)...)
		reqs := old.expect(t, 20)
		_ = old.fr.WriteGoAway(reqs[9].stream, http2.ErrCodeNo, []byte(`{"reason":"Shutdown"}`))
		old.flush()
		old.answer(200, "", reqs[:10]...)
		fresh := p.accept()
		fresh.answer(200, "", fresh.expect(t, 1)...)
		fresh.answer(200, "", fresh.expect(t, 9)...)
		p.wantAll(push.Sent, "")
	})
}

func TestLostConnection(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, p *played) {
		p.send(10)
		apple := p.accept()
		apple.answer(200, "", apple.expect(t, 1)...)
		apple.expect(t, 9)
		_ = apple.nc.Close()
		for i, r := range <-p.results {
			want := push.Result{Outcome: push.Retry, Reason: reasonLost} // Apple may have them
			if i == 0 {
				want = push.Result{Outcome: push.Sent}
			}
			if r.Outcome != want.Outcome || r.Reason != want.Reason {
				t.Errorf("message %d: %v %s", i, r.Outcome, r.Reason)
			}
		}
	})
}

func TestSilentServer(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, p *played) {
		start := time.Now()
		p.send(100)
		p.accept()
		for i, r := range <-p.results {
			if r.Outcome != push.Retry || r.Reason != reasonTimeout && r.Reason != reasonLost {
				t.Fatalf("message %d: %v %s", i, r.Outcome, r.Reason)
			}
		}
		if took := time.Since(start); took > 25*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestUnreachableComesBack(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, p *played) {
		p.away = errors.New("connection refused")
		start := time.Now()
		p.send(3000) // more than the queue holds
		p.send(1)
		for range 2 {
			for i, r := range <-p.results {
				if r.Outcome != push.Down || r.Reason != reasonUnreachable || !errors.Is(r.Err, p.away) {
					t.Fatalf("message %d: %+v", i, r)
				}
			}
		}
		if took := time.Since(start); p.dials != giveUpAfter || took > 2*time.Second {
			t.Errorf("%d dials, %v until it was known", p.dials, took)
		}
		p.away = nil
		p.send(1) // the gateway's probe
		apple := p.accept()
		apple.answer(200, "", apple.expect(t, 1)...)
		p.wantAll(push.Sent, "")
	})
}

func TestRefusedCredentialsEndTheBatch(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, p *played) {
		p.send(1000)
		apple := p.accept()
		for range enough {
			apple.answer(403, `{"reason":"InvalidProviderToken"}`, apple.expect(t, 1)...)
		}
		p.wantAll(push.Refused, "InvalidProviderToken")
		if n := len(apple.in); n > 1 { // one may be on its way when the rest is called off
			t.Errorf("%d more were sent", n)
		}
	})
}

func TestExpiredProviderTokenOfABatch(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, p *played) {
		if _, err := p.sender.tokens.authorization(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(tokenPause) // it may be replaced
		p.send(100)
		apple := p.accept()
		for range enough {
			apple.answer(403, `{"reason":"ExpiredProviderToken"}`, apple.expect(t, 1)...)
		}
		synctest.Wait()
		if len(apple.in) > 1 { // one may have been on its way when the rest was called off
			<-apple.in
		}
		apple.answer(200, "", apple.expect(t, 1)...)
		apple.answer(200, "", apple.expect(t, 99)...)
		p.wantAll(push.Sent, "")
	})
}

func TestOutage503(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, p *played) {
		p.send(30)
		apple := p.accept()
		for range 30 { // it serves nobody: one at a time
			apple.answer(503, `{"reason":"ServiceUnavailable"}`, apple.expect(t, 1)...)
		}
		p.wantAll(push.Retry, "ServiceUnavailable")
	})
}

func TestGone410(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, p *played) {
		p.send(10)
		apple := p.accept()
		const gone = `{"reason":"Unregistered","timestamp":1700000000000}`
		apple.answer(410, gone, apple.expect(t, 1)...) // an answer as good as any
		apple.answer(410, gone, apple.expect(t, 9)...)
		for i, r := range <-p.results {
			if r.Outcome != push.Unregistered || r.Since.UnixMilli() != 1_700_000_000_000 {
				t.Errorf("message %d: %+v", i, r)
			}
		}
	})
}

func TestMaxInFlight(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, p *played) {
		p.send(3000)
		apple := p.accept()
		apple.answer(200, "", apple.expect(t, 1)...)
		first := apple.expect(t, 500) // half of what may be under way
		other := p.accept()
		other.answer(200, "", other.expect(t, 1)...)
		second := other.expect(t, 500)
		if apple.expect(t, 0); len(p.peers) > 0 {
			t.Error("a third connection")
		}
		apple.answer(200, "", first...)
		first = apple.expect(t, 500)
		other.answer(200, "", second...)
		second = other.expect(t, 500)
		apple.answer(200, "", first...)
		first = apple.expect(t, 500)
		other.answer(200, "", second...)
		second = other.expect(t, 498)
		apple.answer(200, "", first...)
		other.answer(200, "", second...)
		p.wantAll(push.Sent, "")
	})
}
