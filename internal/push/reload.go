package push

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

// plan is a configuration that has been opened and not been switched to.
type plan struct {
	cfg      Config
	apps     []*app
	lanes    []*lane
	replaced []replacement
	retuned  map[*lane]int64 // messages that may be under way
}

// replacement is a sender for a lane that there is.
type replacement struct {
	lane   *lane
	sender Sender
	digest digest
}

// changes is what Run has to do after a reload.
type changes struct {
	added, removed []*lane
}

// Reload goes over to another configuration while everything runs. Apps and
// providers that are new begin to be delivered to. The backlog of those that are
// gone stays on disk, for when they come back. Where credentials or settings of a
// provider have changed, also inside a file, what is under way ends with the old
// ones; all else uses the new ones at once, even if sending was held up. Tokens
// and limits count from now on. The addresses to listen on, the store, workers and
// stop_timeout stay as they are until the next start.
//
// Everything is checked and opened first: an error, which lists every fault,
// leaves all as it was.
func (g *Gateway) Reload(cfg Config) error {
	var faults []error
	cfg.Validate(func(key, problem string) { faults = append(faults, fmt.Errorf("push.%s: %s", key, problem)) })
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	g.reloading.Lock()
	defer g.reloading.Unlock()
	select {
	case <-g.ended:
		return errNotRunning
	default:
	}
	old := g.current()
	cfg = cfg.withDefaults()
	var stays []string
	for _, k := range []struct {
		key      string
		from, to any
	}{
		{"listen", old.cfg.Listen, cfg.Listen},
		{"store", old.cfg.Store, cfg.Store},
		{"workers", old.cfg.Workers, cfg.Workers},
		{"stop_timeout", old.cfg.StopTimeout, cfg.StopTimeout},
	} {
		if k.from != k.to {
			stays = append(stays, "push."+k.key)
		}
	}
	cfg.Listen, cfg.Store, cfg.Workers, cfg.StopTimeout = old.cfg.Listen, old.cfg.Store, old.cfg.Workers, old.cfg.StopTimeout
	p, err := g.plan(cfg)
	if err != nil {
		return err
	}
	c := g.apply(p)
	if len(stays) > 0 {
		g.logger.Warn("some settings count from the next start on", "keys", strings.Join(stays, " "))
	}
	g.logger.Info("push configuration reloaded", "apps", len(p.apps), "lanes", len(p.lanes),
		"lanes_added", len(c.added), "lanes_removed", len(c.removed), "senders_replaced", len(p.replaced))
	if !g.running {
		for _, l := range c.removed {
			l.sender.Close()
		}
		return nil
	}
	select {
	case g.changes <- c:
	case <-g.ended:
	}
	return nil
}

// plan opens what the configuration asks for and is not there. It changes
// nothing; what it has opened is closed if there is an error.
func (g *Gateway) plan(cfg Config) (_ *plan, err error) {
	p := &plan{cfg: cfg, retuned: make(map[*lane]int64)}
	var opened []Sender
	defer func() {
		if err != nil {
			for _, s := range opened {
				err = errors.Join(err, s.Close())
			}
		}
	}()
	have := make(map[string]*lane)
	for _, l := range g.current().lanes {
		have[l.kind] = l
	}
	for _, ac := range cfg.Apps {
		a := &app{name: ac.Name, lanes: make(map[Platform]*lane), webhook: ac.Webhook.withDefaults()}
		if a.webhook.Enabled() {
			if a.webhook.Secret, err = ac.Webhook.secret(); err != nil {
				return nil, fmt.Errorf("open webhook of app %s: %w", ac.Name, err)
			}
		}
		p.apps = append(p.apps, a)
		for _, platform := range []Platform{APNS, FCM, WebPush} {
			provider := g.providers[platform]
			if provider == nil {
				continue
			}
			kind := kindPrefix + ac.Name + "." + string(platform)
			l := have[kind]
			// Before the sender reads the files: if they change in between, the
			// next reload sees it.
			now := digestOf(ac, platform)
			if l == nil || l.digest != now {
				sender, err := provider.Open(ac, g.logger)
				if err != nil {
					return nil, fmt.Errorf("open app %s at %s: %w", ac.Name, platform, err)
				}
				if sender == nil {
					continue
				}
				opened = append(opened, sender)
				if l == nil {
					l = g.newLane(cfg, ac.Name, platform, kind, sender, now)
				} else {
					p.replaced = append(p.replaced, replacement{l, sender, now})
				}
			}
			p.retuned[l] = ac.maxInFlight(platform)
			a.lanes[platform] = l
			p.lanes = append(p.lanes, l)
		}
	}
	return p, nil
}

func (g *Gateway) newLane(cfg Config, app string, platform Platform, kind string, s Sender, d digest) *lane {
	l := &lane{
		app: app, platform: platform, kind: kind, digest: d,
		sender:  newSlot(s, g.logger),
		breaker: newBreaker(cfg.pauses()),
		trust:   newTrust(),
		dead:    g.dead.lane(app, platform),
		metrics: g.metrics.lane(app, platform),
		gone:    make(chan struct{}),
	}
	l.bound.Store(int64(g.bounds[app]))
	l.pump = g.newPump(l)
	return l
}

// pauses returns the shortest and the longest pause of a lane that is held up.
func (c Config) pauses() (minimum, maximum time.Duration) {
	return c.RetryMin, max(min(c.RetryMax, maxPause), c.RetryMin)
}

