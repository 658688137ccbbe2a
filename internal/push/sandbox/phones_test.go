package sandbox_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/push/sandbox"
)

func (s *stand) deliver(t *testing.T, token, id, payload string) {
	t.Helper()
	status, reason, _ := s.send(t, func(r *http.Request) {
		r.URL.Path = "/3/device/" + token
		r.Header.Set("apns-id", id)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(payload)), int64(len(payload))
	})
	if status != 200 {
		t.Fatalf("answered %d %s", status, reason)
	}
}

func id(n int) string { return fmt.Sprintf("00000000-0000-8000-8000-%012d", n) }

func TestPhonesRememberSome(t *testing.T) {
	t.Parallel()
	phones := sandbox.NewPhones(sandbox.PhonesOptions{Keep: 3, KeepIDs: 2})
	s := start(t, sandbox.AppleOptions{Phones: phones})
	for i := 1; i <= 5; i++ {
		s.deliver(t, aToken, id(i), fmt.Sprintf(`{"aps":{"alert":{"title":"no. %d","subtitle":"s","body":"b"},"badge":%d}}`, i, i))
	}
	phones.Label(aToken, "Haruka")
	type seen struct {
		Seq                          int64
		Title, Subtitle, Body, Label string
		Badge                        int
	}
	see := func(ds []sandbox.Delivery) []seen {
		var out []seen
		for _, d := range ds {
			out = append(out, seen{d.Seq, d.Title, d.Subtitle, d.Body, d.Label, d.Badge})
		}
		return out
	}
	want := []seen{{3, "no. 3", "s", "b", "Haruka", 3}, {4, "no. 4", "s", "b", "Haruka", 4}, {5, "no. 5", "s", "b", "Haruka", 5}}
	if diff := cmp.Diff(want, see(phones.Deliveries(0, 0))); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[1:2], see(phones.Deliveries(3, 1))); diff != "" {
		t.Errorf("one after 3 (-want +got):\n%s", diff)
	}
	if ds := phones.Deliveries(5, 0); ds != nil {
		t.Errorf("after the last: %v", ds)
	}
	if got := []int{phones.Count(id(3)), phones.Count(id(4)), phones.Count(id(5))}; !cmp.Equal(got, []int{0, 1, 1}) {
		t.Errorf("counts %v: the two newest ids are to be counted", got)
	}
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	s := start(t, sandbox.AppleOptions{})
	s.deliver(t, aToken, id(1), `{"aps":{"alert":"before"}}`)
	ctx, cancel := context.WithCancel(t.Context())
	sub := s.phones.Subscribe(ctx)
	for i := 2; i < 5; i++ {
		s.deliver(t, aToken, id(i), fmt.Sprintf(`{"aps":{"alert":"%d"}}`, i))
	}
	for i := 2; i < 5; i++ {
		if d := <-sub; d.Body != fmt.Sprint(i) || d.Seq != int64(i) {
			t.Errorf("got no. %d %q, want %d", d.Seq, d.Body, i)
		}
	}
	cancel()
	if d, open := <-sub; open {
		t.Errorf("after the end: %v", d)
	}
}

