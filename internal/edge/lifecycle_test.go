package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func hello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

// masterOf reads the process id that nginx has written, 0 if there is none.
func masterOf(dir string) int {
	text, err := os.ReadFile(filepath.Join(dir, "nginx.pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}

func version(t *testing.T, dir string) string {
	v, err := newProber(dir).version(t.Context())
	if err != nil {
		return ""
	}
	return v
}

// TestStop holds that a request under way is finished, that nothing is left,
// and that the address is free again.
func TestStop(t *testing.T) {
	cert := devCertificate(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	_, addr := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		io.WriteString(w, "hello")
	})
	site := siteFor(t, cert, addr)
	r := runEdge(t, Config{Sites: []SiteConfig{site}})
	pid := r.pid()
	if len(members(pid)) < 3 { // a master and two workers
		t.Fatalf("processes %v", members(pid))
	}
	answered := make(chan error, 1)
	go func() {
		res, err := browser(t, cert, true).Get("https://" + site.Listen)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		answered <- err
	}()
	<-arrived
	r.cancel()
	eventually(t, "the end of listening", func() bool {
		c, err := net.Dial("tcp", site.Listen)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(release)
	if err := <-answered; err != nil {
		t.Errorf("the request under way: %v", err)
	}
	r.stop(t)
	if left := members(pid); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	ln, err := net.Listen("tcp", site.Listen)
	if err != nil {
		t.Fatalf("the address is not free: %v", err)
	}
	ln.Close()
	if strings.Contains(r.log.String(), "level=WARN") && !strings.Contains(r.log.String(), "kept in memory") {
		t.Errorf("log:\n%s", r.log)
	}
}

// TestStopIsBounded holds that a request which never ends does not keep the
// edge from stopping.
func TestStopIsBounded(t *testing.T) {
	cert := devCertificate(t)
	arrived := make(chan struct{})
	_, addr := upstream(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	site := siteFor(t, cert, addr)
	r := runEdge(t, Config{StopTimeout: 200 * time.Millisecond, Sites: []SiteConfig{site}})
	answered := make(chan error, 1)
	go func() {
		_, err := browser(t, cert, true).Get("https://" + site.Listen)
		answered <- err
	}()
	<-arrived
	r.stop(t)
	if err := <-answered; err == nil {
		t.Error("the request that never ends was answered")
	}
}

// TestReload holds that no request is lost while configurations change under
// load: POSTs over HTTP/2, which tells a client what it may send again, and
// GETs over HTTP/1.1, where nginx before 1.27.4 closes a connection that is
// idle at the moment and a client has to send again by itself.
func TestReload(t *testing.T) {
	cert := devCertificate(t)
	_, addr := upstream(t, hello)
	site := siteFor(t, cert, addr)
	c := Config{RunDir: filepath.Join(shortDir(t), "run"), Sites: []SiteConfig{site}}
	r := runEdge(t, c)
	stop := make(chan struct{})
	var sent, failed atomic.Int64
	var wg sync.WaitGroup
	for i := range 4 {
		h2, method := i%2 == 0, http.MethodGet
		if h2 {
			method = http.MethodPost
		}
		hc := browser(t, cert, h2)
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				sent.Add(1)
				var body io.Reader
				if h2 {
					body = strings.NewReader("x")
				}
				req, err := http.NewRequest(method, "https://"+site.Listen, body)
				if err != nil {
					t.Error(err)
					return
				}
				res, err := hc.Do(req)
				if err != nil {
					failed.Add(1)
					t.Errorf("%s: %v", method, err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.StatusCode != http.StatusOK {
					failed.Add(1)
				}
			}
		})
	}
	for i := range 5 {
		before := version(t, r.dir)
		c.Sites[0].Aliases = []string{"127.0.0.1", fmt.Sprintf("n%d.example", i)}
		seen := sent.Load()
		if err := r.Reload(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if now := version(t, r.dir); now == before || now == "" {
			t.Errorf("version %s after %s", now, before)
		}
		eventually(t, "more requests", func() bool { return sent.Load() > seen+50 })
	}
	close(stop)
	wg.Wait()
	if failed.Load() != 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), sent.Load())
	}
	// The same configuration again: for renewed certificates.
	if err := r.Reload(t.Context(), c); err != nil {
		t.Error(err)
	}
	if n := testutil.ToFloat64(r.metrics.reloads.WithLabelValues("ok")); n != 6 {
		t.Errorf("%v good reloads", n)
	}
}

// TestReloadRefused holds that a bad configuration never comes in force.
func TestReloadRefused(t *testing.T) {
	cert := devCertificate(t)
	_, addr := upstream(t, hello)
	site := siteFor(t, cert, addr)
	good := Config{RunDir: filepath.Join(shortDir(t), "run"), Sites: []SiteConfig{site}}
	r := runEdge(t, good)
	before := version(t, r.dir)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	with := func(change func(*SiteConfig)) Config {
		c := good
		s := site
		change(&s)
		c.Sites = []SiteConfig{s}
		return c
	}
	elsewhere := good
	elsewhere.RunDir = shortDir(t)
	for has, c := range map[string]Config{
		`edge.sites[0].name: "a;b" is not a host name`:                                      with(func(s *SiteConfig) { s.Name = "a;b" }),
		`edge.sites[0] (localhost): host not found in upstream "no-such-host.invalid:80" (`: with(func(s *SiteConfig) { s.Upstream = []string{"no-such-host.invalid:80"} }),
		fmt.Sprintf("edge.sites[0].listen = %q: address already in use", taken.Addr()):      with(func(s *SiteConfig) { s.Listen = taken.Addr().String() }),
		"edge.run_dir cannot change":                                                        elsewhere,
		"edge.sites: there is no site to serve":                                             {RunDir: good.RunDir},
	} {
		err := r.Reload(t.Context(), c)
		if err == nil || !strings.Contains(err.Error(), has) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v, want %q", err, has)
		}
		if now := version(t, r.dir); now != before {
			t.Errorf("%s: version %s, want still %s", has, now, before)
		}
	}
	if link, err := os.Readlink(filepath.Join(r.dir, "current")); err != nil || link != "versions/"+before {
		t.Errorf("current is %s (%v)", link, err)
	}
	if res, body := fetch(t, browser(t, cert, true), request(t, http.MethodGet, "https://"+site.Listen, "")); body != "hello" {
		t.Errorf("%s %q", res.Status, body)
	}
}

// TestReloadRollsBack holds that a configuration which nginx takes but does
// not come to serve is undone.
func TestReloadRollsBack(t *testing.T) {
	cert := devCertificate(t)
	_, addr := upstream(t, hello)
	site := siteFor(t, cert, addr)
	good := Config{RunDir: filepath.Join(shortDir(t), "run"), Sites: []SiteConfig{site}}
	r := runEdge(t, good)
	before := version(t, r.dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the caller gives up before nginx can have changed
	_, tree, err := renderFor(t.Context(), Config{RunDir: good.RunDir, Workers: 1, Sites: good.Sites})
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.write(); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	old, p := r.tree, r.proc
	r.mu.Unlock()
	if err := r.swap(ctx, tree, p); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if err := r.swap(t.Context(), old, p); err != nil {
		t.Fatal(err)
	}
	if now := version(t, r.dir); now != before {
		t.Errorf("version %s, want %s", now, before)
	}
}

// TestMasterDies holds that a killed nginx is replaced, with its orphaned
// workers gone.
func TestMasterDies(t *testing.T) {
	cert := devCertificate(t)
	_, addr := upstream(t, hello)
	site := siteFor(t, cert, addr)
	r := runEdge(t, Config{Sites: []SiteConfig{site}})
	for range 2 {
		pid := r.pid()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "another nginx", func() bool { now := r.pid(); return now != 0 && now != pid })
		if left := members(pid); len(left) > 0 {
			t.Errorf("of the killed one there are %v", left)
		}
		if res, body := fetch(t, browser(t, cert, true), request(t, http.MethodGet, "https://"+site.Listen, "")); body != "hello" {
			t.Errorf("%s %q", res.Status, body)
		}
	}
	if n := testutil.ToFloat64(r.metrics.starts); n != 3 {
		t.Errorf("%v starts", n)
	}
	if !strings.Contains(r.log.String(), "nginx died") {
		t.Errorf("log:\n%s", r.log)
	}
}

// child starts a program that runs an edge, and waits until it serves.
func child(t *testing.T, dir, certDir, listen, upstream string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	before := masterOf(dir)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childVariable+"="+strings.Join([]string{dir, certDir, listen, upstream}, "\n"))
	var log syncBuffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if pid := masterOf(dir); pid > 0 {
			killGroup(pid)
		}
	})
	eventually(t, "the child's nginx", func() bool {
		pid := masterOf(dir)
		return pid != 0 && pid != before && version(t, dir) != ""
	})
	return cmd
}

