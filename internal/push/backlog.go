package push

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/furima/furima/internal/job"
)

// backlog counts the notifications that were accepted and have not ended. It is
// exact for what this process has accepted and delivered itself. What was there
// before, and what other processes on the same database do, is estimated by the
// size of the queue, until the queue is empty and it is exact again: reading
// millions of rows to count them would cost more than it is worth.
type backlog struct {
	max int64
	n   atomic.Int64

	estimated atomic.Bool // n contains an estimate

	// What accepted jobs looked like, for the estimate.
	bytes, messages atomic.Int64
}

// typicalBytes is what a message takes in the queue, as long as nothing better
// is known: a token and little more.
const typicalBytes = 100

func newBacklog(limit int64) *backlog { return &backlog{max: limit} }

// add takes n more if they fit.
func (b *backlog) add(n int64) bool {
	for {
		have := b.n.Load()
		if have+n > b.max {
			return false
		}
		if b.n.CompareAndSwap(have, have+n) {
			return true
		}
	}
}

func (b *backlog) sub(n int64) { b.n.Add(-n) }

// count returns how many wait, as far as is known.
func (b *backlog) count() int64 { return max(0, b.n.Load()) }

// saw notes what a job takes in the queue.
func (b *backlog) saw(bytes, messages int) {
	b.bytes.Add(int64(bytes))
	b.messages.Add(int64(messages))
}

// estimate is how many notifications jobs of this number and size hold.
func (b *backlog) estimate(jobs, bytes int64) int64 {
	each := int64(typicalBytes)
	if m := b.messages.Load(); m > 0 {
		each = max(1, b.bytes.Load()/m)
	}
	return max(jobs, bytes/each)
}

// An estimate is made anew when nothing happens, first after a second and then
// less and less often, and for a database that several gateways may share in any
// case every few minutes.
const (
	idleTick     = time.Second
	recountEvery = 5 * time.Minute
)

func (g *Gateway) recounts(ctx context.Context) {
	t := time.NewTicker(idleTick)
	defer t.Stop()
	shared := g.db.Dialect().Name() == "mysql"
	before, last, pause := int64(-1), time.Now(), idleTick
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		now, since := g.backlog.n.Load(), time.Since(last)
		idle := now == before && g.active.empty()
		before = now
		switch {
		case g.backlog.estimated.Load() && idle && since >= pause:
			pause = min(2*pause, recountEvery)
		case shared && since >= recountEvery:
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
	// What has come and gone since the question was asked still counts.
	g.backlog.n.Add(g.backlog.estimate(jobs, bytes) - before)
	g.backlog.estimated.Store(jobs > 0)
	return nil
}

// ownsKind reports whether this gateway delivers jobs of the kind.
func (g *Gateway) ownsKind(kind string) bool {
	for _, l := range g.lanes {
		if l.kind == kind {
			return true
		}
	}
	return false
}
