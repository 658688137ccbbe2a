package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/furima/furima/bench/report"
	"github.com/furima/furima/client"
)

// secret is what lets a request recompute a cached answer.
const secret = "bench-refresh-secret"

// place is a market of one size on one engine.
type place struct {
	f      flags
	engine engine
	dir    string
	items  int
	env    []string
	seeded seeded

	cmd    *exec.Cmd
	url    string
	client *client.Client
	http   *http.Client
}

// seeded is what it took to make the market.
type seeded struct {
	took, cpu time.Duration
	peak      int64 // bytes of resident memory
}

// newPlace makes a market with furima seed.
func newPlace(ctx context.Context, f flags, e engine, dir string, items int) (*place, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	url, err := e.url(ctx, dir)
	if err != nil {
		return nil, err
	}
	p := &place{f: f, engine: e, dir: dir, items: items, env: append(os.Environ(),
		"FURIMA_STORE_URL="+url, "FURIMA_PHOTO_DIR="+filepath.Join(dir, "photos"), "FURIMA_CACHE_REFRESH_SECRET="+secret,
		"FURIMA_PAY_ALLOW_SANDBOX=true", "FURIMA_PAY_SANDBOX_FILE="+filepath.Join(dir, "sandbox.jsonl"), "FURIMA_LOG_LEVEL=warn",
		"FURIMA_API_LIMITS_READS=-1",
		"FURIMA_API_LIMITS_READS_IP=-1",
		"FURIMA_API_LIMITS_WRITES=-1",
		"FURIMA_API_LIMITS_WRITES_IP=-1",
		"FURIMA_API_LIMITS_PURCHASES=-1",
		"FURIMA_API_LIMITS_LOG_INS=-1",
		"FURIMA_API_LIMITS_LOG_INS_IP=-1",
		"FURIMA_API_LIMITS_REGISTRATIONS_IP=-1",
	)}
	server := e.cpu()
	began := time.Now()
	cmd := p.command(ctx, "seed", "--items", fmt.Sprint(items), "--photo-side", "64")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("furima seed: %w", err)
	}
	p.seeded = seeded{took: time.Since(began), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime() + e.cpu() - server}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		p.seeded.peak = u.Maxrss << 10
	}
	return p, nil
}

func (p *place) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.f.furima, args...)
	cmd.Dir, cmd.Env = p.dir, p.env
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

// start serves the market.
func (p *place) start(ctx context.Context) error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	ops, err := freeAddr()
	if err != nil {
		return err
	}
	p.env = append(p.env, "FURIMA_API_LISTEN="+addr, "FURIMA_OPS_LISTEN="+ops, "FURIMA_API_PUSH_URL="+p.engine.push)
	p.cmd = p.command(ctx, "api")
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func() { // ends with the process
		for s := bufio.NewScanner(stderr); s.Scan(); {
			fmt.Fprintln(os.Stderr, s.Text())
		}
	}()
	n := max(p.f.clients, p.f.buyers)
	p.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n, MaxConnsPerHost: n}, Timeout: 30 * time.Second}
	p.url = "http://" + addr
	p.client = client.New(client.Options{BaseURL: p.url, HTTPClient: p.http})
	for range 600 {
		if _, err = p.client.Catalog(ctx); err == nil {
			fmt.Fprintf(os.Stderr, "%s, %d items: serving on %s, its profiles on http://%s/debug/pprof/\n", p.engine.name, p.items, addr, ops)
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("furima api does not answer: %w", err)
}

func (p *place) stop() {
	if p.cmd == nil || p.cmd.Process == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		fmt.Fprintln(os.Stderr, "stop furima api:", err)
	}
	p.http.CloseIdleConnections()
}

// cpu is the CPU time of whatever serves the market.
func (p *place) cpu() time.Duration { return report.CPUOf(p.cmd.Process.Pid) + p.engine.cpu() }

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
