package market

import (
	"crypto/sha256"
	"time"
)

// TokenHash is the SHA-256 of a bearer token: what is stored instead of it.
type TokenHash [sha256.Size]byte

// HashToken returns the hash of a token. Tokens hold 256 random bits, so that a
// plain hash is enough; passwords need a slow one.
func HashToken(token string) TokenHash { return sha256.Sum256([]byte(token)) }

// Session is a log-in that lasts.
type Session struct {
	UserID    UserID
	CreatedAt time.Time
	ExpiresAt time.Time
}

// NewSession returns a session of a user that starts now.
func (r Rules) NewSession(user UserID, now time.Time) Session {
	now = now.UTC()
	return Session{UserID: user, CreatedAt: now, ExpiresAt: now.Add(r.SessionTTL)}
}

// Live reports whether the session is valid at now.
func (s Session) Live(now time.Time) bool { return now.Before(s.ExpiresAt) }

// Slide returns the session with its end moved by a use at now, and whether
// that is worth a write: it is when the end would move by a hundredth of its
// time to live, so that a session in use is written about once a day.
func (r Rules) Slide(s Session, now time.Time) (Session, bool) {
	end := now.UTC().Add(r.SessionTTL)
	if end.Sub(s.ExpiresAt) < r.SessionTTL/100 {
		return s, false
	}
	s.ExpiresAt = end
	return s, true
}
