// Package dash is the operator's page: it draws what a metrics registry holds,
// live, in a browser.
//
// Make a handler with New and put it at "/" of the ops listener:
//
//	ops.Handle("/", dash.New(dash.Options{
//		Gatherer: registry,
//		Role:     "api",
//		Version:  version,
//		Ready:    d.Health().Report,
//	}))
//
// While somebody looks, the registry is gathered once a second, whatever the
// number of viewers, and the newest point of every line goes out as a
// server-sent event. All arithmetic (rates of counters, quantiles of
// histograms) is done here; the script in the page draws. The last five
// minutes that somebody looked at are kept for the next viewer, for two
// minutes; a browser keeps ten minutes. When nobody looks, nothing is
// gathered, nothing runs and, soon, nothing is kept.
//
// Without JavaScript the page is a table that reloads itself. It asks no other
// host for anything. It asks nobody for a password either: that is the ops
// listener's affair.
//
// It does not store metrics, and it is no replacement for Prometheus: what
// happened while nobody looked it cannot show.
//
// The handler may be used by any number of goroutines.
package dash

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/furima/furima/internal/daemon"
)

const (
	// DefaultMaxViewers is how many live pages are served at a time.
	DefaultMaxViewers = 16

	tick = time.Second
	// fresh is how long a sample serves whoever asks next.
	fresh = tick * 9 / 10
	// keep is how long what has been recorded outlives its last viewer.
	keep = 2 * time.Minute
	// writeTimeout ends a stream whose reader does not read.
	writeTimeout = 10 * time.Second
)

// Link is a link in the page's header.
type Link struct{ Name, URL string }

// Options are what New needs.
type Options struct {
	// Gatherer is what is drawn.
	Gatherer prometheus.Gatherer
	// Role is the name in the header: "api", "push", "warm", "edge" or "dev".
	Role    string
	Version string
	// Ready is shown in the header, usually daemon.Health's Report. Optional.
	Ready func(ctx context.Context) daemon.Report
	// Links lead to other pages of the ops listener, such as /metrics.
	Links []Link
	// MaxViewers bounds the live pages; further ones are told to come back.
	// 0 means DefaultMaxViewers.
	MaxViewers int
}

//go:embed page.html panels.html app.css app.js icon.svg
var assets embed.FS

// page is the handler.
type page struct {
	o    Options
	tmpl *template.Template

	mu      sync.Mutex
	rec     *record
	last    frame
	viewers int
	forget  *time.Timer // drops rec some time after the last look
}

// frame is a sample as every viewer gets it.
type frame struct {
	at     time.Time
	layout *layout
	event  []byte // the server-sent event
}

// New returns the page's handler. It answers "/" and paths under "/dash/".
func New(o Options) http.Handler {
	if o.MaxViewers <= 0 {
		o.MaxViewers = DefaultMaxViewers
	}
	p := &page{o: o, tmpl: template.Must(template.ParseFS(assets, "*.html"))}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.servePage)
	mux.HandleFunc("GET /dash/panels", p.servePanels)
	mux.HandleFunc("GET /dash/events", p.serveEvents)
	if o.Ready != nil {
		mux.HandleFunc("GET /dash/state", p.serveState)
	}
	for _, name := range []string{"app.css", "app.js", "icon.svg"} {
		mux.HandleFunc("GET /dash/"+name, serveAsset(name))
	}
	return secure(mux)
}

// secure forbids the page everything but itself.
func secure(h http.Handler) http.Handler {
	const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", csp)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cache-Control", "no-cache")
		h.ServeHTTP(w, r)
	})
}

func serveAsset(name string) http.HandlerFunc {
	b, err := fs.ReadFile(assets, name)
	if err != nil {
		panic(err) // it is embedded
	}
	return func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(b))
	}
}

// view is what the templates get.
type view struct {
	Role, Version string
	Links         []Link
	State         *state // nil when nobody knows
	Layout        *layout
}

// state is what the daemon's report comes to: a text and a class that colours
// it.
type state struct {
	Text  string `json:"text"`
	Class string `json:"class"` // "good", "wait" or "bad"
}

func stateOf(r daemon.Report) state {
	var failing, degraded []string
	for _, c := range r.Checks {
		switch c.State {
		case daemon.CheckOK:
		case daemon.CheckDegraded:
			degraded = append(degraded, c.Name)
		default:
			failing = append(failing, c.Name)
		}
	}
	switch {
	case len(failing) > 0:
		return state{"failing: " + strings.Join(failing, ", "), "bad"}
	case r.Ready && len(degraded) > 0:
		return state{"ready, degraded: " + strings.Join(degraded, ", "), "wait"}
	case r.Ready:
		return state{"ready", "good"}
	}
	return state{r.Phase, "wait"}
}

