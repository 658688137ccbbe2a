package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// A dead nginx is started again after minBackoff, doubling to maxBackoff;
	// one that has served for stable begins anew.
	minBackoff = 100 * time.Millisecond
	maxBackoff = 30 * time.Second
	stable     = time.Minute
)

// Options are what New needs; the zero value is usable.
type Options struct {
	// Logger gets nginx's starts, stops and complaints; nil discards.
	Logger *slog.Logger
	// Registerer gets the metrics; nil leaves them unregistered.
	Registerer prometheus.Registerer
	// Now is the clock by which nginx counts as stable; nil means time.Now.
	Now func() time.Time
}

// Edge renders nginx's configuration and runs nginx with it.
type Edge struct {
	log     *slog.Logger
	now     func() time.Time
	metrics *metrics
	ready   chan struct{} // closed when nginx serves for the first time

	reloading sync.Mutex // one reload at a time

	mu   sync.Mutex
	cfg  Config   // in force; with defaults
	tree Tree     // in force while Run runs
	proc *process // nil while nginx does not run
}

// New makes an Edge from a configuration that Validate has nothing against. It
// does no I/O.
func New(cfg Config, o Options) *Edge {
	e := &Edge{log: o.Logger, now: o.Now, cfg: cfg.withDefaults(), ready: make(chan struct{})}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.now == nil {
		e.now = time.Now
	}
	e.metrics = newMetrics(o.Registerer, e)
	return e
}

func (e *Edge) config() Config {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cfg
}

// Render finds nginx and returns the tree that it would run with. Nothing is
// written. The error is or wraps ErrNoNginx if there is no nginx, since what
// is rendered depends on its version.
func (e *Edge) Render(ctx context.Context) (Tree, error) {
	_, t, err := renderFor(ctx, e.config())
	return t, err
}

func renderFor(ctx context.Context, c Config) (host, Tree, error) {
	h, err := inspect(ctx, c)
	if err != nil {
		return host{}, Tree{}, err
	}
	t, err := render(c, h)
	return h, t, err
}

