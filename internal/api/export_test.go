package api

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/market"
)

// What tests of the package from outside need of its inside.
var (
	NewToken       = newToken
	PlausibleToken = plausibleToken
	CheckPassword  = checkPassword
	ParsePHC       = func(s string) error { _, err := parsePHC(s); return err }
	ParseItems     = parseItems
	ItemsKey       = itemsKey
	IfMatch        = ifMatch
	LikedText      = likedText
	CommentedText  = commentedText
	PaidText       = paidText
	PlausibleID    = plausibleID
	Unmarshal      = unmarshal
	Pointer        = pointer
)

// Routes returns every pattern of the mux.
func (a *API) Routes() []string {
	var all []string
	for pattern := range a.metrics.routes {
		all = append(all, pattern)
	}
	return all
}

// Slugs returns the slug of every kind of problem.
func Slugs() []string {
	var all []string
	for _, k := range kinds {
		all = append(all, k.slug)
	}
	return all
}

// FieldsOf returns the faults of fields in an error.
func FieldsOf(err error) []client.FieldError {
	if err == nil {
		return nil
	}
	return refusalOf(err).fields
}

// Hashes returns how many passwords have been hashed or checked.
func Hashes(a *API) int { return int(a.hasher.done.Load()) }

// Hasher is the hasher without an API around it.
type Hasher struct{ *hasher }

// NewHasher makes one.
func NewHasher(n int, wait time.Duration) Hasher { return Hasher{newHasher(n, wait, newMetrics(nil))} }

// Hold takes a turn; the function that it returns gives it back.
func (h Hasher) Hold(ctx context.Context) func() {
	if err := h.acquire(ctx); err != nil {
		panic(err)
	}
	return h.release
}

// Acquire takes a turn and gives it back.
func (h Hasher) Acquire(ctx context.Context) error {
	err := h.acquire(ctx)
	if err == nil {
		h.release()
	}
	return err
}

// RetryAfterOf returns the wait that an error asks for.
func RetryAfterOf(err error) time.Duration {
	if err == nil {
		return 0
	}
	return refusalOf(err).retryAfter
}

// ProblemOf returns the problem that an error becomes.
func ProblemOf(err error) *client.Problem {
	e := refusalOf(err)
	p := e.document("")
	p.RetryAfter = e.retryAfter
	return p
}

// IsSnooze and IsCancel tell what a handler has asked for.
func IsSnooze(err error) bool {
	return err != nil && reflect.TypeOf(err) == reflect.TypeOf(job.Snooze(0))
}
func IsCancel(err error) bool {
	return err != nil && reflect.TypeOf(err) == reflect.TypeOf(job.Cancel(nil))
}

// ClientIP is where a request comes from, to an API with these trusted proxies.
func ClientIP(trusted []string, r *http.Request) string {
	return newLimiter(Config{TrustedProxies: trusted}, time.Now, newMetrics(nil)).clientIP(r).String()
}

// Buckets are the token buckets of one limit.
type Buckets struct{ b *buckets }

// NewBuckets makes buckets of n tokens that come back within a time.
func NewBuckets(n int, per time.Duration) Buckets { return Buckets{newBuckets(n, per)} }

// Take takes a token of a key.
func (b Buckets) Take(key uint64, now time.Time) time.Duration {
	return b.b.take(keyOfUser(market.UserID(key)), now.UnixNano())
}

// Wait is how long until there is one.
func (b Buckets) Wait(key uint64, now time.Time) time.Duration {
	return b.b.wait(keyOfUser(market.UserID(key)), now.UnixNano())
}

// Len is how many keys take memory.
func (b Buckets) Len() int { return len(b.b.full) }
