package apns

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/h2"
	"github.com/furima/furima/internal/push/sandbox"
	"github.com/furima/furima/internal/sqldb"
)

// patience is how long what must come may take.
const patience = 2 * time.Minute

// gateway is a whole gateway that delivers to a stand-in.
type gateway struct {
	*stand
	t    *testing.T
	gw   *push.Gateway
	logs *logs
	reg  *prometheus.Registry
	ids  []string // of requests
}

// inFlight is how many messages the gateway has under way at most.
const inFlight = 128

func startGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{stand: start(t), t: t, logs: &logs{}, reg: prometheus.NewRegistry()}
	g.cfg.Connections, g.cfg.MaxInFlight, g.cfg.Timeout = 2, inFlight, 2*time.Second
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "push.db")}, sqldb.Options{Name: "push"})
	if err != nil {
		t.Fatal(err)
	}
	if err := push.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.NewTextHandler(g.logs, nil))
	queue := job.NewQueue(db, job.Options{Logger: logger})
	g.gw, err = push.New(push.Config{
		RetryMin: 5 * time.Millisecond, RetryMax: 100 * time.Millisecond,
		Apps: []push.AppConfig{{Name: "market", APNS: g.cfg}},
	}, push.Deps{
		DB: db, Queue: queue, Logger: logger,
		Providers: map[push.Platform]push.Provider{push.APNS: NewProvider(Options{H2: h2.NewMetrics(g.reg)})},
	})
	if err != nil {
		t.Fatal(err)
	}
	background := context.WithoutCancel(t.Context())
	queueCtx, stopQueue := context.WithCancel(background)
	gwCtx, stopGateway := context.WithCancel(background)
	queueEnd, gwEnd := make(chan error, 1), make(chan error, 1)
	go func() { queueEnd <- queue.Run(queueCtx) }()
	go func() { gwEnd <- g.gw.Run(gwCtx) }()
	t.Cleanup(func() {
		stopGateway()
		err := <-gwEnd
		stopQueue()
		if err := errors.Join(err, <-queueEnd, db.Close()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return g
}

// logs keeps what is logged.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// accept hands a notification for n phones to the gateway, from the first on.
func (g *gateway) accept(first, n int) {
	g.t.Helper()
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i] = token(first + i)
	}
	a, err := g.gw.Accept(g.t.Context(), push.Request{App: "market", Notifications: []push.Notification{{
		Platform: push.APNS, Tokens: tokens, Title: "Sold!", Body: "A film camera",
	}}})
	if err != nil {
		g.t.Fatal(err)
	}
	g.ids = append(g.ids, a.ID)
}

// statuses adds up what has become of all that was accepted.
func (g *gateway) statuses() (sum client.PushStatus) {
	g.t.Helper()
	for _, id := range g.ids {
		st, err := g.gw.Status(g.t.Context(), id)
		if err != nil {
			g.t.Fatal(err)
		}
		sum.Total += st.Total
		sum.Waiting += st.Waiting
		sum.Sent += st.Sent
	}
	return sum
}

// allSent waits until all that was accepted has been sent.
func (g *gateway) allSent() {
	g.t.Helper()
	g.until("the end", func() bool { return g.statuses().Waiting == 0 })
	if st := g.statuses(); st.Sent != st.Total {
		g.t.Errorf("%d of %d were sent\n%s", st.Sent, st.Total, g.logs)
	}
}

// until waits for a condition. It looks again after a short while: what is
// waited for is in a database or behind a socket, which tell nobody.
func (g *gateway) until(what string, cond func() bool) {
	g.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			g.t.Fatalf("%s did not come: answers %v\n%s", what, g.Answers(), g.logs)
		}
	}
}

