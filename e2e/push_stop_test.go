package e2e

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/furima/furima/client"
)

// TestPushStopsWithALargeBacklog: SIGTERM while 200,000 notifications wait for a
// provider that is slow, and silent in part, ends the gateway at once and in
// order: what waits is on disk, and is delivered after the next start.
func TestPushStopsWithALargeBacklog(t *testing.T) {
	t.Parallel()
	const (
		requests    = 200
		each        = client.MaxPushTokens
		maxInFlight = 1000
	)
	apple, dir, addr := startSandbox(t), t.TempDir(), freeAddr(t)
	config := writeGateway(t, dir, "sqlite:"+filepath.Join(dir, "push.db"), addr, "",
		apple.with(fmt.Sprint("max_in_flight = ", maxInFlight)))
	gateway := startGateway(t, plainBinary(t), config).ready()
	apple.post("/sandbox/faults", `{"latency":"500ms"}`)
	ledger, push := newLedger(t, apple), pushClient(t, addr)
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for range requests / 4 {
				if _, err := ledger.send(t.Context(), push, each); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	apple.post("/sandbox/faults", fmt.Sprintf(`{"hang":true,"deliver":true,"count":%d}`, maxInFlight/2))
	before := apple.received()
	poll(t, "deliveries", func() bool { return apple.received() > before })

	began := time.Now()
	// The deadline of the stop is the gateway's own: beyond it the status is not 0.
	if status := gateway.stop(); status != 0 {
		t.Errorf("SIGTERM: exit status %d", status)
	}
	took := time.Since(began)
	ledger.read()
	if n := ledger.arrivals(); n == 0 || n > requests*each*9/10 {
		t.Fatalf("%d of %d had arrived before the stop: the test shows nothing", n, requests*each)
	}
	t.Logf("stopped within %v, when %d of %d had arrived", took.Round(time.Millisecond), ledger.arrivals(), requests*each)

	apple.heal()
	startGateway(t, plainBinary(t), config).ready()
	ledger.check(maxInFlight)
	t.Log(ledger)
}
