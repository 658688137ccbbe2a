package gaurun_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/gaurun"
)

func TestConfigPushers(t *testing.T) {
	t.Parallel()
	r := newRig(t, gaurun.Options{Workers: 4, PusherMax: 2, QueueMax: 8192}, nil)
	pusherMax := func() string {
		_, body := r.call("GET", "/stat/app", nil)
		_, rest, _ := strings.Cut(body, `"pusher_max": `)
		n, _, _ := strings.Cut(rest, ",")
		return n
	}
	if got := pusherMax(); got != "8" {
		t.Errorf("pusher_max is %s at first", got)
	}
	for _, c := range []struct {
		method, query string
		status        int
		message       string
		pushers       string
	}{
		{"GET", "?max=3", 400, "method must be PUT", "8"},
		{"POST", "?max=3", 400, "method must be PUT", "8"},
		{"PUT", "", 400, "malformed value", "8"},
		{"PUT", "?max=", 400, "malformed value", "8"},
		{"PUT", "?min=3", 400, "malformed value", "8"},
		{"PUT", "?MAX=3", 400, "malformed value", "8"},
		{"PUT", "?max=x", 400, "malformed value", "8"},
		{"PUT", "?max=1.5", 400, "malformed value", "8"},
		{"PUT", "?max=-1", 400, "malformed value", "8"},
		{"PUT", "?max=9223372036854775808", 400, "malformed value", "8"},
		{"PUT", "?max=%zz", 400, "url parameters could not be parsed", "8"},
		{"PUT", "?max=1;a=2", 400, "url parameters could not be parsed", "8"},
		{"PUT", "?max=3", 200, "ok", "12"},
		{"PUT", "?max=0x18", 200, "ok", "96"},
		{"PUT", "?max=0b11", 200, "ok", "12"},
		{"PUT", "?max=010", 200, "ok", "32"},
		{"PUT", "?max=1_000", 200, "ok", "4000"},
		{"PUT", "?max=0x1_8", 200, "ok", "96"},
		{"PUT", "?max=%2B5&max=7", 200, "ok", "20"},
		{"PUT", "?max=0", 200, "ok", "0"},
	} {
		res, body := r.call(c.method, "/config/pushers"+c.query, nil)
		if want := fmt.Sprintf("{\"message\":%q}\n", c.message); res.StatusCode != c.status || body != want {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.query, res.StatusCode, body, c.status, want)
		}
		if res.Header.Get("Content-Type") != "application/json; charset=utf-8" || res.Header.Get("Server") != "Gaurun 0.14.0" {
			t.Errorf("%s %s: header %v", c.method, c.query, res.Header)
		}
		if got := pusherMax(); got != c.pushers {
			t.Errorf("%s %s: pusher_max is %s, want %s", c.method, c.query, got, c.pushers)
		}
	}
	// A body counts for nothing, and with a bound of 0 all goes on.
	if res, _ := r.call("PUT", "/config/pushers", strings.NewReader("max=3"), "Content-Type", "application/x-www-form-urlencoded"); res.StatusCode != 400 {
		t.Errorf("max in the body: %d", res.StatusCode)
	}
	if res, body := r.call("POST", "/push", strings.NewReader(one(""))); res.StatusCode != 200 {
		t.Errorf("push: %d %s", res.StatusCode, body)
	}
}

// The bound is the gateway's, too: what it allows at once is what was asked for.
func TestConfigPushersBoundsTheGateway(t *testing.T) {
	t.Parallel()
	r := newRig(t, gaurun.Options{Workers: 3}, nil)
	r.call("PUT", "/config/pushers?max=5", nil)
	if got := r.gw.Stats("").MaxInFlight; got != 15 {
		t.Errorf("%d at once, want 15", got)
	}
	r.call("PUT", "/config/pushers?max=9223372036854775807", nil)
	if got := r.gw.Stats("").MaxInFlight; got <= 15 {
		t.Errorf("%d at once after an enormous max", got)
	}
	r.call("PUT", "/config/pushers?max=0", nil)
	if got, want := r.gw.Stats("").MaxInFlight, int64(push.APNSConfig{}.WithDefaults().MaxInFlight); got != want {
		t.Errorf("%d at once after max=0, want the default", got)
	}
}

func TestConfigApp(t *testing.T) {
	t.Parallel()
	file := gaurun.DefaultFile()
	file.Core.Workers, file.Core.PusherMax = 8, 16
	file.Android = gaurun.Android{APIKey: "AIzaSecret", Timeout: 5, KeepAliveTimeout: 90, KeepAliveConns: 8, RetryMax: 1}
	file.IOS.PemCertPath, file.IOS.PemKeyPath, file.IOS.PemKeyPassphrase = "cert.pem", "key.pem", "hush"
	file.IOS.KeepAliveConns, file.IOS.Topic = 8, "com.example.market"
	r := newRig(t, gaurun.Options{File: file}, nil)
	const want = `[core]
  port = "1056"
  workers = 8
  queues = 8192
  notification_max = 100
  pusher_max = 16
  shutdown_timeout = 10
  pid = ""
  allows_empty_message = false

[android]
  enabled = false
  apikey = "..."
  timeout = 5
  keepalive_timeout = 90
  keepalive_conns = 8
  retry_max = 1

[ios]
  enabled = true
  pem_cert_path = "cert.pem"
  pem_key_path = "key.pem"
  pem_key_passphrase = "..."
  token_auth_key_path = ""
  token_auth_key_id = ""
  token_auth_team_id = ""
  sandbox = true
  retry_max = 1
  timeout = 5
  keepalive_timeout = 90
  keepalive_conns = 8
  topic = "com.example.market"

[log]
  access_log = "stdout"
  error_log = "stderr"
  level = "error"
`
	for _, method := range []string{"GET", "POST"} {
		res, body := r.call(method, "/config/app", nil)
		if diff := cmp.Diff(want, body); res.StatusCode != 200 || diff != "" {
			t.Errorf("%s: %d (-want +got):\n%s", method, res.StatusCode, diff)
		}
		if res.Header.Get("Content-Type") != "text/plain" || res.Header.Get("Server") != "Gaurun 0.14.0" {
			t.Errorf("header %v", res.Header)
		}
	}
	r.call("PUT", "/config/pushers?max=24", nil)
	if _, body := r.call("GET", "/config/app", nil); !strings.Contains(body, "  pusher_max = 24\n") {
		t.Errorf("after PUT /config/pushers:\n%s", body)
	}
}