func TestControl(t *testing.T) {
	t.Parallel()
	s := start(t, sandbox.AppleOptions{})
	srv := httptest.NewServer(s.Control())
	defer srv.Close()
	post := func(path, body string, header ...string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		res, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	for _, c := range []struct {
		path, body string
		want       int
	}{
		{"/sandbox/faults", `{"status":503,"reason":"ServiceUnavailable","count":1}`, 204},
		{"/sandbox/faults", `{"latency":"1ms"}`, 204},
		{"/sandbox/faults", `{"latency":"soon"}`, 400},
		{"/sandbox/faults", `{"latency":"-1s"}`, 400},
		{"/sandbox/faults", `{"status":99,"reason":"x"}`, 400},
		{"/sandbox/faults", `{}`, 400},
		{"/sandbox/faults", `{"stat":503}`, 400},
		{"/sandbox/faults", `{"latency":"1ms"} {}`, 400},
		{"/sandbox/devices", `{"token":"` + aToken + `","label":"Kenji"}`, 204},
		{"/sandbox/devices", `{"label":"Kenji"}`, 400},
		{"/sandbox/uninstall", `{"token":"` + strings.Repeat("aa", 32) + `"}`, 204},
	} {
		if got := post(c.path, c.body); got != c.want {
			t.Errorf("POST %s %s: %d, want %d", c.path, c.body, got, c.want)
		}
	}
	if got := post("/sandbox/uninstall", `{"token":"`+aToken+`"}`, "Sec-Fetch-Site", "cross-site"); got != 403 {
		t.Errorf("from another site: %d, want 403", got)
	}
	if status, reason, _ := s.send(t, nil); status != 503 || reason != "ServiceUnavailable" {
		t.Errorf("the fault gave %d %s", status, reason)
	}
	s.deliver(t, aToken, id(1), `{"aps":{"alert":"hello"}}`)
	if status, _, _ := s.send(t, func(r *http.Request) { r.URL.Path = "/3/device/" + strings.Repeat("aa", 32) }); status != 410 {
		t.Errorf("the uninstalled phone answers %d", status)
	}

	var page struct {
		Deliveries []sandbox.Delivery
		Next       int64
	}
	get(t, srv.URL+"/sandbox/deliveries?after=0&limit=10", &page)
	if len(page.Deliveries) != 1 || page.Next != 1 || page.Deliveries[0].Label != "Kenji" || page.Deliveries[0].APNSID != id(1) {
		t.Errorf("deliveries: %+v", page)
	}
	get(t, srv.URL+"/sandbox/deliveries?after=1", &page)
	if page.Deliveries == nil || len(page.Deliveries) != 0 || page.Next != 1 {
		t.Errorf("deliveries after 1: %+v", page)
	}
	var counts struct {
		Received, Repeated int64
		Answers            map[string]int64
	}
	get(t, srv.URL+"/sandbox/counts", &counts)
	if counts.Received != 1 || counts.Answers["410 Unregistered"] != 1 {
		t.Errorf("counts: %+v", counts)
	}
	if res, err := srv.Client().Get(srv.URL + "/sandbox/deliveries?after=x"); err != nil || res.StatusCode != 400 {
		t.Errorf("after=x: %v %v", res, err)
	} else {
		res.Body.Close()
	}
}

func get(t *testing.T, url string, to any) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		t.Fatalf("GET %s: %d", url, res.StatusCode)
	}
	if err := json.NewDecoder(res.Body).Decode(to); err != nil {
		t.Fatal(err)
	}
}

func servePhones(t *testing.T, p *sandbox.Phones) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/phones/", http.StripPrefix("/phones", p.PhonesPage()))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL + "/phones/"
}

func TestPageIsSelfContained(t *testing.T) {
	t.Parallel()
	url := servePhones(t, sandbox.NewPhones(sandbox.PhonesOptions{AppName: `<b>"x`, PushURL: "http://127.0.0.1:9999"}))
	for path, kind := range map[string]string{"": "text/html", "phones.css": "text/css", "phones.js": "text/javascript"} {
		res, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), kind) {
			t.Errorf("%q: %d %s", path, res.StatusCode, res.Header.Get("Content-Type"))
		}
		if csp := res.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%q: policy %q", path, csp)
		}
		for _, m := range regexp.MustCompile(`https?://[^\s"'<&]+`).FindAllString(string(body), -1) {
			if !strings.HasPrefix(m, "http://127.0.0.1:9999/") {
				t.Errorf("%q names another host: %s", path, m)
			}
		}
		if strings.Contains(string(body), `<b>"x`) {
			t.Errorf("%q: the app's name is not escaped", path)
		}
	}
	if res, err := http.Get(url + "index.html"); err != nil || res.StatusCode != 404 {
		t.Errorf("the template itself: %v %v", res, err)
	} else {
		res.Body.Close()
	}
}

func TestEventsResume(t *testing.T) {
	t.Parallel()
	s := start(t, sandbox.AppleOptions{})
	url := servePhones(t, s.phones)
	for i := 1; i <= 3; i++ {
		s.deliver(t, aToken, id(i), fmt.Sprintf(`{"aps":{"alert":"no. %d"}}`, i))
	}
	stream := func(lastID string, until func(event, data string) bool) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"events", nil)
		if err != nil {
			t.Fatal(err)
		}
		if lastID != "" {
			r.Header.Set("Last-Event-ID", lastID)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		event := ""
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				event = name
			}
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && until(event, data) {
				return
			}
		}
		t.Fatal("the stream ended")
	}
	var got []string
	collect := func(event, data string) bool {
		var d sandbox.Delivery
		switch event {
		case "delivery":
			if err := json.Unmarshal([]byte(data), &d); err != nil {
				t.Fatal(err)
			}
			got = append(got, d.Body)
		case "ready":
			return true
		default:
			got = append(got, event)
		}
		return false
	}
	stream("", collect)
	stream("2", collect)
	stream("99", collect) // of a server before this one
	want := []string{"hello", "gone", "no. 1", "no. 2", "no. 3", "hello", "gone", "no. 3", "hello", "gone", "no. 1", "no. 2", "no. 3"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	ready := false
	stream("3", func(event, data string) bool {
		if event == "ready" && !ready {
			ready = true
			s.phones.Uninstall(aToken)
		}
		return event == "gone" && strings.Contains(data, aToken)
	})
}
