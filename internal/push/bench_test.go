package push_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/sqldb"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

// nowhere is a provider that takes everything at once: what is measured with it
// is the gateway.
type nowhere struct{ taken atomic.Int64 }

func (p *nowhere) Open(push.AppConfig, *slog.Logger) (push.Sender, error) { return p, nil }

func (p *nowhere) Render(n *push.Notification, _ time.Time) (push.Rendered, []push.FieldError) {
	return push.Rendered{Header: []push.Header{{Name: "apns-topic", Value: "com.example"}}, Payload: []byte(`{"aps":{"alert":"` + n.Title + `"}}`)}, nil
}

func (p *nowhere) Send(_ context.Context, batch []push.Message, done func(i int, r push.Result)) {
	for i := range batch {
		done(i, push.Result{Outcome: push.Sent, Took: time.Millisecond})
	}
	p.taken.Add(int64(len(batch)))
}

func (p *nowhere) Close() error { return nil }

// gatewayTo runs a gateway that delivers to a provider in this process.
func gatewayTo(b testing.TB, provider push.Provider) *push.Gateway {
	b.Helper()
	db, err := sqldb.Open(b.Context(), sqldb.Config{URL: sqldbtest.SQLite(b)}, sqldb.Options{})
	if err != nil {
		b.Fatal(err)
	}
	if err := push.Migrate(b.Context(), db); err != nil {
		b.Fatal(err)
	}
	queue := job.NewQueue(db, job.Options{})
	gw, err := push.New(push.Config{Apps: []push.AppConfig{{Name: "market"}}}, push.Deps{DB: db, Queue: queue, Providers: map[push.Platform]push.Provider{push.APNS: provider}})
	if err != nil {
		b.Fatal(err)
	}
	queueCtx, stopQueue := context.WithCancel(context.Background())
	gwCtx, stopGateway := context.WithCancel(context.Background())
	queueEnd, gwEnd := make(chan error, 1), make(chan error, 1)
	go func() { queueEnd <- queue.Run(queueCtx) }()
	go func() { gwEnd <- gw.Run(gwCtx) }()
	b.Cleanup(func() {
		stopGateway()
		err := <-gwEnd
		stopQueue()
		if err := errors.Join(err, <-queueEnd, db.Close()); err != nil {
			b.Error(err)
		}
	})
	return gw
}

// Memory does not grow with what waits: that is on disk.
func TestMemoryIsBounded(t *testing.T) {
	gw := gatewayTo(t, &closedDown{})
	fill := func(requests int) uint64 {
		for i := range requests {
			if _, err := gw.Accept(t.Context(), push.Request{Notifications: []push.Notification{sold(tokens(i*1000, 1000)...)}}); err != nil {
				t.Fatal(err)
			}
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	few := fill(150) // more than is under way at once
	many := fill(450)
	const waiting = 450 * 66_000 // bytes of it that are not in memory
	if many > few+waiting/4 {
		t.Errorf("the heap grew from %d to %d KiB with 450,000 more notifications waiting", few>>10, many>>10)
	}
	if got := gw.Stats("").Backlog; got != 600_000 {
		t.Errorf("backlog %d", got)
	}
}

// BenchmarkGateway measures a notification's way from the HTTP handler through
// the durable queue to the sender, with many callers at once.
func BenchmarkGateway(b *testing.B) {
	for _, size := range []struct{ notifications, tokens int }{{1, 1}, {100, 1}, {1, 1000}} {
		b.Run(fmt.Sprintf("notifications=%d/tokens=%d", size.notifications, size.tokens), func(b *testing.B) {
			sink := &nowhere{}
			gw := gatewayTo(b, sink)
			h := gw.Handler()
			req := client.PushRequest{}
			for i := range size.notifications {
				n := sold(tokens(i*size.tokens, size.tokens)...)
				n.Body, n.Data = strings.Repeat("x", 60), map[string]string{"item": "it_1"}
				req.Notifications = append(req.Notifications, n)
			}
			body, err := json.Marshal(req)
			if err != nil {
				b.Fatal(err)
			}
			each := int64(size.notifications * size.tokens)
			b.ReportAllocs()
			b.SetParallelism(64)
			started := time.Now()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					rec := httptest.NewRecorder()
					h.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/v1/push", strings.NewReader(string(body))))
					if rec.Code != http.StatusAccepted {
						b.Errorf("%d %s", rec.Code, rec.Body)
						return
					}
				}
			})
			accepted := time.Since(started)
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for sink.taken.Load() < int64(b.N)*each {
				<-tick.C
			}
			b.ReportMetric(float64(int64(b.N)*each)/accepted.Seconds(), "accepted/s")
			b.ReportMetric(float64(int64(b.N)*each)/time.Since(started).Seconds(), "delivered/s")
		})
	}
}

// closedDown is a provider that can never be reached.
type closedDown struct{ nowhere }

func (p *closedDown) Open(push.AppConfig, *slog.Logger) (push.Sender, error) { return p, nil }

func (p *closedDown) Send(_ context.Context, batch []push.Message, done func(i int, r push.Result)) {
	for i := range batch {
		done(i, push.Result{Outcome: push.Down, Reason: "Unreachable"})
	}
}
