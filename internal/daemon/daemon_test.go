package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/daemon"
)

// journal records what happens, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(s string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, s)
}

func (j *journal) want(t *testing.T, lines ...string) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if diff := cmp.Diff(lines, j.lines); diff != "" {
		t.Errorf("what happened (-want +got):\n%s", diff)
	}
}

// step is a step that tells the journal what is called.
func (j *journal) step(name string) daemon.Step {
	return daemon.Step{
		Name: name,
		Start: func(context.Context) error {
			j.add(name + " start")
			return nil
		},
		Run: func(ctx context.Context) error {
			<-ctx.Done()
			j.add(name + " end of run")
			return ctx.Err()
		},
		Stop: func(context.Context) error {
			j.add(name + " stop")
			return nil
		},
	}
}

// startAll returns a start function that starts the steps in order.
func startAll(d *daemon.Daemon, steps ...daemon.Step) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, s := range steps {
			if err := d.Start(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}
}

func wantError(t *testing.T, got error, want string) {
	t.Helper()
	if got == nil || got.Error() != want {
		t.Errorf("error:\n got %v\nwant %s", got, want)
	}
}

func TestStopsInReverseOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		ctx, cancel := context.WithCancel(t.Context())
		d := daemon.New(daemon.Options{OnReady: func() {
			j.add("ready")
			cancel()
		}})
		d.OnStop("file", func(context.Context) error {
			j.add("file closed")
			return nil
		})
		if err := d.Run(ctx, startAll(d, j.step("a"), j.step("b"))); err != nil {
			t.Errorf("a clean stop returned %v", err)
		}
		j.want(t, "a start", "b start", "ready", "b stop", "b end of run", "a stop", "a end of run", "file closed")
	})
}

func TestStartsAfterReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		ctx, cancel := context.WithCancel(t.Context())
		d := daemon.New(daemon.Options{OnReady: cancel})
		slow := j.step("slow")
		slow.Ready = func(ctx context.Context) error {
			time.Sleep(5 * time.Second)
			j.add("slow is ready")
			return nil
		}
		if err := d.Run(ctx, startAll(d, slow, j.step("next"))); err != nil {
			t.Error(err)
		}
		j.want(t, "slow start", "slow is ready", "next start",
			"next stop", "next end of run", "slow stop", "slow end of run")
	})
}

func TestDrainDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		d := daemon.New(daemon.Options{DrainDelay: 7 * time.Second, OnReady: cancel})
		var phase string
		var after time.Duration
		s := daemon.Step{Name: "server", Stop: func(ctx context.Context) error {
			phase, after = d.Health().Report(ctx).Phase, time.Since(began)
			return nil
		}}
		go func() {
			time.Sleep(time.Second)
			if r := d.Health().Report(t.Context()); r.Ready || r.Phase != daemon.PhaseStopping {
				t.Errorf("while draining: %+v", r)
			}
		}()
		if err := d.Run(ctx, startAll(d, s)); err != nil {
			t.Error(err)
		}
		if phase != daemon.PhaseStopping || after != 7*time.Second {
			t.Errorf("stopped in phase %q after %v", phase, after)
		}
	})
}

func TestEarlyErrorStopsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		boom := errors.New("disk gone")
		d := daemon.New(daemon.Options{DrainDelay: 10 * time.Second})
		began := time.Now()
		err := d.Run(t.Context(), startAll(d, j.step("store"), daemon.Step{Name: "jobs", Run: func(context.Context) error {
			time.Sleep(3 * time.Second)
			return boom
		}}, j.step("api")))
		wantError(t, err, "jobs: disk gone")
		if !errors.Is(err, boom) {
			t.Error("the cause is not in the chain")
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("took %v: a broken daemon must not drain", took)
		}
		j.want(t, "store start", "api start", "api stop", "api end of run", "store stop", "store end of run")
	})
}

func TestEarlyErrorDuringStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := daemon.New(daemon.Options{})
		err := d.Run(t.Context(), func(ctx context.Context) error {
			if err := d.Start(ctx, daemon.Step{Name: "jobs", Run: func(context.Context) error {
				time.Sleep(time.Second)
				return errors.New("no table")
			}}); err != nil {
				return err
			}
			<-ctx.Done() // a long migration
			return d.Start(ctx, daemon.Step{Name: "api"})
		})
		wantError(t, err, "jobs: no table")
	})
}

func TestStepEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		d := daemon.New(daemon.Options{})
		go func() {
			time.Sleep(time.Minute)
			cancel()
		}()
		began := time.Now()
		if err := d.Run(ctx, startAll(d, daemon.Step{Name: "once", Run: func(context.Context) error { return nil }})); err != nil {
			t.Error(err)
		}
		if time.Since(began) != time.Minute {
			t.Error("a step that has done its work stopped the daemon")
		}
	})
}

func TestStartErrors(t *testing.T) {
	ended := make(chan struct{})
	tests := []struct {
		name string
		step daemon.Step
		want string
	}{
		{"start", daemon.Step{Start: func(context.Context) error { return errors.New("no such file") }},
			"start b: no such file"},
		{"ready", daemon.Step{
			Run:   func(ctx context.Context) error { <-ctx.Done(); return nil },
			Ready: func(context.Context) error { return errors.New("refused") },
		}, "start b: refused"},
		{"error before ready", daemon.Step{
			Run:   func(context.Context) error { return errors.New("broken") },
			Ready: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		}, "start b: broken"},
		{"end before ready", daemon.Step{
			Run:   func(context.Context) error { close(ended); return nil },
			Ready: func(ctx context.Context) error { <-ended; <-ctx.Done(); return ctx.Err() },
		}, "start b: ended before it was ready"},
		{"context ends while it stops", daemon.Step{
			Start: func(context.Context) error { return context.Canceled },
		}, "start b: context canceled"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var j journal
			d := daemon.New(daemon.Options{OnReady: func() { t.Error("ready") }})
			tt.step.Name = "b"
			err := d.Run(t.Context(), startAll(d, j.step("a"), tt.step, j.step("c")))
			wantError(t, err, tt.want)
			j.want(t, "a start", "a stop", "a end of run")
		})
	}
}

func TestInterruptedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		d := daemon.New(daemon.Options{})
		err := d.Run(ctx, startAll(d, j.step("a"), daemon.Step{Name: "migrate", Start: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}}))
		if err != nil {
			t.Errorf("a signal while starting is a clean stop, got %v", err)
		}
		j.want(t, "a start", "a stop", "a end of run")
	})
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		hang := func(context.Context) error { <-release; return nil }
		failing := j.step("under")
		failing.Stop = func(context.Context) error {
			j.add("under stop")
			return errors.New("flush: disk full")
		}
		d := daemon.New(daemon.Options{StopTimeout: 10 * time.Second, OnReady: cancel})
		began := time.Now()
		err := d.Run(ctx, startAll(d,
			failing,
			daemon.Step{Name: "deaf", Run: hang},
			daemon.Step{Name: "late", Stop: func(context.Context) error { time.Sleep(10*time.Second + 100*time.Millisecond); return nil }},
			j.step("quick"),
		))
		wantError(t, err, "stop late: stopped 100ms after the deadline; stop deaf: still running after 10s; stop under: flush: disk full")
		if took := time.Since(began); took > 11*time.Second {
			t.Errorf("the stop took %v", took)
		}
		j.want(t, "under start", "quick start", "quick stop", "quick end of run", "under stop", "under end of run")
		close(release)
	})
}

func TestDeadlineWhileStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		release := make(chan struct{})
		d := daemon.New(daemon.Options{StopTimeout: 4 * time.Second})
		err := d.Run(ctx, func(context.Context) error { <-release; return nil })
		wantError(t, err, "start: still running after 4s")
		close(release)
	})
}

