package push

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/furima/furima/client"
)

// Handler returns the native surface: POST /v1/push, GET and DELETE
// /v1/push/{id}, GET /v1/feedback.
func (g *Gateway) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/push", g.servePush)
	mux.HandleFunc("GET /v1/push/{id}", g.serveStatus)
	mux.HandleFunc("DELETE /v1/push/{id}", g.serveCancel)
	mux.HandleFunc("GET /v1/feedback", g.serveFeedback)
	for _, path := range []string{"/v1/push", "/v1/push/{id}", "/v1/feedback"} {
		mux.HandleFunc(path, serveMethodNotAllowed)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, problem(http.StatusNotFound, client.NotFound, "not_found", "no such path"))
	})
	return g.Instrument(mux)
}

func serveMethodNotAllowed(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/v1/push":
		w.Header().Set("Allow", http.MethodPost)
	case "/v1/feedback":
		w.Header().Set("Allow", http.MethodGet)
	default:
		w.Header().Set("Allow", "GET, DELETE")
	}
	writeProblem(w, problem(http.StatusMethodNotAllowed, client.Invalid, "method_not_allowed", ""))
}

// slowRequest is from when on a request is worth a line in the log although all
// went well.
const slowRequest = time.Second

// Instrument wraps a surface of the gateway: it gives every request an id, logs
// and counts it, and refuses what a browser sends on behalf of another site.
//
// A POST that was taken in good time is logged at level debug: there can be tens
// of thousands in a second, and writing their lines would cost more than taking
// them. Metrics count them, and their status can be asked for.
func (g *Gateway) Instrument(next http.Handler) http.Handler {
	next = http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		id := r.Header.Get("X-Request-Id")
		if id == "" || len(id) > 64 || !isPrintable(id) {
			id = strconv.FormatUint(rand.Uint64(), 36)
		}
		w.Header().Set("X-Request-Id", id)
		sw := &statusWriter{ResponseWriter: w}
		next.ServeHTTP(sw, r)
		took := time.Since(start)
		route := r.Pattern
		if route == "" || route == "/" {
			route = "other"
		}
		status := sw.status
		if status == 0 {
			status = http.StatusOK
		}
		g.metrics.request(route, status, took)
		level := slog.LevelInfo
		if r.Method == http.MethodPost && status < http.StatusMultipleChoices && took < slowRequest {
			level = slog.LevelDebug
		}
		if !g.logger.Enabled(r.Context(), level) {
			return
		}
		g.logger.LogAttrs(r.Context(), level, "request",
			slog.String("method", r.Method), slog.String("route", route), slog.Int("status", status),
			slog.Int64("bytes", sw.bytes), slog.Float64("duration_ms", float64(took.Microseconds())/1000),
			slog.String("request_id", id))
	})
}

// statusWriter remembers what was answered.
type statusWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Admit reports whether the request's bearer token may use the app (the first
// one if it is empty), or whether no token is needed. status is 401 or 403
// otherwise.
func (g *Gateway) Admit(r *http.Request, app string) (status int, ok bool) {
	a, known := g.current().guard.admit(r)
	if !known {
		return http.StatusUnauthorized, false
	}
	if first := g.app(""); app == "" && first != nil {
		app = first.name
	}
	if !a.allows(app) {
		return http.StatusForbidden, false
	}
	return 0, true
}

// MaxRequestBytes is how large a body may be.
func (g *Gateway) MaxRequestBytes() int64 { return g.config().MaxRequestBytes }

// admit answers requests without a good token, and returns what the others may.
func (g *Gateway) admit(w http.ResponseWriter, r *http.Request) (access, bool) {
	a, ok := g.current().guard.admit(r)
	if !ok {
		writeProblem(w, problem(http.StatusUnauthorized, client.Unauthenticated, "unauthenticated", "send a token of this gateway as Authorization: Bearer"))
	}
	return a, ok
}

func (g *Gateway) servePush(w http.ResponseWriter, r *http.Request) {
	a, ok := g.admit(w, r)
	if !ok {
		return
	}
	read, p := readBody(w, r, g.config().MaxRequestBytes)
	if p != nil {
		writeProblem(w, p)
		return
	}
	defer read.release()
	req, p := read.decode()
	if req.Key = r.Header.Get("Idempotency-Key"); req.Key != "" {
		req.Fingerprint = sha256.Sum256(read.body.Bytes())
	}
	if p != nil {
		writeProblem(w, p)
		return
	}
	if p := g.authorize(a, &req); p != nil {
		writeProblem(w, p)
		return
	}
	for i := range req.Notifications {
		if len(req.Notifications[i].Tokens) > MaxTokens {
			at := "/notifications/" + strconv.Itoa(i)
			if req.single {
				at = ""
			}
			writeProblem(w, invalid(FieldError{Pointer: at + "/tokens", Message: "must be at most 1000; make more notifications of the others"}))
			return
		}
	}
	accepted, err := g.Accept(r.Context(), req)
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	writeAccepted(w, accepted)
}

