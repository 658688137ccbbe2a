package push_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/sqldb"
)

// fakeSender answers as it is told, for what does not depend on a protocol.
type fakeSender struct {
	answer func(m push.Message) push.Result

	now, most atomic.Int64 // messages that it has, and had at most
	total     atomic.Int64
	closed    atomic.Bool
	late      atomic.Int64 // batches after it was closed
}

func (s *fakeSender) Render(n *push.Notification, _ time.Time) (push.Rendered, []push.FieldError) {
	return push.Rendered{Payload: []byte(n.Title)}, nil
}

func (s *fakeSender) Send(ctx context.Context, batch []push.Message, done func(int, push.Result)) {
	if s.closed.Load() {
		s.late.Add(1)
	}
	n := s.now.Add(int64(len(batch)))
	for m := s.most.Load(); n > m && !s.most.CompareAndSwap(m, n); m = s.most.Load() {
	}
	defer s.now.Add(-int64(len(batch)))
	s.total.Add(int64(len(batch)))
	for i := range batch {
		r := push.Result{Outcome: push.Retry, Reason: "Stopped"}
		if ctx.Err() == nil {
			r = s.answer(batch[i])
		}
		done(i, r)
	}
}

func (s *fakeSender) Close() error {
	s.closed.Store(true)
	return nil
}

// provider hands out senders.
type provider func(app push.AppConfig) (push.Sender, error)

func (p provider) Open(app push.AppConfig, _ *slog.Logger) (push.Sender, error) { return p(app) }

func always(s push.Sender) provider {
	return func(push.AppConfig) (push.Sender, error) { return s, nil }
}

func sentAll(push.Message) push.Result { return push.Result{Outcome: push.Sent} }

type pushStatus = client.PushStatus

// stand is a gateway with providers of the test's own.
type stand struct {
	t       *testing.T
	gw      *push.Gateway
	db      *sqldb.DB
	queue   *job.Queue
	reg     *prometheus.Registry
	logs    *logs
	handler http.Handler
	stop    func()
}

type standOptions struct {
	url       string
	cfg       push.Config
	providers map[push.Platform]push.Provider
	now       func() time.Time
}

func market() []push.AppConfig { return []push.AppConfig{{Name: "market"}} }

func newStand(t *testing.T, o standOptions) *stand {
	t.Helper()
	s := &stand{t: t, logs: &logs{}, reg: prometheus.NewRegistry()}
	var err error
	s.db, err = sqldb.Open(t.Context(), sqldb.Config{URL: o.url}, sqldb.Options{Name: "push"})
	if err != nil {
		t.Fatal(err)
	}
	if err := push.Migrate(t.Context(), s.db); err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.NewTextHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.queue = job.NewQueue(s.db, job.Options{Logger: logger, Now: o.now})
	if o.cfg.RetryMin == 0 {
		o.cfg.RetryMin, o.cfg.RetryMax = 5*time.Millisecond, 50*time.Millisecond
	}
	s.gw, err = push.New(o.cfg, push.Deps{DB: s.db, Queue: s.queue, Providers: o.providers, Logger: logger, Registerer: s.reg, Now: o.now})
	if err != nil {
		t.Fatal(err)
	}
	queueCtx, stopQueue := context.WithCancel(context.Background())
	gwCtx, stopGateway := context.WithCancel(context.Background())
	queueEnd, gwEnd := make(chan error, 1), make(chan error, 1)
	go func() { queueEnd <- s.queue.Run(queueCtx) }()
	go func() { gwEnd <- s.gw.Run(gwCtx) }()
	s.handler = s.gw.Handler()
	s.stop = sync.OnceFunc(func() {
		stopGateway()
		err := <-gwEnd
		stopQueue()
		if err := errors.Join(err, <-queueEnd, s.db.Close()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	t.Cleanup(s.stop)
	return s
}

// send accepts notifications and returns the request's id.
func (s *stand) send(app string, ns ...push.Notification) string {
	s.t.Helper()
	accepted, err := s.gw.Accept(s.t.Context(), push.Request{App: app, Notifications: ns})
	if err != nil {
		s.t.Fatal(err)
	}
	return accepted.ID
}

func (s *stand) status(id string) client.PushStatus {
	s.t.Helper()
	st, err := s.gw.Status(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return st
}

func (s *stand) until(id string, want func(client.PushStatus) bool) client.PushStatus {
	s.t.Helper()
	var st client.PushStatus
	eventually(s.t, func() bool {
		st = s.status(id)
		return want(st)
	}, s.logs.String)
	return st
}

func (s *stand) ended(id string) client.PushStatus {
	s.t.Helper()
	return s.until(id, func(st client.PushStatus) bool { return st.Waiting == 0 })
}

// metric returns the value of a counter or gauge with these labels (name, value,
// …), added up over the others, and whether there is any.
func (s *stand) metric(name string, labels ...string) (sum float64, found bool) {
	s.t.Helper()
	families, err := s.reg.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	next:
		for _, m := range f.GetMetric() {
			for i := 0; i < len(labels); i += 2 {
				has := false
				for _, l := range m.GetLabel() {
					has = has || l.GetName() == labels[i] && l.GetValue() == labels[i+1]
				}
				if !has {
					continue next
				}
			}
			found = true
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum, found
}

func to(p push.Platform, tokens ...string) push.Notification {
	return push.Notification{Platform: p, Tokens: tokens, Title: "Sold!"}
}

func decode(t *testing.T, raw []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
}

// ask sends a request to the handler.
func ask(h http.Handler, method, path, token string, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, bytes.NewBufferString(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
