package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Phases of a daemon, as told by Report.
const (
	PhaseStarting = "starting"
	PhaseReady    = "ready"
	PhaseStopping = "stopping"
)

// States of a check, as told by CheckReport.
const (
	CheckOK       = "ok"
	CheckFailing  = "failing"
	CheckDegraded = "degraded" // of Watch: told, and ready all the same
)

const (
	checkTimeout = 2 * time.Second
	// checkTTL keeps a load balancer that asks often from loading what the
	// checks ask.
	checkTTL = time.Second
)

// Health knows whether a daemon is ready: it has started, it is not stopping,
// and all checks pass.
type Health struct {
	mu     sync.Mutex
	phase  string
	checks []*check

	asking  sync.Mutex // one round of checks at a time
	askedAt time.Time
	last    []CheckReport
}

type check struct {
	name    string
	f       func(ctx context.Context) error
	watched bool       // an error does not make the daemon unready
	pending chan error // of a call that has outlived its timeout
}

// Report is the answer of /-/ready.
type Report struct {
	Ready  bool          `json:"ready"`
	Phase  string        `json:"phase"`
	Checks []CheckReport `json:"checks"`
}

// CheckReport is the state of one named check.
type CheckReport struct {
	Name       string  `json:"name"`
	State      string  `json:"state"` // CheckOK, CheckDegraded or CheckFailing
	Error      string  `json:"error,omitempty"`
	DurationMS float64 `json:"duration_ms"`
}

// NewHealth returns a Health in PhaseStarting without checks. A Daemon has one
// of its own.
func NewHealth() *Health { return &Health{phase: PhaseStarting} }

// Add adds a check that must return nil for the daemon to be ready. Its text
// is shown to operators. It gets two seconds, and its result holds for one.
func (h *Health) Add(name string, f func(ctx context.Context) error) { h.add(&check{name: name, f: f}) }

// Watch adds a check whose error is told and does not make the daemon unready:
// something is amiss that another process would not do better.
func (h *Health) Watch(name string, f func(ctx context.Context) error) {
	h.add(&check{name: name, f: f, watched: true})
}

func (h *Health) add(c *check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, c)
	h.askedAt = time.Time{}
}

func (h *Health) setPhase(phase string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.phase = phase
}

// Report runs the checks, unless that has been done within the last second,
// and returns what they said, in the order in which they were added.
func (h *Health) Report(ctx context.Context) Report {
	h.asking.Lock()
	defer h.asking.Unlock()
	h.mu.Lock()
	checks, fresh := h.checks, !h.askedAt.IsZero() && time.Since(h.askedAt) < checkTTL
	if !fresh {
		h.askedAt = time.Now()
	}
	h.mu.Unlock()
	if !fresh {
		// The result is shared, so it must not hang on one asker's connection.
		h.last = runChecks(context.WithoutCancel(ctx), checks)
	}

	h.mu.Lock()
	defer h.mu.Unlock()
	r := Report{Ready: h.phase == PhaseReady, Phase: h.phase, Checks: append([]CheckReport{}, h.last...)}
	for _, c := range r.Checks {
		r.Ready = r.Ready && c.State != CheckFailing
	}
	return r
}

func runChecks(ctx context.Context, checks []*check) []CheckReport {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	reports := make([]CheckReport, len(checks))
	var wg sync.WaitGroup
	for i, c := range checks {
		wg.Go(func() {
			began := time.Now()
			err := c.run(ctx)
			r := CheckReport{Name: c.name, State: CheckOK, DurationMS: ms(time.Since(began))}
			if err != nil {
				r.State, r.Error = CheckFailing, err.Error()
				if c.watched {
					r.State = CheckDegraded
				}
			}
			reports[i] = r
		})
	}
	wg.Wait()
	return reports
}

// run calls the check and gives up on it when ctx ends. A check that ignores
// its context is not called again before it has returned.
func (c *check) run(ctx context.Context) error {
	if c.pending == nil {
		pending := make(chan error, 1)
		c.pending = pending
		go func() { pending <- c.f(ctx) }()
	}
	select {
	case err := <-c.pending:
		c.pending = nil
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("no answer within %v", checkTimeout)
		}
		return err
	case <-ctx.Done():
		return fmt.Errorf("no answer within %v", checkTimeout)
	}
}
