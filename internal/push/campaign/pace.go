package campaign

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// pace lets a number of notifications a second through. One goroutine uses it.
type pace struct {
	each time.Duration // for one notification; 0: no limit
	next time.Time     // when the next batch may go
}

func newPace(perSecond float64) *pace {
	p := &pace{}
	if perSecond > 0 {
		p.each = time.Duration(float64(time.Second) / perSecond)
	}
	return p
}

// wait waits for the turn of n notifications. What a batch takes is waited for
// after it, so that the first goes at once; time that nobody used is not saved up.
func (p *pace) wait(ctx context.Context, n int) error {
	if p.each == 0 || n == 0 {
		return ctx.Err()
	}
	now := time.Now()
	at := later(p.next, now)
	p.next = at.Add(time.Duration(n) * p.each)
	return sleep(ctx, at.Sub(now))
}

// gate holds everything back while the gateway takes nothing.
type gate struct {
	mu     sync.Mutex
	until  time.Time
	reason string
	fails  int // in a row
}

// wait waits until the gate is open.
func (g *gate) wait(ctx context.Context) error {
	for {
		g.mu.Lock()
		d := time.Until(g.until)
		g.mu.Unlock()
		if d <= 0 {
			return ctx.Err()
		}
		if err := sleep(ctx, d); err != nil {
			return err
		}
	}
}

// The waits after a failure when the gateway names none: doubled each time.
const (
	minHold = 200 * time.Millisecond
	maxHold = 30 * time.Second
)

// hold closes the gate for at least after, or for longer the more often it
// happens. Failures of what was under way together count once. A fifth is left
// to chance, so that several campaigns do not come back together.
func (g *gate) hold(after time.Duration, reason string, sentAt time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reason = reason
	if sentAt.Before(g.until) && g.fails > 0 {
		// It was sent before the gate was last shut.
		g.until = later(g.until, time.Now().Add(after))
		return
	}
	d := maxHold
	if g.fails < 8 {
		d = min(maxHold, minHold<<g.fails)
	}
	g.fails++
	d = max(d, after)
	g.until = time.Now().Add(d + rand.N(d/5+1))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// open notes that the gateway takes requests.
func (g *gate) open() {
	g.mu.Lock()
	g.fails, g.reason = 0, ""
	g.mu.Unlock()
}

// held tells why and until when nothing is sent; nothing if it is.
func (g *gate) held() (reason string, left time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if left = time.Until(g.until); left <= 0 || g.reason == "" {
		return "", 0
	}
	return g.reason, left
}

// sleep waits for d, or until ctx ends, which is its error.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
