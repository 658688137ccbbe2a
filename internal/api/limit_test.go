package api_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/api"
)

// TestRateLimits holds that each class of operations has its own limit, of its
// own people, and says when to come again.
func TestRateLimits(t *testing.T) {
	clock := newClock()
	b := newBench(t, options{noQueue: true, now: clock.now, config: func(c *api.Config) {
		c.Limits = api.LimitConfig{Reads: 3, Writes: 4, Purchases: 2}
	}})
	ctx := t.Context()
	ken, _ := b.person("Ken")
	eve, _ := b.person("Eve")
	item := b.item(ken, "Chair", 4500)

	limited := func(what string, err error, wait time.Duration) {
		t.Helper()
		if p := problem(t, err); p.Status != 429 || p.Code != client.RateLimited || p.Reason != "rate_limited" || p.RetryAfter != wait || p.Type != "/problems/rate-limited" {
			t.Errorf("%s: %v, again after %v, want %v", what, p, p.RetryAfter, wait)
		}
	}
	for range 3 {
		must(t, errOf(eve.Me(ctx)))
	}
	limited("reads", errOf(eve.Me(ctx)), 20*time.Second)
	must(t, errOf(ken.Me(ctx))) // another person
	clock.add(19 * time.Second)
	limited("too early", errOf(eve.Me(ctx)), time.Second)
	clock.add(time.Second)
	must(t, errOf(eve.Me(ctx)))
	limited("one came back", errOf(eve.Me(ctx)), 20*time.Second)

	for range 2 {
		must(t, eve.Like(ctx, item.ID))
		must(t, eve.Unlike(ctx, item.ID))
	}
	limited("writes", eve.Like(ctx, item.ID), 15*time.Second)
	wrong := order(item, "tok_ok")
	wrong.ExpectedPrice++
	for range 2 {
		if p := problem(t, errOf(eve.Buy(ctx, wrong))); p.Reason != "price_changed" {
			t.Errorf("%v", p)
		}
	}
	limited("purchases", errOf(eve.Buy(ctx, wrong)), 30*time.Second)
	for labels, want := range map[[2]string]float64{{"read", "user"}: 3, {"write", "user"}: 1, {"purchase", "user"}: 1, {"read", "ip"}: 0} {
		if got := b.metric("furima_api_rate_limited_total", "class", labels[0], "limit", labels[1]); got != want {
			t.Errorf("%v: %v refused, want %v", labels, got, want)
		}
	}
}

// TestReadLimitOfAnAddress holds that what costs nothing does not count, and is
// answered even to those who have asked too much.
func TestReadLimitOfAnAddress(t *testing.T) {
	clock := newClock()
	b := newBench(t, options{noQueue: true, now: clock.now, config: func(c *api.Config) { c.Limits.ReadsIP = 2 }})
	ken, _ := b.person("Ken")
	item := b.item(ken, "Chair", 4500)
	get := func(path string, want int, header ...string) *http.Response {
		t.Helper()
		res := b.do(http.MethodGet, path, "", header...)
		if got := body(t, res); res.StatusCode != want {
			t.Errorf("%s %v: %d, want %d: %s", path, header, res.StatusCode, want, got)
		}
		return res
	}
	path := "/v1/items/" + item.ID
	etag := get(path, 200).Header.Get("Etag") // made: counts
	for range 5 {
		get(path, 200)                        // from memory
		get(path, 304, "If-None-Match", etag) // nothing to send
	}
	get("/v1/users/"+item.Seller.ID, 200) // made: counts
	if res := get("/v1/catalog", 429); res.Header.Get("Retry-After") != "30" {
		t.Errorf("again after %q", res.Header.Get("Retry-After"))
	}
	get(path, 200)
	get(path, 304, "If-None-Match", etag)
	get("/v1/catalog", 200, "X-Forwarded-For", "198.51.100.7") // the proxy on this machine speaks for another
	clock.add(30 * time.Second)
	get("/v1/users/"+item.Seller.ID+"/reviews", 200)
	get("/v1/users/us_0000000000001", 429)
	clock.add(30 * time.Second)
	get("/v1/users/us_0000000000001", 404) // to look for nothing counts as well
	get("/v1/users/us_0000000000001", 429)
}

// TestLogInLimits holds that guessing the password of an account ends soon,
// whether there is the account or not, and that its owner is not counted.
func TestLogInLimits(t *testing.T) {
	clock := newClock()
	b := newBench(t, options{noQueue: true, now: clock.now, config: func(c *api.Config) {
		c.Limits = api.LimitConfig{LogIns: 2, LogInsIP: 9, RegistrationsIP: 1}
	}})
	ctx := t.Context()
	reg := client.Registration{Email: "hana@example.com", Password: "a long enough secret", Name: "Hana"}
	must(t, errOf(b.client.Register(ctx, reg)))
	if p := problem(t, errOf(b.client.Register(ctx, reg))); p.Status != 429 || p.RetryAfter != time.Minute {
		t.Errorf("a second registration: %v", p)
	}
	for range 3 {
		must(t, errOf(b.client.LogIn(ctx, client.Credentials{Email: reg.Email, Password: reg.Password})))
	}
	for _, email := range []string{"hana@example.com", "nobody@example.com"} {
		hashes := api.Hashes(b.api)
		for _, want := range []int{401, 401, 429} {
			// Another way to write it is the same account.
			if p := problem(t, errOf(b.client.LogIn(ctx, client.Credentials{Email: " " + email, Password: "wrong"}))); p.Status != want {
				t.Errorf("%s: %v, want %d", email, p, want)
			}
		}
		if n := api.Hashes(b.api) - hashes; n != 2 {
			t.Errorf("%s: %d hashes", email, n)
		}
	}
	if p := problem(t, errOf(b.client.LogIn(ctx, client.Credentials{Email: "x@example.com", Password: "wrong"}))); p.Status != 429 {
		t.Errorf("the tenth log-in of an address: %v", p)
	}
	clock.add(time.Minute)
	must(t, errOf(b.client.LogIn(ctx, client.Credentials{Email: reg.Email, Password: reg.Password})))
}