// apply switches to a plan. g.reloading is held, or nobody else has g yet.
func (g *Gateway) apply(p *plan) changes {
	old := g.current()
	var c changes
	for _, l := range p.lanes {
		if !slices.Contains(old.lanes, l) {
			c.added = append(c.added, l)
		}
		l.configured.Store(p.retuned[l])
		l.breaker.tune(p.cfg.pauses())
	}
	for _, l := range old.lanes {
		if !slices.Contains(p.lanes, l) {
			c.removed = append(c.removed, l)
		}
	}
	for _, r := range p.replaced {
		r.lane.digest = r.digest
		r.lane.sender.replace(r.sender)
		r.lane.trust.reset()
		r.lane.dead.forget()
		r.lane.breaker.reset() // last: what goes on from here is new
		r.lane.metrics.state(none)
	}
	g.settings.Store(&settings{cfg: p.cfg, guard: newGuard(p.cfg), apps: p.apps, lanes: p.lanes})
	g.backlog.setLimit(p.cfg.MaxBacklog)
	g.reserve.bytes.Store(p.cfg.DiskReserveBytes)
	g.dead.setKeep(p.cfg.DeadTokenCache)
	for _, l := range p.lanes {
		l.pump.retune()
	}
	return c
}

// SetMaxInFlight bounds how many messages each provider of an app (the first one
// if it is empty) is given at once, below what the sender bounds by itself, until
// it is called again or the gateway ends. 0 is back to the configuration.
func (g *Gateway) SetMaxInFlight(app string, n int) {
	a := g.app(app)
	if a == nil {
		return
	}
	g.reloading.Lock()
	defer g.reloading.Unlock()
	g.bounds[a.name] = max(n, 0)
	for _, l := range g.current().lanes {
		if l.app == a.name {
			l.bound.Store(int64(max(n, 0)))
			l.pump.retune()
		}
	}
}

// runLanes runs the lanes until ctx ends or one of them cannot work.
func (g *Gateway) runLanes(ctx context.Context) error {
	work, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	stops := make(map[*lane]func())
	start := func(l *lane) {
		lane, stopLane := context.WithCancel(work)
		stops[l] = stopLane
		wg.Go(func() {
			defer stopLane()
			if err := g.runLane(lane, l); err != nil {
				mu.Lock()
				errs = append(errs, fmt.Errorf("deliver for app %s at %s: %w", l.app, l.platform, err))
				mu.Unlock()
				stop() // one lane that cannot work is not left out silently
			}
		})
	}
	hooks := newHooks(g)
	g.reloading.Lock()
	g.running = true
	for _, l := range g.current().lanes {
		start(l)
	}
	hooks.update(work, g.current().apps)
	g.reloading.Unlock()
	for work.Err() == nil {
		select {
		case c := <-g.changes:
			for _, l := range c.added {
				start(l)
			}
			for _, l := range c.removed {
				stopLane := stops[l]
				delete(stops, l)
				wg.Go(func() { g.retireLane(work, l, stopLane) })
			}
			hooks.update(work, g.current().apps)
		case <-work.Done():
		}
	}
	g.stopChanges()
	hooks.wait()
	wg.Wait()
	return errors.Join(errs...)
}

// stopChanges says that changes are of no use any more.
func (g *Gateway) stopChanges() { g.endOnce.Do(func() { close(g.ended) }) }

// runLane delivers a lane's jobs until ctx ends.
func (g *Gateway) runLane(ctx context.Context, l *lane) error {
	defer close(l.gone)
	cfg := g.config()
	return l.pump.run(ctx, cfg.StopTimeout)
}

// retireWait bounds how long a lane that is removed waits for its provider's
// answers. It is more than a sender waits for one.
const retireWait = 30 * time.Second

// retireLane ends a lane: what its provider has is waited for, the rest goes back
// to the queue.
func (g *Gateway) retireLane(ctx context.Context, l *lane, stop func()) {
	l.breaker.park()
	l.sender.Close()
	t := time.NewTimer(retireWait)
	defer t.Stop()
	select {
	case <-l.sender.whenClosed():
	case <-t.C:
	case <-ctx.Done():
	}
	l.breaker.halt()
	stop()
	<-l.gone
	g.reloading.Lock()
	defer g.reloading.Unlock()
	if !g.ownsKind(l.kind) { // the app may be back already
		l.metrics.remove()
	}
}

// digest tells one set of credentials and settings from another.
type digest [sha256.Size]byte

// digestOf looks into the files that the settings of an app at a provider name:
// whatever ends in "file".
func digestOf(ac AppConfig, platform Platform) digest {
	var of any
	switch platform {
	case APNS:
		of = ac.APNS
	case FCM:
		of = ac.FCM
	case WebPush:
		of = ac.WebPush
	}
	h := sha256.New()
	fmt.Fprintf(h, "%#v", of)
	v := reflect.ValueOf(of)
	for i := range v.NumField() {
		path := v.Field(i)
		if !strings.HasSuffix(v.Type().Field(i).Tag.Get("toml"), "file") || path.Kind() != reflect.String || path.String() == "" {
			continue
		}
		// A file that cannot be read is for the sender to complain of.
		if f, err := os.Open(path.String()); err == nil {
			_, _ = io.Copy(h, io.LimitReader(f, 1<<20))
			_ = f.Close()
		}
		_, _ = h.Write([]byte{0})
	}
	return digest(h.Sum(nil))
}
