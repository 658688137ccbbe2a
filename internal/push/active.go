package push

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/furima/furima/internal/job"
)

// active is what this process is delivering.
type active struct {
	mu   sync.Mutex // guards what follows
	jobs map[int64]*delivery
}

func newActive() *active { return &active{jobs: make(map[int64]*delivery)} }

// add notes a delivery, until remove.
func (a *active) add(d *delivery) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.jobs[d.job.ID] = d
}

func (a *active) remove(d *delivery) {
	a.mu.Lock()
	if a.jobs[d.job.ID] == d {
		delete(a.jobs, d.job.ID)
	}
	a.mu.Unlock()
	d.letGo()
}

// get returns the delivery of a job, or nil if it does not run here.
func (a *active) get(jobID int64) *delivery {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.jobs[jobID]
}

// of returns the deliveries of a pump.
func (a *active) of(p *pump) []*delivery {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []*delivery
	for _, d := range a.jobs {
		if d.pump == p {
			all = append(all, d)
		}
	}
	return all
}

// empty reports whether nothing is being delivered.
func (a *active) empty() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.jobs) == 0
}

// oldest returns when the oldest delivery of each kind of job was due.
func (a *active) oldest() map[string]time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	oldest := make(map[string]time.Time)
	for _, d := range a.jobs {
		kind := d.job.Kind
		if o, ok := oldest[kind]; !ok || d.env.due.Before(o) {
			oldest[kind] = d.env.due
		}
	}
	return oldest
}

// olderThan returns the deliveries that have run for at least t.
func (a *active) olderThan(t time.Duration) []*delivery {
	before := time.Now().Add(-t)
	a.mu.Lock()
	defer a.mu.Unlock()
	var old []*delivery
	for _, d := range a.jobs {
		if !d.started.After(before) {
			old = append(old, d)
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
		// Several at once share a commit.
		for some := range slices.Chunk(a.olderThan(checkpointEvery), checkpointsAtOnce) {
			var wg sync.WaitGroup
			for _, d := range some {
				if !d.hasNews() {
					continue
				}
				wg.Go(func() {
					err := d.checkpoint(ctx, rec)
					if err != nil && ctx.Err() == nil && !errors.Is(err, job.ErrLeaseLost) {
						logger.Warn("progress of a request cannot be saved", "job_id", d.job.ID, "err", err)
					}
				})
			}
			wg.Wait()
		}
	}
}

// checkpointsAtOnce is how many deliveries write down their progress at once.
const checkpointsAtOnce = 128