// Check lets nginx read the configuration, rendered into a temporary
// directory. The run directory is not touched. An error is one line that names
// every fault and the site that it belongs to.
func (e *Edge) Check(ctx context.Context) (err error) {
	c := e.config()
	h, _, err := renderFor(ctx, c)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "furima-edge-")
	if err != nil {
		return fmt.Errorf("make a temporary directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c.RunDir = dir
	t, err := render(c, h)
	if err != nil {
		return err
	}
	if err := t.write(); err != nil {
		return err
	}
	return h.nginx.test(ctx, t)
}

// Ready blocks until nginx serves the configuration for the first time.
func (e *Edge) Ready(ctx context.Context) error {
	select {
	case <-e.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Serving returns nil if nginx answers and serves the configuration in force;
// it is a health check.
func (e *Edge) Serving(ctx context.Context) error {
	e.mu.Lock()
	want, running := e.tree.Version, e.proc != nil
	e.mu.Unlock()
	if !running {
		return errors.New("nginx does not run")
	}
	st, err := e.stats(ctx)
	if err != nil {
		return err
	}
	if st.version != want {
		return fmt.Errorf("nginx serves version %s, not %s", st.version, want)
	}
	return nil
}

func (e *Edge) stats(ctx context.Context) (stats, error) {
	e.mu.Lock()
	dir, running := e.tree.RunDir, e.proc != nil
	e.mu.Unlock()
	if !running {
		return stats{}, errors.New("nginx does not run")
	}
	p := newProber(dir)
	version, err := p.version(ctx)
	if err != nil {
		return stats{}, err
	}
	body, err := p.get(ctx, "/-/status")
	if err != nil {
		return stats{}, fmt.Errorf("ask nginx for its status: %w", err)
	}
	st, err := parseStats(string(body))
	st.version = version
	return st, err
}

// Run writes the configuration, lets nginx check it, runs nginx with it until
// ctx ends, and stops it gracefully. It returns an error if nginx cannot be
// brought to serve; once it has served, it is started again whenever it dies.
// When Run returns, no process of nginx is left; if furima itself is killed,
// the kernel ends nginx (on Linux).
func (e *Edge) Run(ctx context.Context) (err error) {
	c := e.config()
	h, t, err := renderFor(ctx, c)
	if err != nil {
		return err
	}
	if err := t.write(); err != nil {
		return err
	}
	held, err := lock(filepath.Join(t.RunDir, "lock"))
	if errors.Is(err, errLocked) {
		return fmt.Errorf("edge.run_dir = %q is in use by another furima", c.RunDir)
	} else if err != nil {
		return fmt.Errorf("lock run directory: %w", err)
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	if err := removeLeftovers(t.RunDir, e.log); err != nil {
		return err
	}
	if err := checkListen(ctx, c, nil); err != nil {
		return err
	}
	if err := h.nginx.test(ctx, t); err != nil {
		return err
	}
	if err := t.use(); err != nil {
		return err
	}
	if h.bodiesInMemory {
		e.log.Warn("request bodies are kept in memory, since nginx's workers cannot enter the run directory", "user", h.user, "run_dir", t.RunDir)
	}
	return e.supervise(ctx, h.nginx, t)
}

// supervise keeps nginx running.
func (e *Edge) supervise(ctx context.Context, n Nginx, t Tree) error {
	backoff := minBackoff
	for first := true; ; first = false {
		began := e.now()
		p, err := e.start(ctx, n, t)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && first:
			return err
		case err != nil:
			e.log.Error("nginx cannot be started again", "error", err)
		default:
			if first {
				close(e.ready)
			}
			select {
			case <-ctx.Done():
				e.stop(p)
				return nil
			case <-p.done:
				e.log.Error("nginx died", "error", p.ended(e.forget()))
			}
		}
		if e.now().Sub(began) > stable {
			backoff = minBackoff
		}
		if !pause(ctx, backoff) {
			return nil
		}
		backoff = min(2*backoff, maxBackoff)
		if err := removeLeftovers(t.RunDir, e.log); err != nil {
			e.log.Error("nginx cannot be started again", "error", err)
		}
	}
}

// start starts nginx and waits until it serves. If it does not come to that,
// nothing of it is left. A reload that has lost its nginx ends first.
func (e *Edge) start(ctx context.Context, n Nginx, t Tree) (*process, error) {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	t = e.current(t)
	if err := t.use(); err != nil {
		return nil, err
	}
	e.metrics.starts.Inc()
	p, err := start(n, t, e.log)
	if err != nil {
		return nil, err
	}
	if err := newProber(t.RunDir).await(ctx, p, t, 0); err != nil {
		p.stop(0, e.log)
		return nil, err
	}
	e.mu.Lock()
	e.proc, e.tree = p, t
	c := e.cfg
	e.mu.Unlock()
	e.log.Info("nginx serves", "nginx", n.String(), "version", t.Version, "pid", p.cmd.Process.Pid, "sites", len(c.Sites))
	return p, nil
}

func (e *Edge) stop(p *process) {
	c := e.config()
	p.stop(c.StopTimeout, e.log)
	e.forget()
	e.log.Info("nginx has stopped")
}

// forget notes that nginx does not run and returns the tree it ran with.
func (e *Edge) forget() Tree {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.proc = nil
	return e.tree
}

// current returns the tree in force, which a reload may have changed.
func (e *Edge) current(t Tree) Tree {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.tree.Version == "" {
		return t
	}
	return e.tree
}

// Reload gives a running nginx another configuration, or the same one with
// renewed certificates, without losing a request. If nginx refuses it, or does
// not come to serve it, the old one stays in force and the error says why.
func (e *Edge) Reload(ctx context.Context, cfg Config) error {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	cfg = cfg.withDefaults()
	e.mu.Lock()
	old, served, p := e.tree, e.cfg, e.proc
	e.mu.Unlock()
	if p == nil {
		return errors.New("reload the edge: nginx does not run")
	}
	outcome, err := e.reload(ctx, cfg, served, old, p)
	e.metrics.reloads.WithLabelValues(outcome).Inc()
	if err != nil {
		return fmt.Errorf("reload the edge: %w", err)
	}
	return nil
}

func (e *Edge) reload(ctx context.Context, cfg, served Config, old Tree, p *process) (outcome string, err error) {
	h, t, err := renderFor(ctx, cfg)
	switch {
	case err != nil:
		return "refused", err
	case t.RunDir != old.RunDir:
		return "refused", fmt.Errorf("edge.run_dir cannot change from %s while nginx runs", old.RunDir)
	}
	if err := t.write(); err != nil {
		return "refused", err
	}
	if err := h.nginx.test(ctx, t); err != nil {
		return "refused", err
	}
	if err := checkListen(ctx, cfg, addresses(served)); err != nil {
		return "refused", err
	}
	if err := e.swap(ctx, t, p); err != nil {
		// A context of its own: the old configuration has to come back even
		// if the caller has given up.
		back, cancel := context.WithTimeout(context.WithoutCancel(ctx), serveTimeout)
		defer cancel()
		if backErr := e.swap(back, old, p); backErr != nil {
			err = errors.Join(err, fmt.Errorf("go back to version %s: %w", old.Version, backErr))
		}
		return "rolled_back", err
	}
	e.mu.Lock()
	e.cfg, e.tree = cfg, t
	e.mu.Unlock()
	e.log.Info("nginx serves", "nginx", h.nginx.String(), "version", t.Version, "before", old.Version, "sites", len(cfg.Sites))
	return "ok", nil
}

// swap makes a written tree the current one and waits until nginx serves it.
func (e *Edge) swap(ctx context.Context, t Tree, p *process) error {
	if err := t.use(); err != nil {
		return err
	}
	if err := p.signal(syscall.SIGHUP); err != nil {
		return err
	}
	return newProber(t.RunDir).await(ctx, p, t, settleTime)
}
