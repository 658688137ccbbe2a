package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Control returns the stand-in's own API, for tests of whole programs:
//
//	GET    /sandbox/deliveries?after=N&limit=N   what arrived
//	GET    /sandbox/counts                       totals, the answers given, connections
//	POST   /sandbox/faults                       a Fault, {"latency":"50ms"}, {"manners":{…}}, or several of them
//	DELETE /sandbox/faults                       back to normal
//	POST   /sandbox/uninstall, /sandbox/install  {"token":"…"}
//	POST   /sandbox/devices                      {"token":"…","label":"…"}
//
// A Fault is what requests meet: an answer, {"status":503,"reason":"…"}, or one of
// "hang", "refuse", "reset", "goaway", "drop" and "silent", with "count", "skip",
// "every", "token" and "deliver" to say which requests. Manners are how all
// connections behave: see Manners.
//
// It is for a listener that only the developer reaches. Requests that a
// browser sends from another site are refused.
func (a *Apple) Control() http.Handler {
	p := a.o.Phones
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sandbox/deliveries", p.serveDeliveries)
	mux.HandleFunc("GET /sandbox/counts", func(w http.ResponseWriter, _ *http.Request) {
		total, repeated := p.Received()
		writeJSON(w, http.StatusOK, struct {
			Received    int64            `json:"received"`
			Repeated    int64            `json:"repeated"`
			Answers     map[string]int64 `json:"answers"`
			Waiting     int              `json:"waiting"`
			Connections int              `json:"connections"` // made since the start
			Open        int              `json:"open"`        // of them
			Refused     int64            `json:"refused_streams"`
		}{total, repeated, a.Answers(), a.Waiting(), a.Connections(), a.Open(), a.RefusedStreams()})
	})
	mux.HandleFunc("POST /sandbox/faults", a.serveFault)
	mux.HandleFunc("DELETE /sandbox/faults", func(w http.ResponseWriter, _ *http.Request) {
		a.Recover()
		w.WriteHeader(http.StatusNoContent)
	})
	p.handlePhones(mux, "/sandbox/")
	return http.NewCrossOriginProtection().Handler(mux)
}

// handlePhones routes what changes a phone.
func (p *Phones) handlePhones(mux *http.ServeMux, prefix string) {
	type phone struct {
		Token string `json:"token"`
		Label string `json:"label"`
	}
	for name, do := range map[string]func(phone){
		"uninstall": func(d phone) { p.Uninstall(d.Token) },
		"install":   func(d phone) { p.Install(d.Token) },
		"devices":   func(d phone) { p.Label(d.Token, d.Label) },
	} {
		mux.HandleFunc("POST "+prefix+name, func(w http.ResponseWriter, r *http.Request) {
			var d phone
			if err := readJSON(w, r, &d); err != nil {
				refuse(w, err)
				return
			}
			if d.Token == "" {
				refuse(w, errors.New("token is required"))
				return
			}
			do(d)
			w.WriteHeader(http.StatusNoContent)
		})
	}
}

func (p *Phones) serveDeliveries(w http.ResponseWriter, r *http.Request) {
	after, err := number(r, "after")
	if err != nil {
		refuse(w, err)
		return
	}
	limit, err := number(r, "limit")
	if err != nil {
		refuse(w, err)
		return
	}
	ds := p.Deliveries(after, int(min(limit, 10_000)))
	next := after
	if len(ds) > 0 {
		next = ds[len(ds)-1].Seq
	}
	writeJSON(w, http.StatusOK, struct {
		Deliveries []Delivery `json:"deliveries"`
		Next       int64      `json:"next"`
	}{append([]Delivery{}, ds...), next}) // [] rather than null
}

func number(r *http.Request, name string) (int64, error) {
	s := r.URL.Query().Get(name)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s must be a number from 0 on", name)
	}
	return n, nil
}

func (a *Apple) serveFault(w http.ResponseWriter, r *http.Request) {
	var f struct {
		Fault
		Latency *Duration `json:"latency"`
		Manners *Manners  `json:"manners"`
	}
	if err := readJSON(w, r, &f); err != nil {
		refuse(w, err)
		return
	}
	if f.Latency == nil && f.Manners == nil && !f.acts() {
		refuse(w, errors.New("give status and reason, hang, refuse, reset, goaway, drop, silent, manners or latency"))
		return
	}
	if err := f.validate(); err != nil {
		refuse(w, err)
		return
	}
	if f.Manners != nil {
		if err := f.Manners.validate(); err != nil {
			refuse(w, err)
			return
		}
		a.SetManners(*f.Manners)
	}
	if f.Latency != nil {
		a.SetLatency(time.Duration(*f.Latency))
	}
	if f.acts() {
		a.Fail(f.Fault)
	}
	w.WriteHeader(http.StatusNoContent)
}

func readJSON(w http.ResponseWriter, r *http.Request, to any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	dec.DisallowUnknownFields()
	if err := dec.Decode(to); err != nil {
		return fmt.Errorf("the body is not what is expected: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("the body goes on after its JSON value")
	}
	return nil
}

func refuse(w http.ResponseWriter, err error) {
	writeJSON(w, http.StatusBadRequest, struct {
		Message string `json:"message"`
	}{err.Error()})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}
