package daemon_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/furima/furima/internal/daemon"
)

var ignoreDuration = cmpopts.IgnoreFields(daemon.CheckReport{}, "DurationMS")

func TestHealthPhases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var starting, up, stopping daemon.Report
		var d *daemon.Daemon
		d = daemon.New(daemon.Options{OnReady: func() {
			up = d.Health().Report(ctx)
			cancel()
		}})
		err := d.Run(ctx, func(ctx context.Context) error {
			d.Health().Add("store", func(context.Context) error { return nil })
			starting = d.Health().Report(ctx)
			d.OnStop("x", func(ctx context.Context) error {
				stopping = d.Health().Report(ctx)
				return nil
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		ok := []daemon.CheckReport{{Name: "store", State: daemon.CheckOK}}
		for _, tt := range []struct{ got, want daemon.Report }{
			{starting, daemon.Report{Phase: "starting", Checks: ok}},
			{up, daemon.Report{Ready: true, Phase: "ready", Checks: ok}},
			{stopping, daemon.Report{Phase: "stopping", Checks: ok}},
		} {
			if diff := cmp.Diff(tt.want, tt.got, ignoreDuration); diff != "" {
				t.Error(diff)
			}
		}
	})
}

func TestHealthChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := daemon.NewHealth()
		var asked, hung atomic.Int32
		release := make(chan struct{})
		h.Add("queue", func(context.Context) error {
			asked.Add(1)
			return errors.New("table is missing")
		})
		h.Add("slow", func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		h.Add("deaf", func(context.Context) error {
			hung.Add(1)
			<-release
			return nil
		})
		want := []daemon.CheckReport{
			{Name: "queue", State: daemon.CheckFailing, Error: "table is missing"},
			{Name: "slow", State: daemon.CheckFailing, Error: "no answer within 2s"},
			{Name: "deaf", State: daemon.CheckFailing, Error: "no answer within 2s"},
		}
		began := time.Now()
		for range 3 { // the first takes two seconds, after which its result is stale
			r := h.Report(t.Context())
			if diff := cmp.Diff(want, r.Checks, ignoreDuration); diff != "" {
				t.Error(diff)
			}
		}
		if took := time.Since(began); took != 6*time.Second {
			t.Errorf("three reports took %v", took)
		}
		if hung.Load() != 1 {
			t.Errorf("a check that hangs was called %d times", hung.Load())
		}
		close(release)
		synctest.Wait()
		r := h.Report(t.Context())
		if got := r.Checks[2]; got.State != daemon.CheckOK {
			t.Errorf("after it has answered: %+v", got)
		}
	})
}

// What is only watched is told, and leaves the daemon ready.
func TestHealthWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var got daemon.Report
		var d *daemon.Daemon
		d = daemon.New(daemon.Options{OnReady: func() {
			got = d.Health().Report(ctx)
			cancel()
		}})
		d.Health().Watch("providers", func(context.Context) error { return errors.New("one refuses the app") })
		d.Health().Add("store", func(context.Context) error { return nil })
		if err := d.Run(ctx, func(context.Context) error { return nil }); err != nil {
			t.Fatal(err)
		}
		want := daemon.Report{Ready: true, Phase: "ready", Checks: []daemon.CheckReport{
			{Name: "providers", State: daemon.CheckDegraded, Error: "one refuses the app"},
			{Name: "store", State: daemon.CheckOK},
		}}
		if diff := cmp.Diff(want, got, ignoreDuration); diff != "" {
			t.Error(diff)
		}
	})
}

func TestHealthIsCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := daemon.NewHealth()
		asked := 0
		h.Add("store", func(context.Context) error { asked++; return nil })
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for range 10 {
			if r := h.Report(gone); r.Checks[0].State != daemon.CheckOK {
				t.Errorf("an asker that has gone changed the result: %+v", r)
			}
			time.Sleep(250 * time.Millisecond)
		}
		if asked != 3 {
			t.Errorf("asked %d times in 2.25 s", asked)
		}
		h.Add("queue", func(context.Context) error { return nil })
		if r := h.Report(t.Context()); len(r.Checks) != 2 {
			t.Errorf("a new check is missing: %+v", r)
		}
	})
}
