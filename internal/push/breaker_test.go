package push

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestBreakerLetsOneThroughAfterAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(time.Second, time.Minute)
		enter := func() bool {
			t.Helper()
			probe, err := b.enter(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			return probe
		}
		for range 2 {
			if enter() {
				t.Fatal("a probe without need")
			}
		}
		pause := b.leave(false, ailing, 0)
		if pause < 500*time.Millisecond || pause > time.Second {
			t.Errorf("the first pause is %v", pause)
		}
		if again := b.leave(false, ailing, 0); again != 0 {
			t.Errorf("what was under way made another pause of %v", again)
		}
		start := time.Now()
		if !enter() {
			t.Error("after the pause there is no probe")
		}
		if waited := time.Since(start); waited != pause {
			t.Errorf("waited %v of %v", waited, pause)
		}

		// The others wait until the probe is back.
		passed := make(chan bool)
		for range 3 {
			go func() {
				probe, err := b.enter(t.Context(), nil)
				passed <- probe || err != nil
			}()
		}
		synctest.Wait()
		select {
		case <-passed:
			t.Fatal("passed beside the probe")
		default:
		}
		b.leave(true, healthy, 0)
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
		b.leave(false, ailing, 0)
		var pauses []time.Duration
		for range 6 {
			if probe, err := b.enter(t.Context(), nil); !probe || err != nil {
				t.Fatal(probe, err)
			}
			pauses = append(pauses, b.leave(true, ailing, 0))
		}
		for i, lower := range []time.Duration{1, 2, 4, 5, 5, 5} {
			if lower *= time.Second; pauses[i] < lower || pauses[i] > 2*lower {
				t.Errorf("pause %d is %v, want %v to %v", i+2, pauses[i], lower, 2*lower)
			}
		}
		if probe, err := b.enter(t.Context(), nil); !probe || err != nil {
			t.Fatal(probe, err)
		}
		if pause := b.leave(true, ailing, time.Hour); pause != time.Hour {
			t.Errorf("the provider asked for an hour and gets %v", pause)
		}
	})
}

func TestBreakerHandsAnUnusedProbeOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(time.Second, time.Minute)
		b.leave(false, ailing, 0)
		first, err := b.enter(t.Context(), nil)
		if !first || err != nil {
			t.Fatal(first, err)
		}
		next := make(chan bool)
		go func() {
			probe, err := b.enter(t.Context(), nil)
			next <- probe && err == nil
		}()
		synctest.Wait()
		b.leave(true, unclear, 0) // there was nothing to send after all
		if !<-next {
			t.Error("nobody else became the probe")
		}
	})
}

func TestBreakerWaitEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(time.Hour, time.Hour)
		b.leave(false, ailing, 0)
		ctx, cancel := context.WithCancel(t.Context())
		halt := make(chan struct{})
		ended := make(chan error, 2)
		go func() { _, err := b.enter(ctx, nil); ended <- err }()
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("with its context: %v", err)
		}
		go func() { _, err := b.enter(t.Context(), halt); ended <- err }()
		synctest.Wait()
		close(halt)
		if err := <-ended; !errors.Is(err, errHalted) {
			t.Errorf("when halted: %v", err)
		}
		if !b.isOpen() {
			t.Error("leaving the queue has let things through")
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
