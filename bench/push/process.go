package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/furima/furima/bench/report"
)

// This program is its own children, told apart by a variable.
const (
	roleVariable = "FURIMA_BENCH_PUSH"
	roleApple    = "apple"
	roleClient   = "client"
)

func child(role string, args []string) error {
	switch role {
	case roleApple:
		return serveApple(args[0], args[1])
	case roleClient:
		return runClient(args)
	}
	return fmt.Errorf("unknown role %q", role)
}

// self starts this program as a child.
func self(ctx context.Context, role string, args ...string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd, nil
}

// provider is a stand-in for Apple in a process of its own.
type provider struct {
	addr string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
}

func startApple(ctx context.Context, dir, mode string) (*provider, error) {
	cmd, err := self(ctx, roleApple, dir, mode)
	if err != nil {
		return nil, err
	}
	p := &provider{cmd: cmd}
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReaderSize(out, 1<<20)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("the stand-in did not start: %w", err)
	}
	p.addr = strings.TrimSpace(line)
	return p, nil
}

func (p *provider) stop() {
	_ = p.in.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func (p *provider) ask(question string) (appleStats, error) { return askApple(p.in, p.out, question) }

// gateway is "furima push" on a new database.
type gateway struct {
	cmd       *exec.Cmd
	addr, ops string
	dir       string
	log       *os.File
}

func startGateway(ctx context.Context, o options, dir, apple string) (*gateway, error) {
	addr, err1 := freeAddr()
	ops, err2 := freeAddr()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	home, err := os.MkdirTemp(dir, "gateway-")
	if err != nil {
		return nil, err
	}
	toml := fmt.Sprintf(`[ops]
listen = %q
[push]
listen = %q
store = "sqlite:%s"
workers = %d
[[push.apps]]
name = "market"
[push.apps.apns]
key_file = %q
key_id = "ABC123DEFG"
team_id = "DEF123GHIJ"
topic = "com.example.market"
endpoint = "https://%s"
ca_file = %q
max_in_flight = %d
`, ops, addr, filepath.Join(home, "push.db"), o.workers, filepath.Join(dir, keyFile), apple, filepath.Join(dir, rootFile), o.maxInFlight)
	file := filepath.Join(home, "furima.toml")
	if err := os.WriteFile(file, []byte(toml), 0o600); err != nil {
		return nil, err
	}
	g := &gateway{addr: addr, ops: ops, dir: home}
	if g.log, err = os.Create(filepath.Join(home, "log")); err != nil {
		return nil, err
	}
	g.cmd = exec.CommandContext(ctx, o.furima, "push", "-c", file)
	g.cmd.Stdout, g.cmd.Stderr = g.log, g.log
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := g.cmd.Start(); err != nil {
		return nil, err
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return g, c.Close()
		}
		if time.Now().After(end) {
			g.stop()
			return nil, errors.New("furima push did not start: " + g.lastLines())
		}
	}
}

// stop ends the gateway as an operator does, and removes its database.
func (g *gateway) stop() {
	_ = g.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(10*time.Second, func() { _ = g.cmd.Process.Kill() })
	_ = g.cmd.Wait()
	kill.Stop()
	_ = g.log.Close()
	_ = os.RemoveAll(g.dir)
}

func (g *gateway) cpu() time.Duration { return report.CPUOf(g.cmd.Process.Pid) }

// memory returns the resident memory now and at its highest, in bytes.
func (g *gateway) memory() (now, peak int64) {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.cmd.Process.Pid))
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			now = kib << 10
		case "VmHWM":
			peak = kib << 10
		}
	}
	return now, peak
}

func (g *gateway) lastLines() string {
	data, _ := os.ReadFile(g.log.Name())
	return string(data[max(0, len(data)-2000):])
}

// profile fetches a CPU profile in the background; wait ends it.
func (g *gateway) profile(folder, name string, d time.Duration) (wait func()) {
	if folder == "" {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		res, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", g.ops, max(1, int(d.Seconds()))))
		if err != nil {
			progress("profile: %v", err)
			return
		}
		defer res.Body.Close()
		data, err := io.ReadAll(res.Body)
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name+".pprof"), data, 0o600)
		}
		if err != nil {
			progress("profile: %v", err)
		}
	}()
	return func() { <-done }
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
