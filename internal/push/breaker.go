package push

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// breaker holds back everything of one app for one provider while nothing of it
// can be delivered. After a pause it lets one message through; when that one
// gets an answer, the rest follow.
type breaker struct {
	min, max time.Duration // of the pauses, which double

	mu      sync.Mutex // guards what follows
	open    bool
	until   time.Time // no probe before
	pauses  int       // in a row
	probing bool
	changed chan struct{} // closed when any of it changes, then replaced
}

var errHalted = errors.New("delivery is halted")

func newBreaker(minimum, maximum time.Duration) *breaker {
	return &breaker{min: minimum, max: maximum, changed: make(chan struct{})}
}

// enter waits until something may be sent. It returns true if only one message
// may be, as a probe; leave must follow. It ends with an error when ctx or halt
// does.
func (b *breaker) enter(ctx context.Context, halt <-chan struct{}) (probe bool, err error) {
	for {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-halt:
			return false, errHalted
		default:
		}
		b.mu.Lock()
		if !b.open {
			b.mu.Unlock()
			return false, nil
		}
		wait, changed := time.Until(b.until), b.changed
		if wait <= 0 && !b.probing {
			b.probing = true
			b.mu.Unlock()
			return true, nil
		}
		b.mu.Unlock()
		if err := await(ctx, halt, changed, wait); err != nil {
			return false, err
		}
	}
}

// await waits for a change, or for wait if it is above 0.
func await(ctx context.Context, halt, changed <-chan struct{}, wait time.Duration) error {
	var expired <-chan time.Time
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		expired = t.C
	}
	select {
	case <-expired:
	case <-changed:
	case <-halt:
		return errHalted
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// verdict is what a batch says about its provider.
type verdict uint8

const (
	unclear verdict = iota // nothing was sent, or little, with faults of single messages
	healthy                // it takes messages
	ailing                 // it takes none
)

// leave says how it went. It returns the pause that begins with it, or 0.
func (b *breaker) leave(probe bool, v verdict, after time.Duration) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
	}
	pause := time.Duration(0)
	switch {
	case v == healthy && (probe || !b.open):
		// Late answers from before the pause do not end it.
		b.open, b.pauses = false, 0
	case v == ailing && (probe || !b.open):
		// What was under way when the pause began does not make it longer.
		pause = max(backoff(b.min, b.max, b.pauses), after)
		b.open, b.until = true, time.Now().Add(pause)
		b.pauses++
	case !probe:
		return 0
	}
	close(b.changed)
	b.changed = make(chan struct{})
	return pause
}

// isOpen reports whether everything is held back.
func (b *breaker) isOpen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open
}

// backoff is the wait before round n+1, the first being n = 0: minimum doubled n
// times, up to maximum, of which the upper half is left to chance so that what
// failed together does not come back together.
func backoff(minimum, maximum time.Duration, n int) time.Duration {
	d := maximum
	if n < 30 {
		if e := minimum << n; e > 0 && e < maximum {
			d = e
		}
	}
	return d/2 + rand.N(d/2+1)
}
