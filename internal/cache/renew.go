package cache

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// renewal is an answer to be made again without a reader.
type renewal struct {
	key       string
	load      Loader
	keepUntil int64
	entry     *entry // the stale entry that asked for it; nil after a purge
	urgent    bool
}

// queue holds the renewals that wait, one a key. Those of purged answers go
// first: a reader would have to wait for them, while stale ones are served.
type queue struct {
	waiting map[string]*renewal
	urgent  fifo[*renewal]
	stale   fifo[*renewal]
}

// retryAfter holds back the next try after a renewal of a stale answer that went wrong.
const retryAfter = time.Second

// Run renews answers behind the readers' back until ctx ends: stale ones that are
// read, and purged ones that the warmer keeps. Without it the cache works, but makes
// all answers within requests. It returns nil once nothing of it runs any more.
func (c *Cache) Run(ctx context.Context) error {
	c.mu.Lock()
	c.renewal.Store(true)
	c.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.wake.Broadcast()
	})
	defer stop()
	var wg sync.WaitGroup
	for range max(c.cfg.Renewers, 1) {
		wg.Go(func() {
			for {
				n := c.next(ctx)
				if n == nil {
					return
				}
				c.renew(ctx, n)
			}
		})
	}
	wg.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renewal.Store(false)
	for _, n := range c.queue.waiting {
		n.done(0)
	}
	c.queue = queue{waiting: map[string]*renewal{}}
	return nil
}

// renewBehind has the stale entry e renewed, unless that is under way.
func (c *Cache) renewBehind(e *entry, load Loader, now int64) {
	if !c.renewal.Load() || e.retryAt.Load() > now || !e.renewing.CompareAndSwap(false, true) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.enqueue(&renewal{key: e.key, load: load, keepUntil: e.keepUntil, entry: e}, false) {
		e.renewing.Store(false)
	}
}

// enqueue adds a renewal, and reports whether it did: not if its key waits already, or
// nobody renews. The caller holds c.mu.
func (c *Cache) enqueue(n *renewal, urgent bool) bool {
	if !c.renewal.Load() {
		return false
	}
	n.urgent = urgent
	if old := c.queue.waiting[n.key]; old != nil {
		if old.urgent || !urgent {
			return false
		}
		// It overtakes the one in the other queue, which finds itself replaced.
		old.done(0)
	}
	c.queue.waiting[n.key] = n
	if urgent {
		c.queue.urgent.push(n)
	} else {
		c.queue.stale.push(n)
	}
	c.wake.Signal()
	return true
}

// next waits for a renewal; nil when ctx has ended.
func (c *Cache) next(ctx context.Context) *renewal {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if ctx.Err() != nil {
			return nil
		}
		var n *renewal
		switch {
		case c.queue.urgent.len() > 0:
			n = c.queue.urgent.pop()
		case c.queue.stale.len() > 0:
			n = c.queue.stale.pop()
		default:
			c.wake.Wait()
			continue
		}
		if c.queue.waiting[n.key] == n {
			delete(c.queue.waiting, n.key)
			return n
		}
	}
}

// renew makes one answer again. If a purge makes that void and the answer is kept, finish
// has queued it again, behind the others: however often a tag is purged, one renewal a
// key runs at a time.
func (c *Cache) renew(ctx context.Context, n *renewal) {
	err := c.tryRenew(ctx, n)
	switch {
	case ctx.Err() != nil:
		n.done(0)
	case err != nil:
		c.metrics.renewalErrors.Inc()
		c.log.Warn("cached answer not renewed", "key", n.key, "error", err)
		n.done(c.clock() + int64(retryAfter))
	default:
		c.metrics.renewals.Inc()
		n.done(0)
	}
}

// tryRenew is one load for n. A panic of the loader becomes an error: in a request the
// server would contain it, here it would end the process.
func (c *Cache) tryRenew(ctx context.Context, n *renewal) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("load panicked: %v\n%s", v, debug.Stack())
		}
	}()
	_, _, err = c.do(ctx, demand{key: n.key, load: n.load, keepUntil: n.keepUntil, attached: true})
	return err
}

// done lets the stale entry ask again, from retryAt on.
func (n *renewal) done(retryAt int64) {
	if n.entry != nil {
		n.entry.retryAt.Store(retryAt)
		n.entry.renewing.Store(false)
	}
}

// keepUntil is until when an answer that is refreshed now is kept.
func (c *Cache) keepUntil() int64 {
	if c.cfg.KeepFor <= 0 {
		return 0
	}
	return c.clock() + int64(c.cfg.KeepFor)
}
