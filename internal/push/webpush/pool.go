package webpush

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
)

// pool is the connections to one origin. They are made when there is something
// to send, one at a time, and at most maxConns.
type pool struct {
	transport *http.Transport
	addr      string
	closers   *sync.WaitGroup // of goroutines that close connections

	mu      sync.Mutex // guards what follows
	conns   []*conn
	leaving []*conn // no more requests go there; closed after the last
	dialing bool
	dialErr error         // of the last attempt, nil after a success
	dials   int           // attempts that have ended
	changed chan struct{} // closed when it is worth looking again, if anybody waits; else nil
	closed  bool
}

// conn is a connection.
type conn struct {
	*http.ClientConn
	answered bool // it has had an answer; guarded by the pool's lock
}

// Errors of acquire that are not those of a connection attempt.
var (
	errClosed = errors.New("the sender is closed")
	errNoRoom = errors.New("no connection has room for another request")
)

// lease is room for one request on a connection.
type lease struct {
	c      *conn
	reused bool // it has had an answer before
	waited bool // there was no room at first
}

// acquire returns room for one request, which must be followed by release. It
// waits for it, or makes a connection, until ctx ends. The error of a connection
// that cannot be made is given to all who wait for it.
func (p *pool) acquire(ctx context.Context) (lease, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for waited := false; ; waited = true {
		if p.closed {
			return lease{}, errClosed
		}
		if c := p.reserve(); c != nil {
			return lease{c, c.answered, waited}, nil
		}
		if !p.dialing && len(p.conns) < maxConns {
			if err := p.dial(ctx); err != nil {
				return lease{}, err
			}
			continue
		}
		if p.changed == nil {
			p.changed = make(chan struct{})
		}
		changed, dials := p.changed, p.dials
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		p.mu.Lock()
		switch {
		case ctx.Err() != nil && len(p.conns) > 0:
			return lease{}, errNoRoom
		case ctx.Err() != nil:
			return lease{}, ctx.Err()
		case p.dials != dials && p.dialErr != nil && len(p.conns) == 0:
			return lease{}, p.dialErr
		}
	}
}

// reserve takes room on a connection, if there is any, and drops those that are
// of no use any more. p.mu is held.
func (p *pool) reserve() *conn {
	// One that was told to go away has no room and ends with its requests. The
	// order matters: a request may end in between, and none begins.
	p.conns = p.closeIf(p.conns, func(c *conn) bool { return c.Err() != nil || c.InFlight() == 0 && c.Available() == 0 })
	for _, c := range p.conns {
		if c.Reserve() == nil {
			return c
		}
	}
	return nil
}

// closeIf closes connections that have nothing to lose and returns the others.
func (p *pool) closeIf(conns []*conn, dead func(*conn) bool) []*conn {
	return slices.DeleteFunc(conns, func(c *conn) bool {
		if !dead(c) {
			return false
		}
		// TLS says goodbye, for which a peer that does not read can make it wait.
		p.closers.Go(func() { _ = c.Close() })
		return true
	})
}

func isIdle(c *conn) bool { return c.InFlight() == 0 }

// dial makes a connection. p.mu is held, but not while it waits.
func (p *pool) dial(ctx context.Context) error {
	p.dialing = true
	p.mu.Unlock()
	cc, err := p.transport.NewClientConn(ctx, "https", p.addr)
	p.mu.Lock()
	p.dialing = false
	p.wake()
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // which says nothing to others
	}
	p.dials++
	p.dialErr = err
	switch {
	case err != nil:
		return err
	case p.closed:
		return errors.Join(errClosed, cc.Close())
	}
	p.conns = append(p.conns, &conn{ClientConn: cc})
	return nil
}

// wake has everybody who waits look again. p.mu is held.
func (p *pool) wake() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// release ends a request. answered says that there was an answer.
func (p *pool) release(c *conn, answered bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if answered {
		c.answered = true
	}
	p.leaving = p.closeIf(p.leaving, isIdle)
	p.wake()
}

// reset lets go of all connections: requests end, new ones go elsewhere.
func (p *pool) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaving = p.closeIf(append(p.leaving, p.conns...), isIdle)
	p.conns = nil
	p.wake()
}

// close closes all connections for good; none has requests any more.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.closeIf(append(p.leaving, p.conns...), func(*conn) bool { return true })
	p.conns, p.leaving = nil, nil
	p.wake()
}
