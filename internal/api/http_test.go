package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/api"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/pay"
)

// TestRefusals holds what each kind of wrong request is answered, and that it is a problem document
// which names the fault and repeats nothing.
func TestRefusals(t *testing.T) {
	b := newBench(t, options{})
	ken, _ := b.person("Ken")
	session := "Bearer " + tokenOf(ken)
	item := b.item(ken, "Chair", 500)
	const valid = `{"title":"T","price":500,"category_id":2,"condition":"new"}`
	const secret = "hunter2-very-secret"
	tests := []struct {
		name, method, path, body string
		header                   []string
		status                   int
		slug, pointer            string
	}{
		{"no such route", "GET", "/v1/nothing", "", nil, 404, "not-found", ""},
		{"no such route at all", "GET", "/", "", nil, 404, "not-found", ""},
		{"no such item", "GET", "/v1/items/it_0000000000001", "", nil, 404, "not-found", ""},
		{"not an id", "GET", "/v1/items/1", "", nil, 404, "not-found", ""},
		{"no such user", "GET", "/v1/users/us_0000000000001", "", nil, 404, "not-found", ""},
		{"no such category", "GET", "/v1/items?category=99", "", nil, 404, "not-found", ""},
		{"no such problem", "GET", "/problems/nothing", "", nil, 404, "not-found", ""},
		{"another method", "DELETE", "/v1/items", "", nil, 405, "method-not-allowed", ""},
		{"a method that is none", "BREW", "/v1/items", "", nil, 405, "method-not-allowed", ""},
		{"bad limit", "GET", "/v1/items?limit=61", "", nil, 422, "invalid-request", "query/limit"},
		{"unknown parameter", "GET", "/v1/items?page=2", "", nil, 422, "invalid-request", "query/page"},
		{"unknown parameter of a detail", "GET", "/v1/items/" + item.ID + "?x=1", "", nil, 422, "invalid-request", "query/x"},
		{"unknown parameter of an operation", "GET", "/v1/me?x=1", "", []string{"Authorization", session}, 422, "invalid-request", "query/x"},
		{"bad cursor", "GET", "/v1/items?cursor=abc", "", nil, 400, "invalid-cursor", ""},
		{"bad cursor of comments", "GET", "/v1/items/" + item.ID + "/comments?cursor=abc", "", nil, 400, "invalid-cursor", ""},
		{"bad cursor of orders", "GET", "/v1/orders?cursor=abc", "", []string{"Authorization", session}, 400, "invalid-cursor", ""},
		{"bad escape", "GET", "/v1/items?sort=%zz", "", nil, 400, "malformed-request", ""},
		{"seller by price", "GET", "/v1/items?sort=price_asc&seller=" + item.Seller.ID, "", nil, 422, "invalid-request", ""},
		{"no session", "POST", "/v1/items", valid, nil, 401, "unauthenticated", ""},
		{"wrong scheme", "POST", "/v1/items", valid, []string{"Authorization", "Basic " + tokenOf(ken)}, 401, "unauthenticated", ""},
		{"two sessions", "POST", "/v1/items", valid, []string{"Authorization", session, "Authorization", session}, 401, "unauthenticated", ""},
		{"not JSON", "POST", "/v1/items", `{"title":"` + secret, []string{"Authorization", session}, 400, "malformed-request", ""},
		{"nothing", "POST", "/v1/items", ``, []string{"Authorization", session}, 400, "malformed-request", ""},
		{"not UTF-8", "POST", "/v1/items", "{\"title\":\"\xff\"}", []string{"Authorization", session}, 400, "malformed-request", ""},
		{"more than one", "POST", "/v1/items", valid + valid, []string{"Authorization", session}, 400, "malformed-request", ""},
		{"null", "POST", "/v1/items", `null`, []string{"Authorization", session}, 422, "invalid-request", ""},
		{"a list", "POST", "/v1/items", `[]`, []string{"Authorization", session}, 422, "invalid-request", ""},
		{"deep", "POST", "/v1/items", strings.Repeat("[", 20000), []string{"Authorization", session}, 400, "malformed-request", ""},
		{"wrong media type", "POST", "/v1/items", valid, []string{"Authorization", session, "Content-Type", "text/plain"}, 415, "unsupported-media-type", ""},
		{"XML", "POST", "/v1/items", valid, []string{"Authorization", session, "Content-Type", "application/xml"}, 415, "unsupported-media-type", ""},
		{"too large", "POST", "/v1/items", `{"title":"` + strings.Repeat("a", 70000) + `"}`, []string{"Authorization", session}, 413, "body-too-large", ""},
		{"too large for a log-in", "POST", "/v1/sessions", `{"email":"` + strings.Repeat("a", 20000) + `"}`, nil, 413, "body-too-large", ""},
		{"compressed", "POST", "/v1/sessions", "{}", []string{"Content-Encoding", "gzip"}, 415, "unsupported-media-type", ""},
		{"missing field", "POST", "/v1/items", `{"title":"T","price":500,"condition":"new"}`, []string{"Authorization", session}, 422, "invalid-request", ""},
		{"unknown field", "POST", "/v1/items", `{"title":"T","price":500,"category_id":2,"condition":"new","seller_id":"us_0000000000001"}`, []string{"Authorization", session}, 422, "invalid-request", "/seller_id"},
		{"wrong type", "POST", "/v1/items", `{"title":"T","price":"` + secret + `","category_id":2,"condition":"new"}`, []string{"Authorization", session}, 422, "invalid-request", "/price"},
		{"a fraction", "POST", "/v1/items", `{"title":"T","price":500.5,"category_id":2,"condition":"new"}`, []string{"Authorization", session}, 422, "invalid-request", "/price"},
		{"a huge number", "POST", "/v1/items", `{"title":"T","price":1e400,"category_id":2,"condition":"new"}`, []string{"Authorization", session}, 400, "malformed-request", ""},
		{"too high a price", "POST", "/v1/items", `{"title":"T","price":99999999,"category_id":2,"condition":"new"}`, []string{"Authorization", session}, 422, "invalid-request", "/price"},
		{"not a leaf", "POST", "/v1/items", `{"title":"T","price":500,"category_id":1,"condition":"new"}`, []string{"Authorization", session}, 422, "invalid-request", "/category_id"},
		{"no condition", "POST", "/v1/items", `{"title":"T","price":500,"category_id":2,"condition":"` + secret + `"}`, []string{"Authorization", session}, 422, "invalid-request", "/condition"},
		{"not a photo", "POST", "/v1/items", `{"title":"T","price":500,"category_id":2,"condition":"new","photo_ids":["` + secret + `"]}`, []string{"Authorization", session}, 422, "invalid-request", "/photo_ids/0"},
		{"state", "PATCH", "/v1/items/" + item.ID, `{"state":"sold"}`, []string{"Authorization", session}, 422, "invalid-request", "/state"},
		{"action", "PATCH", "/v1/items/" + item.ID, `{"action":"hide"}`, []string{"Authorization", session}, 422, "invalid-request", "/action"},
		{"bad If-Match", "PATCH", "/v1/items/" + item.ID, `{"price":600}`, []string{"Authorization", session, "If-Match", "3"}, 422, "invalid-request", "header/If-Match"},
		{"old If-Match", "PATCH", "/v1/items/" + item.ID, `{"price":600}`, []string{"Authorization", session, "If-Match", `"7"`}, 412, "version-mismatch", ""},
		{"short password", "POST", "/v1/users", `{"email":"a@example.com","name":"A","password":"hunter2"}`, nil, 422, "invalid-request", "/password"},
		{"known password", "POST", "/v1/users", `{"email":"a@example.com","name":"A","password":"password123"}`, nil, 422, "invalid-request", "/password"},
		{"password of a wrong type", "POST", "/v1/users", `{"email":"a@example.com","name":"A","password":["` + secret + `"]}`, nil, 422, "invalid-request", "/password"},
		{"role", "GET", "/v1/orders?role=admin", "", []string{"Authorization", session}, 422, "invalid-request", "query/role"},
		{"no such order", "GET", "/v1/orders/or_0000000000001", "", []string{"Authorization", session}, 404, "not-found", ""},
		{"not an order", "GET", "/v1/orders/x", "", []string{"Authorization", session}, 404, "not-found", ""},
		{"buy no item", "POST", "/v1/orders", `{"item_id":"` + secret + `","expected_price":1,"payment_token":"tok_ok"}`, []string{"Authorization", session}, 422, "invalid-request", "/item_id"},
		{"buy one's own", "POST", "/v1/orders", `{"item_id":"` + item.ID + `","expected_price":500,"payment_token":"tok_ok"}`, []string{"Authorization", session}, 409, "conflict", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			header := tt.header
			if tt.body != "" && !slices.Contains(header, "Content-Type") {
				header = append(slices.Clone(header), "Content-Type", "application/json")
			}
			if tt.name == "nothing" {
				header = append(slices.Clone(header), "Content-Type", "application/json")
			}
			res := b.do(tt.method, tt.path, tt.body, header...)
			text := body(t, res)
			var p client.Problem
			if err := json.Unmarshal([]byte(text), &p); err != nil || res.Header.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("%d %s %s", res.StatusCode, res.Header.Get("Content-Type"), text)
			}
			if res.StatusCode != tt.status || p.Status != tt.status || p.Type != "/problems/"+tt.slug {
				t.Errorf("%d %s, want %d %s", res.StatusCode, text, tt.status, tt.slug)
			}
			if p.RequestID == "" || p.RequestID != res.Header.Get("X-Request-Id") || p.Code == "" || (p.Detail == "" && len(p.Errors) == 0) {
				t.Errorf("not complete: %s", text)
			}
			if tt.pointer != "" && (len(p.Errors) != 1 || p.Errors[0].Pointer != tt.pointer || p.Errors[0].Message == "") {
				t.Errorf("%s, want a fault of %s", text, tt.pointer)
			}
			if strings.Contains(text, secret) || strings.Contains(text, "hunter2") {
				t.Errorf("the value is repeated: %s", text)
			}
			if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("X-Content-Type-Options") != "nosniff" || len(res.Header.Values("X-Content-Type-Options")) != 1 {
				t.Errorf("headers: %v", res.Header)
			}
			if tt.status == 405 && res.Header.Get("Allow") == "" {
				t.Error("no Allow")
			}
			if tt.status == 401 && res.Header.Get("Www-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
		})
	}
	if got, err := b.client.Item(t.Context(), item.ID); err != nil || got.Version != 1 {
		t.Errorf("something was changed: %+v, %v", got, err)
	}
	for _, line := range b.log.lines(t, "request") {
		if s := fmt.Sprint(line); strings.Contains(s, secret) || strings.Contains(s, tokenOf(ken)) {
			t.Errorf("the log repeats: %s", s)
		}
	}
}

