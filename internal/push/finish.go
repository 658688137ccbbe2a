package push

import (
	"context"
	"time"

	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/sqldb"
)

// finishAtOnce is how many deliveries the finisher writes down in one transaction.
const finishAtOnce = 1024

// finish writes down what has become of deliveries whose round is over, and gives
// their jobs back to the queue, until stop is closed and nothing is left. When
// hard ends it tries no more than once.
func (p *pump) finish(hard context.Context, stop <-chan struct{}) {
	for {
		select {
		case <-p.ended:
		case <-stop:
			return // every job has been given back
		}
		for {
			p.overMu.Lock()
			n := min(len(p.over), finishAtOnce)
			some := p.over[:n:n]
			if p.over = p.over[n:]; len(p.over) == 0 {
				p.over = nil
			}
			p.overMu.Unlock()
			if n == 0 {
				break
			}
			p.finishSome(hard, some)
		}
	}
}

// finishing is a delivery in the hands of the finisher.
type finishing struct {
	d      *delivery
	dead   []deadToken
	result *outcome // nil if something is left
	wait   time.Duration
	state  []byte // its progress, if something is left and it has changed
	ended  int
	sent   int
}

func (p *pump) finishSome(hard context.Context, over []*delivery) {
	all := make([]finishing, 0, len(over))
	for _, d := range over {
		if f, ok := p.tally(d); ok {
			all = append(all, f)
		}
	}
	// What is known now need not be sent again, also when the gateway stops.
	save, cancel := context.WithTimeout(context.WithoutCancel(hard), saveTimeout)
	defer cancel()
	err := persist(hard, save, func() error { return p.record(save, all) })
	if err != nil && !sqldb.IsUnavailable(err) && len(all) > 1 {
		// It may lie in one of them.
		for i := range all {
			one := all[i : i+1]
			p.giveBack(one, p.record(save, one))
		}
		return
	}
	p.giveBack(all, err)
}

// tally says what is to be written of a delivery. It is false if the job is not
// ours any more.
func (p *pump) tally(d *delivery) (finishing, bool) {
	d.saving.Lock()   // a checkpoint that is being written comes first, and no other
	d.saving.Unlock() //lint:ignore SA2001 waiting is all that is wanted
	if d.isLost() {
		d.job.End(job.ErrLeaseLost) // to no effect; not under d.mu, which Watch takes
		p.g.active.remove(d)
		return finishing{}, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.called {
		d.abandon()
	}
	f := finishing{d: d, dead: d.dead}
	t := &d.prog.counts
	left := d.prog.left()
	switch {
	case left == 0:
		f.result = &outcome{jobID: d.job.ID, app: d.env.app, created: d.env.created, total: d.total, counts: *t}
	case !d.halted:
		cfg := p.g.config()
		f.wait = d.nextRound(cfg.RetryMin, cfg.RetryMax, p.g.now())
	}
	if left > 0 && d.dirty {
		f.state = d.prog.encode()
	}
	f.ended, f.sent = t.final()-d.ended, t.byState[sent]-d.sent
	p.l.metrics.deadHits(d.known.hits)
	p.g.report(d, left, f.wait)
	return f, true
}

// record makes durable which tokens died and which requests have ended.
func (p *pump) record(ctx context.Context, all []finishing) error {
	var dead []deadToken
	var results []*outcome
	for i := range all {
		dead = append(dead, all[i].dead...)
		if r := all[i].result; r != nil {
			results = append(results, r)
		}
	}
	if dead == nil && results == nil {
		return nil
	}
	return p.g.recorder.write(ctx, dead, results...)
}

// giveBack gives the jobs back to the queue. With an error they come again as
// they were at their last checkpoint.
func (p *pump) giveBack(all []finishing, err error) {
	for i := range all {
		f := &all[i]
		d := f.d
		if err != nil {
			end := err
			if d.halted {
				end = job.Snooze(0)
			}
			d.job.End(end)
			p.g.active.remove(d)
			continue
		}
		p.g.backlog.sub(int64(f.ended))
		p.l.sent.Add(int64(f.sent))
		p.l.failed.Add(int64(f.ended - f.sent))
		switch {
		case f.result != nil:
			d.job.End(nil) // its end is on record
			p.g.active.remove(d)
		case f.state != nil:
			// Until it is durable, who asks is told what is known here.
			d.job.EndThen(job.SnoozeWith(f.wait, f.state), func() { p.g.active.remove(d) })
		default:
			d.job.EndThen(job.Snooze(f.wait), func() { p.g.active.remove(d) })
		}
	}
}
