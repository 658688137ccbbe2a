package edge

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// quitGrace is what the master gets beyond the time of its workers.
	quitGrace = time.Second
	// termGrace is how long a fast stop may take before it becomes a kill.
	termGrace = 3 * time.Second
	// keptLines is how many of nginx's last complaints an error can show.
	keptLines = 20
)

// process is a running nginx: its master and the workers.
type process struct {
	cmd *exec.Cmd
	// done is closed when the master has ended and no worker is left.
	done chan struct{}
	// status is why the master ended; it may be read after done.
	status error

	mu    sync.Mutex
	lines []string // the last lines of standard error
}

// start starts nginx with a written tree.
func start(n Nginx, t Tree, log *slog.Logger) (*process, error) {
	argv := n.command(filepath.Join(t.RunDir, "current", "nginx.conf"), "-g", "daemon off; master_process on;")
	stderr, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = environment()
	cmd.Dir = t.RunDir
	// The pipe itself and no io.Writer: workers that outlive their master hold
	// it open, and waiting for the master must not wait for them.
	cmd.Stderr = w
	cmd.SysProcAttr = childAttributes()
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel ends nginx when this thread ends, so it must last as
		// long as nginx does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.wait(stderr, w, log)
		}
	}()
	if err := <-started; err != nil {
		return nil, errors.Join(fmt.Errorf("start nginx: %w", err), stderr.Close(), w.Close())
	}
	return p, nil
}

// wait owns the process until nothing of it is left.
func (p *process) wait(stderr, w *os.File, log *slog.Logger) {
	defer close(p.done)
	_ = w.Close() // nginx has its own; nothing was written to ours
	var reading sync.WaitGroup
	reading.Go(func() { p.read(stderr, log) })
	p.status = p.cmd.Wait()
	killGroup(p.cmd.Process.Pid)
	reading.Wait()
	_ = stderr.Close()
}

// read keeps and logs what nginx says. Beside this it has its own error log.
func (p *process) read(stderr *os.File, log *slog.Logger) {
	sc := bufio.NewScanner(stderr)
	for sc.Scan() {
		line := sc.Text()
		p.mu.Lock()
		p.lines = append(p.lines, line)
		if len(p.lines) > keptLines {
			p.lines = p.lines[1:]
		}
		p.mu.Unlock()
		log.Warn("nginx says", "line", line)
	}
	// After a line that is too long: nginx must never wait for a reader.
	_, _ = io.Copy(io.Discard, stderr)
}

// said returns the last of what nginx said.
func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("signal nginx: %w", err)
	}
	return nil
}

// ended returns what is known about an unexpected end.
func (p *process) ended(t Tree) error {
	status := "exit status 0"
	if p.status != nil {
		status = p.status.Error()
	}
	if all := complaints(p.said(), t); len(all) > 0 {
		return fmt.Errorf("nginx ended (%s): %s", status, strings.Join(all, "; "))
	}
	return fmt.Errorf("nginx ended (%s)", status)
}

// stop ends nginx: gracefully within grace, then fast, then by force. It
// returns when nothing of it is left.
func (p *process) stop(grace time.Duration, log *slog.Logger) {
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGQUIT, grace + quitGrace}, {syscall.SIGTERM, termGrace}} {
		if err := p.signal(step.signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			log.Warn("nginx cannot be told to stop", "error", err)
		}
		timer := time.NewTimer(step.wait)
		select {
		case <-p.done:
			timer.Stop()
			return
		case <-timer.C:
			log.Warn("nginx is slow to stop", "signal", step.signal.String(), "waited_ms", step.wait.Milliseconds())
		}
	}
	killGroup(p.cmd.Process.Pid)
	<-p.done
}

// killGroup kills what is left of a process group of nginx and waits until it
// is gone, within reason.
func killGroup(group int) {
	deadline := time.Now().Add(termGrace)
	for time.Now().Before(deadline) {
		pids := members(group)
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it is gone or it goes
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// removeLeftovers ends an nginx that an earlier furima left in the run
// directory, which takes a kill of both master and furima at once, and removes
// its socket. The caller has the directory's lock, so nobody uses them.
func removeLeftovers(runDir string, log *slog.Logger) error {
	if text, err := os.ReadFile(filepath.Join(runDir, "nginx.pid")); err == nil {
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err == nil && pid > 1 && len(members(pid)) > 0 {
			log.Warn("an earlier nginx still runs in the run directory, stopping it", "pid", pid)
			killGroup(pid)
		}
	}
	for _, name := range []string{"edge.sock", "nginx.pid"} {
		if err := os.Remove(filepath.Join(runDir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("clean run directory: %w", err)
		}
	}
	return nil
}

// pause waits for d; it returns false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
