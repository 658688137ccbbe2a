package sandbox_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/push/sandbox"
)

// do sends any request and returns what is said to it.
func (s *stand) do(t *testing.T, method, path, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("authorization", provider(t, s.key, sandbox.KeyID, sandbox.TeamID, time.Now()))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i+1] == "" {
			r.Header.Del(header[i])
		}
	}
	res, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var no struct{ Reason string }
	if json.Unmarshal(said, &no) == nil && no.Reason != "" {
		return res, no.Reason
	}
	return res, string(said)
}

func TestChannels(t *testing.T) {
	t.Parallel()
	s := start(t, sandbox.AppleOptions{})
	const path, id = "/1/apps/com.example.market/channels", "apns-channel-id"
	create := func(policy string) string {
		t.Helper()
		res, said := s.do(t, "POST", path, `{"message-storage-policy":`+policy+`,"push-type":"LiveActivity"}`)
		if res.StatusCode != 201 || res.Header.Get(id) == "" {
			t.Fatalf("create: %d %s", res.StatusCode, said)
		}
		return res.Header.Get(id)
	}
	brief, stored := create("0"), create("1")
	for _, c := range []struct {
		method, path, body string
		header             []string
		status             int
		said               string
	}{
		{"GET", path, "", []string{id, stored}, 200, `{"message-storage-policy":1,"push-type":"LiveActivity"}`},
		{"GET", path, "", []string{id, brief}, 200, `{"message-storage-policy":0,"push-type":"LiveActivity"}`},
		{"GET", path, "", nil, 400, "MissingChannelId"},
		{"GET", path, "", []string{id, "!"}, 400, "BadChannelId"},
		{"GET", path, "", []string{id, "AAAA"}, 400, "ChannelNotRegistered"},
		{"GET", strings.Replace(path, "market", "other", 1), "", []string{id, stored}, 400, "ChannelNotRegistered"},
		{"PUT", path, "", []string{id, stored}, 405, "MethodNotAllowed"},
		{"POST", path, `{"message-storage-policy":2,"push-type":"LiveActivity"}`, nil, 400, "BadRequestPayload"},
		{"POST", path, `{"push-type":"alert"}`, nil, 400, "InvalidPushType"},
		{"POST", path, `{`, nil, 400, "BadRequestPayload"},
		{"GET", path, "", []string{"authorization", ""}, 403, "MissingProviderToken"},
		{"GET", path + "/x", "", nil, 404, "BadPath"},
		{"DELETE", path, "", []string{id, brief}, 204, ""},
		{"DELETE", path, "", []string{id, brief}, 400, "ChannelNotRegistered"},
		{"GET", "/1/apps/com.example.market/all-channels", "", nil, 200, `{"channels":["` + stored + `"]}`},
		{"GET", "/1/apps/com.example.other/all-channels", "", nil, 200, `{"channels":[]}`},
	} {
		res, said := s.do(t, c.method, c.path, c.body, c.header...)
		if res.StatusCode != c.status || said != c.said {
			t.Errorf("%s %s %v: %d %s, want %d %s", c.method, c.path, c.header, res.StatusCode, said, c.status, c.said)
		}
	}
}

func TestBroadcasts(t *testing.T) {
	t.Parallel()
	s := start(t, sandbox.AppleOptions{})
	res, _ := s.do(t, "POST", "/1/apps/com.example.market/channels", `{"message-storage-policy":0,"push-type":"LiveActivity"}`)
	brief := res.Header.Get("apns-channel-id")
	res, _ = s.do(t, "POST", "/1/apps/com.example.market/channels", `{"message-storage-policy":1,"push-type":"LiveActivity"}`)
	stored := res.Header.Get("apns-channel-id")
	const update = `{"aps":{"event":"update","timestamp":1800000000,"content-state":{"score":1}}}`
	for name, c := range map[string]struct {
		body   string
		header []string
		status int
		reason string
	}{
		"fine":            {update, nil, 200, ""},
		"no channel":      {update, []string{"apns-channel-id", ""}, 400, "MissingChannelId"},
		"bad channel":     {update, []string{"apns-channel-id", "?"}, 400, "BadChannelId"},
		"unknown channel": {update, []string{"apns-channel-id", "AAAA"}, 400, "ChannelNotRegistered"},
		"no type":         {update, []string{"apns-push-type", ""}, 400, "MissingPushType"},
		"another type":    {update, []string{"apns-push-type", "alert"}, 400, "InvalidPushType"},
		"a topic":         {update, []string{"apns-topic", "com.example.market"}, 400, "BadRequestParams"},
		"no expiration":   {update, []string{"apns-expiration", ""}, 400, "BadExpirationDate"},
		"not stored":      {update, []string{"apns-expiration", "1900000000"}, 400, "BadExpirationDate"},
		"stored":          {update, []string{"apns-expiration", "1900000000", "apns-channel-id", stored}, 200, ""},
		"bad priority":    {update, []string{"apns-priority", "7"}, 400, "BadPriority"},
		"no token":        {update, []string{"authorization", ""}, 403, "MissingProviderToken"},
		"no object":       {`[]`, nil, 400, "BadRequestPayload"},
		"5,121 bytes":     {`{"x":"` + strings.Repeat("y", 5121-8) + `"}`, nil, 413, "PayloadTooLarge"},
	} {
		header := append([]string{"apns-channel-id", brief, "apns-push-type", "liveactivity", "apns-expiration", "0", "apns-request-id", "6f2e1c4a-0000-8000-8000-000000000001"}, c.header...)
		res, said := s.do(t, "POST", "/4/broadcasts/apps/com.example.market", c.body, header...)
		if res.StatusCode != c.status || said != c.reason {
			t.Errorf("%s: %d %s, want %d %s", name, res.StatusCode, said, c.status, c.reason)
		}
		if res.Header.Get("apns-request-id") == "" {
			t.Errorf("%s: the request's id did not come back", name)
		}
	}
	if res, said := s.do(t, "GET", "/4/broadcasts/apps/com.example.market", ""); res.StatusCode != 405 {
		t.Errorf("GET: %d %s", res.StatusCode, said)
	}
	ds := s.phones.Deliveries(0, 0)
	if len(ds) != 2 || ds[0].Token != sandbox.ChannelPrefix+ds[0].Channel || ds[0].Label != "Broadcast channel" || s.phones.Count("6f2e1c4a-0000-8000-8000-000000000001") != 2 {
		t.Errorf("arrived: %+v", ds)
	}
}

