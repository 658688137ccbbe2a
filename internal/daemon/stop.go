package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// stopAll takes the parts down in reverse order of their start.
func (d *Daemon) stopAll(ctx context.Context, deadline time.Time) []error {
	var errs []error
	var running []string
	for p := d.takeLast(); p != nil; p = d.takeLast() {
		if !isDone(d.o.Kill) {
			err := d.stopPart(ctx, deadline, p)
			if err == nil {
				continue
			}
			if !errors.Is(err, errKilledStep) {
				errs = append(errs, fmt.Errorf("stop %s: %w", p.Name, err))
				continue
			}
		}
		p.cancel()
		running = append(running, p.Name)
	}
	if isDone(d.o.Kill) {
		err := ErrKilled
		if len(running) > 0 {
			err = fmt.Errorf("%w: %s", ErrKilled, strings.Join(running, ", "))
		}
		errs = append(errs, err)
	}
	return errs
}

// takeLast claims the part that is next to stop; nil means that none is left
// and none may start any more.
func (d *Daemon) takeLast() *part {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := len(d.parts)
	if n == 0 {
		d.stopped = true
		return nil
	}
	p := d.parts[n-1]
	d.parts = d.parts[:n-1]
	p.claimed = true
	return p
}

// errKilledStep tells stopAll that the kill came while a step was stopping.
var errKilledStep = errors.New("killed")

// stopPart stops one part: its Stop, then the end of its context, then the end
// of its Run. A part whose turn comes after the deadline still gets lateGrace,
// so that one hanging part does not leave the parts under it unclosed.
func (d *Daemon) stopPart(ctx context.Context, deadline time.Time, p *part) error {
	began := time.Now()
	limit := time.NewTimer(max(deadline.Sub(began), 0) + lateGrace)
	defer limit.Stop()
	defer p.cancel()

	stillRunning := func() error {
		d.log.Error("step did not stop", "step", p.Name, "duration_ms", ms(time.Since(began)))
		return fmt.Errorf("still running after %v", d.o.StopTimeout)
	}
	var err error
	if p.Stop != nil {
		c := make(chan error, 1)
		go func() { c <- p.Stop(ctx) }()
		select {
		case err = <-c:
		case <-limit.C:
			return stillRunning()
		case <-d.o.Kill:
			return errKilledStep
		}
	}
	p.cancel()
	if p.done != nil {
		select {
		case <-p.done:
		case <-limit.C:
			return stillRunning()
		case <-d.o.Kill:
			return errKilledStep
		}
	}
	d.mu.Lock()
	if p.err != nil && !p.reported {
		err = join(err, p.err)
	}
	d.mu.Unlock()
	if end := time.Now(); err == nil && end.After(deadline) && began.Before(deadline) {
		err = fmt.Errorf("stopped %v after the deadline", end.Sub(deadline).Round(time.Millisecond))
	}
	d.log.Info("step stopped", "step", p.Name, "duration_ms", ms(time.Since(began)))
	return err
}
