package push

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func faults(c Config) map[string]string {
	got := make(map[string]string)
	c.Validate(func(key, problem string) { got[key] = problem })
	return got
}

func TestDefaultConfigIsValid(t *testing.T) {
	t.Parallel()
	if got := faults(DefaultConfig()); len(got) > 0 {
		t.Errorf("faults: %v", got)
	}
	c := DefaultConfig()
	if diff := cmp.Diff(c, Config{Listen: c.Listen, Store: c.Store}.withDefaults()); diff != "" {
		t.Errorf("zero values do not mean the defaults (-default +zero):\n%s", diff)
	}
}

func TestListenWithoutTokens(t *testing.T) {
	t.Parallel()
	for listen, fine := range map[string]bool{
		"127.0.0.1:1056": true, "127.9.9.9:0": true, "[::1]:1056": true, "localhost:1056": true, "unix:/run/furima/push.sock": true,
		"[::ffff:127.0.0.1]:1": true,
		"0.0.0.0:1056":         false, ":1056": false, "192.0.2.1:1056": false, "[::]:1056": false, "example.com:1056": false,
		"1056": false, "unix:": false, "": false, "127.0.0.1:": false,
	} {
		c := DefaultConfig()
		c.Listen = listen
		if _, bad := faults(c)["listen"]; bad == fine {
			t.Errorf("%q: %v", listen, faults(c))
		}
	}
	c := DefaultConfig()
	c.Listen, c.Tokens = "0.0.0.0:1056", []string{"secret"}
	if got := faults(c); len(got) > 0 {
		t.Errorf("with a token: %v", got)
	}
	c.Tokens, c.Apps = nil, []AppConfig{{Name: "market", Tokens: []string{"secret"}}}
	if got := faults(c); len(got) > 0 {
		t.Errorf("with the token of an app: %v", got)
	}
}

func TestValidateReportsEveryFault(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	text := write("text.p8", "not a key")
	pemFile := write("other.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
	c := Config{
		Listen: "0.0.0.0:1", Store: "postgres://x", MaxBacklog: -1, MaxRequestBytes: -1, Workers: -1,
		RetryMin: -1, GiveUpAfter: -1, KeepResults: -1, KeepFeedback: -1, StopTimeout: -1, Tokens: []string{" "},
		Apps: []AppConfig{
			{Name: "a b", APNS: APNSConfig{KeyFile: filepath.Join(dir, "none.p8"), Endpoint: "http://apple", CAFile: text, Connections: 65, MaxInFlight: -1, Timeout: -1}},
			{Name: "x", Tokens: []string{""}, APNS: APNSConfig{KeyFile: text, CertFile: text}},
			{Name: "x", APNS: APNSConfig{KeyFile: pemFile, KeyID: "K", TeamID: "T", Topic: "t"}},
			{APNS: APNSConfig{Topic: "com.example"}},
			{Name: strings.Repeat("n", maxAppName+1), APNS: APNSConfig{CertFile: text}},
		},
	}
	got := faults(c)
	for _, key := range []string{
		"store", "max_backlog", "max_request_bytes", "workers", "retry_min", "give_up_after", "keep_results", "keep_feedback", "stop_timeout", "tokens[0]",
		"apps[0].name", "apps[0].apns.key_file", "apps[0].apns.key_id", "apps[0].apns.team_id", "apps[0].apns.topic", "apps[0].apns.endpoint", "apps[0].apns.ca_file",
		"apps[0].apns.connections", "apps[0].apns.max_in_flight", "apps[0].apns.timeout",
		"apps[1].tokens[0]", "apps[1].apns.cert_file", "apps[2].name", "apps[2].apns.key_file", "apps[3].name", "apps[3].apns.key_file", "apps[4].name", "apps[4].apns.cert_file",
	} {
		problem, there := got[key]
		if !there {
			t.Errorf("%s is not reported", key)
		}
		if strings.Contains(problem, "\n") || strings.HasSuffix(problem, ".") || strings.Contains(problem, "not a key") {
			t.Errorf("%s: %q", key, problem)
		}
		delete(got, key)
	}
	if len(got) > 0 {
		t.Errorf("also reported: %v", got)
	}
	if p := faults(c)["apps[0].apns.key_file"]; !strings.Contains(p, "none.p8: no such file") {
		t.Errorf("a missing file: %q", p)
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	for endpoint, fine := range map[string]bool{
		"": true, "https://api.push.apple.com": true, "https://127.0.0.1:2197/": true,
		"https://host/path": false, "https://u:p@host": false, "host:443": false, "https://": false, "https://h?x=1": false,
	} {
		got := make(map[string]string)
		APNSConfig{CertFile: "x", Endpoint: endpoint}.validate(func(key, problem string) { got[key] = problem })
		if _, bad := got["endpoint"]; bad == fine {
			t.Errorf("%q: %v", endpoint, got)
		}
	}
}
