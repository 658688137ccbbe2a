package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/furima/furima/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server and returns a client of it.
func serve(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c := client.New(client.Options{BaseURL: srv.URL, Token: "fm_secret"})
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestRequestsAreSentAsDocumented(t *testing.T) {
	type request struct{ Method, URI, Authorization, IfMatch, Idempotency, Body string }
	price := int64(500)
	tests := []struct {
		name string
		call func(ctx context.Context, c *client.Client) error
		want request
	}{
		{"register", func(ctx context.Context, c *client.Client) error {
			_, err := c.Register(ctx, client.Registration{Email: "a@b.example", Password: "long enough", Name: "A"})
			return err
		}, request{"POST", "/v1/users", "Bearer fm_secret", "", "", `{"email":"a@b.example","password":"long enough","name":"A"}`}},
		{"log in", func(ctx context.Context, c *client.Client) error {
			_, err := c.WithToken("").LogIn(ctx, client.Credentials{Email: "a@b.example", Password: "long enough"})
			return err
		}, request{"POST", "/v1/sessions", "", "", "", `{"email":"a@b.example","password":"long enough"}`}},
		{"log out", func(ctx context.Context, c *client.Client) error { return c.LogOut(ctx) },
			request{"DELETE", "/v1/sessions/current", "Bearer fm_secret", "", "", ""}},
		{"me", func(ctx context.Context, c *client.Client) error { _, err := c.Me(ctx); return err },
			request{"GET", "/v1/me", "Bearer fm_secret", "", "", ""}},
		{"user", func(ctx context.Context, c *client.Client) error { _, err := c.User(ctx, "us_1"); return err },
			request{"GET", "/v1/users/us_1", "Bearer fm_secret", "", "", ""}},
		{"put device", func(ctx context.Context, c *client.Client) error {
			_, err := c.PutDevice(ctx, "phone 1", client.DeviceRegistration{Platform: client.APNS, Token: "aa"})
			return err
		}, request{"PUT", "/v1/me/devices/phone%201", "Bearer fm_secret", "", "", `{"platform":"apns","token":"aa"}`}},
		{"delete device", func(ctx context.Context, c *client.Client) error { return c.DeleteDevice(ctx, "p") },
			request{"DELETE", "/v1/me/devices/p", "Bearer fm_secret", "", "", ""}},
		{"catalog", func(ctx context.Context, c *client.Client) error { _, err := c.Catalog(ctx); return err },
			request{"GET", "/v1/catalog", "Bearer fm_secret", "", "", ""}},
		{"items", func(ctx context.Context, c *client.Client) error {
			_, err := c.Items(ctx, client.ItemQuery{Category: 3, Seller: "us_1", Sort: client.SortPriceAsc, Limit: 10, Cursor: "x/y"})
			return err
		}, request{"GET", "/v1/items?category=3&cursor=x%2Fy&limit=10&seller=us_1&sort=price_asc", "Bearer fm_secret", "", "", ""}},
		{"item", func(ctx context.Context, c *client.Client) error { _, err := c.Item(ctx, "../me"); return err },
			request{"GET", "/v1/items/..%2Fme", "Bearer fm_secret", "", "", ""}},
		{"list item", func(ctx context.Context, c *client.Client) error {
			_, err := c.ListItem(ctx, client.NewItem{Title: "T", Price: 300, CategoryID: 1, Condition: "new", PhotoIDs: []string{"ph_1"}})
			return err
		}, request{"POST", "/v1/items", "Bearer fm_secret", "", "", `{"title":"T","price":300,"category_id":1,"condition":"new","photo_ids":["ph_1"]}`}},
		{"change item", func(ctx context.Context, c *client.Client) error {
			_, err := c.ChangeItem(ctx, "it_1", client.ItemPatch{Price: &price, IfVersion: 4})
			return err
		}, request{"PATCH", "/v1/items/it_1", "Bearer fm_secret", `"4"`, "", `{"price":500}`}},
		{"like", func(ctx context.Context, c *client.Client) error { return c.Like(ctx, "it_1") },
			request{"PUT", "/v1/items/it_1/like", "Bearer fm_secret", "", "", ""}},
		{"unlike", func(ctx context.Context, c *client.Client) error { return c.Unlike(ctx, "it_1") },
			request{"DELETE", "/v1/items/it_1/like", "Bearer fm_secret", "", "", ""}},
		{"comments", func(ctx context.Context, c *client.Client) error {
			_, err := c.Comments(ctx, "it_1", "c", 5)
			return err
		},
			request{"GET", "/v1/items/it_1/comments?cursor=c&limit=5", "Bearer fm_secret", "", "", ""}},
		{"comment", func(ctx context.Context, c *client.Client) error { _, err := c.Comment(ctx, "it_1", "hi"); return err },
			request{"POST", "/v1/items/it_1/comments", "Bearer fm_secret", "", "", `{"body":"hi"}`}},
		{"buy", func(ctx context.Context, c *client.Client) error {
			_, err := c.Buy(ctx, client.NewOrder{ItemID: "it_1", ExpectedPrice: 300, PaymentToken: "tok_ok"})
			return err
		}, request{"POST", "/v1/orders", "Bearer fm_secret", "", "", `{"item_id":"it_1","expected_price":300,"payment_token":"tok_ok"}`}},
		{"orders", func(ctx context.Context, c *client.Client) error {
			_, err := c.Orders(ctx, client.Seller, "", 0)
			return err
		}, request{"GET", "/v1/orders?role=seller", "Bearer fm_secret", "", "", ""}},
		{"order", func(ctx context.Context, c *client.Client) error { _, err := c.Order(ctx, "or_1"); return err },
			request{"GET", "/v1/orders/or_1", "Bearer fm_secret", "", "", ""}},
		{"no id is no other route", func(ctx context.Context, c *client.Client) error { _, err := c.Item(ctx, ".."); return err },
			request{"GET", "/v1/items/%00", "Bearer fm_secret", "", "", ""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got request
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got = request{r.Method, r.RequestURI, r.Header.Get("Authorization"), r.Header.Get("If-Match"), r.Header.Get("Idempotency-Key"), string(body)}
				_, _ = io.WriteString(w, "{}")
			})
			if err := tt.call(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestProblem(t *testing.T) {
	tests := []struct {
		name   string
		answer func(w http.ResponseWriter)
		want   client.Problem
	}{
		{"a problem document", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, `{"type":"/problems/item-sold","title":"T","status":409,"code":"conflict","reason":"item_sold","detail":"D","request_id":"r","errors":[{"pointer":"/a","message":"m"}]}`)
		}, client.Problem{Type: "/problems/item-sold", Title: "T", Status: 409, Code: client.Conflict, Reason: "item_sold", Detail: "D", RequestID: "r",
			Errors: []client.FieldError{{Pointer: "/a", Message: "m"}}, RetryAfter: 7 * time.Second}},
		{"a proxy's page", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("X-Request-Id", "edge-1")
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, "<html>")
		}, client.Problem{Title: "Bad Gateway", Status: 502, Code: client.Unavailable, Detail: "bad gateway", RequestID: "edge-1"}},
		{"broken JSON", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, `{"code":`)
		}, client.Problem{Title: "Too Many Requests", Status: 429, Code: client.RateLimited, Detail: "too many requests"}},
		{"a status that lies", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"status":200,"code":"not_found","detail":"D"}`)
		}, client.Problem{Title: "Not Found", Status: 404, Code: client.NotFound, Detail: "D"}},
		{"a redirect is not followed", func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://elsewhere.invalid/")
			w.WriteHeader(http.StatusFound)
		}, client.Problem{Title: "Found", Status: 302, Code: client.Invalid, Detail: "found"}},
		{"a date in Retry-After", func(w http.ResponseWriter) {
			now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			w.Header().Set("Date", now.Format(http.TimeFormat))
			w.Header().Set("Retry-After", now.Add(90*time.Second).Format(http.TimeFormat))
			w.WriteHeader(http.StatusServiceUnavailable)
		}, client.Problem{Title: "Service Unavailable", Status: 503, Code: client.Unavailable, Detail: "service unavailable", RetryAfter: 90 * time.Second}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) { tt.answer(w) })
			_, err := c.Me(t.Context())
			p, ok := errors.AsType[*client.Problem](err)
			if !ok {
				t.Fatalf("%v is no Problem", err)
			}
			if diff := cmp.Diff(tt.want, *p); diff != "" {
				t.Error(diff)
			}
			if s := p.Error(); strings.Contains(s, "\n") || !strings.Contains(s, string(p.Code)) {
				t.Errorf("Error() = %q", s)
			}
		})
	}
}

func TestWhatIsNoAnswerIsNoProblem(t *testing.T) {
	tests := []struct {
		name   string
		answer func(w http.ResponseWriter)
		want   string
	}{
		{"not JSON", func(w http.ResponseWriter) { _, _ = io.WriteString(w, "hello") }, "decode answer of GET /v1/me"},
		{"too large", func(w http.ResponseWriter) {
			chunk := bytes.Repeat([]byte(" "), 1<<20)
			for range client.MaxResponseBytes/len(chunk) + 2 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, "larger than"},
		{"cut off", func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{")
		}, "read answer of GET /v1/me"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) { tt.answer(w) })
			_, err := c.Me(t.Context())
			if _, is := errors.AsType[*client.Problem](err); err == nil || is || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q that is no Problem", err, tt.want)
			}
		})
	}
}

func TestBaseURL(t *testing.T) {
	for _, base := range []string{"", "market.example", "ftp://market.example", "http://", "http://a/?q=1", "http://user:hunter2pass@%zz/"} {
		_, err := client.New(client.Options{BaseURL: base}).Me(t.Context())
		if err == nil || strings.Contains(err.Error(), "hunter2pass") {
			t.Errorf("BaseURL %q: %v", base, err)
		}
	}
}

func TestContextEndsACall(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if _, err := c.Me(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestPages(t *testing.T) {
	pages := map[string]string{
		"":  `{"items":[{"id":"it_1"},{"id":"it_2"}],"next_cursor":"b"}`,
		"b": `{"items":[{"id":"it_3"}],"next_cursor":"c"}`,
		"c": `{"items":[]}`,
		"l": `{"items":[{"id":"it_9"}],"next_cursor":"l"}`,
	}
	var asked []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		cursor := r.URL.Query().Get("cursor")
		asked = append(asked, cursor)
		if page, ok := pages[cursor]; ok {
			_, _ = io.WriteString(w, page)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
	})
	collect := func(q client.ItemQuery, most int) (ids []string, err error) {
		for item, e := range c.AllItems(t.Context(), q) {
			if e != nil {
				return ids, e
			}
			if ids = append(ids, item.ID); len(ids) == most {
				break
			}
		}
		return ids, nil
	}
	ids, err := collect(client.ItemQuery{}, 0)
	if diff := cmp.Diff([]string{"it_1", "it_2", "it_3"}, ids); diff != "" || err != nil {
		t.Error(diff, err)
	}
	asked = nil
	if ids, err = collect(client.ItemQuery{}, 2); len(ids) != 2 || err != nil || len(asked) != 1 {
		t.Errorf("after 2 items: %v, %v, asked %q", ids, err, asked)
	}
	if ids, err = collect(client.ItemQuery{Cursor: "l"}, 0); len(ids) != 1 || err != nil {
		t.Errorf("a cursor that leads to itself: %v, %v", ids, err)
	}
	if _, err = collect(client.ItemQuery{Cursor: "wrong"}, 0); err == nil {
		t.Error("a refused page is no error")
	}
}

func TestAddPhotoStreams(t *testing.T) {
	picture := bytes.Repeat([]byte("picture"), 100_000)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("refuse") != "" {
			return
		}
		mr, err := r.MultipartReader()
		if err != nil {
			t.Error(err)
			return
		}
		part, err := mr.NextPart()
		if err != nil || part.FormName() != "file" {
			t.Error(err, part.FormName())
			return
		}
		got, err := io.ReadAll(part)
		if err != nil || !bytes.Equal(got, picture) {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
		_, _ = io.WriteString(w, `{"id":"ph_1"}`)
	})
	p, err := c.AddPhoto(t.Context(), bytes.NewReader(picture))
	if err != nil || p.ID != "ph_1" {
		t.Error(p, err)
	}
}

// TestAddPhotoRefusedEarly holds that an answer before the end of the upload ends the call.
func TestAddPhotoRefusedEarly(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	})
	_, err := c.AddPhoto(t.Context(), endless{})
	if err == nil {
		t.Fatal("no error")
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

func TestPhotoFileStaysOnTheServer(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) })
	if b, err := c.PhotoFile(t.Context(), "/photos/a_s.jpg"); err != nil || string(b) != "/photos/a_s.jpg" {
		t.Errorf("%q, %v", b, err)
	}
	for _, path := range []string{"@evil.example/", "https://evil.example/photos/", ""} {
		if _, err := c.PhotoFile(t.Context(), path); err == nil {
			t.Errorf("%q was fetched", path)
		}
	}
}

func TestPush(t *testing.T) {
	var got []string
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.Header.Get("Authorization"), " ", r.Header.Get("Idempotency-Key"), " ", string(body)))
		switch {
		case r.Method == http.MethodPost:
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, `{"id":"pu_1","accepted":2}`)
		case r.URL.Path == "/v1/feedback":
			_, _ = io.WriteString(w, `{"tokens":[{"app":"market","platform":"apns","token":"aa","reason":"Unregistered","time":"2026-01-02T03:04:05Z"}],"next_cursor":"9"}`)
		default:
			_, _ = io.WriteString(w, `{"id":"pu_1","total":2,"sent":1,"rejected":1,"reasons":{"BadTopic":1}}`)
		}
	})
	socket := filepath.Join(t.TempDir(), "push.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })

	p := client.NewPush(client.PushOptions{URL: "unix:" + socket, Token: "t"})
	t.Cleanup(p.CloseIdleConnections)
	badge := 0
	accepted, err := p.Send(t.Context(), client.PushRequest{App: "market", IdempotencyKey: "k", Notifications: []client.Notification{{
		Tokens: []string{"aa", "bb"}, Platform: client.APNS, Body: "hi", Badge: &badge, TTL: client.Duration(90 * time.Second),
	}}})
	if err != nil || accepted != (client.PushAccepted{ID: "pu_1", Accepted: 2}) {
		t.Errorf("Send: %+v, %v", accepted, err)
	}
	status, err := p.Status(t.Context(), "pu_1")
	if err != nil || status.Sent != 1 || status.Reasons["BadTopic"] != 1 {
		t.Errorf("Status: %+v, %v", status, err)
	}
	if _, err := p.Cancel(t.Context(), "pu_1"); err != nil {
		t.Error(err)
	}
	page, err := p.Feedback(t.Context(), "8", 100)
	want := client.FeedbackPage{NextCursor: "9", Tokens: []client.DeadToken{{
		App: "market", Platform: client.APNS, Token: "aa", Reason: "Unregistered", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}}}
	if diff := cmp.Diff(want, page); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if diff := cmp.Diff([]string{
		`POST /v1/push Bearer t k {"app":"market","notifications":[{"tokens":["aa","bb"],"platform":"apns","body":"hi","badge":0,"ttl":"1m30s"}]}`,
		`GET /v1/push/pu_1 Bearer t  `, `DELETE /v1/push/pu_1 Bearer t  `, `GET /v1/feedback?cursor=8&limit=100 Bearer t  `,
	}, got); diff != "" {
		t.Error(diff)
	}
}

func TestDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{
		`"1h30m"`: 90 * time.Minute, `90`: 90 * time.Second, `0`: 0, `null`: 0, `"0s"`: 0, `-5`: -5 * time.Second,
	} {
		var d client.Duration
		if err := json.Unmarshal([]byte(in), &d); err != nil || time.Duration(d) != want {
			t.Errorf("%s: %v, %v, want %v", in, time.Duration(d), err, want)
		}
	}
	for _, in := range []string{`"x"`, `1.5`, `true`, `{}`, `99999999999999999999`, `9223372037`, `"90"`} {
		var d client.Duration
		if err := json.Unmarshal([]byte(in), &d); err == nil {
			t.Errorf("%s was read as %v", in, time.Duration(d))
		}
	}
	if b, err := json.Marshal(client.Duration(time.Minute)); err != nil || string(b) != `"1m0s"` {
		t.Errorf("%s, %v", b, err)
	}
}

func TestTime(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 120_999_999, time.FixedZone("JST", 9*3600))
	b, err := json.Marshal(struct{ T client.Time }{client.TimeOf(at)})
	if want := `{"T":"2026-01-01T18:04:05.120Z"}`; string(b) != want || err != nil {
		t.Errorf("%s, %v, want %s", b, err, want)
	}
	var back struct{ T client.Time }
	if err := json.Unmarshal(b, &back); err != nil || !back.T.Equal(at.Truncate(time.Millisecond)) {
		t.Errorf("%v, %v", back.T, err)
	}
	if err := json.Unmarshal([]byte(`{"T":"yesterday"}`), &back); err == nil {
		t.Error("yesterday is no time")
	}
	if err := json.Unmarshal([]byte(`{"T":null}`), &back); err != nil {
		t.Error(err)
	}
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{`"1h"`, `3600`, `null`, `-1`, `9223372036`, `"-1ns"`, `1e3`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var d client.Duration
		if json.Unmarshal(b, &d) != nil {
			return
		}
		out, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var again client.Duration
		if err := json.Unmarshal(out, &again); err != nil || again != d {
			t.Errorf("%s → %s → %v, %v", b, out, again, err)
		}
	})
}
