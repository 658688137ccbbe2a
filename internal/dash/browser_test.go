package dash_test

import (
	"context"
	"flag"
	"fmt"
	"math"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/furima/furima/internal/daemon"
	"github.com/furima/furima/internal/dash"
)

var shots = flag.String("shots", "", "directory to put screenshots of the page into")

// newBrowser starts a headless Chromium of its own.
func newBrowser(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser")
	}
	path := ""
	for _, p := range []string{"/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"} {
		if _, err := os.Stat(p); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("no Chromium found: install the package chromium")
		}
		t.Skip("no Chromium found: install the package chromium")
	}
	alloc, cancelAlloc := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(path),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("headless", true), chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true), chromedp.Flag("no-first-run", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	ctx, cancel := chromedp.NewContext(alloc)
	if err := chromedp.Do(ctx); err != nil { // starts the browser
		t.Fatal(err)
	}
	timeout, cancelTimeout := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(func() {
		cancelTimeout()
		cancel()
		cancelAlloc()
	})
	return timeout
}

// play lets the demo run in real time until the test ends.
func play(t *testing.T, d *demo) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case at := <-tick.C:
				d.step(at, 0.1)
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
}

func serve(t *testing.T, o dash.Options) *httptest.Server {
	srv := httptest.NewServer(dash.New(o))
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv
}

func ready(context.Context) daemon.Report {
	return daemon.Report{Ready: true, Phase: daemon.PhaseReady}
}

// emulate gives the page a width and a colour scheme.
func emulate(t *testing.T, ctx context.Context, width, height int64, scheme string) {
	t.Helper()
	_, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 500})
	if err != nil {
		t.Fatal(err)
	}
	_, err = chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	if err != nil {
		t.Fatal(err)
	}
}

