package sandbox

import (
	"errors"
	"net/http"
	"time"
)

// Control returns the stand-in's own API, for tests of whole programs:
//
//	GET    /sandbox/google/counts   the answers given, requests without one, connections
//	POST   /sandbox/google/faults   a Fault; {"latency":"50ms"}; {"tokens":true,…} for a Fault of the token endpoint
//	DELETE /sandbox/google/faults   back to normal
//	POST   /sandbox/google/expire   access tokens that were issued are invalid
//
// Phones and deliveries are in Apple's Control. It is for a listener that only
// the developer reaches. Requests that a browser sends from another site are
// refused.
func (g *Google) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sandbox/google/counts", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, struct {
			Answers     map[string]int64 `json:"answers"`
			Waiting     int              `json:"waiting"`
			Connections int              `json:"connections"`
		}{g.Answers(), g.Waiting(), g.Connections()})
	})
	mux.HandleFunc("POST /sandbox/google/faults", g.serveFault)
	mux.HandleFunc("DELETE /sandbox/google/faults", func(w http.ResponseWriter, _ *http.Request) {
		g.Recover()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /sandbox/google/expire", func(w http.ResponseWriter, _ *http.Request) {
		g.ExpireTokens()
		w.WriteHeader(http.StatusNoContent)
	})
	return http.NewCrossOriginProtection().Handler(mux)
}

func (g *Google) serveFault(w http.ResponseWriter, r *http.Request) {
	var f struct {
		Fault
		Latency *Duration `json:"latency"`
		Tokens  bool      `json:"tokens"`
	}
	err := readJSON(w, r, &f)
	if err == nil {
		err = f.validate()
	}
	if err == nil && f.Latency == nil && !f.acts() {
		err = errors.New("give status and reason, hang, reset, goaway, drop, or latency")
	}
	if err != nil {
		refuse(w, err)
		return
	}
	if f.Latency != nil {
		g.SetLatency(time.Duration(*f.Latency))
	}
	switch {
	case !f.acts():
	case f.Tokens:
		g.FailTokens(f.Fault)
	default:
		g.Fail(f.Fault)
	}
	w.WriteHeader(http.StatusNoContent)
}
