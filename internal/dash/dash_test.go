package dash_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
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
	dto "github.com/prometheus/client_model/go"

	"github.com/furima/furima/internal/daemon"
	"github.com/furima/furima/internal/dash"
)

// counting counts how often it is gathered.
type counting struct {
	prometheus.Gatherer
	n atomic.Int32
}

func (c *counting) Gather() ([]*dto.MetricFamily, error) {
	c.n.Add(1)
	return c.Gatherer.Gather()
}

// stream is a ResponseWriter that keeps what was written.
type stream struct {
	mu     sync.Mutex
	header http.Header
	status int
	body   strings.Builder
	broken error
}

func newStream() *stream { return &stream{header: http.Header{}} }

func (s *stream) Header() http.Header { return s.header }
func (s *stream) Flush()              {}

func (s *stream) WriteHeader(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return 0, s.broken
	}
	return s.body.Write(b)
}

func (s *stream) breakOff(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = err
}

// events are the names of the events written so far.
func (s *stream) events() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for l := range strings.Lines(s.body.String()) {
		if name, ok := strings.CutPrefix(l, "event: "); ok {
			names = append(names, strings.TrimSpace(name))
		}
	}
	return names
}

// data are the payloads of the events of a name.
func (s *stream) data(t *testing.T, name string) []map[string]any {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []map[string]any
	for ev := range strings.SplitSeq(s.body.String(), "\n\n") {
		ev = strings.TrimPrefix(ev, "retry: 1000\n")
		if data, ok := strings.CutPrefix(ev, "event: "+name+"\ndata: "); ok {
			var m map[string]any
			if err := json.Unmarshal([]byte(data), &m); err != nil {
				t.Fatalf("%v in %s", err, data)
			}
			list = append(list, m)
		}
	}
	return list
}

// watch opens the stream of events until the returned function is called.
func watch(h http.Handler, s *stream) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.ServeHTTP(s, httptest.NewRequestWithContext(ctx, "GET", "/dash/events", nil))
	}()
	return func() {
		cancel()
		<-done
	}
}

func TestOneGatherForAllViewersAndNoneForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &counting{Gatherer: prometheus.NewRegistry()}
		h := dash.New(dash.Options{Gatherer: g})
		time.Sleep(time.Hour)
		if n := g.n.Load(); n != 0 {
			t.Fatalf("gathered %d times although nobody looked", n)
		}
		var ends []func()
		var streams []*stream
		for range 3 {
			s := newStream()
			streams = append(streams, s)
			ends = append(ends, watch(h, s))
			time.Sleep(150 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		for _, s := range streams {
			if ev := s.events(); len(ev) < 11 || ev[0] != "history" || ev[1] != "frame" {
				t.Errorf("events %v", ev)
			}
		}
		if n := g.n.Load(); n < 10 || n > 12 {
			t.Errorf("three viewers in ten seconds made %d gathers", n)
		}
		for _, end := range ends {
			end()
		}
		n := g.n.Load()
		time.Sleep(time.Hour)
		if g.n.Load() != n {
			t.Errorf("gathered %d times after the last viewer had left", g.n.Load()-n)
		}
	})
}

func TestFramesCarryRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "furima_x_total"})
		reg.MustRegister(c)
		stop := make(chan struct{})
		defer close(stop)
		go func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Millisecond):
					c.Add(5)
				}
			}
		}()
		h := dash.New(dash.Options{Gatherer: reg})
		s := newStream()
		end := watch(h, s)
		time.Sleep(20*time.Second + 50*time.Millisecond)
		end()
		frames := s.data(t, "frame")
		rate := frames[len(frames)-1]["s"].([]any)[0].(float64)
		if rate < 49 || rate > 51 {
			t.Errorf("rate %v, want 50", rate)
		}
		// A second viewer gets what the first has seen.
		s2 := newStream()
		end = watch(h, s2)
		time.Sleep(time.Millisecond)
		end()
		history := s2.data(t, "history")[0]
		if n := len(history["t"].([]any)); n < 20 {
			t.Errorf("history of %d points", n)
		}
		boot := history["boot"]
		if boot != s.data(t, "history")[0]["boot"] {
			t.Error("the second viewer's history is another one")
		}
		// After a while nothing is kept.
		time.Sleep(5 * time.Minute)
		s3 := newStream()
		end = watch(h, s3)
		time.Sleep(time.Millisecond)
		end()
		history = s3.data(t, "history")[0]
		if n := len(history["t"].([]any)); n != 1 || history["boot"] == boot {
			t.Errorf("after five minutes: history of %d points, boot %v", n, history["boot"])
		}
	})
}

func TestViewersCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := dash.New(dash.Options{Gatherer: prometheus.NewRegistry(), MaxViewers: 2})
		a, b := watch(h, newStream()), watch(h, newStream())
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		refused := httptest.NewRecorder()
		h.ServeHTTP(refused, httptest.NewRequestWithContext(ctx, "GET", "/dash/events", nil))
		if refused.Code != http.StatusServiceUnavailable || refused.Header().Get("Retry-After") == "" {
			t.Errorf("third viewer: %d %v", refused.Code, refused.Header())
		}
		a()
		s := newStream()
		c := watch(h, s)
		synctest.Wait()
		if len(s.events()) == 0 {
			t.Error("no place although a viewer has left")
		}
		b()
		c()
	})
}

func TestBrokenViewerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := dash.New(dash.Options{Gatherer: prometheus.NewRegistry(), MaxViewers: 1})
		s := newStream()
		end := watch(h, s)
		time.Sleep(3 * time.Second)
		s.breakOff(errors.New("broken pipe"))
		time.Sleep(2 * time.Second)
		next := newStream()
		end2 := watch(h, next)
		synctest.Wait()
		if len(next.events()) == 0 {
			t.Error("a viewer whose connection broke still holds its place")
		}
		end()
		end2()
	})
}

// failing is a registry with a collector that fails.
type failing struct{ prometheus.Gatherer }

func (f failing) Gather() ([]*dto.MetricFamily, error) {
	mfs, _ := f.Gatherer.Gather()
	return mfs, errors.New("collector: database is gone")
}

func page(t *testing.T, h http.Handler, path string) (int, string, http.Header) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Code, w.Body.String(), w.Header()
}

func TestPageWithoutScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDemo(7)
		evil := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "evil", Help: "<b>help</b>"}, []string{"k"})
		evil.WithLabelValues(`"><script>alert(1)</script>`).Set(1)
		d.reg.MustRegister(evil)
		d.step(time.Now(), 3)
		h := dash.New(dash.Options{Gatherer: failing{d.reg}, Role: "api", Version: "v9", Ready: ready,
			Links: []dash.Link{{Name: "phones", URL: "phones/"}}})
		status, first, header := page(t, h, "/")
		if status != 200 || !strings.HasPrefix(header.Get("Content-Type"), "text/html") {
			t.Fatalf("%d %v", status, header)
		}
		if csp := header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("Content-Security-Policy: %s", csp)
		}
		for _, want := range []string{"furima <span class=\"role\">api</span>", "v9", "ready</a>", `href="phones/"`,
			`http-equiv="refresh"`, "furima_api_requests_total", "GET /v1/items/{id}", "go_goroutines"} {
			if !strings.Contains(first, want) {
				t.Errorf("the page lacks %s", want)
			}
		}
		for _, never := range []string{"<script>", "<b>help", "style=", "onclick", "http://", "https://"} {
			if strings.Contains(first, never) {
				t.Errorf("the page has %s", never)
			}
		}
		time.Sleep(5 * time.Second) // the page reloads itself
		d.requests.WithLabelValues("GET /v1/items", "2xx").Add(50)
		_, second, _ := page(t, h, "/")
		if !strings.Contains(second, "<b>10.0</b><i>/s</i>") {
			t.Error("the page that reloads itself shows no rate")
		}
	})
}

func TestRoutes(t *testing.T) {
	h := dash.New(dash.Options{Gatherer: prometheus.NewRegistry()})
	for path, want := range map[string]struct {
		status int
		ctype  string
	}{
		"/dash/app.js":   {200, "text/javascript; charset=utf-8"},
		"/dash/app.css":  {200, "text/css; charset=utf-8"},
		"/dash/icon.svg": {200, "image/svg+xml"},
		"/dash/panels":   {200, "text/html; charset=utf-8"},
		"/dash/state":    {404, "text/plain; charset=utf-8"}, // nobody knows the state
		"/other":         {404, "text/plain; charset=utf-8"},
	} {
		status, _, header := page(t, h, path)
		if status != want.status || header.Get("Content-Type") != want.ctype {
			t.Errorf("GET %s: %d %s", path, status, header.Get("Content-Type"))
		}
	}
}

func TestState(t *testing.T) {
	var report daemon.Report
	h := dash.New(dash.Options{Gatherer: prometheus.NewRegistry(), Ready: func(context.Context) daemon.Report { return report }})
	ok := daemon.CheckReport{Name: "store", State: daemon.CheckOK}
	for _, tt := range []struct {
		report daemon.Report
		want   string
	}{
		{daemon.Report{Ready: true, Phase: "ready", Checks: []daemon.CheckReport{ok}}, `{"text":"ready","class":"good"}`},
		{daemon.Report{Phase: "starting"}, `{"text":"starting","class":"wait"}`},
		{daemon.Report{Phase: "stopping", Checks: []daemon.CheckReport{ok}}, `{"text":"stopping","class":"wait"}`},
		{daemon.Report{Phase: "ready", Checks: []daemon.CheckReport{ok, {Name: "queue", State: daemon.CheckFailing}}},
			`{"text":"failing: queue","class":"bad"}`},
	} {
		report = tt.report
		_, body, _ := page(t, h, "/dash/state")
		if diff := cmp.Diff(tt.want, strings.TrimSpace(body)); diff != "" {
			t.Error(diff)
		}
	}
}

// The stop of the ops listener ends the streams at once and well.
func TestStreamEndsOnShutdown(t *testing.T) {
	reg := daemon.NewRegistry("v0")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ln, err := daemon.Listen(ctx, "ops.listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	up, done := make(chan struct{}), make(chan error, 1)
	d := daemon.New(daemon.Options{StopTimeout: 10 * time.Second, OnReady: func() { close(up) }})
	ops := daemon.NewOps(daemon.OpsOptions{Gatherer: reg, Health: d.Health()})
	ops.Handle("/", dash.New(dash.Options{Gatherer: reg, Role: "api", Ready: d.Health().Report}))
	go func() { done <- d.Run(ctx, func(ctx context.Context) error { return d.Start(ctx, ops.Step(ln)) }) }()
	<-up
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("http://" + ln.Addr().String() + "/dash/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	if l, err := lines.ReadString('\n'); err != nil || l != "retry: 1000\n" {
		t.Fatalf("%q %v", l, err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, lines); err != nil {
		t.Errorf("the stream broke off: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("stop: %v", err)
	}
}
