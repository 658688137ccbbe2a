package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/furima/furima/internal/daemon"
	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/apns"
	"github.com/furima/furima/internal/push/fcm"
	"github.com/furima/furima/internal/push/gaurun"
	"github.com/furima/furima/internal/push/h2"
	"github.com/furima/furima/internal/push/webpush"
	"github.com/furima/furima/internal/sqldb"
)

func (p *program) pushCommand() *cobra.Command {
	var f pushFlags
	cmd := &cobra.Command{
		Use:   "push",
		Short: "run the push gateway",
		Long: `Runs the push gateway: POST /v1/push and Gaurun's POST /push in, a durable queue,
APNs, FCM and Web Push out. What is answered 200 or 202 is on disk. Try it against
"furima sandbox".

The file that -c names may be one of Gaurun's ([core], [ios], [android], [log]): see
docs/gaurun.md. SIGHUP reads it again and opens the log files anew.`,
		Example: `  furima push -c furima.toml
  furima push -c gaurun.toml -p 1056
  curl http://127.0.0.1:1056/push -d '{"notifications":[{"platform":1,"token":["…"],"message":"hello"}]}'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.version {
				return p.printVersion(false)
			}
			return p.runPush(cmd.Context(), f)
		},
	}
	cmd.Flags().StringVarP(&f.port, "port", "p", "", "port, host:port or unix:/path to listen on, instead of the file's")
	cmd.Flags().Int64VarP(&f.workers, "workers", "w", 0, "workers, instead of the file's")
	cmd.Flags().Int64VarP(&f.queues, "queues", "q", 0, "size of the queue, instead of the file's")
	cmd.Flags().BoolVarP(&f.version, "version", "v", false, "print the version and do nothing else")
	return cmd
}

// runPush is the command without its subcommands.
func (p *program) runPush(ctx context.Context, f pushFlags) error {
	// Before anything else: until then a SIGHUP would end the process.
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	s, err := p.loadPush(f)
	if err != nil {
		return err
	}
	logs, err := openGaurunLogs(s, p.env)
	if err != nil {
		return err
	}
	log := p.newLogger(rolePush, s.cfg)
	if s.file != nil {
		log = slog.New(logs.Handler()).With("role", rolePush)
		for _, w := range s.warnings {
			fmt.Fprintf(p.env.Stderr, "furima: warning: %s\n", w)
		}
	}
	o := roleOptions{log: log, opsOptional: s.opsOptional}
	err = p.runRoleWith(ctx, rolePush, s.cfg, o, func(ctx context.Context, r *role) error {
		g, err := r.startGateway(ctx, s, logs, false)
		if err != nil {
			return err
		}
		return r.Start(ctx, daemon.Step{Name: "reload", Run: func(ctx context.Context) error {
			for {
				select {
				case <-hangup:
					g.reload(func() (pushSetup, error) { return p.loadPush(f) })
				case <-ctx.Done():
					return nil
				}
			}
		}})
	})
	return errors.Join(err, logs.Close())
}

// openGaurunLogs opens Gaurun's logs, if there are to be any.
func openGaurunLogs(s pushSetup, env Env) (*gaurun.Logs, error) {
	o, table := gaurun.LogOptions{Access: s.cfg.Push.Gaurun.AccessLog, Error: s.cfg.Push.Gaurun.ErrorLog}, "push.gaurun."
	if s.file != nil {
		o, table = s.file.LogOptions(nil, nil), "log."
	}
	o.Stdout, o.Stderr = env.Stdout, env.Stderr
	logs, err := gaurun.OpenLogs(o)
	if err != nil {
		return nil, usagef("%s%w", table, err)
	}
	return logs, nil
}

// gateway is the gateway of a role with what belongs to it.
type gateway struct {
	*push.Gateway
	setup   pushSetup
	surface *gaurun.Surface
	logs    *gaurun.Logs
	log     *slog.Logger
	url     string // how a program on this machine reaches it
}

// startPush starts the gateway with its tables migrated and returns its URL.
func (r *role) startPush(ctx context.Context, migrate bool) (url string, err error) {
	s := pushSetup{cfg: r.cfg}
	logs, err := openGaurunLogs(s, r.env)
	if err != nil {
		return "", err
	}
	r.OnStop("gaurun logs", func(context.Context) error { return logs.Close() })
	g, err := r.startGateway(ctx, s, logs, migrate)
	if err != nil {
		return "", err
	}
	return g.url, nil
}

// pushCache is how much of its database a gateway keeps in memory. A queue is
// written at one end and read at the other, and what is read is not read again.
const pushCache = 4 << 20

// startGateway starts the gateway on its own database.
func (r *role) startGateway(ctx context.Context, s pushSetup, logs *gaurun.Logs, migrate bool) (*gateway, error) {
	db, err := r.openDB(ctx, "push", sqldb.Config{URL: s.cfg.Push.Store}, pushCache)
	if err != nil {
		return nil, err
	}
	if err := preparePush(ctx, db, migrate); err != nil {
		return nil, err
	}
	queue := job.NewQueue(db, job.Options{Logger: r.log, Registerer: r.reg, Name: "push"})
	if err := r.Start(ctx, daemon.Step{Name: "push queue", Run: queue.Run}); err != nil {
		return nil, err
	}
	gw, err := push.New(s.cfg.Push, push.Deps{
		DB: db, Queue: queue, Providers: r.providers(), Observer: logs, Logger: r.log, Registerer: r.reg,
	})
	if err != nil {
		return nil, err
	}
	if err := r.Start(ctx, daemon.Step{Name: "push gateway", Run: gw.Run}); err != nil {
		return nil, err
	}
	r.Health().Watch("push providers", func(context.Context) error { return gw.Degraded() })
	g := &gateway{Gateway: gw, setup: s, logs: logs, log: r.log}
	g.surface = gaurun.New(gw, s.gaurunOptions(logs))
	ln, err := r.listenPush(ctx, s)
	if err != nil {
		return nil, err
	}
	g.url = listenURL(ln)
	mux := http.NewServeMux()
	mux.Handle("/v1/", gw.Handler())
	mux.Handle("/", g.surface)
	if err := r.serve(ctx, "push", ln, mux, "POST /v1/push", "POST /push"); err != nil {
		return nil, err
	}
	if s.file != nil && s.file.Core.Pid != "" {
		return g, r.writePid(s.file.Core.Pid)
	}
	return g, nil
}

// providers are what the gateway delivers through.
func (r *role) providers() map[push.Platform]push.Provider {
	conns := h2.NewMetrics(r.reg)
	return map[push.Platform]push.Provider{
		push.APNS:    apns.NewProvider(apns.Options{H2: conns}),
		push.FCM:     fcm.NewProvider(fcm.Options{H2: conns}),
		push.WebPush: webpush.NewProvider(),
	}
}

// listenPush opens the gateway's listener, or takes the one that it was handed.
func (r *role) listenPush(ctx context.Context, s pushSetup) (net.Listener, error) {
	ln, err := inheritedListener(r.env.Environ)
	switch {
	case err != nil:
		return nil, err
	case ln != nil:
		r.log.Info("listening", "name", "push", "addr", ln.Addr().String(), "from", serverStarterVariable)
		return ln, nil
	case s.file != nil:
		return r.listen(ctx, "push", "core.port", s.cfg.Push.Listen)
	}
	return r.listen(ctx, "push", "push.listen", s.cfg.Push.Listen)
}

// reload reads the configuration again and goes over to it, and opens the logs
// anew. If it cannot be read all stays as it was.
func (g *gateway) reload(load func() (pushSetup, error)) {
	if err := g.logs.Reopen(); err != nil {
		g.log.Warn("a log file cannot be opened anew, the old one stays in use", "err", oneLine(err))
	}
	next, err := load()
	if err == nil && (next.file == nil) != (g.setup.file == nil) {
		err = errors.New("it has become a configuration of another kind, which needs a restart")
	}
	if err == nil {
		err = g.Reload(next.cfg.Push)
	}
	if err != nil {
		g.log.Error("the configuration cannot be reloaded, the old one stays in force", "err", oneLine(err))
		return
	}
	if next.logNames() != g.setup.logNames() {
		g.log.Warn("log files of other names count from the next start on")
	}
	g.surface.Update(next.gaurunOptions(g.logs))
	g.setup = next
}

// writePid writes the number of this process, as Gaurun does, and removes the
// file at the end unless another process has written its own.
func (r *role) writePid(path string) error {
	pid := fmt.Sprint(os.Getpid())
	if err := os.WriteFile(path, []byte(pid), 0o644); err != nil {
		return fmt.Errorf("core.pid: %w", err)
	}
	r.OnStop("pid file", func(context.Context) error {
		if text, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(text)) == pid {
			return os.Remove(path)
		}
		return nil
	})
	return nil
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
