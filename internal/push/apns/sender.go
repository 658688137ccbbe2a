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

// Provider opens senders to Apple.
type Provider struct {
	now func() time.Time

	mu     sync.Mutex
	tokens map[[2]string]*tokenSource // by team and key
}

// NewProvider returns a provider. It allocates only.
func NewProvider() *Provider {
	return &Provider{now: time.Now, tokens: make(map[[2]string]*tokenSource)}
}

// Open reads the app's credentials and returns its sender, or nil if it has
// none for Apple.
func (p *Provider) Open(app push.AppConfig, logger *slog.Logger) (push.Sender, error) {
	cfg := app.APNS
	if !cfg.Enabled() {
		return nil, nil
	}
	cfg = cfg.WithDefaults()
	roots, err := cfg.RootCAs()
	if err != nil {
		return nil, fmt.Errorf("open apns for app %s: %w", app.Name, err)
	}
	tlsConfig := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	s := &sender{topic: cfg.Topic}
	if cfg.KeyFile != "" {
		s.tokens, err = p.tokenSource(cfg)
	} else {
		var cert tls.Certificate
		cert, err = cfg.Certificate()
		tlsConfig.Certificates = []tls.Certificate{cert}
	}
	if err != nil {
		return nil, fmt.Errorf("open apns for app %s: %w", app.Name, err)
	}
	s.wire, err = openWire(wireOptions{
		endpoint:    strings.TrimSuffix(cfg.Endpoint, "/"),
		tls:         tlsConfig,
		connections: cfg.Connections,
		maxInFlight: cfg.MaxInFlight,
		timeout:     cfg.Timeout,
		token:       s.tokens != nil,
		logger:      logger,
	})
	if err != nil {
		return nil, fmt.Errorf("open apns for app %s: %w", app.Name, err)
	}
	return s, nil
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
	s := &tokenSource{key: key, keyID: cfg.KeyID, teamID: cfg.TeamID, now: p.now}
	p.tokens[id] = s
	return s, nil
}

// sender is Apple for one app.
type sender struct {
	topic  string
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
		if !isToken(batch[i].Token) {
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

// enough refusals of the app's credentials, and nothing but them, tell that the
// rest of a batch would be refused as well.
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
	var refused push.Result // what the credentials met
	refusals, accepted := 0, false
	f.batch.Done = func(ready []int) { // one call at a time
		for _, n := range ready {
			i, res := f.index[n], &f.batch.Responses[n]
			r := judge(res)
			if refusals >= enough && h2.ReasonOf(res.Err) == h2.Canceled && ctx.Err() == nil {
				r = refused // by our own halt
			}
			switch r.Outcome {
			case push.Refused:
				refused = push.Result{Outcome: r.Outcome, Reason: r.Reason}
				if refusals++; refusals == enough && !accepted {
					halt()
				}
			case push.Retry, push.Down:
			default:
				accepted = true
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
	return stale
}

// Close implements push.Sender.
func (s *sender) Close() error { return s.wire.close() }

// isToken reports whether a device token can be part of a path: Apple's are
// hexadecimal.
func isToken(s string) bool {
	return s != "" && len(s) <= 256 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}
