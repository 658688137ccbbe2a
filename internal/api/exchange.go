package api

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/furima/furima/client"
)

// exchange is one request and its answer, as the access log and the metrics see
// it. It is the ResponseWriter that every handler gets.
type exchange struct {
	http.ResponseWriter
	req       *http.Request
	requestID string
	status    int
	bytes     int64
	wrote     bool
	broken    bool // the client does not take the answer any more
	gone      bool // it went away before there was one
	declined  int  // status that the mux wanted to give by itself
	ours      bool // what is written now does not come from the mux
	code      client.Code
	user      string        // id of the user, once known
	capture   *bytes.Buffer // gets a copy of the answer, unless nil
}

// exchangeOf returns the exchange behind a writer. Handlers get it as their writer.
func exchangeOf(w http.ResponseWriter) *exchange {
	x, ok := w.(*exchange)
	if !ok {
		panic("api: handler outside of API.Handler")
	}
	return x
}

// WriteHeader notes the status. An error by which the mux answers on its own
// (no such route, another method) is held back: it becomes a problem document.
func (x *exchange) WriteHeader(status int) {
	if x.wrote {
		return
	}
	if x.req.Pattern == "" && !x.ours && status >= 400 {
		x.declined = status
		return
	}
	if status >= 200 { // not an interim one
		x.wrote = true
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write never fails: when the client has gone away nobody is left to be told,
// and code that makes an error of it would only disturb the log.
func (x *exchange) Write(b []byte) (int, error) {
	if x.declined != 0 {
		return len(b), nil
	}
	if !x.wrote {
		x.WriteHeader(http.StatusOK)
	}
	if x.capture != nil && x.capture.Len() <= maxAnswer {
		x.capture.Write(b)
	}
	if !x.broken {
		n, err := x.ResponseWriter.Write(b)
		x.bytes += int64(n)
		x.broken = err != nil
	}
	return len(b), nil
}

// ReadFrom lets the server send a file without copying it.
func (x *exchange) ReadFrom(r io.Reader) (int64, error) {
	if !x.wrote {
		x.WriteHeader(http.StatusOK)
	}
	n, err := io.Copy(x.ResponseWriter, r)
	x.bytes += n
	return n, err
}

// Unwrap is for http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// Header values that all answers share. The slices are full, so that whoever
// adds a value gets a copy.
var (
	headerNoSniff = []string{"nosniff"}
	headerPolicy  = []string{"default-src 'none'; frame-ancestors 'none'"}
)

// Handler returns the whole HTTP surface. It needs a server with header, read
// and write timeouts around it.
func (a *API) Handler() http.Handler { return http.HandlerFunc(a.serve) }

func (a *API) serve(w http.ResponseWriter, r *http.Request) {
	start := a.now()
	x := &exchange{ResponseWriter: w, req: r, requestID: requestID(r.Header)}
	h := w.Header()
	h["X-Request-Id"] = []string{x.requestID}
	h["X-Content-Type-Options"] = headerNoSniff
	h["Content-Security-Policy"] = headerPolicy
	defer a.finish(x, start) // also when what follows panics
	defer func() {
		if v := recover(); v != nil {
			a.recovered(x, v)
		}
	}()
	a.mux.ServeHTTP(x, r)
	if x.declined != 0 && !x.wrote {
		a.refuse(x, r, declined(x))
	}
}

// declined turns the mux's own refusal into ours.
func declined(x *exchange) *refusal {
	switch x.declined {
	case http.StatusMethodNotAllowed:
		return refuse(kindMethod, "the path takes %s", x.Header().Get("Allow"))
	case http.StatusNotFound:
		return refuse(kindNotFound, "no such route")
	}
	return refuse(kindMalformed, "the request line is not understood")
}

// recovered answers for a handler that has panicked.
func (a *API) recovered(x *exchange, v any) {
	if v == http.ErrAbortHandler {
		x.gone = true
		panic(v) // the server closes the connection and says nothing
	}
	a.metrics.panics.Inc()
	a.log.LogAttrs(x.req.Context(), slog.LevelError, "panic",
		slog.String("request_id", x.requestID), slog.String("route", x.req.Pattern),
		slog.String("value", brief(v)), slog.String("stack", string(debug.Stack())))
	if x.wrote {
		// The client must not take what it has for the whole answer.
		x.code = client.Internal
		x.status = http.StatusInternalServerError
		panic(http.ErrAbortHandler)
	}
	// The cause is logged already, with its stack.
	e := &refusal{kind: kindInternal}
	x.code = e.kind.code
	x.writeRefusal(e)
}

func brief(v any) string {
	s := fmt.Sprint(v)
	if len(s) > 256 {
		s = s[:256]
	}
	return s
}

// finish counts the exchange and writes its line into the access log.
func (a *API) finish(x *exchange, start time.Time) {
	end := a.now()
	took := end.Sub(start)
	switch {
	case x.gone:
		x.status = statusClientGone
	case x.status == 0:
		x.status = http.StatusOK // nothing was written: the server says so
	}
	a.metrics.observe(x.req.Pattern, x.status, took)
	ctx := x.req.Context()
	if !a.log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	room := [9]slog.Attr{
		slog.String("method", x.method()),
		slog.String("route", x.req.Pattern),
		slog.Int("status", x.status),
		slog.Int64("bytes", x.bytes),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000),
		slog.String("request_id", x.requestID),
	}
	attrs := room[:6]
	if x.code != "" {
		attrs = append(attrs, slog.String("code", string(x.code)))
	}
	if v := x.Header()["Cache-Status"]; len(v) > 0 {
		attrs = append(attrs, slog.String("cache", cacheOutcome(v[0])))
	}
	if x.user != "" {
		attrs = append(attrs, slog.String("user_id", x.user))
	}
	// Past the logger: it would ask for the time and for the caller's line once more.
	r := slog.NewRecord(end, slog.LevelInfo, "request", 0)
	r.AddAttrs(attrs...)
	_ = a.log.Handler().Handle(ctx, r) // as the logger, which has nobody to tell either
}

// method is the request's method, unless the client made one up.
func (x *exchange) method() string {
	switch m := x.req.Method; m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

// cacheOutcome is a Cache-Status header in a word.
func cacheOutcome(status string) string {
	switch {
	case strings.Contains(status, "fwd=miss"):
		return "miss"
	case strings.Contains(status, "fwd=stale"):
		return "stale"
	case strings.Contains(status, "fwd=request"):
		return "refresh"
	}
	return "hit"
}

const requestIDAlphabet = "0123456789abcdefghijklmnopqrstuv"

// requestID takes the id that the edge gave, if it looks like one, so that both
// logs tell of the same request; else it makes one.
func requestID(h http.Header) string {
	if v := h["X-Request-Id"]; len(v) == 1 && plausibleID(v[0]) {
		return v[0]
	}
	var b [20]byte // 100 bits: ids of a lifetime do not meet
	for i := 0; i < len(b); i += 10 {
		for j, n := 0, rand.Uint64(); j < 10; j++ {
			b[i+j] = requestIDAlphabet[n&31]
			n >>= 5
		}
	}
	return string(b[:])
}

func plausibleID(s string) bool {
	if len(s) < 8 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}
