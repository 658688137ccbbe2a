package fcm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/h2"
)

// scope is what an access token is asked for.
const scope = "https://www.googleapis.com/auth/firebase.messaging"

const (
	// tokenLife is how long a token lasts whose answer does not say.
	tokenLife = time.Hour
	// refreshEarly is how long before its end a token is replaced, if it lasts
	// long enough.
	refreshEarly = 5 * time.Minute
	// tokenMargin is how long before its end a token is not used any more.
	tokenMargin = 5 * time.Second
	// refreshPause is the wait after a refresh that went wrong while the old
	// token still lasts.
	refreshPause = 30 * time.Second
	// renewPause is how long a token must have been renewed for before another
	// may replace it ahead of time: when Google refuses even a fresh one, it is
	// not the token that is wrong.
	renewPause = time.Minute
)

// access is an access token, as the headers of requests that bear it.
type access struct {
	headers *h2.Headers
	issued  time.Time
	expires time.Time
}

// tokenSource holds the access token of a sender. One caller at a time gets a
// new one, with its own context; the others wait for it, or use the old one if
// that still lasts.
type tokenSource struct {
	fetch func(ctx context.Context) (*access, error)
	now   func() time.Time

	mu      sync.Mutex
	current *access
	flying  *fetching
	waitFor time.Time // no early refresh before
	renewed time.Time // when a token was last given up before its time
}

// fetching is a request for a token that is under way.
type fetching struct {
	done   chan struct{}
	access *access
	err    error
	left   bool // the caller's context ended: somebody else must try
}

// errStillRefused says that Google refuses a token that it gave a moment ago.
var errStillRefused = errors.New("google refuses an access token that it has just issued")

// get returns a token that lasts.
func (s *tokenSource) get(ctx context.Context) (*access, error) {
	for {
		s.mu.Lock()
		now := s.now()
		a := s.current
		if a != nil && now.Before(a.issued.Add(-time.Minute)) { // the clock was set back
			a = nil
		}
		if a != nil {
			early := min(refreshEarly, a.expires.Sub(a.issued)/5)
			fresh, lasts := now.Before(a.expires.Add(-early)), now.Before(a.expires.Add(-tokenMargin))
			if fresh || lasts && (s.flying != nil || now.Before(s.waitFor)) {
				s.mu.Unlock()
				return a, nil
			}
			if !lasts {
				a = nil
			}
		}
		if f := s.flying; f != nil {
			s.mu.Unlock()
			select {
			case <-f.done:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			if !f.left {
				return f.access, f.err
			}
			continue
		}
		f := &fetching{done: make(chan struct{})}
		s.flying = f
		s.mu.Unlock()
		s.fly(ctx, f)
		if f.err != nil && a != nil && ctx.Err() == nil {
			return a, nil
		}
		return f.access, f.err
	}
}

// fly gets a new token.
func (s *tokenSource) fly(ctx context.Context, f *fetching) {
	f.access, f.err = s.fetch(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flying = nil
	if f.err == nil {
		s.current = f.access
	} else {
		f.left = ctx.Err() != nil
		s.waitFor = s.now().Add(refreshPause)
	}
	close(f.done)
}

// renew gives up a token that Google has refused, so that get returns another
// one, unless that has been done a moment ago.
func (s *tokenSource) renew(refused *access) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != refused {
		return nil
	}
	now := s.now()
	if age := now.Sub(s.renewed); !s.renewed.IsZero() && age >= 0 && age < renewPause {
		return errStillRefused
	}
	s.current, s.renewed = nil, now
	return nil
}

// newFetch returns what gets an access token for a service account. The headers
// of the token are those of requests to path.
func newFetch(account push.ServiceAccount, roots *x509.CertPool, timeout time.Duration, now func() time.Time, path string) (func(context.Context) (*access, error), error) {
	cfg, err := google.JWTConfigFromJSON(account.JSON, scope)
	if err != nil {
		return nil, errors.New("the credentials file is not of a service account") // err may quote it
	}
	cfg.TokenURL = account.TokenURI
	// Once an hour: no connection is kept for it.
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: dialTimeout,
		DisableKeepAlives:   true,
	}
	return func(ctx context.Context) (*access, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		// The library posts without a context: ours goes in below it.
		client := &http.Client{
			Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				return transport.RoundTrip(r.WithContext(ctx))
			}),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		issued := now()
		t, err := cfg.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, client)).Token()
		if err != nil {
			return nil, err
		}
		if t.AccessToken == "" {
			return nil, errors.New("the answer holds no access token")
		}
		headers, err := h2.NewHeaders("POST",
			h2.Field{Name: ":path", Value: path},
			h2.Field{Name: "authorization", Value: "Bearer " + t.AccessToken},
			h2.Field{Name: "content-type", Value: "application/json"},
		)
		if err != nil {
			return nil, errors.New("the answer holds an access token that no header can carry")
		}
		life := tokenLife
		if !t.Expiry.IsZero() {
			life = time.Until(t.Expiry)
		}
		return &access{headers: headers, issued: issued, expires: issued.Add(life)}, nil
	}, nil
}

type roundTripper func(r *http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// oauthErrors are the errors of RFC 6749 that a token endpoint answers.
var oauthErrors = []string{"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "access_denied"}

// judgeToken says what it means for all messages that there is no token.
func judgeToken(ctx context.Context, err error, now time.Time) push.Result {
	if ctx.Err() != nil {
		return push.Result{Outcome: push.Retry}
	}
	if errors.Is(err, errStillRefused) {
		return push.Result{Outcome: push.Refused, Reason: unauthenticated, Err: err}
	}
	no, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		return push.Result{Outcome: push.Down, Reason: reasonToken, Err: fmt.Errorf("get an access token: %w", err)}
	}
	// The error's own text has the whole answer in it.
	var body struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(no.Body, &body) // a proxy in between may answer anything
	status := no.Response.StatusCode
	said := fmt.Sprintf("HTTP %d", status)
	if slices.Contains(oauthErrors, body.Error) {
		said += " " + body.Error
	}
	r := push.Result{Outcome: push.Refused, Reason: reasonToken, Err: errors.New("get an access token: the token endpoint answered " + said)}
	if status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500 || status < 400 {
		r.Outcome = push.Down
		r.After = pause(status, no.Response.Header.Get("Retry-After"), "", now)
	}
	return r
}
