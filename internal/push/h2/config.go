package h2

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"
)

// Config says where a pool connects to and how. Only URL is required.
type Config struct {
	// URL is the origin, "https://host[:port]". "http://…" speaks HTTP/2
	// without TLS, by prior knowledge.
	URL string
	// Name labels the pool in logs and metrics, one of a small set like
	// "apns". Empty means the host of URL.
	Name string
	// TLS has roots, client certificates and the like. It is cloned; ServerName
	// is taken from URL if it is empty. nil means the system's roots.
	TLS *tls.Config
	// Dial opens the connection that TLS is spoken on. nil means TCP.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Connections is how many connections there are at most; they are opened
	// as they are needed. 0 means 4.
	Connections int
	// MaxStreams is how many requests are under way on one connection at most;
	// the server's limit holds as well. 0 means 1000.
	MaxStreams int
	// InitialStreams, if not 0, is how many requests a new connection carries
	// until the server's settings have come and it has given one answer that
	// is neither a refusal of the credentials (401, 403), nor 429, nor a 5xx.
	// They are sent without waiting for the settings, so use 1 unless the server
	// is known to take more. 0 means to wait for the settings and then to use
	// them.
	InitialStreams int
	// MaxQueued is how many requests may wait for a connection; Start waits
	// while there is no room. A batch that is larger than this gets in when
	// nothing else waits. 0 means 65536.
	MaxQueued int
	// Timeout is how long an answer may take from when its request was written.
	// 0 means 30 s. It is checked about every quarter of a second.
	Timeout time.Duration
	// QueueTimeout is how long a request may wait for a connection to take it.
	// 0 means as long as the context of its batch lasts.
	QueueTimeout time.Duration
	// GiveUpAfter is after how many failures in a row to get a connection that
	// is of use, with none left, requests that wait end with Queued, and so do
	// Starts. Those that come later are for the next attempt. 0 means that they
	// wait.
	GiveUpAfter int
	// DialTimeout is for opening a connection, the TLS handshake and the
	// server's settings included. 0 means 10 s.
	DialTimeout time.Duration
	// PingAfter is how long a connection may be silent while requests wait for
	// answers before it is checked with a PING. A connection that was silent
	// for so long while it had nothing to do is checked before it is used.
	// 0 means 10 s.
	PingAfter time.Duration
	// PingTimeout is how long the answer to a PING may take. 0 means 5 s.
	PingTimeout time.Duration
	// IdleTimeout closes a connection that had nothing to do for so long. 0
	// means never.
	IdleTimeout time.Duration
	// BackoffMin is the wait before connecting again after a failure. It
	// doubles with every further failure up to BackoffMax and is spread by
	// jitter of one half either way. 0 means 100 ms and 30 s.
	BackoffMin, BackoffMax time.Duration
	// Keep names the fields of answers that are kept, at most MaxKept, in lower
	// case.
	Keep []string
	// MaxBodyBytes is how much of an answer's body is kept, at most 32768. 0
	// means 4096.
	MaxBodyBytes int
	// DiscardOK drops the bodies of answers with a status of 2xx.
	DiscardOK bool
	// Spent, if not nil, is asked about every answer that is no success whether
	// the connection that it came on is to take no more requests: it is closed
	// when those that it has are answered, and another takes its place. Spent is
	// called under a lock: it must be quick and call nothing of the pool.
	Spent func(*Response) bool
	// Logger gets the connections' troubles. nil means none.
	Logger *slog.Logger
	// Metrics may be shared by pools. nil means none.
	Metrics *Metrics
}

// target is what a Config's URL says.
type target struct {
	secure          bool
	authority, addr string
	host            string
}

func or[T comparable](v, or T) T {
	var zero T
	if v == zero {
		return or
	}
	return v
}

// maxWindow is the largest flow-control window of HTTP/2.
const maxWindow = 1<<31 - 1

// initialWindow is the flow-control window of a new stream or connection
// before any setting.
const initialWindow = 65535

// maxBody bounds MaxBodyBytes so that a body fits into the window of its
// stream, some padding included.
const maxBody = 32 << 10

func (c *Config) complete() (target, error) {
	t, err := parseTarget(c.URL)
	if err != nil {
		return t, err
	}
	c.Name = or(c.Name, t.host)
	c.Connections = or(c.Connections, 4)
	c.MaxStreams = or(c.MaxStreams, 1000)
	c.MaxQueued = or(c.MaxQueued, 1<<16)
	c.Timeout = or(c.Timeout, 30*time.Second)
	c.DialTimeout = or(c.DialTimeout, 10*time.Second)
	c.PingAfter = or(c.PingAfter, 10*time.Second)
	c.PingTimeout = or(c.PingTimeout, 5*time.Second)
	c.BackoffMin = or(c.BackoffMin, 100*time.Millisecond)
	c.BackoffMax = max(or(c.BackoffMax, 30*time.Second), c.BackoffMin)
	c.MaxBodyBytes = or(c.MaxBodyBytes, 4<<10)
	if c.Connections < 0 || c.MaxStreams < 0 || c.InitialStreams < 0 || c.MaxQueued < 0 || c.GiveUpAfter < 0 {
		return t, errors.New("h2: a count in the configuration is negative")
	}
	for _, d := range []time.Duration{c.Timeout, c.QueueTimeout, c.DialTimeout, c.PingAfter, c.PingTimeout, c.IdleTimeout, c.BackoffMin} {
		if d < 0 {
			return t, errors.New("h2: a duration in the configuration is negative")
		}
	}
	if c.MaxBodyBytes < 0 || c.MaxBodyBytes > maxBody {
		return t, fmt.Errorf("h2: MaxBodyBytes %d is not in 0…%d", c.MaxBodyBytes, maxBody)
	}
	if len(c.Keep) > MaxKept {
		return t, fmt.Errorf("h2: at most %d fields can be kept", MaxKept)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	c.TLS = c.tls(t.host)
	return t, nil
}

// tls returns a configuration of TLS that offers HTTP/2 alone.
func (c *Config) tls(host string) *tls.Config {
	t := &tls.Config{}
	if c.TLS != nil {
		t = c.TLS.Clone()
	}
	t.NextProtos = []string{"h2"}
	t.ServerName = or(t.ServerName, host)
	t.MinVersion = max(t.MinVersion, tls.VersionTLS12)
	// Records grow to 16 KiB from the start: a write here has many requests
	// in it, and none of them waits for the end of its record.
	t.DynamicRecordSizingDisabled = true
	if t.ClientSessionCache == nil {
		t.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	}
	return t
}

func parseTarget(s string) (target, error) {
	u, err := url.Parse(s)
	if err != nil {
		return target{}, errors.New("h2: the URL cannot be parsed") // it may hold a password
	}
	t := target{secure: u.Scheme == "https", host: u.Hostname(), authority: u.Host}
	port := u.Port()
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return t, errors.New("h2: the URL does not begin with https:// or http://")
	case t.host == "":
		return t, errors.New("h2: the URL has no host")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/":
		return t, errors.New("h2: the URL has more than a scheme, a host and a port")
	case port == "" && t.secure:
		port = "443"
	case port == "":
		port = "80"
	}
	t.addr = net.JoinHostPort(t.host, port)
	return t, nil
}
