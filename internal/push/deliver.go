package push

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/furima/furima/internal/job"
)

// maxBatch is how many messages a sender is given at once. Their results are
// held in memory until the next checkpoint.
const maxBatch = 2000

// saveTimeout is how long a delivery tries to write down what it has done. What
// it cannot write down will be sent again.
const saveTimeout = 30 * time.Second

// persist calls write until it succeeds: a database that is away for a moment
// is no reason to send everything twice. It gives up when ctx has ended, after
// one try, or save has.
func persist(ctx, save context.Context, write func() error) error {
	for n := 0; ; n++ {
		err := write()
		if err == nil || ctx.Err() != nil || save.Err() != nil || errors.Is(err, job.ErrLeaseLost) {
			return err
		}
		t := time.NewTimer(backoff(100*time.Millisecond, 5*time.Second, n))
		select {
		case <-t.C:
		case <-ctx.Done():
		case <-save.Done():
		}
		t.Stop()
	}
}

// report writes the one line that a job's run leaves in the log. Of one that
// simply went well it is for those who look closely: at a hundred thousand
// messages a second the log would be most of the work. d.mu is held.
func (g *Gateway) report(d *delivery, left int, wait time.Duration) {
	t := &d.prog.counts
	level := slog.LevelInfo
	if left == 0 && t.byState[sent] == d.total && d.job.Attempt == 1 && d.prog.round == 0 {
		level = slog.LevelDebug
	}
	if !g.logger.Enabled(context.Background(), level) {
		return
	}
	l := d.pump.l
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs,
		slog.String("app", l.app), slog.String("provider", string(l.platform)), slog.Int64("job_id", d.job.ID),
		slog.Int("total", d.total), slog.Int("sent", t.byState[sent]))
	for s, name := range stateNames {
		if n := t.byState[s]; n > 0 && state(s) != sent {
			attrs = append(attrs, slog.Int(name, n))
		}
	}
	if left > 0 {
		attrs = append(attrs, slog.Int("waiting", left), slog.Float64("retry_in_ms", float64(wait.Microseconds())/1000))
	}
	attrs = append(attrs, slog.Float64("duration_ms", float64(time.Since(d.started).Microseconds())/1000))
	g.logger.LogAttrs(context.Background(), level, "push batch", attrs...)
}
