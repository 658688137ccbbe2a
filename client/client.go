// Package client is the typed Go client of furima's two HTTP APIs, with their
// wire types: Client speaks to the market (furima api), Push to the push
// gateway (furima push). The roles of furima use it to speak to each other, and
// so may any other program.
//
// Begin with New and Register or LogIn, or with NewPush:
//
//	c := client.New(client.Options{BaseURL: "http://127.0.0.1:8080"})
//	session, err := c.LogIn(ctx, client.Credentials{Email: email, Password: password})
//	if err != nil {
//		return err
//	}
//	c = c.WithToken(session.Token)
//	for item, err := range c.AllItems(ctx, client.ItemQuery{Sort: client.SortNew}) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(item.ID, item.Price, item.Title)
//	}
//
// A refusal by the server is a *Problem: take it out of an error with
// errors.AsType[*client.Problem]. Every other error means that it is not known
// whether the server did what it was asked.
//
// The package retries nothing and never sleeps; a Problem says in RetryAfter
// when to come again. It does not follow redirects, so that a token is never
// sent to another host. Answers are read up to a limit. Fields of answers that
// this version does not know are ignored.
//
// A Client and a Push are safe for concurrent use; they hold nothing but idle
// connections (CloseIdleConnections) and start no goroutine of their own. It
// imports the standard library only.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// MaxResponseBytes is the largest answer that is read. A larger one is an error.
const MaxResponseBytes = 16 << 20

// DefaultTimeout bounds a whole call when no HTTPClient is given. A context
// bounds it more tightly.
const DefaultTimeout = 30 * time.Second

const defaultUserAgent = "furima-client/1"

// Options say how to reach the market API.
type Options struct {
	// BaseURL is where the API is: "https://market.example",
	// "http://127.0.0.1:8080" or "unix:/path". A wrong one is an error of every call.
	BaseURL string
	// Token is the bearer token of a session; empty for nobody's.
	Token string
	// HTTPClient is used as it is if set, but for a unix socket, which brings
	// its own transport. nil means one with DefaultTimeout that keeps connections
	// and follows no redirects.
	HTTPClient *http.Client
	// UserAgent is sent with every request; empty means the package's name.
	UserAgent string
}

// Client calls the market API. Make one with New.
type Client struct{ caller }

// New returns a client. It does no I/O.
func New(o Options) *Client {
	return &Client{newCaller(o.BaseURL, o.Token, o.UserAgent, o.HTTPClient)}
}

// WithToken returns a client that shares c's connections and acts for the
// session of token; an empty token acts for nobody.
func (c *Client) WithToken(token string) *Client {
	d := *c
	d.token = token
	return &d
}

// caller makes the calls of both APIs.
type caller struct {
	base      string // without a trailing slash
	err       error  // of the base URL
	token     string
	userAgent string
	http      *http.Client
}

func newCaller(base, token, userAgent string, hc *http.Client) caller {
	c := caller{token: token, userAgent: userAgent, http: hc}
	if c.userAgent == "" {
		c.userAgent = defaultUserAgent
	}
	if path, ok := strings.CutPrefix(base, "unix:"); ok {
		// The host is a name only; every connection goes to the socket.
		c.base = "http://unix"
		c.http = overSocket(path, hc)
		return c
	}
	if c.http == nil {
		c.http = &http.Client{Timeout: DefaultTimeout, Transport: newTransport(), CheckRedirect: noRedirect}
	}
	u, err := url.Parse(base)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		// The URL may hold a password: it is not repeated.
		c.err = errors.New("base URL must be http://host, https://host or unix:/path")
	default:
		c.base = strings.TrimRight(base, "/")
	}
	return c
}

// newTransport returns a transport for one server and many concurrent calls.
// It gives idle connections up before furima's servers do (after 120 seconds),
// so that no call meets a connection that is being closed.
func newTransport() *http.Transport {
	d := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           d.DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: DefaultTimeout,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          256,
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       55 * time.Second,
	}
}

func overSocket(path string, hc *http.Client) *http.Client {
	t := newTransport()
	t.Proxy = nil
	d := &net.Dialer{Timeout: 5 * time.Second}
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "unix", path)
	}
	out := &http.Client{Timeout: DefaultTimeout, Transport: t, CheckRedirect: noRedirect}
	if hc != nil {
		out.Timeout = hc.Timeout
	}
	return out
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// CloseIdleConnections closes connections that no call uses.
func (c *caller) CloseIdleConnections() { c.http.CloseIdleConnections() }

type idempotencyKey struct{}

// WithIdempotencyKey returns a context that makes one call of the market API
// have its effect once: repeat the call with the same key and the same content
// after an answer that did not arrive, and it gets the first one's answer. Keys
// are yours to choose, at most 255 printable characters, a new one for each
// thing that is to happen. The market knows them again for a day.
func WithIdempotencyKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, idempotencyKey{}, key)
}

// call is one request.
type call struct {
	method, path string
	query        url.Values
	header       http.Header
	body         io.Reader // nil: none, or json
	contentType  string
	json         any // the body, unless nil
}

// do makes the call and decodes the answer into out, which may be nil.
func (c *caller) do(ctx context.Context, k call, out any) error {
	body, err := c.raw(ctx, k)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("decode answer of %s %s: %w", k.method, k.path, err)
	}
	return nil
}

// raw makes the call and returns the body of the answer, or the Problem in it.
func (c *caller) raw(ctx context.Context, k call) ([]byte, error) {
	res, err := c.send(ctx, k)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxResponseBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read answer of %s %s: %w", k.method, k.path, err)
	case len(body) > MaxResponseBytes:
		return nil, fmt.Errorf("read answer of %s %s: larger than %d bytes", k.method, k.path, MaxResponseBytes)
	case res.StatusCode/100 != 2:
		return nil, newProblem(res, body)
	}
	return body, nil
}

func (c *caller) send(ctx context.Context, k call) (*http.Response, error) {
	if c.err != nil {
		return nil, c.err
	}
	body, contentType := k.body, k.contentType
	if k.json != nil {
		b, err := json.Marshal(k.json)
		if err != nil {
			return nil, fmt.Errorf("encode request of %s %s: %w", k.method, k.path, err)
		}
		body, contentType = bytes.NewReader(b), "application/json"
	}
	target := c.base + k.path
	if len(k.query) > 0 {
		target += "?" + k.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, k.method, target, body)
	if err != nil {
		return nil, fmt.Errorf("make request of %s %s: %w", k.method, k.path, err)
	}
	for name, values := range k.header {
		req.Header[name] = values
	}
	if key, ok := ctx.Value(idempotencyKey{}).(string); ok && k.method == http.MethodPost {
		req.Header.Set("Idempotency-Key", key)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	req.Header.Set("User-Agent", c.userAgent)
	req.Header.Set("Accept", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("call: %w", err)
	}
	return res, nil
}

// isJSON reports whether a Content-Type is JSON, problem documents included.
func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == "application/json" || strings.HasSuffix(t, "+json"))
}

// segment escapes a value as one path segment, so that no value can reach
// another route.
func segment(v string) string {
	if v == "" || v == "." || v == ".." {
		// The server would clean such a path into another one.
		return "%00"
	}
	return url.PathEscape(v)
}
