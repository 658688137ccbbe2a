package h2_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/furima/furima/internal/push/h2"
)

// The servers that people run: nginx, nghttpd, Apache and Node's, over TLS.

// find returns the path of a server's program, or ends the test saying what is
// missing.
func find(t *testing.T, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs " + name + ", left out by -short")
	}
	for _, p := range []string{name, "/usr/sbin/" + name} {
		if p, err := exec.LookPath(p); err == nil {
			return p
		}
	}
	missing(t, name+" is not installed")
	return ""
}

// missing ends the test: as a failure where everything must be there.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// freePort returns a port that nobody listened on a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// run runs a server until the test ends, and returns when it listens.
func run(t *testing.T, port, name string, args ...string) *exec.Cmd {
	t.Helper()
	var out strings.Builder
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", name, out.String())
		}
	})
	for deadline := time.Now().Add(20 * time.Second); ; {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = c.Close()
			return cmd
		}
		select {
		case <-ended:
			t.Fatalf("%s ended:\n%s", name, out.String())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen: %v", name, err)
		}
	}
}

const nginxConf = `
daemon off; worker_processes 2; pid %[1]s/pid; error_log stderr warn;
events { worker_connections 256; }
http {
	access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	server {
		listen 127.0.0.1:%[2]s ssl http2;
		ssl_certificate %[3]s; ssl_certificate_key %[4]s;
		keepalive_requests %[5]d; http2_max_concurrent_streams %[6]d; http2_chunk_size 1k;
		location / { return 200 "$request_uri $http_apns_id $http_apns_topic $content_length"; }
	}
}`

func TestNginx(t *testing.T) {
	nginx := find(t, "nginx")
	id := newIdentity(t)
	check := func(i int, r *h2.Response) string {
		if r.Err != nil {
			return r.Err.Error()
		}
		if want := fmt.Sprintf("/3/device/%d %d com.example.market %d", i, i, len(bodyOf(i))); r.Status != 200 || string(r.Body) != want {
			return fmt.Sprintf("status %d, body %q, want %q", r.Status, r.Body, want)
		}
		return ""
	}
	for name, n := range map[string]struct{ requests, streams int }{
		"many requests a connection": {1000000, 128},
		"GOAWAY every 100 requests":  {100, 20},
		"one stream":                 {1000, 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir, port := t.TempDir(), freePort(t)
			conf := filepath.Join(dir, "nginx.conf")
			if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, port, id.cert, id.key, n.requests, n.streams), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := run(t, port, nginx, "-p", dir, "-c", conf, "-e", "stderr")
			load{workers: 4, rounds: 10, size: 100, body: bodyOf, check: check,
				during: func() { _ = cmd.Process.Signal(syscall.SIGHUP) }, // reloads
			}.run(t, h2.Config{URL: "https://127.0.0.1:" + port, TLS: &tls.Config{RootCAs: id.roots}, Connections: 2, BackoffMin: time.Millisecond})
		})
	}
}

func TestNghttpd(t *testing.T) {
	nghttpd := find(t, "nghttpd")
	id := newIdentity(t)
	for name, args := range map[string][]string{
		"default":                    {},
		"narrow windows and padding": {"--window-bits=6", "--connection-window-bits=16", "--padding=100", "--max-concurrent-streams=7"},
		"no header table, trailers":  {"--header-table-size=0", "--encoder-header-table-size=0", "--trailer=x-end: 1"},
		"one stream":                 {"--max-concurrent-streams=1"},
	} {
		t.Run(name, func(t *testing.T) {
			port := freePort(t)
			run(t, port, nghttpd, append(args, "--address=127.0.0.1", "--echo-upload", "--htdocs="+t.TempDir(), port, id.key, id.cert)...)
			load{workers: 4, rounds: 5, size: 100, body: bodyOf, check: echoed}.
				run(t, h2.Config{URL: "https://127.0.0.1:" + port, TLS: &tls.Config{RootCAs: id.roots}, Connections: 2})
		})
	}
}

