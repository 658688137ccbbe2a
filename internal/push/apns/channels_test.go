package apns

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/push"
)

func channels(t *testing.T, cfg push.APNSConfig) *Channels {
	t.Helper()
	c, err := OpenChannels(push.AppConfig{Name: "market", APNS: cfg}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestChannelsAndBroadcasts(t *testing.T) {
	t.Parallel()
	stand := start(t)
	c := channels(t, stand.cfg)
	ctx := t.Context()
	stored, err := c.Create(ctx, MostRecent)
	if err != nil {
		t.Fatal(err)
	}
	brief, err := c.Create(ctx, NoStorage)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Get(ctx, stored)
	if diff := cmp.Diff(Channel{ID: stored, Policy: MostRecent, PushType: "LiveActivity"}, got); diff != "" || err != nil {
		t.Errorf("get: %v (-want +got):\n%s", err, diff)
	}
	all, err := c.List(ctx)
	slices.Sort(all)
	want := []string{stored, brief}
	slices.Sort(want)
	if diff := cmp.Diff(want, all); diff != "" || err != nil {
		t.Errorf("list: %v (-want +got):\n%s", err, diff)
	}
	if err := c.Delete(ctx, brief); err != nil {
		t.Error(err)
	}
	var no *ChannelError
	if err := c.Delete(ctx, brief); !errors.As(err, &no) || no.Status != 400 || no.Reason != "ChannelNotRegistered" {
		t.Errorf("delete again: %v", err)
	}

	s := open(t, stand.cfg)
	var batch []push.Message
	for i, id := range []string{stored, brief, "not base64"} {
		n := push.Notification{TTL: push.Duration(time.Hour), APNS: &push.APNSOverride{ChannelID: id, APS: raw(update)}}
		r, faults := s.Render(&n, time.Now())
		if faults != nil {
			t.Fatal(faults)
		}
		batch = append(batch, push.Message{Token: push.ChannelPrefix + id, ID: push.MessageID{6: 0x80, 8: 0x80, 15: byte(i)}, Rendered: &r})
	}
	results := []push.Result{
		{Outcome: push.Sent},
		{Outcome: push.Unregistered, Reason: "ChannelNotRegistered"},
		{Outcome: push.Rejected, Reason: "BadChannelId"},
	}
	if diff := cmp.Diff(results, send(ctx, t, s, batch), ignoreTook); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	ds := stand.phones.Deliveries(0, 0)
	if len(ds) != 1 || ds[0].Channel != stored || ds[0].Topic != "com.example.market" || ds[0].APNSID != batch[0].ID.String() {
		t.Errorf("arrived: %+v", ds)
	}
}

func TestChannelsOfAStrangeServer(t *testing.T) {
	t.Parallel()
	stand := start(t)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"no id":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201) }, "no channel id"},
		"a page": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) }, "the provider answered 502"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, "the provider answered 307"},
		"a long tale": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"reason":"`+strings.Repeat("x", 65)+`"}`, 400)
		}, "the provider answered 400"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewTLSServer(c.answer)
			defer srv.Close()
			cfg := stand.cfg
			cfg.ChannelsEndpoint = srv.URL
			ch := channels(t, cfg)
			ch.client.Transport = srv.Client().Transport
			_, err := ch.Create(t.Context(), NoStorage)
			if err == nil || !strings.HasSuffix(err.Error(), c.want) {
				t.Errorf("create: %v, want %q", err, c.want)
			}
			if _, err := ch.List(t.Context()); err == nil {
				t.Error("list: no error")
			}
		})
	}
}

func TestOpenChannelsSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]push.APNSConfig{
		"no credentials":  {},
		"no topic":        {CertFile: "x"},
		"/nowhere/key.p8": {KeyFile: "/nowhere/key.p8", Topic: "t"},
	} {
		if _, err := OpenChannels(push.AppConfig{Name: "market", APNS: cfg}, Options{}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "app market") {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestWhereChannelsAreManaged(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]string{
		"":                                   "https://api-manage-broadcast.push.apple.com:2196",
		"https://api.push.apple.com:2197":    "https://api-manage-broadcast.push.apple.com:2196",
		"https://api.sandbox.push.apple.com": "https://api-manage-broadcast.sandbox.push.apple.com:2195",
		"https://127.0.0.1:2197":             "https://127.0.0.1:2197",
	} {
		if got := (push.APNSConfig{Endpoint: endpoint}).WithDefaults().ChannelsEndpoint; got != want {
			t.Errorf("%q: %q, want %q", endpoint, got, want)
		}
	}
	if got := (push.APNSConfig{ChannelsEndpoint: "https://x"}).WithDefaults().ChannelsEndpoint; got != "https://x" {
		t.Errorf("a given one: %q", got)
	}
}
