// Command job measures the durable queue: how fast jobs are enqueued and worked
// off, with fsync, on SQLite and on a private, durable MariaDB.
//
//	go run ./job --engine both --seconds 2 --out results/job.md
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/furima/furima/bench/report"
	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/sqldb"
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
	engine, out, dir, cpuProfile string
	seconds                      float64
	repeat, payload              int
	batches, producers           []int
	only                         string
}

func parse() (flags, error) {
	var f flags
	var batches, producers string
	flag.StringVar(&f.engine, "engine", "both", "sqlite, mariadb or both")
	flag.Float64Var(&f.seconds, "seconds", 2, "length of each measurement")
	flag.IntVar(&f.repeat, "repeat", 3, "measurements of each kind; the median is shown")
	flag.IntVar(&f.payload, "payload", 200, "bytes of a job's payload")
	flag.StringVar(&batches, "batches", "1,100,1000", "jobs in a call")
	flag.StringVar(&producers, "producers", "1,16,64", "concurrent callers")
	flag.StringVar(&f.only, "only", "", "fill, paced or idle: measure nothing else")
	flag.StringVar(&f.out, "out", "", "write the results to this file too, as Markdown")
	flag.StringVar(&f.dir, "dir", "", "folder for the databases (default: that for temporary files)")
	flag.StringVar(&f.cpuProfile, "cpuprofile", "", "write a CPU profile to this file")
	flag.Parse()
	var err1, err2 error
	f.batches, err1 = numbers(batches)
	f.producers, err2 = numbers(producers)
	if f.engine != "sqlite" && f.engine != "mariadb" && f.engine != "both" {
		err1 = fmt.Errorf("--engine %q is not sqlite, mariadb or both", f.engine)
	}
	return f, errors.Join(err1, err2)
}

func numbers(list string) (ns []int, err error) {
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is not a list of positive numbers", list)
		}
		ns = append(ns, n)
	}
	return ns, nil
}

// engine is a place for databases.
type engine struct {
	name string
	open func(ctx context.Context) (db *sqldb.DB, remove func(), err error)
	cpu  func() time.Duration // of everything that works: this process, and the server
}

