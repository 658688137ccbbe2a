package push

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/furima/furima/client"
)

// hooks post the apps' dead tokens to where they want them, one goroutine an app.
type hooks struct {
	g       *Gateway
	wg      sync.WaitGroup
	running map[string]runningHook // by app
}

type runningHook struct {
	cfg  WebhookConfig
	stop func()
}

func newHooks(g *Gateway) *hooks { return &hooks{g: g, running: make(map[string]runningHook)} }

// update starts what is new, stops what is gone, and restarts what has changed.
// All run until ctx ends.
func (h *hooks) update(ctx context.Context, apps []*app) {
	wanted := make(map[string]WebhookConfig)
	for _, a := range apps {
		if a.webhook.Enabled() {
			wanted[a.name] = a.webhook
		}
	}
	for name, r := range h.running {
		if wanted[name] != r.cfg {
			r.stop()
			delete(h.running, name)
		}
	}
	for name, cfg := range wanted {
		if _, runs := h.running[name]; runs {
			continue
		}
		hookCtx, stop := context.WithCancel(ctx)
		h.running[name] = runningHook{cfg, stop}
		k := newHook(h.g, name, cfg)
		h.wg.Go(func() { k.run(hookCtx) })
	}
}

// wait waits until all have ended.
func (h *hooks) wait() {
	for _, r := range h.running {
		r.stop()
	}
	h.wg.Wait()
}

// hook posts one app's dead tokens. What has been posted is in the database, so
// that a restart goes on there; a lease keeps several gateways on one database
// from posting the same.
type hook struct {
	app     string
	cfg     WebhookConfig
	gw      *Gateway
	lease   hookLease
	metrics *hookMetrics
	client  *http.Client // made by run
}

func newHook(g *Gateway, app string, cfg WebhookConfig) *hook {
	return &hook{
		app: app, cfg: cfg, gw: g,
		lease:   hookLease{db: g.db, app: app, owner: newBase().String(), length: cfg.Timeout + 30*time.Second},
		metrics: g.metrics.hook(app),
	}
}

// Limits of a webhook.
const (
	maxHookBytes  = 1 << 20 // of a request's body, about
	maxHookAnswer = 4 << 10 // of an answer that is read, so that the connection can be kept
	hookRetryMin  = time.Second
	hookRetryMax  = 5 * time.Minute
	maxHookWait   = time.Hour // that an answer may ask for
)

// run posts until ctx ends.
func (k *hook) run(ctx context.Context) {
	if err := k.dial(); err != nil {
		k.gw.logger.Error("dead tokens cannot be posted", "app", k.app, "err", err)
		return
	}
	defer k.client.CloseIdleConnections()
	t := time.NewTimer(k.cfg.Interval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		wait, err := k.round(ctx)
		if err != nil && ctx.Err() == nil {
			k.gw.logger.Warn("dead tokens cannot be posted now, nothing is lost", "app", k.app, "retry_in_seconds", wait.Seconds(), "err", err)
		}
		t.Reset(wait)
	}
}

// round posts a batch if there is one, and returns how long to wait for the next.
func (k *hook) round(ctx context.Context) (time.Duration, error) {
	now := k.gw.now()
	state, err := k.lease.read(ctx)
	if err != nil {
		return k.cfg.Interval, err
	}
	page, next, err := k.page(ctx, state.last)
	if err != nil || len(page.Tokens) == 0 {
		return k.cfg.Interval, err
	}
	if wait := state.notBefore(now); wait > 0 {
		return min(wait, k.cfg.Interval), nil
	}
	state, err = k.lease.take(ctx, state.last, now)
	if err != nil || !state.ours {
		return k.cfg.Interval, err
	}
	answer := k.post(ctx, page)
	k.metrics.posted(answer.outcome, answer.took)
	if ctx.Err() != nil && answer.err != nil {
		// Nobody's fault; another may go on at once.
		release, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		return 0, k.lease.giveBack(release)
	}
	if answer.err != nil {
		wait := max(backoff(hookRetryMin, hookRetryMax, state.failures), answer.after)
		return min(wait, k.cfg.Interval), errors.Join(answer.err, k.lease.failed(ctx, state.failures+1, k.gw.now().Add(wait)))
	}
	full := len(page.Tokens) >= k.cfg.BatchSize
	// It has been taken: that is put down even if the gateway is about to stop.
	save, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := k.lease.advance(save, state.last, next, full, k.gw.now()); err != nil {
		return k.cfg.Interval, err // the batch is posted twice
	}
	k.metrics.tokens.Add(float64(len(page.Tokens)))
	if full {
		return 0, nil
	}
	return k.cfg.Interval, nil
}

