package push

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/furima/furima/internal/job"
)

// active is what this process is delivering.
type active struct {
	mu       sync.Mutex // guards what follows
	jobs     map[int64]running
	stopping bool
}

type running struct {
	job      *job.Job
	delivery *delivery
	since    time.Time
}

func newActive() *active { return &active{jobs: make(map[int64]running)} }

// add notes a delivery until release is called. While the gateway stops a new
// one ends at once.
func (a *active) add(j *job.Job, d *delivery) (release func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.jobs[j.ID] = running{job: j, delivery: d, since: time.Now()}
	if a.stopping {
		d.stop()
	}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.jobs, j.ID)
		close(d.over)
	}
}

// get returns the delivery of a job, or nil if it does not run here.
func (a *active) get(jobID int64) *delivery {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.jobs[jobID].delivery
}

// empty reports whether nothing is being delivered.
func (a *active) empty() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.jobs) == 0
}

// stop ends every delivery early, those that come as well.
func (a *active) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopping = true
	for _, r := range a.jobs {
		r.delivery.stop()
	}
}

// olderThan returns the deliveries that have run for at least d.
func (a *active) olderThan(d time.Duration) []running {
	a.mu.Lock()
	defer a.mu.Unlock()
	var old []running
	for _, r := range a.jobs {
		if time.Since(r.since) >= d {
			old = append(old, r)
		}
	}
	return old
}

// checkpointEvery is how much of a long delivery's results a crash can undo.
const checkpointEvery = 250 * time.Millisecond

// checkpoints saves the progress of what takes long, until ctx ends. What is
// quicker is written once, at its end.
func (a *active) checkpoints(ctx context.Context, rec *recorder, logger *slog.Logger) {
	t := time.NewTicker(checkpointEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		for _, r := range a.olderThan(checkpointEvery) {
			err := r.delivery.checkpoint(ctx, r.job, rec)
			if err != nil && ctx.Err() == nil && !errors.Is(err, job.ErrLeaseLost) {
				logger.Warn("progress of a request cannot be saved", "job_id", r.job.ID, "err", err)
			}
		}
	}
}
