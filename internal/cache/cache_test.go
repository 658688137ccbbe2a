package cache_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/furima/furima/internal/cache"
)

const secret = "a secret of the warmer"

func testConfig() cache.Config {
	cfg := cache.DefaultConfig()
	cfg.RefreshSecret = secret
	return cfg
}

// answerer serves one key from a cache and counts what is loaded.
type answerer struct {
	t     *testing.T
	c     *cache.Cache
	loads atomic.Int64
	load  func(ctx context.Context, n int64) (cache.Answer, error) // n: which load, from 1
}

// text is a load that takes a second and says which one it is.
func text(tags ...string) func(context.Context, int64) (cache.Answer, error) {
	return func(ctx context.Context, n int64) (cache.Answer, error) {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return cache.Answer{}, ctx.Err()
		}
		return cache.Answer{ContentType: "text/plain", Body: fmt.Appendf(nil, "load %d", n), Tags: tags}, nil
	}
}

func (a *answerer) serve(ctx context.Context, header ...string) (*http.Response, string, error) {
	a.t.Helper()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/items", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	err := a.c.Serve(w, r, "/v1/items", func(ctx context.Context) (cache.Answer, error) {
		return a.load(ctx, a.loads.Add(1))
	})
	res := w.Result()
	body, _ := io.ReadAll(res.Body)
	if err != nil && (len(body) > 0 || len(res.Header) > 0 || w.Code != http.StatusOK) {
		a.t.Errorf("with the error %v this was written: %d %v %q", err, w.Code, res.Header, body)
	}
	return res, string(body), err
}

// want serves once and compares the body and what Cache-Status says after "furima; ".
func (a *answerer) want(body, status string, header ...string) {
	a.t.Helper()
	res, got, err := a.serve(a.t.Context(), header...)
	if err != nil {
		a.t.Fatalf("Serve: %v", err)
	}
	if diff := cmp.Diff([]string{body, "furima; " + status}, []string{got, res.Header.Get("Cache-Status")}); diff != "" {
		a.t.Errorf("answer (-want +got):\n%s", diff)
	}
}

// run starts the cache's Run for the rest of a test in a bubble.
func run(t *testing.T, c *cache.Cache) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
}

func TestServeGoesFromMissToHitToStaleToTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{t: t, c: cache.New(testConfig(), cache.Options{}), load: text("items")}
		run(t, a.c)
		a.want("load 1", "fwd=miss; stored") // the load takes a second: the answer is a second old
		a.want("load 1", "hit; ttl=9")
		time.Sleep(8 * time.Second)
		a.want("load 1", "hit; ttl=1")
		time.Sleep(time.Second)
		a.want("load 1", "hit; ttl=0") // stale: served, and renewed behind
		a.want("load 1", "hit; ttl=0")
		time.Sleep(2 * time.Second)
		a.want("load 2", "hit; ttl=8")
		time.Sleep(57 * time.Second)
		a.want("load 2", "hit; ttl=-49")
		time.Sleep(2 * time.Second)
		time.Sleep(59 * time.Second)
		a.want("load 4", "fwd=stale; stored")
		if got := a.loads.Load(); got != 4 {
			t.Errorf("%d loads, want 4", got)
		}
	})
}

func TestServeWritesTheHeadersOfACachedAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{t: t, c: cache.New(testConfig(), cache.Options{})}
		a.load = func(context.Context, int64) (cache.Answer, error) {
			return cache.Answer{ContentType: "application/json", Body: []byte(`{"items":[]}`), Header: http.Header{"Link": {`</v1/items?cursor=x>; rel="next"`}}}, nil
		}
		want := http.Header{
			"Cache-Control":  {"public, max-age=1, stale-while-revalidate=5"},
			"Cache-Status":   {"furima; fwd=miss; stored"},
			"Content-Length": {"12"},
			"Content-Type":   {"application/json"},
			"Etag":           {`"m_rJ_Ue_Uo0XTUwPeXzzng"`},
			"Link":           {`</v1/items?cursor=x>; rel="next"`},
			"Vary":           {"Accept-Encoding"},
		}
		res, _, _ := a.serve(t.Context())
		want["Etag"] = res.Header["Etag"] // any, but the same from here on
		if diff := cmp.Diff(want, res.Header); diff != "" {
			t.Errorf("headers of a miss (-want +got):\n%s", diff)
		}
		time.Sleep(3 * time.Second)
		res, _, _ = a.serve(t.Context())
		want["Cache-Status"], want["Age"] = []string{"furima; hit; ttl=7"}, []string{"3"}
		if diff := cmp.Diff(want, res.Header); diff != "" {
			t.Errorf("headers of a hit (-want +got):\n%s", diff)
		}
		if tag := res.Header.Get("Etag"); len(tag) != 24 || tag[0] != '"' {
			t.Errorf("ETag is %s, want a strong one", tag)
		}
	})
}

func TestServeLeavesTheHeadersOfOthersAlone(t *testing.T) {
	c := cache.New(testConfig(), cache.Options{})
	load := func(context.Context) (cache.Answer, error) {
		return cache.Answer{ContentType: "text/plain", Body: []byte("x")}, nil
	}
	for range 2 {
		w := httptest.NewRecorder()
		w.Header().Set("Vary", "Origin")
		if err := c.Serve(w, httptest.NewRequest(http.MethodGet, "/", nil), "/", load); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"Origin", "Accept-Encoding"}, w.Header().Values("Vary")); diff != "" {
			t.Errorf("Vary (-want +got):\n%s", diff)
		}
		// What a later handler adds must not reach the next request.
		w.Header().Add("Cache-Status", "edge; hit")
		w.Header().Add("Etag", "spoilt")
	}
	w := httptest.NewRecorder()
	_ = c.Serve(w, httptest.NewRequest(http.MethodGet, "/", nil), "/", load)
	if got := w.Header().Values("Cache-Status"); len(got) != 1 {
		t.Errorf("Cache-Status is %q, want one value", got)
	}
}

func TestServeKeepsTheStatusOfAnAnswer(t *testing.T) {
	c := cache.New(testConfig(), cache.Options{})
	for range 2 {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("If-None-Match", "*") // is for 200 only
		err := c.Serve(w, r, "/", func(context.Context) (cache.Answer, error) {
			return cache.Answer{Status: http.StatusGone, ContentType: "text/plain", Body: []byte("gone")}, nil
		})
		if err != nil || w.Code != http.StatusGone || w.Body.String() != "gone" {
			t.Errorf("got %d %q, %v; want 410 gone", w.Code, w.Body, err)
		}
	}
}

func TestManyMissesShareOneLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{t: t, c: cache.New(testConfig(), cache.Options{}), load: text("items")}
		var wg sync.WaitGroup
		var collapsed atomic.Int64
		for range 1000 {
			wg.Go(func() {
				res, body, err := a.serve(t.Context())
				if err != nil || body != "load 1" {
					t.Errorf("got %q, %v", body, err)
				}
				if res.Header.Get("Cache-Status") == "furima; fwd=miss; stored; collapsed" {
					collapsed.Add(1)
				}
			})
		}
		wg.Wait()
		if loads, n := a.loads.Load(), collapsed.Load(); loads != 1 || n != 999 {
			t.Errorf("%d loads, %d collapsed; want 1, 999", loads, n)
		}
	})
}

func TestErrorsAreSharedAndNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		a := &answerer{t: t, c: cache.New(testConfig(), cache.Options{})}
		a.load = func(ctx context.Context, n int64) (cache.Answer, error) {
			ans, err := text()(ctx, n)
			if n == 1 {
				err = broken
			}
			return ans, err
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, _, err := a.serve(t.Context()); !errors.Is(err, broken) {
					t.Errorf("got error %v, want that of the load", err)
				}
			})
		}
		wg.Wait()
		a.want("load 2", "fwd=miss; stored")
	})
}

func TestLoadOutlivesItsRequestButNotItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{t: t, c: cache.New(testConfig(), cache.Options{}), load: text()}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, body, err := a.serve(ctx); err != nil || body != "load 1" {
			t.Errorf("leader with a cancelled context: %q, %v", body, err)
		}
		a.want("load 1", "hit; ttl=9")

		a.load = func(ctx context.Context, _ int64) (cache.Answer, error) {
			<-ctx.Done()
			return cache.Answer{}, ctx.Err()
		}
		begin := time.Now()
		_, _, err := a.serve(t.Context(), cache.RefreshHeader, secret)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 10*time.Second {
			t.Errorf("after %v: %v, want deadline exceeded after 10s", time.Since(begin), err)
		}
	})
}

func TestThoseWhoWaitMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{t: t, c: cache.New(testConfig(), cache.Options{}), load: text()}
		var wg sync.WaitGroup
		wg.Go(func() { a.want("load 1", "fwd=miss; stored") })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begin := time.Now()
		_, _, err := a.serve(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 100*time.Millisecond {
			t.Errorf("after %v: %v, want deadline exceeded after 100ms", time.Since(begin), err)
		}
		wg.Wait()
	})
}

func TestPanicOfALoadFreesThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{t: t, c: cache.New(testConfig(), cache.Options{})}
		a.load = func(ctx context.Context, n int64) (cache.Answer, error) {
			ans, err := text()(ctx, n)
			if n == 1 {
				panic("oops")
			}
			return ans, err
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() {
				if v := recover(); v != "oops" {
					t.Errorf("recovered %v, want the panic of the load", v)
				}
			}()
			_, _, _ = a.serve(t.Context())
		})
		synctest.Wait()
		if _, _, err := a.serve(t.Context()); err == nil {
			t.Error("the one who waited got no error")
		}
		wg.Wait()
		a.want("load 2", "fwd=miss; stored")
	})
}

func TestRefreshNeedsTheSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{t: t, c: cache.New(testConfig(), cache.Options{}), load: text()}
		a.want("load 1", "fwd=request; stored", cache.RefreshHeader, secret)
		a.want("load 1", "hit; ttl=9")
		a.want("load 2", "fwd=request; stored", cache.RefreshHeader, secret)
		a.want("load 2", "hit; ttl=9", cache.RefreshHeader, secret+"x")
		a.want("load 2", "hit; ttl=9", cache.RefreshHeader, "")
		a.want("load 2", "hit; ttl=9", cache.RefreshHeader, secret, cache.RefreshHeader, secret)

		cfg := testConfig()
		cfg.RefreshSecret = ""
		a.c = cache.New(cfg, cache.Options{})
		a.want("load 3", "fwd=miss; stored", cache.RefreshHeader, "")
		a.want("load 3", "hit; ttl=9", cache.RefreshHeader, "")
	})
}

