package push

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/furima/furima/internal/job"
)

// delivery is a job under way: its messages, and what has become of them. Flights,
// the checkpoint, the finisher and requests for its state meet in it.
type delivery struct {
	env     *envelope
	total   int
	job     *job.Job
	pump    *pump
	started time.Time
	ended   int // messages that had ended before
	sent    int // of those, sent

	observer Observer // nil unless messages carry notes

	// Guarded by pump.mu.
	queued bool   // in pump.ready
	ticket uint64 // its turn among those with the same priority

	mu     sync.Mutex // guards what follows
	known  deadView   // tokens that need not be tried
	prog   *progress
	later  []uint64      // messages to leave for the next round, a bit each
	out    []uint64      // messages in flights, a bit each
	flying int           // how many those are
	pos    int           // where to look for the next message
	dead   []deadToken   // not yet on record
	called bool          // off, by whoever asked for it
	lost   bool          // the job is not ours any more
	halted bool          // nothing more is sent
	ending bool          // with the finisher
	dirty  bool          // prog or dead have changed since the last checkpoint
	after  time.Duration // the longest wait that a message was told
	slow   bool          // a message failed for a reason that takes longer to pass
	over   chan struct{} // closed when this process has let go of the job; nil if nobody waits for it
	gone   bool          // that has happened

	saving sync.Mutex // held while a checkpoint is written, before mu
}

func newDelivery(env *envelope, prog *progress) *delivery {
	words := len(prog.ended)
	bits := make([]uint64, 2*words)
	return &delivery{
		env:   env,
		total: prog.total,
		prog:  prog,
		ended: prog.counts.final(),
		sent:  prog.counts.byState[sent],
		later: bits[:words:words],
		out:   bits[words:],
	}
}

// cancel ends the delivery early; what is left is not sent at all.
func (d *delivery) cancel() { d.pump.halt(d, func() { d.called = true }) }

// whenOver returns a channel that is closed when this process has let go of the
// job.
func (d *delivery) whenOver() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over == nil {
		d.over = make(chan struct{})
		if d.gone {
			close(d.over)
		}
	}
	return d.over
}

// letGo is called when this process has let go of the job.
func (d *delivery) letGo() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = true
	if d.over != nil {
		close(d.over)
	}
}

func (d *delivery) isLost() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lost
}

// roundOver reports whether nothing of the delivery is under way or to be sent in
// this round. d.mu is held.
func (d *delivery) roundOver() bool {
	return d.flying == 0 && (d.halted || d.pos >= d.total)
}

// fill adds up to limit messages to a flight that are to be sent now. Those that
// are too old, or go to tokens that are known to be dead, end here. d.mu is held.
func (d *delivery) fill(f *flight, limit int, now time.Time) {
	start := 0 // number of the part's first message
	for i := range d.env.parts {
		p := &d.env.parts[i]
		if d.pos >= start+len(p.tokens) {
			start += len(p.tokens)
			continue
		}
		old := !now.Before(p.expires)
		for j := max(0, d.pos-start); j < len(p.tokens); j++ {
			n := start + j
			if !d.waits(n) {
				continue
			}
			if old {
				d.end(n, expired, d.expiredReason(), 0)
				continue
			}
			if reason := d.known.reason(p.tokens[j]); reason != "" {
				d.end(n, unregistered, reason, 0)
				continue
			}
			if limit == 0 {
				d.pos = n
				return
			}
			limit--
			d.out[n/64] |= 1 << (n % 64)
			d.flying++
			f.msgs = append(f.msgs, Message{Token: p.tokens[j], ID: d.env.base.at(p.first + uint32(j)), Rendered: &p.rendered})
			f.of = append(f.of, origin{d, int32(n)})
		}
		start += len(p.tokens)
	}
	d.pos = d.total
}

// waits reports whether message n is to be sent in this round and is not under
// way. d.mu is held.
func (d *delivery) waits(n int) bool {
	return (d.prog.ended[n/64]|d.later[n/64]|d.out[n/64])&(1<<(n%64)) == 0
}

