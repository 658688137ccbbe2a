package push_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/apns"
	"github.com/furima/furima/internal/push/sandbox"
	"github.com/furima/furima/internal/push/webpush"
	"github.com/furima/furima/internal/sqldb"
)

// patience is how long a test waits for what must come.
const patience = 90 * time.Second

// rig is a gateway on a database, delivering to a stand-in for Apple.
type rig struct {
	t      *testing.T
	url    string
	cfg    push.Config
	apple  *sandbox.Apple
	phones *sandbox.Phones
	logs   *logs
	ahead  atomic.Int64 // of the gateway's clock, in nanoseconds

	gw     *push.Gateway
	queue  *job.Queue
	server *httptest.Server
	client *client.Push
	stop   func()
}

// newRig starts everything. change may be nil.
func newRig(t *testing.T, url string, change func(*push.Config)) *rig {
	t.Helper()
	r := &rig{t: t, url: url, logs: &logs{}}
	r.phones = sandbox.NewPhones(sandbox.PhonesOptions{Keep: 20_000, KeepIDs: 1 << 20})
	r.apple = startApple(t, sandbox.AppleOptions{Dir: t.TempDir(), Phones: r.phones})
	r.cfg = push.Config{RetryMin: 5 * time.Millisecond, RetryMax: 50 * time.Millisecond, Apps: []push.AppConfig{{Name: "market", APNS: credentials(r.apple)}}}
	if change != nil {
		change(&r.cfg)
	}
	r.start()
	return r
}

func startApple(t *testing.T, o sandbox.AppleOptions) *sandbox.Apple {
	t.Helper()
	apple, err := sandbox.OpenApple(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- apple.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run the stand-in: %v", err)
		}
	})
	return apple
}

func credentials(a *sandbox.Apple) push.APNSConfig {
	return push.APNSConfig{
		KeyFile: a.KeyFile(), KeyID: sandbox.KeyID, TeamID: sandbox.TeamID, Topic: "com.example.market",
		Endpoint: a.URL(), CAFile: a.CAFile(),
	}
}

// start starts the gateway; stop, or the end of the test, stops it.
func (r *rig) start() {
	r.t.Helper()
	running, err := run(r.t.Context(), r.url, r.cfg, slog.New(slog.NewTextHandler(r.logs, nil)), func() time.Time {
		return time.Now().Add(time.Duration(r.ahead.Load()))
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.gw, r.queue = running.gw, running.queue
	r.server = httptest.NewServer(r.gw.Handler())
	r.client = client.NewPush(client.PushOptions{URL: r.server.URL, HTTPClient: r.server.Client()})
	r.stop = sync.OnceFunc(func() {
		r.server.Close()
		if err := running.stop(); err != nil {
			r.t.Errorf("stop: %v", err)
		}
	})
	r.t.Cleanup(func() { r.stop() })
}

// running is a gateway with its queue and its database.
type running struct {
	gw    *push.Gateway
	queue *job.Queue
	stop  func() error
}

func run(ctx context.Context, url string, cfg push.Config, logger *slog.Logger, now func() time.Time) (*running, error) {
	db, err := sqldb.Open(ctx, sqldb.Config{URL: url}, sqldb.Options{Name: "push"})
	if err != nil {
		return nil, err
	}
	if err := push.Migrate(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	queue := job.NewQueue(db, job.Options{Logger: logger})
	gw, err := push.New(cfg, push.Deps{
		DB: db, Queue: queue, Logger: logger, Now: now,
		Providers: map[push.Platform]push.Provider{push.APNS: apns.NewProvider(apns.Options{}), push.WebPush: webpush.NewProvider()},
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	background := context.WithoutCancel(ctx)
	queueCtx, stopQueue := context.WithCancel(background)
	gwCtx, stopGateway := context.WithCancel(background)
	queueEnd, gwEnd := make(chan error, 1), make(chan error, 1)
	go func() { queueEnd <- queue.Run(queueCtx) }()
	go func() { gwEnd <- gw.Run(gwCtx) }()
	return &running{gw, queue, func() error {
		stopGateway()
		err := <-gwEnd
		stopQueue()
		return errors.Join(err, <-queueEnd, db.Close())
	}}, nil
}

// logs keeps what is logged.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if bytes.Contains(b, []byte("msg=request method=GET")) {
		return len(b), nil // the tests' own asking, many times over
	}
	return l.buf.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func token(i int) string { return fmt.Sprintf("%064x", i) }

func tokens(from, n int) []string {
	ts := make([]string, n)
	for i := range ts {
		ts[i] = token(from + i)
	}
	return ts
}

func sold(tokens ...string) client.Notification {
	return client.Notification{Platform: client.APNS, Tokens: tokens, Title: "Sold!", Body: "A film camera"}
}

// send posts notifications and returns the request's id.
func (r *rig) send(ns ...client.Notification) string {
	r.t.Helper()
	accepted, err := r.client.Send(r.t.Context(), client.PushRequest{App: "market", Notifications: ns})
	if err != nil {
		r.t.Fatal(err)
	}
	want := 0
	for _, n := range ns {
		want += len(n.Tokens)
	}
	if accepted.Accepted != want {
		r.t.Fatalf("accepted %d of %d", accepted.Accepted, want)
	}
	return accepted.ID
}

func (r *rig) status(id string) client.PushStatus {
	r.t.Helper()
	st, err := r.client.Status(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return st
}

// until waits until the status of a request is as wanted.
func (r *rig) until(id string, want func(client.PushStatus) bool) client.PushStatus {
	r.t.Helper()
	var st client.PushStatus
	eventually(r.t, func() bool {
		st = r.status(id)
		return want(st)
	}, func() string { return fmt.Sprintf("%+v\n%s", st, r.logs) })
	return st
}

// ended waits until nothing of a request waits.
func (r *rig) ended(id string) client.PushStatus {
	r.t.Helper()
	return r.until(id, func(st client.PushStatus) bool { return st.Waiting == 0 })
}

// logged waits for a line in the log that has all the parts.
func (r *rig) logged(parts ...string) {
	r.t.Helper()
	eventually(r.t, func() bool {
		for line := range strings.Lines(r.logs.String()) {
			all := true
			for _, p := range parts {
				all = all && strings.Contains(line, p)
			}
			if all {
				return true
			}
		}
		return false
	}, r.logs.String)
}

// eventually waits for a condition that must come true. It looks again after a
// short while: what is waited for is in a database, which tells nobody.
func eventually(t *testing.T, cond func() bool, explain func() string) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("what was waited for did not come: %s", explain())
		}
	}
}
