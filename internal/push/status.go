package push

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/job"
)

// ErrNotFound means that there is no such request, or that it ended longer ago
// than its result is kept.
var ErrNotFound = errors.New("no such push request")

// Status tells how a request stands: every notification in it waits, or has
// ended in one of the states. The error is ErrNotFound, or one of the database.
func (g *Gateway) Status(ctx context.Context, id string) (client.PushStatus, error) {
	ids, err := decodeID(id)
	if err != nil {
		return client.PushStatus{}, ErrNotFound
	}
	st := client.PushStatus{ID: id}
	var all tally
	found := false
	for _, jobID := range ids {
		o, err := g.standing(ctx, jobID)
		if errors.Is(err, ErrNotFound) {
			continue // ended long ago, while other parts of the request may still wait
		}
		if err != nil {
			return client.PushStatus{}, err
		}
		found = true
		st.App, st.CreatedAt = o.app, o.created
		st.Total += o.total
		all.merge(o.counts)
	}
	if !found {
		return client.PushStatus{}, ErrNotFound
	}
	st.Waiting = st.Total - all.final()
	st.Sent = all.byState[sent]
	st.Unregistered = all.byState[unregistered]
	st.Rejected = all.byState[rejected]
	st.Expired = all.byState[expired]
	st.Cancelled = all.byState[cancelled]
	st.Reasons = all.reasons
	return st, nil
}

// standing returns how a job stands now.
func (g *Gateway) standing(ctx context.Context, jobID int64) (*outcome, error) {
	if d := g.active.get(jobID); d != nil {
		return &outcome{jobID: jobID, app: d.env.app, created: d.env.created, total: d.total, counts: d.counts()}, nil
	}
	// The end is on record before the job leaves the queue: what has a record has
	// ended, and what then is in neither place is not there.
	o, err := g.results.get(ctx, jobID)
	if o != nil || err != nil {
		return o, err
	}
	o, _, err = g.queued(ctx, jobID)
	if !errors.Is(err, ErrNotFound) {
		return o, err
	}
	o, err = g.results.get(ctx, jobID)
	if err == nil && o == nil {
		err = ErrNotFound
	}
	return o, err
}

// queued returns how a job in the queue stood at its last checkpoint.
func (g *Gateway) queued(ctx context.Context, jobID int64) (*outcome, *progress, error) {
	info, err := g.queue.Job(ctx, jobID)
	if errors.Is(err, job.ErrNotFound) {
		return nil, nil, ErrNotFound
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read job %d: %w", jobID, err)
	}
	if info.State == job.Dead || !g.ownsKind(info.Kind) {
		return nil, nil, ErrNotFound
	}
	env, err := decodeEnvelope(info.Payload)
	if err != nil {
		return nil, nil, fmt.Errorf("read job %d: %w", jobID, err)
	}
	prog, err := decodeProgress(info.Progress, env.total())
	if err != nil {
		prog = newProgress(env.total()) // as its delivery will see it
	}
	return &outcome{jobID: jobID, app: env.app, created: env.created, total: prog.total, counts: prog.counts}, prog, nil
}

// cancelWait is how long Cancel waits for a delivery that is under way.
const cancelWait = 2 * time.Second

// Cancel gives up what has not been sent of a request. What providers have
// already been handed may still arrive. The error is ErrNotFound, or one of the
// database.
func (g *Gateway) Cancel(ctx context.Context, id string) error {
	ids, err := decodeID(id)
	if err != nil {
		return ErrNotFound
	}
	for _, jobID := range ids {
		if err := g.cancelJob(ctx, jobID); err != nil {
			return err
		}
	}
	return nil
}

func (g *Gateway) cancelJob(ctx context.Context, jobID int64) error {
	if d := g.active.get(jobID); d != nil {
		// It writes down itself what it has sent.
		d.cancel()
		t := time.NewTimer(cancelWait)
		defer t.Stop()
		select {
		case <-d.whenOver():
			// It may have been about to put the rest off when the call came.
		case <-t.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if ended, err := g.results.has(ctx, jobID); err != nil || ended {
		return err
	}
	o, prog, err := g.queued(ctx, jobID)
	if errors.Is(err, ErrNotFound) {
		return nil // it has ended
	}
	if err != nil {
		return err
	}
	left := prog.left()
	for i := range prog.total {
		if !prog.done(i) {
			prog.end(i, cancelled, "")
		}
	}
	o.counts, o.unlessEnded = prog.counts, true
	// First on record, then off the queue: a crash in between must not leave a
	// request of which nobody knows anything.
	if err := g.recorder.write(ctx, nil, o); err != nil {
		return err
	}
	n, err := g.queue.Cancel(ctx, jobID)
	if err != nil {
		return fmt.Errorf("cancel job %d: %w", jobID, err)
	}
	if n > 0 {
		g.backlog.sub(int64(left))
	}
	return nil
}
