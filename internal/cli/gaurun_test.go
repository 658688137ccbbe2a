package cli_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/furima/furima/internal/push/sandbox"
)

const aToken = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// migration is a machine on which Gaurun ran: its file, its logs, and Apple.
type migration struct {
	t      *testing.T
	dir    string
	socket string
	phones *sandbox.Phones
	apple  *sandbox.Apple
	client *http.Client
}

func newMigration(t *testing.T) *migration {
	t.Helper()
	dir, err := os.MkdirTemp("", "furima") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	m := &migration{t: t, dir: dir, socket: filepath.Join(dir, "g.sock"), phones: sandbox.NewPhones(sandbox.PhonesOptions{})}
	m.apple, err = sandbox.OpenApple(sandbox.AppleOptions{Dir: filepath.Join(dir, "apple"), Phones: m.phones})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.apple.Run(ctx) }()
	m.client = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", m.socket)
	}}}
	t.Cleanup(func() {
		m.client.CloseIdleConnections()
		stop()
		if err := errors.Join(<-ended, os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	m.write("unix:" + m.socket)
	return m
}

// write writes gaurun.toml: as it was, but for where Apple is. core holds more
// keys of [core].
func (m *migration) write(port string, core ...string) {
	m.t.Helper()
	text := fmt.Sprintf(`
[core]
port = %q
workers = 8
pusher_max = 16
pid = %q
%s

[api]
push_uri = "/push"

[android]
enabled = false

[ios]
token_auth_key_path = %q
token_auth_key_id = %q
token_auth_team_id = %q
topic = "com.example.market"
sandbox = true
endpoint = %q
ca_file = %q

[log]
access_log = %q
error_log = %q
level = "info"
`, port, m.path("gaurun.pid"), strings.Join(core, "\n"), m.apple.KeyFile(), sandbox.KeyID, sandbox.TeamID, m.apple.URL(), m.apple.CAFile(),
		m.path("access.log"), m.path("error.log"))
	if err := os.WriteFile(m.path("gaurun.toml"), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m *migration) path(name string) string { return filepath.Join(m.dir, name) }

// read returns a file's text, "" if it is not there.
func (m *migration) read(name string) string {
	text, err := os.ReadFile(m.path(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		m.t.Error(err)
	}
	return string(text)
}

// start starts furima push on the file and waits until it answers.
func (m *migration) start(env []string, args ...string) *process {
	m.t.Helper()
	p := start(m.t, m.dir, env, nil, append([]string{"push", "-c", "gaurun.toml"}, args...)...)
	p.await("an answer", func() bool {
		res, err := m.client.Get("http://gaurun/stat/app")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return p
}

func (m *migration) call(method, path, body string) (int, string) {
	m.t.Helper()
	req, err := http.NewRequestWithContext(m.t.Context(), method, "http://gaurun"+path, strings.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	res, err := m.client.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func (m *migration) push(n int) {
	m.t.Helper()
	one := `{"token":["` + aToken + `"],"platform":1,"message":"hello"}`
	if status, body := m.call("POST", "/push", `{"notifications":[`+strings.TrimSuffix(strings.Repeat(one+",", n), ",")+`]}`); status != 200 || body != `{"message":"ok"}`+"\n" {
		m.t.Fatalf("push: %d %s", status, body)
	}
}

func (m *migration) arrived() int64 {
	n, _ := m.phones.Received()
	return n
}

// A Gaurun file starts the gateway as it is, and everything in it works: the
// socket, the pid file, the logs and their rotation, the state directory, the
// flags, a clean stop.
func TestGaurunFile(t *testing.T) {
	t.Parallel()
	m := newMigration(t)
	p := m.start([]string{"STATE_DIRECTORY=" + m.path("state")}, "-q", "1234", "-w", "3")
	m.push(3)
	p.await("three deliveries", func() bool {
		return m.arrived() == 3 && strings.Count(m.read("access.log"), "succeeded-push") == 3
	})
	if n := strings.Count(m.read("access.log"), "accepted-push"); n != 3 {
		t.Errorf("%d accepted", n)
	}
	p.await("the pid file", func() bool { return m.read("gaurun.pid") == fmt.Sprint(p.cmd.Process.Pid) })
	if info, err := os.Stat(m.path("gaurun.pid")); err != nil || info.Mode().Perm()&0o644 != info.Mode().Perm() {
		t.Errorf("pid file %v %v", info, err)
	}
	if _, err := os.Stat(m.path("state/push.db")); err != nil {
		t.Error(err)
	}
	// Counted once it is on disk that they have arrived.
	p.await("the statistics", func() bool {
		_, body := m.call("GET", "/stat/app", "")
		return strings.Contains(body, `"queue_max": 1234`) && strings.Contains(body, `"pusher_max": 48`) && strings.Contains(body, `"push_success": 3`)
	})
	if _, body := m.call("GET", "/config/app", ""); !strings.Contains(body, "workers = 3") || !strings.Contains(body, `apikey = "..."`) {
		t.Errorf("config: %s", body)
	}
	if out := p.output(); !strings.Contains(out, "furima: warning: api.push_uri: is ignored") {
		t.Errorf("standard error: %s", out)
	}
	if errs := m.read("error.log"); !strings.Contains(errs, `"message":"ready"`) || !strings.Contains(errs, `"level":"info"`) {
		t.Errorf("error log: %s", errs)
	}

	// Rotation.
	if err := errors.Join(os.Rename(m.path("access.log"), m.path("access.log.1")), os.Rename(m.path("error.log"), m.path("error.log.1"))); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGHUP)
	p.await("new logs", func() bool { return strings.Contains(m.read("error.log"), "reloaded") })
	m.push(1)
	p.await("a line in the new log", func() bool { return strings.Contains(m.read("access.log"), "succeeded-push") })
	if n := strings.Count(m.read("access.log.1"), "succeeded-push"); n != 3 {
		t.Errorf("%d succeeded in the old log", n)
	}

	p.signal(syscall.SIGTERM)
	if status := p.end(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	for _, gone := range []string{"gaurun.pid", "g.sock"} {
		if _, err := os.Lstat(m.path(gone)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", gone, err)
		}
	}
}

// SIGHUP goes over to what the file says now. A file that is wrong changes
// nothing.
func TestGaurunReload(t *testing.T) {
	t.Parallel()
	m := newMigration(t)
	p := m.start(nil)
	m.push(3)
	m.write("unix:"+m.socket, "notification_max = 2", "allows_empty_message = true")
	p.signal(syscall.SIGHUP)
	many := `{"notifications":[{"platform":9},{"platform":9},{"platform":9}]}`
	p.await("the new limit", func() bool {
		status, _ := m.call("POST", "/push", many)
		return status == 400
	})
	if status, body := m.call("POST", "/push", `{"notifications":[{"token":["`+aToken+`"],"platform":1}]}`); body != `{"message":"ok"}`+"\n" {
		t.Errorf("no message: %d %s", status, body)
	}
	m.write("unix:"+m.socket, "notification_max = \"none\"")
	p.signal(syscall.SIGHUP)
	p.await("a complaint", func() bool {
		return strings.Contains(m.read("error.log"), "the configuration cannot be reloaded") && strings.Contains(m.read("error.log"), "core.notification_max")
	})
	if status, body := m.call("POST", "/push", many); status != 400 || !strings.Contains(body, "over limit(2)") {
		t.Errorf("after a wrong file: %d %s", status, body)
	}
	p.signal(syscall.SIGTERM)
	if status := p.end(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

// After kill -9 the socket file is stale and what was accepted is on disk: the
// next start replaces the one and delivers the other, under the same log ids.
func TestGaurunKilled(t *testing.T) {
	t.Parallel()
	m := newMigration(t)
	m.apple.Fail(sandbox.Fault{Status: 503, Reason: "ServiceUnavailable", Count: -1})
	p := m.start(nil)
	m.push(5)
	p.await("the lines", func() bool { return strings.Count(m.read("access.log"), "accepted-push") == 5 })
	if n := m.arrived(); n != 0 {
		t.Fatalf("%d arrived at an Apple that takes nothing", n)
	}
	p.signal(syscall.SIGKILL)
	p.end()
	if _, err := os.Lstat(m.socket); err != nil {
		t.Fatalf("the socket file: %v", err)
	}
	m.apple.Recover()
	p = m.start(nil)
	p.await("five deliveries", func() bool {
		return m.arrived() == 5 && strings.Count(m.read("access.log"), "succeeded-push") == 5
	})
	ids := make(map[string]int)
	for line := range strings.Lines(m.read("access.log")) {
		if _, rest, ok := strings.Cut(line, `"id":`); ok {
			id, _, _ := strings.Cut(rest, ",")
			ids[id]++
		}
		if strings.Contains(line, "succeeded-push") && !strings.Contains(line, `"message":"hello"`) {
			t.Errorf("a line without its message: %s", line)
		}
	}
	if len(ids) != 5 {
		t.Errorf("%d ids for 5 pushes: %v", len(ids), ids)
	}
}

// A listener from server-starter is taken instead of core.port.
func TestServerStarter(t *testing.T) {
	t.Parallel()
	m := newMigration(t)
	ln, err := net.Listen("unix", m.path("handed.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	file, err := ln.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	m.socket = m.path("handed.sock")
	p := start(t, m.dir, []string{"SERVER_STARTER_PORT=" + m.socket + "=3"}, []*os.File{file}, "push", "-c", "gaurun.toml")
	p.await("an answer", func() bool {
		res, err := m.client.Get("http://gaurun/stat/app")
		if err == nil {
			_ = res.Body.Close()
		}
		return err == nil
	})
	m.push(1)
	if _, err := os.Lstat(m.path("g.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("core.port listens as well: %v", err)
	}
	bad := start(t, m.dir, []string{"SERVER_STARTER_PORT=1056=x"}, nil, "push", "-c", "gaurun.toml")
	if status := bad.end(); status == 0 || !strings.Contains(bad.output(), "SERVER_STARTER_PORT") {
		t.Errorf("exit status %d: %s", status, bad.output())
	}
}

// A bare port is open to all, as in Gaurun, and furima says so.
func TestGaurunPort(t *testing.T) {
	t.Parallel()
	m := newMigration(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0") // taken, so that nothing is opened to all
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	p := start(t, m.dir, nil, nil, "push", "-c", "gaurun.toml", "-p", port)
	if status := p.end(); status != 1 {
		t.Errorf("exit status %d", status)
	}
	out := p.output()
	if !strings.Contains(out, "furima: warning: core.port: "+port+" is open to every machine") {
		t.Errorf("no warning: %s", out)
	}
	if !strings.Contains(out, `core.port = ":`+port+`": address already in use`) {
		t.Errorf("no error: %s", out)
	}
}

// Gaurun's logs and limits with a furima.toml, off unless they are asked for.
func TestFurimaFileWithGaurunLogs(t *testing.T) {
	t.Parallel()
	m := newMigration(t)
	text := fmt.Sprintf(`
[push]
listen = "unix:%s"
[push.gaurun]
access_log = "access.log"
notification_max = 2
[[push.apps]]
name = "market"
[push.apps.apns]
key_file = %q
key_id = %q
team_id = %q
topic = "com.example.market"
endpoint = %q
ca_file = %q
`, m.socket, m.apple.KeyFile(), sandbox.KeyID, sandbox.TeamID, m.apple.URL(), m.apple.CAFile())
	if err := os.WriteFile(m.path("gaurun.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := m.start(nil)
	m.push(2)
	p.await("the lines", func() bool { return strings.Count(m.read("access.log"), "succeeded-push") == 2 })
	if status, body := m.call("POST", "/push", `{"notifications":[{},{},{}]}`); status != 400 || !strings.Contains(body, "over limit(2)") {
		t.Errorf("%d %s", status, body)
	}
	if _, err := os.Stat(m.path("data/push.db")); err != nil {
		t.Error(err)
	}
	p.signal(syscall.SIGTERM)
	began := time.Now()
	if status := p.end(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	t.Logf("stopped within %v", time.Since(began))
}
