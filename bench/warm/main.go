// Command warm measures warming side by side: furima's warmer, curl -Z and a
// pool on Go's net/http, each in a process of its own, against one origin in
// another process. Runs are interleaved; the table shows medians.
//
//	go run ./warm                          # warm.Once in this program
//	go run ./warm -furima ../bin/furima    # the real command
//
// It writes results/warm.md. Run it from the folder bench.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

type options struct {
	furima  string
	curl    string
	out     string
	runs    int
	n       int
	workers int
	latency time.Duration
	body    int
}

func main() {
	if mode, ok := os.LookupEnv(modeVariable); ok {
		if err := child(mode, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "warm bench:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.StringVar(&o.furima, "furima", "", "furima binary to measure; empty measures the package in this program")
	flag.StringVar(&o.curl, "curl", "curl", "curl binary")
	flag.StringVar(&o.out, "out", "results/warm.md", "file to write; empty for none")
	flag.IntVar(&o.runs, "runs", 7, "measured runs of each contestant")
	flag.IntVar(&o.n, "n", 2000, "combinations, a multiple of 20")
	flag.IntVar(&o.workers, "workers", 64, "requests at once")
	flag.DurationVar(&o.latency, "latency", 20*time.Millisecond, "how long the origin sleeps before each answer")
	flag.IntVar(&o.body, "body", 1024, "size of an answer in bytes")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "warm bench:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	if o.n < 20 || o.n%20 != 0 || o.runs < 1 {
		return fmt.Errorf("-n must be a multiple of 20 and -runs at least 1")
	}
	origin, err := startOrigin(o)
	if err != nil {
		return err
	}
	defer origin.stop()
	contestants, err := field(o, origin.addr)
	if err != nil {
		return err
	}
	for round := range o.runs + 1 { // the first only fills the page cache
		for i := range contestants {
			// Start with another one each round, so that nobody always comes
			// after the same neighbour.
			c := &contestants[(i+round)%len(contestants)]
			m, err := measure(c, origin, o, false)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if round > 0 {
				c.runs = append(c.runs, m)
			}
		}
	}
	// Memory is read in runs of its own, since reading it costs the process
	// time.
	for range min(o.runs, 3) {
		for i := range contestants {
			c := &contestants[i]
			m, err := measure(c, origin, o, true)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			c.memory = append(c.memory, m)
		}
	}
	r := makeReport(o, contestants)
	fmt.Print(r)
	if o.out == "" {
		return nil
	}
	return r.Write(o.out)
}

// field lists who is measured.
func field(o options, addr string) ([]contestant, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	workers := fmt.Sprint(o.workers)
	braces := fmt.Sprintf("http://%s/items?category={1..%d}&sort={new,price}&page={1..10}", addr, o.n/20)
	globs := fmt.Sprintf("http://%s/items?category=[1-%d]&sort={new,price}&page=[1-10]", addr, o.n/20)
	ours := contestant{name: "furima (package warm)", argv: []string{self, braces, workers}, mode: modeOnce}
	if o.furima != "" {
		ours = contestant{name: "furima warm --once", argv: []string{o.furima, "warm", "--once", braces, "--workers", workers, "--json"}}
	}
	return []contestant{
		ours,
		{name: "curl -Z", argv: []string{o.curl, "-s", "-Z", "--parallel-max", workers, "-o", "/dev/null", globs}},
		{name: "net/http pool", argv: []string{self, braces, workers}, mode: modePool},
	}, nil
}

func first(s string) string { line, _, _ := strings.Cut(s, "\n"); return line }
