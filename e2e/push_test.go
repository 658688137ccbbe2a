package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

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

// TestPushKilledAgainAndAgain accepts under kill -9 at random instants: nothing
// that was answered 200 is lost, and what is repeated has the same apns-id.
func TestPushKilledAgainAndAgain(t *testing.T) {
	stores(t, func(t *testing.T, dir string, url func(string) string) {
		apple, store := startSandbox(t), url("push")
		addr := freeAddr(t)
		next, accepted := 0, map[int]bool{} // by the number of a request's first message
		const batch = 20
		for range 4 {
			gateway := apple.gateway(dir, store, addr)
			var producers sync.WaitGroup
			var mu sync.Mutex
			stop := make(chan struct{})
			for range 4 {
				producers.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						mu.Lock()
						first := next
						next += batch
						mu.Unlock()
						res, _, err := tryPost(t, "http://"+addr+"/push", gaurunBody(first, batch))
						if err != nil {
							return // killed under it: not accepted, as far as we know
						}
						if res.StatusCode == http.StatusOK {
							mu.Lock()
							accepted[first] = true
							mu.Unlock()
						}
					}
				})
			}
			<-time.After(time.Duration(50+rand.IntN(400)) * time.Millisecond) // the random instant
			gateway.kill()
			close(stop)
			producers.Wait()
		}
		apple.gateway(dir, store, addr)
		for first := range accepted {
			arrived(t, apple, first, batch)
		}
		if len(accepted) == 0 {
			t.Error("nothing was accepted: the test shows nothing")
		}
		ids := map[string]string{}
		for _, d := range apple.deliveries() {
			if id, ok := ids[d.Body]; ok && id != d.APNSID {
				t.Errorf("%q arrived under two apns-ids", d.Body)
			}
			ids[d.Body] = d.APNSID
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