// TestCodes holds the table from the market's codes to statuses.
func TestCodes(t *testing.T) {
	statuses := map[market.Code]int{
		market.CodeInvalid: 422, market.CodeUnauthenticated: 401, market.CodeForbidden: 403, market.CodeNotFound: 404,
		market.CodeConflict: 409, market.CodeRateLimited: 429, market.CodeUnavailable: 503, market.CodeInternal: 500,
	}
	for _, code := range market.Codes() {
		cause := errors.New("secret cause")
		p := api.ProblemOf(fmt.Errorf("read thing: %w", market.Wrap(code, "", cause, "the message")))
		if p.Status != statuses[code] || p.Code != client.Code(code) || strings.Contains(p.Error(), "secret") || strings.Contains(p.Error(), "read thing") {
			t.Errorf("%s: %v", code, p)
		}
		if (p.Detail == "the message") != (code != market.CodeInternal) {
			t.Errorf("%s: detail %q", code, p.Detail)
		}
		if again := code == market.CodeRateLimited || code == market.CodeUnavailable; (p.RetryAfter > 0) != again {
			t.Errorf("%s: retry after %v", code, p.RetryAfter)
		}
	}
	for _, tt := range []struct {
		err    error
		status int
		typ    string
	}{
		{errors.New("secret"), 500, "/problems/internal"},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), 503, "/problems/unavailable"},
		{market.Wrap(market.CodeUnavailable, "", context.Canceled, "m"), 503, "/problems/unavailable"},
		{market.Errorf(market.CodeConflict, market.ReasonItemSold, "m"), 409, "/problems/item-sold"},
		{market.Errorf(market.CodeConflict, market.ReasonPriceChanged, "m"), 409, "/problems/price-changed"},
		{market.Errorf(market.CodeConflict, market.ReasonNoFunds, "m"), 402, "/problems/payment-declined"},
		{market.Errorf(market.CodeInternal, market.ReasonItemSold, "m"), 500, "/problems/internal"},
		{errors.Join(market.Fieldf("title", market.ReasonTooLong, "too long"), market.Fieldf("price", market.ReasonOutOfRange, "too much")), 422, "/problems/invalid-request"},
	} {
		if p := api.ProblemOf(tt.err); p.Status != tt.status || p.Type != tt.typ || strings.Contains(p.Error(), "secret") {
			t.Errorf("%v: %v %s", tt.err, p, p.Type)
		}
	}
}

