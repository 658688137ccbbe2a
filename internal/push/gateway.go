package push

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/sqldb"
)

//go:embed migrations
var migrations embed.FS

// Migrations returns the migrations of the gateway's own tables.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the directory is embedded
	}
	return sub
}

// Migrate brings the gateway's tables, and those of its queue, up to date.
func Migrate(ctx context.Context, db *sqldb.DB) error {
	if err := job.Migrate(ctx, db); err != nil {
		return err
	}
	return db.Migrate(ctx, "push", Migrations())
}

// Deps are what a gateway works with.
type Deps struct {
	// DB is the gateway's database, migrated. The gateway does not close it.
	DB *sqldb.DB
	// Queue is the queue in it. Its Run must be running while the gateway's is.
	Queue *job.Queue
	// Providers open senders, by platform. Apps may have credentials only for
	// platforms that are here.
	Providers map[Platform]Provider
	// Logger may be nil.
	Logger *slog.Logger
	// Registerer may be nil: then the metrics are kept and not shown.
	Registerer prometheus.Registerer
	// Now is the clock that expiry and retention go by; nil means time.Now.
	Now func() time.Time
}

// Gateway accepts notifications and delivers them.
type Gateway struct {
	cfg      Config
	db       *sqldb.DB
	queue    *job.Queue
	logger   *slog.Logger
	now      func() time.Time
	metrics  *metrics
	guard    guard
	apps     []*app
	lanes    []*lane
	backlog  *backlog
	active   *active
	recorder *recorder
	results  results
	started  chan struct{} // closed when Run knows the backlog
}

// app is an app of the configuration.
type app struct {
	name  string
	lanes map[Platform]*lane
}

// lane is one app at one provider. Every lane has its own jobs, workers and
// breaker, so that none waits for another.
type lane struct {
	app      string
	platform Platform
	kind     string // of its jobs
	sender   Sender
	breaker  *breaker
	metrics  *laneMetrics

	maxInFlight int64
	inFlight    atomic.Int64 // messages that the sender has
	sent        atomic.Int64
	failed      atomic.Int64 // ended without being sent
}

// kindPrefix begins the kinds of the gateway's jobs: "push.deliver.market.apns".
const kindPrefix = "push.deliver."

// New returns a gateway. It reads credential files and uses neither the network
// nor the database.
func New(cfg Config, d Deps) (*Gateway, error) {
	cfg = cfg.withDefaults()
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	g := &Gateway{
		cfg:      cfg,
		db:       d.DB,
		queue:    d.Queue,
		logger:   d.Logger,
		now:      d.Now,
		guard:    newGuard(cfg),
		backlog:  newBacklog(cfg.MaxBacklog),
		active:   newActive(),
		recorder: newRecorder(d.Queue, d.Now),
		results:  results{d.DB},
		started:  make(chan struct{}),
	}
	g.metrics = newMetrics(d.Registerer, func() float64 { return float64(g.backlog.count()) })
	for _, ac := range cfg.Apps {
		a := &app{name: ac.Name, lanes: make(map[Platform]*lane)}
		g.apps = append(g.apps, a)
		for platform, provider := range d.Providers {
			sender, err := provider.Open(ac, d.Logger)
			if err != nil {
				return nil, errors.Join(fmt.Errorf("open app %s: %w", ac.Name, err), g.closeSenders())
			}
			if sender == nil {
				continue
			}
			l := &lane{
				app: ac.Name, platform: platform, kind: kindPrefix + ac.Name + "." + string(platform),
				sender:  sender,
				breaker: newBreaker(cfg.RetryMin, min(cfg.RetryMax, maxPause)),
				metrics: g.metrics.lane(ac.Name, platform),
			}
			l.maxInFlight = ac.maxInFlight(platform)
			a.lanes[platform] = l
			g.lanes = append(g.lanes, l)
		}
	}
	return g, nil
}

// maxPause bounds how long a lane is held up before it is tried again: one
// message a minute harms nobody, and shows soon that things are well again.
const maxPause = time.Minute

func (g *Gateway) closeSenders() error {
	var errs []error
	for _, l := range g.lanes {
		errs = append(errs, l.sender.Close())
	}
	return errors.Join(errs...)
}

// app returns the app of that name, the first one if it is empty, or nil.
func (g *Gateway) app(name string) *app {
	for _, a := range g.apps {
		if name == "" || a.name == name {
			return a
		}
	}
	return nil
}

// Stats are numbers since the start, of one app.
type Stats struct {
	Backlog, MaxBacklog   int64 // notifications that wait, of all apps
	InFlight, MaxInFlight int64 // notifications that providers have not answered
	Platforms             map[Platform]PlatformStats
}

// PlatformStats count notifications that have ended.
type PlatformStats struct{ Sent, Failed int64 }

// Stats returns the numbers of an app, the first one if it is empty.
func (g *Gateway) Stats(app string) Stats {
	st := Stats{Backlog: g.backlog.count(), MaxBacklog: g.backlog.max, Platforms: make(map[Platform]PlatformStats)}
	a := g.app(app)
	if a == nil {
		return st
	}
	for platform, l := range a.lanes {
		st.InFlight += l.inFlight.Load()
		st.MaxInFlight += l.maxInFlight
		st.Platforms[platform] = PlatformStats{Sent: l.sent.Load(), Failed: l.failed.Load()}
	}
	return st
}

// Run delivers until ctx ends, and takes the rest of Config.StopTimeout to end
// what is under way; what is not delivered then stays in the queue. It is called
// once. The queue's Run must outlive it.
func (g *Gateway) Run(ctx context.Context) error {
	defer func() { _ = g.closeSenders() }() // idle connections; nothing is lost with them
	if err := g.recount(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	close(g.started)
	// What supports the deliveries ends after them.
	support, stopSupport := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSupport()
	var helpers, workers sync.WaitGroup
	helpers.Go(func() { g.recorder.run(support) })
	helpers.Go(func() { g.active.checkpoints(support, g.recorder, g.logger) })
	helpers.Go(func() { g.housekeeping(support) })
	helpers.Go(func() { g.recounts(support) })

	work, stop := context.WithCancel(ctx)
	defer stop()
	errs := make([]error, len(g.lanes))
	for i, l := range g.lanes {
		w := g.queue.NewWorker(job.WorkerOptions{
			Handlers:    map[string]job.Handler{l.kind: g.deliver(l)},
			Concurrency: g.cfg.Workers,
			Lease:       lease,
			SoftStop:    g.cfg.StopTimeout,
		})
		workers.Go(func() {
			if errs[i] = w.Run(work); errs[i] != nil {
				errs[i] = fmt.Errorf("deliver for app %s at %s: %w", l.app, l.platform, errs[i])
				stop() // one lane that cannot work is not left out silently
			}
		})
	}
	<-work.Done()
	g.active.stop()
	workers.Wait()
	stopSupport()
	helpers.Wait()
	return errors.Join(errs...)
}

// lease is how long a job of a process that died waits for another.
const lease = 10 * time.Second

// housekeeping forgets old results, feedback and keys until ctx ends.
func (g *Gateway) housekeeping(ctx context.Context) {
	t := time.NewTicker(time.Minute)
	defer t.Stop()
	for {
		for {
			now := g.now()
			more, err := g.results.forget(ctx, now.Add(-g.cfg.KeepResults), now.Add(-g.cfg.KeepFeedback), now.Add(-keepKeys))
			if err != nil && ctx.Err() == nil {
				g.logger.Warn("old results cannot be deleted", "err", err)
			}
			if !more || err != nil {
				break
			}
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}
