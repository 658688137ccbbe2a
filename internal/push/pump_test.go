package push_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

// batchSender is a provider that sees batches as they come.
type batchSender struct {
	send func(ctx context.Context, batch []push.Message, done func(int, push.Result))

	mu      sync.Mutex
	batches [][]push.Message
}

func (s *batchSender) Render(n *push.Notification, _ time.Time) (push.Rendered, []push.FieldError) {
	return push.Rendered{Payload: []byte(n.Title)}, nil
}

func (s *batchSender) Send(ctx context.Context, batch []push.Message, done func(int, push.Result)) {
	s.mu.Lock()
	s.batches = append(s.batches, slices.Clone(batch))
	s.mu.Unlock()
	s.send(ctx, batch, done)
}

func (s *batchSender) Close() error { return nil }

// seen returns all batches so far.
func (s *batchSender) seen() [][]push.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.batches)
}

func answerAll(r push.Result) func(context.Context, []push.Message, func(int, push.Result)) {
	return func(_ context.Context, batch []push.Message, done func(int, push.Result)) {
		for i := range batch {
			done(i, r)
		}
	}
}

func toAPNS(s push.Sender) map[push.Platform]push.Provider {
	return map[push.Platform]push.Provider{push.APNS: always(s)}
}

// Requests of one message each are sent together, and each has its own result.
func TestSmallRequestsShareBatches(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, url string) {
		const requests = 300
		first := make(chan struct{})
		sender := &batchSender{}
		sender.send = func(_ context.Context, batch []push.Message, done func(int, push.Result)) {
			if batch[0].Token == token(0) {
				<-first // the others gather behind it
			}
			for i, m := range batch {
				r := push.Result{Outcome: push.Sent}
				if m.Token == token(7) {
					r = push.Result{Outcome: push.Rejected, Reason: "BadTopic"}
				}
				done(i, r)
			}
		}
		s := newStand(t, standOptions{url: url, cfg: push.Config{Apps: market()}, providers: toAPNS(sender)})
		s.gw.SetMaxInFlight("", 1) // nothing more, until the first has its answer
		ids := []string{s.send("", to(push.APNS, token(0)))}
		eventually(t, func() bool { return len(sender.seen()) == 1 }, s.logs.String)
		for i := 1; i < requests; i++ {
			ids = append(ids, s.send("", to(push.APNS, token(i))))
		}
		s.gw.SetMaxInFlight("", requests)
		close(first)
		for i, id := range ids {
			st := s.ended(id)
			if i == 7 && (st.Rejected != 1 || st.Reasons["BadTopic"] != 1) || i != 7 && st.Sent != 1 || st.Total != 1 {
				t.Errorf("request %d: %+v", i, st)
			}
		}
		batches := sender.seen()
		if len(batches) > requests/4 {
			t.Errorf("%d messages went in %d batches", requests, len(batches))
		}
		ids4tokens := map[string]push.MessageID{}
		for _, b := range batches {
			for _, m := range b {
				if _, twice := ids4tokens[m.Token]; twice {
					t.Errorf("%s… was sent twice", m.Token[60:])
				}
				ids4tokens[m.Token] = m.ID
			}
		}
		if len(ids4tokens) != requests {
			t.Errorf("%d of %d were sent", len(ids4tokens), requests)
		}
	})
}

// A message that is not answered holds up its own request and no other one, also
// of those that went in the same batch.
func TestOneStragglerHoldsUpNobody(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	sender := &batchSender{}
	sender.send = func(_ context.Context, batch []push.Message, done func(int, push.Result)) {
		straggler := -1
		for i, m := range batch {
			if m.Token == token(5) {
				straggler = i
				continue
			}
			done(i, push.Result{Outcome: push.Sent})
		}
		if straggler >= 0 {
			<-release
			done(straggler, push.Result{Outcome: push.Sent})
		}
	}
	s := newStand(t, standOptions{url: sqldbtest.SQLite(t), cfg: push.Config{Apps: market()}, providers: toAPNS(sender)})
	slow := s.send("", to(push.APNS, tokens(0, 10)...))
	s.until(slow, func(st client.PushStatus) bool { return st.Sent == 9 && st.Waiting == 1 })
	for i := range 20 {
		if st := s.ended(s.send("", to(push.APNS, tokens(100*i+100, 100)...))); st.Sent != 100 {
			t.Fatalf("behind a straggler: %+v", st)
		}
	}
	close(release)
	if st := s.ended(slow); st.Sent != 10 {
		t.Errorf("with the straggler: %+v", st)
	}
}

