package h2

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"time"
)

// keep opens connections and watches over time-outs until ctx ends. It is the
// only goroutine with a timer, and sleeps without one while there is nothing
// to do.
func (p *Pool) keep(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		p.tick(ctx, time.Now())
		if d := p.nap(); d > 0 {
			timer.Reset(d)
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return
		case <-p.kick:
		case <-timer.C:
		}
	}
}

// tick does what is due.
func (p *Pool) tick(ctx context.Context, now time.Time) {
	p.mu.Lock()
	p.asleep = false
	if p.wantsConn() && !now.Before(p.notUntil) {
		p.dialing++
		p.wg.Go(func() { p.dial(ctx) })
	}
	var late []call
	if p.cfg.QueueTimeout > 0 {
		late = p.queue.remove(func(_ *Batch, since time.Time) bool { return now.Sub(since) > p.cfg.QueueTimeout })
		err := &Error{Reason: Queued, Err: p.lastErr}
		for _, c := range late {
			c.response().Err = err
		}
		p.grant()
		p.waiting.Store(int64(p.queue.n))
	}
	conns := slices.Clone(p.conns)
	p.mu.Unlock()
	for _, c := range conns {
		late = c.tick(now, late)
	}
	p.deliver(late)
}

// nap returns how long the keeper may sleep; 0 means until it is kicked.
func (p *Pool) nap() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	var d time.Duration
	switch {
	case p.active > 0:
		d = p.period()
	case p.cfg.IdleTimeout > 0 && len(p.conns) > 0:
		d = p.cfg.IdleTimeout/4 + time.Millisecond
	default:
		// A connection that is opening, or that ends its last stream, has a
		// time-out too.
		for _, c := range p.conns {
			if c.unsettled.Load() {
				d = p.period()
			}
		}
	}
	if p.wantsConn() {
		if until := time.Until(p.notUntil); until > 0 {
			d = min(or(d, until), until)
		}
	}
	p.asleep = d == 0 || p.active == 0
	return d
}

// period is how often time-outs are looked at while there is work.
func (p *Pool) period() time.Duration {
	d := min(p.cfg.Timeout, p.cfg.PingAfter, p.cfg.PingTimeout, 2*time.Second)
	if p.cfg.QueueTimeout > 0 {
		d = min(d, p.cfg.QueueTimeout)
	}
	return max(d/8, 5*time.Millisecond)
}

// wantsConn reports whether another connection is to be opened: more waits than
// the open ones can take, and none is on its way. mu is held.
func (p *Pool) wantsConn() bool {
	if p.queue.n == 0 || p.dialing > 0 || p.closed {
		return false
	}
	usable, free := 0, 0
	for _, c := range p.conns {
		if c.unsettled.Load() {
			return false
		}
		if c.leaving.Load() {
			continue
		}
		usable++
		free += int(max(c.free.Load(), 0))
	}
	return usable < p.cfg.Connections && free < p.queue.n
}

// dial opens a connection and lets it run.
func (p *Pool) dial(ctx context.Context) {
	nc, w, err := p.connect(ctx)
	p.mu.Lock()
	p.dialing--
	if err == nil && p.closed {
		err = ErrClosed
		defer nc.Close()
	}
	if err != nil {
		delay := p.failed(err, time.Now())
		late := p.giveUp()
		closed := p.closed
		p.mu.Unlock()
		p.deliver(late)
		p.cfg.Metrics.connects.WithLabelValues(p.cfg.Name, "failed").Inc()
		if !closed {
			p.cfg.Logger.Warn("no connection to the provider", "pool", p.cfg.Name, "addr", p.target.addr, "err", err, "retry_in_ms", delay.Milliseconds())
		}
		p.kickKeeper()
		return
	}
	c := newConn(p, nc, w)
	p.conns = append(p.conns, c)
	p.wg.Go(c.read)
	p.wg.Go(c.write)
	p.mu.Unlock()
	p.cfg.Metrics.connects.WithLabelValues(p.cfg.Name, "ok").Inc()
	p.cfg.Metrics.connections.WithLabelValues(p.cfg.Name).Inc()
	p.kickKeeper()
}

// connect opens a connection, TLS included.
func (p *Pool) connect(ctx context.Context) (net.Conn, *wire, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.DialTimeout)
	defer cancel()
	raw, err := p.cfg.Dial(ctx, "tcp", p.target.addr)
	if err != nil {
		return nil, nil, fmt.Errorf("connect: %w", err)
	}
	w := newWire(raw)
	if !p.target.secure {
		return w, w, nil
	}
	t := tls.Client(w, p.cfg.TLS)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, nil, fmt.Errorf("TLS handshake: %w", err)
	}
	if got := t.ConnectionState().NegotiatedProtocol; got != "h2" {
		_ = raw.Close()
		return nil, nil, errors.New("the server does not speak HTTP/2")
	}
	return t, w, nil
}

// failed notes that there is, or soon was, no connection, and returns how long
// none is tried. mu is held.
func (p *Pool) failed(err error, now time.Time) time.Duration {
	p.lastErr = err
	d := p.cfg.BackoffMin
	for range p.failures {
		if d *= 2; d >= p.cfg.BackoffMax {
			d = p.cfg.BackoffMax
			break
		}
	}
	p.failures++
	d = d/2 + rand.N(d+1) //nolint:gosec // jitter
	p.notUntil = now.Add(d)
	return d
}

// giveUp ends what waits, and returns it, when too many connections in a row
// were no good and there is none. mu is held.
func (p *Pool) giveUp() []call {
	if p.cfg.GiveUpAfter == 0 || p.failures < p.cfg.GiveUpAfter || len(p.conns) > 0 || p.dialing > 0 {
		return nil
	}
	err := &Error{Reason: Queued, Err: p.lastErr}
	late := p.queue.remove(func(*Batch, time.Time) bool { return true })
	for _, c := range late {
		c.response().Err = err
	}
	for _, w := range p.waiters {
		w.err = err
		close(w.ready)
	}
	p.waiters = nil
	p.waiting.Store(0)
	return late
}

// proved is called when a connection has given its first answer.
func (p *Pool) proved() {
	p.mu.Lock()
	p.failures, p.lastErr = 0, nil
	p.mu.Unlock()
}

// noteFailure is failed for those who do not hold mu.
func (p *Pool) noteFailure(err error) {
	p.mu.Lock()
	p.failed(err, time.Now())
	p.mu.Unlock()
}

// dropConn takes a closed connection out of the pool. good says that it was of
// use and ended as connections do; otherwise the next one has to wait.
func (p *Pool) dropConn(c *conn, good bool, err error) {
	p.mu.Lock()
	if i := slices.Index(p.conns, c); i >= 0 {
		p.conns = slices.Delete(p.conns, i, i+1)
	}
	var late []call
	if !good {
		p.failed(err, time.Now())
		late = p.giveUp()
	}
	p.stir()
	p.mu.Unlock()
	p.deliver(late)
}
