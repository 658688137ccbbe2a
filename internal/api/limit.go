package api

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/furima/furima/internal/cache"
	"github.com/furima/furima/internal/market"
)

// class is a kind of operations that have a limit of their own.
type class uint8

const (
	classRead     class = iota // reads that are not answered from the cache
	classWrite                 // writes
	classPurchase              // purchases
	classLogIn                 // log-ins
	classRegister              // registrations
	classes
)

var classNames = [classes]string{"read", "write", "purchase", "log_in", "register"}

// classOf is the class of an operation.
func classOf(op operation) class {
	switch {
	case op.id == "register":
		return classRegister
	case op.id == "logIn":
		return classLogIn
	case op.id == "buyItem":
		return classPurchase
	case op.method == http.MethodGet:
		return classRead
	}
	return classWrite
}

// whose says what a bucket belongs to.
type whose uint8

const (
	ofIP whose = iota // the address that the request comes from
	ofUser
	ofAccount // that a log-in names, whether there is one or not
	whoses
)

var whoseNames = [whoses]string{"ip", "user", "account"}

// limiter holds requests back that come too often. Each process has its own.
type limiter struct {
	now     func() time.Time
	trusted []netip.Prefix
	buckets [classes][whoses]*buckets // nil: no limit
	metrics *metrics
}

func newLimiter(cfg Config, now func() time.Time, m *metrics) *limiter {
	l := &limiter{now: now, metrics: m, trusted: trustedNetworks(cfg.TrustedProxies)}
	for _, v := range []struct {
		c   class
		w   whose
		per int
	}{
		{classRead, ofIP, cfg.Limits.ReadsIP},
		{classRead, ofUser, cfg.Limits.Reads},
		{classWrite, ofIP, cfg.Limits.WritesIP},
		{classWrite, ofUser, cfg.Limits.Writes},
		{classPurchase, ofIP, cfg.Limits.WritesIP},
		{classPurchase, ofUser, cfg.Limits.Purchases},
		{classLogIn, ofIP, cfg.Limits.LogInsIP},
		{classLogIn, ofAccount, cfg.Limits.LogIns},
		{classRegister, ofIP, cfg.Limits.RegistrationsIP},
	} {
		if v.per > 0 {
			l.buckets[v.c][v.w] = newBuckets(v.per, time.Minute)
		}
	}
	return l
}

// bucketKey is an address, a user or the hash of an account's name.
type bucketKey [16]byte

func keyOfIP(ip netip.Addr) bucketKey { return bucketKey(ip.As16()) }

func keyOfUser(id market.UserID) (k bucketKey) {
	binary.BigEndian.PutUint64(k[:], uint64(id))
	return k
}

func keyOfAccount(email string) bucketKey {
	if clean, err := market.NormalizeEmail(email); err == nil {
		email = clean
	}
	sum := sha256.Sum256([]byte(email))
	return bucketKey(sum[:16])
}

// take counts one request, or refuses it.
func (l *limiter) take(c class, w whose, key bucketKey) error {
	b := l.buckets[c][w]
	if b == nil {
		return nil
	}
	wait := b.take(key, l.now().UnixNano())
	if wait == 0 {
		return nil
	}
	return l.refusal(c, w, wait)
}

func (l *limiter) refusal(c class, w whose, wait time.Duration) error {
	l.metrics.limited[c][w].Inc()
	return &refusal{kind: kindRateLimited, reason: string(market.ReasonRateLimited), retryAfter: max(wait, time.Second)}
}

// takeIP counts a request of an address.
func (l *limiter) takeIP(c class, r *http.Request) error {
	if l.buckets[c][ofIP] == nil {
		return nil
	}
	return l.take(c, ofIP, keyOfIP(l.clientIP(r)))
}

// giveBack makes a request uncounted.
func (l *limiter) giveBack(c class, w whose, key bucketKey) {
	if b := l.buckets[c][w]; b != nil {
		b.giveBack(key)
	}
}

// clientIP is where a request comes from. What a proxy says of it is believed
// if the proxy is trusted; several in a row are gone back as far as they are. A
// network of an IPv6 subscriber is one address.
func (l *limiter) clientIP(r *http.Request) netip.Addr {
	at, ok := parseAddr(r.RemoteAddr)
	if ok && !l.trusts(at) {
		return subscriber(at)
	}
	// A peer without an address is on a Unix socket, on this machine.
	hops := r.Header["X-Forwarded-For"]
	if len(hops) == 0 {
		if real := r.Header["X-Real-Ip"]; len(real) == 1 {
			if a, ok := parseAddr(real[0]); ok {
				return subscriber(a)
			}
		}
		return subscriber(at)
	}
	for i := len(hops) - 1; i >= 0; i-- {
		for rest := hops[i]; rest != ""; {
			comma := strings.LastIndexByte(rest, ',')
			hop, ok := parseAddr(strings.TrimSpace(rest[comma+1:]))
			if !ok {
				return subscriber(at) // whoever wrote that is not believed any further
			}
			at = hop
			if !l.trusts(at) {
				return subscriber(at)
			}
			rest = rest[:max(comma, 0)]
		}
	}
	return subscriber(at)
}

