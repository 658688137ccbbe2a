package webpush

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/sandbox"
)

func TestSendDeliversEachOnce(t *testing.T) {
	t.Parallel()
	stand := start(t)
	s := openSender(t, stand.cfg)
	n := push.Notification{Title: "Sold!", Body: "A film camera", Data: map[string]string{"url": "/orders/1"}, TTL: push.Duration(time.Hour), CollapseID: "or_1", Priority: push.Low}
	n.Tokens = stand.subscriptions(600)
	rendered, faults := s.Render(&n, time.Now())
	if faults != nil {
		t.Fatal(faults)
	}
	batch := make([]push.Message, len(n.Tokens))
	for i, token := range n.Tokens {
		batch[i] = push.Message{Token: token, Rendered: &rendered}
	}
	for i, r := range send(t.Context(), t, s, batch) {
		if r.Outcome != push.Sent || r.Took <= 0 {
			t.Fatalf("message %d: %+v", i, r)
		}
	}
	got := make(map[string]int)
	for _, d := range stand.phones.Deliveries(0, 0) {
		got[d.Token]++
		if d.Title != "Sold!" || d.Priority != "low" || d.CollapseID != "or_1" || !json.Valid(d.Payload) || !bytes.Contains(d.Payload, []byte("/orders/1")) {
			t.Fatalf("arrived as %+v", d)
		}
		if ttl, err := time.ParseDuration(d.Expiration + "s"); err != nil || ttl > time.Hour+time.Second || ttl < time.Minute {
			t.Fatalf("ttl %s", d.Expiration)
		}
	}
	for _, token := range n.Tokens {
		if got[sandbox.PhoneOf(token)] != 1 {
			t.Fatalf("%s received %d", token, got[sandbox.PhoneOf(token)])
		}
	}
	if n := stand.Connections(); n > maxConns {
		t.Errorf("%d connections, %d are the most", n, maxConns)
	}
	if diff := cmp.Diff(map[string]int64{"201": 600}, stand.Answers()); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

func TestSendTellsEachFate(t *testing.T) {
	t.Parallel()
	stand := start(t)
	s := openSender(t, stand.cfg)
	tokens := stand.subscriptions(6)
	stand.phones.Uninstall(sandbox.PhoneOf(tokens[1]))
	other := start(t)
	tokens[2] = strings.Replace(other.NewSubscription(), other.URL(), stand.URL(), 1) // which the push service never made
	for i, f := range map[int]sandbox.Fault{
		3: {Status: 413}, 4: {Status: 429, RetryAfter: 7}, 5: {Status: 503},
	} {
		f.Token = sandbox.PhoneOf(tokens[i])
		stand.Fail(f)
	}
	want := []push.Result{
		{Outcome: push.Sent},
		{Outcome: push.Unregistered, Reason: "410 Gone"},
		{Outcome: push.Unregistered, Reason: "404 Not Found"},
		{Outcome: push.Rejected, Reason: "413 Request Entity Too Large"},
		{Outcome: push.Retry, Reason: "429 Too Many Requests", After: 7 * time.Second},
		{Outcome: push.Retry, Reason: "503 Service Unavailable"},
	}
	if diff := cmp.Diff(want, send(t.Context(), t, s, messages(t, s, tokens...)), ignoreTook); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestPayloadOfFullSize(t *testing.T) {
	t.Parallel()
	stand := start(t)
	s := openSender(t, stand.cfg)
	n := push.Notification{WebPush: &push.WebPushOverride{Payload: json.RawMessage(`"` + strings.Repeat("x", maxPlainBytes-2) + `"`)}}
	rendered, faults := s.Render(&n, time.Now())
	if faults != nil {
		t.Fatal(faults)
	}
	r := send(t.Context(), t, s, []push.Message{{Token: stand.NewSubscription(), Rendered: &rendered}})[0]
	if r.Outcome != push.Sent || len(stand.phones.Deliveries(0, 0)[0].Payload) != maxPlainBytes {
		t.Errorf("%+v", r)
	}
}

// buffer is a log that may be written and read at once.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// elapse makes the pause of every origin end.
func (s *sender) elapse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.origins {
		o.until = time.Now()
	}
}

func TestRefusedKeyPausesTheOriginAndLosesNothing(t *testing.T) {
	t.Parallel()
	stand := start(t)
	cfg := stand.cfg
	cfg.KeyFile = keyed(t).KeyFile
	logs := &buffer{}
	s := openLogged(t, cfg, slog.New(slog.NewTextHandler(logs, nil)))
	for range 3 {
		for i, r := range send(t.Context(), t, s, messages(t, s, stand.subscriptions(20)...)) {
			if r.Outcome != push.Retry || r.Reason != "403 Forbidden" || r.After <= 0 {
				t.Fatalf("message %d: %+v", i, r)
			}
		}
		s.elapse()
	}
	if n := strings.Count(logs.String(), "level=ERROR"); n != 1 || !strings.Contains(logs.String(), "app=market") || !strings.Contains(logs.String(), stand.URL()) {
		t.Errorf("the log has %d errors:\n%s", n, logs)
	}
	if strings.Contains(logs.String(), "/push/") {
		t.Errorf("the log tells a subscription:\n%s", logs)
	}
	if n := stand.Answers()["403 key"]; n > 20 {
		t.Errorf("it was asked %d times", n)
	}
}

func TestSubscriptionOfAnotherKeyIsDead(t *testing.T) {
	t.Parallel()
	stand := start(t)
	s := openSender(t, stand.cfg)
	mine, foreign := stand.NewSubscription(), stand.NewSubscription()
	stand.Fail(sandbox.Fault{Token: sandbox.PhoneOf(foreign), Count: -1, Status: http.StatusForbidden})
	for i, c := range []struct {
		token string
		want  push.Result
	}{
		{mine, push.Result{Outcome: push.Sent}},
		{foreign, push.Result{Outcome: push.Retry, Reason: "403 Forbidden", After: refusedAfter}}, // the key may have been revoked since
		{foreign, push.Result{Outcome: push.Retry, Reason: "403 Forbidden", After: refusedAfter}},
		{mine, push.Result{Outcome: push.Sent}}, // it was not
		{foreign, push.Result{Outcome: push.Unregistered, Reason: "403 Forbidden"}},
	} {
		if diff := cmp.Diff(c.want, sendOne(t, s, c.token), ignoreTook); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestFailuresPauseAndAnswersEndIt(t *testing.T) {
	t.Parallel()
	stand := start(t)
	logs := &buffer{}
	s := openLogged(t, stand.cfg, slog.New(slog.NewTextHandler(logs, nil)))
	send(t.Context(), t, s, messages(t, s, stand.subscriptions(50)...))
	stand.Fail(sandbox.Fault{Count: -1, Status: 503})
	results := tally(send(t.Context(), t, s, messages(t, s, stand.subscriptions(500)...)))
	if diff := cmp.Diff(map[string]int{"retry 503 Service Unavailable": 500}, results); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	asked := stand.Answers()["503 "]
	if asked < maxFailures || asked > 100 {
		t.Errorf("it was asked %d times before the pause", asked)
	}
	s.elapse()
	stand.Recover()
	results = tally(send(t.Context(), t, s, messages(t, s, stand.subscriptions(50)...)))
	if diff := cmp.Diff(map[string]int{"sent ": 1, "retry 503 Service Unavailable": 49}, results); diff != "" {
		t.Errorf("after the pause (-want +got):\n%s", diff)
	}
	results = tally(send(t.Context(), t, s, messages(t, s, stand.subscriptions(50)...)))
	if diff := cmp.Diff(map[string]int{"sent ": 50}, results); diff != "" {
		t.Errorf("after an answer (-want +got):\n%s", diff)
	}
	if !strings.Contains(logs.String(), "level=WARN") || !strings.Contains(logs.String(), "takes messages again") {
		t.Errorf("the log:\n%s", logs)
	}
}

// mute listens and says nothing, not even that it is there.
func mute(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return "https://" + l.Addr().String()
}

// The messages of a push service that is dead, in whatever way, and those of one
// that is well are in one batch. The batch is called off when the latter have
// arrived, long before any time-out.
func TestDeadOriginDelaysNoOther(t *testing.T) {
	t.Parallel()
	hang := func(answers int64) func(t *testing.T, cfg *push.WebPushConfig) string {
		return func(t *testing.T, cfg *push.WebPushConfig) string {
			var n atomic.Int64
			return rogue(t, cfg, true, func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1) > answers {
					<-r.Context().Done()
				}
			}).URL
		}
	}
	for name, c := range map[string]struct {
		open     func(t *testing.T, cfg *push.WebPushConfig) string
		answered int
	}{
		"it does not even shake hands": {func(t *testing.T, _ *push.WebPushConfig) string { return mute(t) }, 0},
		"it never answers":             {hang(0), 0},
		"it goes silent":               {hang(50), 50},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stand := start(t)
			stand.cfg.Timeout, stand.cfg.MaxInFlight = 5*time.Minute, 40
			dead := c.open(t, &stand.cfg)
			s := openSender(t, stand.cfg)
			tokens := make([]string, 400)
			for i := range tokens {
				if tokens[i] = stand.NewSubscription(); i%2 == 0 {
					tokens[i] = subscribe(t, dead+"/x")
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var mu sync.Mutex
			left, counts := len(tokens)/2+c.answered, map[string]int{}
			s.Send(ctx, messages(t, s, tokens...), func(i int, r push.Result) {
				mu.Lock()
				defer mu.Unlock()
				counts[r.Outcome.String()+" "+r.Reason]++
				if r.Outcome == push.Sent {
					if left--; left == 0 {
						cancel()
					}
				}
			})
			want := map[string]int{"sent ": 200 + c.answered, "retry Stopped": 200 - c.answered}
			if diff := cmp.Diff(want, counts); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
		})
	}
}

// Many push services that nobody has heard of cannot take all places.
func TestStrangersShareAFewPlaces(t *testing.T) {
	t.Parallel()
	stand := start(t)
	stand.cfg.Timeout, stand.cfg.MaxInFlight = 5*time.Minute, 40
	s := openSender(t, stand.cfg)
	if r := sendOne(t, s, stand.NewSubscription()); r.Outcome != push.Sent {
		t.Fatalf("%+v", r)
	}
	var strange []string
	for range 30 {
		origin := mute(t)
		for range 4 {
			strange = append(strange, subscribe(t, origin+"/x"))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for i, r := range send(ctx, t, s, messages(t, s, strange...)) {
			if r.Outcome != push.Retry {
				t.Errorf("stranger %d: %+v", i, r)
			}
		}
	})
	eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.strangers == s.tuning.maxStrangers && len(s.ready) == 0
	})
	results := tally(send(t.Context(), t, s, messages(t, s, stand.subscriptions(100)...)))
	if diff := cmp.Diff(map[string]int{"sent ": 100}, results); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	s.mu.Lock()
	if s.strangers > s.tuning.maxStrangers || s.running > s.maxInFlight {
		t.Errorf("%d strangers, %d goroutines", s.strangers, s.running)
	}
	s.mu.Unlock()
	cancel()
	wg.Wait()
	if s.strangers != 0 || s.running > 1 { // the last one may be about to end
		t.Errorf("afterwards %d strangers, %d goroutines", s.strangers, s.running)
	}
}

