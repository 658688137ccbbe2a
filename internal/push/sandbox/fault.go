package sandbox

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// Fault makes the stand-in refuse what it would have accepted. Without any of
// the fields that say how, it says so with Status and Reason.
type Fault struct {
	// Token is the phone that the fault is for. Empty means every phone.
	Token string `json:"token,omitempty"`
	// Skip is how many requests go well before.
	Skip int `json:"skip,omitempty"`
	// Every makes only every so many requests meet the fault. 0 means each.
	Every int `json:"every,omitempty"`
	// Count is how many requests meet it. Below 0 means all from now on, 0
	// means 1.
	Count int `json:"count,omitempty"`

	// Status and Reason are the answer, as in {"status":503,
	// "reason":"ServiceUnavailable"}.
	Status int    `json:"status"`
	Reason string `json:"reason"`
	// RetryAfter is the Retry-After header in seconds. 0 means none.
	RetryAfter int `json:"retry_after,omitempty"`
	// Since is the timestamp of an answer 410. The zero time means now.
	Since time.Time `json:"since,omitzero"`

	// Deliver says that the notification reaches the phone although the
	// answer says otherwise, as happens when an answer is lost.
	Deliver bool `json:"deliver,omitempty"`
	// Hang says that there is no answer at all until the client gives up.
	Hang bool `json:"hang,omitempty"`
	// Refuse answers with REFUSED_STREAM: surely not processed.
	Refuse bool `json:"refuse,omitempty"`
	// Reset ends the stream with INTERNAL_ERROR instead of an answer.
	Reset bool `json:"reset,omitempty"`
	// GoAway announces the end of the connection: this request and those before
	// it are answered, those after it are not. The frame says Reason, or
	// "Shutdown".
	GoAway bool `json:"goaway,omitempty"`
	// Drop closes the connection without a word.
	Drop bool `json:"drop,omitempty"`
	// Silent lets the connection die without an end: nothing is read or written
	// on it any more.
	Silent bool `json:"silent,omitempty"`
}

// acts reports whether the fault is anything at all.
func (f *Fault) acts() bool {
	return f.Status != 0 || f.Hang || f.Refuse || f.Reset || f.GoAway || f.Drop || f.Silent
}

// validate says what is wrong with a fault that came from outside.
func (f *Fault) validate() error {
	switch {
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return errors.New("status must be between 200 and 599")
	case f.Skip < 0 || f.Every < 0:
		return errors.New("skip and every must not be negative")
	}
	return nil
}

// fault is a Fault with what it has met.
type fault struct {
	Fault
	seen int // requests that it could have been for
}

// nextFault returns the fault that this request meets, if any, and uses it up.
func (a *Apple) nextFault(token string) (Fault, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, f := range a.faults {
		if f.Token != "" && f.Token != token {
			continue
		}
		f.seen++
		if n := f.seen - f.Skip; n <= 0 || f.Every > 1 && n%f.Every != 0 {
			continue
		}
		if f.Count > 0 {
			if f.Count--; f.Count == 0 {
				a.faults = append(a.faults[:i:i], a.faults[i+1:]...)
			}
		}
		return f.Fault, true
	}
	return Fault{}, false
}

// Manners are how connections behave. The zero value is how Apple's do.
type Manners struct {
	// MaxStreams is how many requests a connection may have under way at once.
	// 0 means 1000.
	MaxStreams int `json:"max_streams,omitempty"`
	// FirstStreams is how many it may have until the first valid provider token
	// has come. 0 means 1.
	FirstStreams int `json:"first_streams,omitempty"`
	// Sulk lets the limit fall to 1 with every refusal, until a notification is
	// accepted, as has been seen of Apple.
	Sulk bool `json:"sulk,omitempty"`
	// TinyWrites is how many bytes at most are written at once, in a TLS record
	// of their own. 0 means all that there is.
	TinyWrites int `json:"tiny_writes,omitempty"`
	// SlowReads is a pause before each read, of 1 KiB at most. 0 means none.
	SlowReads Duration `json:"slow_reads,omitempty"`
	// Revoked makes the signing key one that is not known: 403
	// InvalidProviderToken.
	Revoked bool `json:"revoked,omitempty"`
	// TokenUpdates refuses provider tokens that were made less than 20 minutes
	// after another one: 429 TooManyProviderTokenUpdates.
	TokenUpdates bool `json:"token_updates,omitempty"`
	// DeviceRate is how many notifications a phone may be sent within a second;
	// beyond it 429 TooManyRequests. 0 means any number.
	DeviceRate int `json:"device_rate,omitempty"`
}

func (m *Manners) maxStreams() int {
	if m.MaxStreams > 0 {
		return m.MaxStreams
	}
	return 1000
}

func (m *Manners) firstStreams() int {
	if m.FirstStreams > 0 {
		return min(m.FirstStreams, m.maxStreams())
	}
	return 1
}

// validate says what is wrong with manners that came from outside.
func (m *Manners) validate() error {
	if m.MaxStreams < 0 || m.FirstStreams < 0 || m.TinyWrites < 0 || m.SlowReads < 0 || m.DeviceRate < 0 {
		return errors.New("manners must not be negative")
	}
	return nil
}

// Duration is a time.Duration that JSON has as text, "50ms".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is no duration, as \"50ms\"", text)
	}
	*d = Duration(v)
	return nil
}

// deviceLimit counts what each phone is sent within a second.
type deviceLimit struct {
	mu     sync.Mutex
	second int64
	sent   map[string]int
}

// exceeds counts a notification and reports whether it is one too many.
func (l *deviceLimit) exceeds(token string, rate int, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := now.Unix(); s != l.second || l.sent == nil {
		l.second, l.sent = s, make(map[string]int)
	}
	l.sent[token]++
	return l.sent[token] > rate
}
