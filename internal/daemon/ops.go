package daemon

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// OpsOptions are what NewOps needs.
type OpsOptions struct {
	Logger   *slog.Logger // gets each request at debug level; nil discards
	Gatherer prometheus.Gatherer
	Health   *Health
}

// Ops is the listener for operators and machines: /-/healthy, /-/ready,
// /metrics and /debug/pprof/. More is added with Handle, the operator's page
// at "/" among it. Nothing here asks who you are, so it belongs on loopback or
// a private network.
type Ops struct {
	log      *slog.Logger
	mux      *http.ServeMux
	loopback atomic.Bool // serves loopback only, so that names must be local too
}

// NewOps makes the ops handlers; Step serves them.
func NewOps(o OpsOptions) *Ops {
	ops := &Ops{log: o.Logger, mux: http.NewServeMux()}
	if ops.log == nil {
		ops.log = slog.New(slog.DiscardHandler)
	}
	ops.mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) {
		noStore(w)
		_, _ = io.WriteString(w, "ok\n")
	})
	ops.mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, r *http.Request) {
		writeReport(w, o.Health.Report(r.Context()))
	})
	ops.mux.Handle("GET /metrics", promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{
		ErrorLog:      promLog{ops.log},
		ErrorHandling: promhttp.ContinueOnError,
		Timeout:       10 * time.Second,
	}))
	ops.mux.HandleFunc("/debug/pprof/", pprof.Index)
	ops.mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	ops.mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	ops.mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	ops.mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return ops
}

// Handle adds a handler by a pattern of http.ServeMux. It may be called while
// the listener serves; like there, a pattern given twice panics.
func (o *Ops) Handle(pattern string, h http.Handler) { o.mux.Handle(pattern, h) }

// ServeHTTP answers a request to the ops listener. Requests that a web page of
// another site makes a browser send are refused: unsafe methods always, and on
// a loopback listener everything that was not asked for by a local name.
func (o *Ops) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	defer func() {
		o.log.Debug("ops request", "method", r.Method, "path", r.URL.Path, "duration_ms", ms(time.Since(began)))
	}()
	if o.loopback.Load() && !localHost(r.Host) {
		http.Error(w, "this listener answers to localhost and to addresses only", http.StatusMisdirectedRequest)
		return
	}
	var cop http.CrossOriginProtection
	if err := cop.Check(r); err != nil {
		http.Error(w, "request from another site refused", http.StatusForbidden)
		return
	}
	o.mux.ServeHTTP(w, r)
}

// Step returns the step that serves on ln. It is best started first, so that
// it tells what the others are doing, and so it stops last.
func (o *Ops) Step(ln net.Listener) Step {
	s := Server{
		Name: "ops", Handler: o, Listener: ln, Logger: o.log,
		// Profiles and live pages take as long as they take. A limit on reading
		// would cut them off, too: net/http watches the connection of a running
		// request and ends the request's context when that read times out.
		ReadTimeout: -1, WriteTimeout: -1, CancelOnStop: true,
	}.Step()
	s.Start = func(context.Context) error {
		o.loopback.Store(IsLoopback(ln.Addr()))
		if !o.loopback.Load() {
			o.log.Warn("the ops listener can be reached from other machines and asks for no password",
				"addr", ln.Addr().String())
		}
		return nil
	}
	return s
}

// localHost reports whether a Host header names this machine without asking a
// name server, which somebody else may control (DNS rebinding).
func localHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}
	if host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	_, err = netip.ParseAddr(host)
	return err == nil
}

func writeReport(w http.ResponseWriter, r Report) {
	noStore(w)
	w.Header().Set("Content-Type", "application/json")
	if !r.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(r) // the asker has gone
}

func noStore(w http.ResponseWriter) { w.Header().Set("Cache-Control", "no-store") }

// promLog receives the errors of collectors.
type promLog struct{ log *slog.Logger }

func (p promLog) Println(v ...any) {
	p.log.Warn("gather metrics", "detail", v)
}
