package push

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// mustEnter waits for a pass.
func mustEnter(t *testing.T, b *breaker) pass {
	t.Helper()
	p, err := b.enter(t.Context(), nil, forEver)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

type patientFor func() time.Duration

func (f patientFor) patience() time.Duration { return f() }

var forEver patientFor = func() time.Duration { return math.MaxInt64 }

var (
	away = verdict{ailing: down, reason: "Unreachable"}
	well = verdict{healthy: true}
)

func TestBreakerLetsOneThroughAfterAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(time.Second, time.Minute)
		first, second := mustEnter(t, b), mustEnter(t, b)
		if first.probe || second.probe || first.most != maxBatch {
			t.Fatalf("a probe without need: %+v %+v", first, second)
		}
		c := b.leave(first, away)
		if c.pause < 500*time.Millisecond || c.pause > time.Second || !c.news {
			t.Errorf("the first pause is %+v", c)
		}
		if again := b.leave(second, away); again != (change{}) {
			t.Errorf("what was under way made %+v", again)
		}
		start := time.Now()
		probe := mustEnter(t, b)
		if !probe.probe || probe.most != 1 {
			t.Errorf("after the pause there is no probe but %+v", probe)
		}
		if waited := time.Since(start); waited != c.pause {
			t.Errorf("waited %v of %v", waited, c.pause)
		}

		// The others wait until the probe is back.
		passed := make(chan bool)
		for range 3 {
			go func() {
				p, err := b.enter(t.Context(), nil, forEver)
				passed <- p.probe || err != nil
			}()
		}
		synctest.Wait()
		select {
		case <-passed:
			t.Fatal("passed beside the probe")
		default:
		}
		if c := b.leave(probe, well); !c.closed || c.held < 500*time.Millisecond {
			t.Errorf("after a good probe: %+v", c)
		}
		for range 3 {
			if <-passed {
				t.Error("a probe after things are well again")
			}
		}
	})
}

func TestBreakerPausesGrow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(time.Second, 10*time.Second)
		b.leave(mustEnter(t, b), away)
		var pauses []time.Duration
		for range 6 {
			c := b.leave(mustEnter(t, b), away)
			if c.news {
				t.Error("the same again is news")
			}
			pauses = append(pauses, c.pause)
		}
		for i, lower := range []time.Duration{1, 2, 4, 5, 5, 5} {
			if lower *= time.Second; pauses[i] < lower || pauses[i] > 2*lower {
				t.Errorf("pause %d is %v, want %v to %v", i+2, pauses[i], lower, 2*lower)
			}
		}
		c := b.leave(mustEnter(t, b), verdict{ailing: refused, reason: "InvalidProviderToken", after: time.Hour})
		if c.pause != time.Hour || !c.news {
			t.Errorf("the provider asked for an hour and gets %+v", c)
		}
		if now, reason, _ := b.state(); now != refused || reason != "InvalidProviderToken" {
			t.Errorf("the state is %v, %s", now, reason)
		}
	})
}

func TestBreakerHandsAnUnusedProbeOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(time.Second, time.Minute)
		b.leave(mustEnter(t, b), away)
		first := mustEnter(t, b)
		next := make(chan bool)
		go func() {
			p, err := b.enter(t.Context(), nil, forEver)
			next <- p.probe && err == nil
		}()
		synctest.Wait()
		b.leave(first, verdict{}) // there was nothing to send after all
		if !<-next {
			t.Error("nobody else became the probe")
		}
	})
}

func TestBreakerWaitEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(time.Hour, time.Hour)
		b.leave(mustEnter(t, b), away)
		ctx, cancel := context.WithCancel(t.Context())
		halt := make(chan struct{})
		ended := make(chan error, 2)
		go func() { _, err := b.enter(ctx, nil, forEver); ended <- err }()
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("with its context: %v", err)
		}
		go func() { _, err := b.enter(t.Context(), halt, forEver); ended <- err }()
		synctest.Wait()
		close(halt)
		if err := <-ended; !errors.Is(err, errHalted) {
			t.Errorf("when halted: %v", err)
		}
		if c, _, _ := b.state(); c != down {
			t.Error("leaving the queue has let things through")
		}
	})
}

func TestBreakerForgetsOldCredentials(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(time.Hour, time.Hour)
		late := mustEnter(t, b)
		b.leave(mustEnter(t, b), away)
		passed := make(chan pass)
		go func() { passed <- mustEnter(t, b) }()
		synctest.Wait()
		b.reset()
		if p := <-passed; p.probe {
			t.Errorf("a probe instead of everything: %+v", p)
		}
		if c := b.leave(late, verdict{ailing: refused}); c != (change{}) {
			t.Errorf("a late answer to the old credentials made %+v", c)
		}
		if c, _, _ := b.state(); c != none {
			t.Errorf("and the breaker %v", c)
		}
	})
}

func TestBreakerParksAndTurnsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(time.Second, time.Second)
		b.park()
		ended := make(chan error, 1)
		go func() { _, err := b.enter(t.Context(), nil, forEver); ended <- err }()
		time.Sleep(time.Hour)
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("passed a parked breaker: %v", err)
		default:
		}
		b.halt()
		if err := <-ended; !errors.Is(err, errHalted) {
			t.Errorf("turned away with %v", err)
		}
	})
}

func TestBreakerWaitEndsWithPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(time.Hour, time.Hour)
		b.leave(mustEnter(t, b), away)
		start := time.Now()
		p, err := b.enter(t.Context(), nil, patientFor(func() time.Duration { return time.Minute - time.Since(start) }))
		if err != nil || p.most != 0 || p.probe || time.Since(start) != time.Minute {
			t.Errorf("after %v: %+v, %v", time.Since(start), p, err)
		}
		if c := b.leave(p, well); c != (change{}) {
			t.Errorf("a pass for nothing made %+v", c)
		}
		if c, _, _ := b.state(); c != down {
			t.Errorf("and the breaker %v", c)
		}
	})
}

func TestBackoffStaysWithin(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]time.Duration{0: time.Second, 1: 2 * time.Second, 3: 8 * time.Second, 9: time.Minute, 40: time.Minute, 1000: time.Minute} {
		for range 50 {
			if d := backoff(time.Second, time.Minute, n); d < want/2 || d > want {
				t.Fatalf("round %d: %v, want %v to %v", n, d, want/2, want)
			}
		}
	}
}
