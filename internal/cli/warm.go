package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/furima/furima/internal/config"
	"github.com/furima/furima/internal/daemon"
	"github.com/furima/furima/internal/warm"
)

type warmFlags struct {
	once, dryRun, asJSON bool
	workers              int
	timeout              time.Duration
	headers              []string
}

func (p *program) warmCommand() *cobra.Command {
	var f warmFlags
	cmd := &cobra.Command{
		Use:   "warm [--once URL-TEMPLATE...]",
		Short: "keep cached answers fresh, or warm a list of URLs once",
		Long: `Without --once: runs as a daemon that refreshes every [[warm.targets]] of the
configuration, each combination once in its interval, spread evenly.

With --once: requests every combination of the URL templates once, with a bounded
number of workers that keep one connection each. Braces hold lists and ranges:
{new,price}, {1..300}, {0..100..20}. Exit status 1 if any combination failed.`,
		Example: `  furima warm --once 'http://host/items?category={1..300}&sort={new,price}&page={1..5}' --workers 64
  furima warm -c furima.toml --dry-run
  furima warm -c furima.toml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case f.once:
				return p.warmOnce(cmd.Context(), f, args)
			case len(args) > 0:
				return usagef("URL templates go with --once; the daemon takes its targets from the configuration")
			}
			cfg, err := p.loadRole(roleWarm)
			if err != nil {
				return err
			}
			if len(cfg.Warm.Targets) == 0 {
				return config.Faults{{Key: "warm.targets", Problem: "is empty: nothing to warm (or use --once URL-TEMPLATE)"}}
			}
			if f.dryRun {
				return p.warmForecast(cfg.Warm)
			}
			return p.runRole(cmd.Context(), roleWarm, cfg, func(ctx context.Context, r *role) error {
				return r.startWarm(ctx)
			})
		},
	}
	cmd.Flags().BoolVar(&f.once, "once", false, "request every combination of the given URL templates once")
	cmd.Flags().IntVar(&f.workers, "workers", 16, "with --once: requests under way at once, and connections")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 10*time.Second, "with --once: longest time of one request")
	cmd.Flags().StringArrayVarP(&f.headers, "header", "H", nil, `with --once: a header of every request, "Name: value"; may be repeated`)
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "with --once: print the summary as JSON")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "print what would be requested, and request nothing")
	return cmd
}

// startWarm starts the warmer's daemon.
func (r *role) startWarm(ctx context.Context) error {
	w := warm.New(r.cfg.Warm, warm.Options{Logger: r.log, Registerer: r.reg})
	return r.Start(ctx, daemon.Step{Name: "warmer", Run: w.Run})
}

func (p *program) warmForecast(cfg warm.Config) error {
	for i, t := range cfg.Targets {
		f, err := t.Forecast()
		if err != nil {
			return config.Faults{{Key: fmt.Sprintf("warm.targets[%d].url", i), Problem: err.Error()}}
		}
		fmt.Fprintf(p.env.Stdout, "%s: %d combinations × %d pages every %gs, %d workers, %.1f requests/s\n",
			f.Name, f.Combinations, f.Pages, f.IntervalS, f.Workers, f.PerSecond)
	}
	return nil
}

func (p *program) warmOnce(ctx context.Context, f warmFlags, templates []string) error {
	if len(templates) == 0 {
		return usagef("--once needs a URL template, such as 'http://host/items?page={1..5}'")
	}
	plan, err := warm.NewPlan(templates...)
	if err != nil {
		return usageError{err}
	}
	header := http.Header{}
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			// Not repeated: it may be a secret.
			return usagef(`--header must be "Name: value"`)
		}
		header.Add(name, strings.TrimSpace(value))
	}
	if f.dryRun {
		const shown = 20
		fmt.Fprintf(p.env.Stdout, "%d combinations\n", plan.Count())
		for i := range min(plan.Count(), shown) {
			fmt.Fprintln(p.env.Stdout, plan.URL(i))
		}
		if plan.Count() > shown {
			fmt.Fprintf(p.env.Stdout, "… and %d more\n", plan.Count()-shown)
		}
		return nil
	}
	bar := progress{env: p.env, what: "warming"}
	sum, err := warm.Once(ctx, plan, warm.OnceOptions{
		Workers: f.workers, Timeout: f.timeout, Header: header,
		Progress: func(s warm.Progress) { bar.update(int(s.Done), int(s.Total)) },
	})
	if err != nil && sum.Combinations == 0 {
		return usageError{err}
	}
	if perr := p.printSummary(sum, f.asJSON); perr != nil {
		return perr
	}
	switch {
	case err != nil:
		return err
	case sum.Failed > 0:
		return fmt.Errorf("%d of %d combinations failed", sum.Failed, sum.Combinations)
	}
	return nil
}

func (p *program) printSummary(s warm.Summary, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(p.env.Stdout).Encode(s)
	}
	fmt.Fprintf(p.env.Stdout, "%d of %d in %.2f s, %.0f/s, %d failed; %d connections; p50 %.1f ms, p99 %.1f ms\n",
		s.OK, s.Combinations, s.WallSeconds, s.PerSecond, s.Failed, s.Connections, s.Latency.P50MS, s.Latency.P99MS)
	for _, x := range s.Failures {
		fmt.Fprintf(p.env.Stdout, "  %s: %s\n", x.URL, x.Error)
	}
	if more := s.Failed - int64(len(s.Failures)); more > 0 {
		fmt.Fprintf(p.env.Stdout, "  … and %d more\n", more)
	}
	return nil
}
