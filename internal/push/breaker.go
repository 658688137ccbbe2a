package push

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// breaker holds back everything of one app for one provider while nothing of it
// can be delivered. After a pause it lets a few messages through; when they get
// an answer, the rest follow.
type breaker struct {
	mu       sync.Mutex    // guards what follows
	min, max time.Duration // of the pauses, which double
	epoch    int           // verdicts on what was let through in an earlier one do not count
	cause    cause         // why it is open; none while it is not
	reason   string        // the provider's word for it
	since    time.Time     // when it opened
	until    time.Time     // no probe before
	pauses   int           // in a row
	probing  bool
	parked   bool          // let nothing through, for as long as it takes
	shut     bool          // turn everybody away
	changed  chan struct{} // closed when any of it changes, then replaced
}

// cause is why a lane is held up.
type cause uint8

const (
	none    cause = iota
	down          // the provider cannot be reached, or takes nothing
	refused       // the provider does not accept the app's credentials
	suspect       // so many tokens are said to be wrong that it must be the app's topic or environment
	causes        // how many there are
)

// causeNames are what metrics and logs call them; none is "closed", as the
// breaker then is.
var causeNames = [causes]string{"closed", "down", "refused", "suspect"}

func (c cause) String() string { return causeNames[c] }

// pass lets a batch through the breaker.
type pass struct {
	most   int  // messages
	probe  bool // it is to find out whether things are well again
	epoch  int
	reason string // why it is for no message
}

// suspectProbe is how many tokens are tried at once to find one that the provider
// knows.
const suspectProbe = 10

func newBreaker(minimum, maximum time.Duration) *breaker {
	return &breaker{min: minimum, max: maximum, changed: make(chan struct{})}
}

// impatient is who waits for a breaker.
type impatient interface{ patience() time.Duration }

// enter waits until something may be sent; leave must follow. The pass is for no
// message at all if that takes longer than who has patience, which is asked only if
// there is anything to wait for. It ends with an error when ctx or halt does.
func (b *breaker) enter(ctx context.Context, halt <-chan struct{}, who impatient) (pass, error) {
	for {
		select {
		case <-ctx.Done():
			return pass{}, ctx.Err()
		case <-halt:
			return pass{}, errHalted
		default:
		}
		b.mu.Lock()
		wait := time.Duration(0)
		switch {
		case b.shut:
			b.mu.Unlock()
			return pass{}, errHalted
		case b.parked:
		case b.cause == none:
			p := pass{most: maxBatch, epoch: b.epoch}
			b.mu.Unlock()
			return p, nil
		default:
			if wait = time.Until(b.until); wait <= 0 && !b.probing {
				b.probing = true
				p := pass{most: 1, probe: true, epoch: b.epoch}
				if b.cause == suspect {
					p.most = suspectProbe
				}
				b.mu.Unlock()
				return p, nil
			}
		}
		changed, reason := b.changed, b.reason
		b.mu.Unlock()
		most := who.patience()
		if most <= 0 {
			return pass{epoch: -1, reason: reason}, nil
		}
		if wait <= 0 || most < wait {
			wait = most
		}
		if err := await(ctx, halt, changed, wait); err != nil {
			return pass{}, err
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

// verdict is what a batch says about its provider. The zero value says nothing:
// that nothing was sent, or little, with faults of single messages.
type verdict struct {
	healthy bool          // it takes messages
	ailing  cause         // or why it takes none
	reason  string        // of ailing
	after   time.Duration // with ailing: no probe before, if it said so
}

// change is what a verdict does to the breaker.
type change struct {
	pause  time.Duration // that begins with it, or 0
	closed bool          // sending goes on
	news   bool          // with pause: the cause or its reason is not that of the pause before
	held   time.Duration // with closed: for how long nothing was sent
}

// leave says how it went.
func (b *breaker) leave(p pass, v verdict) change {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.epoch != b.epoch {
		return change{} // about credentials that are not used any more
	}
	if p.probe {
		b.probing = false
	}
	var c change
	switch {
	case v.healthy && (p.probe || b.cause == none):
		// Late answers from before the pause do not end it.
		if b.cause != none {
			c = change{closed: true, held: time.Since(b.since)}
		}
		b.cause, b.reason, b.pauses = none, "", 0
		if !c.closed {
			return c // as before, which is no news to anybody
		}
	case v.ailing != none && (p.probe || b.cause == none):
		// What was under way when the pause began does not make it longer.
		c.pause = max(backoff(b.min, b.max, b.pauses), v.after)
		c.news = b.cause != v.ailing || b.reason != v.reason
		if b.cause == none {
			b.since = time.Now()
		}
		b.cause, b.reason, b.until = v.ailing, v.reason, time.Now().Add(c.pause)
		b.pauses++
	case !p.probe:
		return c
	}
	b.tell()
	return c
}

// isStale reports whether a pass is from before the last reset.
func (b *breaker) isStale(p pass) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return p.epoch != b.epoch
}

// reset lets everything through again, and takes no account of what is still
// under way: the credentials have changed.
func (b *breaker) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.epoch++
	b.cause, b.reason, b.pauses, b.probing = none, "", 0, false
	b.tell()
}

// tune sets the shortest and the longest pause.
func (b *breaker) tune(minimum, maximum time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.min, b.max = minimum, maximum
}

// park lets nothing more through and turns nobody away.
func (b *breaker) park() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.parked = true
	b.tell()
}

// halt turns everybody away from now on.
func (b *breaker) halt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shut = true
	b.tell()
}

// tell wakes those who wait. b.mu is held.
func (b *breaker) tell() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// state returns why everything is held back, or none, and since when.
func (b *breaker) state() (c cause, reason string, since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cause, b.reason, b.since
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