func TestMannersOfAuthorization(t *testing.T) {
	t.Parallel()
	s := start(t, sandbox.AppleOptions{})
	sent := func(age time.Duration) string {
		t.Helper()
		_, reason, _ := s.send(t, func(r *http.Request) {
			r.Header.Set("authorization", provider(t, s.key, sandbox.KeyID, sandbox.TeamID, time.Now().Add(-age)))
		})
		return reason
	}
	s.SetManners(sandbox.Manners{TokenUpdates: true})
	got := []string{sent(50 * time.Minute), sent(35 * time.Minute), sent(29 * time.Minute), sent(0)}
	if diff := cmp.Diff([]string{"", "TooManyProviderTokenUpdates", "", ""}, got); diff != "" {
		t.Errorf("tokens 15, 21 and 29 minutes after another (-want +got):\n%s", diff)
	}
	s.SetManners(sandbox.Manners{Revoked: true})
	if got := sent(0); got != "InvalidProviderToken" {
		t.Errorf("a revoked key: %q", got)
	}
	s.Recover()
	if got := sent(0); got != "" {
		t.Errorf("after all is well: %q", got)
	}
}

func TestDeviceRate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := start(t, sandbox.AppleOptions{Now: func() time.Time { return now }})
	s.SetManners(sandbox.Manners{DeviceRate: 2})
	other := func(r *http.Request) { r.URL.Path = "/3/device/" + strings.Repeat("ff", 32) }
	var got []string
	for _, change := range []func(*http.Request){nil, nil, nil, other} {
		_, reason, _ := s.send(t, change)
		got = append(got, reason)
	}
	if diff := cmp.Diff([]string{"", "", "TooManyRequests", ""}, got); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}

func TestControlOfFaults(t *testing.T) {
	t.Parallel()
	s := start(t, sandbox.AppleOptions{})
	control := httptest.NewServer(s.Control())
	defer control.Close()
	for body, want := range map[string]int{
		`{"status":503,"reason":"ServiceUnavailable","count":3,"every":2,"skip":1}`: 204,
		`{"goaway":true}`:                         204,
		`{"silent":true,"deliver":true}`:          204,
		`{"drop":true}`:                           204,
		`{"refuse":true}`:                         204,
		`{"reset":true}`:                          204,
		`{"latency":"5ms"}`:                       204,
		`{"latency":"5ms","hang":true,"count":1}`: 204,
		`{"manners":{"max_streams":2,"first_streams":1,"sulk":true,"tiny_writes":1,"slow_reads":"1ms","revoked":true,"token_updates":true,"device_rate":5}}`: 204,
		`{"status":410,"reason":"ExpiredToken","since":"2025-01-01T00:00:00Z"}`:                                                                              204,
		`{}`:                                400,
		`{"count":3}`:                       400,
		`{"status":99}`:                     400,
		`{"status":503,"every":-1}`:         400,
		`{"latency":"-5ms"}`:                400,
		`{"latency":5}`:                     400,
		`{"manners":{"tiny_writes":-1}}`:    400,
		`{"manners":{"slow_reads":"soon"}}`: 400,
		`{"manners":{"kind":true}}`:         400,
		`{"rude":true}`:                     400,
	} {
		res, err := control.Client().Post(control.URL+"/sandbox/faults", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %d, want %d", body, res.StatusCode, want)
		}
	}
	r, _ := http.NewRequestWithContext(t.Context(), "DELETE", control.URL+"/sandbox/faults", nil)
	res, err := control.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if status, reason, _ := s.send(t, nil); status != 200 {
		t.Errorf("after all is well: %d %s", status, reason)
	}
	res, err = control.Client().Get(control.URL + "/sandbox/counts")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var counts struct{ Received, Connections, Open int }
	if err := json.NewDecoder(res.Body).Decode(&counts); err != nil || counts.Received != 1 || counts.Connections != 1 || counts.Open != 1 {
		t.Errorf("counts %+v, %v", counts, err)
	}
}
