package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

// stores runs a test on an SQLite file and on a real MariaDB.
func stores(t *testing.T, f func(t *testing.T, dir string, url func(name string) string)) {
	t.Run("sqlite", func(t *testing.T) {
		dir := t.TempDir()
		f(t, dir, func(name string) string { return "sqlite:" + filepath.Join(dir, name+".db") })
	})
	t.Run("mariadb", func(t *testing.T) {
		needs(t, "mariadbd")
		f(t, t.TempDir(), func(string) string { return sqldbtest.MariaDB(t) })
	})
}

// gaurunBody is a request as Gaurun's users write it: n notifications, one
// token each, whose texts are numbered from first.
func gaurunBody(first, n int) string {
	type notification struct {
		Token    []string `json:"token"`
		Platform int      `json:"platform"`
		Message  string   `json:"message"`
	}
	var body struct {
		Notifications []notification `json:"notifications"`
	}
	for i := first; i < first+n; i++ {
		body.Notifications = append(body.Notifications, notification{[]string{deviceToken(i)}, 1, fmt.Sprint("message ", i)})
	}
	b, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// TestPushSurvivesKill: 100 notifications answered 200, kill -9 at once,
// restart: all 100 reach the stand-in.
func TestPushSurvivesKill(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, dir string, url func(string) string) {
		apple, store := startSandbox(t), url("push")
		addr := freeAddr(t)
		gateway := apple.gateway(dir, store, addr)
		res, body := post(t, "http://"+addr+"/push", gaurunBody(0, 100))
		gateway.kill()
		if res.StatusCode != http.StatusOK || body != "{\"message\":\"ok\"}\n" {
			t.Fatalf("POST /push: %d %q", res.StatusCode, body)
		}
		gateway = apple.gateway(dir, store, addr)
		arrived(t, apple, 0, 100)
		if status := gateway.stop(); status != 0 {
			t.Errorf("SIGTERM: exit status %d", status)
		}
	})
}

// arrived waits until the messages first … first+n-1 have reached the phones.
func arrived(t *testing.T, apple *standIn, first, n int) {
	t.Helper()
	poll(t, fmt.Sprintf("messages %d to %d", first, first+n-1), func() bool {
		seen := map[string]bool{}
		for _, d := range apple.deliveries() {
			seen[d.Body] = true
		}
		for i := first; i < first+n; i++ {
			if !seen[fmt.Sprint("message ", i)] {
				return false
			}
		}
		return true
	})
}

// TestPushFeedback: a phone that removed the app is on the feedback list, and
// the request's status says so.
func TestPushFeedback(t *testing.T) {
	t.Parallel()
	apple, dir, addr := startSandbox(t), t.TempDir(), freeAddr(t)
	apple.gateway(dir, "sqlite:"+filepath.Join(dir, "push.db"), addr)
	apple.post("/sandbox/uninstall", `{"token":"`+deviceToken(1)+`"}`)
	push := client.NewPush(client.PushOptions{URL: "http://" + addr})
	accepted, err := push.Send(t.Context(), client.PushRequest{Notifications: []client.Notification{{
		Platform: client.APNS, Tokens: []string{deviceToken(0), deviceToken(1)}, Title: "hello", Body: "both of you",
	}}})
	if err != nil || accepted.Accepted != 2 {
		t.Fatalf("Send: %+v, %v", accepted, err)
	}
	var status client.PushStatus
	poll(t, "the end of the request", func() bool {
		status, err = push.Status(t.Context(), accepted.ID)
		if err != nil {
			t.Fatal(err)
		}
		return status.Waiting == 0
	})
	if status.Sent != 1 || status.Unregistered != 1 {
		t.Errorf("status %+v, want one sent and one unregistered", status)
	}
	// The status tells what the process knows; feedback is what is on disk, a
	// moment later.
	poll(t, "the uninstalled phone on the feedback list", func() bool {
		page, err := push.Feedback(t.Context(), "", 0)
		if err != nil {
			t.Fatal(err)
		}
		return len(page.Tokens) == 1 && page.Tokens[0].Token == deviceToken(1)
	})
}
