package push

import (
	"context"
	"sync"
	"time"
)

// flight is a batch of messages on its way, of any number of deliveries.
type flight struct {
	p    *pump
	pass pass
	msgs []Message
	of   []origin // of each message

	mu    sync.Mutex // guards what follows
	told  []bool     // of each message, whether it was answered
	tally batchTally
	held  []heldResult // answers that conclude decides on
	back  []origin     // messages that are to be sent again when there is a way
}

// origin is where a message comes from: its delivery, and its number there.
type origin struct {
	d *delivery
	n int32
}

// batchTally is what one batch says about its provider.
type batchTally struct {
	final int    // messages that ended
	sent  int    // of those, taken by the provider
	retry int    // messages that did not, for reasons of their own
	busy  int    // messages that did not because their device gets too much
	hold  Result // what keeps everything from ending, if anything does
	last  Result // of the messages to retry

	suspect string // why tokens are called wrong that may not be; empty if they are believed
}

// flights are used again: their lists are long.
var flights = sync.Pool{New: func() any { return new(flight) }}

func newFlight(p *pump, ps pass) *flight {
	f := flights.Get().(*flight)
	f.p, f.pass = p, ps
	return f
}

func (f *flight) release() {
	clear(f.msgs)
	clear(f.of)
	clear(f.held)
	clear(f.back)
	f.msgs, f.of, f.told, f.held, f.back = f.msgs[:0], f.of[:0], f.told[:0], f.held[:0], f.back[:0]
	f.p, f.tally = nil, batchTally{}
	flights.Put(f)
}

// fly sends the messages and sees to what comes of them.
func (f *flight) fly(ctx context.Context) {
	p := f.p
	p.l.sender.Send(ctx, f.msgs, f.answer)
	f.land(ctx.Err() != nil)
	f.release()
	p.wake()
}

// answer is told by the sender what became of message i.
func (f *flight) answer(i int, r Result) {
	p := f.p
	if f.note(i, r) {
		p.l.metrics.result(r, f.of[i].d.env.due, p.g.now())
		p.answered(1)
	}
}

// note notes what became of message i, or keeps it for conclude. It is false if the
// sender has said so already: what it said first counts.
func (f *flight) note(i int, r Result) bool {
	d := f.of[i].d
	f.mu.Lock()
	if len(f.told) < len(f.msgs) {
		f.told = append(f.told, make([]bool, len(f.msgs)-len(f.told))...)
	}
	if f.told[i] {
		f.mu.Unlock()
		return false
	}
	f.told[i] = true
	t := &f.tally
	switch r.Outcome {
	case Sent:
		t.final++
		t.sent++
	case Rejected:
		t.final++
	case Unregistered:
		if blamesToken(d.env.platform, r.Reason) {
			f.held = append(f.held, heldResult{f.of[i], f.msgs[i].Token, r})
			f.mu.Unlock()
			return true
		}
		t.final++
	case Down, Refused:
		if t.hold.Outcome != Refused {
			t.hold = r
		}
		// The others must not be sent before the breaker knows.
		f.back = append(f.back, f.of[i])
		f.mu.Unlock()
		return true
	default:
		if blamesDevice(d.env.platform, r.Reason) {
			t.busy++
			break
		}
		t.retry++
		t.last = r
	}
	f.mu.Unlock()
	f.settle(f.of[i], f.msgs[i].Token, r)
	return true
}

func (f *flight) settle(o origin, token string, r Result) {
	d := o.d
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle(int(o.n), token, r)
	d.pump.settled(d)
}

// land decides on what the answers have left open, tells the breaker, and has
// sent again what is to be. A flight that was interrupted says nothing about the
// provider.
func (f *flight) land(interrupted bool) {
	p := f.p
	if interrupted {
		p.l.breaker.leave(f.pass, verdict{})
		for _, h := range f.held {
			f.back = append(f.back, h.origin)
		}
		f.again(f.back, f.tally.hold.Reason, false)
		return
	}
	stale := p.l.breaker.isStale(f.pass)
	disbelieved := f.conclude(p.l.trust, stale, p.g.now())
	p.g.judge(p.l, f.pass, f.tally)
	f.again(f.back, f.tally.hold.Reason, false)
	// After a probe another request may know better tokens.
	f.again(disbelieved, f.tally.suspect, f.pass.probe && !stale)
}

// conclude ends what the answers have left open, or returns it if they are not to
// be believed. Answers to credentials that have been replaced since are not held
// against tokens.
func (f *flight) conclude(t *trust, stale bool, now time.Time) (disbelieved []origin) {
	if stale && len(f.held) > 0 || t.weigh(f.tally, f.held, now) {
		f.tally.suspect = f.held[0].result.Reason
		for _, h := range f.held {
			disbelieved = append(disbelieved, h.origin)
		}
		return disbelieved
	}
	for _, h := range f.held {
		f.settle(h.origin, h.token, h.result)
		f.tally.final++
	}
	return nil
}

// again has messages sent again in this round, or leaves them for the next one.
func (f *flight) again(back []origin, reason string, nextRound bool) {
	for _, o := range back {
		o.d.pump.sendAgain(o.d, int(o.n), reason, nextRound)
	}
}

func (p *pump) sendAgain(d *delivery, n int, reason string, nextRound bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.landed(n) {
		return
	}
	if reason != "" {
		d.prog.last = reason
	}
	if nextRound {
		d.pos = d.total
	} else {
		d.pos = min(d.pos, n)
	}
	if d.pos < d.total && !d.halted {
		p.queue(d)
	}
	p.settled(d)
}