func TestConditionalRequests(t *testing.T) {
	c := cache.New(testConfig(), cache.Options{})
	body := bytes.Repeat([]byte("furima "), 1000)
	loads := 0
	load := func(context.Context) (cache.Answer, error) {
		loads++
		return cache.Answer{ContentType: "text/plain", Body: body}, nil
	}
	get := func(method string, header ...string) *httptest.ResponseRecorder {
		t.Helper()
		r := httptest.NewRequest(method, "/", nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Add(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		if err := c.Serve(w, r, "/", load); err != nil {
			t.Fatal(err)
		}
		return w
	}
	plain := get("GET").Header().Get("ETag")
	zipped := get("GET", "Accept-Encoding", "gzip").Header().Get("ETag")
	if plain == zipped {
		t.Fatalf("both forms have the ETag %s", plain)
	}
	for _, tc := range []struct {
		name   string
		method string
		header []string
		code   int
		tag    string
	}{
		{"other tag", "GET", []string{"If-None-Match", `"other"`}, 200, plain},
		{"same tag", "GET", []string{"If-None-Match", plain}, 304, plain},
		{"weak tag", "GET", []string{"If-None-Match", "W/" + plain}, 304, plain},
		{"in a list", "GET", []string{"If-None-Match", `"a,b", W/"c" ,` + plain}, 304, plain},
		{"in the second line", "GET", []string{"If-None-Match", `"a"`, "If-None-Match", plain}, 304, plain},
		{"any", "GET", []string{"If-None-Match", "*"}, 304, plain},
		{"unquoted", "GET", []string{"If-None-Match", strings.Trim(plain, `"`)}, 200, plain},
		{"gzip, same tag", "GET", []string{"If-None-Match", zipped, "Accept-Encoding", "gzip"}, 304, zipped},
		{"gzip, tag of the plain form", "GET", []string{"If-None-Match", plain, "Accept-Encoding", "gzip"}, 304, plain},
		{"plain, tag of the gzip form", "GET", []string{"If-None-Match", zipped}, 304, zipped},
		{"gzip", "GET", []string{"Accept-Encoding", "br;q=1, gzip;q=0.8"}, 200, zipped},
		{"HEAD", "HEAD", nil, 200, plain},
		{"HEAD, same tag", "HEAD", []string{"If-None-Match", plain}, 304, plain},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := get(tc.method, tc.header...)
			if w.Code != tc.code || w.Header().Get("ETag") != tc.tag {
				t.Errorf("got %d %s, want %d %s", w.Code, w.Header().Get("ETag"), tc.code, tc.tag)
			}
			got := w.Body.Bytes()
			if w.Header().Get("Content-Encoding") == "gzip" {
				z, err := gzip.NewReader(w.Body)
				if err != nil {
					t.Fatal(err)
				}
				if got, err = io.ReadAll(z); err != nil {
					t.Fatal(err)
				}
			}
			want := body
			if tc.code == 304 || tc.method == "HEAD" {
				want = nil
			}
			if !bytes.Equal(got, want) {
				t.Errorf("body of %d bytes, want %d", len(got), len(want))
			}
			if length := w.Header().Get("Content-Length"); (tc.code == 304) != (length == "") {
				t.Errorf("Content-Length is %q", length)
			}
			if w.Header().Get("Vary") != "Accept-Encoding" {
				t.Errorf("Vary is %q", w.Header().Get("Vary"))
			}
		})
	}
	if loads != 1 {
		t.Errorf("%d loads, want 1", loads)
	}
}

func TestSmallAndDenseBodiesAreNotCompressed(t *testing.T) {
	dense := make([]byte, 4096)
	for i, x := 0, uint64(1); i < len(dense); i++ {
		x = x*6364136223846793005 + 1442695040888963407
		dense[i] = byte(x >> 56)
	}
	for name, body := range map[string][]byte{"small": bytes.Repeat([]byte("a"), 1023), "dense": dense} {
		c := cache.New(testConfig(), cache.Options{})
		for range 2 {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Accept-Encoding", "gzip")
			w := httptest.NewRecorder()
			err := c.Serve(w, r, "/", func(context.Context) (cache.Answer, error) { return cache.Answer{Body: body}, nil })
			if err != nil || w.Header().Get("Content-Encoding") != "" || !bytes.Equal(w.Body.Bytes(), body) {
				t.Errorf("%s: %v, Content-Encoding %q, %d bytes", name, err, w.Header().Get("Content-Encoding"), w.Body.Len())
			}
		}
	}
}

