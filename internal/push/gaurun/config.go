package gaurun

import (
	"net/http"
	"net/url"
	"strconv"
)

// servePushers answers PUT /config/pushers?max=N, which bounds how many
// notifications are under way at once, until the next start. 0 is back to the
// configuration.
func (s *Surface) servePushers(w http.ResponseWriter, r *http.Request) {
	if !s.admit(w, r) {
		return
	}
	refuse := func(message string) { s.answer(w, http.StatusBadRequest, answer{Message: message}) }
	if r.Method != http.MethodPut {
		refuse("method must be PUT")
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		s.logs.fault(err.Error())
		refuse("url parameters could not be parsed")
		return
	}
	n, err := strconv.ParseInt(query.Get("max"), 0, 64)
	if err != nil || n < 0 {
		refuse("malformed value")
		return
	}
	s.mu.Lock()
	s.pushers = &n
	app, workers := s.o.App, s.o.Workers
	s.mu.Unlock()
	s.gw.SetMaxInFlight(app, inFlight(n, workers))
	s.answer(w, http.StatusOK, answer{Message: "ok"})
}

// serveConfigApp answers GET /config/app with the configuration in force.
func (s *Surface) serveConfigApp(w http.ResponseWriter, r *http.Request) {
	if !s.admit(w, r) {
		return
	}
	f := s.options().File
	if n := s.pushersSet(); n != nil {
		f.Core.PusherMax = *n
	}
	body, err := f.encode()
	if err != nil {
		s.logs.fault("Response-body could not be created")
		http.Error(w, "Response-body could not be created", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Server", s.server())
	_, _ = w.Write(body) // the client may be gone
}