// TestScreenshots takes pictures for people: go test -run Screenshots -shots DIR.
func TestScreenshots(t *testing.T) {
	if *shots == "" {
		t.Skip("needs -shots DIR")
	}
	d := newDemo(1)
	play(t, d)
	srv := serve(t, dash.Options{Gatherer: d.reg, Role: "dev", Version: "v0.1.0", Ready: ready,
		Links: []dash.Link{{Name: "Phones", URL: "/phones/"}, {Name: "Metrics", URL: "/metrics"}, {Name: "Profiles", URL: "/debug/pprof/"}}})
	ctx := newBrowser(t)
	if err := chromedp.Do(ctx, chromedp.Navigate(srv.URL), chromedp.Sleep(25*time.Second)); err != nil {
		t.Fatal(err)
	}
	shot := func(name string) {
		t.Helper()
		if err := chromedp.Do(ctx, chromedp.Sleep(1500*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(*shots, name+".png"), png, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, width := range []int64{1280, 390} {
		for _, scheme := range []string{"light", "dark"} {
			emulate(t, ctx, width, 900, scheme)
			// As high as the page, so that every chart is drawn.
			emulate(t, ctx, width, int64(eval[float64](t, ctx, `document.body.offsetHeight`)), scheme)
			shot(fmt.Sprintf("%s-%d", scheme, width))
		}
	}
	for _, width := range []int64{1280, 390} {
		emulate(t, ctx, width, 900, "light")
		eval[any](t, ctx, `document.querySelectorAll(".chart")[1].click()`)
		shot(fmt.Sprintf("zoom-%d", width))
		eval[any](t, ctx, `document.getElementById("zoom").close()`)
		eval[any](t, ctx, `document.querySelectorAll("#g-api, #g-push, #g-cache").forEach(d => { d.open = true })`)
		shot(fmt.Sprintf("all-%d", width))
	}
}

func TestInBrowser(t *testing.T) {
	d := newDemo(2)
	play(t, d)
	srv := serve(t, dash.Options{Gatherer: d.reg, Role: "dev", Version: "v0.1.0", Ready: ready})
	ctx := newBrowser(t)

	var mu sync.Mutex
	var complaints []string
	streamed := false
	complain := func(s string) {
		mu.Lock()
		defer mu.Unlock()
		complaints = append(complaints, s)
	}
	for _, enable := range []func() error{
		func() error { _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); return err },
		func() error { _, err := chromedp.Call(ctx, cdplog.Enable, cdp.Empty{}); return err },
		func() error { _, err := chromedp.Call(ctx, runtime.Enable, cdp.Empty{}); return err },
	} {
		if err := enable(); err != nil {
			t.Fatal(err)
		}
	}
	err := chromedp.Listen(ctx, func(ev any) {
		switch ev := ev.(type) {
		case *network.EventRequestWillBeSent:
			if !strings.HasPrefix(ev.Request.URL, srv.URL+"/") {
				complain("request to " + ev.Request.URL)
			}
			if ev.Request.URL == srv.URL+"/dash/events" {
				mu.Lock()
				streamed = true
				mu.Unlock()
			}
		case *cdplog.EventEntryAdded:
			complain("log: " + ev.Entry.Text)
		case *runtime.EventConsoleAPICalled:
			complain("console: " + string(ev.Type))
		case *runtime.EventExceptionThrown:
			complain("exception: " + ev.ExceptionDetails.Text)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(ctx, chromedp.Navigate(srv.URL+"/")); err != nil {
		t.Fatal(err)
	}

	const main = `document.querySelector(".tile .main b").textContent`
	poll(t, ctx, `document.querySelector("#live").classList.contains("on")`)
	poll(t, ctx, `Number(`+main+`) > 100`)
	first := eval[string](t, ctx, main)
	poll(t, ctx, main+` !== `+strconv.Quote(first))
	poll(t, ctx, `document.querySelector(".tile svg path.main").getAttribute("d").includes("L")`)
	// A series that appears while the page is open gets a row.
	d.requests.WithLabelValues("DELETE /v1/items/{id}", "2xx").Add(9)
	poll(t, ctx, `document.body.textContent.includes("DELETE /v1/items/{id}")`)

	// Search opens the groups that have something.
	if err := chromedp.Do(ctx, chromedp.SendKeys(chromedp.ID("search"), "GOROUTINES current")); err != nil {
		t.Fatal(err)
	}
	poll(t, ctx, `[...document.querySelectorAll(".fam")].filter(f => f.checkVisibility()).length === 1`)
	// A chart grows when it is clicked.
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(".tile .chart")), chromedp.WaitVisible(chromedp.CSS("#zoom-chart svg"))); err != nil {
		t.Fatal(err)
	}
	poll(t, ctx, `document.querySelector("#zoom-legend b").textContent.endsWith("/s")`)
	eval[any](t, ctx, `document.getElementById("zoom").close()`)
	eval[any](t, ctx, `document.querySelectorAll("details").forEach(d => { d.open = true })`)

	for _, width := range []int64{1280, 390, 320} {
		emulate(t, ctx, width, 900, "light")
		if over := eval[float64](t, ctx, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
			t.Errorf("at %d pixels the page is %v pixels too wide", width, over)
		}
	}
	for _, tt := range dash.FormatCases {
		v := "NaN"
		if !math.IsNaN(tt.V) {
			v = strconv.FormatFloat(tt.V, 'g', -1, 64)
		}
		if got := eval[string](t, ctx, fmt.Sprintf("furimaFormat(%s, %q, %v).join('')", v, tt.Unit, tt.Top)); got != tt.Want {
			t.Errorf("app.js formats %v %q as %q, format.go as %q", tt.V, tt.Unit, got, tt.Want)
		}
	}

	mu.Lock()
	defer mu.Unlock()
	if !streamed {
		t.Error("the watch over requests has not seen the stream of events, so it may have missed others")
	}
	for _, c := range complaints {
		t.Error(c)
	}
}

// The page says that it has lost its server, keeps the numbers, and goes on
// when the server is back.
func TestReconnect(t *testing.T) {
	d := newDemo(4)
	play(t, d)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	start := func(ln net.Listener) *httptest.Server {
		srv := httptest.NewUnstartedServer(dash.New(dash.Options{Gatherer: d.reg, Role: "api", Ready: ready}))
		srv.Listener.Close()
		srv.Listener = ln
		srv.Start()
		return srv
	}
	stop := func(srv *httptest.Server) {
		srv.CloseClientConnections()
		srv.Close()
	}
	srv := start(ln)
	ctx := newBrowser(t)
	if err := chromedp.Do(ctx, chromedp.Navigate(srv.URL+"/")); err != nil {
		t.Fatal(err)
	}
	const isLive = `document.querySelector("#live").classList.contains("on")`
	poll(t, ctx, isLive+` && Number(document.querySelector(".tile .main b").textContent) > 0`)
	stop(srv)
	poll(t, ctx, `document.querySelector("#banner").checkVisibility() && document.querySelector("#banner").textContent.includes("Connection lost")`)
	poll(t, ctx, `document.querySelector("#state").textContent === "no answer"`)
	if n := eval[string](t, ctx, `document.querySelector(".tile .main b").textContent`); n == "–" {
		t.Error("the last numbers are gone")
	}
	if ln, err = net.Listen("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	srv = start(ln)
	defer stop(srv)
	poll(t, ctx, isLive+` && !document.querySelector("#banner").checkVisibility()`)
	poll(t, ctx, `document.querySelector("#state").textContent === "ready"`)
	// Another process: its layout has been fetched, and its numbers go on.
	first := eval[string](t, ctx, `document.querySelector(".tile .main b").textContent`)
	poll(t, ctx, `document.querySelector(".tile .main b").textContent !== `+strconv.Quote(first))
}

// poll waits until a JavaScript expression is true.
func poll(t *testing.T, ctx context.Context, expr string) {
	t.Helper()
	if _, err := chromedp.Run(ctx, chromedp.Poll[any](expr, chromedp.WithPollingTimeout(20*time.Second))); err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
}

func eval[T any](t *testing.T, ctx context.Context, expr string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expr))
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return v
}
