package edge

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write the golden files")

// childVariable makes the test program an edge that runs until a signal: what
// is killed in tests of being killed.
const childVariable = "FURIMA_EDGE_TEST_CHILD"

func TestMain(m *testing.M) {
	if spec := os.Getenv(childVariable); spec != "" {
		if err := runChild(strings.Split(spec, "\n")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// runChild runs an edge: run directory, certificate directory, address,
// upstream.
func runChild(spec []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cert, err := DevCertificate(spec[1], time.Now())
	if err != nil {
		return err
	}
	e := New(Config{RunDir: spec[0], Workers: 2, Sites: []SiteConfig{{
		Name: "localhost", Listen: spec[2], CertFile: cert.CertFile, KeyFile: cert.KeyFile, Upstream: []string{spec[3]},
	}}}, Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	return e.Run(ctx)
}

// needNginx skips a test that needs nginx where it is missing, but fails it
// where everything has to be there.
func needNginx(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs nginx, left out with -short")
	}
	if _, err := FindNginx(t.Context(), ""); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("nginx is missing: %v", err)
		}
		t.Skipf("nginx is missing: %v", err)
	}
}

// shortDir makes a temporary directory whose path is short enough for sockets.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "edge")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// devCertificate makes a certificate in a directory of its own.
func devCertificate(t *testing.T) Certificate {
	t.Helper()
	c, err := DevCertificate(filepath.Join(t.TempDir(), "cert"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// siteFor is a site of this machine in front of upstreams.
func siteFor(t *testing.T, cert Certificate, upstream ...string) SiteConfig {
	t.Helper()
	return SiteConfig{Name: "localhost", Aliases: []string{"127.0.0.1"}, Listen: freeAddr(t), CertFile: cert.CertFile, KeyFile: cert.KeyFile, Upstream: upstream}
}

// upstream starts a server behind the edge and returns its address.
func upstream(t *testing.T, h http.HandlerFunc) (*httptest.Server, string) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv, srv.Listener.Addr().String()
}

// eventually waits until f says yes.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-deadline.C:
			t.Fatalf("%s did not come", what)
		case <-tick.C:
		}
	}
}
