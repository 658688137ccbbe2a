package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/furima/furima/client"
)

// ledger holds what callers were told against what has arrived. Every
// notification has a number, which its token and its text say.
type ledger struct {
	t  *testing.T
	on []*standIn

	mu    sync.Mutex // guards what follows
	next  int        // number of the next notification
	kept  []bool     // by number: a gateway has answered that it is accepted
	none  []bool     // by number: a gateway has answered that nothing was taken
	known []string   // by number: the apns-id that it arrived under

	seen      []int64 // by stand-in: the last delivery that is in here
	accepted  int     // notifications that a gateway has answered for
	arrived   int     // of those and of those without an answer: notifications, repeats left out
	repeats   int     // deliveries of what had arrived before
	renamed   []int   // numbers that came under two apns-ids
	unwanted  []int   // numbers that came although nothing was taken
	uncertain int     // requests without an answer
}

func newLedger(t *testing.T, on ...*standIn) *ledger {
	return &ledger{t: t, on: on, seen: make([]int64, len(on))}
}

// take returns the first of n new numbers.
func (l *ledger) take(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := l.next
	l.next += n
	l.kept = append(l.kept, make([]bool, n)...)
	l.none = append(l.none, make([]bool, n)...)
	l.known = append(l.known, make([]string, n)...)
	return first
}

// note writes down what a gateway has said to the notifications first …
// first+n-1.
func (l *ledger) note(first, n int, a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch a {
	case yes:
		l.accepted += n
	case noAnswer:
		l.uncertain++
	}
	for i := first; i < first+n; i++ {
		l.kept[i] = a == yes
		l.none[i] = a == no
	}
}

// answer is what a request was told.
type answer int

const (
	noAnswer answer = iota // or one that leaves it open whether anything was taken
	yes
	no // nothing was taken
)

// read takes in what has arrived since the last time.
func (l *ledger) read() {
	l.t.Helper()
	for i, s := range l.on {
		for _, d := range s.since(l.seen[i]) {
			l.seen[i] = d.Seq
			l.deliver(d)
		}
	}
}

func (l *ledger) deliver(d delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := deviceNumber(d.Token)
	if n < 0 || n >= l.next {
		return // not ours
	}
	switch l.known[n] {
	case "":
		l.known[n] = d.APNSID
		l.arrived++
	case d.APNSID:
		l.repeats++
	default:
		l.repeats++
		l.renamed = append(l.renamed, n)
	}
	if l.none[n] {
		l.unwanted = append(l.unwanted, n)
	}
}

// lost returns how many notifications with numbers below end were accepted and
// have not arrived.
func (l *ledger) lost(end int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	lost := 0
	for i, kept := range l.kept[:end] {
		if kept && l.known[i] == "" {
			lost++
		}
	}
	return lost
}

// settle waits until everything that was accepted before the call has arrived.
// It returns how much is still missing when nothing of it has come for half a minute: with the
// longest lease and pause of these tests that is for ever.
func (l *ledger) settle() (lost int) {
	l.t.Helper()
	l.mu.Lock()
	end := l.next
	l.mu.Unlock()
	quiet := time.NewTimer(30 * time.Second)
	defer quiet.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for before := -1; ; {
		l.read()
		if lost = l.lost(end); lost == 0 {
			return 0
		}
		if lost != before {
			before = lost
			quiet.Reset(30 * time.Second)
		}
		select {
		case <-tick.C:
		case <-quiet.C:
			return lost
		case <-l.t.Context().Done():
			return lost
		}
	}
}

// check holds that nothing accepted is lost, that repeats are at most bound, each
// under its old apns-id, and that what a gateway said it had not taken has not
// come.
func (l *ledger) check(bound int) {
	l.t.Helper()
	lost := l.settle()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.accepted == 0 {
		l.t.Error("nothing was accepted: the test shows nothing")
	}
	if lost > 0 {
		l.t.Errorf("%d of %d accepted notifications are lost", lost, l.accepted)
	}
	if l.repeats > bound {
		l.t.Errorf("%d notifications were repeated, of at most %d that can have been in flight", l.repeats, bound)
	}
	if len(l.renamed) > 0 {
		l.t.Errorf("%d notifications came under two apns-ids, the first is number %d", len(l.renamed), l.renamed[0])
	}
	if len(l.unwanted) > 0 {
		l.t.Errorf("%d notifications came although the gateway had said that it took nothing, the first is number %d", len(l.unwanted), l.unwanted[0])
	}
}

func (l *ledger) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("accepted %d, delivered %d, repeats %d, requests without an answer %d", l.accepted, l.arrived, l.repeats, l.uncertain)
}

const (
	// inFlight is how many notifications a gateway of these tests may have at
	// Apple without an answer.
	inFlight = 400
	// mayRepeat is how many it sends again after kill -9, or after its database
	// was away: those, and as many again that have an answer which is not on disk yet.
	mayRepeat = 2 * inFlight
)

// bounded is the stand-in's table for a gateway with inFlight.
func (s *standIn) bounded() string { return s.with(fmt.Sprint("max_in_flight = ", inFlight)) }

// request is n notifications of the given numbers, all of one text.
func request(first, n int) client.PushRequest {
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i] = deviceToken(first + i)
	}
	return client.PushRequest{Notifications: []client.Notification{{
		Platform: client.APNS, Tokens: tokens, Title: "news", Body: fmt.Sprint("messages from ", first),
	}}}
}

// send sends n notifications with one request and notes the answer.
func (l *ledger) send(ctx context.Context, p *client.Push, n int) (client.PushAccepted, error) {
	first := l.take(n)
	return l.sendAs(ctx, p, first, n, "")
}

func (l *ledger) sendAs(ctx context.Context, p *client.Push, first, n int, key string) (client.PushAccepted, error) {
	req := request(first, n)
	req.IdempotencyKey = key
	accepted, err := p.Send(ctx, req)
	l.note(first, n, answerOf(err))
	return accepted, err
}

func answerOf(err error) answer {
	if err == nil {
		return yes
	}
	// Of 503 the gateway says itself that nobody can tell.
	if p, ok := errors.AsType[*client.Problem](err); ok && p.Status < 500 {
		return no
	}
	return noAnswer
}

// mustSend is send for requests that have to be accepted.
func (l *ledger) mustSend(p *client.Push, n int) client.PushAccepted {
	l.t.Helper()
	accepted, err := l.send(l.t.Context(), p, n)
	if err != nil || accepted.Accepted != n {
		l.t.Fatalf("Send: %+v, %v", accepted, err)
	}
	return accepted
}

// pushClient is a client whose connections end with the test.
func pushClient(t *testing.T, addr string) *client.Push {
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	return client.NewPush(client.PushOptions{URL: "http://" + addr, HTTPClient: &http.Client{Transport: transport, Timeout: 90 * time.Second}})
}