// Whatever the provider does: every message is delivered, under its id, and
// again only if its answer was lost.
func TestEveryMessageIsDelivered(t *testing.T) {
	t.Parallel()
	const n = 900
	manners := func(m sandbox.Manners) func(*sandbox.Apple) {
		return func(a *sandbox.Apple) { a.SetManners(m) }
	}
	fault := func(f sandbox.Fault) func(*sandbox.Apple) {
		return func(a *sandbox.Apple) { a.Fail(f) }
	}
	for name, c := range map[string]struct {
		how   func(*sandbox.Apple)
		again int64 // deliveries that repeat an id at most
		slow  bool  // takes seconds
	}{
		"good manners":       {how: func(*sandbox.Apple) {}},
		"latency":            {how: func(a *sandbox.Apple) { a.SetLatency(5 * time.Millisecond) }},
		"one stream for all": {how: manners(sandbox.Manners{MaxStreams: 1})},
		"sulking": {how: func(a *sandbox.Apple) {
			a.SetManners(sandbox.Manners{Sulk: true})
			a.Fail(sandbox.Fault{Every: 20, Count: 30, Status: 500, Reason: "InternalServerError"})
		}},
		"tiny writes":         {how: manners(sandbox.Manners{TinyWrites: 3})},
		"single bytes":        {how: manners(sandbox.Manners{TinyWrites: 1})},
		"slow reads":          {how: manners(sandbox.Manners{SlowReads: sandbox.Duration(2 * time.Millisecond)})},
		"GOAWAY in flight":    {how: fault(sandbox.Fault{Every: 100, Count: 6, GoAway: true})},
		"GOAWAY at every 7th": {how: fault(sandbox.Fault{Every: 7, Count: 20, GoAway: true}), slow: true}, // the pool waits before it connects again
		"GOAWAY under latency": {how: func(a *sandbox.Apple) {
			a.SetLatency(5 * time.Millisecond)
			a.Fail(sandbox.Fault{Every: 100, Count: 6, GoAway: true})
		}},
		"shutdown said in an answer": {how: fault(sandbox.Fault{Every: 150, Count: 4, Status: 503, Reason: "Shutdown"})},
		"refused streams":            {how: fault(sandbox.Fault{Every: 5, Count: 100, Refuse: true})},
		"reset streams":              {how: fault(sandbox.Fault{Every: 30, Count: 20, Reset: true})},
		"reset after delivery":       {how: fault(sandbox.Fault{Every: 30, Count: 20, Reset: true, Deliver: true}), again: 20},
		"a burst of 503":             {how: fault(sandbox.Fault{Skip: 50, Count: 120, Status: 503, Reason: "ServiceUnavailable"})},
		"429 of single phones":       {how: fault(sandbox.Fault{Every: 9, Count: 60, Status: 429, Reason: "TooManyRequests", RetryAfter: 1})},
		"dropped connections":        {how: fault(sandbox.Fault{Skip: 200, Every: 200, Count: 3, Drop: true, Deliver: true}), again: 3 * inFlight},
		"hanging after delivery":     {how: fault(sandbox.Fault{Every: 100, Count: 4, Hang: true, Deliver: true}), again: 4},
		"silence":                    {how: fault(sandbox.Fault{Skip: 300, Silent: true}), again: inFlight, slow: true},
		"silence after delivery":     {how: fault(sandbox.Fault{Skip: 300, Silent: true, Deliver: true}), again: inFlight, slow: true},
		"tokens too old for a while": {how: fault(sandbox.Fault{Skip: 100, Count: 8, Status: 403, Reason: "ExpiredProviderToken"})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.slow && testing.Short() {
				t.Skip("takes seconds")
			}
			g := startGateway(t)
			c.how(g.Apple)
			for i := range 3 {
				g.accept(i*n/3, n/3)
			}
			g.allSent()
			if total, repeated := g.phones.Received(); total-repeated != n || repeated > c.again {
				t.Errorf("%d messages arrived, %d of them again; want %d and at most %d\n%s", total-repeated, repeated, n, c.again, g.logs)
			}
			if refused := g.RefusedStreams(); refused > 0 {
				t.Errorf("%d streams beyond the limit", refused)
			}
		})
	}
}

