package push_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/sandbox"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

// browsers is a rig that delivers to a stand-in for browsers as well.
type browsers struct {
	*rig
	service *sandbox.WebPush
}

func newBrowsers(t *testing.T) browsers {
	t.Helper()
	phones := sandbox.NewPhones(sandbox.PhonesOptions{})
	service, err := sandbox.OpenWebPush(sandbox.WebPushOptions{Dir: t.TempDir(), Phones: phones})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run the stand-in: %v", err)
		}
	})
	r := newRig(t, sqldbtest.SQLite(t), func(c *push.Config) {
		c.Apps[0].WebPush = push.WebPushConfig{
			KeyFile: service.KeyFile(), CAFile: service.CAFile(), Subject: "mailto:push@market.example", AllowPrivate: true,
		}
	})
	r.phones = phones
	return browsers{r, service}
}

func toBrowsers(tokens ...string) client.Notification {
	return client.Notification{Platform: client.WebPush, Tokens: tokens, Title: "Sold!", Body: "A film camera"}
}

func TestWebPushArrivesAndDeadSubscriptionsAreFeedback(t *testing.T) {
	t.Parallel()
	r := newBrowsers(t)
	alive, dead := r.service.NewSubscription(), r.service.NewSubscription()
	r.phones.Uninstall(sandbox.PhoneOf(dead))
	st := r.ended(r.send(toBrowsers(alive, dead)))
	if st.Sent != 1 || st.Unregistered != 1 {
		t.Fatalf("status %+v", st)
	}
	ds := r.phones.Deliveries(0, 0)
	if len(ds) != 1 || ds[0].Token != sandbox.PhoneOf(alive) || ds[0].Title != "Sold!" || ds[0].Body != "A film camera" || ds[0].Priority != "high" {
		t.Errorf("deliveries %+v", ds)
	}
	r.idle() // and so everything is on record
	page, err := r.client.Feedback(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Tokens) != 1 || page.Tokens[0].Token != dead || page.Tokens[0].Platform != client.WebPush || page.Tokens[0].Reason != "410 Gone" {
		t.Errorf("feedback %+v", page.Tokens)
	}
}

func TestWebPushTokensAreCheckedAtIntake(t *testing.T) {
	t.Parallel()
	r := newBrowsers(t)
	_, err := r.client.Send(t.Context(), client.PushRequest{App: "market", Notifications: []client.Notification{
		toBrowsers(r.service.NewSubscription(), strings.Repeat("a", 64)),
	}})
	var p *client.Problem
	if !errors.As(err, &p) || p.Status != 422 {
		t.Fatalf("%v", err)
	}
	want := []client.FieldError{{Pointer: "/notifications/0/tokens/1", Message: "must be the JSON text of a browser's PushSubscription"}}
	if diff := cmp.Diff(want, p.Errors); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	if total, _ := r.phones.Received(); total != 0 {
		t.Error("something of the request was sent")
	}
}

// Nobody serves a push service that many users have: the others' do not wait,
// and the lane is not held up.
func TestDeadPushServiceDelaysNoOther(t *testing.T) {
	t.Parallel()
	r := newBrowsers(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	dead := make([]string, 100)
	for i := range dead {
		dead[i] = strings.Replace(r.service.NewSubscription(), r.service.URL(), "https://"+l.Addr().String(), 1)
	}
	first := r.send(toBrowsers(dead...))
	r.logged("push batch", "provider=webpush", "waiting=100")
	if st := r.ended(r.send(toBrowsers(r.service.NewSubscription()))); st.Sent != 1 {
		t.Errorf("at the other push service: %+v", st)
	}
	if st := r.status(first); st.Waiting != 100 {
		t.Errorf("at the dead one: %+v", st)
	}
	if strings.Contains(r.logs.String(), "sending pauses") {
		t.Errorf("the lane is held up:\n%s", r.logs)
	}
	for _, token := range dead {
		if strings.Contains(r.logs.String(), sandbox.PhoneOf(token)) {
			t.Fatal("the log tells a subscription")
		}
	}
}
