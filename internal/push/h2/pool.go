package h2

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// Pool is a set of connections to one origin and the queue of requests that
// they share. Close it.
type Pool struct {
	cfg    Config
	target target
	count  counters
	wg     sync.WaitGroup // the keeper, its dials, the connections
	kick   chan struct{}  // wakes the keeper
	empty  chan struct{}  // closed when a closing pool has no batch left
	ended  chan struct{}  // closed when Close has done its work

	// waiting is queue.n for those who only want to know whether to wake a
	// writer.
	waiting atomic.Int64

	// mu is taken after a conn.mu, never before one.
	mu       sync.Mutex
	cancel   context.CancelFunc // ends the keeper and its dials; nil until there was something to send
	queue    queue
	waiters  []*waiter // of Start, in their order
	active   int       // batches between Start and their end
	conns    []*conn   // that are not closed; draining ones too
	dialing  int
	failures int       // in a row: of dials, and of connections that were no good
	notUntil time.Time // of the next dial
	lastErr  error     // of the last failure
	asleep   bool      // the keeper waits for a kick alone
	closing  bool      // takes no more batches
	closed   bool      // sends nothing any more
	turn     int       // connection to wake first
}

// waiter is a Start that waits for room.
type waiter struct {
	n     int
	begin func()
	ready chan struct{} // closed when begin has run, or err is set
	err   error
}

// Open returns a pool for the origin of a configuration. It allocates only: a
// pool connects when there is something to send.
func Open(cfg Config) (*Pool, error) {
	t, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	p := &Pool{
		cfg: cfg, target: t,
		count: cfg.Metrics.counters(cfg.Name),
		kick:  make(chan struct{}, 1),
		empty: make(chan struct{}),
		ended: make(chan struct{}),
	}
	return p, nil
}

// wake starts the keeper, so that a pool that was never used has nothing to
// close. mu is held.
func (p *Pool) wake() {
	if p.cancel != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.wg.Go(func() { p.keep(ctx) })
}

// Start begins to send a batch and returns when it has its place in the queue.
// It waits for room there until ctx ends. If it returns an error, nothing of
// the batch was taken and Wait must not be called.
//
// When ctx ends later, the requests that have no answer by then end with
// Canceled; those that were written are reset.
func (p *Pool) Start(ctx context.Context, b *Batch) error {
	bad := b.prepare()
	if err := ctx.Err(); err != nil {
		return &Error{Reason: Canceled, Err: err}
	}
	if len(b.Requests) == 0 {
		b.fin <- struct{}{}
		return nil
	}
	if err := p.admit(ctx, b); err != nil {
		return err
	}
	p.deliver(bad)
	return nil
}

// admit puts the batch into the queue as soon as there is room.
func (p *Pool) admit(ctx context.Context, b *Batch) error {
	p.mu.Lock()
	if p.closing {
		p.mu.Unlock()
		return &Error{Reason: Closed, Err: ErrClosed}
	}
	if p.hasRoom(b.live) && (len(p.waiters) == 0 || b.Urgent) {
		p.begin(ctx, b)
		p.mu.Unlock()
		return nil
	}
	w := &waiter{n: b.live, begin: func() { p.begin(ctx, b) }, ready: make(chan struct{})}
	p.waiters = append(p.waiters, w)
	p.mu.Unlock()
	select {
	case <-w.ready:
		return w.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiters, w); i >= 0 {
		p.waiters = slices.Delete(p.waiters, i, i+1)
		p.grant() // to those behind, who may be smaller
		return &Error{Reason: Canceled, Err: ctx.Err()}
	}
	return w.err // it has begun after all: abandon will end it
}

// hasRoom reports whether n calls can be put into the queue.
func (p *Pool) hasRoom(n int) bool {
	return p.queue.n == 0 || p.queue.n+n <= p.cfg.MaxQueued
}

// grant lets in who waits for room. mu is held.
func (p *Pool) grant() {
	for len(p.waiters) > 0 && p.hasRoom(p.waiters[0].n) {
		w := p.waiters[0]
		p.waiters = slices.Delete(p.waiters, 0, 1)
		w.begin()
		close(w.ready)
	}
}

// begin puts a batch into the queue and sees that somebody takes from it. mu is
// held.
func (p *Pool) begin(ctx context.Context, b *Batch) {
	b.run++
	b.busy, b.gone, b.stop = true, nil, nil
	if ctx.Done() != nil {
		run := b.run
		b.stop = context.AfterFunc(ctx, func() { p.abandon(b, run, ctx.Err()) })
	}
	p.active++
	p.wake()
	p.queue.push(b, time.Now())
	p.stir()
}

// stir wakes whoever has something to do now that the queue has more, or there
// is more room on a connection. mu is held.
func (p *Pool) stir() {
	p.waiting.Store(int64(p.queue.n))
	need := p.queue.n
	for i := range p.conns {
		if need <= 0 {
			break
		}
		c := p.conns[(p.turn+i)%len(p.conns)]
		if free := int(c.free.Load()); free > 0 {
			c.wakeWriter()
			need -= free
		}
	}
	p.turn++
	if p.asleep || p.wantsConn() {
		p.kickKeeper()
	}
}

