// Package gaurun is Gaurun on top of the push gateway, so that what was written
// for Gaurun 0.14 works without a change: its routes POST /push, GET /stat/app,
// GET /stat/go, GET /config/app and PUT /config/pushers with its fields, status
// codes and texts; its configuration file; its access log and error log.
//
// Mount the routes beside the gateway's own:
//
//	mux := http.NewServeMux()
//	mux.Handle("/v1/", gw.Handler())
//	mux.Handle("/", gaurun.New(gw, gaurun.Options{}))
//
// With a configuration file of Gaurun's:
//
//	file, warnings, err := gaurun.Load(path)
//	// file.Validate reports what is wrong with it
//	logs, err := gaurun.OpenLogs(file.LogOptions(os.Stdout, os.Stderr))
//	defer logs.Close()
//	gw, err := push.New(file.Config(), push.Deps{…, Observer: logs})
//	routes := gaurun.New(gw, file.Options(logs))
//
// Three things differ, all of them for the better. The answer 200 comes after
// the notifications are on disk. Notifications that Gaurun drops in silence
// after its answer are listed in the answer as "rejected". And there are limits:
// 413 for a body that is larger than the gateway reads, 429 when its backlog is
// full, 503 when its store is away, 401 and 403 if the gateway asks for tokens.
//
// It keeps nothing but the counters of /stat/go and what PUT /config/pushers has
// set, and delivers nothing itself. What is logged about a notification after
// its request (message, title and so on) is kept with it in the gateway's queue,
// only while there is a log to write. Everything may be used by several
// goroutines at once; a log has a goroutine only while it has lines to write,
// and Close waits for it.
package gaurun

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/furima/furima/internal/push"
)

// Options say what Gaurun's configuration file says. The zero value is
// Gaurun's default.
type Options struct {
	// App is the app that notifications are for. Empty means the first one.
	App string
	// NotificationMax is how many notifications a request may hold. 0 means 100;
	// below 0 no request is small enough, as with Gaurun's 0.
	NotificationMax int
	// AllowsEmptyMessage lets notifications without a message pass.
	AllowsEmptyMessage bool
	// Open lets everybody in, as Gaurun does, even if the gateway has tokens.
	Open bool
	// Strict refuses bodies with more than one JSON value, as Gaurun does when its
	// log level is debug; otherwise what follows the first value is not looked at.
	Strict bool
	// Version is what the Server header says. Empty means "0.14.0".
	Version string
	// Logs are Gaurun's logs; nil means none. The gateway must have them as its
	// Observer.
	Logs *Logs
	// Workers and PusherMax are Gaurun's core.workers and core.pusher_max, for
	// /stat/app. With 0 workers it shows what the gateway allows at once, until
	// PUT /config/pushers sets it.
	Workers, PusherMax int64
	// QueueMax is what /stat/app shows as queue_max. 0 means the gateway's
	// max_backlog. It limits nothing.
	QueueMax int64
	// File is what GET /config/app shows.
	File File
}

// Surface is Gaurun's routes.
type Surface struct {
	gw      *push.Gateway
	logs    *Logs
	handler http.Handler

	mu      sync.Mutex // guards what follows
	o       Options
	pushers *int64 // what PUT /config/pushers has set
}

// New returns Gaurun's routes on a gateway.
func New(gw *push.Gateway, o Options) *Surface {
	s := &Surface{gw: gw, logs: o.Logs, o: o.withDefaults()}
	mux := http.NewServeMux()
	mux.HandleFunc("/push", s.servePush)
	mux.HandleFunc("/stat/app", s.serveStatApp)
	mux.Handle("/stat/go", &statGo{})
	mux.HandleFunc("/config/app", s.serveConfigApp)
	mux.HandleFunc("/config/pushers", s.servePushers)
	s.handler = gw.Instrument(mux)
	return s
}

func (o Options) withDefaults() Options {
	if o.NotificationMax == 0 {
		o.NotificationMax = 100
	}
	if o.Version == "" {
		o.Version = "0.14.0"
	}
	return o
}

// ServeHTTP implements http.Handler.
func (s *Surface) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Update replaces the options, except for the logs. What PUT /config/pushers has
// set stays, as it does when the gateway reloads.
func (s *Surface) Update(o Options) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.o = o.withDefaults()
}

func (s *Surface) options() Options {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.o
}

func (s *Surface) pushersSet() *int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pushers
}

// admit answers requests without a good token, if the gateway asks for one.
func (s *Surface) admit(w http.ResponseWriter, r *http.Request) bool {
	o := s.options()
	if o.Open {
		return true
	}
	status, ok := s.gw.Admit(r, o.App)
	if !ok {
		w.Header().Set("WWW-Authenticate", "Bearer")
		s.answer(w, status, answer{Message: "a bearer token of the gateway is required"})
	}
	return ok
}

func (s *Surface) server() string { return "Gaurun " + s.options().Version }

// answer is the body of every answer of /push and /config/pushers.
type answer struct {
	Message  string           `json:"message"`
	Rejected []push.Rejection `json:"rejected,omitempty"`
}

func (s *Surface) answer(w http.ResponseWriter, status int, a answer) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Server", s.server())
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(a) // the client may be gone
}

