package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// tools is a gateway with a token on a socket, and the commands around it.
type tools struct {
	*migration
	gateway *process
}

func newTools(t *testing.T) *tools {
	t.Helper()
	m := newMigration(t)
	text := fmt.Sprintf(`
[log]
level = "warn"
[push]
listen = %q
store = "sqlite:push.db"
tokens = ["s3cret"]
[[push.apps]]
name = "market"
[push.apps.apns]
key_file = %q
key_id = "SANDBOXKEY"
team_id = "FURIMATEAM"
topic = "com.example.market"
endpoint = %q
ca_file = %q
`, "unix:"+m.socket, m.apple.KeyFile(), m.apple.URL(), m.apple.CAFile())
	if err := os.WriteFile(m.path("push.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	k := &tools{migration: m}
	k.gateway = start(t, m.dir, nil, nil, "push", "-c", "push.toml")
	k.gateway.await("the socket", func() bool {
		_, err := os.Stat(m.socket)
		return err == nil
	})
	return k
}

// run runs a command to its end.
func (k *tools) run(stdin string, args ...string) (stdout, stderr string, status int) {
	k.t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"push"}, append(args, "--url", "unix:"+k.socket)...)...)
	cmd.Dir = k.dir
	cmd.Env = []string{asProgram + "=1", "FURIMA_PUSH_TOKEN=s3cret"}
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		k.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// must is run of a command that must end with the status.
func (k *tools) must(want int, args ...string) (stdout, stderr string) {
	k.t.Helper()
	stdout, stderr, status := k.run("", args...)
	if status != want {
		k.t.Fatalf("push %s: status %d, want %d\n%s%s", strings.Join(args, " "), status, want, stdout, stderr)
	}
	return stdout, stderr
}

// has holds that a text has all the parts.
func has(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is not in:\n%s", p, text)
		}
	}
}

func TestPushTools(t *testing.T) {
	t.Parallel()
	k := newTools(t)
	const other = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

	// One notification, and what became of it.
	out, _ := k.must(0, "send", "--platform", "apns", "--token", aToken, "--title", "Sold!", "--data", "order=or_1", "--badge", "0")
	id := strings.TrimSpace(out)
	if !strings.HasPrefix(id, "pu_") || strings.Contains(id, "\n") {
		t.Fatalf("send printed %q", out)
	}
	out, _ = k.must(0, "status", id, "--wait")
	has(t, out, id, "market", "1 notification, 1 sent")
	d := k.phones.Deliveries(0, 0)
	if len(d) != 1 || d[0].Token != aToken {
		t.Fatalf("the phones got %+v", d)
	}
	has(t, string(d[0].Payload), `"order":"or_1"`, `"badge":0`, "Sold!")

	// What is dead is told, and by feedback from where the last list ended.
	out, errs := k.must(1, "send", "--platform", "apns", "--token", "dead", "--token", other, "--title", "x", "--wait")
	has(t, out, "2 notifications, 1 sent, 1 unregistered", "BadDeviceToken: 1")
	has(t, errs, "1 of 2 notifications were not sent")
	out, errs = k.must(0, "feedback")
	has(t, out, "\tmarket\tapns\tBadDeviceToken\tdead\n")
	has(t, errs, "next: --cursor ")
	out, _ = k.must(0, "feedback", "--cursor-file", "cursor", "--json")
	has(t, out, `"token":"dead"`)
	if out, _ = k.must(0, "feedback", "--cursor-file", "cursor", "--json"); out != "" {
		t.Errorf("the second time it lists %q", out)
	}

	// What is to be sent later can be given up.
	out, _ = k.must(0, "send", "--platform", "apns", "--token", aToken, "--title", "later", "--send-at", "+1h", "--json")
	var accepted struct{ ID string }
	if err := json.Unmarshal([]byte(out), &accepted); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, _ = k.must(0, "cancel", accepted.ID)
	has(t, out, "1 notification, 1 cancelled")
	out, _, status := k.run(id+"\t1\n"+accepted.ID+"\t1\n"+id+"\t1\n", "status", "-")
	if status != 0 {
		t.Error(out)
	}
	has(t, out, "together: 2 notifications, 1 sent, 1 cancelled")

	// Refusals.
	_, errs = k.must(1, "status", "pu_nothing")
	has(t, errs, "pu_nothing", "404")
	_, errs = k.must(1, "send", "--platform", "apns", "--token", "a b")
	has(t, errs, "422", "must be printable ASCII")
	_, errs = k.must(1, "send", "--platform", "apns", "--token", aToken, "--app", "nobody")
	has(t, errs, "/app")
	if err := os.WriteFile(k.path("wrong"), []byte("wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, errs = k.must(1, "send", "--platform", "apns", "--token", aToken, "--token-file", "wrong")
	has(t, errs, "401")
}

// TestCampaignInterrupted interrupts a campaign on the command line and goes on.
func TestCampaignInterrupted(t *testing.T) {
	t.Parallel()
	k := newTools(t)
	const n = 6000
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, `{"token":"%064x","platform":"apns"}`+"\n", i)
	}
	lines.WriteString("oops\n")
	if err := os.WriteFile(k.path("lines"), []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"push", "send", "--url", "unix:" + k.socket, "--file", "lines", "--title", "Sale",
		"--state", "state", "--ids", "ids", "--on-error", "skip", "--batch", "50"}
	p := start(t, k.dir, []string{"FURIMA_PUSH_TOKEN=s3cret"}, nil, append(args, "--rate", "2000")...)
	p.await("the first ids", func() bool { return strings.Count(k.read("ids"), "\n") > 5 })
	p.signal(syscall.SIGINT)
	if status := p.end(); status != 1 {
		t.Errorf("status %d", status)
	}
	has(t, p.output(), "Everything up to line", "and nothing after it", "The same command goes on from there", "furima: interrupted")

	out, errs := k.must(1, args[1:]...)
	has(t, errs, "going on after line ", "line 6001: is not JSON from byte 0 on", "furima: left out 1 line\n")
	has(t, out, "notifications accepted in ", "6,000 since the campaign began", "1 line left out\n")
	out, _, status := k.run(k.read("ids"), "status", "-", "--wait")
	if status != 0 {
		t.Errorf("status %d: %s", status, out)
	}
	has(t, out, fmt.Sprintf("together: %d notifications, %d sent\n", n, n))
	if total, repeated := k.phones.Received(); total != n || repeated != 0 {
		t.Errorf("the phones got %d, %d of them twice", total, repeated)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(k.read("ids")) {
		id, _, _ := strings.Cut(line, "\t")
		if seen[id] {
			t.Errorf("%s was noted twice, without a crash", id)
		}
		seen[id] = true
	}

	// Then there is nothing left to do; and another text is another campaign.
	k.must(0, args[1:]...)
	_, errs = k.must(1, append(args[1:], "--body", "another")...)
	has(t, errs, "another text, app or format")
	if leftovers, err := filepath.Glob(k.path(".state.*")); err != nil || len(leftovers) > 0 {
		t.Errorf("left behind: %v %v", leftovers, err)
	}
}
