// Command market measures the market's API without its cache: reads and CPU of
// lists, search and detail, purchases, and how much slower lists become as the
// market grows, on SQLite and on a private, durable MariaDB.
//
//	go run ./market --furima ../bin/furima --items 10000,1000000 --out results/market.md
//
// It starts the built binary: the sample markets are made by "furima seed" and
// served by "furima api", so that what is measured is the whole of a request.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/furima/furima/bench/report"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

type flags struct {
	furima, engine, out, dir, only string
	items                          []int
	seconds                        float64
	rounds, clients, buyers        int
}

func parse() (flags, error) {
	var f flags
	var items string
	flag.StringVar(&f.furima, "furima", "../bin/furima", "the built binary")
	flag.StringVar(&f.engine, "engine", "both", "sqlite, mariadb or both")
	flag.StringVar(&items, "items", "10000,1000000", "sizes of the market, the smallest first: the others are compared with it")
	flag.Float64Var(&f.seconds, "seconds", 2, "length of each measurement")
	flag.IntVar(&f.rounds, "rounds", 5, "measurements of each kind; the sizes take turns")
	flag.IntVar(&f.clients, "clients", 2, "requests at once")
	flag.IntVar(&f.buyers, "buyers", 8, "people who buy at once")
	flag.StringVar(&f.only, "only", "", "reads or purchases: measure nothing else")
	flag.StringVar(&f.out, "out", "", "write the results to this file too, as Markdown")
	flag.StringVar(&f.dir, "dir", "", "folder for the data (default: that for temporary files)")
	flag.Parse()
	for s := range strings.SplitSeq(items, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1000 {
			return f, fmt.Errorf("--items %q is not a list of numbers from 1000", items)
		}
		f.items = append(f.items, n)
	}
	if f.engine != "sqlite" && f.engine != "mariadb" && f.engine != "both" {
		return f, fmt.Errorf("--engine %q is not sqlite, mariadb or both", f.engine)
	}
	if f.rounds < 1 || f.clients < 1 || f.buyers < 1 || f.seconds <= 0 {
		return f, errors.New("--seconds, --rounds, --clients and --buyers must be positive")
	}
	path, err := filepath.Abs(f.furima)
	f.furima = path
	return f, err
}

// tables are those of the report.
type tables struct{ seed, reads, growth, purchases *report.Table }

func run(ctx context.Context) (err error) {
	f, err := parse()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(f.dir, "furima-bench-market-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := report.New("The market's API, uncached")
	r.Note("furima api, one process; every request makes its answer anew (Furima-Refresh) and is sent by %d clients over kept connections on the same machine", f.clients)
	r.Note("rates are medians and percentiles are of all requests of %d rounds of %g s; the sizes take turns", f.rounds, f.seconds)
	r.Note("CPU is that of furima and, with MariaDB, of its server")
	t := tables{
		seed:      r.Table("furima seed", "engine", "items", "seconds", "items/s", "CPU s", "peak MiB"),
		reads:     r.Table("Reads", "engine", "items", "what", "reads/s", "p50 ms", "p99 ms", "CPU µs/read"),
		growth:    r.Table("Growth: against the smallest market", "engine", "items", "what", "p50 ratio", "p99 ratio"),
		purchases: r.Table(fmt.Sprintf("Purchases, %d buyers at once", f.buyers), "engine", "items", "purchases/s", "p50 ms", "p99 ms", "CPU µs/purchase"),
	}
	push, stopPush := pushGateway()
	defer stopPush()
	if f.engine != "mariadb" {
		if err := measureEngine(ctx, f, t, engine{name: "sqlite", push: push, url: func(_ context.Context, dir string) (string, error) {
			return "sqlite:" + filepath.Join(dir, "market.db"), nil
		}, cpu: func() time.Duration { return 0 }}, dir); err != nil {
			return err
		}
	}
	if f.engine != "sqlite" {
		s, err := sqldbtest.Start(sqldbtest.Options{Durable: true, Dir: dir})
		if err != nil {
			return err
		}
		defer s.Stop()
		if v, err := s.Version(ctx); err == nil {
			r.Note("MariaDB %s on a unix socket, with its default memory", v)
		}
		if err := measureEngine(ctx, f, t, engine{name: "mariadb", push: push, url: func(ctx context.Context, dir string) (string, error) {
			return s.Database(ctx, "bench_"+filepath.Base(dir))
		}, cpu: func() time.Duration { return report.CPUOf(s.Pid()) }}, dir); err != nil {
			return err
		}
	}
	r.Print(os.Stdout)
	if f.out == "" {
		return nil
	}
	return r.Write(f.out)
}

// engine is a place for databases.
type engine struct {
	name string
	url  func(ctx context.Context, dir string) (string, error)
	cpu  func() time.Duration // of its server
	push string               // URL of a push gateway
}

// pushGateway takes every notification and forgets it, so that the market's jobs end.
func pushGateway() (url string, stop func()) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, `{"tokens":[],"next_cursor":""}`)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"id":"bench","accepted":1}`)
	}))
	return s.URL, s.Close
}

// measureEngine makes the markets, serves all of them, and measures them in turn.
func measureEngine(ctx context.Context, f flags, t tables, e engine, dir string) error {
	var all []*place
	defer func() {
		for _, p := range all {
			p.stop()
		}
	}()
	for _, n := range f.items {
		p, err := newPlace(ctx, f, e, filepath.Join(dir, fmt.Sprintf("%s_%d", e.name, n)), n)
		if err != nil {
			return err
		}
		all = append(all, p)
		t.seed.Row(e.name, n, fmt.Sprintf("%.1f", p.seeded.took.Seconds()), report.Rate(float64(n)/p.seeded.took.Seconds()),
			fmt.Sprintf("%.1f", p.seeded.cpu.Seconds()), p.seeded.peak>>20)
	}
	for _, p := range all {
		if err := p.start(ctx); err != nil {
			return err
		}
	}
	if f.only != "purchases" {
		if err := reads(ctx, f, t, e, all); err != nil {
			return err
		}
	}
	if f.only == "reads" {
		return nil
	}
	for _, p := range all {
		if err := purchases(ctx, f, t, e, p); err != nil {
			return err
		}
	}
	return nil
}
