package warm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const userAgent = "furima-warm/1"

// dialer is what the connections of one pool share.
type dialer struct {
	timeout time.Duration // of a whole request
	fields  []byte        // header lines after Host, with the empty line
	host    string        // overrides the Host header if not empty
	tls     *tls.Config
	opened  atomic.Int64
}

func newDialer(h http.Header, roots *x509.CertPool, timeout time.Duration) (*dialer, error) {
	d := &dialer{timeout: timeout}
	names := make([]string, 0, len(h))
	for name, values := range h {
		for _, v := range values {
			switch {
			case !validFieldName(name):
				return nil, fmt.Errorf("header name %q is not valid", name)
			case !validFieldValue(v):
				return nil, fmt.Errorf("the value of header %s holds characters that cannot stand in a header", name)
			case reservedField(name):
				return nil, fmt.Errorf("the header %s is the warmer's own", http.CanonicalHeaderKey(name))
			}
		}
		names = append(names, name)
	}
	slices.Sort(names)
	add := func(name, value string) {
		d.fields = append(append(append(append(d.fields, name...), ": "...), value...), "\r\n"...)
	}
	seen := map[string]bool{}
	for _, name := range names {
		key := http.CanonicalHeaderKey(name)
		seen[key] = true
		for _, v := range h[name] {
			if key == "Host" {
				d.host = v
			} else {
				add(key, v)
			}
		}
	}
	if !seen["User-Agent"] {
		add("User-Agent", userAgent)
	}
	if !seen["Accept"] {
		add("Accept", "*/*")
	}
	d.fields = append(d.fields, "\r\n"...)
	d.tls = &tls.Config{
		RootCAs:            roots,
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(32),
	}
	return d, nil
}

// dial opens a connection that is ready for requests.
func (d *dialer) dial(ctx context.Context, o *origin, deadline time.Time) (net.Conn, error) {
	// No second address at the same time (FallbackDelay), since a worker never
	// has two connections; no keep-alive probes, since its requests are that.
	nd := net.Dialer{Deadline: deadline, FallbackDelay: -1, KeepAlive: -1}
	c, err := nd.DialContext(ctx, o.network, o.addr)
	if err != nil {
		return nil, err
	}
	d.opened.Add(1)
	if o.serverName == "" {
		return c, nil
	}
	cfg := d.tls.Clone()
	cfg.ServerName = o.serverName
	tc := tls.Client(c, cfg)
	hctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if err := tc.HandshakeContext(hctx); err != nil {
		// The handshake's error says all; the connection is of no use.
		_ = c.Close()
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return tc, nil
}

// conn is one worker's connection, opened when it is needed and kept. All but
// abort belong to the worker.
type conn struct {
	d      *dialer
	to     origin
	c      net.Conn
	rd     reader
	out    []byte
	answer answer

	mu      sync.Mutex // c against abort
	aborted bool
}

// abort ends what the connection does, now and later. It may be called from
// any goroutine.
func (c *conn) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.aborted = true
	if c.c != nil {
		// Its worker closes it: it gets an error from whatever it does.
		_ = c.c.SetDeadline(time.Unix(1, 0))
	}
}

func (c *conn) close() {
	c.mu.Lock()
	nc := c.c
	c.c = nil
	c.mu.Unlock()
	if nc != nil {
		_ = nc.Close() // nothing was written that the close could lose
	}
}

func (c *conn) open(ctx context.Context, o *origin, deadline time.Time) error {
	nc, err := c.d.dial(ctx, o, deadline)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.c = nc
	c.mu.Unlock()
	c.to = *o
	c.rd.reset(nc)
	return nil
}

// get requests target (path and query) from o and reads the whole answer into
// c.answer. It opens the connection if need be, and once more if a kept one
// turns out to have been closed by the other side. An error means that no
// answer came: the origin could not be reached, or said nothing that is HTTP.
// Whatever happens, the connection is either kept and clean, or closed.
func (c *conn) get(ctx context.Context, o *origin, target []byte) error {
	deadline := time.Now().Add(c.d.timeout)
	for {
		kept := c.c != nil && c.to == *o
		if !kept {
			c.close()
			if err := c.open(ctx, o, deadline); err != nil {
				return c.explain(ctx, o, err)
			}
		}
		err := c.exchange(target, deadline)
		if err == nil && c.answer.reusable {
			return nil
		}
		c.close()
		switch {
		case err == nil && kept && c.answer.status == http.StatusRequestTimeout:
			continue // said to the idle connection, before this request
		case err == nil:
			return nil
		}
		if kept && !c.rd.got && isClosed(err) && ctx.Err() == nil {
			continue // and the next one is not kept
		}
		return c.explain(ctx, o, err)
	}
}

func (c *conn) exchange(target []byte, deadline time.Time) error {
	if err := c.setDeadline(deadline); err != nil {
		return err
	}
	host := c.to.host
	if c.d.host != "" {
		host = c.d.host
	}
	out := append(c.out[:0], "GET "...)
	if len(target) == 0 || target[0] != '/' {
		out = append(out, '/')
	}
	out = append(out, target...)
	out = append(out, " HTTP/1.1\r\nHost: "...)
	out = append(out, host...)
	out = append(out, "\r\n"...)
	c.out = append(out, c.d.fields...)
	c.rd.got = false
	if _, err := c.c.Write(c.out); err != nil {
		return err
	}
	return c.rd.response(&c.answer)
}

func (c *conn) setDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.aborted {
		return net.ErrClosed
	}
	return c.c.SetDeadline(t)
}

// isClosed reports whether err says that the other side had closed the
// connection.
func isClosed(err error) bool {
	return errors.Is(err, errTruncated) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// explain makes the error of a request one short line.
func (c *conn) explain(ctx context.Context, o *origin, err error) error {
	var op *net.OpError
	var errno syscall.Errno
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer from %s within %s", o.addr, c.d.timeout)
	case errors.Is(err, errTruncated) && !c.rd.got:
		return fmt.Errorf("%s closed the connection without an answer", o.addr)
	case errors.As(err, &op) && op.Op == "dial":
		err = op.Err
		if errors.As(err, &errno) {
			err = errno
		}
		return fmt.Errorf("connect to %s: %w", o.addr, err)
	case errors.As(err, &errno):
		return errno
	}
	return err
}

// loadRoots reads the roots to trust; nil means the system's.
func loadRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, fmt.Errorf("cannot read %s: %w", file, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(raw) {
		return nil, fmt.Errorf("%s holds no PEM certificate", file)
	}
	return pool, nil
}