// authorize settles which app the request is for, and whether it may be.
func (g *Gateway) authorize(a access, req *Request) *client.Problem {
	if req.App == "" && !a.all && len(a.apps) == 1 {
		req.App = a.apps[0]
	}
	if first := g.app(""); req.App == "" && first != nil {
		req.App = first.name
	}
	if !a.allows(req.App) {
		return problem(http.StatusForbidden, client.Forbidden, "forbidden", "the token is not for this app")
	}
	return nil
}

// refuse answers with what an error of the gateway means.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if e, ok := errors.AsType[*InvalidError](err); ok {
		writeProblem(w, invalid(e.Fields...))
		return
	}
	if e, ok := errors.AsType[*BusyError](err); ok {
		p := problem(http.StatusTooManyRequests, client.RateLimited, "backlog_full", "as much waits as may wait; nothing of this request was taken")
		p.RetryAfter = e.RetryAfter
		writeProblem(w, p)
		return
	}
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		writeProblem(w, problem(statusClientGone, client.Unavailable, "client_gone", ""))
		return
	}
	// What is left is the database, or the gateway's stop. Nothing was taken, or
	// nobody can tell; the caller has to ask again.
	g.LogUnavailable(r, w.Header().Get("X-Request-Id"), err)
	p := problem(http.StatusServiceUnavailable, client.Unavailable, "unavailable", "the gateway's store does not answer; try again")
	p.RetryAfter = busyRetryAfter
	writeProblem(w, p)
}

// LogUnavailable logs why a surface answers that the gateway cannot take a
// request now.
func (g *Gateway) LogUnavailable(r *http.Request, requestID string, err error) {
	g.logger.WarnContext(r.Context(), "unavailable", "request_id", requestID, "err", err)
}

// statusClientGone is nginx's status for a client that did not wait.
const statusClientGone = 499

func (g *Gateway) serveStatus(w http.ResponseWriter, r *http.Request) {
	if a, ok := g.admit(w, r); ok {
		g.answerStatus(w, r, a, r.PathValue("id"))
	}
}

func (g *Gateway) answerStatus(w http.ResponseWriter, r *http.Request, a access, id string) {
	status, err := g.Status(r.Context(), id)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && !a.allows(status.App):
		writeProblem(w, problem(http.StatusNotFound, client.NotFound, "not_found", "no such request, or it ended long ago"))
	case err != nil:
		g.refuse(w, r, err)
	default:
		writeJSON(w, http.StatusOK, status)
	}
}

func (g *Gateway) serveCancel(w http.ResponseWriter, r *http.Request) {
	a, ok := g.admit(w, r)
	if !ok {
		return
	}
	id := r.PathValue("id")
	status, err := g.Status(r.Context(), id)
	if err == nil && a.allows(status.App) {
		err = g.Cancel(r.Context(), id)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		g.refuse(w, r, err)
		return
	}
	g.answerStatus(w, r, a, id)
}

// Limits of a page of feedback.
const (
	feedbackPage    = 1000
	maxFeedbackPage = 10_000
)

func (g *Gateway) serveFeedback(w http.ResponseWriter, r *http.Request) {
	a, ok := g.admit(w, r)
	if !ok {
		return
	}
	q := r.URL.Query()
	if name := q.Get("app"); name != "" {
		if !a.allows(name) || g.app(name) == nil {
			writeProblem(w, problem(http.StatusNotFound, client.NotFound, "not_found", "no such app"))
			return
		}
		a = access{apps: []string{name}}
	}
	after, ok := decodeCursor(q.Get("cursor"))
	if !ok {
		writeProblem(w, problem(http.StatusBadRequest, client.Invalid, "invalid_cursor", "the cursor is not from this list"))
		return
	}
	limit := feedbackPage
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			writeProblem(w, invalid(FieldError{Pointer: "query/limit", Message: "must be a number from 1 on"}))
			return
		}
		limit = min(n, maxFeedbackPage)
	}
	tokens, next, err := g.results.feedback(r.Context(), a, after, limit)
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	page := client.FeedbackPage{Tokens: tokens, NextCursor: q.Get("cursor")}
	if next != after {
		page.NextCursor = encodeCursor(next)
	}
	writeJSON(w, http.StatusOK, page)
}
