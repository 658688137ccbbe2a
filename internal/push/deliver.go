package push

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/furima/furima/internal/job"
)

// maxBatch is how many messages a sender is given at once. Their results are
// held in memory until the next checkpoint.
const maxBatch = 2000

// deliver is the handler of a lane's jobs.
func (g *Gateway) deliver(l *lane) job.Handler {
	return func(ctx context.Context, j *job.Job) error {
		env, err := decodeEnvelope(j.Payload)
		if err != nil {
			g.logger.Error("a request in the queue cannot be read", "app", l.app, "provider", l.platform, "job_id", j.ID, "err", err)
			return job.Cancel(err)
		}
		g.backlog.saw(len(j.Payload), env.total())
		if j.Attempt > 1 {
			// The process may have died between writing down how a job ended
			// and taking it off the queue.
			switch ended, err := g.results.has(ctx, j.ID); {
			case err != nil:
				return err
			case ended:
				g.backlog.sub(int64(env.total()))
				return nil
			}
		}
		prog, err := decodeProgress(j.Progress, env.total())
		if err != nil {
			// Better all of it again than some of it never.
			g.logger.Error("progress of a request cannot be read, it starts over", "app", l.app, "provider", l.platform, "job_id", j.ID, "err", err)
			prog = newProgress(env.total())
		}
		d := newDelivery(env, prog)
		release := g.active.add(j, d)
		defer release()
		return g.work(ctx, l, j, d)
	}
}

// work sends what is to be sent and says what is to become of the job.
func (g *Gateway) work(ctx context.Context, l *lane, j *job.Job, d *delivery) error {
	started := time.Now()
	before := d.counts()
	halted := g.sendAll(ctx, l, d)
	if d.isCancelled() {
		d.abandon()
	}
	// What is known now need not be sent again, also when ctx has ended.
	save, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	left, wait := d.left(), time.Duration(0)
	write := d.checkpoint
	switch {
	case left == 0:
		write = d.finish
	case halted == nil:
		wait = d.nextRound(g.cfg.RetryMin, g.cfg.RetryMax)
	}
	if err := persist(ctx, save, func() error { return write(save, j, g.recorder) }); err != nil {
		return err // the job comes again as it was at its last checkpoint
	}
	after := d.counts()
	ended, delivered := after.final()-before.final(), after.byState[sent]-before.byState[sent]
	g.backlog.sub(int64(ended))
	l.sent.Add(int64(delivered))
	l.failed.Add(int64(ended - delivered))
	g.report(l, j, d, time.Since(started), wait)
	if left == 0 {
		return nil
	}
	return job.Snooze(wait)
}

// saveTimeout is how long a delivery tries to write down what it has done. What
// it cannot write down will be sent again.
const saveTimeout = 30 * time.Second

// persist calls write until it succeeds: a database that is away for a moment
// is no reason to send everything twice. It gives up when ctx has ended, after
// one try, or save has.
func persist(ctx, save context.Context, write func() error) error {
	for n := 0; ; n++ {
		err := write()
		if err == nil || ctx.Err() != nil || save.Err() != nil || errors.Is(err, job.ErrLeaseLost) {
			return err
		}
		t := time.NewTimer(backoff(100*time.Millisecond, 5*time.Second, n))
		select {
		case <-t.C:
		case <-ctx.Done():
		case <-save.Done():
		}
		t.Stop()
	}
}

// sendAll sends every message once, waiting while the lane is held up. It ends
// with an error when ctx, the gateway or the delivery does.
func (g *Gateway) sendAll(ctx context.Context, l *lane, d *delivery) error {
	for {
		probe, err := l.breaker.enter(ctx, d.halt)
		if err != nil {
			return err
		}
		limit := maxBatch
		if probe {
			limit = 1
		}
		msgs, numbers := d.next(limit, g.now())
		if len(msgs) == 0 {
			l.breaker.leave(probe, unclear, 0)
			return nil
		}
		l.inFlight.Add(int64(len(msgs)))
		l.sender.Send(ctx, msgs, func(i int, r Result) {
			d.settle(numbers[i], msgs[i].Token, r)
			l.metrics.result(r, d.env.due, g.now())
		})
		l.inFlight.Add(-int64(len(msgs)))
		if ctx.Err() != nil {
			l.breaker.leave(probe, unclear, 0)
			return ctx.Err()
		}
		g.judge(l, probe, d.takeBatch())
	}
}

// failingBatch is how many messages, and nothing but them, must have failed for
// reasons of their own before it is taken for the provider's state.
const failingBatch = 20

// judge tells the breaker how a batch went, and whoever reads the log when
// sending pauses.
func (g *Gateway) judge(l *lane, probe bool, b batchTally) {
	v, why := unclear, b.hold
	switch {
	case b.hold.Outcome != 0:
		v = ailing
	case b.final > 0:
		v = healthy
	case probe || b.retry >= failingBatch:
		v, why = ailing, b.last
	}
	wasOpen := l.breaker.isOpen()
	pause := l.breaker.leave(probe, v, why.After)
	isOpen := l.breaker.isOpen()
	l.metrics.paused(isOpen)
	attrs := []any{"app", l.app, "provider", string(l.platform)}
	switch {
	case pause > 0 && why.Outcome == Refused:
		g.logger.Error("the provider refuses the app: sending pauses, nothing is lost", append(attrs, "reason", why.Reason, "pause", pause, "err", why.Err)...)
	case pause > 0:
		g.logger.Warn("the provider takes nothing: sending pauses, nothing is lost", append(attrs, "reason", why.Reason, "pause", pause, "err", why.Err)...)
	case wasOpen && !isOpen:
		g.logger.Info("sending goes on", attrs...)
	}
}

// report writes the one line that a job's run leaves in the log.
func (g *Gateway) report(l *lane, j *job.Job, d *delivery, took, wait time.Duration) {
	t := d.counts()
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs,
		slog.String("app", l.app), slog.String("provider", string(l.platform)), slog.Int64("job_id", j.ID),
		slog.Int("total", d.total), slog.Int("sent", t.byState[sent]))
	for s, name := range stateNames {
		if n := t.byState[s]; n > 0 && state(s) != sent {
			attrs = append(attrs, slog.Int(name, n))
		}
	}
	if left := d.left(); left > 0 {
		attrs = append(attrs, slog.Int("waiting", left), slog.Float64("retry_in_ms", float64(wait.Microseconds())/1000))
	}
	attrs = append(attrs, slog.Float64("duration_ms", float64(took.Microseconds())/1000))
	g.logger.LogAttrs(context.Background(), slog.LevelInfo, "push batch", attrs...)
}
