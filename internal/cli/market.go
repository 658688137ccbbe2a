package cli

import (
	"context"
	"fmt"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/api"
	"github.com/furima/furima/internal/cache"
	"github.com/furima/furima/internal/carrier"
	"github.com/furima/furima/internal/daemon"
	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/pay"
	"github.com/furima/furima/internal/photo"
	"github.com/furima/furima/internal/seed"
	"github.com/furima/furima/internal/sqldb"
	"github.com/furima/furima/internal/store"
)

// marketParts is the market's side of a process: what api, dev, migrate and seed
// open in the same way.
type marketParts struct {
	db     *sqldb.DB
	queue  *job.Queue
	store  *store.Store
	photos *photo.Intake
}

// openDB opens a database and closes it in its turn of the stop. Cache is
// sqldb.Options.CacheBytes.
func (r *role) openDB(ctx context.Context, name string, cfg sqldb.Config, cache int64) (*sqldb.DB, error) {
	db, err := sqldb.Open(ctx, cfg, sqldb.Options{Logger: r.log, Registerer: r.reg, Name: name, CacheBytes: cache})
	if err != nil {
		return nil, err
	}
	r.OnStop(name+" database", func(context.Context) error { return db.Close() })
	r.Health().Add(name+" database", db.Ping)
	return db, nil
}

// openMarket opens the market's database, brings it to this program's schema
// if migrate says so, and starts its queue.
func (r *role) openMarket(ctx context.Context, migrate bool) (*marketParts, error) {
	db, err := r.openDB(ctx, "market", r.cfg.Store, 0)
	if err != nil {
		return nil, err
	}
	if err := prepareMarket(ctx, db, migrate); err != nil {
		return nil, err
	}
	m := &marketParts{db: db}
	m.queue = job.NewQueue(db, job.Options{Logger: r.log, Registerer: r.reg, Name: "market"})
	if err := r.Start(ctx, daemon.Step{Name: "market queue", Run: m.queue.Run}); err != nil {
		return nil, err
	}
	m.store = store.New(db, m.queue, store.Options{Logger: r.log, Registerer: r.reg})
	if m.photos, err = photo.Open(r.cfg.Photo, photo.Options{Registerer: r.reg}); err != nil {
		return nil, err
	}
	r.OnStop("photos", func(context.Context) error { return m.photos.Close() })
	return m, nil
}

// prepareMarket migrates an embedded database by itself. A shared one is
// migrated by whoever deploys, with "furima migrate": not by the first process
// of the new version that happens to start.
func prepareMarket(ctx context.Context, db *sqldb.DB, migrate bool) error {
	if migrate || db.Dialect().Name() == "sqlite" {
		return migrateMarket(ctx, db)
	}
	n, err := store.Pending(ctx, db)
	if err != nil {
		return err
	}
	if n > 0 {
		return fmt.Errorf("store.url: the schema lacks %d migrations of this version, run furima migrate", n)
	}
	return nil
}

// migrateMarket brings the schema to this version's, and gives a market
// without categories the catalogue, since nothing can be listed without one.
func migrateMarket(ctx context.Context, db *sqldb.DB) error {
	if err := store.Migrate(ctx, db); err != nil {
		return err
	}
	s := store.New(db, job.NewQueue(db, job.Options{}), store.Options{})
	tree, err := s.Categories(ctx)
	if err != nil {
		return err
	}
	if len(tree.All()) > 0 {
		return s.Build(ctx, nil) // an older market's index of search
	}
	_, err = s.Import(ctx, store.Batch{Categories: seed.Catalog()})
	return err
}

// startAPI starts the market's API and its jobs, and returns its URL.
func (r *role) startAPI(ctx context.Context, m *marketParts) (url string, err error) {
	answers := cache.New(r.cfg.Cache, cache.Options{Logger: r.log, Registerer: r.reg})
	if err := r.Start(ctx, daemon.Step{Name: "cache", Run: answers.Run}); err != nil {
		return "", err
	}
	payments, err := pay.Open(r.cfg.Pay, pay.Options{Dev: r.name == roleDev, Logger: r.log})
	if err != nil {
		return "", err
	}
	r.OnStop("payments", func(context.Context) error { return payments.Close() })
	carriers, err := carrier.Open(r.cfg.Carrier)
	if err != nil {
		return "", err
	}
	deps := api.Deps{
		Store: m.store, Queue: m.queue, Cache: answers, Pay: payments, Carrier: carriers, Photos: m.photos,
		Logger: r.log, Registerer: r.reg, Version: version,
	}
	if r.cfg.API.PushURL != "" {
		deps.Push = client.NewPush(client.PushOptions{URL: r.cfg.API.PushURL, Token: r.cfg.API.PushToken})
		r.OnStop("push client", func(context.Context) error { deps.Push.CloseIdleConnections(); return nil })
	}
	a, err := api.New(r.cfg.API, deps)
	if err != nil {
		return "", err
	}
	if err := a.Schedule(ctx); err != nil {
		return "", err
	}
	worker := m.queue.NewWorker(job.WorkerOptions{Handlers: a.Jobs(), Concurrency: r.cfg.API.JobWorkers})
	if err := r.Start(ctx, daemon.Step{Name: "market jobs", Run: worker.Run}); err != nil {
		return "", err
	}
	ln, err := r.listen(ctx, "api", "api.listen", r.cfg.API.Listen)
	if err != nil {
		return "", err
	}
	return listenURL(ln), r.serve(ctx, "api", ln, a.Handler())
}