// serveState is apart from the events, because a check that hangs must not
// hold them up: then the page is needed most.
func (p *page) serveState(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(stateOf(p.o.Ready(r.Context()))) // the reader has gone
}

func (p *page) servePage(w http.ResponseWriter, r *http.Request)   { p.render(w, r, "page.html") }
func (p *page) servePanels(w http.ResponseWriter, r *http.Request) { p.render(w, r, "panels.html") }

func (p *page) render(w http.ResponseWriter, r *http.Request, name string) {
	v := view{Role: p.o.Role, Version: p.o.Version, Links: p.o.Links, Layout: p.sample().layout}
	if p.o.Ready != nil && name == "page.html" {
		s := stateOf(p.o.Ready(r.Context()))
		v.State = &s
	}
	var buf bytes.Buffer
	if err := p.tmpl.ExecuteTemplate(&buf, name, v); err != nil {
		http.Error(w, "render the page: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(buf.Bytes()) // the reader has gone
}

// errTooMany answers a viewer beyond MaxViewers.
var errTooMany = errors.New("too many pages are open; close one")

// enter counts a viewer in, leave out.
func (p *page) enter() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.viewers >= p.o.MaxViewers {
		return errTooMany
	}
	p.viewers++
	return nil
}

func (p *page) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.viewers--
	p.forgetLater()
}

// forgetLater drops what has been recorded once nobody has looked for a while.
func (p *page) forgetLater() {
	if p.forget != nil {
		p.forget.Stop()
	}
	p.forget = time.AfterFunc(keep, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.viewers == 0 && time.Since(p.last.at) >= keep-tick {
			p.rec, p.last = nil, frame{}
		}
	})
}

// serveEvents streams a "history" event and then a "frame" event a second. The
// viewers' own goroutines take the samples: whoever comes first in a second
// gathers, the others share the result.
func (p *page) serveEvents(w http.ResponseWriter, r *http.Request) {
	if err := p.enter(); err != nil {
		w.Header().Set("Retry-After", "10")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer p.leave()
	ctx, rc := r.Context(), http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx passes each event on at once
	send := func(b []byte) bool {
		if err := rc.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return false
		}
		if _, err := w.Write(b); err != nil {
			return false
		}
		return rc.Flush() == nil
	}

	f := p.sample()
	if !send(p.history()) {
		return
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for send(f.event) {
		// Everybody wakes at the whole second, so that nobody asks between.
		timer.Reset(time.Until(time.Now().Truncate(tick).Add(tick)))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		f = p.sample()
	}
}

// sample returns the newest sample, which it takes if there is none of this
// second.
func (p *page) sample() frame {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.last.layout != nil && now.Sub(p.last.at) < fresh {
		return p.last
	}
	if p.rec == nil {
		p.rec = newRecord()
	}
	if p.viewers == 0 {
		p.forgetLater()
	}
	// A collector that fails leaves its metrics out; the rest is drawn.
	mfs, _ := p.o.Gatherer.Gather()
	p.rec.add(newSnapshot(now, mfs))
	f := frame{at: now, layout: p.rec.layout}
	f.event = p.appendEvent(nil, f)
	p.last = f
	return f
}

func (p *page) appendEvent(b []byte, f frame) []byte {
	b = append(b, "event: frame\ndata: {\"boot\":"...)
	b = strconv.AppendQuote(b, p.rec.boot)
	b = append(b, `,"layout":`...)
	b = strconv.AppendInt(b, int64(f.layout.Version), 10)
	b = append(b, `,"t":`...)
	b = strconv.AppendInt(b, f.at.UnixMilli(), 10)
	b = append(b, `,"s":`...)
	b = p.rec.appendFrame(b)
	return append(b, "}\n\n"...)
}

// history is the event that begins a stream.
func (p *page) history() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	// A browser that loses the stream asks again after a second.
	b := append([]byte(nil), "retry: 1000\nevent: history\ndata: {\"boot\":"...)
	b = strconv.AppendQuote(b, p.rec.boot)
	b = append(b, `,"t":`...)
	b = p.rec.appendTimes(b)
	b = append(b, `,"s":`...)
	b = p.rec.appendHistory(b)
	return append(b, "}\n\n"...)
}