// idle reports whether message n has not ended and is not under way. d.mu is held.
func (d *delivery) idle(n int) bool {
	return (d.prog.ended[n/64]|d.out[n/64])&(1<<(n%64)) == 0
}

// expire ends the messages that are too old and not under way. If one of them was
// never sent, it is because of the reason. d.mu is held.
func (d *delivery) expire(now time.Time, reason string) {
	if d.prog.last == "" {
		d.prog.last = reason
	}
	first := d.total // that still waits
	start := 0
	for i := range d.env.parts {
		p := &d.env.parts[i]
		old := !now.Before(p.expires)
		for n := start; n < start+len(p.tokens); n++ {
			switch {
			case old && d.idle(n):
				d.end(n, expired, d.expiredReason(), 0)
			case d.waits(n):
				first = min(first, n)
			}
		}
		start += len(p.tokens)
	}
	d.pos = first
}

// landed notes that message n is not under way any more. It is false if it was
// not: a sender that answers twice is heard once. d.mu is held.
func (d *delivery) landed(n int) bool {
	if d.out[n/64]&(1<<(n%64)) == 0 {
		return false
	}
	d.out[n/64] &^= 1 << (n % 64)
	d.flying--
	return true
}

// expiredReason is why a message that is too old was not sent before.
func (d *delivery) expiredReason() string {
	if d.prog.last != "" {
		return d.prog.last
	}
	return "Expired"
}

// end notes a final state. d.mu is held.
func (d *delivery) end(n int, s state, reason string, took time.Duration) {
	if d.prog.end(n, s, reason) {
		d.dirty = true
		if d.observer != nil {
			d.observe(n, s, reason, took)
		}
	}
}

// settle notes what became of message n with the given token. d.mu is held.
func (d *delivery) settle(n int, token string, r Result) {
	if !d.landed(n) {
		return
	}
	switch r.Outcome {
	case Sent:
		d.end(n, sent, "", r.Took)
	case Unregistered:
		d.bury(n, token, r)
	case Rejected:
		d.end(n, rejected, r.Reason, r.Took)
	default:
		d.later[n/64] |= 1 << (n % 64)
		d.after = max(d.after, r.After)
		d.slow = d.slow || isSlow(r)
		if r.Reason != "" {
			d.prog.last = r.Reason
		}
	}
}

// abandon ends what is left as cancelled. d.mu is held.
func (d *delivery) abandon() {
	for n := range d.total {
		if !d.prog.done(n) {
			d.end(n, cancelled, "", 0)
		}
	}
}

// counts returns how things stand.
func (d *delivery) counts() tally {
	d.mu.Lock()
	defer d.mu.Unlock()
	var t tally
	t.merge(d.prog.counts)
	return t
}

// checkpoint makes what has ended durable: first the dead tokens, then that
// their messages have ended, so that a crash in between reports a token twice
// and never not at all.
func (d *delivery) checkpoint(ctx context.Context, rec *recorder) error {
	d.saving.Lock()
	defer d.saving.Unlock()
	d.mu.Lock()
	if !d.dirty || d.ending {
		d.mu.Unlock()
		return nil
	}
	dead, state := slices.Clone(d.dead), d.prog.encode()
	d.dirty = false
	d.mu.Unlock()

	err := d.store(ctx, rec, dead, state)
	if err != nil {
		d.mu.Lock()
		d.dirty = true
		d.mu.Unlock()
	}
	return err
}

// hasNews reports whether there is something for a checkpoint.
func (d *delivery) hasNews() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dirty && !d.ending
}

// store writes a checkpoint. d.saving is held.
func (d *delivery) store(ctx context.Context, rec *recorder, dead []deadToken, state []byte) error {
	if len(dead) > 0 {
		if err := rec.write(ctx, dead); err != nil {
			return err
		}
		d.mu.Lock()
		d.dead = slices.Delete(d.dead, 0, len(dead)) // only added to in the meantime
		d.mu.Unlock()
	}
	if err := d.job.SaveProgress(ctx, state); err != nil {
		return fmt.Errorf("save progress: %w", err)
	}
	return nil
}