func (p *Pool) kickKeeper() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// take takes calls out of the queue for a connection: see queue.take.
func (p *Pool) take(dst []call, n, bytes int, window int64) []call {
	p.mu.Lock()
	defer p.mu.Unlock()
	dst = p.queue.take(dst, n, bytes, window)
	if len(dst) > 0 {
		p.grant()
	}
	p.waiting.Store(int64(p.queue.n))
	if p.queue.n > 0 && p.wantsConn() {
		p.kickKeeper()
	}
	return dst
}

// maxTosses bounds how often a request is put back. Beyond it the server does
// not want it, or nobody can say what is wrong.
const maxTosses = 8

// putBack returns calls to the queue that the server has surely not processed.
// It appends to done those that have ended instead.
func (p *Pool) putBack(calls []call, why *Error, done []call) []call {
	if len(calls) == 0 {
		return done
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, c := range calls {
		*c.response() = Response{}
		if c.b.gone == nil && !p.closed {
			if c.b.toss == nil {
				c.b.toss = make(map[int32]uint8)
			}
			if c.b.toss[c.i]++; c.b.toss[c.i] <= maxTosses {
				p.queue.pushAgain(c, now)
				p.count.resent.Inc()
				continue
			}
		}
		switch {
		case c.b.gone != nil:
			c.response().Err = c.b.gone
		case p.closed:
			c.response().Err = &Error{Reason: Closed, Err: ErrClosed}
		default:
			c.response().Err = why
		}
		done = append(done, c)
	}
	p.stir()
	return done
}

// abandon ends a batch early, if it is still in the use that run counts.
func (p *Pool) abandon(b *Batch, run uint32, cause error) {
	p.mu.Lock()
	if b.run != run || !b.busy {
		p.mu.Unlock()
		return
	}
	b.gone = &Error{Reason: Canceled, Err: cause}
	done := p.queue.remove(func(x *Batch, _ time.Time) bool { return x == b })
	for _, c := range done {
		c.response().Err = b.gone
	}
	p.grant()
	p.waiting.Store(int64(p.queue.n))
	conns := slices.Clone(p.conns)
	p.mu.Unlock()
	unknown := &Error{Reason: Canceled, Unknown: true, Err: cause}
	for _, c := range conns {
		done = c.abandon(b, run, unknown, done)
	}
	p.deliver(done)
}

// deliver tells batches that calls have their responses. No lock is held.
func (p *Pool) deliver(done []call) {
	for len(done) > 0 {
		b, n := done[0].b, 1
		for n < len(done) && done[n].b == b {
			n++
		}
		p.countErrors(done[:n])
		if b.answered(done[:n]) {
			p.finish(b)
		}
		done = done[n:]
	}
}

func (p *Pool) countErrors(done []call) {
	for _, c := range done {
		if err := c.response().Err; err != nil {
			p.cfg.Metrics.errors.WithLabelValues(p.cfg.Name, string(ReasonOf(err))).Inc()
		}
	}
}

// finish ends a batch whose last request has been answered.
func (p *Pool) finish(b *Batch) {
	if b.stop != nil {
		b.stop()
	}
	p.mu.Lock()
	b.busy = false
	p.active--
	if p.closing && p.active == 0 {
		close(p.empty)
	}
	p.mu.Unlock()
	b.fin <- struct{}{} // from here on it is the caller's
}

// Close takes no more batches, waits until those that it has are finished, and
// closes the connections. When ctx ends earlier, what is left ends with Closed
// and Close returns the error of ctx. It can be called again and then waits for
// the first call.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	first := !p.closing
	p.closing = true
	if first {
		for _, w := range p.waiters {
			w.err = &Error{Reason: Closed, Err: ErrClosed}
			close(w.ready)
		}
		p.waiters = nil
		if p.active == 0 {
			close(p.empty)
		}
	}
	p.mu.Unlock()
	if !first {
		<-p.ended
		return nil
	}
	defer close(p.ended)
	var err error
	select {
	case <-p.empty:
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.shut()
	return err
}

// Retire lets the connections that there are take no more requests, and closes
// each when those that it has are answered. Later requests get new connections.
// It is for when what the server knows a connection by is no longer valid.
func (p *Pool) Retire() {
	p.mu.Lock()
	conns := slices.Clone(p.conns)
	p.mu.Unlock()
	for _, c := range conns {
		c.retire()
	}
	p.kickKeeper()
}

// shut ends everything at once.
func (p *Pool) shut() {
	p.mu.Lock()
	p.closed = true
	done := p.queue.remove(func(*Batch, time.Time) bool { return true })
	for _, c := range done {
		c.response().Err = &Error{Reason: Closed, Err: ErrClosed}
	}
	p.waiting.Store(0)
	conns, cancel := slices.Clone(p.conns), p.cancel
	p.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	p.deliver(done)
	for _, c := range conns {
		c.end(lossClosed, ErrClosed, http2.ErrCodeNo)
	}
	p.wg.Wait()
}
