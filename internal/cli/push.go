package cli

import (
	"context"
	"errors"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/furima/furima/internal/daemon"
	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/apns"
	"github.com/furima/furima/internal/push/gaurun"
	"github.com/furima/furima/internal/sqldb"
)

func (p *program) pushCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "push",
		Short: "run the push gateway",
		Long: `Runs the push gateway: POST /v1/push and Gaurun's POST /push in, a durable queue,
APNs out. What is answered 200 or 202 is on disk. Try it against "furima sandbox".`,
		Example: `  furima push -c furima.toml
  curl http://127.0.0.1:1056/push -d '{"notifications":[{"platform":1,"token":["…"],"message":"hello"}]}'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := p.loadRole(rolePush)
			if err != nil {
				return err
			}
			return p.runRole(cmd.Context(), rolePush, cfg, func(ctx context.Context, r *role) error {
				_, err := r.startPush(ctx, false)
				return err
			})
		},
	}
}

// startPush starts the gateway on its own database and returns its URL.
func (r *role) startPush(ctx context.Context, migrate bool) (url string, err error) {
	db, err := r.openDB(ctx, "push", sqldb.Config{URL: r.cfg.Push.Store})
	if err != nil {
		return "", err
	}
	if err := preparePush(ctx, db, migrate); err != nil {
		return "", err
	}
	queue := job.NewQueue(db, job.Options{Logger: r.log, Registerer: r.reg, Name: "push"})
	if err := r.Start(ctx, daemon.Step{Name: "push queue", Run: queue.Run}); err != nil {
		return "", err
	}
	gw, err := push.New(r.cfg.Push, push.Deps{
		DB: db, Queue: queue,
		Providers: map[push.Platform]push.Provider{push.APNS: apns.NewProvider()},
		Logger:    r.log, Registerer: r.reg,
	})
	if err != nil {
		return "", err
	}
	if err := r.Start(ctx, daemon.Step{Name: "push gateway", Run: gw.Run}); err != nil {
		return "", err
	}
	ln, err := r.listen(ctx, "push", "push.listen", r.cfg.Push.Listen)
	if err != nil {
		return "", err
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/", gw.Handler())
	mux.Handle("/", gaurun.Handler(gw, gaurun.Options{}))
	return listenURL(ln), r.serve(ctx, "push", ln, mux)
}

// preparePush is prepareMarket for the gateway's database.
func preparePush(ctx context.Context, db *sqldb.DB, migrate bool) error {
	if migrate || db.Dialect().Name() == "sqlite" {
		return push.Migrate(ctx, db)
	}
	n, err := db.Pending(ctx, "push", push.Migrations())
	if err != nil {
		return err
	}
	if n > 0 {
		return errors.New("push.store: the schema is not this version's, run furima migrate push")
	}
	return nil
}