// eventually waits for what other goroutines bring about.
func eventually(t *testing.T, cond func() bool) {
	t.Helper()
	deadline, tick := time.NewTimer(time.Minute), time.NewTicker(time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("what was waited for did not come")
		}
	}
}

// While a push service is silent its messages do not keep batches from ending.
func TestWhatWaitsForASilentOriginComesBack(t *testing.T) {
	t.Parallel()
	stand := start(t)
	stand.cfg.Timeout, stand.cfg.MaxInFlight = 5*time.Minute, 16
	s := openSender(t, stand.cfg)
	s.tuning.stallAfter = 10 * time.Millisecond
	send(t.Context(), t, s, messages(t, s, stand.subscriptions(20)...))
	stand.Fail(sandbox.Fault{Count: -1, Hang: true})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		counts := tally(send(ctx, t, s, messages(t, s, stand.subscriptions(50)...)))
		if counts["retry "+reasonSlow] == 0 || counts["retry "+reasonStopped] == 0 || counts["retry "+reasonSlow]+counts["retry "+reasonStopped] != 50 {
			t.Errorf("results %v", counts)
		}
	})
	eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		o := s.origins[stand.URL()]
		return o.inFlight > 0 && len(o.queue) == 0 && o.isSilent(time.Now(), s.tuning.stallAfter)
	})
	if r := sendOne(t, s, stand.NewSubscription()); r.Outcome != push.Retry || r.Reason != reasonSlow {
		t.Errorf("a message for a silent push service: %+v", r)
	}
	if n := stand.Waiting(); n > 12 {
		t.Errorf("%d are under way, three quarters of 16 are the most", n)
	}
	cancel()
	wg.Wait()
}

