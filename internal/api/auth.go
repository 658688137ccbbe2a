package api

import (
	"context"
	"crypto/rand"
	"hash/crc32"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/furima/furima/internal/market"
)

// A token is fm_ and 43 random digits of base 62, which hold 256 bits, then _
// and 6 digits of a checksum: a mistyped or made-up one is refused without a
// look into the database, and a secret scanner knows one when it sees it.
const (
	tokenPrefix = "fm_"
	tokenDigits = 43
	tokenSum    = 6
	tokenLen    = len(tokenPrefix) + tokenDigits + 1 + tokenSum
	base62      = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// newToken makes a token. It is shown once; the store gets its hash.
func newToken() string {
	b := append(make([]byte, 0, tokenLen), tokenPrefix...)
	var random [64]byte
	for len(b) < len(tokenPrefix)+tokenDigits {
		rand.Read(random[:]) //nolint:errcheck // never fails
		for _, r := range random {
			// 248 is a multiple of 62, so that every digit is as likely.
			if r < 248 && len(b) < len(tokenPrefix)+tokenDigits {
				b = append(b, base62[r%62])
			}
		}
	}
	return string(appendSum(b))
}

func appendSum(b []byte) []byte {
	sum := crc32.ChecksumIEEE(b)
	b = append(b, '_')
	for range tokenSum {
		b = append(b, base62[sum%62])
		sum /= 62
	}
	return b
}

// plausibleToken reports whether s is made like a token.
func plausibleToken(s string) bool {
	if len(s) != tokenLen || !strings.HasPrefix(s, tokenPrefix) {
		return false
	}
	var room [tokenLen]byte
	return string(appendSum(append(room[:0], s[:len(tokenPrefix)+tokenDigits]...))) == s
}

// bearer returns the token of a request, or "".
func bearer(h http.Header) string {
	v := h["Authorization"]
	if len(v) != 1 {
		return ""
	}
	scheme, token, ok := strings.Cut(v[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimLeft(token, " ")
}

// caller is who makes a request.
type caller struct {
	user    market.UserID
	session market.TokenHash
}

type callerKey struct{}

// callerOf returns who makes the request. Only operations with accessUser call it.
func callerOf(ctx context.Context) caller {
	c, ok := ctx.Value(callerKey{}).(caller)
	if !ok {
		panic("api: operation without a session asks who its caller is")
	}
	return c
}

var errNoToken = &refusal{kind: kindUnauthenticated, detail: "the request has no session, or one that has ended"}

// authenticate finds the session of a request.
func (a *API) authenticate(r *http.Request) (caller, error) {
	token := bearer(r.Header)
	if !plausibleToken(token) {
		return caller{}, errNoToken
	}
	hash := market.HashToken(token)
	now := a.now()
	if s, ok := a.sessions.get(hash, now); ok {
		return caller{s.UserID, hash}, nil
	}
	generation := a.sessions.generation()
	s, err := a.store.Session(r.Context(), hash)
	switch {
	case market.CodeOf(err) == market.CodeUnauthenticated:
		return caller{}, errNoToken
	case err != nil:
		return caller{}, err
	}
	a.sessions.put(hash, s, now, generation)
	return caller{s.UserID, hash}, nil
}

// sessionCache remembers sessions for a few seconds, so that a phone that asks
// ten things in a row costs one look into the database. Only good sessions are
// remembered, so that it does not grow by guessing.
type sessionCache struct {
	keep time.Duration
	max  int

	mu      sync.Mutex
	entries map[market.TokenHash]cachedSession
	gen     uint64 // grows with every forget
}

type cachedSession struct {
	market.Session
	until time.Time
}

func newSessionCache(keep time.Duration) *sessionCache {
	return &sessionCache{keep: keep, max: 1 << 16, entries: map[market.TokenHash]cachedSession{}}
}

func (c *sessionCache) get(hash market.TokenHash, now time.Time) (market.Session, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[hash]
	if !ok || !now.Before(e.until) || !e.Live(now) {
		return market.Session{}, false
	}
	return e.Session, true
}

// generation is to be read before the session is, and given to put: a session that was
// ended between the two is not remembered.
func (c *sessionCache) generation() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gen
}

func (c *sessionCache) put(hash market.TokenHash, s market.Session, now time.Time, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gen != generation {
		return
	}
	if len(c.entries) >= c.max {
		c.makeRoom(now)
	}
	c.entries[hash] = cachedSession{s, now.Add(c.keep)}
}

// makeRoom drops what is over, and as many others as it takes: any will do,
// since all of them are over in a moment.
func (c *sessionCache) makeRoom(now time.Time) {
	for hash, e := range c.entries {
		if !now.Before(e.until) || len(c.entries) > c.max*3/4 {
			delete(c.entries, hash)
		}
	}
}

// forgetUser ends the memory of a person's sessions but one.
func (c *sessionCache) forgetUser(user market.UserID, keep market.TokenHash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for hash, e := range c.entries {
		if e.UserID == user && hash != keep {
			delete(c.entries, hash)
		}
	}
	c.gen++
}

// forget ends the memory of a session that has been ended.
func (c *sessionCache) forget(hash market.TokenHash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.entries, hash)
	c.gen++
}