// TestEveryProblemHasAPage holds that the type of a problem leads somewhere.
func TestEveryProblemHasAPage(t *testing.T) {
	b := newBench(t, options{})
	seen := map[string]bool{}
	for _, slug := range api.Slugs() {
		if seen[slug] {
			t.Errorf("%s twice", slug)
		}
		seen[slug] = true
		html := b.get("/problems/"+slug, "Accept", "text/html,*/*")
		page := body(t, html)
		if html.StatusCode != 200 || !strings.HasPrefix(html.Header.Get("Content-Type"), "text/html") || !strings.Contains(page, "<h1>") {
			t.Errorf("%s: %d %v", slug, html.StatusCode, html.Header)
		}
		var v struct{ Type, About string }
		if err := json.Unmarshal([]byte(body(t, b.get("/problems/"+slug))), &v); err != nil || v.Type != "/problems/"+slug || v.About == "" {
			t.Errorf("%s: %+v, %v", slug, v, err)
		}
	}
}

// TestDocsNeedNobodyElse holds that the documentation page loads nothing from another host and runs no script.
func TestDocsNeedNobodyElse(t *testing.T) {
	b := newBench(t, options{})
	res := b.get("/docs")
	page := body(t, res)
	if res.StatusCode != 200 || !strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	for _, bad := range []string{"<script", "https://", "src=", "style=\"", "@import"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	for path, item := range readDocument(t).Paths {
		for _, op := range item {
			if !strings.Contains(page, `id="`+op.OperationID+`"`) || !strings.Contains(page, path) {
				t.Errorf("the page does not have %s", op.OperationID)
			}
		}
	}
	css := b.get("/docs/docs.css")
	if style := body(t, css); css.StatusCode != 200 || strings.Contains(style, "url(") || !strings.HasPrefix(css.Header.Get("Content-Type"), "text/css") {
		t.Errorf("style: %d %v", css.StatusCode, css.Header)
	}
	if again := b.get("/docs", "If-None-Match", res.Header.Get("Etag")); again.StatusCode != 304 {
		t.Errorf("again: %d", again.StatusCode)
	}
	spec := b.get("/openapi.json")
	if !json.Valid([]byte(body(t, spec))) || spec.Header.Get("Content-Type") != "application/json" {
		t.Errorf("openapi.json: %v", spec.Header)
	}
}

func TestRequestID(t *testing.T) {
	b := newBench(t, options{})
	if got := b.get("/v1/catalog", "X-Request-Id", "edge-12345678").Header.Get("X-Request-Id"); got != "edge-12345678" {
		t.Errorf("the edge's id became %q", got)
	}
	seen := map[string]bool{}
	for _, given := range []string{"", "x", "with space here", strings.Repeat("a", 65)} {
		got := b.get("/v1/catalog", "X-Request-Id", given).Header.Get("X-Request-Id")
		if got == given || !api.PlausibleID(got) || seen[got] {
			t.Errorf("%q became %q", given, got)
		}
		seen[got] = true
	}
}

// TestAccessLog holds what one request leaves in the log: one line, from a closed set of keys.
func TestAccessLog(t *testing.T) {
	b := newBench(t, options{})
	ken, me := b.person("Ken")
	item := b.item(ken, "Chair", 500)
	_ = b.get("/v1/items/"+item.ID+"?", "X-Request-Id", "test-request-1")
	_ = b.get("/v1/items/"+item.ID, "X-Request-Id", "test-request-2")
	_ = b.get("/v1/nothing/canary-in-path?canary=in-query", "X-Request-Id", "test-request-3")
	_ = b.do("BREW", "/v1/me", "", "X-Request-Id", "test-request-4")
	_, err := ken.Me(t.Context())
	must(t, err)
	_ = problem(t, ken.Like(t.Context(), item.ID))
	b.flush()

	type line struct {
		Method, Route, Code, Cache, User string
		Status                           float64
	}
	var got []line
	for _, l := range b.log.lines(t, "request") {
		if l["duration_ms"] == nil || l["bytes"] == nil || l["request_id"] == nil || l["level"] != "INFO" {
			t.Errorf("not complete: %v", l)
		}
		str := func(key string) string { s, _ := l[key].(string); return s }
		got = append(got, line{str("method"), str("route"), str("code"), str("cache"), str("user_id"), l["status"].(float64)})
	}
	want := []line{
		{"POST", "POST /v1/items", "", "", me.ID, 201},
		{"GET", "GET /v1/items/{id}", "", "miss", "", 200},
		{"GET", "GET /v1/items/{id}", "", "hit", "", 200},
		{"GET", "", "not_found", "", "", 404},
		{"other", "", "invalid", "", "", 405},
		{"GET", "GET /v1/me", "", "", me.ID, 200},
		{"PUT", "PUT /v1/items/{id}/like", "conflict", "", me.ID, 409},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(b.log.String(), "canary") {
		t.Error("paths or queries of clients are in the log")
	}
	n := b.metric("furima_api_requests_total", "route", "GET /v1/items/{id}", "status", "2xx")
	if n != 2 {
		t.Errorf("%v requests counted", n)
	}
	if n := b.metric("furima_api_requests_total", "route", "none", "status", "4xx"); n != 2 {
		t.Errorf("%v requests without a route counted", n)
	}
}

// panicking is a payment provider that does.
type panicking struct{ pay.Provider }

func (panicking) Charge(context.Context, pay.ChargeRequest) (market.Charge, error) {
	panic("secret cause")
}

func TestPanic(t *testing.T) {
	b := newBench(t, options{noQueue: true, pay: func(p pay.Provider) pay.Provider { return panicking{p} }})
	ken, _ := b.person("Ken")
	eve, _ := b.person("Eve")
	item := b.item(ken, "Chair", 500)
	p := problem(t, errOf(eve.Buy(t.Context(), client.NewOrder{ItemID: item.ID, ExpectedPrice: 500, PaymentToken: "tok_ok"})))
	if p.Status != 500 || p.Code != client.Internal || strings.Contains(p.Error(), "secret") || strings.Contains(p.Error(), "goroutine") {
		t.Errorf("%v", p)
	}
	b.flush()
	lines := b.log.lines(t, "panic")
	if len(lines) != 1 || lines[0]["request_id"] != p.RequestID || lines[0]["stack"] == nil {
		t.Errorf("%d lines about it", len(lines))
	}
	if n := b.metric("furima_api_panics_total"); n != 1 {
		t.Errorf("%v counted", n)
	}
	if requests := b.log.lines(t, "request"); requests[len(requests)-1]["status"] != 500.0 {
		t.Errorf("%v", requests[len(requests)-1])
	}
	if _, err := b.client.Catalog(t.Context()); err != nil {
		t.Errorf("the next request: %v", err)
	}
}

// TestSlowBody holds that a client which does not send its body is let go of.
func TestSlowBody(t *testing.T) {
	b := newBench(t, options{config: func(c *api.Config) { c.BodyTimeout = 50 * time.Millisecond }})
	u, err := url.Parse(b.url)
	must(t, err)
	conn, err := net.Dial("tcp", u.Host)
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = io.WriteString(conn, "POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"email\":")
	must(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	defer res.Body.Close()
	if res.StatusCode != 408 {
		t.Errorf("%d %s", res.StatusCode, body(t, res))
	}
}

// TestBodyDeadlineEndsWithTheBody holds that the time for the body is not a time for the answer: a
// charge may take longer.
func TestBodyDeadlineEndsWithTheBody(t *testing.T) {
	b := newBench(t, options{noQueue: true, config: func(c *api.Config) { c.BodyTimeout = 100 * time.Millisecond },
		pay: func(p pay.Provider) pay.Provider { return slow{p} }})
	ken, _ := b.person("Ken")
	eve, _ := b.person("Eve")
	item := b.item(ken, "Chair", 500)
	order, err := eve.Buy(t.Context(), client.NewOrder{ItemID: item.ID, ExpectedPrice: 500, PaymentToken: "tok_ok"})
	if err != nil || order.State != client.AwaitingShipment {
		t.Errorf("%+v, %v", order, err)
	}
}

// slow is a payment provider that takes longer than a body may.
type slow struct{ pay.Provider }

func (s slow) Charge(ctx context.Context, r pay.ChargeRequest) (market.Charge, error) {
	timer := time.NewTimer(300 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return market.Charge{}, ctx.Err()
	}
	return s.Provider.Charge(ctx, r)
}

func TestHead(t *testing.T) {
	b := newBench(t, options{})
	for _, path := range []string{"/v1/catalog", "/docs", "/openapi.json", "/v1/nothing"} {
		get, head := b.get(path), b.do(http.MethodHead, path, "")
		if text := body(t, head); get.StatusCode != head.StatusCode || text != "" || get.Header.Get("Content-Type") != head.Header.Get("Content-Type") {
			t.Errorf("%s: %d %v, HEAD %d %v %q", path, get.StatusCode, get.Header, head.StatusCode, head.Header, text)
		}
	}
}
