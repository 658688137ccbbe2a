package fcm

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/gaurun"
	"github.com/furima/furima/internal/push/sandbox"
	"github.com/furima/furima/internal/sqldb"
)

// startGateway runs a gateway with one app that is known to Google only.
func startGateway(t *testing.T, cfg push.FCMConfig) *push.Gateway {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "push.db")}, sqldb.Options{Name: "push"})
	if err != nil {
		t.Fatal(err)
	}
	if err := push.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	queue := job.NewQueue(db, job.Options{})
	gw, err := push.New(push.Config{
		RetryMin: 5 * time.Millisecond, RetryMax: 50 * time.Millisecond,
		Apps: []push.AppConfig{{Name: "market", FCM: cfg}},
	}, push.Deps{DB: db, Queue: queue, Providers: map[push.Platform]push.Provider{push.FCM: NewProvider(Options{})}})
	if err != nil {
		t.Fatal(err)
	}
	run := func(f func(context.Context) error) (stop func()) {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- f(ctx) }()
		return func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	stopQueue := run(queue.Run)
	stopGateway := run(gw.Run)
	t.Cleanup(func() {
		stopGateway()
		stopQueue()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return gw
}

// ended waits until nothing of a request waits.
func ended(t *testing.T, c *client.Push, id string) client.PushStatus {
	t.Helper()
	deadline := time.NewTimer(90 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		st, err := c.Status(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if st.Waiting == 0 {
			return st
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("what was waited for did not come: %+v", st)
		}
	}
}

func TestThroughTheGateway(t *testing.T) {
	t.Parallel()
	stand := start(t)
	gw := startGateway(t, stand.cfg)
	server := httptest.NewServer(gw.Handler())
	defer server.Close()
	c := client.NewPush(client.PushOptions{URL: server.URL, HTTPClient: server.Client()})
	stand.Fail(sandbox.Fault{Token: token(2), Count: 2, Status: 503, Reason: "UNAVAILABLE"})
	dead := sandbox.DeadPrefix + token(1)
	accepted, err := c.Send(t.Context(), client.PushRequest{App: "market", Notifications: []client.Notification{
		{Platform: client.FCM, Tokens: []string{token(0), dead, token(2)}, Title: "Sold!", Body: "A film camera", Data: map[string]string{"order": "or_1"}},
		{Platform: client.FCM, Title: "News", FCM: &client.FCMOverride{Topic: "news"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	st := ended(t, c, accepted.ID)
	if st.Sent != 3 || st.Unregistered != 1 || st.Reasons["UNREGISTERED"] != 1 {
		t.Errorf("status: %+v", st)
	}
	got := make(map[string]string)
	for _, d := range stand.phones.Deliveries(0, 0) {
		got[d.Token] += d.Title
	}
	if diff := cmp.Diff(map[string]string{token(0): "Sold!", token(2): "Sold!", "/topics/news": "News"}, got); diff != "" {
		t.Errorf("on the phones (-want +got):\n%s", diff)
	}
	page, err := c.Feedback(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Tokens) != 1 || page.Tokens[0].Token != dead || page.Tokens[0].Platform != client.FCM || page.Tokens[0].Reason != "UNREGISTERED" || page.Tokens[0].App != "market" {
		t.Errorf("feedback: %+v", page.Tokens)
	}
	_, err = c.Send(t.Context(), client.PushRequest{Notifications: []client.Notification{
		{Platform: client.FCM, Tokens: []string{token(0)}, Data: map[string]string{"from": "me"}},
	}})
	if err == nil || !strings.Contains(err.Error(), "/notifications/0/data/from") {
		t.Errorf("a reserved key: %v", err)
	}
}

// What Gaurun's callers send to Android is data.
func TestGaurunToAndroid(t *testing.T) {
	t.Parallel()
	stand := start(t)
	gw := startGateway(t, stand.cfg)
	arrived := stand.phones.Subscribe(t.Context())
	surface := gaurun.New(gw, gaurun.Options{})
	w := httptest.NewRecorder()
	surface.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/push", strings.NewReader(`{"notifications":[{"platform":2,"token":["`+token(1)+`"],
		"message":"hello","collapse_key":"update","time_to_live":60,"priority":"high","extend":[{"key":"url","val":"https://example.com/?a=1&b=2"}]}]}`)))
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"message":"ok"`) {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	var d sandbox.Delivery
	select {
	case d = <-arrived:
	case <-time.After(90 * time.Second):
		t.Fatal("nothing arrived")
	}
	var got, want any
	if err := json.Unmarshal(d.Payload, &got); err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal([]byte(`{"token":"`+token(1)+`","data":{"message":"hello","url":"https://example.com/?a=1&b=2"},
		"android":{"collapse_key":"update","ttl":"60s","priority":"HIGH"}}`), &want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sent to Google (-want +got):\n%s", diff)
	}
}