// Of what waits in memory the most urgent goes first, and a large request does not
// keep others of its priority waiting until its end.
func TestOrderOfWhatWaits(t *testing.T) {
	t.Parallel()
	first := make(chan struct{})
	sender := &batchSender{}
	sender.send = func(_ context.Context, batch []push.Message, done func(int, push.Result)) {
		if batch[0].Token < token(1000) {
			<-first
		}
		for i := range batch {
			done(i, push.Result{Outcome: push.Sent})
		}
	}
	s := newStand(t, standOptions{url: sqldbtest.SQLite(t), cfg: push.Config{Apps: market()}, providers: toAPNS(sender)})
	s.gw.SetMaxInFlight("", 1000)
	ids := []string{s.send("", to(push.APNS, tokens(0, 1000)...))} // leave no room
	eventually(t, func() bool { return s.gw.Stats("").InFlight == 1000 }, s.logs.String)
	low := func(from, n int) push.Notification {
		n1 := to(push.APNS, tokens(from, n)...)
		n1.Priority = push.Low
		return n1
	}
	ids = append(ids, s.send("", low(10_000, 1000), low(11_000, 1000))) // one request of 2,000
	ids = append(ids, s.send("", low(20_000, 1)))
	ids = append(ids, s.send("", to(push.APNS, token(30_000)))) // the urgent one
	eventually(t, func() bool { return s.gw.Ready() == 3 }, s.logs.String)
	close(first)
	for _, id := range ids {
		s.ended(id)
	}
	place := map[string]int{}
	for _, b := range sender.seen() {
		for _, m := range b {
			place[m.Token] = len(place)
		}
	}
	if place[token(30_000)] > place[token(10_999)] {
		t.Errorf("the urgent one went as number %d", place[token(30_000)])
	}
	if place[token(20_000)] > place[token(11_999)] {
		t.Errorf("a small request waited for a large one: it went as number %d", place[token(20_000)])
	}
}

// Messages of several requests that meet a provider that is away wait together and
// go again together, under the same ids.
func TestSharedBatchThatMeetsNobody(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	away.Store(true)
	sender := &batchSender{}
	sender.send = func(ctx context.Context, batch []push.Message, done func(int, push.Result)) {
		r := push.Result{Outcome: push.Sent}
		if away.Load() {
			r = push.Result{Outcome: push.Down, Reason: "Unreachable"}
		}
		answerAll(r)(ctx, batch, done)
	}
	s := newStand(t, standOptions{url: sqldbtest.SQLite(t), cfg: push.Config{Apps: market()}, providers: toAPNS(sender)})
	var ids []string
	for i := range 50 {
		ids = append(ids, s.send("", to(push.APNS, tokens(10*i, 10)...)))
	}
	eventually(t, func() bool { return s.gw.Degraded() != nil }, s.logs.String)
	away.Store(false)
	for _, id := range ids {
		if st := s.ended(id); st.Sent != 10 {
			t.Errorf("status %+v", st)
		}
	}
	known := map[string]push.MessageID{}
	for _, b := range sender.seen() {
		for _, m := range b {
			if id, again := known[m.Token]; again && id != m.ID {
				t.Errorf("%s… went under two ids", m.Token[60:])
			}
			known[m.Token] = m.ID
		}
	}
}

