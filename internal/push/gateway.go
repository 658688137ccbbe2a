package push

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
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
	// Observer is told what becomes of notifications with a note; nil means nobody.
	Observer Observer
}

// Gateway accepts notifications and delivers them.
type Gateway struct {
	db        *sqldb.DB
	queue     *job.Queue
	providers map[Platform]Provider
	logger    *slog.Logger
	now       func() time.Time
	metrics   *metrics
	backlog   *backlog
	reserve   *reserve
	active    *active
	dead      *deadTokens
	observer  Observer // may be nil
	recorder  *recorder
	results   results
	started   chan struct{} // closed when Run knows the backlog

	settings  atomic.Pointer[settings]
	reloading sync.Mutex     // held by who replaces the settings
	bounds    map[string]int // of SetMaxInFlight, by app; guarded by reloading
	running   bool           // Run takes changes; guarded by reloading
	changes   chan changes   // from Reload to Run
	ended     chan struct{}  // closed when Run takes no more changes
	endOnce   sync.Once      // of closing ended
}

// settings are the configuration and what follows from it. They are replaced as
// a whole, and never changed.
type settings struct {
	cfg   Config
	guard guard
	apps  []*app
	lanes []*lane
}

// app is an app of the configuration.
type app struct {
	name    string
	lanes   map[Platform]*lane
	webhook WebhookConfig
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
		db:        d.DB,
		queue:     d.Queue,
		providers: d.Providers,
		logger:    d.Logger,
		now:       d.Now,
		backlog:   newBacklog(cfg.MaxBacklog),
		reserve:   newReserve(d.DB),
		active:    newActive(),
		dead:      newDeadTokens(d.Now, cfg.DeadTokenCache),
		observer:  d.Observer,
		recorder:  newRecorder(d.Queue, d.Now),
		results:   results{d.DB},
		started:   make(chan struct{}),
		changes:   make(chan changes),
		ended:     make(chan struct{}),
		bounds:    make(map[string]int),
	}
	g.metrics = newMetrics(d.Registerer, g)
	g.settings.Store(&settings{})
	p, err := g.plan(cfg)
	if err != nil {
		return nil, err
	}
	g.apply(p)
	return g, nil
}

// current returns the settings that count now.
func (g *Gateway) current() *settings { return g.settings.Load() }

// config returns the configuration that counts now.
func (g *Gateway) config() *Config { return &g.settings.Load().cfg }

// maxPause bounds how long a lane is held up before it is tried again: one
// message a minute harms nobody, and shows soon that things are well again.
const maxPause = time.Minute

func (g *Gateway) closeSenders() {
	for _, l := range g.current().lanes {
		l.sender.Close()
	}
}

// app returns the app of that name, the first one if it is empty, or nil.
func (g *Gateway) app(name string) *app {
	for _, a := range g.current().apps {
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

// PlatformStats count the notifications of one provider that have ended, and say
// how it stands.
type PlatformStats struct {
	Sent, Failed int64
	// Held says why sending is held up: "down", "refused" or "suspect". Empty
	// while it is not.
	Held   string
	Reason string    // the provider's word for it
	Since  time.Time // when it was held up
}

// Stats returns the numbers of an app, the first one if it is empty.
func (g *Gateway) Stats(app string) Stats {
	st := Stats{Backlog: g.backlog.count(), MaxBacklog: g.backlog.limit(), Platforms: make(map[Platform]PlatformStats)}
	a := g.app(app)
	if a == nil {
		return st
	}
	for platform, l := range a.lanes {
		st.InFlight += l.inFlight.Load()
		st.MaxInFlight += l.maxInFlight()
		ps := PlatformStats{Sent: l.sent.Load(), Failed: l.failed.Load()}
		if c, reason, since := l.breaker.state(); c != none {
			ps.Held, ps.Reason, ps.Since = c.String(), reason, since
		}
		st.Platforms[platform] = ps
	}
	return st
}

// Degraded returns an error that names every app and provider that sending is held
// up for, and why; nil if there is none. The gateway is ready all the same: it
// takes notifications and keeps them.
func (g *Gateway) Degraded() error {
	var lines []string
	for _, l := range g.current().lanes {
		if c, reason, since := l.breaker.state(); c != none {
			lines = append(lines, fmt.Sprintf("app %s at %s: %s (%s) since %s", l.app, l.platform, c, reason, since.UTC().Format(time.RFC3339)))
		}
	}
	if lines == nil {
		return nil
	}
	return errors.New(strings.Join(lines, "; "))
}

// Run delivers until ctx ends, and takes the rest of Config.StopTimeout to end
// what is under way; what is not delivered then stays in the queue. It is called
// once. The queue's Run must outlive it.
func (g *Gateway) Run(ctx context.Context) error {
	defer g.closeSenders() // idle connections; nothing is lost with them
	defer g.stopChanges()
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
	var helpers sync.WaitGroup
	helpers.Go(func() { g.recorder.run(support) })
	helpers.Go(func() { g.active.checkpoints(support, g.recorder, g.logger) })
	helpers.Go(func() { g.housekeeping(support) })
	helpers.Go(func() { g.recounts(support) })
	helpers.Go(func() { g.recalls(support) })

	err := g.runLanes(ctx)
	stopSupport()
	helpers.Wait()
	return err
}

// lease is how long a job of a process that died waits for another.
const lease = 10 * time.Second

// housekeeping forgets old results, feedback and keys until ctx ends.
func (g *Gateway) housekeeping(ctx context.Context) {
	t := time.NewTicker(time.Minute)
	defer t.Stop()
	for {
		for {
			now, cfg := g.now(), g.config()
			more, err := g.results.forget(ctx, now.Add(-cfg.KeepResults), now.Add(-cfg.KeepFeedback), now.Add(-keepKeys))
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
