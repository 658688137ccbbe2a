package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

// refused waits until the gateway answers requests with this status, and holds
// that it says when to come back, on both of its surfaces.
func refused(l *ledger, addr string, status, n int) {
	l.t.Helper()
	push := pushClient(l.t, addr)
	var gaurun sync.WaitGroup
	gaurun.Go(func() { // both at once: each may take as long as the gateway waits for its store
		poll(l.t, fmt.Sprintf("an answer %d of POST /push", status), func() bool {
			first := l.take(n)
			res, body := post(l.t, "http://"+addr+"/push", gaurunBody(first, n))
			switch res.StatusCode {
			case http.StatusOK:
				l.note(first, n, yes)
			case status:
				if res.Header.Get("Retry-After") == "" {
					l.t.Errorf("POST /push: %d %q without Retry-After", status, body)
				}
			default:
				l.t.Errorf("POST /push: %d %q, want status %d", res.StatusCode, body, status)
			}
			return res.StatusCode != http.StatusOK
		})
	})
	defer gaurun.Wait()
	poll(l.t, fmt.Sprint("an answer ", status), func() bool {
		_, err := l.send(l.t.Context(), push, n)
		p, ok := errors.AsType[*client.Problem](err)
		if err != nil && !ok {
			l.t.Fatalf("Send: %v", err)
		}
		if ok && p.Status != status {
			l.t.Fatalf("Send: %v, want status %d", err, status)
		}
		if ok && p.RetryAfter <= 0 {
			l.t.Errorf("status %d without Retry-After", status)
		}
		return ok
	})
}

// accepts waits until the gateway takes requests again.
func accepts(l *ledger, addr string, n int) {
	l.t.Helper()
	push := pushClient(l.t, addr)
	poll(l.t, "a request that is accepted", func() bool {
		_, err := l.send(l.t.Context(), push, n)
		if p, ok := errors.AsType[*client.Problem](err); ok && !p.Temporary() {
			l.t.Fatalf("Send: %v", err)
		}
		return err == nil
	})
}

// TestPushDiskFull: while the disk of its queue is full the gateway says so to
// whoever sends, and forgets nothing; when there is room it goes on by itself.
func TestPushDiskFull(t *testing.T) {
	dir := smallDisk(t, 16<<20)
	t.Parallel()
	apple, addr := startSandbox(t), freeAddr(t)
	config := writeGateway(t, t.TempDir(), "sqlite:"+filepath.Join(dir, "push.db"), addr, "", apple.bounded())
	gateway := startGateway(t, binary, config).ready()
	ledger, push := newLedger(t, apple), pushClient(t, addr)
	apple.post("/sandbox/faults", `{"latency":"400ms"}`)
	const each = 100
	for range 40 {
		ledger.mustSend(push, each)
	}
	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast)
	refused(ledger, addr, http.StatusServiceUnavailable, each)
	ledger.read()
	if early := ledger.arrivals(); early == 40*each {
		t.Fatal("everything had arrived before the disk was full: the test shows nothing")
	}
	if gateway.ended() {
		t.Fatalf("the gateway ended\n%s", tail(gateway.errors(), 4000))
	}
	apple.heal()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	accepts(ledger, addr, each)
	// What was delivered and could not be written down is sent again.
	ledger.check(mayRepeat)
	t.Log(ledger)
	if status := gateway.stop(); status != 0 {
		t.Errorf("SIGTERM: exit status %d", status)
	}
}

// smallDisk mounts a file system of the given size in memory, until the end of
// the test.
func smallDisk(t *testing.T, bytes int) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short leaves out the full disk")
	}
	dir := t.TempDir()
	if err := syscall.Mount("furima", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		missing(t, fmt.Sprintf("no small file system to fill: mount tmpfs (it takes root): %v", err))
	}
	t.Cleanup(func() {
		// Lazily: the gateway may still be ending.
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// fill writes to a file until its disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; { // then smaller and smaller, to the last byte
		if _, err = f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("fill the disk: %v", err)
	}
}