// With furima.toml the same is told in Gaurun's words.
func TestConfigAppOfFurima(t *testing.T) {
	t.Parallel()
	c := push.DefaultConfig()
	c.Store = "mysql://furima:secret@db:3306/push"
	c.Listen = "[::1]:2056"
	c.Tokens = []string{"secret-token"}
	c.Apps = []push.AppConfig{{Name: "market", Tokens: []string{"secret-token"}, APNS: push.APNSConfig{
		CertFile: "c.pem", CertKeyFile: "k.pem", CertKeyPassphrase: "secret", Topic: "com.example.market", Endpoint: "https://api.sandbox.push.apple.com",
	}, FCM: push.FCMConfig{CredentialsFile: "sa.json"}}}
	o := gaurun.OptionsOf(c, nil)
	o.Open = true
	r := newRig(t, o, nil)
	_, body := r.call("GET", "/config/app", nil)
	for _, want := range []string{
		`port = "2056"`, `topic = "com.example.market"`, `sandbox = true`, `pem_cert_path = "c.pem"`, `credentials_file = "sa.json"`, `access_log = "discard"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is missing in\n%s", want, body)
		}
	}
	if strings.Contains(body, "secret") {
		t.Errorf("a secret in\n%s", body)
	}
}

// The routes that tell or change the configuration ask for a token as /push does.
func TestConfigTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t, gaurun.Options{}, func(c *push.Config) { c.Tokens = []string{"secret"} })
	for _, c := range [][2]string{{"GET", "/config/app"}, {"PUT", "/config/pushers?max=3"}} {
		for token, want := range map[string]int{"": 401, "Bearer wrong": 401, "Bearer secret": 200} {
			if res, body := r.call(c[0], c[1], nil, "Authorization", token); res.StatusCode != want {
				t.Errorf("%s with %q: %d %s", c[1], token, res.StatusCode, body)
			}
		}
	}
}

// Gaurun checks no method but those of /push and /config/pushers.
func TestMethods(t *testing.T) {
	t.Parallel()
	r := newRig(t, gaurun.Options{}, nil)
	for _, method := range []string{"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"} {
		for path, contentType := range map[string]string{"/stat/app": "application/json; charset=utf-8", "/stat/go": "application/json", "/config/app": "text/plain"} {
			res, body := r.call(method, path, nil)
			if res.StatusCode != 200 || res.Header.Get("Content-Type") != contentType || (body == "") != (method == "HEAD") {
				t.Errorf("%s %s: %d %q %.40q", method, path, res.StatusCode, res.Header.Get("Content-Type"), body)
			}
		}
	}
	if res, body := r.call("HEAD", "/push", nil); res.StatusCode != 400 || body != "" {
		t.Errorf("HEAD /push: %d %q", res.StatusCode, body)
	}
	if res, _ := r.call("POST", "/push/", strings.NewReader(one(""))); res.StatusCode != 404 {
		t.Errorf("/push/: %d", res.StatusCode)
	}
}

// What old clients of Gaurun say on the wire: HTTP/1.0, no Content-Type, a
// Content-Type of something else, a length of 0, a length that is not there.
func TestOnTheWire(t *testing.T) {
	t.Parallel()
	r := newRig(t, gaurun.Options{}, nil)
	body := one("")
	for name, c := range map[string]struct{ request, status, answer string }{
		"HTTP/1.0":              {fmt.Sprintf("POST /push HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s", len(body), body), "200 OK", `{"message":"ok"}`},
		"a form's content type": {fmt.Sprintf("POST /push HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", len(body), body), "200 OK", `{"message":"ok"}`},
		"length 0":              {"POST /push HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "400 Bad Request", `{"message":"request body is empty"}`},
		"no length":             {"POST /push HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request", `{"message":"request body is empty"}`},
		"chunked":               {fmt.Sprintf("POST /push HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body), "200 OK", `{"message":"ok"}`},
		"an empty chunked body": {"POST /push HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400 Bad Request", `{"message":"Request-body is malformed"}`},
		"method in lower case":  {"post /push HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "400 Bad Request", `{"message":"method must be POST"}`},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", r.server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, c.request); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			text, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.Status != c.status || string(text) != c.answer+"\n" {
				t.Errorf("%s %q, want %s %s", res.Status, text, c.status, c.answer)
			}
		})
	}
}
