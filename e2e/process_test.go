// Package e2e tests the built binary from outside: every role as a process of
// its own, real nginx, real MariaDB, a real browser, kill -9. It talks to the
// roles through package client, as their users do.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

// binary is furima, built with the race detector by TestMain.
var binary string

// plain is furima as users have it, for what a test only stands on (a stand-in
// is not what is tested here) and for loads that the race detector makes too
// slow. It is built when it is first asked for.
var plain = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(binary), "furima-plain")
	out, err := exec.Command("go", "build", "-o", path, "..").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build furima: %w\n%s", err, out)
	}
	return path, nil
})

func plainBinary(t *testing.T) string {
	t.Helper()
	path, err := plain()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "furima-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "furima")
	build := exec.Command("go", "build", "-race", "-o", binary, "..")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build furima:", err)
		return 1
	}
	return sqldbtest.Main(m)
}

// needs skips the test if a program is missing, and fails it in CI, where
// leaving anything out is a failure. -short leaves out all such tests.
func needs(t *testing.T, program string) {
	t.Helper()
	if testing.Short() {
		t.Skipf("-short leaves out tests with %s", program)
	}
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if _, err := os.Stat("/usr/sbin/" + program); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", program)
	}
	t.Skipf("%s is not installed", program)
}

// process is a running furima.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	name string
	done chan struct{} // closed when it has ended
	err  error         // of Wait, after done

	mu     sync.Mutex
	stdout bytes.Buffer
	stderr bytes.Buffer
	lines  []map[string]any // JSON lines of stderr
	notify chan struct{}    // closed and replaced whenever output arrives
}

// start runs furima with args; env is added to an otherwise empty environment.
// The test kills it at its end if it still runs.
func start(t *testing.T, dir string, env []string, args ...string) *process {
	t.Helper()
	return startBinary(t, binary, dir, env, args...)
}

func startBinary(t *testing.T, path, dir string, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: strings.Join(args, " "), done: make(chan struct{}), notify: make(chan struct{})}
	p.cmd = exec.Command(path, args...)
	p.cmd.Dir = dir
	p.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + os.TempDir(),
		"GORACE=atexit_sleep_ms=20", // a second by default, at every exit
	}, env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error)
	go func() {
		// Pdeathsig fires when the thread that started the child ends, so this
		// one stays until the child has.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := p.cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		var readers sync.WaitGroup
		readers.Go(func() { p.read(stdout, &p.stdout, false) })
		readers.Go(func() { p.read(stderr, &p.stderr, true) })
		readers.Wait()
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() && p.output()+p.errors() != "" {
			t.Logf("furima %s\n--- stdout\n%s\n--- stderr\n%s", p.name, p.output(), tail(p.errors(), 6000))
		}
		if strings.Contains(p.errors(), "DATA RACE") {
			t.Errorf("furima %s: data race:\n%s", p.name, tail(p.errors(), 6000))
		}
	})
	return p
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

func (p *process) read(r io.Reader, into *bytes.Buffer, parse bool) {
	br := bufio.NewReader(r)
	for {
		line, err := br.ReadBytes('\n')
		p.mu.Lock()
		into.Write(line)
		if parse {
			var fields map[string]any
			if json.Unmarshal(line, &fields) == nil {
				p.lines = append(p.lines, fields)
			}
		}
		close(p.notify)
		p.notify = make(chan struct{})
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *process) output() string { p.mu.Lock(); defer p.mu.Unlock(); return p.stdout.String() }
func (p *process) errors() string { p.mu.Lock(); defer p.mu.Unlock(); return p.stderr.String() }

// await blocks until seen, called with what has been printed, returns true.
func (p *process) await(what string, seen func() bool) {
	p.t.Helper()
	limit := time.NewTimer(2 * time.Minute)
	defer limit.Stop()
	for {
		p.mu.Lock()
		notify := p.notify
		p.mu.Unlock()
		if seen() {
			return
		}
		select {
		case <-notify:
		case <-p.done:
			if seen() {
				return
			}
			p.t.Fatalf("furima %s ended before %s: %v\n%s", p.name, what, p.err, tail(p.errors(), 4000))
		case <-limit.C:
			p.t.Fatalf("furima %s: no %s within two minutes", p.name, what)
		}
	}
}

// ready blocks until the process has logged that it is ready.
func (p *process) ready() *process {
	p.t.Helper()
	p.await("ready", func() bool { return p.logged("ready") != nil })
	return p
}

// logged returns the first JSON log line with this message.
func (p *process) logged(msg string) map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines {
		if l["msg"] == msg {
			return l
		}
	}
	return nil
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// stop sends SIGTERM and returns the exit status.
func (p *process) stop() int {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	return p.wait()
}

// signal does nothing to a process that has ended.
func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// ended reports whether the process has.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// log returns the JSON log lines so far whose message this is.
func (p *process) log(msg string) []map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []map[string]any
	for _, l := range p.lines {
		if l["msg"] == msg {
			found = append(found, l)
		}
	}
	return found
}

// wait blocks until the process has ended and returns its exit status.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		p.kill()
		p.t.Fatalf("furima %s did not end within a minute", p.name)
	}
	return p.cmd.ProcessState.ExitCode()
}

// run runs furima to its end.
func runFurima(t *testing.T, dir string, env []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	p := start(t, dir, env, args...)
	status = p.wait()
	return status, p.output(), p.errors()
}

// freeAddr returns a loopback address that was free a moment ago.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// poll calls f every 20 ms until it returns true; for conditions in another
// process that announces nothing.
func poll(t *testing.T, what string, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within a minute", what)
		case <-tick.C:
		}
	}
}

// get returns the body of a GET, for the pages that client has no method for.
func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 8<<20))
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	return res, string(body)
}

// hasHit reports whether a Cache-Status header (RFC 9211) says hit.
func hasHit(status string) bool {
	for _, part := range strings.Split(status, ";") {
		if strings.TrimSpace(part) == "hit" {
			return true
		}
	}
	return false
}

// counter returns the sum of a counter over its labels, from a page in
// Prometheus' text format.
func counter(metrics, name string) float64 {
	sum := 0.0
	for line := range strings.Lines(metrics) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || (rest[0] != '{' && rest[0] != ' ') {
			continue
		}
		fields := strings.Fields(line)
		var v float64
		if _, err := fmt.Sscan(fields[len(fields)-1], &v); err == nil {
			sum += v
		}
	}
	return sum
}
