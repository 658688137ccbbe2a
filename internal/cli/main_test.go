package cli_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/furima/furima/internal/cli"
)

// asProgram in the environment makes the test binary the program itself, for
// tests that need it as a process.
const asProgram = "CLI_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(cli.Main(os.Args[1:], cli.System()))
	}
	testscript.Main(m, map[string]func(){
		"furima": func() { os.Exit(cli.Main(os.Args[1:], cli.System())) },
	})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: func(env *testscript.Env) error { return writeKey(filepath.Join(env.WorkDir, "key.p8")) },
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			// status N command…: runs a command that must exit with status N.
			"status": func(ts *testscript.TestScript, _ bool, args []string) {
				want, err := strconv.Atoi(args[0])
				ts.Check(err)
				got := 0
				var exit *exec.ExitError
				if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
					got = exit.ExitCode()
				} else if err != nil {
					ts.Fatalf("%v", err)
				}
				if got != want {
					ts.Fatalf("exit status %d, want %d\n%s", got, want, ts.ReadFile("stderr"))
				}
			},
			// lines N: standard error must have N lines.
			"lines": func(ts *testscript.TestScript, _ bool, args []string) {
				if got := strconv.Itoa(strings.Count(ts.ReadFile("stderr"), "\n")); got != args[0] {
					ts.Fatalf("%s lines, want %s\n%s", got, args[0], ts.ReadFile("stderr"))
				}
			},
		},
	})
}

// writeKey makes a signing key as Apple issues them.
func writeKey(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// process is furima, running.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // of Wait, after done

	mu     sync.Mutex
	stderr bytes.Buffer
	stdout bytes.Buffer
}

// start runs furima in dir. It is killed at the end of the test if it still
// runs.
func start(t *testing.T, dir string, env []string, files []*os.File, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0], args...), done: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Env = append([]string{asProgram + "=1", "TZ=UTC", "FURIMA_OPS_LISTEN=127.0.0.1:0"}, env...)
	p.cmd.Stdout, p.cmd.Stderr = locked{p, &p.stdout}, locked{p, &p.stderr}
	p.cmd.ExtraFiles = files
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("furima %s:\n%s", strings.Join(args, " "), p.output())
		}
	})
	return p
}

type locked struct {
	p *process
	w io.Writer
}

func (l locked) Write(b []byte) (int, error) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	return l.w.Write(b)
}

// output is what it has written to standard error.
func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// await polls until ok, while the process runs.
func (p *process) await(what string, ok func() bool) {
	p.t.Helper()
	deadline := time.NewTimer(60 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-p.done:
			p.t.Fatalf("it ended before %s: %v\n%s", what, p.err, p.output())
		case <-deadline.C:
			p.t.Fatalf("waited in vain for %s\n%s", what, p.output())
		}
	}
}

// signal sends a signal.
func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// end waits for the end and returns the exit status.
func (p *process) end() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(60 * time.Second):
		p.t.Fatalf("it does not end\n%s", p.output())
	}
	return p.cmd.ProcessState.ExitCode()
}
