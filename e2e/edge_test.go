package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// certificate writes a self-signed certificate for 127.0.0.1.
func certificate(t *testing.T, dir string) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(certPEM)
	return write(t, dir, "cert.pem", string(certPEM)),
		write(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))), roots
}

// TestEdge: render gives what nginx -t accepts; through the running edge the
// API answers over HTTP/2 and TLS; no nginx stays behind, not even after
// kill -9.
func TestEdge(t *testing.T) {
	needs(t, "nginx")
	// nginx's workers are another user, who must be able to enter the folder.
	dir, err := os.MkdirTemp("", "furima-edge-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	m := startMarket(t, t.TempDir(), "sqlite:"+filepath.Join(dir, "market.db"), "http://127.0.0.1:1")
	certFile, keyFile, roots := certificate(t, dir)
	addr := freeAddr(t)
	config := write(t, dir, "furima.toml", fmt.Sprintf("[edge]\nrun_dir = %q\n[[edge.sites]]\nname = \"127.0.0.1\"\nlisten = %q\ncert_file = %q\nkey_file = %q\nupstream = [%q]\n",
		filepath.Join(dir, "run"), addr, certFile, keyFile, m.addr))

	if status, _, stderr := runFurima(t, dir, nil, "edge", "check", "-c", config); status != 0 {
		t.Fatalf("edge check: exit status %d\n%s", status, stderr)
	}
	out := filepath.Join(dir, "rendered")
	if status, _, stderr := runFurima(t, dir, nil, "edge", "render", "-c", config, "--out", out); status != 0 {
		t.Fatalf("edge render: exit status %d\n%s", status, stderr)
	}
	if said, err := exec.Command("/usr/sbin/nginx", "-t", "-c", filepath.Join(out, "nginx.conf")).CombinedOutput(); err != nil {
		t.Errorf("nginx -t: %v\n%s", err, said)
	}

	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true,
	}}
	for _, end := range []string{"SIGTERM", "SIGKILL"} {
		edge := start(t, dir, []string{"FURIMA_OPS_LISTEN=127.0.0.1:0"}, "edge", "run", "-c", config).ready()
		nginx := family(t, edge.cmd.Process.Pid)
		if len(nginx) < 2 {
			t.Errorf("furima edge has the processes %v, want nginx's master and workers", nginx)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+addr+"/v1/catalog", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 {
			t.Errorf("through the edge: %s %s, want 200 over HTTP/2", res.Proto, res.Status)
		}
		client.CloseIdleConnections()
		if end == "SIGTERM" {
			if status := edge.stop(); status != 0 {
				t.Errorf("SIGTERM: exit status %d", status)
			}
		} else {
			edge.kill()
		}
		gone(t, end, nginx)
	}
}

// family returns the processes below pid.
func family(t *testing.T, pid int) []int {
	t.Helper()
	children := map[int][]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, stat := range stats {
		b, err := os.ReadFile(stat)
		if err != nil {
			continue // ended meanwhile
		}
		// pid (comm) state ppid …; comm may hold anything but ends with the last ")".
		text := string(b)
		end := strings.LastIndexByte(text, ')')
		fields := strings.Fields(text[end+1:])
		id, err1 := strconv.Atoi(strings.Fields(text)[0])
		parent, err2 := strconv.Atoi(fields[1])
		if err1 == nil && err2 == nil {
			children[parent] = append(children[parent], id)
		}
	}
	var all []int
	for todo := []int{pid}; len(todo) > 0; todo = todo[1:] {
		all = append(all, children[todo[0]]...)
		todo = append(todo, children[todo[0]]...)
	}
	return all
}

// gone waits until the processes have ended.
func gone(t *testing.T, after string, pids []int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, pid := range pids {
		for alive(pid) {
			select {
			case <-ctx.Done():
				t.Fatalf("process %d is still there after %s", pid, after)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}

// alive reports whether a process runs; one that only waits to be reaped does
// not.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	text := string(b)
	return !strings.HasPrefix(text[strings.LastIndexByte(text, ')')+1:], " Z")
}
