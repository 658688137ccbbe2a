package webpush

import (
	"crypto/ecdsa"
	"fmt"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/furima/furima/internal/push"
)

// vapidLife is how long a VAPID token is good for; RFC 8292 allows a day. It is
// replaced at half of it.
const vapidLife = 12 * time.Hour

// signer makes an app's VAPID tokens.
type signer struct {
	key     *ecdsa.PrivateKey
	public  string // as the "k" of the header
	subject string
	now     func() time.Time
}

func newSigner(key *ecdsa.PrivateKey, subject string, now func() time.Time) (*signer, error) {
	public, err := push.VAPIDPublicKey(key)
	if err != nil {
		return nil, err
	}
	return &signer{key: key, public: public, subject: subject, now: now}, nil
}

// vapid is the token that an app has for one origin.
type vapid struct {
	mu     sync.Mutex
	header []string // of one element, the Authorization header's value; shared, read only
	issued time.Time
}

// authorization returns the header for an origin, with a new token when half of
// the life of the one at hand is over.
func (v *vapid) authorization(s *signer, origin string) ([]string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := s.now()
	// A clock that was set back makes the token one of the future, and its end
	// may be more than a day away.
	if age := now.Sub(v.issued); v.header != nil && age < vapidLife/2 && age > -time.Minute {
		return v.header, nil
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"aud": origin,
		"exp": now.Add(vapidLife).Unix(),
		"sub": s.subject,
	}).SignedString(s.key)
	if err != nil {
		return nil, fmt.Errorf("sign a VAPID token: %w", err)
	}
	v.header, v.issued = []string{"vapid t=" + signed + ", k=" + s.public}, now
	return v.header, nil
}