func run(ctx context.Context) error {
	f, err := parse()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(f.dir, "furima-bench-job-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r := report.New("The durable queue")
	r.Note("payload: %d bytes; every acknowledged job is on disk (SQLite: WAL, synchronous=FULL; MariaDB: innodb_flush_log_at_trx_commit=1)", f.payload)
	r.Note("each number is the median of %d measurements of %g s on a new database", f.repeat, f.seconds)
	engines, stop, err := start(ctx, f, dir, r)
	defer stop()
	if err != nil {
		return err
	}
	if f.cpuProfile != "" {
		out, err := os.Create(f.cpuProfile)
		if err != nil {
			return err
		}
		defer out.Close()
		if err := pprof.StartCPUProfile(out); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	for _, m := range []struct {
		name string
		f    func(context.Context, flags, []engine, *report.Report) error
	}{{"fill", fillAndDrain}, {"paced", paced}, {"idle", idle}} {
		if f.only != "" && f.only != m.name {
			continue
		}
		if err := m.f(ctx, f, engines, r); err != nil {
			return err
		}
	}
	r.Print(os.Stdout)
	if f.out == "" {
		return nil
	}
	return r.Write(f.out)
}

func start(ctx context.Context, f flags, dir string, r *report.Report) (engines []engine, stop func(), err error) {
	var n atomic.Int64
	open := func(ctx context.Context, url string, remove func()) (*sqldb.DB, func(), error) {
		db, err := sqldb.Open(ctx, sqldb.Config{URL: url}, sqldb.Options{})
		if err != nil {
			return nil, nil, err
		}
		if err := job.Migrate(ctx, db); err != nil {
			return nil, nil, errors.Join(err, db.Close())
		}
		return db, func() { _ = db.Close(); remove() }, nil
	}
	if f.engine != "mariadb" {
		engines = append(engines, engine{name: "sqlite", cpu: report.CPU, open: func(ctx context.Context) (*sqldb.DB, func(), error) {
			sub := filepath.Join(dir, fmt.Sprint(n.Add(1)))
			return open(ctx, "sqlite:"+filepath.Join(sub, "job.db"), func() { _ = os.RemoveAll(sub) })
		}})
		db, remove, err := engines[0].open(ctx)
		if err != nil {
			return nil, func() {}, err
		}
		var v string
		err = db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&v)
		remove()
		if err != nil {
			return nil, func() {}, err
		}
		r.Note("SQLite %s (modernc.org/sqlite)", v)
	}
	if f.engine == "sqlite" {
		return engines, func() {}, nil
	}
	s, err := sqldbtest.Start(sqldbtest.Options{Durable: true, Dir: dir})
	if err != nil {
		return nil, func() {}, err
	}
	v, err := s.Version(ctx)
	if err != nil {
		return nil, s.Stop, err
	}
	r.Note("MariaDB %s on a unix socket, on the same machine", v)
	engines = append(engines, engine{
		name: "mariadb",
		cpu:  func() time.Duration { return report.CPU() + report.CPUOf(s.Pid()) },
		open: func(ctx context.Context) (*sqldb.DB, func(), error) {
			url, err := s.Database(ctx, fmt.Sprint("bench", n.Add(1)))
			if err != nil {
				return nil, nil, err
			}
			return open(ctx, url, func() {})
		},
	})
	return engines, s.Stop, nil
}

// queue runs a queue on a new database while f does.
func queue(ctx context.Context, e engine, f func(ctx context.Context, db *sqldb.DB, q *job.Queue) error) error {
	db, remove, err := e.open(ctx)
	if err != nil {
		return err
	}
	defer remove()
	q := job.NewQueue(db, job.Options{})
	running, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _ = q.Run(running) })
	err = f(ctx, db, q)
	stop()
	wg.Wait()
	return err
}

// backlog bounds the jobs of one measurement.
const backlog = 1_000_000

// fillAndDrain enqueues as fast as possible, and then works everything off.
func fillAndDrain(ctx context.Context, f flags, engines []engine, r *report.Report) error {
	fill := r.Table("Enqueue, as fast as possible", "engine", "batch", "producers", "jobs/s", "p50 ms", "p99 ms", "CPU µs/job")
	drain := r.Table("Work off, no-op handler", "engine", "filled by", "jobs/s", "CPU µs/job")
	for _, e := range engines {
		for _, batch := range f.batches {
			for _, producers := range f.producers {
				var rates, p50, p99, cpu, drained, drainCPU []float64
				for range f.repeat {
					err := queue(ctx, e, func(ctx context.Context, db *sqldb.DB, q *job.Queue) error {
						m, err := enqueue(ctx, e, q, f, batch, producers)
						if err != nil {
							return err
						}
						rates = append(rates, m.rate)
						cpu = append(cpu, m.cpu)
						p50 = append(p50, float64(report.Percentile(m.latencies, 50)))
						p99 = append(p99, float64(report.Percentile(m.latencies, 99)))
						d, err := work(ctx, e, db, q, m.jobs)
						if err != nil {
							return err
						}
						drained = append(drained, d.rate)
						drainCPU = append(drainCPU, d.cpu)
						return nil
					})
					if err != nil {
						return err
					}
				}
				fill.Row(e.name, batch, producers, report.Rate(report.Median(rates)), report.Ms(time.Duration(report.Median(p50))), report.Ms(time.Duration(report.Median(p99))), fmt.Sprintf("%.1f", report.Median(cpu)))
				drain.Row(e.name, fmt.Sprintf("%d×%d", batch, producers), report.Rate(report.Median(drained)), fmt.Sprintf("%.1f", report.Median(drainCPU)))
				fmt.Fprintf(os.Stderr, "%s %d×%d: %s/s in, %s/s out\n", e.name, batch, producers, report.Rate(report.Median(rates)), report.Rate(report.Median(drained)))
			}
		}
	}
	return nil
}
