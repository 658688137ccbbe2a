package sandbox

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed phones
var assets embed.FS

// pageTemplate is parsed once; an error here is one of the build.
var pageTemplate = template.Must(template.ParseFS(assets, "phones/index.html"))

// exampleToken is a phone for the example that the page shows.
const exampleToken = "00f1000000000000000000000000000000000000000000000000000000f1f1f1"

// recent is how many deliveries a page that opens is given.
const recent = 200

// PhonesPage returns a page that draws the phones and what they receive, live.
// Mount it below a path that ends in a slash, without its prefix:
//
//	mux.Handle("/phones/", http.StripPrefix("/phones", phones.PhonesPage()))
//
// It loads nothing from anywhere else. Streams to open pages end with their
// requests' contexts, so a server that stops must end those.
func (p *Phones) PhonesPage() http.Handler {
	files, err := fs.Sub(assets, "phones")
	if err != nil {
		panic(err) // the directory is embedded
	}
	static := http.FileServerFS(files)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.serveIndex)
	mux.Handle("GET /phones.css", static)
	mux.Handle("GET /phones.js", static)
	mux.HandleFunc("GET /events", p.serveEvents)
	p.handlePhones(mux, "/")
	guarded := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		guarded.ServeHTTP(w, r)
	})
}

func (p *Phones) serveIndex(w http.ResponseWriter, _ *http.Request) {
	body, _ := json.MarshalIndent(struct {
		App           string `json:"app"`
		Notifications []any  `json:"notifications"`
	}{p.o.App, []any{struct {
		Platform string   `json:"platform"`
		Tokens   []string `json:"tokens"`
		Title    string   `json:"title"`
		Body     string   `json:"body"`
	}{"apns", []string{exampleToken}, "Sold!", "Your film camera has a new owner."}}}, "", "  ")
	var page bytes.Buffer
	err := pageTemplate.Execute(&page, struct {
		App, Icon, Example string
	}{
		App:     p.o.AppName,
		Icon:    strings.ToLower(string([]rune(p.o.AppName)[:1])),
		Example: fmt.Sprintf("curl %s/v1/push -d '%s'", strings.TrimSuffix(p.o.PushURL, "/"), body),
	})
	if err != nil {
		http.Error(w, "the page cannot be drawn", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(page.Bytes()) // the client may be gone
}

// serveEvents streams deliveries and which phones have no app any more as
// server-sent events, until the client or the server ends.
func (p *Phones) serveEvents(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	// The stream outlives the server's time-out for writing.
	_ = rc.SetWriteDeadline(time.Time{})
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")

	p.mu.Lock()
	after, revision := p.last-recent, int64(-1)
	if id, err := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64); err == nil && id <= p.last {
		after = max(after, id)
	}
	p.mu.Unlock()
	beat := time.NewTicker(20 * time.Second) // keeps proxies from closing a quiet stream
	defer beat.Stop()
	var out bytes.Buffer
	event(&out, "hello", "", p.born)
	for {
		p.mu.Lock()
		ds, changed := p.since(after, 100), p.wait()
		rev := p.revision
		p.mu.Unlock()
		show(ds)
		if rev != revision {
			revision = rev
			event(&out, "gone", "", p.Gone())
		}
		for _, d := range ds {
			event(&out, "delivery", strconv.FormatInt(d.Seq, 10), d)
			after = d.Seq
		}
		if len(ds) == 0 {
			event(&out, "ready", "", true)
		}
		if _, err := out.WriteTo(w); err != nil {
			return
		}
		if rc.Flush() != nil {
			return
		}
		if len(ds) == 0 && !waitFor(r.Context(), changed, beat.C) {
			return
		}
	}
}

// waitFor waits for something new or the next beat, and reports whether ctx
// lasted.
func waitFor(ctx context.Context, changed <-chan struct{}, beat <-chan time.Time) bool {
	select {
	case <-changed:
	case <-beat:
	case <-ctx.Done():
		return false
	}
	return true
}

func event(out *bytes.Buffer, name, id string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		return // a payload is checked to be JSON when it arrives
	}
	if id != "" {
		fmt.Fprintf(out, "id: %s\n", id)
	}
	fmt.Fprintf(out, "event: %s\ndata: %s\n\n", name, data)
}
