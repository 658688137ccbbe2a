package push

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// lane is one app at one provider. Every lane has its own jobs, workers, breaker
// and sender, so that none waits for another. It outlives a reload of the
// configuration that keeps its app and provider.
type lane struct {
	app      string
	platform Platform
	kind     string // of its jobs
	sender   *slot
	breaker  *breaker
	trust    *trust
	pump     *pump
	dead     *deadLane
	metrics  *laneMetrics
	digest   digest        // of what the sender was opened with; guarded by Gateway.reloading
	gone     chan struct{} // closed when its worker has ended

	configured atomic.Int64 // messages that may be under way at the provider
	bound      atomic.Int64 // instead of configured, if above 0
	inFlight   atomic.Int64 // messages that the sender has
	sent       atomic.Int64
	failed     atomic.Int64 // ended without being sent
}

// maxInFlight is how many messages may be under way: as was asked for, or as the
// configuration has it.
func (l *lane) maxInFlight() int64 {
	if n := l.bound.Load(); n > 0 {
		return n
	}
	return l.configured.Load()
}

// slot holds the sender of a lane, which a reload may replace. Batches under way
// end with the sender that they began with, which is closed after the last.
type slot struct {
	logger *slog.Logger

	mu  sync.Mutex // guards what follows
	cur *tenant
}

// tenant is a sender in a slot, or one that has left it and still has batches.
type tenant struct {
	Sender
	users   int
	retired bool
	closed  bool
	idle    chan struct{} // closed when it is
}

func newSlot(s Sender, logger *slog.Logger) *slot {
	return &slot{logger: logger, cur: newTenant(s)}
}

func newTenant(s Sender) *tenant { return &tenant{Sender: s, idle: make(chan struct{})} }

// Render renders with the present sender. The slot may be closed.
func (s *slot) Render(n *Notification, at time.Time) (Rendered, []FieldError) {
	s.mu.Lock()
	t := s.cur
	s.mu.Unlock()
	return t.Render(n, at)
}

// Send sends with the present sender.
func (s *slot) Send(ctx context.Context, batch []Message, done func(i int, r Result)) {
	s.mu.Lock()
	t := s.cur
	closed := t.closed
	if !closed {
		t.users++
	}
	s.mu.Unlock()
	if closed { // the lane is about to end
		for i := range batch {
			done(i, Result{Outcome: Retry})
		}
		return
	}
	defer s.leave(t)
	t.Send(ctx, batch, done)
}

func (s *slot) leave(t *tenant) {
	s.mu.Lock()
	t.users--
	s.closeIdle(t)
}

// replace puts another sender into the slot.
func (s *slot) replace(next Sender) {
	s.mu.Lock()
	old := s.cur
	s.cur = newTenant(next)
	s.mu.Unlock()
	s.retire(old)
}

// retire has a sender closed as soon as nobody uses it.
func (s *slot) retire(t *tenant) {
	s.mu.Lock()
	t.retired = true
	s.closeIdle(t)
}

// closeIdle closes a retired sender that nobody uses. It is called with s.mu
// held, and returns without.
func (s *slot) closeIdle(t *tenant) {
	now := t.retired && t.users == 0 && !t.closed
	t.closed = t.closed || now
	s.mu.Unlock()
	if !now {
		return
	}
	if err := t.Close(); err != nil {
		s.logger.Warn("a sender does not close", "err", err) // its connections are of no use any more
	}
	close(t.idle)
}

// Close closes the present sender once its last batch has ended. It returns at
// once.
func (s *slot) Close() {
	s.mu.Lock()
	t := s.cur
	s.mu.Unlock()
	s.retire(t)
}

// whenClosed returns a channel that is closed after Close when the sender is.
func (s *slot) whenClosed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cur.idle
}

// errHalted ends a delivery early.
var errHalted = errors.New("delivery is halted")
