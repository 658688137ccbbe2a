package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestPushRefuses: whatever a caller gets wrong is answered with what it is, on
// both surfaces, and nothing of it reaches a phone.
func TestPushRefuses(t *testing.T) {
	t.Parallel()
	apple, dir, addr := startSandbox(t), t.TempDir(), freeAddr(t)
	gateway := apple.gateway(dir, "sqlite:"+filepath.Join(dir, "push.db"), addr)
	quote := func(format string, args ...any) string { return fmt.Sprintf(format, args...) }
	token := deviceToken(1)
	long := strings.Repeat("x", 4097)
	many := func(n int, one string) string {
		return `{"notifications":[` + strings.Repeat(one+",", n-1) + one + `]}`
	}
	gaurunOne := quote(`{"token":[%q],"platform":1,"message":"hello"}`, token)
	for name, c := range map[string]struct {
		path, body string
		status     int
		says       []string // in the answer
	}{
		"malformed":           {"/v1/push", `{"notifications":[`, 400, []string{`"code":"invalid"`}},
		"no body":             {"/v1/push", ``, 400, []string{`"code":"invalid"`}},
		"unknown field":       {"/v1/push", quote(`{"notifications":[{"tokens":[%q],"platform":"apns","boddy":"x"}]}`, token), 422, []string{"boddy"}},
		"unknown app":         {"/v1/push", quote(`{"app":"shop","notifications":[{"tokens":[%q],"platform":"apns","body":"x"}]}`, token), 422, []string{"/app"}},
		"unknown platform":    {"/v1/push", quote(`{"notifications":[{"tokens":[%q],"platform":"pager","body":"x"}]}`, token), 422, []string{"/notifications/0/platform", "apns, fcm or webpush"}},
		"no platform":         {"/v1/push", quote(`{"notifications":[{"tokens":[%q],"body":"x"}]}`, token), 422, []string{"/notifications/0/platform"}},
		"empty token":         {"/v1/push", quote(`{"notifications":[{"tokens":[%q,""],"platform":"apns","body":"x"}]}`, token), 422, []string{"/notifications/0/tokens/1", "empty"}},
		"no token":            {"/v1/push", `{"notifications":[{"tokens":[],"platform":"apns","body":"x"}]}`, 422, []string{"/notifications/0/tokens"}},
		"payload":             {"/v1/push", quote(`{"notifications":[{"tokens":[%q],"platform":"apns","apns":{"payload":{"aps":{},"x":%q}}}]}`, token, long), 422, []string{"/notifications/0", "4096"}},
		"text":                {"/v1/push", quote(`{"notifications":[{"tokens":[%q],"platform":"apns","body":%q}]}`, token, long), 422, []string{"/notifications/0", "4096"}},
		"1,001 tokens":        {"/v1/push", quote(`{"tokens":[%s],"platform":"apns","body":"x"}`, strings.TrimSuffix(strings.Repeat(quote("%q,", token), 1001), ",")), 422, []string{"/tokens", "1000"}},
		"one of two is wrong": {"/v1/push", quote(`{"notifications":[{"tokens":[%q],"platform":"apns","body":"x"},{"tokens":["/"],"platform":"apns","body":"x"}]}`, token), 422, []string{"/notifications/1/tokens/0"}},

		"Gaurun: malformed":         {"/push", `{"notifications":`, 400, []string{`{"message":"Request-body is malformed"}`}},
		"Gaurun: no body":           {"/push", ``, 400, []string{`{"message":"request body is empty"}`}},
		"Gaurun: nothing":           {"/push", `{}`, 400, []string{`{"message":"empty notification"}`}},
		"Gaurun: 101 notifications": {"/push", many(101, gaurunOne), 400, []string{`{"message":"number of notifications(101) over limit(100)"}`}},
		"Gaurun: empty token":       {"/push", quote(`{"notifications":[{"token":[""],"platform":1,"message":"x"}]}`), 200, []string{`"message":"ok"`, `"index":0`, "empty token"}},
		"Gaurun: platform":          {"/push", quote(`{"notifications":[{"token":[%q],"platform":3,"message":"x"}]}`, token), 200, []string{`"message":"ok"`, "invalid platform"}},
		"Gaurun: no message":        {"/push", quote(`{"notifications":[{"token":[%q],"platform":1}]}`, token), 200, []string{`"message":"ok"`, "empty message"}},
		"Gaurun: payload":           {"/push", quote(`{"notifications":[{"token":[%q],"platform":1,"message":%q}]}`, token, long), 200, []string{`"message":"ok"`, `"index":0`, "4096"}},
	} {
		t.Run(name, func(t *testing.T) {
			res, body := post(t, "http://"+addr+c.path, c.body)
			if res.StatusCode != c.status {
				t.Errorf("status %d, want %d: %s", res.StatusCode, c.status, tail(body, 400))
			}
			for _, want := range c.says {
				if !strings.Contains(body, want) {
					t.Errorf("the answer does not say %q: %s", want, tail(body, 400))
				}
			}
			if len(body) > 1000 || strings.Contains(body, long[:100]) {
				t.Errorf("the answer repeats what was sent: %d bytes", len(body))
			}
		})
	}
	// Of all this nothing was taken; and the gateway is well.
	ledger := newLedger(t, apple)
	ledger.mustSend(pushClient(t, addr), 1)
	ledger.check(0)
	if n := apple.received(); n != 1 {
		t.Errorf("%d notifications arrived, want only the right one", n)
	}
	for _, level := range []string{"ERROR"} {
		if strings.Contains(gateway.errors(), `"level":"`+level+`"`) {
			t.Errorf("a caller's mistake is an error in the log:\n%s", tail(gateway.errors(), 4000))
		}
	}
}