// TestKilled holds that kill -9 of furima leaves no nginx behind: the kernel
// tells the master, which takes its workers along.
func TestKilled(t *testing.T) {
	needNginx(t)
	_, addr := upstream(t, hello)
	for range 3 {
		dir, certDir, listen := filepath.Join(shortDir(t), "run"), shortDir(t), freeAddr(t)
		cmd := child(t, dir, certDir, listen, addr)
		master := masterOf(dir)
		if len(members(master)) < 3 {
			t.Fatalf("processes %v of master %d", members(master), master)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		eventually(t, "the end of nginx", func() bool { return len(members(master)) == 0 })
		if ln, err := net.Listen("tcp", listen); err != nil {
			t.Errorf("the address is not free: %v", err)
		} else {
			ln.Close()
		}
	}
}

// TestAllKilled holds that workers which nobody could take along are removed
// by the next start in the same run directory.
func TestAllKilled(t *testing.T) {
	needNginx(t)
	_, addr := upstream(t, hello)
	dir, certDir, listen := filepath.Join(shortDir(t), "run"), shortDir(t), freeAddr(t)
	cmd := child(t, dir, certDir, listen, addr)
	master := masterOf(dir)
	// The parent is stopped first, so that it cannot clean up after the
	// master's end; then nobody is left who could.
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(master, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if len(members(master)) == 0 {
		t.Skip("the workers did not outlive their master here")
	}
	again := child(t, dir, certDir, listen, addr)
	if left := members(master); len(left) > 0 {
		t.Errorf("left of the first: %v", left)
	}
	if err := again.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := again.Wait(); err != nil {
		t.Errorf("the second ended with %v: %s", err, again.Stderr)
	}
}

// TestStartRefused holds that what keeps nginx from starting is one line that
// names it, and leaves nothing.
func TestStartRefused(t *testing.T) {
	needNginx(t)
	cert := devCertificate(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	inUse := siteFor(t, cert, "127.0.0.1:1")
	inUse.Listen = taken.Addr().String()
	unknown := siteFor(t, cert, "no-such-host.invalid:80")
	noKey := siteFor(t, cert, "127.0.0.1:1")
	noKey.KeyFile = "/nowhere.key"
	for has, c := range map[string]Config{
		fmt.Sprintf("edge.sites[0].listen = %q: address already in use", taken.Addr()):                  {Sites: []SiteConfig{inUse}},
		`edge.sites[0] (localhost): host not found in upstream "no-such-host.invalid:80" (sites/localh`: {Sites: []SiteConfig{unknown}},
		"edge.sites[0].key_file: cannot read /nowhere.key: no such file or directory":                   {Sites: []SiteConfig{noKey}},
		"edge.sites: there is no site to serve":                                                         {},
		"nginx is not installed (on Debian: apt-get install nginx)":                                     {Nginx: "/nowhere/nginx"},
	} {
		c.RunDir = filepath.Join(shortDir(t), "run")
		err := New(c, Options{}).Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), has) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v, want %q", err, has)
		}
		if errors.Is(err, ErrNoNginx) != (c.Nginx != "") {
			t.Errorf("%v is ErrNoNginx: %v", err, errors.Is(err, ErrNoNginx))
		}
		if pid := masterOf(c.RunDir); pid != 0 {
			t.Errorf("%s: nginx %d was started", has, pid)
		}
	}
}

