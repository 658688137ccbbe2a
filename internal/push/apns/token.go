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
// key share it. What is told to Apple is the time of the clock, and so a token's
// age goes by it: a clock that was set makes a token too old, or one of the
// future, at once. Only then is a token replaced after less than tokenPause.
type tokenSource struct {
	key           *ecdsa.PrivateKey
	keyID, teamID string
	now           func() time.Time

	mu     sync.Mutex
	header string // "bearer …"
	issued time.Time
}

// authorization returns the header's value, with a new token when the one at
// hand is about to be too old.
func (s *tokenSource) authorization() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if age := s.age(now); s.header != "" && age < tokenLife && age > -time.Minute {
		return s.header, nil
	}
	if err := s.sign(now); err != nil {
		return "", err
	}
	return s.header, nil
}

// age is how old the token is by the clock, which may have been set since:
// time.Time.Sub would not tell.
func (s *tokenSource) age(now time.Time) time.Duration { return now.Round(0).Sub(s.issued.Round(0)) }

// renew replaces the token that Apple called too old, unless another sender has
// done so already. It reports whether there is a token worth trying: when even
// one that was made a moment ago is too old, the clock is wrong, and more tokens
// would only get the team blocked.
func (s *tokenSource) renew(old string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.header != old {
		return s.header, true
	}
	now := s.now()
	if age := s.age(now); age > -time.Minute && age < tokenPause && now.Sub(s.issued) < tokenPause {
		return "", false
	}
	if s.sign(now) != nil {
		return "", false
	}
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
