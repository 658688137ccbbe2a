package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Defaults of Server.
const (
	DefaultReadHeaderTimeout = 10 * time.Second
	DefaultReadTimeout       = 60 * time.Second
	DefaultWriteTimeout      = 60 * time.Second
	// DefaultIdleTimeout is longer than the 60 seconds for which nginx keeps a
	// connection to an upstream, so that nginx is the one that closes it.
	DefaultIdleTimeout    = 120 * time.Second
	DefaultMaxHeaderBytes = 32 << 10
)

// newConnGrace is how long a connection that has not sent a single byte yet
// may hold up the stop of a server. Browsers open such connections ahead.
const newConnGrace = time.Second

// Server is an HTTP server as a Step. For each limit 0 means the default and a
// negative value means none.
type Server struct {
	// Name appears in logs and errors.
	Name     string
	Handler  http.Handler
	Listener net.Listener
	// Logger gets what net/http has to say about broken connections and
	// panics; nil discards.
	Logger *slog.Logger

	ReadHeaderTimeout time.Duration
	ReadTimeout       time.Duration
	WriteTimeout      time.Duration
	IdleTimeout       time.Duration
	MaxHeaderBytes    int

	// Express are routes with many short requests, as "POST /v1/push", whose plain
	// requests are served at less cost. Their handlers must not keep a request,
	// its header or its answer when they return, cannot flush or hijack, and
	// their requests' contexts do not end when a client goes away. Empty: none.
	Express []string

	// CancelOnStop ends the contexts of running requests when the stop begins,
	// for servers with answers that never end by themselves. Otherwise running
	// requests may take until the deadline of the stop.
	CancelOnStop bool
}

// Step returns the step that serves until it is stopped. It owns and closes
// the listener, which accepts connections as soon as it is open.
func (s Server) Step() Step {
	base, cancelBase := context.WithCancel(context.Background())
	logger := s.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	young := &youngConns{}
	srv := &http.Server{
		Handler:           s.Handler,
		ReadHeaderTimeout: orDefault(s.ReadHeaderTimeout, DefaultReadHeaderTimeout),
		ReadTimeout:       orDefault(s.ReadTimeout, DefaultReadTimeout),
		WriteTimeout:      orDefault(s.WriteTimeout, DefaultWriteTimeout),
		IdleTimeout:       orDefault(s.IdleTimeout, DefaultIdleTimeout),
		MaxHeaderBytes:    s.MaxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnState:         young.track,
		ErrorLog:          log.New(errorLog{logger, s.Name}, "", 0),
	}
	if srv.MaxHeaderBytes <= 0 {
		srv.MaxHeaderBytes = DefaultMaxHeaderBytes
	}
	var quick *express
	return Step{
		Name: s.Name,
		Start: func(context.Context) (err error) {
			if len(s.Express) == 0 {
				return nil
			}
			quick, err = newExpress(s.Listener, s.Express, expressOptions{
				handler: s.Handler, base: base, log: errorLog{logger, s.Name}, linger: lingerToClose,
				header: srv.ReadHeaderTimeout, read: srv.ReadTimeout, write: srv.WriteTimeout, idle: srv.IdleTimeout,
			})
			return err
		},
		Run: func(context.Context) error {
			ln := s.Listener
			if quick != nil {
				ln = quick
				go quick.run()
			}
			err := srv.Serve(ln)
			if errors.Is(err, http.ErrServerClosed) {
				return nil // Stop sees to the requests that are running
			}
			cancelBase()
			return err
		},
		Stop: func(ctx context.Context) error {
			if s.CancelOnStop {
				cancelBase()
			}
			defer cancelBase()
			reaper := time.AfterFunc(newConnGrace, young.closeAll)
			defer reaper.Stop()
			shut := make(chan error, 1)
			go func() { shut <- srv.Shutdown(ctx) }()
			var err error
			if quick != nil {
				err = quick.stop(ctx)
			}
			if later := <-shut; later != nil {
				err = later
			}
			if err != nil {
				return join(fmt.Errorf("finish running requests: %w", err), srv.Close())
			}
			return nil
		},
	}
}

// lingerToClose is how long a connection whose request was not read to its end
// stays open for its answer to arrive. As in net/http.
const lingerToClose = 500 * time.Millisecond

func orDefault(d, def time.Duration) time.Duration {
	switch {
	case d == 0:
		return def
	case d < 0:
		return 0
	}
	return d
}

// youngConns are the connections on which nothing has been read yet. Shutdown
// waits five seconds for them, although they ask for nothing.
type youngConns struct {
	conns sync.Map // net.Conn → struct{}
}

func (y *youngConns) track(c net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		y.conns.Store(c, struct{}{})
	case http.StateActive, http.StateClosed, http.StateHijacked:
		if _, ok := y.conns.Load(c); ok {
			y.conns.Delete(c)
		}
	}
}

func (y *youngConns) closeAll() {
	y.conns.Range(func(c, _ any) bool {
		_ = c.(net.Conn).Close() // nobody is told: nothing was asked
		return true
	})
}

// errorLog turns the lines that net/http logs into records.
type errorLog struct {
	log  *slog.Logger
	name string
}

// panicked tells of a handler, as net/http does.
func (e errorLog) panicked(remote string, v any, stack []byte) {
	fmt.Fprintf(e, "http: panic serving %s: %v\n%s", remote, v, stack)
}

func (e errorLog) Write(p []byte) (int, error) {
	level := slog.LevelWarn
	if bytes.Contains(p, []byte("panic serving")) {
		level = slog.LevelError
	}
	e.log.Log(context.Background(), level, "http server", "server", e.name, "detail", string(bytes.TrimSpace(p)))
	return len(p), nil
}