func TestOneEdgePerDirectory(t *testing.T) {
	cert := devCertificate(t)
	c := Config{RunDir: filepath.Join(shortDir(t), "run"), Sites: []SiteConfig{siteFor(t, cert, "127.0.0.1:1")}}
	r := runEdge(t, c)
	second := c
	second.Sites = []SiteConfig{siteFor(t, cert, "127.0.0.1:1")}
	if err := New(second, Options{}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "in use by another furima") {
		t.Errorf("error %v", err)
	}
	if version(t, r.dir) == "" {
		t.Error("the first was disturbed")
	}
}

func TestCheck(t *testing.T) {
	needNginx(t)
	cert := devCertificate(t)
	good := siteFor(t, cert, "127.0.0.1:1")
	dir := filepath.Join(shortDir(t), "never")
	log := slog.New(slog.DiscardHandler)
	if err := New(Config{RunDir: dir, Sites: []SiteConfig{good}}, Options{Logger: log}).Check(t.Context()); err != nil {
		t.Error(err)
	}
	bad := siteFor(t, cert, "no-such-host.invalid:80")
	err := New(Config{RunDir: dir, AccessLog: "/nowhere/x.log", Sites: []SiteConfig{bad}}, Options{}).Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "nowhere") && !strings.Contains(err.Error(), "no-such-host") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the run directory was touched")
	}
}

// TestRenderedTree holds what furima edge render promises: nginx takes the
// files where they were put.
func TestRenderedTree(t *testing.T) {
	needNginx(t)
	cert := devCertificate(t)
	dir := filepath.Join(shortDir(t), "out")
	tree, err := New(Config{RunDir: dir, Sites: []SiteConfig{siteFor(t, cert, "127.0.0.1:1")}}, Options{}).Render(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Write(); err != nil {
		t.Fatal(err)
	}
	n, err := FindNginx(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"nginx.conf", "current/nginx.conf"} {
		if out, err := exec.Command(n.Path, "-t", "-c", filepath.Join(dir, file)).CombinedOutput(); err != nil {
			t.Errorf("nginx -t -c %s: %v\n%s", file, err, out)
		}
	}
}
