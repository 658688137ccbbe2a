package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/furima/furima/internal/warm"
)

// This program is its own children, told apart by a variable.
const (
	modeVariable = "FURIMA_BENCH_WARM"
	modeOrigin   = "origin"
	modeOnce     = "once"
	modePool     = "pool"
)

func child(mode string, args []string) error {
	switch mode {
	case modeOrigin:
		return serveOrigin(args[0], args[1])
	case modeOnce, modePool:
		workers, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		if mode == modeOnce {
			return once(args[0], workers)
		}
		return pool(args[0], workers)
	}
	return fmt.Errorf("unknown mode %q", mode)
}

func once(template string, workers int) error {
	plan, err := warm.NewPlan(template)
	if err != nil {
		return err
	}
	sum, err := warm.Once(context.Background(), plan, warm.OnceOptions{Workers: workers})
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(sum); err != nil {
		return err
	}
	if sum.Failed > 0 {
		return fmt.Errorf("%d failed", sum.Failed)
	}
	return nil
}

// pool is the fair comparison on the standard library: a bounded pool whose
// connections are kept.
func pool(template string, workers int) error {
	plan, err := warm.NewPlan(template)
	if err != nil {
		return err
	}
	tr := &http.Transport{MaxConnsPerHost: workers, MaxIdleConnsPerHost: workers, MaxIdleConns: workers}
	hc := &http.Client{Transport: tr, Timeout: 10 * time.Second}
	var next, failed atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			buf := make([]byte, 16<<10)
			for {
				i := next.Add(1) - 1
				if i >= plan.Count() {
					return
				}
				res, err := hc.Get(plan.URL(i))
				if err != nil {
					failed.Add(1)
					continue
				}
				if _, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{res.Body}, buf); err != nil || res.StatusCode != http.StatusOK {
					failed.Add(1)
				}
				_ = res.Body.Close()
			}
		})
	}
	wg.Wait()
	if n := failed.Load(); n > 0 {
		return fmt.Errorf("%d failed", n)
	}
	return nil
}

// serveOrigin is the server that is warmed. It prints its address, and what
// it counted since the last time when it is asked for /-/counts.
func serveOrigin(latency, size string) error {
	sleep, err := time.ParseDuration(latency)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(size)
	if err != nil {
		return err
	}
	body := make([]byte, n)
	for i := range body {
		body[i] = 'a' + byte(i%26)
	}
	var requests, accepted, open, peak atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /-/counts", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		counts := counts{Requests: requests.Swap(0), Accepted: accepted.Swap(0), Peak: peak.Swap(0)}
		if err := json.NewEncoder(w).Encode(counts); err != nil {
			fmt.Fprintln(os.Stderr, "origin:", err)
		}
	})
	mux.HandleFunc("GET /items", func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if sleep > 0 {
			time.Sleep(sleep)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ConnState: func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			accepted.Add(1)
			if now := open.Add(1); now > peak.Load() {
				peak.Store(now)
			}
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	go func() {
		<-ctx.Done()
		_ = srv.Close()
	}()
	fmt.Println(ln.Addr())
	if err := srv.Serve(ln); err != http.ErrServerClosed {
		return err
	}
	return nil
}

type counts struct{ Requests, Accepted, Peak int64 }