const apacheConf = `
ServerName localhost
ServerRoot %[1]s
DefaultRuntimeDir %[1]s
PidFile %[1]s/pid
ErrorLog /dev/stderr
Listen 127.0.0.1:%[2]s https
LoadModule mpm_event_module %[5]s/mod_mpm_event.so
LoadModule authz_core_module %[5]s/mod_authz_core.so
LoadModule http2_module %[5]s/mod_http2.so
LoadModule ssl_module %[5]s/mod_ssl.so
LoadModule alias_module %[5]s/mod_alias.so
LoadModule headers_module %[5]s/mod_headers.so
Protocols h2
H2MaxSessionStreams %[6]d
SSLEngine on
SSLCertificateFile %[3]s
SSLCertificateKeyFile %[4]s
AliasMatch "^/3/device/" %[1]s/answer
Header set apns-id "expr=%%{req:apns-id}"
Header set x-uri "expr=%%{REQUEST_URI}"
`

const apacheModules = "/usr/lib/apache2/modules"

func TestApache(t *testing.T) {
	apache := find(t, "apache2")
	id := newIdentity(t)
	for name, streams := range map[string]int{"default": 100, "one stream": 1} {
		t.Run(name, func(t *testing.T) {
			dir, port := t.TempDir(), freePort(t)
			conf := filepath.Join(dir, "apache.conf")
			if err := os.WriteFile(conf, fmt.Appendf(nil, apacheConf, dir, port, id.cert, id.key, apacheModules, streams), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "answer"), []byte("taken"), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(apacheModules); err != nil {
				missing(t, "Apache's modules are not where Debian has them")
			}
			run(t, port, apache, "-f", conf, "-X")
			load{workers: 4, rounds: 5, size: 100, body: bodyOf, check: func(i int, r *h2.Response) string {
				if r.Err != nil || r.Status != 200 || string(r.Body) != "taken" || r.Kept[0] != strconv.Itoa(i) || r.Kept[1] != "/3/device/"+strconv.Itoa(i) {
					return fmt.Sprintf("%+v", *r)
				}
				return ""
			}}.run(t, h2.Config{URL: "https://127.0.0.1:" + port, TLS: &tls.Config{RootCAs: id.roots}, Connections: 2, BackoffMin: time.Millisecond, Keep: []string{"apns-id", "x-uri"}})
		})
	}
}

const nodeServer = `
const http2 = require('http2'), fs = require('fs');
const [cert, key, port, settings, mode] = process.argv.slice(1);
const server = http2.createSecureServer({cert: fs.readFileSync(cert), key: fs.readFileSync(key), settings: JSON.parse(settings)});
let n = 0;
server.on('stream', (stream, headers) => {
	const parts = [];
	stream.on('error', () => {});
	stream.on('data', d => parts.push(d));
	stream.on('end', () => {
		if (stream.destroyed) return;
		n++;
		if (mode === 'hints') stream.additionalHeaders({':status': 103, link: '</x>'});
		if (mode === 'refuse' && n % 7 === 0) return stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
		if (mode === 'settings' && n % 50 === 0) stream.session.settings({
			maxConcurrentStreams: 1 + n % 30, initialWindowSize: 20 + n * 13 % 500, headerTableSize: n * 7 % 4096});
		if (mode === 'goaway' && n % 200 === 0) stream.session.close();
		stream.respond({':status': 200, 'apns-id': headers['apns-id']}, {waitForTrailers: mode === 'trailers'});
		if (mode === 'trailers') stream.on('wantTrailers', () => stream.sendTrailers({'x-end': '1'}));
		for (const p of parts) for (let i = 0; i < p.length; i += 100) stream.write(p.subarray(i, i + 100));
		stream.end();
	});
});
server.listen(Number(port), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
`

func TestNode(t *testing.T) {
	node := find(t, "node")
	id := newIdentity(t)
	for _, tt := range []struct{ mode, settings string }{
		{"plain", `{}`},
		{"narrow", `{"maxConcurrentStreams": 3, "initialWindowSize": 20, "headerTableSize": 0}`},
		{"hints", `{}`},
		{"trailers", `{}`},
		{"refuse", `{}`},
		{"settings", `{"maxConcurrentStreams": 100}`},
		{"goaway", `{"maxConcurrentStreams": 50}`},
	} {
		t.Run(tt.mode, func(t *testing.T) {
			port := freePort(t)
			run(t, port, node, "-e", nodeServer, id.cert, id.key, port, tt.settings, tt.mode)
			load{workers: 3, rounds: 5, size: 100, body: bodyOf, check: echoed}.
				run(t, h2.Config{URL: "https://127.0.0.1:" + port, TLS: &tls.Config{RootCAs: id.roots}, Connections: 2, BackoffMin: time.Millisecond})
		})
	}
}
