package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/furima/furima/internal/config"
	"github.com/furima/furima/internal/daemon"
	"github.com/furima/furima/internal/dash"
)

// role is a long-running role while it is wired: what its parts share.
type role struct {
	*daemon.Daemon
	name   string
	cfg    config.Config
	log    *slog.Logger
	reg    *prometheus.Registry
	ops    *daemon.Ops
	env    Env
	onOpen []func() // called when everything has started

	opsOptional bool // see roleOptions
}

// runRole runs a role until a signal: the ops listener first, then what start
// starts, stopped in reverse order under one deadline.
func (p *program) runRole(ctx context.Context, name string, cfg config.Config, start func(ctx context.Context, r *role) error) error {
	return p.runRoleWith(ctx, name, cfg, roleOptions{log: p.newLogger(name, cfg)}, start)
}

// newLogger returns the logger of a role.
func (p *program) newLogger(name string, cfg config.Config) *slog.Logger {
	return daemon.NewLogger(p.env.Stderr, p.logConfig(cfg.Log)).With("role", name)
}

// roleOptions are how a role runs beside its configuration.
type roleOptions struct {
	log *slog.Logger
	// opsOptional lets the role run without its ops listener if the address is
	// taken: what it takes the place of may never have had one.
	opsOptional bool
}

// runRoleWith is runRole with options.
func (p *program) runRoleWith(ctx context.Context, name string, cfg config.Config, o roleOptions, start func(ctx context.Context, r *role) error) error {
	log := o.log
	r := &role{name: name, cfg: cfg, opsOptional: o.opsOptional, log: log, reg: daemon.NewRegistry(version), env: p.env}
	r.Daemon = daemon.New(daemon.Options{
		Logger:      log,
		StopTimeout: cfg.Ops.StopTimeout,
		DrainDelay:  cfg.Ops.DrainDelay,
		Kill:        p.kill,
		OnReady: func() {
			for _, f := range r.onOpen {
				f()
			}
		},
	})
	r.ops = daemon.NewOps(daemon.OpsOptions{Logger: log, Gatherer: r.reg, Health: r.Health()})
	return r.Run(ctx, func(ctx context.Context) error {
		if err := r.startOps(ctx); err != nil {
			return err
		}
		return start(ctx, r)
	})
}

// logConfig lays NO_COLOR (no-color.org) under what the operator has set.
func (p *program) logConfig(cfg daemon.LogConfig) daemon.LogConfig {
	unset := cfg.Color == "" || cfg.Color == daemon.ColorAuto
	if unset && slices.ContainsFunc(p.env.Environ, func(kv string) bool {
		value, found := strings.CutPrefix(kv, "NO_COLOR=")
		return found && value != ""
	}) {
		cfg.Color = daemon.ColorNever
	}
	return cfg
}

func (r *role) startOps(ctx context.Context) error {
	if r.cfg.Ops.Listen == "" {
		return nil
	}
	ln, err := r.listen(ctx, "ops", "ops.listen", r.cfg.Ops.Listen)
	switch {
	case err != nil && r.opsOptional:
		r.log.Error("there is no ops listener, all else runs", "err", err)
		return nil
	case err != nil:
		return err
	}
	page := dash.New(dash.Options{
		Gatherer: r.reg, Role: r.name, Version: version, Ready: r.Health().Report, Links: r.links(),
	})
	r.ops.Handle("/", page)
	return r.Start(ctx, r.ops.Step(ln))
}

// links are what the operator's page leads to beside itself.
func (r *role) links() []dash.Link {
	links := []dash.Link{{Name: "Metrics", URL: "/metrics"}, {Name: "Profiles", URL: "/debug/pprof/"}}
	if r.name == roleDev || r.name == roleSandbox {
		links = append([]dash.Link{{Name: "Phones", URL: "/phones/"}}, links...)
	}
	return links
}

// listen opens a listener and says in the log where it is.
func (r *role) listen(ctx context.Context, name, key, addr string) (net.Listener, error) {
	ln, err := daemon.Listen(ctx, key, addr)
	if err != nil {
		return nil, err
	}
	r.log.Info("listening", "name", name, "addr", ln.Addr().String())
	return ln, nil
}

// serve starts an HTTP server on a listener. express are the routes that get many
// short requests.
func (r *role) serve(ctx context.Context, name string, ln net.Listener, h http.Handler, express ...string) error {
	return r.Start(ctx, daemon.Server{Name: name, Handler: h, Listener: ln, Logger: r.log, Express: express}.Step())
}

// url is how a program on this machine reaches a listener: http://host:port,
// or unix:/path.
func listenURL(ln net.Listener) string {
	if ln.Addr().Network() == "unix" {
		return "unix:" + ln.Addr().String()
	}
	host, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return "http://" + ln.Addr().String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// isTerminal reports whether w is a terminal that a progress bar can be drawn
// on.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// progress draws "what done/total" on a terminal, and writes a line every
// tenth of the way elsewhere.
type progress struct {
	env   Env
	what  string
	shown int // tenths written so far, without a terminal
}

func (b *progress) update(done, total int) {
	if total <= 0 {
		return
	}
	if isTerminal(b.env.Stderr) {
		const width = 30
		filled := width * done / total
		fmt.Fprintf(b.env.Stderr, "\r%s [%s%s] %d/%d ", b.what, strings.Repeat("#", filled), strings.Repeat(".", width-filled), done, total)
		if done >= total {
			fmt.Fprintln(b.env.Stderr)
		}
		return
	}
	if tenth := 10 * done / total; tenth > b.shown || b.shown == 0 {
		b.shown = max(tenth, 1)
		fmt.Fprintf(b.env.Stderr, "%s %d/%d\n", b.what, done, total)
	}
}
