package warm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options are what New needs; the zero value is usable.
type Options struct {
	// Logger gets a line for every interval of every target; nil discards.
	Logger *slog.Logger
	// Registerer gets the metrics; nil leaves them unregistered.
	Registerer prometheus.Registerer
	// Now is the clock that ages and turns are reckoned by; nil means
	// time.Now.
	Now func() time.Time
}

// Warmer is the daemon: it refreshes every combination of every target once
// per interval, evenly spread, with at most the target's workers at once.
type Warmer struct {
	targets []*target
	err     error
}

// New makes a Warmer from a configuration that Validate has nothing against;
// what it has something against comes back from Run.
func New(cfg Config, o Options) *Warmer {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	w := &Warmer{}
	for _, tc := range cfg.Targets {
		t, err := newTarget(tc.withDefaults(), o)
		if err != nil {
			w.err = errors.Join(w.err, fmt.Errorf("warm target %q: %w", tc.Name, err))
			continue
		}
		w.targets = append(w.targets, t)
	}
	m := newMetrics(o.Registerer, w.targets, o.Now)
	for _, t := range w.targets {
		t.metrics = m.of(t.cfg.Name)
	}
	return w
}

// Run refreshes until ctx ends. It returns when every request under way has
// been cut off and every connection is closed. It must be called once.
func (w *Warmer) Run(ctx context.Context) error {
	if w.err != nil {
		return w.err
	}
	var wg sync.WaitGroup
	for _, t := range w.targets {
		wg.Go(func() { t.run(ctx) })
	}
	wg.Wait()
	<-ctx.Done() // without targets there is nothing to do, which is no fault
	return nil
}

// target is one target at work.
type target struct {
	cfg     TargetConfig
	plan    *Plan
	dialer  *dialer
	log     *slog.Logger
	now     func() time.Time
	metrics *targetMetrics
	// usual is how long a refresh takes, smoothed; the dispatcher's.
	usual time.Duration

	mu    sync.Mutex
	began time.Time
	last  []int64 // nanoseconds after began at the end of the last good refresh; 0: none yet
	pace  pace
}

func newTarget(cfg TargetConfig, o Options) (*target, error) {
	plan, err := cfg.Plan()
	if err != nil {
		return nil, err
	}
	if err := checkSize(plan); err != nil {
		return nil, err
	}
	h, err := cfg.header()
	if err != nil {
		return nil, err
	}
	roots, err := loadRoots(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	d, err := newDialer(h, roots, cfg.Timeout)
	if err != nil {
		return nil, err
	}
	return &target{cfg: cfg, plan: plan, dialer: d, log: o.Logger.With("target", cfg.Name), now: o.Now, pace: newPace()}, nil
}

// result is how the refresh of one combination ended.
type result struct {
	key        int64
	verdict    verdict
	problem    string // of a failure
	retryAfter time.Duration
	pages      int
	took       time.Duration
	// skipped: it was not begun, because the one before it found the origin
	// in trouble.
	skipped bool
}

// batch is what a worker does in one go, one combination after the other. It
// goes from the dispatcher to a worker and back.
type batch struct {
	keys    []int64
	results []result
}

const (
	// maxSlack is how much before its time a turn may be taken together with
	// the one before it. Waking up costs a process that sleeps most of the time
	// more than a request does.
	maxSlack = 250 * time.Millisecond
	maxBatch = 16
)

// slack is how much before its time a turn may be taken.
func (t *target) slack() time.Duration { return min(t.cfg.Interval/40, maxSlack) }

// run hands turns to workers until ctx ends.
func (t *target) run(ctx context.Context) {
	start := t.now()
	t.mu.Lock()
	t.began = start
	t.last = make([]int64, t.plan.Count())
	t.mu.Unlock()

	todo := make(chan *batch, t.cfg.Workers)
	done := make(chan *batch, t.cfg.Workers)
	var wg sync.WaitGroup
	for range t.cfg.Workers {
		wg.Go(func() { t.work(ctx, todo, done) })
	}
	t.dispatch(ctx, newRoundRobin(t.plan.Count(), t.cfg.Interval, start), todo, done)
	close(todo)
	wg.Wait()
}

// dispatch owns the schedule. Neither channel can block its sender: there are
// as many batches as workers.
func (t *target) dispatch(ctx context.Context, s schedule, todo chan<- *batch, done <-chan *batch) {
	free := make([]*batch, t.cfg.Workers)
	for i := range free {
		free[i] = &batch{}
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	c := cycle{began: t.now()}
	for {
		select {
		case <-ctx.Done():
			return
		case b := <-done:
			for _, r := range b.results {
				t.finished(s, r, &c)
			}
			free = append(free, b)
		case <-timer.C:
		}
		now := t.now()
		if now.Sub(c.began) >= t.cfg.Interval {
			t.report(&c, now)
		}
		due, horizon := t.due(s), now
		if !t.slowed() {
			horizon = now.Add(t.slack())
		}
		for len(free) > 0 && !due.After(horizon) {
			b := free[len(free)-1]
			if due = t.fill(b, s, now, horizon, &c); len(b.keys) > 0 {
				free = free[:len(free)-1]
				todo <- b
			}
		}
		if len(free) > 0 {
			timer.Reset(due.Sub(now))
		} else {
			timer.Stop() // the next batch that is done comes first
		}
	}
}

// fill takes turns up to horizon into a batch and returns when the next one is
// due. A batch is no longer than what one worker does within the slack.
func (t *target) fill(b *batch, s schedule, now, horizon time.Time, c *cycle) (due time.Time) {
	b.keys = b.keys[:0]
	size := 1
	if t.usual > 0 {
		size = int(max(min(t.slack()/t.usual, maxBatch), 1))
	}
	for due = t.due(s); len(b.keys) < size && !due.After(horizon); due = t.due(s) {
		if key, ok := s.take(now); ok {
			b.keys = append(b.keys, key)
		} else {
			c.passed++
		}
	}
	return due
}

func (t *target) slowed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pace.factor > 1
}

// due is when the schedule's next turn may be taken.
func (t *target) due(s schedule) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if due := s.due(); due.After(t.pace.hold) {
		return due
	}
	return t.pace.hold
}