func TestSendEndsWithItsContext(t *testing.T) {
	t.Parallel()
	stand := start(t)
	s := openSender(t, stand.cfg)
	stand.Fail(sandbox.Fault{Count: -1, Hang: true})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		eventually(t, func() bool { return stand.Waiting() > 0 })
	}()
	results := tally(send(ctx, t, s, messages(t, s, stand.subscriptions(300)...)))
	if diff := cmp.Diff(map[string]int{"retry Stopped": 300}, results); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	results = tally(send(ctx, t, s, messages(t, s, stand.subscriptions(3)...)))
	if diff := cmp.Diff(map[string]int{"retry Stopped": 3}, results); diff != "" {
		t.Errorf("with a context that has ended (-want +got):\n%s", diff)
	}
	s.Send(t.Context(), nil, nil)
}

func TestManySendsAtOnce(t *testing.T) {
	t.Parallel()
	stand := start(t)
	stand.cfg.MaxInFlight = 50
	s := openSender(t, stand.cfg)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 5 {
				for i, r := range send(t.Context(), t, s, messages(t, s, stand.subscriptions(20)...)) {
					if r.Outcome != push.Sent {
						t.Errorf("message %d: %+v", i, r)
					}
				}
			}
		})
	}
	wg.Wait()
	if total, _ := stand.phones.Received(); total != 16*5*20 {
		t.Errorf("%d arrived", total)
	}
}