func TestRevokedKeyKeepsTheBacklog(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	g.accept(0, 100)
	g.until("the first", func() bool { total, _ := g.phones.Received(); return total == 100 })
	g.SetManners(sandbox.Manners{Revoked: true})
	g.accept(100, 200)
	g.until("the alarm", func() bool {
		s := g.logs.String()
		return strings.Contains(s, "refuses the app") && strings.Contains(s, "InvalidProviderToken") && strings.Contains(s, "app=market")
	})
	g.until("the end of the connections", func() bool { return g.Open() == 0 })
	if st := g.statuses(); st.Waiting != 200 {
		t.Errorf("%d wait, want all of them", st.Waiting)
	}
	g.Recover()
	g.allSent()
	if total, repeated := g.phones.Received(); total != 300 || repeated > 0 {
		t.Errorf("%d arrived, %d repeated", total, repeated)
	}
	if n := counted(t, g.reg, "furima_push_h2_requests_total"); n < 300 {
		t.Errorf("furima_push_h2_requests_total{pool=apns} is %v", n)
	}
}

func TestBroadcastThroughTheGateway(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	c := channels(t, g.cfg)
	id, err := c.Create(t.Context(), NoStorage)
	if err != nil {
		t.Fatal(err)
	}
	cast := func() client.PushStatus {
		t.Helper()
		a, err := g.gw.Accept(t.Context(), push.Request{App: "market", Notifications: []push.Notification{{
			Platform: push.APNS, APNS: &push.APNSOverride{ChannelID: id, APS: raw(update)},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		var st client.PushStatus
		g.until("the end", func() bool {
			if st, err = g.gw.Status(t.Context(), a.ID); err != nil {
				t.Fatal(err)
			}
			return st.Waiting == 0
		})
		return st
	}
	g.Fail(sandbox.Fault{Token: sandbox.ChannelPrefix + id, Status: 503, Reason: "ServiceUnavailable"})
	if st := cast(); st.Sent != 1 {
		t.Errorf("%+v", st)
	}
	if ds := g.phones.Deliveries(0, 0); len(ds) != 1 || ds[0].Channel != id {
		t.Errorf("arrived: %+v", ds)
	}
	if err := c.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if st := cast(); st.Unregistered != 1 || st.Reasons["ChannelNotRegistered"] != 1 {
		t.Errorf("to a channel that is gone: %+v", st)
	}
	srv := httptest.NewServer(g.gw.Handler())
	defer srv.Close()
	page, err := client.NewPush(client.PushOptions{URL: srv.URL, HTTPClient: srv.Client()}).Feedback(t.Context(), "", 10)
	if err != nil || len(page.Tokens) > 0 {
		t.Errorf("a channel is no dead token: %+v, %v", page, err)
	}
}

// A phone that gets too much holds up nobody else.
func TestBusyPhoneHoldsUpNobody(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	const busy = 30
	for i := range busy {
		g.Fail(sandbox.Fault{Token: token(i), Count: 2, Status: 429, Reason: "TooManyRequests", RetryAfter: 1})
	}
	g.accept(0, busy)
	g.accept(1000, 100)
	g.allSent()
	if s := g.logs.String(); strings.Contains(s, "sending pauses") {
		t.Errorf("sending paused:\n%s", s)
	}
}

func TestDeadSinceIsTold(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	since := time.Date(2025, 6, 1, 12, 0, 0, 123e6, time.UTC)
	g.Fail(sandbox.Fault{Token: token(1), Status: 410, Reason: "ExpiredToken", Since: since})
	g.accept(0, 3)
	srv := httptest.NewServer(g.gw.Handler())
	defer srv.Close()
	c := client.NewPush(client.PushOptions{URL: srv.URL, HTTPClient: srv.Client()})
	var page client.FeedbackPage
	g.until("the feedback", func() bool {
		var err error
		if page, err = c.Feedback(t.Context(), "", 10); err != nil {
			t.Fatal(err)
		}
		return len(page.Tokens) > 0
	})
	if d := page.Tokens[0]; d.Token != token(1) || d.Reason != "ExpiredToken" || !d.Time.Equal(since) {
		t.Errorf("%+v", d)
	}
}

// counted returns what a counter of the pool "apns" says.
func counted(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && len(m.GetLabel()) == 1 && m.GetLabel()[0].GetValue() == "apns" {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no %s of the pool apns", name)
	return 0
}
