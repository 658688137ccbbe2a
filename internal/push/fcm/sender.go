package fcm

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/h2"
)

// Options are what a Provider is made with. The zero value is ready for use.
type Options struct {
	// H2 counts what the connections do, under pool="fcm"; it may be shared with
	// other providers. nil means that nobody counts.
	H2 *h2.Metrics
	// Now is the clock of access tokens and quotas; nil means time.Now.
	Now func() time.Time
}

// Provider opens senders to Google.
type Provider struct {
	o Options

	mu     sync.Mutex
	quotas map[string]*quota // by project
}

// NewProvider returns a provider. It allocates only.
func NewProvider(o Options) *Provider {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Provider{o: o, quotas: make(map[string]*quota)}
}

// Open reads the app's credentials and returns its sender, or nil if it has
// none for Google.
func (p *Provider) Open(app push.AppConfig, logger *slog.Logger) (push.Sender, error) {
	cfg := app.FCM
	if !cfg.Enabled() {
		return nil, nil
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	cfg = cfg.WithDefaults()
	account, err := cfg.ServiceAccount()
	if err != nil {
		return nil, fmt.Errorf("open fcm for app %s: %w", app.Name, err)
	}
	roots, err := cfg.RootCAs()
	if err != nil {
		return nil, fmt.Errorf("open fcm for app %s: %w", app.Name, err)
	}
	fetch, err := newFetch(account, roots, cfg.Timeout, p.o.Now, sendPath(account.ProjectID))
	if err != nil {
		return nil, fmt.Errorf("open fcm for app %s: %w", app.Name, err)
	}
	w, err := openWire(wireOptions{
		endpoint:    strings.TrimSuffix(cfg.Endpoint, "/"),
		tls:         &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		connections: cfg.Connections,
		maxInFlight: cfg.MaxInFlight,
		timeout:     cfg.Timeout,
		logger:      logger,
		metrics:     p.o.H2,
	})
	if err != nil {
		return nil, fmt.Errorf("open fcm for app %s: %w", app.Name, err)
	}
	return &sender{
		app:    app.Name,
		logger: logger,
		now:    p.o.Now,
		tokens: &tokenSource{fetch: fetch, now: p.o.Now},
		quota:  p.quota(account.ProjectID, cfg.Quota),
		wire:   w,
	}, nil
}

// sendPath is where messages of a project are posted to.
func sendPath(project string) string { return "/v1/projects/" + project + "/messages:send" }

// quota returns the bucket of a project, the same for every app of it; the rate
// is that of the app that was opened last.
func (p *Provider) quota(project string, perMinute int) *quota {
	if perMinute < 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.quotas[project]
	if q == nil {
		q = newQuota(perMinute, p.o.Now)
		p.quotas[project] = q
	} else {
		q.set(perMinute)
	}
	return q
}

// sender is Google for one app.
type sender struct {
	app    string
	logger *slog.Logger
	now    func() time.Time
	tokens *tokenSource
	quota  *quota // nil without a limit
	wire   *wire
}

// Close implements push.Sender.
func (s *sender) Close() error { return s.wire.close() }

// Send implements push.Sender.
func (s *sender) Send(ctx context.Context, batch []push.Message, done func(i int, r push.Result)) {
	if len(batch) == 0 {
		return
	}
	which := make([]int, 0, len(batch))
	for i := range batch {
		if !bytes.HasSuffix(batch[i].Rendered.Payload, []byte(hole)) { // not rendered here
			done(i, push.Result{Outcome: push.Rejected, Reason: reasonInvalid})
			continue
		}
		which = append(which, i)
	}
	r := run{s: s, msgs: batch, done: done, urgent: isUrgent(batch[0].Rendered)}
	if stale := r.try(ctx, which, true); len(stale) > 0 { // once more, with a new token
		if err := s.tokens.renew(r.refusedAccess); err != nil {
			r.all(stale, judgeToken(ctx, err, s.now()))
		} else {
			r.try(ctx, stale, false)
		}
	}
	r.resolve()
}

const (
	// enough refusals of the app's credentials, and nothing but them, tell that
	// the rest of a batch would be refused as well.
	enough = 5
	// many answers that may be about a token or about what all have in common
	// are about the latter if nothing else tells and nothing was sent.
	many = 20
	// thirdPartyPause is how long messages wait for a key that Google has for
	// Apple or browsers and cannot use, while others go through.
	thirdPartyPause = 10 * time.Minute
)

// run is one call of Send. Its flights follow one another, and so do the
// answers of a flight.
type run struct {
	s      *sender
	msgs   []push.Message
	done   func(i int, r push.Result)
	urgent bool

	sent          int          // taken by Google
	accepted      bool         // the credentials, by Google
	refusals      int          // of the credentials
	refusedAccess *access      // the token that they are about
	stop          *push.Result // what the rest has in store
	doubtful      []doubted
}

// doubted is an answer that the rest of the batch decides on.
type doubted struct {
	i      int
	doubt  doubt
	result push.Result
}

// all gives the messages with the given indexes the same result.
func (r *run) all(which []int, res push.Result) {
	for _, i := range which {
		r.done(i, res)
	}
}

// try sends the messages with the given indexes. With renewable, those that
// were not sent because of the access token are returned instead of being done.
func (r *run) try(ctx context.Context, which []int, renewable bool) (stale []int) {
	r.refusals, r.stop = 0, nil
	for len(which) > 0 {
		n := fit(r.msgs, which, r.s.quota.portion(len(which)))
		if r.s.quota.take(ctx, n, r.urgent) != nil {
			r.all(which, push.Result{Outcome: push.Retry})
			return nil
		}
		// For each flight, since a batch may take longer than a token lasts.
		access, err := r.s.tokens.get(ctx)
		if err != nil {
			r.all(which, judgeToken(ctx, err, r.s.now()))
			return nil
		}
		stale = r.fly(ctx, which[:n], access, renewable)
		which = which[n:]
		switch {
		case len(stale) > 0: // the rest had better bear a new token as well
			return append(stale, which...)
		case r.stop != nil:
			r.all(which, *r.stop)
			return nil
		}
	}
	return nil
}

// fly sends one flight.
func (r *run) fly(ctx context.Context, which []int, access *access, renewable bool) (stale []int) {
	f := r.s.wire.flight()
	defer r.s.wire.release(f)
	f.load(r.msgs, which, access.headers)
	f.batch.Urgent = r.urgent
	ours, halt := context.WithCancel(ctx)
	defer halt()
	var m mood
	f.batch.Done = func(ready []int) { // one call at a time
		now := r.s.now()
		for _, n := range ready {
			res := &f.batch.Responses[n]
			a := judge(res, now)
			if r.stop != nil && h2.ReasonOf(res.Err) == h2.Canceled && ctx.Err() == nil {
				a = answer{Result: *r.stop, stale: r.stop.Reason == unauthenticated} // by our own halt
			}
			m.note(a, res.Err == nil)
			if r.hopeless(a) {
				halt()
			}
			if renewable && a.stale {
				stale = append(stale, which[n])
				continue
			}
			r.settle(which[n], a)
		}
	}
	if err := r.s.wire.pool.Start(ours, &f.batch); err != nil {
		a := answer{Result: judgeError(err)}
		r.hopeless(a)
		r.all(which, a.Result)
		return nil
	}
	f.batch.Wait()
	if len(stale) > 0 {
		r.refusedAccess = access
	}
	r.heed(&m, len(which))
	return stale
}

// mood is what the answers of a flight say about Google.
type mood struct {
	over  int         // quotas exceeded
	wide  bool        // the project's among them
	later int         // answers that ask for patience
	last  push.Result // of these
}

func (m *mood) note(a answer, answered bool) {
	if a.over {
		m.over++
		m.wide = m.wide || a.wide
	}
	if answered && a.Outcome == push.Retry {
		m.later++
		m.last = push.Result{Outcome: push.Retry, Reason: a.Reason, After: max(m.last.After, a.After)}
	}
}

// heed slows down, and stops when more of the same would only add to the
// congestion.
func (r *run) heed(m *mood, n int) {
	// A device or a topic that gets too much does not concern the others, but
	// Google does not always say which quota it was.
	wide := m.wide || m.over >= many && m.over > n/2
	if wide {
		r.s.quota.exceeded(m.last.After)
		m.last.Reason = quotaExceeded
	}
	if r.stop == nil && (wide || m.later >= many && m.later == n) {
		r.stop = &m.last
	}
}

// settle gives a message its result, if it is certain.
func (r *run) settle(i int, a answer) {
	switch {
	case a.Outcome == push.Unregistered && push.IsAudience(r.msgs[i].Token):
		r.done(i, ofAudience(a.Result))
	case a.doubt != certain:
		r.doubtful = append(r.doubtful, doubted{i, a.doubt, a.Result})
	default:
		r.done(i, a.Result)
	}
}

// ofAudience says what the answer that a token is dead means where no device is
// meant: the message is wrong, or the project.
func ofAudience(res push.Result) push.Result {
	res.Outcome = push.Rejected
	if res.Reason == notFound {
		res.Outcome = push.Refused
	}
	return res
}

// hopeless notes what an answer says about those to come, and reports whether
// there is no sense in waiting for those under way.
func (r *run) hopeless(a answer) bool {
	switch a.Outcome {
	case push.Sent:
		r.sent++
		r.accepted = true
	case push.Unregistered, push.Rejected:
		r.accepted = true
	case push.Down:
		if r.stop == nil {
			r.stop = &push.Result{Outcome: push.Down, Reason: a.Reason, After: a.After, Err: a.Err}
		}
	case push.Refused:
		if a.doubt == certain {
			r.refusals++
		}
		if r.refusals == enough && !r.accepted && r.stop == nil {
			r.stop = &push.Result{Outcome: push.Refused, Reason: a.Reason}
			return true
		}
	}
	return false
}

// resolve gives the doubtful messages their results.
func (r *run) resolve() {
	if len(r.doubtful) == 0 {
		return
	}
	var n [otherFault + 1]int
	for _, d := range r.doubtful {
		n[d.doubt]++
	}
	for _, d := range r.doubtful {
		res := d.result
		switch {
		case d.doubt == thirdParty && r.accepted:
			res.Outcome, res.After = push.Retry, thirdPartyPause
		case d.doubt == otherFault && n[otherFault] >= many && r.sent == 0:
			res.Outcome = push.Rejected
		}
		r.done(d.i, res)
	}
	if n[thirdParty] > 0 && r.accepted {
		r.s.logger.Error("Google cannot use the key it has for Apple's devices or browsers: their notifications wait", "app", r.s.app, "waiting", n[thirdParty])
	}
}

// urgencyHeader marks what is not urgent. It is for us and not sent.
const urgencyHeader = "urgency"

// isUrgent reports whether a message overtakes others.
func isUrgent(r *push.Rendered) bool {
	for _, h := range r.Header {
		if h.Name == urgencyHeader {
			return false
		}
	}
	return true
}
