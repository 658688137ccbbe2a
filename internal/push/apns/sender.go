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
func (p *Provider) Open(app push.AppConfig, _ *slog.Logger) (push.Sender, error) {
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
	s.wire = newHTTPWire(httpWireOptions{
		endpoint:    strings.TrimSuffix(cfg.Endpoint, "/"),
		tls:         tlsConfig,
		connections: cfg.Connections,
		maxInFlight: cfg.MaxInFlight,
		timeout:     cfg.Timeout,
	})
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

// request is one message on its way to Apple.
type request struct {
	token         string
	id            push.MessageID
	authorization string // empty with a certificate
	rendered      *push.Rendered
}

// answer is what came back: a status, or an error when there was none.
type answer struct {
	status     int
	body       []byte
	retryAfter string
	took       time.Duration
	err        error
}

// wire carries requests. It is the seam to the HTTP/2 client: many requests at
// once, an answer for each, no order.
type wire interface {
	// exchange sends all requests and calls done once for each, as Send of
	// push.Sender does.
	exchange(ctx context.Context, reqs []request, done func(i int, a answer))
	close() error
}

// sender is Apple for one app.
type sender struct {
	topic  string
	tokens *tokenSource // nil with a certificate
	wire   wire
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
	reqs := make([]request, 0, len(batch))
	index := make([]int, 0, len(batch)) // of each request in batch
	for i := range batch {
		m := &batch[i]
		if !isToken(m.Token) {
			done(i, push.Result{Outcome: push.Unregistered, Reason: "BadDeviceToken"})
			continue
		}
		reqs = append(reqs, request{token: m.Token, id: m.ID, authorization: authorization, rendered: m.Rendered})
		index = append(index, i)
	}
	var mu sync.Mutex
	var stale []int // requests that met a provider token that was too old
	s.wire.exchange(ctx, reqs, func(i int, a answer) {
		r := judge(ctx, a)
		if r.Reason == expiredProviderToken && s.tokens != nil {
			mu.Lock()
			stale = append(stale, i)
			mu.Unlock()
			return
		}
		done(index[i], r)
	})
	if len(stale) > 0 {
		s.resend(ctx, reqs, stale, authorization, func(i int, r push.Result) { done(index[i], r) })
	}
}

// resend sends what met a provider token that was too old once more, with a
// new one.
func (s *sender) resend(ctx context.Context, reqs []request, stale []int, old string, done func(i int, r push.Result)) {
	fresh, ok := s.tokens.renew(old)
	if !ok {
		for _, i := range stale {
			done(i, push.Result{Outcome: push.Refused, Reason: expiredProviderToken})
		}
		return
	}
	again := make([]request, len(stale))
	for j, i := range stale {
		again[j] = reqs[i]
		again[j].authorization = fresh
	}
	s.wire.exchange(ctx, again, func(j int, a answer) { done(stale[j], judge(ctx, a)) })
}

// Close implements push.Sender.
func (s *sender) Close() error { return s.wire.close() }

// isToken reports whether a device token can be part of a path: Apple's are
// hexadecimal.
func isToken(s string) bool {
	return s != "" && len(s) <= 256 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}
