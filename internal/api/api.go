// Package api is the market's HTTP surface: routes, sessions, decoding and
// encoding, errors to problem documents, and the handlers of the market's jobs.
//
// Call New with what it stands on, serve Handler, and give Jobs to a worker:
//
//	a, err := api.New(cfg.API, api.Deps{
//		Store: st, Queue: queue, Cache: answers, Pay: provider, Photos: photos,
//		Push: client.NewPush(client.PushOptions{URL: cfg.API.PushURL, Token: cfg.API.PushToken}),
//		Logger: logger, Registerer: reg, Version: version,
//	})
//	if err != nil {
//		return err
//	}
//	worker := queue.NewWorker(job.WorkerOptions{Handlers: a.Jobs(), Concurrency: cfg.API.JobWorkers})
//	// once the queue runs:
//	if err := a.Schedule(ctx); err != nil {
//		return err
//	}
//	serve(a.Handler())
//
// routes.go is the page that lists every operation. An operation has a handler
// with typed input and output, of which the OpenAPI document is made; the public
// reads, which are hot, write bytes out of the cache instead and describe
// themselves by hand. What everybody may read is the same for everybody: a token changes
// nothing about it.
//
// A handler returns an error, and one place turns it into a problem document
// (RFC 9457) and knows its status. No answer repeats a rejected value. After each write the
// cached answers that it made untrue are purged, before the writer is answered.
//
// The package has no rules of the market, no SQL, and opens no listener: the
// caller brings a server with timeouts. It starts no goroutine. An API is safe
// for concurrent use; what is in Deps belongs to the caller, who closes it after
// the server has stopped.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/cache"
	"github.com/furima/furima/internal/carrier"
	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/pay"
	"github.com/furima/furima/internal/photo"
	"github.com/furima/furima/internal/store"
)

// Deps are what an API stands on. Store, Queue, Cache, Pay and Photos are needed.
type Deps struct {
	Store      *store.Store
	Queue      *job.Queue
	Cache      *cache.Cache
	Pay        pay.Provider
	Photos     *photo.Intake
	Carrier    carrier.Carrier       // nil: the sandbox
	Push       *client.Push          // nil: nobody is notified
	Logger     *slog.Logger          // nil: no logs
	Registerer prometheus.Registerer // nil: metrics are not registered
	Now        func() time.Time      // nil: time.Now
	Version    string                // of the program; shown on the documentation page
}

// API is the market's HTTP surface. Make one with New.
type API struct {
	cfg     Config
	store   *store.Store
	queue   *job.Queue
	cache   answers
	limits  *limiter
	pay     pay.Provider
	photos  *photo.Intake
	carrier carrier.Carrier
	push    *client.Push
	log     *slog.Logger
	now     func() time.Time
	metrics *metrics

	mux      *http.ServeMux
	huma     huma.API
	order    []string // ids of the operations as the page of routes has them
	hasher   *hasher
	sessions *sessionCache
	uploads  chan struct{}
	missed   atomic.Int32 // times in a row that the feedback could not be read
}

// New builds the API. It does no I/O.
func New(cfg Config, d Deps) (*API, error) {
	if d.Store == nil || d.Queue == nil || d.Cache == nil || d.Pay == nil || d.Photos == nil {
		return nil, errors.New("api: Store, Queue, Cache, Pay and Photos are needed")
	}
	cfg = cfg.withDefaults()
	a := &API{
		cfg: cfg, store: d.Store, queue: d.Queue, pay: d.Pay, photos: d.Photos, push: d.Push,
		log: d.Logger, now: d.Now, metrics: newMetrics(d.Registerer), mux: http.NewServeMux(),
		sessions: newSessionCache(cfg.SessionCache), uploads: make(chan struct{}, maxUploads),
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.now == nil {
		a.now = time.Now
	}
	if a.carrier = d.Carrier; a.carrier == nil {
		var err error
		if a.carrier, err = carrier.Open(carrier.DefaultConfig()); err != nil {
			return nil, fmt.Errorf("build api: %w", err)
		}
	}
	a.limits = newLimiter(cfg, a.now, a.metrics)
	a.cache = answers{d.Cache, a.limits}
	a.hasher = newHasher(cfg.PasswordConcurrency, cfg.PasswordWait, a.metrics)
	a.huma = a.newHuma(router{a})
	a.routes()
	finishDocument(a.huma.OpenAPI())
	if err := a.pages(d.Version); err != nil {
		return nil, fmt.Errorf("build api: %w", err)
	}
	return a, nil
}

// router is the mux with a list of its routes: each has its metrics.
type router struct{ *API }

// HandleFunc adds a route.
func (r router) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	r.metrics.addRoute(pattern)
	r.mux.HandleFunc(pattern, h)
}

// ServeHTTP serves the mux.
func (r router) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.mux.ServeHTTP(w, req) }

// handle adds a plain route, whose handler writes the answer or returns an error.
func (a *API) handle(pattern string, h func(w http.ResponseWriter, r *http.Request) error) {
	router{a}.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			a.refuse(w, r, err)
		}
	})
}

// purge makes cached answers that a write has made untrue unfit. It comes
// before the answer to the writer, who may read at once.
func (a *API) purge(c store.Change) { a.cache.Purge(c.Tags...) }

// detached is a context for what must not stop half done because its client
// goes away.
func detached(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), timeout)
}