func (l *limiter) trusts(a netip.Addr) bool {
	for _, p := range l.trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// parseAddr reads an address with or without a port.
func parseAddr(s string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddr(s)
	return a.Unmap().WithZone(""), err == nil
}

// subscriber folds the addresses that one subscriber has into one.
func subscriber(a netip.Addr) netip.Addr {
	if !a.IsValid() {
		return netip.IPv6Unspecified() // a peer on a Unix socket that says nothing
	}
	if a.Is4() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}

// trustedNetworks reads trusted_proxies, which Validate has looked at. Nothing
// means this machine.
func trustedNetworks(list []string) []netip.Prefix {
	if len(list) == 0 {
		list = []string{"127.0.0.0/8", "::1"}
	}
	var all []netip.Prefix
	for _, s := range list {
		if p, err := parseNetwork(s); err == nil {
			all = append(all, p)
		}
	}
	return all
}

func parseNetwork(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p.Masked(), err
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return a.Prefix(a.BitLen())
}

// maxBuckets bounds the memory of one limit, to a few megabytes.
const maxBuckets = 1 << 16

// buckets are token buckets of one size, by key. A bucket is one number: when
// it will be full again if nothing more is taken (the generic cell rate
// algorithm). One that is full is the same as none, so that only those who have
// just asked take memory.
type buckets struct {
	step  int64 // nanoseconds until a token comes back
	depth int64 // step × tokens that a full bucket holds

	// empty is until when some bucket is empty; 0 if none was ever. Whoever
	// only wants to know whether a bucket is empty need not lock until then.
	empty atomic.Int64

	mu   sync.Mutex
	full map[bucketKey]int64
}

func newBuckets(n int, per time.Duration) *buckets {
	step := max(int64(per)/int64(n), 1)
	return &buckets{step: step, depth: step * int64(n), full: map[bucketKey]int64{}}
}

// take takes a token. If there is none it returns how long until there is.
func (b *buckets) take(key bucketKey, now int64) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	full := max(b.full[key], now)
	if wait := full + b.step - now - b.depth; wait > 0 {
		return time.Duration(wait)
	}
	if len(b.full) >= maxBuckets {
		b.makeRoom(now)
	}
	full += b.step
	b.full[key] = full
	if next := full + b.step - b.depth; next > now && next > b.empty.Load() {
		b.empty.Store(next)
	}
	return 0
}

// wait returns how long until a bucket has a token; 0 if it has one.
func (b *buckets) wait(key bucketKey, now int64) time.Duration {
	if b.empty.Load() <= now {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Duration(max(max(b.full[key], now)+b.step-now-b.depth, 0))
}

func (b *buckets) giveBack(key bucketKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if full, ok := b.full[key]; ok {
		b.full[key] = full - b.step
	}
}

// makeRoom forgets the buckets that are full again. If a crowd of addresses
// leaves too few of those, others go too, any: a limit that forgets some is
// better than a process without memory.
func (b *buckets) makeRoom(now int64) {
	for key, full := range b.full {
		if full <= now {
			delete(b.full, key)
		}
	}
	for key := range b.full {
		if len(b.full) <= maxBuckets*3/4 {
			return
		}
		delete(b.full, key)
	}
}

// answers is the cache behind the limit of reads: an answer that has to be made
// counts, one from the memory and a 304 do not.
type answers struct {
	*cache.Cache
	limits *limiter
}

// Serve answers r from the cache.
func (c answers) Serve(w http.ResponseWriter, r *http.Request, key string, load cache.Loader) error {
	b := c.limits.buckets[classRead][ofIP]
	if b == nil {
		return c.Cache.Serve(w, r, key, load)
	}
	// Hits are many: they pay for one load as long as no bucket is empty.
	if until := b.empty.Load(); until != 0 && until > c.limits.now().UnixNano() {
		now := c.limits.now().UnixNano()
		if wait := b.wait(keyOfIP(c.limits.clientIP(r)), now); wait > 0 && !c.Holds(key) {
			return c.limits.refusal(classRead, ofIP, wait)
		}
	}
	err := c.Cache.Serve(w, r, key, load)
	x := exchangeOf(w)
	if x.status == http.StatusNotModified {
		return err
	}
	if v := x.Header()["Cache-Status"]; err == nil && len(v) > 0 && free(v[0]) {
		return nil
	}
	b.take(keyOfIP(c.limits.clientIP(r)), c.limits.now().UnixNano())
	return err
}

// free reports whether an answer with this Cache-Status came from memory, or
// was made for whoever keeps the cache fresh.
func free(cacheStatus string) bool {
	return strings.HasPrefix(cacheStatus, "furima; hit") || cacheOutcome(cacheStatus) == "refresh"
}