// page returns what comes after a feedback id, and the id to go on from.
func (k *hook) page(ctx context.Context, last int64) (client.FeedbackPage, int64, error) {
	limit := k.cfg.BatchSize
	for {
		tokens, next, err := k.gw.results.feedback(ctx, access{apps: []string{k.app}}, last, limit)
		if err != nil {
			return client.FeedbackPage{}, 0, err
		}
		size := 0
		fit := len(tokens)
		for i := range tokens {
			if size += len(tokens[i].Token) + 128; size > maxHookBytes && i > 0 {
				fit = i
				break
			}
		}
		if fit == len(tokens) {
			return client.FeedbackPage{Tokens: tokens, NextCursor: encodeCursor(next)}, next, nil
		}
		limit = fit // again, for the id that belongs to it
	}
}

// hookAnswer is how a post went.
type hookAnswer struct {
	outcome string // as metrics have it
	after   time.Duration
	took    time.Duration
	err     error
}

// post sends a page.
func (k *hook) post(ctx context.Context, page client.FeedbackPage) hookAnswer {
	body, err := json.Marshal(page)
	if err != nil {
		return hookAnswer{outcome: "failed", err: fmt.Errorf("encode dead tokens: %w", err)}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, k.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return hookAnswer{outcome: "failed", err: errors.New("make request: the URL is wrong")}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "furima-push")
	// By the true time: the receiver compares it with his.
	req.Header.Set(client.WebhookSignature, client.SignWebhook(body, k.cfg.Secret, time.Now()))
	began := time.Now()
	res, err := k.client.Do(req)
	took := time.Since(began)
	if err != nil {
		outcome := "failed"
		if errors.Is(err, errNotPublic) {
			outcome = "forbidden"
		}
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the URL, which may hold a key
		}
		return hookAnswer{outcome: outcome, took: took, err: fmt.Errorf("post to %s: %w", req.URL.Host, err)}
	}
	_, _ = io.CopyN(io.Discard, res.Body, maxHookAnswer)
	_ = res.Body.Close()
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return hookAnswer{outcome: "ok", took: took}
	}
	return hookAnswer{
		outcome: "refused", took: took, after: retryAfter(res.Header.Get("Retry-After"), time.Now()),
		err: fmt.Errorf("post to %s: answered %d", req.URL.Host, res.StatusCode),
	}
}

// retryAfter reads the header: seconds or a date.
func retryAfter(v string, now time.Time) time.Duration {
	if s, err := strconv.ParseUint(v, 10, 31); err == nil {
		return min(time.Duration(s)*time.Second, maxHookWait)
	}
	if t, err := http.ParseTime(v); err == nil {
		return min(max(t.Sub(now), 0), maxHookWait)
	}
	return 0
}

var errNotPublic = errors.New("the address is not a public one, and allow_private is not set")

// dial prepares what requests are made with.
func (k *hook) dial() error {
	roots, err := rootCAs(k.cfg.CAFile)
	if err != nil {
		return err
	}
	dialer := &net.Dialer{Timeout: k.cfg.Timeout}
	if !k.cfg.AllowPrivate {
		// By the address that the name was resolved to, so that it does not
		// matter what DNS says, or says the next time.
		dialer.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
			if to, err := netip.ParseAddrPort(address); err != nil || !IsPublic(to.Addr()) {
				return errNotPublic
			}
			return nil
		}
	}
	k.client = &http.Client{
		Timeout:       k.cfg.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  nil, // the environment's would decide which addresses are reached
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    k.cfg.Timeout,
			ResponseHeaderTimeout:  k.cfg.Timeout,
			MaxResponseHeaderBytes: 16 << 10,
			MaxIdleConns:           1,
			IdleConnTimeout:        30 * time.Second,
			DisableCompression:     true,
			ForceAttemptHTTP2:      true,
		},
	}
	return nil
}
