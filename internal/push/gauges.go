package push

import (
	"context"
	"strings"
	"time"

	"github.com/furima/furima/internal/job"
)

// gaugesEvery is how often what is shown of the backlog is looked up, and what
// other processes have found out about dead tokens is learned.
const gaugesEvery = 15 * time.Second

// recalls learns from the feedback on record, at the start and what others add,
// and keeps the age of the backlog, until ctx ends.
func (g *Gateway) recalls(ctx context.Context) {
	t := time.NewTicker(gaugesEvery)
	defer t.Stop()
	after, known := int64(0), false
	for {
		keep := time.Duration(g.dead.keep.Load())
		if !known && keep > 0 {
			var err error
			after, err = g.results.firstSince(ctx, g.now().Add(-keep))
			known = err == nil
		}
		for known && keep > 0 {
			next, more, err := g.recall(ctx, after)
			after = next
			if err != nil && ctx.Err() == nil {
				g.logger.Warn("dead tokens cannot be read", "err", err)
			}
			if err != nil || !more {
				break
			}
		}
		g.measureAge(ctx)
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// measureAge sets the age of what waits: in the queue by when it was accepted,
// under way by when it was due.
func (g *Gateway) measureAge(ctx context.Context) {
	stats, err := g.queue.Stats(ctx)
	if err != nil {
		return // the queue itself says so
	}
	now := g.now()
	oldest := g.active.oldest()
	for _, s := range stats {
		if s.State != job.Ready || !strings.HasPrefix(s.Kind, kindPrefix) {
			continue
		}
		if o, ok := oldest[s.Kind]; !ok || s.Oldest.Before(o) {
			oldest[s.Kind] = s.Oldest
		}
	}
	for _, l := range g.current().lanes {
		age := time.Duration(0)
		if o, ok := oldest[l.kind]; ok {
			age = max(now.Sub(o), 0)
		}
		l.metrics.age.Set(age.Seconds())
	}
}
