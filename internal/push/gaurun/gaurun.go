// Package gaurun is Gaurun's HTTP surface on top of the push gateway, so that
// what was written for Gaurun 0.14 works without a change: POST /push, GET
// /stat/app and GET /stat/go, with its fields, its status codes and its texts.
//
// Mount the handler beside the gateway's own:
//
//	mux := http.NewServeMux()
//	mux.Handle("/v1/", gw.Handler())
//	mux.Handle("/", gaurun.Handler(gw, gaurun.Options{}))
//
// Three things differ, all of them for the better. The answer 200 comes after
// the notifications are on disk. Notifications that Gaurun drops in silence
// after its answer are listed in the answer as "rejected". And there are limits:
// 413 for a body that is larger than the gateway reads, 429 when its backlog is
// full, 503 when its store is away, 401 and 403 if the gateway asks for tokens.
//
// It keeps nothing but the counters of /stat/go, and delivers nothing itself.
// The handler may be used by several goroutines at once.
package gaurun

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/furima/furima/internal/push"
)

// Options say what Gaurun's configuration file says. The zero value is
// Gaurun's default.
type Options struct {
	// App is the app that notifications are for. Empty means the first one.
	App string
	// NotificationMax is how many notifications a request may hold. 0 means 100.
	NotificationMax int
	// AllowsEmptyMessage lets notifications without a message pass.
	AllowsEmptyMessage bool
	// Open lets everybody in, as Gaurun does, even if the gateway has tokens.
	Open bool
	// Version is what the Server header says. Empty means "0.14.0".
	Version string
}

type surface struct {
	gw *push.Gateway
	o  Options
}

// Handler returns Gaurun's routes.
func Handler(gw *push.Gateway, o Options) http.Handler {
	if o.NotificationMax == 0 {
		o.NotificationMax = 100
	}
	if o.Version == "" {
		o.Version = "0.14.0"
	}
	s := &surface{gw: gw, o: o}
	mux := http.NewServeMux()
	mux.HandleFunc("/push", s.servePush)
	mux.HandleFunc("/stat/app", s.serveStatApp)
	mux.Handle("/stat/go", &statGo{})
	return gw.Instrument(mux)
}

// answer is the body of every answer of /push.
type answer struct {
	Message  string           `json:"message"`
	Rejected []push.Rejection `json:"rejected,omitempty"`
}

func (s *surface) answer(w http.ResponseWriter, status int, a answer) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Server", "Gaurun "+s.o.Version)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(a) // the client may be gone
}

func (s *surface) servePush(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, message string) { s.answer(w, status, answer{Message: message}) }
	if !s.o.Open {
		if status, ok := s.gw.Admit(r, s.o.App); !ok {
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(status, "a bearer token of the gateway is required")
			return
		}
	}
	if r.Method != http.MethodPost {
		refuse(http.StatusBadRequest, "method must be POST")
		return
	}
	if r.ContentLength == 0 {
		refuse(http.StatusBadRequest, "request body is empty")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.gw.MaxRequestBytes()))
	if err != nil {
		if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
			refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("request body is larger than %d bytes", tooLarge.Limit))
			return
		}
		refuse(http.StatusInternalServerError, "failed to read request-body")
		return
	}
	var req struct {
		Notifications []notification `json:"notifications"`
	}
	switch err := json.Unmarshal(body, &req); {
	case err != nil:
		refuse(http.StatusBadRequest, "Request-body is malformed")
		return
	case len(req.Notifications) == 0:
		refuse(http.StatusBadRequest, "empty notification")
		return
	case len(req.Notifications) > s.o.NotificationMax:
		refuse(http.StatusBadRequest, fmt.Sprintf("number of notifications(%d) over limit(%d)", len(req.Notifications), s.o.NotificationMax))
		return
	}
	rejected, err := s.accept(r, req.Notifications)
	switch busy, isBusy := errors.AsType[*push.BusyError](err); {
	case isBusy:
		w.Header().Set("Retry-After", strconv.Itoa(int(busy.RetryAfter/time.Second)))
		refuse(http.StatusTooManyRequests, "the backlog is full, nothing was accepted")
	case err != nil:
		s.gw.LogUnavailable(r, w.Header().Get("X-Request-Id"), err)
		refuse(http.StatusServiceUnavailable, "the gateway cannot store notifications now, nothing was accepted")
	default:
		s.answer(w, http.StatusOK, answer{Message: "ok", Rejected: rejected})
	}
}

// accept hands what is right to the gateway and returns what is not.
func (s *surface) accept(r *http.Request, all []notification) ([]push.Rejection, error) {
	var rejected []push.Rejection
	req := push.Request{App: s.o.App, Partial: true}
	var index []int // of each notification of req in all
	for i := range all {
		reason := all[i].check(s.o.AllowsEmptyMessage)
		if reason == "" {
			var n push.Notification
			if n, reason = all[i].convert(); reason == "" {
				req.Notifications = append(req.Notifications, n)
				index = append(index, i)
			}
		}
		if reason != "" {
			rejected = append(rejected, push.Rejection{Index: i, Reason: reason})
		}
	}
	if len(req.Notifications) == 0 {
		return rejected, nil
	}
	accepted, err := s.gw.Accept(r.Context(), req)
	if err != nil {
		return nil, err
	}
	for _, x := range accepted.Rejected {
		rejected = append(rejected, push.Rejection{Index: index[x.Index], Reason: x.Reason})
	}
	slices.SortStableFunc(rejected, func(a, b push.Rejection) int { return a.Index - b.Index })
	return rejected, nil
}
