package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// standIn is a running "furima sandbox": Apple, in a process of its own, which
// outlives the gateways that a test kills.
type standIn struct {
	*process
	ops    string // base URL of its ops listener
	config string // the [push.apps.apns] table that it printed
}

func startSandbox(t *testing.T) *standIn {
	t.Helper()
	ops, dir := freeAddr(t), t.TempDir()
	p := start(t, dir, []string{"FURIMA_OPS_LISTEN=" + ops},
		"sandbox", "--keep", "1000000", "--listen", "127.0.0.1:0", "--dir", filepath.Join(dir, "sandbox")).ready()
	p.await("its configuration", func() bool { return strings.Contains(p.output(), "ca_file = ") })
	_, table, _ := strings.Cut(p.output(), "[[push.apps]]")
	return &standIn{process: p, ops: "http://" + ops, config: "[[push.apps]]" + table}
}

// delivery is what the stand-in says about one notification.
type delivery struct {
	Seq    int64  `json:"seq"`
	Token  string `json:"token"`
	APNSID string `json:"apns_id"`
	Title  string `json:"title"`
	Body   string `json:"body"`
}

// deliveries returns everything that arrived.
func (s *standIn) deliveries() []delivery {
	s.t.Helper()
	var all []delivery
	for after := int64(0); ; {
		_, body := get(s.t, fmt.Sprintf("%s/sandbox/deliveries?after=%d&limit=1000", s.ops, after))
		var page struct {
			Deliveries []delivery `json:"deliveries"`
			Next       int64      `json:"next"`
		}
		if err := json.Unmarshal([]byte(body), &page); err != nil {
			s.t.Fatalf("deliveries: %v: %s", err, body)
		}
		if len(page.Deliveries) == 0 {
			return all
		}
		all = append(all, page.Deliveries...)
		after = page.Deliveries[len(page.Deliveries)-1].Seq
	}
}

func (s *standIn) post(path, body string) {
	s.t.Helper()
	res, answer := post(s.t, s.ops+path, body)
	if res.StatusCode/100 != 2 {
		s.t.Fatalf("POST %s: %d %s", path, res.StatusCode, answer)
	}
}

func post(t *testing.T, url, body string) (*http.Response, string) {
	t.Helper()
	res, answer, err := tryPost(t, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return res, answer
}

func tryPost(t *testing.T, url, body string) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	var answer bytes.Buffer
	_, err = answer.ReadFrom(http.MaxBytesReader(nil, res.Body, 1<<20))
	return res, answer.String(), err
}

// gateway starts furima push against the stand-in, with its queue at store.
func (s *standIn) gateway(dir, store, addr string) *process {
	s.t.Helper()
	path := filepath.Join(dir, "furima.toml")
	text := fmt.Sprintf("[push]\nlisten = %q\nstore = %q\nretry_min = \"50ms\"\n\n%s", addr, store, s.config)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if status, _, stderr := runFurima(s.t, dir, nil, "migrate", "push", "-c", path); status != 0 {
		s.t.Fatalf("furima migrate push: exit status %d\n%s", status, stderr)
	}
	return start(s.t, dir, []string{"FURIMA_OPS_LISTEN=127.0.0.1:0"}, "push", "-c", path).ready()
}

// deviceToken is a token in Apple's form, one a number.
func deviceToken(n int) string { return fmt.Sprintf("a1%062x", n) }

var hexToken = regexp.MustCompile(`^[0-9a-f]{64}$`)

func TestDeviceToken(t *testing.T) {
	if !hexToken.MatchString(deviceToken(7)) {
		t.Errorf("deviceToken(7) = %q", deviceToken(7))
	}
}
