package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// soakRounds is how many rounds of kill -9 the soak makes on each engine; 0 for
// the few of the suite. scripts/soak sets it.
func soakRounds(t *testing.T) int {
	s := os.Getenv("FURIMA_SOAK_ROUNDS")
	if s == "" {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("FURIMA_SOAK_ROUNDS=%q is not a number of rounds", s)
	}
	return n
}

// TestPushKilledAgainAndAgain kills the gateway with -9 at random instants of its
// start, of its work and of its stop, under load. Nothing that was answered
// is lost; what is repeated was in flight and has the same apns-id; a request
// that a caller repeats under its Idempotency-Key counts once.
func TestPushKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	rounds, path := soakRounds(t), binary
	soak := rounds > 0
	if soak {
		path = plainBinary(t) // quicker: more is in flight when it dies
	} else {
		rounds = 6
	}
	stores(t, func(t *testing.T, dir string, url func(string) string) {
		apple, store, addr := startSandbox(t), url("push"), freeAddr(t)
		slow := func() { apple.post("/sandbox/faults", `{"latency":"20ms"}`) }
		slow()
		config := writeGateway(t, dir, store, addr, fmt.Sprintf("stop_timeout = %q", stopTimeout), apple.bounded(), "[log]\nlevel = \"warn\"")
		if strings.HasPrefix(store, "mysql:") {
			migratePush(t, dir, config)
		}
		ledger := newLedger(t, apple)
		stopLoad := load(ledger, addr)
		k := killer{t: t, apple: apple, ledger: ledger, path: path, config: config, starting: time.Second}
		for round := range rounds {
			k.round(round)
			ledger.read()
			if !soak {
				continue
			}
			if n := round + 1; n%10 == 0 || n == rounds {
				t.Logf("round %d of %d: %s", n, rounds, ledger)
			}
			if round%20 == 19 {
				apple.heal()
				g := startGateway(t, path, config)
				ledger.settle() // the load goes on: what is lost by now stays lost
				g.kill()
				k.kills++
				slow()
			}
		}
		stopLoad()
		apple.heal()
		gateway := startGateway(t, path, config)
		accepts(ledger, addr, 1) // it is there: before that SIGTERM would kill it
		lost := ledger.settle()
		t.Logf("%d rounds: killed %d times in its start, %d at work, %d in its stop; %s, lost %d",
			rounds, k.phases[0], k.phases[1], k.phases[2], ledger, lost)
		ledger.check(k.kills * mayRepeat)
		if ledger.repeats < hanging {
			t.Errorf("%d repeats, although %d notifications were in flight at every kill", ledger.repeats, hanging)
		}
		if status := gateway.stop(); status != 0 {
			t.Errorf("SIGTERM: exit status %d", status)
		}
	})
}

// killer starts a gateway and kills it, round after round.
type killer struct {
	t            *testing.T
	apple        *standIn
	ledger       *ledger
	path, config string
	starting     time.Duration // what a start takes, more or less
	kills        int
	phases       [3]int // kills in the start, at work, in the stop
}

func (k *killer) round(n int) {
	k.t.Helper()
	before, began := k.ledger.yes(), time.Now()
	g := startGateway(k.t, k.path, k.config)
	phase := n % 3
	if phase == 0 {
		// Half as long again as a start takes: also the first moments of work,
		// when what the last process left is taken up.
		k.instant(g, k.starting*3/2)
	} else {
		k.accepting(g, before)
		k.starting = (3*k.starting + time.Since(began)) / 4
		// What some phones get now is without an answer when the kill comes, and so
		// in flight. Not the first of all: until that is answered there is no more.
		k.receiving(hanging)
		k.apple.post("/sandbox/faults", fmt.Sprintf(`{"hang":true,"deliver":true,"count":%d}`, hanging))
		k.receiving(hanging)
		k.instant(g, 300*time.Millisecond)
	}
	if phase == 2 {
		g.signal(syscall.SIGTERM)
		k.instant(g, stopTimeout*5/4)
	}
	if g.ended() { // the stop was quicker
		if status := g.wait(); phase != 2 || status != 0 {
			k.t.Fatalf("the gateway ended by itself with status %d\n%s", status, tail(g.errors(), 4000))
		}
		return
	}
	g.kill()
	k.kills++
	k.phases[phase]++
}

// instant waits for a random time below limit, or until the process has ended.
func (k *killer) instant(g *process, limit time.Duration) {
	select {
	case <-time.After(rand.N(limit)):
	case <-g.done:
	}
}

// accepting waits until the gateway has accepted something.
func (k *killer) accepting(g *process, before int) {
	k.t.Helper()
	poll(k.t, "a request that is accepted", func() bool {
		if g.ended() {
			k.t.Fatalf("the gateway ended at its start\n%s", tail(g.errors(), 4000))
		}
		return k.ledger.yes() > before
	})
}

// hanging is how many notifications at least are in flight when a gateway dies at
// its work.
const hanging = 20

// stopTimeout is how long the gateway waits at its stop for what is in flight.
const stopTimeout = 300 * time.Millisecond

// receiving waits until n more notifications have reached phones.
func (k *killer) receiving(n int) {
	k.t.Helper()
	enough := k.apple.received() + n
	poll(k.t, "deliveries", func() bool { return k.apple.received() >= enough })
}

// yes returns how many notifications a gateway has accepted.
func (l *ledger) yes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.accepted
}

// maxLoad is how many notifications a request of load holds at most.
const maxLoad = 50

// load sends requests from several callers until stop is called, whether a
// gateway is there or not.
func load(l *ledger, addr string) (stop func()) {
	ctx, cancel := context.WithCancel(l.t.Context())
	var callers sync.WaitGroup
	push := pushClient(l.t, addr)
	again := func(err error) { // not at once: nobody may be there
		if err != nil {
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
	for range 2 {
		callers.Go(func() {
			for ctx.Err() == nil {
				_, err := l.send(context.WithoutCancel(ctx), push, 1+rand.IntN(maxLoad))
				again(err)
			}
		})
	}
	callers.Go(func() { // one that repeats until it has an answer
		for i := 0; ctx.Err() == nil; i++ {
			n := 1 + rand.IntN(maxLoad)
			first, key := l.take(n), fmt.Sprint("key ", i)
			for ctx.Err() == nil {
				_, err := l.sendAs(context.WithoutCancel(ctx), push, first, n, key)
				if err == nil {
					break
				}
				again(err)
			}
		}
	})
	callers.Go(func() { // one that talks to Gaurun
		for ctx.Err() == nil {
			const n = 20
			first := l.take(n)
			res, _, err := tryPost(l.t, "http://"+addr+"/push", gaurunBody(first, n))
			switch {
			case err != nil || res.StatusCode >= 500:
				l.note(first, n, noAnswer)
			case res.StatusCode == http.StatusOK:
				l.note(first, n, yes)
			default:
				l.note(first, n, no)
			}
			again(err)
		}
	})
	return func() { cancel(); callers.Wait() }
}