func (s *Surface) servePush(w http.ResponseWriter, r *http.Request) {
	s.logs.request(r)
	if !s.admit(w, r) {
		return
	}
	o := s.options()
	refuse := func(status int, message string) { s.answer(w, status, answer{Message: message}) }
	if r.Method != http.MethodPost {
		refuse(http.StatusBadRequest, "method must be POST")
		return
	}
	if r.ContentLength == 0 {
		refuse(http.StatusBadRequest, "request body is empty")
		return
	}
	all, err := readNotifications(http.MaxBytesReader(w, r.Body, s.gw.MaxRequestBytes()), o.Strict)
	if err != nil {
		s.logs.fault(err.Error())
		tooLarge, isTooLarge := errors.AsType[*http.MaxBytesError](err)
		switch {
		case isTooLarge:
			refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("request body is larger than %d bytes", tooLarge.Limit))
		case errors.Is(err, errUnreadable):
			refuse(http.StatusInternalServerError, "failed to read request-body")
		default:
			refuse(http.StatusBadRequest, "Request-body is malformed")
		}
		return
	}
	if limit := max(o.NotificationMax, 0); len(all) == 0 || len(all) > limit {
		message := "empty notification"
		if len(all) > 0 {
			message = fmt.Sprintf("number of notifications(%d) over limit(%d)", len(all), limit)
		}
		s.logs.fault(message)
		refuse(http.StatusBadRequest, message)
		return
	}
	rejected, err := s.accept(r, o, all)
	switch busy, isBusy := errors.AsType[*push.BusyError](err); {
	case isBusy:
		w.Header().Set("Retry-After", strconv.Itoa(int(busy.RetryAfter/time.Second)))
		refuse(http.StatusTooManyRequests, "the backlog is full, nothing was accepted")
	case err != nil:
		s.gw.LogUnavailable(r, w.Header().Get("X-Request-Id"), err)
		w.Header().Set("Retry-After", "5")
		refuse(http.StatusServiceUnavailable, "the gateway cannot store notifications now, send them again")
	default:
		s.answer(w, http.StatusOK, answer{Message: "ok", Rejected: rejected})
	}
}

var errUnreadable = errors.New("the body cannot be read")

// readNotifications reads the body of POST /push. Gaurun reads the first JSON
// value of it and looks no further, unless its log level is debug: then it reads
// all first, and only then tells a body that breaks off from one that is wrong.
func readNotifications(body io.Reader, strict bool) ([]notification, error) {
	var req struct {
		Notifications []notification `json:"notifications"`
	}
	if !strict {
		err := json.NewDecoder(body).Decode(&req)
		return req.Notifications, err
	}
	text, err := io.ReadAll(body)
	switch _, tooLarge := errors.AsType[*http.MaxBytesError](err); {
	case tooLarge:
		return nil, err
	case err != nil:
		return nil, errUnreadable
	}
	err = json.Unmarshal(text, &req)
	return req.Notifications, err
}

// accept hands what is right to the gateway and returns what is not.
func (s *Surface) accept(r *http.Request, o Options, all []notification) ([]push.Rejection, error) {
	var rejected []push.Rejection
	req := push.Request{App: o.App, Partial: true}
	var index []int // of each notification of req in all
	for i := range all {
		reason := all[i].check(o.AllowsEmptyMessage)
		if reason != "" {
			s.logs.fault(reason)
		} else {
			var n push.Notification
			if n, reason = all[i].convert(); reason == "" {
				req.Notifications = append(req.Notifications, n)
				index = append(index, i)
			} else {
				s.logRefused(o, &all[i], reason)
			}
		}
		if reason != "" {
			rejected = append(rejected, push.Rejection{Index: i, Reason: reason})
		}
	}
	if len(req.Notifications) == 0 {
		return rejected, nil
	}
	accepted, err := s.submit(r, o, all, req, index)
	if err != nil {
		return nil, err
	}
	for _, x := range accepted.Rejected {
		rejected = append(rejected, push.Rejection{Index: index[x.Index], Reason: x.Reason})
	}
	slices.SortStableFunc(rejected, func(a, b push.Rejection) int { return a.Index - b.Index })
	return rejected, nil
}

// submit has the gateway accept the request, and logs what of it was.
func (s *Surface) submit(r *http.Request, o Options, all []notification, req push.Request, index []int) (push.Accepted, error) {
	if s.logs == nil {
		return s.gw.Accept(r.Context(), req)
	}
	pushes := 0
	for i := range req.Notifications {
		pushes += len(req.Notifications[i].Tokens)
	}
	first := s.logs.accepting(pushes)
	texts := make([]logText, len(req.Notifications))
	req.Notes = make([]string, len(req.Notifications))
	for i := range req.Notifications {
		texts[i] = logTextOf(&all[index[i]])
		req.Notes[i] = texts[i].note(first)
	}
	accepted, err := s.gw.Accept(r.Context(), req)
	if err != nil {
		s.logs.accepted(first, nil)
		s.logs.fault(err.Error())
		return accepted, err
	}
	taken := make([]entry, 0, pushes)
	wrong := accepted.Rejected // in the order of the notifications
	for i := range req.Notifications {
		n := &req.Notifications[i]
		if len(wrong) > 0 && wrong[0].Index == i {
			s.logRefused(o, &all[index[i]], wrong[0].Reason)
			wrong = wrong[1:]
			continue
		}
		for _, token := range n.Tokens {
			taken = append(taken, entry{platform: n.Platform, token: token, text: texts[i]})
		}
	}
	s.logs.accepted(first, taken)
	return accepted, nil
}

// logRefused logs a notification that the gateway does not take: Gaurun would
// have accepted it and then failed to send it, or found its platform disabled.
func (s *Surface) logRefused(o Options, n *notification, reason string) {
	if s.logs == nil {
		return
	}
	platform := push.APNS
	if n.Platform == android {
		platform = push.FCM
	}
	kind := failedPush
	if _, enabled := s.gw.Stats(o.App).Platforms[platform]; !enabled {
		kind, reason = disabledPush, ""
	}
	text := logTextOf(n)
	pushes := make([]entry, len(n.Tokens))
	for i, token := range n.Tokens {
		pushes[i] = entry{platform: platform, token: token, err: reason, text: text}
	}
	s.logs.refused(kind, pushes)
}
