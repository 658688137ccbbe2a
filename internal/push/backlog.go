package push

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/furima/furima/internal/job"
)

// backlog counts the notifications that were accepted and have not ended, those
// that are for later among them. It is exact for what this process has accepted
// and delivered itself. What was there before is counted too, if it is in at most
// countedJobs requests; of more, some are looked at and the rest is judged by
// its size, which is exact if all are alike. What other gateways do on the same
// database is seen every recountShared: by so much can all of them together go
// over the limit as they accept in that time.
type backlog struct {
	max atomic.Int64
	n   atomic.Int64

	estimated atomic.Bool // n contains an estimate

	ended atomic.Int64  // that ended since the start
	rate  atomic.Uint64 // that end in a second: the bits of a float64
}

// countedJobs is how many requests are looked into to count the backlog, and
// sampledJobs how many if there are more.
const (
	countedJobs = 512
	sampledJobs = 128
)

func newBacklog(limit int64) *backlog {
	b := &backlog{}
	b.max.Store(limit)
	return b
}

// setLimit sets how many may wait. What waits already stays.
func (b *backlog) setLimit(n int64) { b.max.Store(n) }

func (b *backlog) limit() int64 { return b.max.Load() }

// add takes n more if they fit.
func (b *backlog) add(n int64) bool {
	for {
		have := b.n.Load()
		if have+n > b.max.Load() {
			return false
		}
		if b.n.CompareAndSwap(have, have+n) {
			return true
		}
	}
}

// sub notes that n have ended.
func (b *backlog) sub(n int64) {
	b.n.Add(-n)
	b.ended.Add(n)
}

// undo takes back add.
func (b *backlog) undo(n int64) { b.n.Add(-n) }

// Bounds of what a caller is told to wait when the backlog is full.
const (
	minRetryAfter = time.Second
	maxRetryAfter = 5 * time.Minute
	idleRetry     = 30 * time.Second // when nothing is being delivered
)

// retryAfter is how long it may take until n more fit, with some jitter so that
// those who were turned away together do not come back together.
func (b *backlog) retryAfter(n int64) time.Duration {
	d := idleRetry
	if rate := math.Float64frombits(b.rate.Load()); rate > 0 {
		seconds := float64(b.n.Load()+n-b.max.Load()) / rate
		d = time.Duration(min(max(seconds, 0), maxRetryAfter.Seconds()) * float64(time.Second))
	}
	return min(max(d, minRetryAfter)+rand.N(d/4+1), maxRetryAfter)
}

// measure updates the rate at which notifications end. It is called every d.
func (b *backlog) measure(before int64, d time.Duration) (ended int64) {
	ended = b.ended.Load()
	const weight = 0.2 // of the last measurement: what was 10 of them ago hardly counts
	rate := math.Float64frombits(b.rate.Load())
	rate += weight * (float64(ended-before)/d.Seconds() - rate)
	if rate < 1e-3 {
		rate = 0
	}
	b.rate.Store(math.Float64bits(rate))
	return ended
}

// count returns how many wait, as far as is known.
func (b *backlog) count() int64 { return max(0, b.n.Load()) }

// An estimate is made anew when nothing happens, first after a second and then
// less and less often, every few minutes in any case, and for a database that
// several gateways may share more often.
const (
	idleTick      = time.Second
	recountEvery  = 5 * time.Minute
	recountShared = 10 * time.Second
)

func (g *Gateway) recounts(ctx context.Context) {
	t := time.NewTicker(idleTick)
	defer t.Stop()
	shared := g.db.Dialect().Name() == "mysql"
	before, last, pause := int64(-1), time.Now(), idleTick
	ended := int64(0)
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		ended = g.backlog.measure(ended, idleTick)
		now, since := g.backlog.n.Load(), time.Since(last)
		idle := now == before && g.active.empty()
		before = now
		switch {
		case g.backlog.estimated.Load() && idle && since >= pause:
			pause = min(2*pause, recountEvery)
		case shared && since >= recountShared, g.backlog.estimated.Load() && since >= recountEvery:
		case !idle:
			pause = idleTick
			continue
		default:
			continue
		}
		last = time.Now()
		if err := g.recount(ctx); err != nil && ctx.Err() == nil {
			g.logger.Warn("the backlog cannot be counted", "err", err)
		}
		before = g.backlog.n.Load()
	}
}

// recount sets the backlog to what the queue's size says.
func (g *Gateway) recount(ctx context.Context) error {
	before := g.backlog.n.Load()
	stats, err := g.queue.Stats(ctx)
	if err != nil {
		return fmt.Errorf("count the backlog: %w", err)
	}
	var jobs, bytes int64
	for _, s := range stats {
		if s.State == job.Dead || !strings.HasPrefix(s.Kind, kindPrefix) {
			continue
		}
		jobs += s.Count
		bytes += s.Bytes
		if !g.ownsKind(s.Kind) {
			g.logger.Warn("requests wait for an app or a provider that is not configured", "kind", s.Kind, "requests", s.Count, "oldest", s.Oldest)
		}
	}
	n, exact := int64(0), true
	if jobs > 0 {
		if n, exact, err = g.weighBacklog(ctx, jobs, bytes); err != nil {
			return err
		}
	}
	// What has come and gone since the question was asked still counts.
	g.backlog.n.Add(n - before)
	g.backlog.estimated.Store(!exact)
	return nil
}

// weighBacklog returns how many notifications wait in jobs of that number and size.
func (g *Gateway) weighBacklog(ctx context.Context, jobs, bytes int64) (n int64, exact bool, err error) {
	var seen, size int64
	most := countedJobs
	if jobs > countedJobs {
		most = sampledJobs
	}
	exact, err = g.queue.Sample(ctx, most, func(kind string, payload, progress []byte) {
		if !strings.HasPrefix(kind, kindPrefix) {
			return
		}
		env, err := decodeEnvelope(payload)
		if err != nil {
			return // its delivery says so
		}
		left := env.total()
		if p, err := decodeProgress(progress, left); err == nil {
			left = p.left()
		}
		seen += int64(left)
		size += int64(len(payload))
	})
	if err != nil {
		return 0, false, fmt.Errorf("count the backlog: %w", err)
	}
	if exact {
		return seen, true, nil
	}
	if size == 0 {
		return jobs, false, nil
	}
	return int64(float64(bytes) * float64(seen) / float64(size)), false, nil
}

// ownsKind reports whether this gateway delivers jobs of the kind.
func (g *Gateway) ownsKind(kind string) bool {
	for _, l := range g.current().lanes {
		if l.kind == kind {
			return true
		}
	}
	return false
}
