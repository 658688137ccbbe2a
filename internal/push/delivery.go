package push

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/furima/furima/internal/job"
)

// batchTally is what one batch says about its provider.
type batchTally struct {
	final int    // messages that ended
	retry int    // messages that did not, for reasons of their own
	hold  Result // what keeps everything from ending, if anything does
	last  Result // of the messages to retry
}

// delivery is a job under way: its messages, and what has become of them. The
// sender's goroutines, the checkpoint and requests for its state meet in it.
type delivery struct {
	env   *envelope
	total int
	halt  chan struct{} // closed when it is to end early
	once  sync.Once     // of closing halt
	over  chan struct{} // closed when this process has let go of the job

	mu     sync.Mutex // guards what follows
	prog   *progress
	later  []uint64 // messages to leave for the next round, a bit each
	pos    int      // where to look for the next message
	dead   []deadToken
	called bool // off, by whoever asked for it
	dirty  bool // prog or dead have changed since the last checkpoint
	batch  batchTally
	after  time.Duration // the longest wait that a message was told

	saving sync.Mutex // held while a checkpoint is written, before mu
}

func newDelivery(env *envelope, prog *progress) *delivery {
	return &delivery{
		env:   env,
		total: env.total(),
		prog:  prog,
		later: make([]uint64, len(prog.ended)),
		halt:  make(chan struct{}),
		over:  make(chan struct{}),
	}
}

// stop ends the delivery early; what is left stays in the queue.
func (d *delivery) stop() { d.once.Do(func() { close(d.halt) }) }

// cancel ends the delivery early; what is left is not sent at all.
func (d *delivery) cancel() {
	d.mu.Lock()
	d.called = true
	d.mu.Unlock()
	d.stop()
}

func (d *delivery) isCancelled() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.called
}

// next returns up to limit messages that are to be sent now, with the number
// of each. Those that are too old end here.
func (d *delivery) next(limit int, now time.Time) ([]Message, []int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var msgs []Message
	var numbers []int
	start := 0 // number of the part's first message
	for i := range d.env.parts {
		p := &d.env.parts[i]
		old := !now.Before(p.expires)
		for j := max(0, d.pos-start); j < len(p.tokens); j++ {
			n := start + j
			if d.prog.done(n) || d.later[n/64]&(1<<(n%64)) != 0 {
				continue
			}
			if old {
				d.end(n, expired, d.expiredReason())
				continue
			}
			if len(msgs) == limit {
				d.pos = n
				return msgs, numbers
			}
			if msgs == nil {
				room := min(limit, d.total-n)
				msgs, numbers = make([]Message, 0, room), make([]int, 0, room)
			}
			msgs = append(msgs, Message{Token: p.tokens[j], ID: d.env.base.at(p.first + uint32(j)), Rendered: &p.rendered})
			numbers = append(numbers, n)
		}
		start += len(p.tokens)
	}
	d.pos = d.total
	return msgs, numbers
}

// expiredReason is why a message that is too old was not sent before.
func (d *delivery) expiredReason() string {
	if d.prog.last != "" {
		return d.prog.last
	}
	return "Expired"
}

// end notes a final state. d.mu is held.
func (d *delivery) end(n int, s state, reason string) {
	if d.prog.end(n, s, reason) {
		d.dirty = true
	}
}

// settle notes what became of message n with the given token.
func (d *delivery) settle(n int, token string, r Result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch r.Outcome {
	case Sent:
		d.end(n, sent, "")
		d.batch.final++
	case Unregistered:
		d.end(n, unregistered, r.Reason)
		if !isAudience(token) {
			d.dead = append(d.dead, deadToken{app: d.env.app, platform: d.env.platform, token: token, reason: r.Reason, since: r.Since})
		}
		d.batch.final++
	case Rejected:
		d.end(n, rejected, r.Reason)
		d.batch.final++
	case Down, Refused:
		if d.batch.hold.Outcome != Refused {
			d.batch.hold = r
		}
		d.prog.last = r.Reason
		d.pos = min(d.pos, n) // again in this round, when there is a way
	default:
		d.later[n/64] |= 1 << (n % 64)
		d.after = max(d.after, r.After)
		if r.Reason != "" {
			d.prog.last = r.Reason
		}
		d.batch.retry++
		d.batch.last = r
	}
}

// takeBatch returns what the batch that has ended says about its provider.
func (d *delivery) takeBatch() batchTally {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.batch
	d.batch = batchTally{}
	return b
}

// left returns how many messages have not ended.
func (d *delivery) left() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.prog.left()
}

// abandon ends what is left as cancelled.
func (d *delivery) abandon() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for n := range d.total {
		if !d.prog.done(n) {
			d.end(n, cancelled, "")
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
func (d *delivery) checkpoint(ctx context.Context, j *job.Job, rec *recorder) error {
	d.saving.Lock()
	defer d.saving.Unlock()
	d.mu.Lock()
	if !d.dirty {
		d.mu.Unlock()
		return nil
	}
	dead, state := slices.Clone(d.dead), d.prog.encode()
	d.dirty = false
	d.mu.Unlock()

	err := d.store(ctx, j, rec, dead, state)
	if err != nil {
		d.mu.Lock()
		d.dirty = true
		d.mu.Unlock()
	}
	return err
}

// store writes a checkpoint. d.saving is held.
func (d *delivery) store(ctx context.Context, j *job.Job, rec *recorder, dead []deadToken, state []byte) error {
	if len(dead) > 0 {
		if err := rec.write(ctx, dead, nil); err != nil {
			return err
		}
		d.mu.Lock()
		d.dead = slices.Delete(d.dead, 0, len(dead)) // only added to in the meantime
		d.mu.Unlock()
	}
	if err := j.SaveProgress(ctx, state); err != nil {
		return fmt.Errorf("save progress: %w", err)
	}
	return nil
}

// nextRound begins another round, and returns how long to wait before it.
func (d *delivery) nextRound(minimum, maximum time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	wait := max(backoff(minimum, maximum, d.prog.round), d.after)
	d.prog.round++
	d.dirty = true
	return wait
}

// finish records the end. Afterwards the job may go.
func (d *delivery) finish(ctx context.Context, j *job.Job, rec *recorder) error {
	d.saving.Lock()
	defer d.saving.Unlock()
	d.mu.Lock()
	dead := d.dead
	result := &outcome{jobID: j.ID, app: d.env.app, created: d.env.created, total: d.total, counts: d.prog.counts}
	d.dirty = false // no checkpoint comes after the end
	d.mu.Unlock()
	return rec.write(ctx, dead, result)
}