// finished books the end of a refresh.
func (t *target) finished(s schedule, r result, c *cycle) {
	now := t.now()
	if r.skipped {
		s.done(r.key, now, r.verdict)
		return
	}
	if t.usual == 0 {
		t.usual = r.took
	}
	t.usual = max(t.usual+(r.took-t.usual)/8, 1)
	t.mu.Lock()
	if r.verdict == verdictOK {
		t.last[r.key] = max(int64(now.Sub(t.began)), 1)
	}
	changed := t.pace.observe(r.verdict, now, r.retryAfter)
	factor := t.pace.factor
	t.mu.Unlock()
	s.slow(factor)
	s.done(r.key, now, r.verdict)
	c.add(t.plan, r)
	switch {
	case changed && factor > 1:
		t.log.Warn("origin in trouble, refreshing slows down", "url", t.plan.URL(r.key), "error", r.problem)
	case changed:
		t.log.Info("origin answers again")
	}
}

// cycle is what is logged once an interval.
type cycle struct {
	began              time.Time
	ok, failed, passed int64
	pages              int64
	url, problem       string // of the first failure
}

func (c *cycle) add(p *Plan, r result) {
	c.pages += int64(r.pages)
	if r.verdict == verdictOK {
		c.ok++
		return
	}
	if c.failed++; c.failed == 1 {
		c.url, c.problem = p.URL(r.key), r.problem
	}
}

func (t *target) report(c *cycle, now time.Time) {
	f, _ := t.freshness(now)
	attrs := []slog.Attr{
		slog.Int64("combinations", t.plan.Count()), slog.Int64("refreshed", c.ok), slog.Int64("failed", c.failed),
		slog.Int64("backed_off", c.passed), slog.Int64("pages", c.pages),
		slog.Float64("coverage", round(f.coverage, 1e4)), slog.Float64("lag_ms", ms(f.lag)),
		slog.Float64("duration_ms", ms(now.Sub(c.began))),
	}
	level := slog.LevelInfo
	if c.failed > 0 {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("url", c.url), slog.String("error", c.problem))
	}
	t.log.LogAttrs(context.Background(), level, "warm cycle", attrs...)
	*c = cycle{began: now}
}

// freshState is how fresh a target's combinations are.
type freshState struct {
	lag      time.Duration
	coverage float64
	slowdown float64
}

// freshness looks at every combination; ok is false before Run.
func (t *target) freshness(now time.Time) (s freshState, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last == nil {
		return freshState{}, false
	}
	age := int64(now.Sub(t.began))
	oldest, covered := age, 0
	for _, at := range t.last {
		oldest = min(oldest, at)
		if at > 0 && age-at <= int64(t.cfg.Interval)*3/2 {
			covered++
		}
	}
	return freshState{
		lag:      max(time.Duration(age-oldest)-t.cfg.Interval, 0),
		coverage: float64(covered) / float64(len(t.last)),
		slowdown: t.pace.factor,
	}, true
}
