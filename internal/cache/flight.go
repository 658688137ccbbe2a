package cache

import (
	"context"
	"errors"
	"fmt"
)

// flight is one running load of a key. There is at most one a key.
type flight struct {
	key        string
	done       chan struct{}
	begin      uint64  // number of the last purge before it began
	prev, next *flight // in purgeLog

	load Loader // what its leader loads with

	// Guarded by Cache.mu until done is closed, then read-only.
	keepUntil int64
	entry     *entry
	err       error
	found     bool // entry was in the store: an earlier load had just made it
	stored    bool
	void      bool // a tag of entry was purged after begin
}

// errAborted is what those who wait for a load are told when it panicked.
var errAborted = errors.New("the load of the answer was aborted")

// demand is what is asked of a load.
type demand struct {
	key       string
	load      Loader
	keepUntil int64 // > 0: it comes from the warmer, or renews what the warmer keeps
	force     bool  // load even if there is a fresh answer
	attached  bool  // ctx ends the load as well: that of Run, not of a request
}

// do returns a finished flight whose entry may be given to the caller: nothing of
// it was purged before the caller came. waited says that another caller loaded it.
//
// A caller that joins a load which a purge then makes void must not take its answer
// if the purge came before it did. It asks again, at most once: the
// next load has begun after the caller came.
func (c *Cache) do(ctx context.Context, d demand) (_ *flight, waited bool, _ error) {
	var arrival uint64
	for round := 0; ; round++ {
		c.mu.Lock()
		if round == 0 {
			arrival = c.purges.seq
		}
		f := c.flights[d.key]
		if f == nil {
			f = &flight{key: d.key, done: make(chan struct{}), load: d.load, keepUntil: d.keepUntil}
			c.flights[d.key] = f
			c.purges.begin(f)
			c.mu.Unlock()
			c.lead(ctx, f, d)
			return f, false, f.err
		}
		f.keepUntil = max(f.keepUntil, d.keepUntil)
		c.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, true, fmt.Errorf("wait for the answer: %w", context.Cause(ctx))
		}
		if f.err != nil {
			return nil, true, f.err
		}
		if f.found && d.force {
			continue // nothing was loaded
		}
		if !f.void || arrival <= f.begin {
			return f, true, nil
		}
	}
}

// lead finishes f on the calling goroutine, with a load if it takes one.
func (c *Cache) lead(ctx context.Context, f *flight, d demand) {
	old, _ := c.entries.GetIfPresent(d.key)
	if !d.force && old != nil && old.state.Load() == live && c.clock()-old.made < int64(c.cfg.Fresh) {
		// The load before this one ended between the caller's look at the store and now.
		f.found = true
		c.finish(f, old, nil, nil)
		return
	}
	c.load(ctx, f, d, old)
}

// load makes the answer for f, stores it and finishes f. old is the entry that is
// in the store, or nil.
func (c *Cache) load(ctx context.Context, f *flight, d demand, old *entry) {
	finished := false
	// A panic of the loader goes on to the caller, but those who have joined must
	// not wait for ever.
	defer func() {
		if !finished {
			c.finish(f, nil, nil, errAborted)
		}
	}()
	if !d.attached {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.LoadTimeout)
	defer cancel()

	made := c.clock()
	a, err := d.load(ctx)
	c.metrics.loadDuration.Observe(float64(c.clock()-made) / 1e9)
	if err != nil {
		c.metrics.loadErrors.Inc()
		finished = true
		c.finish(f, nil, nil, err)
		return
	}
	e := newEntry(d.key, &a, made)
	if old != nil && old.gzipped.Load() != nil {
		// Readers of this key take it compressed: they shall not wait for that.
		e.gzip()
	}
	c.store(f, e, old, a.Tags)
	finished = true
	c.finish(f, e, a.Tags, nil)
}

// store makes e the answer of its key, unless a purge came in between. The
// flight is still registered: no other store of this key runs meanwhile.
func (c *Cache) store(f *flight, e, old *entry, tags []string) {
	e.weigh(tags)
	c.mu.Lock()
	if old != nil {
		f.keepUntil = max(f.keepUntil, old.keepUntil)
	}
	f.stored = !c.purges.since(f.begin, tags)
	if f.stored {
		e.keep(f)
		c.index.link(e, tags)
	}
	c.mu.Unlock()
	if f.stored {
		// A purge from here on finds e in the index and marks it, be it in the
		// store yet or not.
		c.entries.Set(e.key, e)
	}
}

// finish ends f with e or err. Those who joined it came before this moment,
// so that every purge that concerns them is known here. An answer that is kept and
// has become void is made again behind: by whichever load it was, nobody else would do it.
func (c *Cache) finish(f *flight, e *entry, tags []string, err error) {
	c.mu.Lock()
	f.entry, f.err = e, err
	if e != nil {
		if f.found {
			f.void = e.state.Load() != live
		} else {
			f.void = c.purges.since(f.begin, tags)
			e.keep(f) // a refresh may have joined since
			if f.void && f.keepUntil > c.clock() {
				c.enqueue(&renewal{key: f.key, load: f.load, keepUntil: f.keepUntil}, true)
			}
		}
	}
	c.purges.end(f)
	delete(c.flights, f.key)
	c.mu.Unlock()
	close(f.done)
}

// keep notes that a purge shall renew e by itself, if f was asked for by the
// warmer. The loader is held for that only.
func (e *entry) keep(f *flight) {
	if e.keepUntil = f.keepUntil; e.keepUntil > e.made {
		e.load = f.load
	}
}