// A request that is cancelled while its messages are in a batch with others ends
// alone.
func TestCancelWithinASharedBatch(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	sender := &batchSender{}
	sender.send = func(_ context.Context, batch []push.Message, done func(int, push.Result)) {
		if len(batch) == 1 { // the first, for which the others wait
			<-release
		}
		for i := range batch {
			done(i, push.Result{Outcome: push.Retry, Reason: "ServiceUnavailable", After: time.Hour})
		}
	}
	s := newStand(t, standOptions{url: sqldbtest.SQLite(t), cfg: push.Config{Apps: market()}, providers: toAPNS(sender)})
	first := s.send("", to(push.APNS, token(0)))
	eventually(t, func() bool { return len(sender.seen()) == 1 }, s.logs.String)
	called := s.send("", to(push.APNS, tokens(10, 10)...))
	other := s.send("", to(push.APNS, tokens(20, 10)...))
	if err := s.gw.Cancel(t.Context(), called); err != nil {
		t.Fatal(err)
	}
	if st := s.ended(called); st.Cancelled != 10 {
		t.Errorf("cancelled: %+v", st)
	}
	close(release)
	for _, id := range []string{first, other} {
		if st := s.status(id); st.Cancelled != 0 || st.Waiting != st.Total {
			t.Errorf("not cancelled: %+v", st)
		}
	}
}

// What a sender says twice of a message counts once.
func TestAnswerThatComesTwice(t *testing.T) {
	t.Parallel()
	sender := &batchSender{}
	sender.send = func(_ context.Context, batch []push.Message, done func(int, push.Result)) {
		for i := range batch {
			done(i, push.Result{Outcome: push.Sent})
			done(i, push.Result{Outcome: push.Rejected, Reason: "BadTopic"})
		}
	}
	s := newStand(t, standOptions{url: sqldbtest.SQLite(t), cfg: push.Config{Apps: market()}, providers: toAPNS(sender)})
	for i := range 5 {
		if st := s.ended(s.send("", to(push.APNS, tokens(10*i, 10)...))); st.Sent != 10 || st.Rejected != 0 {
			t.Errorf("status %+v", st)
		}
	}
	eventually(t, func() bool {
		st := s.gw.Stats("")
		return st.Backlog == 0 && st.InFlight == 0
	}, s.logs.String)
}

// While the gateway stops, what is under way is answered or goes back to the
// queue, and nothing of it is lost or counted twice.
func TestStopWithinFlights(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, url string) {
		var taken sync.Map
		sender := &batchSender{}
		stuck := make(chan struct{}, 1)
		sender.send = func(ctx context.Context, batch []push.Message, done func(int, push.Result)) {
			half := len(batch) / 2
			for i, m := range batch[:half] {
				taken.Store(m.Token, true)
				done(i, push.Result{Outcome: push.Sent})
			}
			select {
			case stuck <- struct{}{}:
			default:
			}
			<-ctx.Done()
			for i := half; i < len(batch); i++ {
				done(i, push.Result{Outcome: push.Retry})
			}
		}
		cfg := push.Config{Apps: market(), StopTimeout: 20 * time.Millisecond}
		s := newStand(t, standOptions{url: url, cfg: cfg, providers: toAPNS(sender)})
		var ids []string
		for i := range 40 {
			ids = append(ids, s.send("", to(push.APNS, tokens(10*i, 10)...)))
		}
		<-stuck
		s.stop()
		next := &batchSender{send: answerAll(push.Result{Outcome: push.Sent})}
		s = newStand(t, standOptions{url: url, cfg: cfg, providers: toAPNS(next)})
		for _, id := range ids {
			if st := s.ended(id); st.Sent != 10 {
				t.Errorf("status %+v", st)
			}
		}
		for _, b := range next.seen() {
			for _, m := range b {
				if _, again := taken.Load(m.Token); again {
					t.Errorf("%s… was sent again although its answer had come", m.Token[60:])
				}
			}
		}
	})
}
