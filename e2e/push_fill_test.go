package e2e

import (
	"path/filepath"
	"testing"
	"time"
)

// TestPushFillsItsDisk: a gateway whose provider is away takes notifications
// until its disk is nearly full and then says 503; when the provider is back
// everything is delivered, since there is room to write that down.
func TestPushFillsItsDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, 24<<20)
	apple, addr := startSandbox(t), freeAddr(t)
	config := writeGateway(t, t.TempDir(), "sqlite:"+filepath.Join(dir, "push.db"), addr, "", apple.config)
	gateway := startGateway(t, plainBinary(t), config).ready()
	ledger, push := newLedger(t, apple), pushClient(t, addr)
	apple.post("/sandbox/faults", `{"status":503,"reason":"ServiceUnavailable","count":-1}`)
	refusals := 0
	for range 4000 {
		if _, err := ledger.send(t.Context(), push, 1000); err == nil {
			continue
		}
		if refusals++; refusals == 5 {
			break
		}
	}
	if refusals < 5 {
		t.Fatal("the disk was never full")
	}
	apple.heal()
	for deadline := time.Now().Add(2 * time.Minute); ; {
		ledger.read()
		if lost := ledger.lost(ledger.next); lost == 0 {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("%d still wait: %v", lost, ledger)
		}
		<-time.After(200 * time.Millisecond)
	}
	t.Log(ledger)
	if status := gateway.stop(); status != 0 {
		t.Errorf("SIGTERM: exit status %d", status)
	}
}