// TestPushDatabaseGone: while the database server hangs, and while it is gone,
// the gateway says so to whoever sends; when it is back the gateway goes on by
// itself.
func TestPushDatabaseGone(t *testing.T) {
	needs(t, "mariadbd")
	t.Parallel()
	server, err := sqldbtest.Start(sqldbtest.Options{Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	store, err := server.Database(t.Context(), "push")
	if err != nil {
		t.Fatal(err)
	}
	apple, dir, addr := startSandbox(t), t.TempDir(), freeAddr(t)
	const each = 100
	config := writeGateway(t, dir, store, addr, "", apple.bounded())
	migratePush(t, dir, config)
	gateway := startGateway(t, binary, config).ready()
	ledger, push := newLedger(t, apple), pushClient(t, addr)
	apple.post("/sandbox/faults", `{"latency":"400ms"}`)
	for range 20 {
		ledger.mustSend(push, each)
	}
	freeze := func(s syscall.Signal) {
		if err := syscall.Kill(server.Pid(), s); err != nil {
			t.Fatal(err)
		}
	}
	freeze(syscall.SIGSTOP)
	began := time.Now()
	refused(ledger, addr, http.StatusServiceUnavailable, each)
	t.Logf("told so after %v", time.Since(began).Round(time.Millisecond))
	freeze(syscall.SIGCONT)
	accepts(ledger, addr, each)

	for range 20 {
		ledger.mustSend(push, each)
	}
	server.Crash()
	refused(ledger, addr, http.StatusServiceUnavailable, each)
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	accepts(ledger, addr, each)
	ledger.check(2 * mayRepeat)
	t.Log(ledger)
	if gateway.ended() {
		t.Errorf("the gateway ended\n%s", tail(gateway.errors(), 4000))
	}
}

// TestPushProviderGone: while nobody listens at the provider, and while it
// hangs, the gateway takes notifications up to its backlog and then says 429;
// when the provider is back they are delivered without help.
func TestPushProviderGone(t *testing.T) {
	t.Parallel()
	apple, dir, addr := startSandbox(t), t.TempDir(), freeAddr(t)
	apple.kill()
	const each, backlog = 100, 2000
	keys := fmt.Sprintf("max_backlog = %d\nretry_max = \"500ms\"\n", backlog)
	apps := apple.with(`timeout = "1s"`)
	config := writeGateway(t, dir, "sqlite:"+filepath.Join(dir, "push.db"), addr, keys, apps)
	gateway := startGateway(t, binary, config).ready()
	ledger, push := newLedger(t, apple), pushClient(t, addr)
	full := func() {
		t.Helper()
		for range backlog / each {
			ledger.mustSend(push, each)
		}
		refused(ledger, addr, http.StatusTooManyRequests, each)
	}
	full()
	gateway.await("a line about the provider", func() bool {
		return len(gateway.log("the provider takes nothing: sending pauses, nothing is lost")) > 0
	})
	apple.run(t)
	if lost := ledger.settle(); lost > 0 {
		t.Fatalf("%d did not arrive after the provider's return", lost)
	}
	gateway.await("a line about the end of it", func() bool { return len(gateway.log("sending goes on")) > 0 })
	// The backlog goes down with the ends on record, a moment later.
	poll(t, "an empty backlog", func() bool { return gateway.metric("furima_push_backlog") == 0 })

	apple.signal(syscall.SIGSTOP)
	full()
	apple.signal(syscall.SIGCONT)
	// What it read before it stopped it may have given to the phones.
	ledger.check(2 * backlog)
	t.Log(ledger)
}

// TestPushRevokedKey: an app whose key Apple refuses stops sending and keeps its
// backlog, one log line names the app and the reason, and another app's
// deliveries go on. With the key restored everything is delivered.
func TestPushRevokedKey(t *testing.T) {
	t.Parallel()
	market, auction := startSandbox(t), startSandbox(t)
	dir, addr := t.TempDir(), freeAddr(t)
	config := writeGateway(t, dir, "sqlite:"+filepath.Join(dir, "push.db"), addr, "", market.config, auction.app("auction"))
	gateway := startGateway(t, binary, config).ready()
	ledger, push := newLedger(t, market, auction), pushClient(t, addr)
	const each, requests, refusal = 100, 30, "403 InvalidProviderToken"
	market.post("/sandbox/faults", `{"status":403,"reason":"InvalidProviderToken","count":-1}`)
	var last client.PushAccepted
	for range requests {
		last = ledger.mustSend(push, each)
	}
	gateway.await("a line that names the app and the reason", func() bool { return len(refusals(gateway, "market")) > 0 })

	// The other app has its own lane.
	other := newLedger(t, auction)
	other.next, other.kept, other.none, other.known = ledger.next, make([]bool, ledger.next), make([]bool, ledger.next), make([]string, ledger.next)
	for range requests {
		first := other.take(each)
		req := request(first, each)
		req.App = "auction"
		if _, err := push.Send(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		other.note(first, each, yes)
	}
	other.check(0)
	if got := refusals(gateway, "auction"); len(got) > 0 {
		t.Errorf("the other app is said to be refused: %v", got)
	}

	status, err := push.Status(t.Context(), last.ID)
	if err != nil || status.Waiting != each {
		t.Errorf("status of a request that waits: %+v, %v", status, err)
	}
	// What was under way when the first refusal came, and a probe a pause.
	if n, most := market.answered(refusal), 1000+100; n == 0 || n > most {
		t.Errorf("Apple refused %d of %d notifications: sending does not pause", n, requests*each)
	}
	if n := market.received(); n > 0 {
		t.Errorf("%d arrived under a revoked key", n)
	}
	market.heal()
	ledger.check(0)
	t.Logf("%d were refused in %d pauses; %s", market.answered(refusal), len(refusals(gateway, "market")), ledger)
}

// refusals returns the log lines that say that an app is refused, and why.
func refusals(g *process, app string) []map[string]any {
	var found []map[string]any
	for _, l := range g.log("the provider refuses the app: sending pauses, nothing is lost") {
		if l["app"] == app && l["level"] == "ERROR" && l["reason"] == "InvalidProviderToken" {
			found = append(found, l)
		}
	}
	return found
}
