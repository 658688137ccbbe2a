package api

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// Cost of a new password hash: OWASP's first choice for argon2id. One takes
// about 20 MB and, on the machine that the limits were chosen on, 40 to 120 ms of a core.
const (
	argonMemory  = 19456 // KiB
	argonTime    = 2
	argonThreads = 1
	argonKeyLen  = 32
	argonSaltLen = 16
)

// Lengths of a password.
const (
	minPassword = 10  // characters
	maxPassword = 128 // characters
)

// hasher hashes passwords, a few at a time: hashing is made to be expensive, and
// whoever sends many log-ins must not starve everybody else.
type hasher struct {
	slots   chan struct{}
	wait    time.Duration
	metrics *metrics
	// decoy is the hash of a password that nobody knows. A log-in with an
	// unknown address is checked against it, so that it takes as long.
	decoy string
	done  atomic.Int64 // hashes computed
}

func newHasher(concurrency int, wait time.Duration, m *metrics) *hasher {
	if concurrency <= 0 {
		concurrency = runtime.GOMAXPROCS(0)
	}
	nobodys := make([]byte, argonSaltLen+argonKeyLen)
	rand.Read(nobodys) //nolint:errcheck // never fails
	return &hasher{
		slots:   make(chan struct{}, concurrency),
		wait:    wait,
		metrics: m,
		decoy:   phc(nobodys[:argonSaltLen], nobodys[argonSaltLen:]),
	}
}

// acquire waits for a turn, but not for long: a queue of log-ins only grows.
func (h *hasher) acquire(ctx context.Context) error {
	h.metrics.hashing.Inc()
	select {
	case h.slots <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(h.wait)
	defer timer.Stop()
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-timer.C:
		h.metrics.hashing.Dec()
		h.metrics.refused.Inc()
		return &refusal{kind: kindUnavailable, detail: "too many people log in at once", retryAfter: h.wait}
	case <-ctx.Done():
		h.metrics.hashing.Dec()
		return ctx.Err()
	}
}

func (h *hasher) release() {
	<-h.slots
	h.done.Add(1)
	h.metrics.hashing.Dec()
}

// hash returns the PHC string of a new password.
func (h *hasher) hash(ctx context.Context, s string) (string, error) {
	if err := h.acquire(ctx); err != nil {
		return "", err
	}
	defer h.release()
	return HashPassword(s), nil
}

// HashPassword returns the PHC string of a password, for accounts that are made
// without the API. It takes 19 MiB and some tens of milliseconds, waits for no turn, and
// does not check whether the password is a good one.
func HashPassword(s string) string {
	salt := make([]byte, argonSaltLen)
	rand.Read(salt) //nolint:errcheck // never fails
	return phc(salt, argon2.IDKey([]byte(password(s)), salt, argonTime, argonMemory, argonThreads, argonKeyLen))
}

// verify reports whether the password has the hash. An empty hash belongs to
// nobody, and one that cannot be read to nobody who can log in; both take as long to be told so.
func (h *hasher) verify(ctx context.Context, hash, s string) (bool, error) {
	p, err := parsePHC(hash)
	known := err == nil
	if !known {
		p, _ = parsePHC(h.decoy)
	}
	if err := h.acquire(ctx); err != nil {
		return false, err
	}
	defer h.release()
	got := argon2.IDKey([]byte(password(s)), p.salt, p.time, p.memory, p.threads, uint32(len(p.key)))
	return subtle.ConstantTimeCompare(got, p.key) == 1 && known, nil
}

// phc writes a hash as $argon2id$v=19$m=…,t=…,p=…$salt$key.
func phc(salt, key []byte) string {
	e := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		e.EncodeToString(salt), e.EncodeToString(key))
}

type parsedPHC struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

var errPHC = errors.New("not an argon2id hash")

// parsePHC reads what phc wrote, today or with other costs. Costs far beyond
// ours are refused: a hash comes from the database, but it is not worth the machine.
func parsePHC(s string) (parsedPHC, error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return parsedPHC{}, errPHC
	}
	var version int
	var p parsedPHC
	if n, err := fmt.Sscanf(parts[2], "v=%d", &version); n != 1 || err != nil || version != argon2.Version {
		return parsedPHC{}, errPHC
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); n != 3 || err != nil {
		return parsedPHC{}, errPHC
	}
	if p.memory > 16*argonMemory || p.time < 1 || p.time > 16*argonTime || p.threads < 1 {
		return parsedPHC{}, errPHC
	}
	var errSalt, errKey error
	p.salt, errSalt = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	p.key, errKey = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if errSalt != nil || errKey != nil || len(p.salt) < 8 || len(p.key) < 16 || len(p.key) > 64 {
		return parsedPHC{}, errPHC
	}
	return p, nil
}

// commonPasswords has one a line: passwords of at least 10 characters that top
// the lists of leaked ones.
//
//go:embed passwords.txt
var commonPasswords string

// password returns a password as it is hashed. Two keyboards may write one
// letter by different code points; their owner sees one password.
func password(s string) string { return norm.NFC.String(s) }

// checkPassword refuses a password that is too short, or that everybody would
// try first. The message never repeats it.
func checkPassword(s, email string) error {
	switch n := utf8.RuneCountInString(s); {
	case n < minPassword:
		return invalidField("/password", fmt.Sprintf("must have at least %d characters", minPassword))
	case n > maxPassword:
		return invalidField("/password", fmt.Sprintf("must have at most %d characters", maxPassword))
	}
	lower := strings.ToLower(s)
	local, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(email)), "@")
	switch {
	case strings.Count(lower, lower[:firstRune(lower)])*firstRune(lower) == len(lower):
		return invalidField("/password", "must not be one character again and again")
	case lower == strings.ToLower(strings.TrimSpace(email)), len(local) >= minPassword && lower == local:
		return invalidField("/password", "must not be the e-mail address")
	case common(lower):
		return invalidField("/password", "is one of the passwords that are tried first, choose another")
	}
	return nil
}

func firstRune(s string) int {
	_, n := utf8.DecodeRuneInString(s)
	return n
}

func common(lower string) bool {
	for line := range strings.Lines(commonPasswords) {
		if strings.TrimRight(line, "\n") == lower {
			return true
		}
	}
	return false
}
