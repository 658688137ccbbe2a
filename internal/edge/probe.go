package edge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// serveTimeout is how long nginx may take to serve a configuration.
	serveTimeout = 10 * time.Second
	probeTimeout = time.Second
	probeEvery   = 5 * time.Millisecond
	// settleTime is how long every answer has to be of the new version before
	// a reload counts as done: the old workers hear that they have to stop
	// listening a tenth of a second after the new ones have begun.
	settleTime = 150 * time.Millisecond
	maxProbe   = 4 << 10
)

// prober asks a running nginx on the socket in its run directory.
type prober struct{ hc *http.Client }

func newProber(runDir string) prober {
	socket := filepath.Join(runDir, "edge.sock")
	return prober{hc: &http.Client{
		Timeout: probeTimeout,
		Transport: &http.Transport{
			DisableKeepAlives: true, // a reload must be asked through a new connection
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", socket)
			},
		},
	}}
}

func (p prober) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://edge"+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := p.hc.Do(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxProbe))
	err = errors.Join(err, res.Body.Close())
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", res.StatusCode)
	}
	return body, err
}

// version returns the version of the configuration that nginx serves.
func (p prober) version(ctx context.Context) (string, error) {
	body, err := p.get(ctx, "/-/edge")
	if err != nil {
		return "", fmt.Errorf("ask nginx for its version: %w", err)
	}
	var answer struct{ Version string }
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", fmt.Errorf("ask nginx for its version: %w", err)
	}
	return answer.Version, nil
}

// await blocks until nginx has served the tree, and nothing else, for the time
// settle. It gives up if the process or ctx ends, or after serveTimeout.
func (p prober) await(ctx context.Context, proc *process, t Tree, settle time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, serveTimeout, fmt.Errorf("nginx does not serve version %s within %s", t.Version, serveTimeout))
	defer cancel()
	var since time.Time // of the first answer in a row that was right
	for {
		switch v, err := p.version(ctx); {
		case err != nil || v != t.Version:
			since = time.Time{}
		case settle == 0, !since.IsZero() && time.Since(since) >= settle:
			return nil
		case since.IsZero():
			since = time.Now()
		}
		select {
		case <-proc.done:
			return proc.ended(t)
		default:
		}
		if !pause(ctx, probeEvery) {
			return context.Cause(ctx)
		}
	}
}

// checkListen tries to listen where the sites will, except on the addresses in
// served, so that an address in use is told at once and by the key that it
// comes from. nginx itself would try for seconds.
func checkListen(ctx context.Context, c Config, served map[string]bool) error {
	tried := map[string]bool{}
	for i, s := range c.Sites {
		addrs, err := parseListen(s.Listen)
		if err != nil {
			return fmt.Errorf("edge.sites[%d].listen: %w", i, err)
		}
		for _, addr := range addrs {
			if served[addr] || tried[addr] {
				continue
			}
			tried[addr] = true
			network := "tcp4"
			if addr[0] == '[' {
				network = "tcp6"
			}
			var lc net.ListenConfig
			ln, err := lc.Listen(ctx, network, addr)
			if err != nil {
				if errno, ok := errors.AsType[syscall.Errno](err); ok {
					err = errno
				}
				return fmt.Errorf("edge.sites[%d].listen = %q: %w", i, s.Listen, err)
			}
			if err := ln.Close(); err != nil {
				return fmt.Errorf("edge.sites[%d].listen = %q: %w", i, s.Listen, err)
			}
		}
	}
	return nil
}

// addresses returns where a configuration listens.
func addresses(c Config) map[string]bool {
	all := map[string]bool{}
	for _, s := range c.Sites {
		addrs, err := parseListen(s.Listen)
		if err != nil {
			continue // such a configuration has never been rendered
		}
		for _, a := range addrs {
			all[a] = true
		}
	}
	return all
}
