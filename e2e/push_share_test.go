package e2e

import (
	"fmt"
	"testing"

	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

// TestPushGatewaysShareABacklog: two gateways on one MariaDB deliver one
// backlog. One is killed with -9 in the middle of it; the other sends what is
// left, the jobs of the dead one as well.
func TestPushGatewaysShareABacklog(t *testing.T) {
	needs(t, "mariadbd")
	t.Parallel()
	apple, store := startSandbox(t), sqldbtest.MariaDB(t)
	const (
		requests = 60
		each     = 100
		unheard  = inFlight / 2
	)
	var gateways [2]*process
	var addrs [2]string
	for i := range gateways {
		addrs[i] = freeAddr(t)
		config := writeGateway(t, t.TempDir(), store, addrs[i], "", apple.bounded())
		if i == 0 {
			migratePush(t, t.TempDir(), config)
		}
		gateways[i] = startGateway(t, binary, config).ready()
	}
	apple.post("/sandbox/faults", `{"latency":"400ms"}`)
	ledger := newLedger(t, apple)
	for i := range requests {
		ledger.mustSend(pushClient(t, addrs[i%2]), each)
	}
	sent := func(g *process) float64 { return g.metric("furima_push_results_total") }
	poll(t, "deliveries of both gateways", func() bool { return sent(gateways[0]) > each && sent(gateways[1]) > each })
	// What the next phones get is without an answer when the kill comes, and so
	// in flight: it has to be sent again.
	before := apple.received()
	apple.post("/sandbox/faults", fmt.Sprintf(`{"hang":true,"deliver":true,"count":%d}`, unheard))
	poll(t, "messages in flight", func() bool { return apple.received() >= before+unheard })
	gateways[0].kill()
	ledger.read()
	early := ledger.arrivals()
	if early >= requests*each {
		t.Fatal("everything had arrived before the kill: the test shows nothing")
	}
	apple.heal()
	ledger.check(2 * mayRepeat)
	t.Logf("%d had arrived when one was killed; %s", early, ledger)
	if ledger.repeats == 0 {
		t.Error("nothing was repeated: what was in flight had no answer")
	}
	if status := gateways[1].stop(); status != 0 {
		t.Errorf("SIGTERM: exit status %d", status)
	}
}

func (l *ledger) arrivals() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.arrived
}