// TestPushPayloadOfTheLimit: 4,096 bytes arrive, one more does not.
func TestPushPayloadOfTheLimit(t *testing.T) {
	t.Parallel()
	apple, dir, addr := startSandbox(t), t.TempDir(), freeAddr(t)
	apple.gateway(dir, "sqlite:"+filepath.Join(dir, "push.db"), addr)
	const frame = `{"aps":{},"x":""}`
	send := func(n int) int {
		payload := strings.Replace(frame, `""`, `"`+strings.Repeat("x", n-len(frame))+`"`, 1)
		res, _ := post(t, "http://"+addr+"/v1/push", fmt.Sprintf(`{"tokens":[%q],"platform":"apns","apns":{"payload":%s}}`, deviceToken(n), payload))
		return res.StatusCode
	}
	if status := send(4096); status != http.StatusAccepted {
		t.Errorf("4,096 bytes: status %d", status)
	}
	if status := send(4097); status != http.StatusUnprocessableEntity {
		t.Errorf("4,097 bytes: status %d", status)
	}
	poll(t, "the payload of 4,096 bytes", func() bool { return apple.received() == 1 })
}

// TestPushReload: SIGHUP takes up a new configuration while everything goes on;
// one that is wrong is refused in a log line that names what is wrong, and the
// old one stays in force.
func TestPushReload(t *testing.T) {
	t.Parallel()
	apple, dir, addr := startSandbox(t), t.TempDir(), freeAddr(t)
	store := "sqlite:" + filepath.Join(dir, "push.db")
	config := writeGateway(t, dir, store, addr, "", apple.config)
	gateway := startGateway(t, binary, config).ready()
	ledger, push := newLedger(t, apple), pushClient(t, addr)
	const failed, done = "the configuration cannot be reloaded, the old one stays in force", "push configuration reloaded"
	hangup := func(msg string) map[string]any {
		t.Helper()
		before := len(gateway.log(msg))
		gateway.signal(syscall.SIGHUP)
		gateway.await("a line about the reload", func() bool { return len(gateway.log(msg)) > before })
		lines := gateway.log(msg)
		return lines[len(lines)-1]
	}
	says := func(line map[string]any, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if text := fmt.Sprint(line["err"]); !strings.Contains(text, want) || strings.Contains(text, "\n") {
				t.Errorf("the log says %q, want one line with %q", text, want)
			}
		}
	}
	ledger.mustSend(push, 10)

	broken := write(t, dir, "broken.p8", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
	withKey := strings.Replace(apple.app("auction"), "AuthKey_SANDBOXKEY.p8", "nowhere.p8", 1)
	writeGateway(t, dir, store, addr, "", apple.config, withKey)
	says(hangup(failed), "push.apps[1].apns.key_file", "nowhere.p8")
	withKey = apple.app("auction")
	from := strings.Index(withKey, "key_file = ")
	to := from + strings.Index(withKey[from:], "\n")
	writeGateway(t, dir, store, addr, "", apple.config, withKey[:from]+fmt.Sprintf("key_file = %q", broken)+withKey[to:])
	says(hangup(failed), "push.apps[1].apns.key_file", "broken.p8")
	if err := os.WriteFile(config, []byte("[push\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	says(hangup(failed), "furima.toml", "line")
	ledger.mustSend(push, 10) // the old one is in force
	req := request(ledger.take(10), 10)
	req.App = "auction"
	if _, err := push.Send(t.Context(), req); err == nil {
		t.Error("the app of a refused configuration is there")
	}

	writeGateway(t, dir, store, addr, "", apple.config, apple.app("auction"))
	hangup(done)
	first := ledger.take(10)
	req = request(first, 10)
	req.App = "auction"
	if _, err := push.Send(t.Context(), req); err != nil {
		t.Errorf("the new app after the reload: %v", err)
	}
	ledger.note(first, 10, yes)
	ledger.check(0)
	if code := gateway.stop(); code != 0 {
		t.Errorf("SIGTERM: exit status %d", code)
	}
}
