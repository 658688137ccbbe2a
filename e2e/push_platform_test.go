package e2e

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/furima/furima/client"
)

// TestPushPlatforms: one request reaches an iPhone, an Android phone and a
// browser; the phones without the app are on the feedback list.
func TestPushPlatforms(t *testing.T) {
	t.Parallel()
	sandbox, dir, addr := startSandbox(t), t.TempDir(), freeAddr(t)
	gateway := sandbox.gateway(dir, "sqlite:"+filepath.Join(dir, "push.db"), addr)
	push := pushClient(t, addr)
	android := func(n int) string {
		return "fcm" + deviceToken(n)[:10] + ":APA91b" + strings.Repeat("x", 120) + deviceToken(n)[56:]
	}
	tokens, phones := sandbox.subscriptions(2)
	dead := []string{deviceToken(1), android(1), tokens[1]} // by platform
	for _, phone := range []string{deviceToken(1), android(1), phones[1]} {
		sandbox.post("/sandbox/uninstall", `{"token":"`+phone+`"}`)
	}
	one := func(p client.Platform, alive, gone string) client.Notification {
		return client.Notification{Platform: p, Tokens: []string{alive, gone}, Title: "sold", Body: "by " + string(p)}
	}
	accepted, err := push.Send(t.Context(), client.PushRequest{Notifications: []client.Notification{
		one(client.APNS, deviceToken(0), dead[0]), one(client.FCM, android(0), dead[1]), one(client.WebPush, tokens[0], dead[2]),
	}})
	if err != nil || accepted.Accepted != 6 {
		t.Fatalf("Send: %+v, %v", accepted, err)
	}
	var status client.PushStatus
	poll(t, "the end of the request", func() bool {
		if status, err = push.Status(t.Context(), accepted.ID); err != nil {
			t.Fatal(err)
		}
		return status.Waiting == 0
	})
	if status.Sent != 3 || status.Unregistered != 3 {
		t.Errorf("status %+v, want 3 sent and 3 unregistered", status)
	}
	got := map[string]string{}
	for _, d := range sandbox.deliveries() {
		got[d.Token] = d.Title + " " + d.Body
	}
	for phone, want := range map[string]string{deviceToken(0): "sold by apns", android(0): "sold by fcm", phones[0]: "sold by webpush"} {
		if got[phone] != want {
			t.Errorf("phone %.12s… has %q, want %q", phone, got[phone], want)
		}
	}
	if len(got) != 3 {
		t.Errorf("%d phones have something, want 3", len(got))
	}
	var page client.FeedbackPage
	poll(t, "three phones on the feedback list", func() bool {
		if page, err = push.Feedback(t.Context(), "", 0); err != nil {
			t.Fatal(err)
		}
		return len(page.Tokens) >= 3
	})
	for i, p := range []client.Platform{client.APNS, client.FCM, client.WebPush} {
		if !slices.ContainsFunc(page.Tokens, func(d client.DeadToken) bool {
			return d.Platform == p && d.Token == dead[i] && d.App == "market" && d.Reason != "" && !d.Time.IsZero()
		}) {
			t.Errorf("the dead token of %s is not on the feedback list: %+v", p, page.Tokens)
		}
	}
	if len(page.Tokens) != 3 {
		t.Errorf("%d dead tokens, want 3", len(page.Tokens))
	}
	// Tokens are as good as keys to a phone: they are not for the log.
	for _, secret := range []string{deviceToken(0), android(0), phones[0], dead[0], dead[1]} {
		if strings.Contains(gateway.errors(), secret) {
			t.Errorf("a token is in the log: %.12s…", secret)
		}
	}
}

// subscriptions makes n subscriptions of browsers; phones are what the stand-in
// calls them.
func (s *standIn) subscriptions(n int) (tokens, phones []string) {
	s.t.Helper()
	res, body := post(s.t, s.ops+"/sandbox/webpush/subscriptions?count="+strconv.Itoa(n), "")
	var made struct {
		Tokens []string `json:"tokens"`
		Phones []string `json:"phones"`
	}
	if err := json.Unmarshal([]byte(body), &made); err != nil || len(made.Tokens) != n || len(made.Phones) != n {
		s.t.Fatalf("subscriptions: %d %v: %s", res.StatusCode, err, body)
	}
	return made.Tokens, made.Phones
}
