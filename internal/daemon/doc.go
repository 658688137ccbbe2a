// Package daemon is what every long-running role of furima shares: the
// logger, the metrics registry, listeners and HTTP servers, the ops listener
// with health, readiness, metrics and profiles, and an ordered start and stop.
//
// Begin with New and Run. The function given to Run starts the parts in
// program order; each part runs as a Step, and they stop in reverse order
// under one deadline:
//
//	log := daemon.NewLogger(os.Stderr, cfg.Log)
//	reg := daemon.NewRegistry(version)
//	d := daemon.New(daemon.Options{Logger: log, StopTimeout: cfg.Ops.StopTimeout, Kill: secondSignal})
//	ops := daemon.NewOps(daemon.OpsOptions{Logger: log, Gatherer: reg, Health: d.Health()})
//	err := d.Run(ctx, func(ctx context.Context) error {
//		ln, err := daemon.Listen(ctx, "ops.listen", cfg.Ops.Listen)
//		if err != nil {
//			return err
//		}
//		if err := d.Start(ctx, ops.Step(ln)); err != nil {
//			return err
//		}
//		db, err := sqldb.Open(ctx, cfg.Store, sqldb.Options{Logger: log, Registerer: reg})
//		if err != nil {
//			return err
//		}
//		d.OnStop("store", func(context.Context) error { return db.Close() })
//		d.Health().Add("store", db.Ping)
//		return d.Start(ctx, daemon.Step{Name: "jobs", Run: worker.Run})
//	})
//
// The package reads no environment, installs no signal handler and never
// exits: the caller turns signals into the end of a context and Options.Kill.
//
// A Daemon is used by one goroutine that calls Run; Start and OnStop are
// called inside the function given to Run. Health and Ops may be used by any
// number of goroutines.
package daemon