// Users can name any number of push services.
func TestOriginsAreForgotten(t *testing.T) {
	t.Parallel()
	s := openSender(t, keyed(t))
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	at := func(i int) *origin {
		name := "h" + string(rune('a'+i%26)) + strings.Repeat("x", i/26) + ".example"
		return s.origin(&group{name: "https://" + name, addr: name + ":443"}, now)
	}
	busy := at(0)
	busy.inFlight = 1
	for i := 1; i < 3*maxOrigins; i++ {
		if at(i) == nil {
			t.Fatalf("no room for origin %d", i)
		}
	}
	if len(s.origins) != maxOrigins || s.order.Len() != maxOrigins || s.origins[busy.name] != busy {
		t.Errorf("%d origins, %d in order", len(s.origins), s.order.Len())
	}
	for o := range maps.Values(s.origins) {
		o.inFlight = 1
	}
	if at(5*maxOrigins) != nil {
		t.Error("an origin that is in use was forgotten")
	}
	for o := range maps.Values(s.origins) {
		o.inFlight = 0
	}
}

func TestSweepClosesWhatIsNotUsed(t *testing.T) {
	t.Parallel()
	stand := start(t)
	s := openSender(t, stand.cfg)
	sendOne(t, s, stand.NewSubscription())
	age := func() (conns []*conn) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, o := range s.origins {
			o.lastUsed = o.lastUsed.Add(-idleLimit)
			conns = append(conns, o.pool.conns...)
		}
		return conns
	}
	s.sweep()
	if len(s.origins) != 1 {
		t.Fatal("swept what was just used")
	}
	conns := age()
	s.sweep()
	s.closers.Wait()
	if len(s.origins) != 0 || len(conns) == 0 || slices.ContainsFunc(conns, func(c *conn) bool { return c.Err() == nil }) {
		t.Errorf("%d origins are left, connections %v", len(s.origins), conns)
	}
	if r := sendOne(t, s, stand.NewSubscription()); r.Outcome != push.Sent {
		t.Errorf("afterwards: %+v", r)
	}
	s.mu.Lock()
	s.origins[stand.URL()].suspect = true
	s.mu.Unlock()
	age()
	s.sweep()
	if o := s.origins[stand.URL()]; o == nil || len(o.pool.conns) > 0 {
		t.Errorf("an origin in trouble: %+v", o)
	}
}

func TestClosedSenderSendsNothing(t *testing.T) {
	t.Parallel()
	stand := start(t)
	s := openSender(t, stand.cfg)
	batch := messages(t, s, stand.NewSubscription())
	send(t.Context(), t, s, batch)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if r := send(t.Context(), t, s, batch)[0]; r.Outcome != push.Retry {
		t.Errorf("%+v", r)
	}
	s.sweep()
}
