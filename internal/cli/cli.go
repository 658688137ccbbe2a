// Package cli is furima's command line: the subcommands, their arguments and
// environment, signals and exit status, and the wiring of each role, one file
// a role (api.go, push.go, warm.go, edge.go, dev.go).
//
// Main is called once, by package main:
//
//	os.Exit(cli.Main(os.Args[1:], cli.System()))
//
// Exit status: 0 done; 1 something went wrong while running; 2 the arguments
// or the configuration are wrong and nothing was started; 130 and 143 ended by
// a second signal.
//
// It holds no logic of its own: what a command does lives in the package of
// that name.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/furima/furima/internal/config"
)

// Env is what a program has from outside: everything that Main touches beyond
// its arguments.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Environ        []string
}

// System returns the process's own Env.
func System() Env {
	return Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ()}
}

const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// usageError is a mistake in the arguments.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// errSilent is a failure that has been shown already.
var errSilent = errors.New("failed")

// program is one invocation.
type program struct {
	env        Env
	configPath string // -c
	configSet  bool
	// kill is closed by a second signal: stop at once.
	kill chan struct{}
}

// Main runs furima with the arguments after the program's name and returns the
// exit status.
func Main(args []string, env Env) int {
	p := &program{env: env, kill: make(chan struct{})}
	root := p.root()
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	ctx, stop := p.signals(context.Background())
	defer stop()
	return p.report(root.ExecuteContext(ctx))
}

// signals returns a context that ends with the first SIGINT or SIGTERM. The
// second ends the process at once: whatever was accepted is on disk already.
func (p *program) signals(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	got := make(chan os.Signal, 2)
	signal.Notify(got, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		for first := true; ; first = false {
			select {
			case <-done:
				return
			case s := <-got:
				if first {
					cancel()
					continue
				}
				close(p.kill)
				fmt.Fprintln(p.env.Stderr, "furima: second signal, stopping at once")
				os.Exit(128 + int(s.(syscall.Signal)))
			}
		}
	}()
	return ctx, func() {
		signal.Stop(got)
		close(done)
		cancel()
	}
}

// report prints an error, one line a fault, and returns the exit status.
func (p *program) report(err error) int {
	var faults config.Faults
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errSilent):
		return exitFailure
	case errors.As(err, &faults):
		for _, f := range faults {
			fmt.Fprintf(p.env.Stderr, "furima: %s\n", f)
		}
		return exitUsage
	case errors.As(err, &usage):
		fmt.Fprintf(p.env.Stderr, "furima: %s\n", oneLine(err))
		return exitUsage
	default:
		fmt.Fprintf(p.env.Stderr, "furima: %s\n", oneLine(err))
		return exitFailure
	}
}

// oneLine joins the lines of joined errors, so that a failure is one line on
// the terminal and in a log.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' }), "; ")
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "furima",
		Short: "the backend of a flea-market app: api, warm, edge and push in one binary",
		Long: `furima is the backend of a flea-market app in one binary.

Start with "furima dev": everything on this machine, with sample data.
Each role also runs alone: furima api, furima push, furima warm, furima edge.`,
		Example:       "  furima dev\n  furima push -c furima.toml",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.PersistentFlags().StringVarP(&p.configPath, "config", "c", "",
		"configuration file (default "+config.DefaultPath+" if it is there)")
	root.PersistentPreRun = func(cmd *cobra.Command, _ []string) {
		p.configSet = cmd.Flags().Changed("config")
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w (see %s --help)", err, cmd.CommandPath())
	})
	root.AddCommand(
		p.devCommand(),
		p.apiCommand(),
		p.withPushTools(p.pushCommand()),
		p.warmCommand(),
		p.edgeCommand(),
		p.migrateCommand(),
		p.seedCommand(),
		p.sandboxCommand(),
		p.configCommand(),
		p.versionCommand(),
	)
	asUsageErrors(root)
	return root
}

// asUsageErrors makes wrong arguments of every command usage errors, which
// exit with status 2.
func asUsageErrors(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usagef("%w (see %s --help)", err, cmd.CommandPath())
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		asUsageErrors(sub)
	}
}

// opsListen is where the ops listener of a role is if nobody says otherwise:
// roles that share a machine shall not meet there.
var opsListen = map[string]string{
	roleDev: "127.0.0.1:8090", roleAPI: "127.0.0.1:8090", rolePush: "127.0.0.1:8091",
	roleWarm: "127.0.0.1:8092", roleEdge: "127.0.0.1:8093", roleSandbox: "127.0.0.1:8094",
}

// The long-running roles.
const (
	roleDev     = "dev"
	roleAPI     = "api"
	rolePush    = "push"
	roleWarm    = "warm"
	roleEdge    = "edge"
	roleSandbox = "sandbox"
)

// loadRole is load for a long-running role.
func (p *program) loadRole(name string) (config.Config, error) {
	base := config.Default()
	base.Ops.Listen = opsListen[name]
	return p.load(&base)
}

// load reads the configuration that the arguments name, over base if given.
func (p *program) load(base *config.Config) (config.Config, error) {
	if p.configSet && p.configPath == "" {
		return config.Config{}, usagef("-c needs a file")
	}
	return config.Load(config.Source{Path: p.configPath, Base: base, Environ: p.configEnviron()})
}

// configEnviron is the environment without the FURIMA_ variables that are no
// keys: they would be faults.
func (p *program) configEnviron() []string {
	return slices.DeleteFunc(slices.Clone(p.env.Environ), func(kv string) bool {
		return strings.HasPrefix(kv, pushTokenVariable+"=")
	})
}
