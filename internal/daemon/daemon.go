package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// DefaultStopTimeout is the time that all steps together have to stop.
const DefaultStopTimeout = 30 * time.Second

// lateGrace is what a step still gets when its turn to stop comes after the
// deadline: enough to close a file, too little to matter.
const lateGrace = 250 * time.Millisecond

// ErrKilled is in the error of Run when Options.Kill cut the stop short.
var ErrKilled = errors.New("killed before everything had stopped")

// Options are what New needs; the zero value is usable.
type Options struct {
	// Logger gets a line for each step that starts and stops; nil discards.
	Logger *slog.Logger
	// StopTimeout bounds the whole stop, DrainDelay included; 0 means
	// DefaultStopTimeout.
	StopTimeout time.Duration
	// DrainDelay is how long the daemon stays up, not ready, before the first
	// step stops. It is skipped when a step's error is the reason to stop.
	DrainDelay time.Duration
	// Kill makes Run return at once, with whatever still runs left behind: the
	// caller closes it on a second signal and then exits. May be nil.
	Kill <-chan struct{}
	// OnReady is called once, when all parts have started. May be nil.
	OnReady func()
}

// Step is one named part of a daemon. All functions are optional. The order is
// Start, then Run in a goroutine of its own, then Ready; at the end Stop, then
// the end of Run's context, then the end of Run is awaited.
type Step struct {
	// Name appears in logs and errors: "jobs", "api server".
	Name string
	// Start opens what the part needs and returns when it is open. If it
	// returns an error, nothing else of the step is called.
	Start func(ctx context.Context) error
	// Run does the part's work until ctx ends. An error before that stops the
	// whole daemon. Returning nil early means that the work is done. Returning
	// the context's error after ctx has ended counts as nil.
	Run func(ctx context.Context) error
	// Ready blocks until what follows may rely on the part. Without it, the
	// part counts as ready as soon as Run has been started.
	Ready func(ctx context.Context) error
	// Stop asks the part to finish what it has begun, and closes what Start
	// opened. It ends when that is done, or when ctx, the deadline of the whole
	// stop, ends. Run's context ends only after Stop has returned.
	Stop func(ctx context.Context) error
}

// Daemon starts parts in order and stops them in reverse order.
type Daemon struct {
	o      Options
	log    *slog.Logger
	health *Health

	mu      sync.Mutex
	parts   []*part       // running, in order of start
	errs    []error       // of steps that ended early
	failed  chan struct{} // closed with the first of errs
	stopped bool          // every part has been taken down: no more may start
}

// part is a step that has been started. The flags are guarded by Daemon.mu.
type part struct {
	Step
	cancel   context.CancelFunc
	done     chan struct{} // closed when Run has returned; nil without Run
	ended    bool          // Run has returned err
	err      error
	claimed  bool // Start or the stop waits for the part and tells its end
	reported bool // err is in Daemon.errs or was returned by Start
}

// New makes a daemon that has no parts yet.
func New(o Options) *Daemon {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.StopTimeout <= 0 {
		o.StopTimeout = DefaultStopTimeout
	}
	return &Daemon{o: o, log: o.Logger, health: NewHealth(), failed: make(chan struct{})}
}

// Health is the readiness of this daemon; parts add their checks to it.
func (d *Daemon) Health() *Health { return d.health }

// Run calls start, which starts the parts with Start and OnStop, and then
// blocks until ctx ends (a clean stop), a part ends with an error, or start
// returns an error. Then everything is stopped in reverse order. Run returns
// nil after a clean stop; otherwise all errors, in one line, each with the
// name of its step. The context that start gets ends when the daemon has to
// stop before it is up. Run is called once.
func (d *Daemon) Run(ctx context.Context, start func(ctx context.Context) error) error {
	startCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	started := make(chan error, 1)
	go func() { started <- start(startCtx) }()

	var startErr error
	starting, ready := true, false
	select {
	case startErr = <-started:
		starting = false
		if startErr == nil && ctx.Err() == nil && !d.hasFailed() {
			ready = true
			d.health.setPhase(PhaseReady)
			d.log.Info("ready", "duration_ms", ms(time.Since(began)))
			if d.o.OnReady != nil {
				d.o.OnReady()
			}
			select {
			case <-ctx.Done():
			case <-d.failed:
			case <-d.o.Kill:
			}
		}
	case <-ctx.Done():
	case <-d.failed:
	case <-d.o.Kill:
	}
	d.health.setPhase(PhaseStopping)
	cancel()

	deadline := time.Now().Add(d.o.StopTimeout)
	stopCtx, cancelStop := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancelStop()
	broken := d.hasFailed() || (startErr != nil && ctx.Err() == nil)
	d.log.Info("stopping", "cause", stopCause(ctx, broken), "timeout_ms", ms(d.o.StopTimeout))
	if ready && !broken {
		d.drain()
	}
	if starting {
		select {
		case startErr = <-started:
		case <-stopCtx.Done():
			startErr = fmt.Errorf("start: still running after %v", d.o.StopTimeout)
		case <-d.o.Kill:
		}
	}
	stopErrs := d.stopAll(stopCtx, deadline)
	return d.result(ctx, startErr, stopErrs)
}

