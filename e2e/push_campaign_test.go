package e2e

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestPushCampaignKilled: furima push send, killed with -9 in the middle of
// 100,000 lines and started again with the same state, sends the rest, and
// nothing twice.
func TestPushCampaignKilled(t *testing.T) {
	t.Parallel()
	const lines = 100_000
	apple, dir, addr := startSandbox(t), t.TempDir(), freeAddr(t)
	config := writeGateway(t, dir, "sqlite:"+filepath.Join(dir, "push.db"), addr, "", apple.config)
	startGateway(t, plainBinary(t), config).ready()
	ledger := newLedger(t, apple)
	file := filepath.Join(dir, "phones.txt")
	writeTokens(t, file, ledger.take(lines), lines)
	args := []string{"push", "send", "--url", "http://" + addr, "--file", file, "--format", "tokens", "--platform", "apns",
		"--title", "sale", "--body", "half the price", "--state", filepath.Join(dir, "sale.state"), "--rate", "20000"}
	killed := startBinary(t, plainBinary(t), dir, nil, args...)
	poll(t, "a part of the campaign", func() bool {
		if killed.ended() {
			t.Fatalf("the campaign ended\n%s%s", killed.output(), tail(killed.errors(), 2000))
		}
		return apple.received() > lines/20
	})
	killed.kill()
	ledger.read()
	if n := ledger.arrivals(); n >= lines {
		t.Fatal("everything had arrived before the kill: the test shows nothing")
	}
	again := startBinary(t, plainBinary(t), dir, nil, args[:len(args)-2]...)
	if status := again.wait(); status != 0 {
		t.Fatalf("the second time: exit status %d\n%s%s", status, again.output(), tail(again.errors(), 2000))
	}
	ledger.note(0, lines, yes)
	ledger.check(0)
	t.Log(ledger)
}

func writeTokens(t *testing.T, path string, first, n int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	for i := first; i < first+n; i++ {
		fmt.Fprintln(w, deviceToken(i))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}
