// Package cache holds the answers of the market's public reads and serves them
// again: whole HTTP answers, ready to be written, in memory, under a byte budget.
//
// Call New, run Run beside the server, and let each public route answer through
// Serve. Whoever changes an item calls Purge with the item's tags, after the
// transaction and before the answer to the writer:
//
//	answers := cache.New(cfg, cache.Options{Logger: logger, Registerer: reg})
//	go answers.Run(ctx) // the caller waits for it, as for every Run
//
//	key := cache.Key("/v1/items/"+id, nil)
//	err := answers.Serve(w, r, key, func(ctx context.Context) (cache.Answer, error) {
//		item, err := db.Item(ctx, id)
//		if err != nil {
//			return cache.Answer{}, err
//		}
//		return cache.Answer{ContentType: "application/json", Body: encode(item), Tags: []string{"item:" + id}}, nil
//	})
//
//	answers.Purge("item:" + id) // after a change of the item
//
// The promise: once Purge has returned, no request that arrives later is given
// an answer with one of those tags whose making began before the purge, not from memory and not
// from a load that was under way. An answer is fresh for a while, then stale: it
// is still served at once, and renewed behind the reader's back. Concurrent
// misses of one key share one load.
//
// It does not cache per viewer, does not look at requests' Cache-Control, does
// not decide what may be cached (the caller does, by calling Serve), and knows
// nothing of other processes: there the fresh and stale windows bound the age.
//
// All methods are safe for concurrent use. The cache starts goroutines in Run
// only; a miss is loaded on the goroutine of the request that came first.
// DESIGN.md beside this file has the states, the races and the invariants.
package cache

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// RefreshHeader is the request header that carries Config.RefreshSecret. Such a
// request recomputes its answer and stores it. With a wrong secret, or when none
// is configured, the header means nothing: the request is answered like any
// other, so that it can neither make the server work nor be used for guessing.
const RefreshHeader = "Furima-Refresh"

// Options are what a Cache needs besides its configuration. The zero value works.
type Options struct {
	Logger     *slog.Logger          // nil: no logs
	Registerer prometheus.Registerer // nil: metrics are not registered
	Now        func() time.Time      // nil: time.Now
}

// Answer is what a loader makes: one complete representation of a resource.
type Answer struct {
	Status      int         // 0 means 200
	ContentType string      // e.g. "application/json"
	Body        []byte      // belongs to the cache once returned; not compressed
	Tags        []string    // a purge of any of them makes the answer invalid
	Header      http.Header // more headers, e.g. Link; the names in canonical form
}

// Loader makes the answer for a key. It may be called again later, for other
// requests and without any: it must not use a request, its body or its context.
// Its own ctx ends after Config.LoadTimeout.
type Loader = func(ctx context.Context) (Answer, error)

// Cache holds answers. Make one with New.
type Cache struct {
	cfg     Config
	log     *slog.Logger
	now     func() time.Time
	base    time.Time // the cache's times are nanoseconds since then
	metrics *metrics

	secret       [sha256.Size]byte // of Config.RefreshSecret
	cacheControl []string

	entries *otter.Cache[string, *entry]

	// mu guards what follows. Never call entries while holding it: an eviction
	// runs inside such calls and takes mu.
	mu      sync.Mutex
	index   index
	purges  purgeLog
	flights map[string]*flight
	queue   queue
	wake    sync.Cond   // on mu; a renewal waits, or Run ends
	renewal atomic.Bool // Run is running; written under mu
}

// New makes an empty cache. It does no I/O and starts nothing.
func New(cfg Config, o Options) *Cache {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Cache{
		cfg:          cfg,
		log:          o.Logger,
		now:          o.Now,
		base:         o.Now(),
		secret:       sha256.Sum256([]byte(cfg.RefreshSecret)),
		cacheControl: []string{cacheControl(cfg)},
		index:        index{tags: map[string]*tagList{}},
		purges:       purgeLog{last: map[string]uint64{}, limit: maxPurgeLog},
		flights:      map[string]*flight{},
		queue:        queue{waiting: map[string]*renewal{}},
	}
	c.wake.L = &c.mu
	c.entries = otter.Must(&otter.Options[string, *entry]{
		MaximumWeight:    uint64(max(cfg.MaxBytes, 1)),
		Weigher:          func(_ string, e *entry) uint32 { return e.weight },
		OnAtomicDeletion: c.deleted,
		// Maintenance runs on the caller, so that the cache has no goroutine that
		// nobody waits for.
		Executor: func(f func()) { f() },
	})
	c.metrics = newMetrics(o.Registerer, c)
	return c
}

// Purge makes every stored answer with one of the tags invalid, and every answer
// with one of them that is being made. Requests that arrive after it has returned are
// given nothing that was made, or begun to be made, before it.
func (c *Cache) Purge(tags ...string) {
	if len(tags) == 0 {
		return
	}
	now := c.clock()
	n := 0
	c.mu.Lock()
	c.purges.add(tags)
	for _, tag := range tags {
		for e := c.index.first(tag); e != nil; e = c.index.first(tag) {
			c.index.unlink(e, purged)
			n++
			if e.keepUntil > now {
				c.enqueue(&renewal{key: e.key, load: e.load, keepUntil: e.keepUntil}, true)
			}
		}
	}
	c.mu.Unlock()
	c.metrics.purges.Add(float64(len(tags)))
	c.metrics.purgedEntries.Add(float64(n))
}

// deleted is told by entries, under the lock of the key's bucket, that e is no
// longer the key's value. From here on e must not be served: a reader may still
// find it for a moment, and purges do not reach it any more.
func (c *Cache) deleted(ev otter.DeletionEvent[string, *entry]) {
	if ev.Cause == otter.CauseOverflow {
		c.metrics.evictions.Inc()
	}
	c.mu.Lock()
	c.index.unlink(ev.Value, gone)
	c.mu.Unlock()
}

// clock returns the cache's time.
func (c *Cache) clock() int64 { return int64(c.now().Sub(c.base)) }

// refreshing reports whether the request may recompute its answer.
func (c *Cache) refreshing(h http.Header) bool {
	v := h[RefreshHeader]
	if len(v) != 1 || c.cfg.RefreshSecret == "" {
		return false
	}
	got := sha256.Sum256([]byte(v[0]))
	return subtle.ConstantTimeCompare(got[:], c.secret[:]) == 1
}

// cacheControl is the Cache-Control header of all answers.
func cacheControl(cfg Config) string {
	s := "public, max-age=" + strconv.FormatInt(int64(cfg.ClientMaxAge/time.Second), 10)
	if stale := int64(cfg.ClientStale / time.Second); stale > 0 {
		s += ", stale-while-revalidate=" + strconv.FormatInt(stale, 10)
	}
	return s
}