func TestBudgetEvicts(t *testing.T) {
	cfg := testConfig()
	cfg.MaxBytes = 1 << 20
	reg := prometheus.NewRegistry()
	c := cache.New(cfg, cache.Options{Registerer: reg})
	body := make([]byte, 10_000)
	serve := func(key string, body []byte) string {
		w := httptest.NewRecorder()
		err := c.Serve(w, httptest.NewRequest(http.MethodGet, "/", nil), key, func(context.Context) (cache.Answer, error) {
			return cache.Answer{Body: body, Tags: []string{"all", key}}, nil
		})
		if err != nil || w.Body.Len() != len(body) {
			t.Fatalf("%s: %v, %d bytes", key, err, w.Body.Len())
		}
		return w.Header().Get("Cache-Status")
	}
	for i := range 1000 {
		serve(fmt.Sprint("key", i), body)
	}
	for range 3 {
		serve("huge", make([]byte, 2<<20)) // never fits, and is answered all the same
	}
	gauges := gather(t, reg)
	if n, size := gauges["furima_cache_entries"], gauges["furima_cache_bytes"]; size > 1<<20 || n < 30 || n > 104 || gauges["furima_cache_evictions_total"] < 850 {
		t.Errorf("%v entries, %v bytes, %v evictions", n, size, gauges["furima_cache_evictions_total"])
	}
	c.Purge("all")
	if n := gather(t, reg)["furima_cache_purged_entries_total"]; n != gauges["furima_cache_entries"] {
		t.Errorf("purging the tag of all made %v invalid of %v", n, gauges["furima_cache_entries"])
	}
}

func TestMetricsCountOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		a := &answerer{t: t, c: cache.New(testConfig(), cache.Options{Registerer: reg}), load: text("items")}
		run(t, a.c)
		a.want("load 1", "fwd=miss; stored")
		a.want("load 1", "hit; ttl=9")
		a.c.Purge("items", "others")
		a.want("load 2", "fwd=stale; stored")
		a.want("load 3", "fwd=request; stored", cache.RefreshHeader, secret)
		time.Sleep(20 * time.Second)
		a.want("load 3", "hit; ttl=-11")
		time.Sleep(2 * time.Second)
		if n, err := testutil.GatherAndCount(reg); err != nil || n == 0 {
			t.Fatal(n, err)
		}
		got := gather(t, reg)
		want := map[string]float64{
			"furima_cache_requests_total hit": 1, "furima_cache_requests_total stale": 1, "furima_cache_requests_total miss": 1,
			"furima_cache_requests_total renewed": 1, "furima_cache_requests_total refresh": 1, "furima_cache_requests_total collapsed": 0,
			"furima_cache_renewals_total ok": 1, "furima_cache_renewals_total error": 0, "furima_cache_renewals_waiting": 0,
			"furima_cache_purges_total": 2, "furima_cache_purged_entries_total": 1, "furima_cache_evictions_total": 0,
			"furima_cache_entries": 1, "furima_cache_load_errors_total": 0, "furima_cache_load_duration_seconds": 4,
			"furima_cache_bytes": got["furima_cache_bytes"], "furima_cache_max_bytes": 128 << 20,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("metrics (-want +got):\n%s", diff)
		}
	})
}

// gather reads a registry: name and label value → value, or count for a histogram.
func gather(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return got
}

func TestValidateNamesEveryFault(t *testing.T) {
	faults := func(cfg cache.Config) (keys []string) {
		cfg.Validate(func(key, problem string) {
			if problem == "" || strings.ContainsAny(problem, "\n") || strings.HasSuffix(problem, ".") {
				t.Errorf("%s: problem %q", key, problem)
			}
			keys = append(keys, key)
		})
		return keys
	}
	if got := faults(cache.DefaultConfig()); got != nil {
		t.Errorf("the default has faults: %v", got)
	}
	want := []string{"max_bytes", "fresh", "load_timeout", "renewers", "stale", "keep_for", "client_max_age", "client_stale", "refresh_secret"}
	bad := cache.Config{Stale: -1, KeepFor: -1, ClientMaxAge: -1, ClientStale: -1, RefreshSecret: "short"}
	if diff := cmp.Diff(want, faults(bad)); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}
