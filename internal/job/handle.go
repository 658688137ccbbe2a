package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/furima/furima/internal/sqldb"
)

// end gives a job back, if it is still ours.
func (w *Worker) end(l *lease, e ending) {
	if !l.session.close(l) {
		l.kind.metrics.finished[lost].Inc()
		w.drop(l)
		return
	}
	w.q.committer.end(e)
	w.handled(l)
}

// drop forgets a job that is not ours.
func (w *Worker) drop(l *lease) {
	l.closed.Store(true)
	l.session.settle(l)
	w.handled(l)
}

// handled makes room for another job.
func (w *Worker) handled(l *lease) {
	w.finished.Add(1)
	size, held := w.heldBytes.Add(-l.size), w.held.Add(-1)
	if w.o.Take != nil {
		w.moreRoom(held, size)
		return
	}
	if held <= w.low.Load() && (size < maxHeldBytes/2 || held < int64(w.o.Concurrency)) {
		select {
		case w.room <- struct{}{}:
		default:
		}
	}
}

// handle runs the handler of a job.
func (w *Worker) handle(ctx context.Context, j *Job) {
	l := j.lease
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if !l.session.begin(l, cancel) {
		l.kind.metrics.finished[lost].Inc()
		w.drop(l)
		return
	}
	began := w.q.now()
	l.kind.metrics.wait.Observe(max(began.Sub(j.RunAt), 0).Seconds())
	err := call(ctx, w.o.Handlers[j.Kind], j)
	now := w.q.now()
	l.kind.metrics.run.Observe(now.Sub(began).Seconds())
	e := w.judge(l, err, context.Cause(ctx) == errStopped, now)
	w.end(l, e)
	w.report(j, &e, err, now.Sub(began))
}

// call runs a handler and makes a panic an error.
func call(ctx context.Context, h Handler, j *Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = newPanicError(p)
		}
	}()
	return h(ctx, j)
}

// panicError is a panic as an error.
type panicError struct {
	value any
	stack []byte
}

func newPanicError(p any) error { return &panicError{p, debug.Stack()} }

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// judge says what becomes of a job by what its handler has returned.
func (w *Worker) judge(l *lease, err error, stopped bool, now time.Time) ending {
	e := ending{lease: l, outcome: done}
	if err == nil {
		return e
	}
	if s, ok := errors.AsType[*snoozeError](err); ok {
		if len(s.progress) > MaxProgressBytes {
			e.outcome, e.at, e.failedAt, e.err = dead, l.runAt, sqldb.Micros(now), errProgressSize.Error()
			return e
		}
		e.outcome, e.at, e.later, e.progress = snoozed, sqldb.Micros(now.Add(s.d)), s.d > 0, s.progress
		return e
	}
	c, cancelled := errors.AsType[*cancelError](err)
	if !cancelled && stopped {
		e.outcome = released
		return e
	}
	e.failedAt, e.err = sqldb.Micros(now), errorText(err)
	if cancelled || l.attempt >= l.maxAttempts {
		e.outcome, e.at = dead, l.runAt
		if cancelled {
			e.err = errorText(c.err)
		}
		return e
	}
	d := max(w.o.Backoff(int(l.attempt)), 0)
	e.outcome, e.at, e.later = retry, sqldb.Micros(now.Add(d)), d > 0
	return e
}

// report writes the line that a run leaves in the log.
func (w *Worker) report(j *Job, e *ending, err error, took time.Duration) {
	level := slog.LevelDebug
	switch e.outcome {
	case dead:
		level = slog.LevelError
	case retry:
		level = slog.LevelWarn
	}
	if !w.log.Enabled(context.Background(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("kind", j.Kind), slog.Int64("job_id", j.ID), slog.String("outcome", e.outcome.String()),
		slog.Int("attempt", j.Attempt), slog.Float64("duration_ms", float64(took.Microseconds())/1000),
	}
	if e.outcome == retry {
		attrs = append(attrs, slog.Time("next_at", sqldb.FromMicros(e.at)))
	}
	if e.outcome != done && e.outcome != snoozed {
		attrs = append(attrs, slog.String("err", e.err))
	}
	if p, ok := errors.AsType[*panicError](err); ok {
		attrs = append(attrs, slog.String("stack", string(p.stack)))
	}
	w.log.LogAttrs(context.Background(), level, "job", attrs...)
}
