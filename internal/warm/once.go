package warm

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultOnceWorkers   = 16
	defaultProgressEvery = 100 * time.Millisecond
	// manyCombinations is from where on a call of Once counts as what the
	// process is there for.
	manyCombinations = 1000
)

// OnceOptions are the options of Once; the zero value is usable.
type OnceOptions struct {
	// Workers is the number of requests under way at once, and the most
	// connections that are ever open. 0 means 16. The most is 4096.
	Workers int
	// Timeout bounds one request, connecting included. 0 means 10 s.
	Timeout time.Duration
	// Header is sent with every request. User-Agent and Accept have defaults;
	// Host overrides the URL's.
	Header http.Header
	// RootCAs are trusted instead of the system's, if not nil.
	RootCAs *x509.CertPool
	// Progress is called from one goroutine every ProgressEvery (0 means
	// 100 ms) and once at the end. May be nil.
	Progress      func(Progress)
	ProgressEvery time.Duration
}

// Once requests every combination of a plan once. It returns an error only if
// the options cannot be used or ctx ends; the Summary tells what happened to
// the combinations, and is right after an end of ctx too.
func Once(ctx context.Context, p *Plan, o OnceOptions) (Summary, error) {
	if o.Workers == 0 {
		o.Workers = defaultOnceWorkers
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	switch {
	case o.Workers < 0 || o.Workers > maxWorkers:
		return Summary{}, fmt.Errorf("workers must be 1 to %d", maxWorkers)
	case o.Timeout < 0:
		return Summary{}, fmt.Errorf("timeout must not be negative")
	}
	d, err := newDialer(o.Header, o.RootCAs, o.Timeout)
	if err != nil {
		return Summary{}, err
	}
	if p.Count() >= manyCombinations {
		releasePages()
	}
	workers := int(min(int64(o.Workers), p.Count()))
	t := &tally{start: time.Now(), total: p.Count()}
	stopProgress := reportProgress(t, o)
	run := &onceRun{plan: p, d: d, tally: t}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() { run.work(ctx) })
	}
	wg.Wait()
	stopProgress()
	sum := t.summary(workers, d.opened.Load())
	if sum.Skipped > 0 {
		return sum, fmt.Errorf("warm: %w", context.Cause(ctx))
	}
	return sum, nil
}

// reportProgress calls o.Progress until the function it returns is called,
// which makes the last call itself.
func reportProgress(t *tally, o OnceOptions) (stop func()) {
	if o.Progress == nil {
		return func() {}
	}
	every := o.ProgressEvery
	if every <= 0 {
		every = defaultProgressEvery
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				o.Progress(t.progress())
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
		o.Progress(t.progress())
	}
}

// onceRun is one call of Once: what its workers share.
type onceRun struct {
	plan  *Plan
	next  atomic.Int64
	d     *dialer
	tally *tally
}

func (r *onceRun) work(ctx context.Context) {
	c := &conn{d: r.d}
	defer c.close()
	defer context.AfterFunc(ctx, c.abort)()
	var u urlMaker
	for ctx.Err() == nil {
		i := r.next.Add(1) - 1
		if i >= r.tally.total {
			return
		}
		url := func() string { return r.plan.URL(i) }
		o, target, err := u.make(r.plan, i)
		if err != nil {
			r.tally.fail(0, err.Error(), url)
			continue
		}
		start := time.Now()
		switch err := c.get(ctx, o, target); {
		case err == nil:
			r.tally.answered(&c.answer, time.Since(start), url)
		case ctx.Err() == nil:
			r.tally.fail(0, err.Error(), url)
		}
	}
}

// urlMaker makes combinations in a buffer that it reuses, and remembers the
// last origin, since most plans have one.
type urlMaker struct {
	buf    []byte
	prefix []byte // scheme and authority of last
	last   *origin
}

// make returns the origin of combination i and what to request from it, which
// is valid until the next call.
func (u *urlMaker) make(p *Plan, i int64) (*origin, []byte, error) {
	t, k := p.at(i)
	u.buf = t.append(u.buf[:0], k)
	if t.fixed != nil {
		return t.fixed, u.buf[t.fixedBytes:], nil
	}
	return u.split()
}

func (u *urlMaker) split() (*origin, []byte, error) {
	n, ok := originBytes(u.buf)
	if !ok {
		return nil, nil, errNoScheme
	}
	if u.last == nil || !bytes.Equal(u.prefix, u.buf[:n]) {
		o, err := parseOrigin(string(u.buf[:n]))
		if err != nil {
			return nil, nil, err
		}
		u.last, u.prefix = o, append(u.prefix[:0], u.buf[:n]...)
	}
	return u.last, u.buf[n:], nil
}
