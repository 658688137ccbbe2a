package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// standIn is a running "furima sandbox": the push services, in a process of its
// own, which outlives the gateways that a test kills.
type standIn struct {
	*process
	dir    string
	listen string // of Apple's stand-in
	ops    string // base URL of its ops listener
	config string // the [[push.apps]] table that it printed, with those of all providers
}

// keepDeliveries is how much the stand-in remembers: more than arrives between
// two looks of a ledger.
const keepDeliveries = "250000"

func startSandbox(t *testing.T) *standIn {
	t.Helper()
	s := &standIn{dir: t.TempDir(), listen: freeAddr(t), ops: "http://" + freeAddr(t)}
	s.run(t)
	_, table, _ := strings.Cut(s.output(), "[[push.apps]]")
	s.config = "[[push.apps]]" + table
	return s
}

// run starts the stand-in, or starts it again with the same address and
// credentials after it has been killed.
func (s *standIn) run(t *testing.T) {
	t.Helper()
	s.process = startBinary(t, plainBinary(t), s.dir, []string{"FURIMA_OPS_LISTEN=" + strings.TrimPrefix(s.ops, "http://")},
		"sandbox", "--keep", keepDeliveries, "--listen", s.listen, "--dir", filepath.Join(s.dir, "sandbox")).ready()
	s.await("its configuration", func() bool { return strings.Count(s.output(), "ca_file = ") == 3 }) // Apple, Google, browsers
}

// app is the stand-in's table for an app of another name.
func (s *standIn) app(name string) string {
	return strings.Replace(s.config, `name = "market"`, fmt.Sprintf("name = %q", name), 1)
}

// with is the stand-in's table with more keys for Apple.
func (s *standIn) with(keys string) string {
	return strings.Replace(s.config, "[push.apps.apns]\n", "[push.apps.apns]\n"+keys+"\n", 1)
}

// delivery is what the stand-in says about one notification.
type delivery struct {
	Seq    int64  `json:"seq"`
	Token  string `json:"token"`
	APNSID string `json:"apns_id"`
	Title  string `json:"title"`
	Body   string `json:"body"`
}

// deliveries returns everything that has arrived and is remembered.
func (s *standIn) deliveries() []delivery {
	s.t.Helper()
	return s.since(0)
}

// since returns what arrived after the delivery with number after.
func (s *standIn) since(after int64) []delivery {
	s.t.Helper()
	var all []delivery
	for {
		_, body := get(s.t, fmt.Sprintf("%s/sandbox/deliveries?after=%d&limit=5000", s.ops, after))
		var page struct {
			Deliveries []delivery `json:"deliveries"`
		}
		if err := json.Unmarshal([]byte(body), &page); err != nil {
			s.t.Fatalf("deliveries: %v: %s", err, tail(body, 1000))
		}
		if len(page.Deliveries) == 0 {
			return all
		}
		all = append(all, page.Deliveries...)
		after = all[len(all)-1].Seq
	}
}

// counts are what the stand-in counts since its start.
type counts struct {
	Received int            `json:"received"`
	Answers  map[string]int `json:"answers"` // by "200", "403 InvalidProviderToken", …
}

func (s *standIn) counts() counts {
	s.t.Helper()
	_, body := get(s.t, s.ops+"/sandbox/counts")
	var c counts
	if err := json.Unmarshal([]byte(body), &c); err != nil {
		s.t.Fatalf("counts: %v: %s", err, body)
	}
	return c
}

func (s *standIn) received() int              { s.t.Helper(); return s.counts().Received }
func (s *standIn) answered(answer string) int { s.t.Helper(); return s.counts().Answers[answer] }

func (s *standIn) post(path, body string) {
	s.t.Helper()
	res, answer := post(s.t, s.ops+path, body)
	if res.StatusCode/100 != 2 {
		s.t.Fatalf("POST %s: %d %s", path, res.StatusCode, answer)
	}
}

// heal takes all faults and the latency back.
func (s *standIn) heal() {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodDelete, s.ops+"/sandbox/faults", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode/100 != 2 {
		s.t.Fatalf("DELETE /sandbox/faults: %s", res.Status)
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
	// Longer than a gateway makes anybody wait for its store.
	res, err := (&http.Client{Timeout: 90 * time.Second}).Do(req)
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
	path := writeGateway(s.t, dir, store, addr, "", s.config)
	if strings.HasPrefix(store, "mysql:") { // on SQLite the gateway does it itself
		migratePush(s.t, dir, path)
	}
	return startGateway(s.t, binary, path).ready()
}

// writeGateway writes the configuration of a gateway: keys of [push], and the
// tables of its apps. It returns the file.
func writeGateway(t *testing.T, dir, store, addr, keys string, apps ...string) string {
	t.Helper()
	return write(t, dir, "furima.toml", fmt.Sprintf("[push]\nlisten = %q\nstore = %q\nretry_min = \"50ms\"\n%s\n%s\n",
		addr, store, keys, strings.Join(apps, "\n")))
}

func migratePush(t *testing.T, dir, config string) {
	t.Helper()
	if status, _, stderr := runFurima(t, dir, nil, "migrate", "push", "-c", config); status != 0 {
		t.Fatalf("furima migrate push: exit status %d\n%s", status, stderr)
	}
}

// startGateway starts furima push and does not wait until it is ready.
func startGateway(t *testing.T, path, config string, env ...string) *process {
	t.Helper()
	return startBinary(t, path, filepath.Dir(config), append([]string{"FURIMA_OPS_LISTEN=127.0.0.1:0"}, env...), "push", "-c", config)
}

// opsURL is where the process has its ops listener.
func (p *process) opsURL() string {
	p.t.Helper()
	for _, l := range p.log("listening") {
		if l["name"] == "ops" {
			return fmt.Sprint("http://", l["addr"])
		}
	}
	p.t.Fatal("no ops listener in the log")
	return ""
}

// metric returns a counter of the process, over all its labels.
func (p *process) metric(name string) float64 {
	p.t.Helper()
	_, body := get(p.t, p.opsURL()+"/metrics")
	return counter(body, name)
}

// deviceToken is a token in Apple's form, one a number.
func deviceToken(n int) string { return fmt.Sprintf("a1%062x", n) }

// deviceNumber is the number of a deviceToken; -1 for any other token.
func deviceNumber(token string) int {
	digits, ok := strings.CutPrefix(token, "a1")
	n, err := strconv.ParseInt(digits, 16, 64)
	if !ok || err != nil || len(token) != 64 {
		return -1
	}
	return int(n)
}

var hexToken = regexp.MustCompile(`^[0-9a-f]{64}$`)

func TestDeviceToken(t *testing.T) {
	if !hexToken.MatchString(deviceToken(7)) || deviceNumber(deviceToken(7)) != 7 || deviceNumber("b"+deviceToken(7)[1:]) != -1 {
		t.Errorf("deviceToken(7) = %q", deviceToken(7))
	}
}

// missing leaves a test out for want of something, and fails it in CI.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}