// TestNoLimits holds that a limit of -1 is none.
func TestNoLimits(t *testing.T) {
	b := newBench(t, options{noQueue: true, now: newClock().now}) // which makes it so
	ken, _ := b.person("Ken")
	for i := range 4000 {
		if res := b.do(http.MethodGet, "/v1/me", "", "Authorization", "Bearer "+tokenOf(ken)); res.StatusCode != 200 {
			t.Fatalf("read %d: %d", i, res.StatusCode)
		} else {
			body(t, res)
		}
	}
}

func TestClientIP(t *testing.T) {
	for _, c := range []struct {
		name, peer   string
		trusted      []string
		forwarded    []string
		realIP, want string
	}{
		{"direct", "203.0.113.9:5", nil, nil, "", "203.0.113.9"},
		{"direct, lies", "203.0.113.9:5", nil, []string{"1.2.3.4"}, "1.2.3.4", "203.0.113.9"},
		{"nginx here", "127.0.0.1:5", nil, []string{"203.0.113.9"}, "", "203.0.113.9"},
		{"nginx here, only the other header", "127.0.0.1:5", nil, nil, "203.0.113.9", "203.0.113.9"},
		{"nginx on a socket", "@", nil, []string{"203.0.113.9"}, "", "203.0.113.9"},
		{"a socket without a word", "", nil, nil, "", "::"},
		{"a proxy in front of nginx that is not ours", "127.0.0.1:5", nil, []string{"1.2.3.4, 203.0.113.9"}, "", "203.0.113.9"},
		{"two of ours", "10.0.0.1:5", []string{"10.0.0.0/8"}, []string{"1.2.3.4, 203.0.113.9, 10.0.0.2"}, "", "203.0.113.9"},
		{"two of ours, two headers", "10.0.0.1:5", []string{"10.0.0.0/8"}, []string{"203.0.113.9", "10.0.0.2"}, "", "203.0.113.9"},
		{"none but ours", "10.0.0.1:5", []string{"10.0.0.0/8"}, []string{"10.0.0.3,10.0.0.2"}, "", "10.0.0.3"},
		{"this machine is not trusted then", "127.0.0.1:5", []string{"10.0.0.0/8"}, []string{"203.0.113.9"}, "", "127.0.0.1"},
		{"nonsense", "127.0.0.1:5", nil, []string{"unknown"}, "1.2.3.4", "127.0.0.1"},
		{"nonsense before ours", "10.0.0.1:5", []string{"10.0.0.0/8"}, []string{"x, 10.0.0.2"}, "", "10.0.0.2"},
		{"empty", "127.0.0.1:5", nil, []string{""}, "", "127.0.0.1"},
		{"with a port", "127.0.0.1:5", nil, []string{"203.0.113.9:1234"}, "", "203.0.113.9"},
		{"a subscriber's network", "[2001:db8:1:2:3:4:5:6]:5", nil, nil, "", "2001:db8:1:2::"},
		{"IPv4 in IPv6", "[::ffff:203.0.113.9]:5", nil, nil, "", "203.0.113.9"},
		{"the other loopback", "[::1]:5", nil, []string{"203.0.113.9"}, "", "203.0.113.9"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = c.peer
		r.Header["X-Forwarded-For"] = c.forwarded
		if c.realIP != "" {
			r.Header.Set("X-Real-IP", c.realIP)
		}
		if got := api.ClientIP(c.trusted, r); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestBuckets holds that a bucket gives what it has at once and then one in
// each step, and that buckets of any number of people fit into memory.
func TestBuckets(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	b := api.NewBuckets(10, time.Second)
	given := 0
	for i := range 10_000 { // a try every millisecond for ten seconds
		at := now.Add(time.Duration(i) * time.Millisecond)
		wait := b.Wait(7, at)
		took := b.Take(7, at)
		if took != wait {
			t.Fatalf("at %d ms: wait %v, take %v", i, wait, took)
		}
		if took == 0 {
			given++
		}
	}
	if given != 10+99 {
		t.Errorf("%d tokens in 10 seconds of 10 a second and 10 at once", given)
	}
	if b.Wait(8, now) != 0 || b.Take(8, now) != 0 {
		t.Error("another key is held back")
	}
	for i := range uint64(300_000) {
		b.Take(1000+i, now)
	}
	if n := b.Len(); n > 1<<16 {
		t.Errorf("%d buckets", n)
	}
	b.Take(1, now.Add(time.Hour))
	for i := range uint64(1 << 16) { // those of an hour ago make room
		b.Take(1_000_000+i, now.Add(time.Hour))
	}
	if b.Len() > 1<<16 {
		t.Errorf("%d buckets", b.Len())
	}
}

func BenchmarkTake(b *testing.B) {
	buckets, now := api.NewBuckets(1_000_000_000, time.Minute), time.Now()
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		buckets.Take(i&1023, now)
	}
}
