package apns

import (
	"crypto/ecdsa"
	"fmt"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Apple refuses provider tokens that are older than an hour, and those of a
// team that makes new ones more often than every 20 minutes.
const (
	tokenLife  = 50 * time.Minute
	tokenPause = 20 * time.Minute
)

// tokenSource holds the provider token of one key. All senders that use the
// key share it.
type tokenSource struct {
	key           *ecdsa.PrivateKey
	keyID, teamID string
	now           func() time.Time

	mu      sync.Mutex
	header  string // "bearer …"
	issued  time.Time
	renewed time.Time // when a token was last replaced before its time
}

// authorization returns the header's value, with a new token when the one at
// hand is about to be too old.
func (s *tokenSource) authorization() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	// A clock that was set back makes the token one of the future.
	if age := now.Sub(s.issued); s.header != "" && age < tokenLife && age > -time.Minute {
		return s.header, nil
	}
	if err := s.sign(now); err != nil {
		return "", err
	}
	return s.header, nil
}

// renew replaces the token that Apple called too old, unless another sender has
// done so already. It reports whether there is a token worth trying: when even
// a token that was renewed a moment ago is too old, the clock is wrong, and
// more tokens would only get the team blocked.
func (s *tokenSource) renew(old string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.header != old {
		return s.header, true
	}
	now := s.now()
	if !s.renewed.IsZero() && now.Sub(s.renewed) < tokenPause {
		return "", false
	}
	if s.sign(now) != nil {
		return "", false
	}
	s.renewed = now
	return s.header, true
}

// sign makes a new token. s.mu is held.
func (s *tokenSource) sign(now time.Time) error {
	t := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.RegisteredClaims{
		Issuer:   s.teamID,
		IssuedAt: jwt.NewNumericDate(now),
	})
	t.Header["kid"] = s.keyID
	signed, err := t.SignedString(s.key)
	if err != nil {
		return fmt.Errorf("sign a provider token: %w", err)
	}
	s.header, s.issued = "bearer "+signed, now
	return nil
}
