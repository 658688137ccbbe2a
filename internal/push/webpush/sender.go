package webpush

import (
	"container/list"
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/furima/furima/internal/push"
)

// maxOrigins is how many push services are remembered. There are a handful, but
// users can name any.
const maxOrigins = 512

// Provider opens senders to browsers.
type Provider struct{ now func() time.Time }

// NewProvider returns a provider. It allocates only.
func NewProvider() *Provider { return &Provider{now: time.Now} }

// Open reads the app's VAPID key and returns its sender, or nil if it has none.
func (p *Provider) Open(app push.AppConfig, logger *slog.Logger) (push.Sender, error) {
	cfg := app.WebPush
	if !cfg.Enabled() {
		return nil, nil
	}
	s, err := open(app.Name, cfg.WithDefaults(), p.now, logger)
	if err != nil {
		return nil, fmt.Errorf("open webpush for app %s: %w", app.Name, err)
	}
	return s, nil
}

func open(app string, cfg push.WebPushConfig, now func() time.Time, logger *slog.Logger) (*sender, error) {
	key, err := cfg.VAPIDKey()
	if err != nil {
		return nil, err
	}
	roots, err := cfg.RootCAs()
	if err != nil {
		return nil, err
	}
	signer, err := newSigner(key, cfg.Subject, now)
	if err != nil {
		return nil, err
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &sender{
		app:         app,
		private:     cfg.AllowPrivate,
		maxInFlight: cfg.MaxInFlight,
		tuning: tuning{
			timeout:    cfg.Timeout,
			stallAfter: cfg.Timeout / 5,
			maxWindow:  max(1, cfg.MaxInFlight*3/4), // the rest is for other origins

			maxStrangers: max(1, min(maxStrangers, cfg.MaxInFlight/4)),
		},
		signer:    signer,
		transport: newTransport(roots, cfg.AllowPrivate, cfg.Timeout),
		logger:    logger,
		now:       now,
		origins:   make(map[string]*origin),
		order:     list.New(),
		refusals:  make(map[uint64]time.Time),
		seed:      maphash.MakeSeed(),
	}, nil
}

// sender is all push services for one app. It hands messages to goroutines that
// it starts while there are messages and fewer than maxInFlight of them.
type sender struct {
	app         string
	private     bool
	maxInFlight int
	tuning      tuning
	signer      *signer
	transport   *http.Transport
	closers     sync.WaitGroup // goroutines that close connections
	logger      *slog.Logger
	now         func() time.Time
	seed        maphash.Seed

	mu        sync.Mutex // guards what follows, and the origins
	origins   map[string]*origin
	order     *list.List // of *origin, the one that was used last in front
	ready     []*origin  // those with messages that may be sent now, in turns
	blocked   []*origin  // strangers that wait for others
	strangers int        // messages under way at origins that have not answered yet
	running   int        // goroutines
	refusals  map[uint64]time.Time
	cried     time.Time // when a stranger's refusal was last logged
	sweeper   *time.Timer
	closed    bool
}

// flight is one call of Send.
type flight struct {
	ctx     context.Context //nolint:containedctx // a flight is a call, and ends with it
	batch   []push.Message
	done    func(i int, r push.Result)
	left    atomic.Int64  // messages without a result
	over    chan struct{} // closed when there are none
	origins []*origin
}

// settle tells the result of some messages.
func (f *flight) settle(which []int, r push.Result) {
	for _, i := range which {
		f.done(i, r)
	}
	f.count(len(which))
}

// count notes that n messages have their result.
func (f *flight) count(n int) {
	if n > 0 && f.left.Add(-int64(n)) == 0 {
		close(f.over)
	}
}

// bounce is messages that are not sent, and why.
type bounce struct {
	lot
	r push.Result
}

func settleAll(bounced []bounce) {
	for _, b := range bounced {
		b.f.settle(b.which, b.r)
	}
}

// Send implements push.Sender.
func (s *sender) Send(ctx context.Context, batch []push.Message, done func(i int, r push.Result)) {
	if len(batch) == 0 {
		return
	}
	f := &flight{ctx: ctx, batch: batch, done: done, over: make(chan struct{})}
	f.left.Store(int64(len(batch)))
	groups, bad := s.group(batch)
	var bounced []bounce
	if len(bad) > 0 {
		bounced = append(bounced, bounce{lot{f, bad}, push.Result{Outcome: push.Rejected, Reason: reasonSubscription}})
	}
	s.mu.Lock()
	now := time.Now()
	for _, g := range groups {
		bounced = append(bounced, s.enqueue(f, g, now)...)
	}
	s.spawn(now)
	s.mu.Unlock()
	settleAll(bounced)
	select {
	case <-f.over:
		return
	case <-ctx.Done():
	}
	s.withdraw(f)
	<-f.over
}

// group is the messages of a batch for one origin.
type group struct {
	name, addr string
	which      []int
}

// group sorts a batch by origin. What is no subscription is returned apart.
func (s *sender) group(batch []push.Message) (groups []*group, bad []int) {
	byName := make(map[string]*group)
	for i := range batch {
		sub, _, err := locate(batch[i].Token, s.private)
		if err != nil {
			bad = append(bad, i)
			continue
		}
		g := byName[sub.origin]
		if g == nil {
			g = &group{name: sub.origin, addr: sub.addr}
			byName[g.name] = g
			groups = append(groups, g)
		}
		g.which = append(g.which, i)
	}
	return groups, bad
}

// enqueue gives messages to their origin, and returns those that it does not
// take now. s.mu is held.
func (s *sender) enqueue(f *flight, g *group, now time.Time) []bounce {
	o := s.origin(g, now)
	if o == nil {
		return []bounce{{lot{f, g.which}, push.Result{Outcome: push.Retry, Reason: reasonOrigins, After: minPause}}}
	}
	n, r := o.admit(len(g.which), now, s.tuning.stallAfter)
	if n > 0 {
		o.queue = append(o.queue, lot{f, g.which[:n]})
		f.origins = append(f.origins, o)
		s.offer(o)
		s.watch(o)
	}
	if n == len(g.which) {
		return nil
	}
	return []bounce{{lot{f, g.which[n:]}, r}}
}

// origin returns the origin of a group, nil if there are too many. s.mu is held.
func (s *sender) origin(g *group, now time.Time) *origin {
	o := s.origins[g.name]
	if o == nil {
		if s.closed || len(s.origins) >= maxOrigins && !s.evict() {
			return nil
		}
		o = &origin{name: g.name, pool: pool{transport: s.transport, addr: g.addr, closers: &s.closers}, window: min(firstWindow, s.tuning.maxWindow)}
		o.place = s.order.PushFront(o)
		s.origins[g.name] = o
		if s.sweeper == nil {
			s.sweeper = time.AfterFunc(idleLimit, s.sweep)
		}
	}
	o.lastUsed = now
	s.order.MoveToFront(o.place)
	return o
}

// evict forgets the origin that was not used for longest, of the last few.
func (s *sender) evict() bool {
	for e, n := s.order.Back(), 0; e != nil && n < 16; e, n = e.Prev(), n+1 {
		if o := e.Value.(*origin); o.inFlight == 0 && len(o.queue) == 0 {
			s.forget(o)
			return true
		}
	}
	return false
}

// forget removes an origin with nothing to do. s.mu is held.
func (s *sender) forget(o *origin) {
	s.order.Remove(o.place)
	delete(s.origins, o.name)
	if o.stall != nil {
		o.stall.Stop()
	}
	o.pool.close()
}

// sweep closes the connections of origins that were not used for long, and
// forgets those that were in no trouble.
func (s *sender) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	now := time.Now()
	var prev *list.Element
	for e := s.order.Back(); e != nil; e = prev {
		prev = e.Prev()
		switch o := e.Value.(*origin); {
		case now.Sub(o.lastUsed) < idleLimit || o.inFlight > 0 || len(o.queue) > 0:
		case o.suspect:
			o.pool.reset()
		default:
			s.forget(o)
		}
	}
	s.sweeper = nil
	if len(s.origins) > 0 {
		s.sweeper = time.AfterFunc(idleLimit, s.sweep)
	}
}

// withdraw ends what a flight still has in queues.
func (s *sender) withdraw(f *flight) {
	s.mu.Lock()
	var which []int
	for _, o := range f.origins {
		which = append(which, o.withdraw(f)...)
	}
	s.mu.Unlock()
	f.settle(which, push.Result{Outcome: push.Retry, Reason: reasonStopped})
}

// Close implements push.Sender.
func (s *sender) Close() error {
	s.mu.Lock()
	s.closed = true
	if s.sweeper != nil {
		s.sweeper.Stop()
	}
	for _, o := range s.origins {
		s.forget(o)
	}
	s.mu.Unlock()
	s.closers.Wait()
	return nil
}