func stopCause(ctx context.Context, broken bool) string {
	switch {
	case broken:
		return "error"
	case ctx.Err() != nil:
		return context.Cause(ctx).Error()
	}
	return "killed"
}

// result puts together what Run returns. An error of start that only says that
// its context has ended is the echo of the reason to stop, not a reason.
func (d *Daemon) result(ctx context.Context, startErr error, stopErrs []error) error {
	d.mu.Lock()
	errs := append([]error(nil), d.errs...)
	d.mu.Unlock()
	echo := ctx.Err() != nil && errors.Is(startErr, ctx.Err()) ||
		len(errs) > 0 && errors.Is(startErr, context.Canceled)
	if startErr != nil && !echo {
		errs = append([]error{startErr}, errs...)
	}
	errs = append(errs, stopErrs...)
	if len(errs) == 0 {
		d.log.Info("stopped")
		return nil
	}
	return join(errs...)
}

// Start starts a step and returns when the parts after it may rely on it. The
// step is stopped by Run, in its turn. Call it inside the function given to
// Run, with the context that it got.
func (d *Daemon) Start(ctx context.Context, s Step) error {
	began := time.Now()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("start %s: %w", s.Name, err)
	}
	if s.Start != nil {
		if err := s.Start(ctx); err != nil {
			return fmt.Errorf("start %s: %w", s.Name, err)
		}
	}
	p := &part{Step: s, cancel: func() {}, claimed: true}
	var runCtx context.Context
	if s.Run != nil {
		// The parts of a daemon end in order, so their contexts must not end
		// all at once with ctx.
		runCtx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
		p.done = make(chan struct{})
	}
	d.mu.Lock()
	if d.stopped {
		d.mu.Unlock()
		p.cancel()
		return fmt.Errorf("start %s: the daemon has stopped", s.Name)
	}
	d.parts = append(d.parts, p)
	d.mu.Unlock()
	if s.Run != nil {
		go d.runPart(runCtx, p)
	}
	if err := d.awaitReady(ctx, p); err != nil {
		return fmt.Errorf("start %s: %w", s.Name, err)
	}
	d.log.Info("step started", "step", s.Name, "duration_ms", ms(time.Since(began)))
	return nil
}

// OnStop registers f to be called in its turn of the stop: for what was opened
// without a Step. Its context ends at the deadline.
func (d *Daemon) OnStop(name string, f func(ctx context.Context) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.parts = append(d.parts, &part{Step: Step{Name: name, Stop: f}, cancel: func() {}})
}

func (d *Daemon) runPart(ctx context.Context, p *part) {
	err := p.Run(ctx)
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil
	}
	d.mu.Lock()
	p.ended, p.err = true, err
	if !p.claimed {
		d.reportLocked(p)
	}
	d.mu.Unlock()
	close(p.done)
}

// reportLocked tells that p ended although nobody had asked it to.
func (d *Daemon) reportLocked(p *part) {
	p.reported = true
	if p.err == nil {
		d.log.Info("step ended by itself", "step", p.Name)
		return
	}
	d.errs = append(d.errs, fmt.Errorf("%s: %w", p.Name, p.err))
	if len(d.errs) == 1 {
		close(d.failed)
	}
}

// awaitReady waits for p's Ready, or for the early end of p, and lets go of
// the claim on p: from then on its early end stops the daemon.
func (d *Daemon) awaitReady(ctx context.Context, p *part) error {
	err := d.callReady(ctx, p)
	d.mu.Lock()
	defer d.mu.Unlock()
	p.claimed = false
	switch {
	case p.ended && p.err != nil:
		p.reported = true
		return p.err
	case p.ended && err != nil:
		return errors.New("ended before it was ready")
	case p.ended:
		d.reportLocked(p)
	}
	return err
}

func (d *Daemon) callReady(ctx context.Context, p *part) error {
	if p.Ready == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-p.done: // never, if the step has no Run
			cancel()
		case <-ctx.Done():
		}
	}()
	err := p.Ready(ctx)
	cancel()
	<-watched
	return err
}

func (d *Daemon) hasFailed() bool { return isDone(d.failed) }

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// drain keeps everything running, not ready, for the drain delay.
func (d *Daemon) drain() {
	if d.o.DrainDelay <= 0 {
		return
	}
	d.log.Info("draining", "delay_ms", ms(d.o.DrainDelay))
	t := time.NewTimer(min(d.o.DrainDelay, d.o.StopTimeout))
	defer t.Stop()
	select {
	case <-t.C:
	case <-d.failed:
	case <-d.o.Kill:
	}
}

// joined is what join returns: errors.Join in one line.
type joined []error

func join(errs ...error) error {
	var j joined
	for _, err := range errs {
		if err != nil {
			j = append(j, err)
		}
	}
	switch len(j) {
	case 0:
		return nil
	case 1:
		return j[0]
	}
	return j
}

func (j joined) Error() string {
	s := make([]string, len(j))
	for i, err := range j {
		s[i] = err.Error()
	}
	return strings.Join(s, "; ")
}

func (j joined) Unwrap() []error { return j }

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
