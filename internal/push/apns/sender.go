package apns

import (
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
	// H2 counts what the connections do, under pool="apns"; it may be shared
	// with other providers. nil means that nobody counts.
	H2 *h2.Metrics
	// Now is the clock of provider tokens; nil means time.Now.
	Now func() time.Time
}

// Provider opens senders to Apple.
type Provider struct {
	o Options

	mu     sync.Mutex
	tokens map[[2]string]*tokenSource // by team and key
}

// NewProvider returns a provider. It allocates only.
func NewProvider(o Options) *Provider {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Provider{o: o, tokens: make(map[[2]string]*tokenSource)}
}

// Open reads the app's credentials and returns its sender, or nil if it has
// none for Apple.
func (p *Provider) Open(app push.AppConfig, logger *slog.Logger) (push.Sender, error) {
	cfg := app.APNS
	if !cfg.Enabled() {
		return nil, nil
	}
	cfg = cfg.WithDefaults()
	tlsConfig, tokens, err := p.credentials(cfg)
	if err != nil {
		return nil, fmt.Errorf("open apns for app %s: %w", app.Name, err)
	}
	w, err := openWire(wireOptions{
		endpoint:    strings.TrimSuffix(cfg.Endpoint, "/"),
		tls:         tlsConfig,
		connections: cfg.Connections,
		maxInFlight: cfg.MaxInFlight,
		timeout:     cfg.Timeout,
		token:       tokens != nil,
		logger:      logger,
		metrics:     p.o.H2,
	})
	if err != nil {
		return nil, fmt.Errorf("open apns for app %s: %w", app.Name, err)
	}
	return &sender{topic: cfg.Topic, tokens: tokens, wire: w}, nil
}

// credentials reads the app's credentials: the configuration of TLS, with a
// certificate if that is what the app has, or else the source of its tokens.
func (p *Provider) credentials(cfg push.APNSConfig) (*tls.Config, *tokenSource, error) {
	roots, err := cfg.RootCAs()
	if err != nil {
		return nil, nil, err
	}
	tlsConfig := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if cfg.KeyFile != "" {
		tokens, err := p.tokenSource(cfg)
		return tlsConfig, tokens, err
	}
	cert, err := cfg.Certificate()
	if err != nil {
		return nil, nil, err
	}
	tlsConfig.Certificates = []tls.Certificate{cert}
	return tlsConfig, nil, nil
}

// tokenSource returns the source of the app's key, the same for every app that
// uses the key.
func (p *Provider) tokenSource(cfg push.APNSConfig) (*tokenSource, error) {
	key, err := cfg.SigningKey()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	id := [2]string{cfg.TeamID, cfg.KeyID}
	// A key of the same name that is another one (a changed file) replaces it.
	if s := p.tokens[id]; s != nil && s.key.Equal(key) {
		return s, nil
	}
	s := &tokenSource{key: key, keyID: cfg.KeyID, teamID: cfg.TeamID, now: p.o.Now}
	p.tokens[id] = s
	return s, nil
}

// sender is Apple for one app.
type sender struct {
	topic  string
	plain  sync.Map     // push type and priority → headers of notifications that have nothing else
	tokens *tokenSource // nil with a certificate
	wire   *wire
}

// Send implements push.Sender.
func (s *sender) Send(ctx context.Context, batch []push.Message, done func(i int, r push.Result)) {
	authorization := ""
	if s.tokens != nil {
		var err error
		if authorization, err = s.tokens.authorization(); err != nil {
			for i := range batch {
				done(i, push.Result{Outcome: push.Refused, Reason: reasonToken, Err: err})
			}
			return
		}
	}
	which := make([]int, 0, len(batch))
	for i := range batch {
		if !isBroadcast(&batch[i]) && !isToken(batch[i].Token) {
			done(i, push.Result{Outcome: push.Unregistered, Reason: "BadDeviceToken"})
			continue
		}
		which = append(which, i)
	}
	stale := s.try(ctx, batch, which, authorization, done, s.tokens != nil)
	if len(stale) == 0 {
		return
	}
	// Once more, with a new token.
	fresh, ok := s.tokens.renew(authorization)
	if !ok {
		for _, i := range stale {
			done(i, push.Result{Outcome: push.Refused, Reason: expiredProviderToken})
		}
		return
	}
	s.try(ctx, batch, stale, fresh, done, false)
}

// enough refusals of everything of the app, in a row, tell that the rest of a
// batch would be refused as well.
const enough = 5

// try sends the messages with the given indexes. With renewable, those that
// were not sent because the provider token is too old are returned instead of
// being done.
func (s *sender) try(ctx context.Context, msgs []push.Message, which []int, authorization string, done func(i int, r push.Result), renewable bool) (stale []int) {
	f := s.wire.flight()
	defer s.wire.release(f)
	s.wire.load(f, msgs, which, authorization, func(i int, err error) { done(i, judgeError(err)) })
	ours, halt := context.WithCancel(ctx)
	defer halt()
	var refused push.Result            // what the credentials met
	refusals := 0                      // in a row, until they are enough
	revoked := false                   // refused, and not for the token's age
	f.batch.Done = func(ready []int) { // one call at a time
		for _, n := range ready {
			i, res := f.index[n], &f.batch.Responses[n]
			r := judge(res, isBroadcast(&msgs[i]))
			switch {
			case refusals >= enough && h2.ReasonOf(res.Err) == h2.Canceled && ctx.Err() == nil:
				r = refused // by our own halt
			case res.Err != nil:
			case r.Outcome == push.Refused || r.Outcome == push.Down:
				refused = push.Result{Outcome: r.Outcome, Reason: r.Reason, After: r.After}
				revoked = revoked || r.Outcome == push.Refused && r.Reason != expiredProviderToken
				if refusals++; refusals == enough {
					halt()
				}
			case r.Outcome != push.Retry && refusals < enough:
				refusals, revoked = 0, false
			}
			if renewable && r.Reason == expiredProviderToken {
				stale = append(stale, i)
				continue
			}
			done(i, r)
		}
	}
	if err := s.wire.pool.Start(ours, &f.batch); err != nil {
		for _, i := range f.index {
			done(i, judgeError(err))
		}
		return nil
	}
	f.batch.Wait()
	if revoked {
		// A connection is known by the credentials that it was first used with.
		// When the app has others, none is to be left of those before.
		s.wire.pool.Retire()
	}
	return stale
}

// Close implements push.Sender.
func (s *sender) Close() error { return s.wire.close() }

// isToken reports whether a device token can be part of a path: Apple's are
// hexadecimal.
func isToken(s string) bool {
	return s != "" && len(s) <= 256 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}
