package campaign_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/campaign"
	"github.com/furima/furima/internal/sqldb"
)

// childEnv holds what a campaign in a process of its own is to do.
const childEnv = "FURIMA_CAMPAIGN_TEST_CHILD"

type childSettings struct{ URL, Lines, State string }

func TestMain(m *testing.M) {
	if v := os.Getenv(childEnv); v != "" {
		os.Exit(child(v))
	}
	goleak.VerifyTestMain(m)
}

// child runs a campaign until it ends or is killed. It prints how far it is.
func child(settings string) int {
	var s childSettings
	if err := json.Unmarshal([]byte(settings), &s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	in, err := os.Open(s.Lines)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	_, err = campaign.Run(context.Background(), in, campaign.Options{
		Sender: client.NewPush(client.PushOptions{URL: s.URL}), Text: sale, Batch: 20, InFlight: 4, StatePath: s.State,
		Receipts: func(rs []campaign.Receipt) error { fmt.Println(rs[0].LastLine); return nil },
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// counter is a provider that counts what it delivers.
type counter struct {
	mu  sync.Mutex
	got map[string]int
}

func (c *counter) Open(push.AppConfig, *slog.Logger) (push.Sender, error) { return c, nil }
func (c *counter) Render(*push.Notification, time.Time) (push.Rendered, []push.FieldError) {
	return push.Rendered{Payload: []byte("{}")}, nil
}
func (c *counter) Close() error { return nil }
func (c *counter) Send(_ context.Context, batch []push.Message, done func(int, push.Result)) {
	for i, m := range batch {
		c.mu.Lock()
		c.got[m.Token]++
		c.mu.Unlock()
		done(i, push.Result{Outcome: push.Sent})
	}
}

func (c *counter) total() (tokens, deliveries int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.got {
		deliveries += n
	}
	return len(c.got), deliveries
}

// startGateway starts a real gateway on SQLite.
func startGateway(t *testing.T, wrap func(http.Handler) http.Handler) (url string, c *counter) {
	t.Helper()
	ctx := t.Context()
	db, err := sqldb.Open(ctx, sqldb.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "push.db")}, sqldb.Options{Name: "push"})
	if err != nil {
		t.Fatal(err)
	}
	if err := push.Migrate(ctx, db); err != nil {
		t.Fatal(err)
	}
	c = &counter{got: make(map[string]int)}
	queue := job.NewQueue(db, job.Options{})
	gw, err := push.New(push.Config{Apps: []push.AppConfig{{Name: "market"}}}, push.Deps{
		DB: db, Queue: queue, Providers: map[push.Platform]push.Provider{push.APNS: c},
	})
	if err != nil {
		t.Fatal(err)
	}
	background := context.WithoutCancel(ctx)
	queueCtx, stopQueue := context.WithCancel(background)
	gwCtx, stopGateway := context.WithCancel(background)
	queueEnd, gwEnd := make(chan error, 1), make(chan error, 1)
	go func() { queueEnd <- queue.Run(queueCtx) }()
	go func() { gwEnd <- gw.Run(gwCtx) }()
	server := httptest.NewServer(wrap(gw.Handler()))
	t.Cleanup(func() {
		server.Close()
		stopGateway()
		err := <-gwEnd
		stopQueue()
		if err := errors.Join(err, <-queueEnd, db.Close()); err != nil {
			t.Errorf("stop the gateway: %v", err)
		}
	})
	return server.URL, c
}

// delivered waits until n notifications have been delivered and tells how many
// deliveries that took.
func (c *counter) delivered(t *testing.T, n int) int {
	t.Helper()
	deadline := time.NewTimer(90 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		tokens, deliveries := c.total()
		if tokens >= n {
			return deliveries
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%d of %d were delivered", tokens, n)
		}
	}
}

// TestKilledCampaign kills campaigns in the middle and goes on until the end:
// the gateway accepts each notification exactly once.
func TestKilledCampaign(t *testing.T) {
	const n = 4000
	// Every seventh answer is lost on the way, as when the network fails.
	var calls, lost atomic.Int64
	url, c := startGateway(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if calls.Add(1)%7 != 3 {
				next.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(httptest.NewRecorder(), r)
			lost.Add(1)
			panic(http.ErrAbortHandler)
		})
	})
	dir := t.TempDir()
	s := childSettings{URL: url, Lines: filepath.Join(dir, "lines"), State: filepath.Join(dir, "state")}
	if err := os.WriteFile(s.Lines, []byte(lines(n)), 0o600); err != nil {
		t.Fatal(err)
	}
	kills := 0
	for stopAfter := 15; ; stopAfter += 11 {
		if runChild(t, s, stopAfter) {
			break
		}
		kills++
	}
	if kills < 2 {
		t.Errorf("it was killed %d times: the test is wrong", kills)
	}
	deliveries := c.delivered(t, n)
	st := readState(t, s.State)
	if deliveries != n || st.Accepted != n || !st.Done {
		t.Errorf("%d deliveries of %d notifications, state %+v", deliveries, n, st)
	}
	t.Logf("%d kills, %d requests, %d lost answers", kills, calls.Load(), lost.Load())
}

// runChild runs a campaign in a process of its own and kills it after it has
// said that this many batches are settled. It reports whether it came to its end.
func runChild(t *testing.T, s childSettings, batches int) (ended bool) {
	t.Helper()
	settings, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+string(settings))
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(out)
	for range batches {
		if !said.Scan() {
			if err := cmd.Wait(); err != nil {
				t.Fatalf("%v\n%s", err, &log)
			}
			return true
		}
	}
	_ = cmd.Process.Kill() // SIGKILL
	_ = cmd.Wait()         // which it reports as an error
	return false
}