func TestKill(t *testing.T) {
	tests := []struct {
		name string
		step func(release chan struct{}) daemon.Step
	}{
		{"in stop", func(release chan struct{}) daemon.Step {
			return daemon.Step{Name: "slow", Stop: func(context.Context) error { <-release; return nil }}
		}},
		{"in run", func(release chan struct{}) daemon.Step {
			return daemon.Step{Name: "slow", Run: func(context.Context) error { <-release; return nil }}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				kill, release := make(chan struct{}), make(chan struct{})
				d := daemon.New(daemon.Options{Kill: kill, OnReady: cancel})
				time.AfterFunc(2*time.Second, func() { close(kill) })
				began := time.Now()
				var j journal
				err := d.Run(ctx, startAll(d, j.step("store"), tt.step(release), j.step("quick")))
				wantError(t, err, "killed before everything had stopped: slow, store")
				if !errors.Is(err, daemon.ErrKilled) || time.Since(began) != 2*time.Second {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
				close(release)
				synctest.Wait()
				j.want(t, "store start", "quick start", "quick stop", "quick end of run", "store end of run")
			})
		})
	}
}

func TestKillWhileStartingAndDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kill, release := make(chan struct{}), make(chan struct{})
		close(kill)
		d := daemon.New(daemon.Options{Kill: kill})
		err := d.Run(t.Context(), func(context.Context) error { <-release; return nil })
		wantError(t, err, "killed before everything had stopped")
		close(release)

		kill = make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		d = daemon.New(daemon.Options{Kill: kill, DrainDelay: 20 * time.Second, OnReady: cancel})
		time.AfterFunc(time.Second, func() { close(kill) })
		began := time.Now()
		err = d.Run(ctx, startAll(d, daemon.Step{Name: "api"}))
		wantError(t, err, "killed before everything had stopped: api")
		if time.Since(began) != time.Second {
			t.Errorf("drained for %v", time.Since(began))
		}
	})
}

func TestErrorsWhileStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		d := daemon.New(daemon.Options{OnReady: cancel})
		err := d.Run(ctx, startAll(d,
			daemon.Step{Name: "a", Run: func(ctx context.Context) error {
				<-ctx.Done()
				return errors.New("flush")
			}},
			// b breaks while c is stopping: reported once, under its own name.
			daemon.Step{Name: "b", Run: func(context.Context) error {
				time.Sleep(time.Second)
				return errors.New("lost")
			}},
			daemon.Step{Name: "c", Stop: func(context.Context) error {
				time.Sleep(2 * time.Second)
				return errors.New("close")
			}},
		))
		wantError(t, err, "b: lost; stop c: close; stop a: flush")
	})
}

func TestStartAfterStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		d := daemon.New(daemon.Options{OnReady: cancel})
		if err := d.Run(ctx, startAll(d)); err != nil {
			t.Fatal(err)
		}
		wantError(t, d.Start(t.Context(), daemon.Step{Name: "late", Run: func(context.Context) error { return nil }}),
			"start late: the daemon has stopped")
	})
}

func TestLogsEachStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var buf bytes.Buffer
		log := slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		ctx, cancel := context.WithCancelCause(t.Context())
		d := daemon.New(daemon.Options{Logger: log, OnReady: func() { cancel(errors.New("terminated")) }})
		err := d.Run(ctx, startAll(d, daemon.Step{
			Name:  "store",
			Start: func(context.Context) error { time.Sleep(1500 * time.Microsecond); return nil },
			Stop:  func(context.Context) error { time.Sleep(2 * time.Second); return nil },
		}))
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Join([]string{
			`level=INFO msg="step started" step=store duration_ms=1.5`,
			`level=INFO msg=ready duration_ms=1.5`,
			`level=INFO msg=stopping cause=terminated timeout_ms=30000`,
			`level=INFO msg="step stopped" step=store duration_ms=2000`,
			`level=INFO msg=stopped`, ""}, "\n")
		if diff := cmp.Diff(want, buf.String()); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}
