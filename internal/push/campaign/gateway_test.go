package campaign_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/furima/furima/client"
)

// fake is a gateway in memory: it counts every request with the same key once,
// as the real one does.
type fake struct {
	// before may answer in place of the gateway, or after it did (accepted).
	before func(call int, req client.PushRequest) error
	after  func(call int) error
	takes  time.Duration
	// wrong says what is wrong with a notification.
	wrong func(n client.Notification) []client.FieldError

	mu       sync.Mutex
	calls    int
	at       []time.Time
	keys     map[string]string // key → hash of the body
	accepted map[string]int    // token → how often
	total    int
}

func newFake() *fake {
	return &fake{keys: make(map[string]string), accepted: make(map[string]int)}
}

func (f *fake) Send(ctx context.Context, req client.PushRequest) (client.PushAccepted, error) {
	f.mu.Lock()
	call := f.calls
	f.calls++
	f.at = append(f.at, time.Now())
	f.mu.Unlock()
	if f.takes > 0 {
		select {
		case <-time.After(f.takes):
		case <-ctx.Done():
			return client.PushAccepted{}, ctx.Err()
		}
	}
	if f.before != nil {
		if err := f.before(call, req); err != nil {
			return client.PushAccepted{}, err
		}
	}
	out, err := f.accept(req)
	if err == nil && f.after != nil {
		if err := f.after(call); err != nil {
			return client.PushAccepted{}, err
		}
	}
	return out, err
}

func (f *fake) accept(req client.PushRequest) (client.PushAccepted, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var faults []client.FieldError
	for i, n := range req.Notifications {
		if f.wrong == nil {
			break
		}
		for _, e := range f.wrong(n) {
			e.Pointer = fmt.Sprintf("/notifications/%d%s", i, e.Pointer)
			faults = append(faults, e)
		}
	}
	if len(faults) > 50 {
		faults = faults[:50]
	}
	if faults != nil {
		return client.PushAccepted{}, &client.Problem{Status: 422, Code: client.Invalid, Errors: faults}
	}
	body, err := json.Marshal(req)
	if err != nil {
		return client.PushAccepted{}, err
	}
	hash := fmt.Sprint(sha256.Sum256(body))
	n := 0
	for _, x := range req.Notifications {
		n += max(1, len(x.Tokens))
	}
	if was, again := f.keys[req.IdempotencyKey]; again {
		if was != hash {
			return client.PushAccepted{}, &client.Problem{Status: 422, Code: client.Invalid, Errors: []client.FieldError{{Pointer: "header/Idempotency-Key", Message: "was used for another request"}}}
		}
		return client.PushAccepted{ID: "pu_" + req.IdempotencyKey[:8], Accepted: n}, nil
	}
	f.keys[req.IdempotencyKey] = hash
	for _, x := range req.Notifications {
		for _, token := range x.Tokens {
			f.accepted[token]++
		}
		f.total += max(1, len(x.Tokens))
	}
	return client.PushAccepted{ID: "pu_" + req.IdempotencyKey[:8], Accepted: n}, nil
}

// once returns what is wrong with "each of these lines() exactly once".
func (f *fake) once(n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var problems []string
	for i := range n {
		if got := f.accepted[fmt.Sprintf("%064x", i)]; got != 1 {
			problems = append(problems, fmt.Sprintf("token %d was accepted %d times", i, got))
		}
	}
	if f.total != n {
		problems = append(problems, fmt.Sprintf("%d were accepted of %d", f.total, n))
	}
	if len(problems) > 5 {
		problems = append(problems[:5], "…")
	}
	if problems == nil {
		return nil
	}
	return errors.New(strings.Join(problems, "; "))
}

func busy(after time.Duration) error {
	return &client.Problem{Status: 429, Code: client.RateLimited, Reason: "backlog_full", RetryAfter: after}
}

func down(after time.Duration) error {
	return &client.Problem{Status: 503, Code: client.Unavailable, RetryAfter: after}
}

var errLost = errors.New("connection reset")
