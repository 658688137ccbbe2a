// Command push measures the push gateway as it is built and run: "furima push"
// with a durable SQLite store on a disk, in front of a stand-in for Apple in a
// process of its own, under load from this process. Beside it, in the same run,
// the same notifications go through furima's sender, sideshow/apns2, net/http and
// x/net/http2 alone.
//
//	go run ./push --furima ../bin/furima --out results/push.md
//	go run ./push --quick --only deliver
//
// Run it from the folder bench.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/furima/furima/bench/report"
)

type options struct {
	furima, out, dir     string
	only, modes, shapes  string
	quick                bool
	pprof                string
	scale                float64
	seconds              time.Duration
	waiting              int
	maxInFlight, workers int
}

func main() {
	if role := os.Getenv(roleVariable); role != "" {
		if err := child(role, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "push bench,", role+":", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.StringVar(&o.furima, "furima", "../bin/furima", "furima binary to measure")
	flag.StringVar(&o.out, "out", "", "write the results to this file too, as Markdown")
	flag.StringVar(&o.dir, "dir", "", "folder for the database, on a real disk (default: that for temporary files)")
	flag.StringVar(&o.only, "only", "deliver,intake,waiting,clients", "what to measure, of deliver, intake, waiting, clients")
	flag.StringVar(&o.modes, "modes", "fast,50ms,single", "ways in which the stand-in answers, of fast, 50ms, single")
	flag.StringVar(&o.shapes, "shapes", "100,tokens,one", "kinds of requests: 100 notifications, one with 1,000 tokens, one with one")
	flag.BoolVar(&o.quick, "quick", false, "measure a tenth of it")
	flag.StringVar(&o.pprof, "pprof", "", "write CPU profiles of the gateway into this folder, one a measurement")
	flag.IntVar(&o.maxInFlight, "max-in-flight", 0, "push.apps.apns.max_in_flight; 0 leaves the default")
	flag.IntVar(&o.workers, "workers", 0, "push.workers; 0 leaves the default")
	flag.Parse()
	o.scale, o.seconds, o.waiting = 1, 4*time.Second, 1_000_000
	if o.quick {
		o.scale, o.seconds, o.waiting = 0.15, time.Second, 200_000
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "push bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp(o.dir, "furima-bench-push-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := makeCredentials(dir); err != nil {
		return err
	}
	if _, err := os.Stat(o.furima); err != nil {
		return errors.New("no furima binary; run make build, or name one with --furima")
	}
	if o.furima, err = filepath.Abs(o.furima); err != nil {
		return err
	}
	sync, err := syncTime(dir)
	if err != nil {
		return err
	}
	r := report.New("The push gateway")
	r.Note("furima: %s; the gateway runs with default settings, log lines go to a file", furimaVersion(ctx, o.furima))
	r.Note("store: SQLite (WAL, synchronous=FULL) on %s; a write of 4 KiB with fsync takes %s ms there (median)", fileSystem(dir), report.Ms(sync))
	r.Note("every process runs on this machine: the load, the gateway, the stand-in; CPU is user and system time of the gateway alone")
	m := &measurement{o: o, dir: dir, report: r}
	for _, part := range []struct {
		name string
		f    func(context.Context) error
	}{{"deliver", m.deliver}, {"intake", m.intake}, {"waiting", m.waitingMemory}, {"clients", m.clients}} {
		if !chosen(o.only, part.name) {
			continue
		}
		if err := part.f(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	r.Print(os.Stdout)
	if o.out == "" {
		return nil
	}
	return r.Write(o.out)
}

// chosen reports whether a list of a flag has a name.
func chosen(list, name string) bool { return slices.Contains(strings.Split(list, ","), name) }

// progress says on standard error where the run is.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}
