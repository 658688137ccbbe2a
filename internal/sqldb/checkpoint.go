package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// SQLite appends what is committed to a write-ahead log and from time to time
// copies it into the database, a checkpoint. Left to itself it does so within a
// commit, whose caller, and all behind it, then wait for megabytes to be written
// and synced; and a log that is written to without a pause is never copied to
// its end, which it must be to begin anew, so it grows. The checkpointer copies
// the bulk in the background while writers go on, and then has them wait for the
// small rest.

const (
	// checkpointAt is the length of the log, in pages of 4 KiB, that is copied. A
	// longer one saves writes (pages that change again are copied once) and costs space.
	checkpointAt = 4096
	// checkpointRest is how much may be left to copy while writers wait.
	checkpointRest = 256
	// checkpointLook is the least time between two looks at the log.
	checkpointLook = 100 * time.Millisecond
	// bulkRounds bounds the rounds in the background before writers wait.
	bulkRounds = 4
	// autoCheckpoint is when SQLite does it itself, should the checkpointer not
	// get to it.
	autoCheckpoint = 8 * checkpointAt
)

type checkpointer struct {
	pool   *sql.DB // one connection of its own
	group  *group
	log    *slog.Logger
	dirty  chan struct{} // capacity 1: there has been a commit
	cancel context.CancelFunc
	wg     sync.WaitGroup
	left   atomic.Int64 // pages of the log that were not copied at the last look
}

// newCheckpointer starts a checkpointer, which close ends.
func newCheckpointer(pool *sql.DB, g *group, log *slog.Logger) *checkpointer {
	ctx, cancel := context.WithCancel(context.Background())
	c := &checkpointer{pool: pool, group: g, log: log, dirty: make(chan struct{}, 1), cancel: cancel}
	c.wg.Go(func() { c.run(ctx) })
	return c
}

func (c *checkpointer) close() error {
	c.cancel()
	c.wg.Wait()
	return c.pool.Close()
}

// committed is called after each commit.
func (c *checkpointer) committed() {
	select {
	case c.dirty <- struct{}{}:
	default:
	}
}

func (c *checkpointer) run(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	troubled := false
	for {
		select {
		case <-c.dirty:
		case <-ctx.Done():
			return
		}
		err := c.step(ctx)
		if err != nil && ctx.Err() == nil && !troubled {
			c.log.Warn("the write-ahead log cannot be copied into the database, it grows", "err", err)
		}
		troubled = err != nil
		pause.Reset(checkpointLook)
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
}

// step copies the log if it is long.
func (c *checkpointer) step(ctx context.Context) error {
	left, err := c.pragma(ctx, "NOOP")
	if err != nil || left < checkpointAt {
		return err
	}
	for range bulkRounds {
		if left, err = c.pragma(ctx, "PASSIVE"); err != nil {
			return err
		}
		if left <= checkpointRest {
			break
		}
	}
	return c.group.pause(ctx, func() error {
		_, err := c.pragma(ctx, "PASSIVE")
		return err
	})
}

// pragma runs a checkpoint of a kind and returns how many pages of the log are
// not copied yet.
func (c *checkpointer) pragma(ctx context.Context, kind string) (left int, err error) {
	var busy, log, copied int
	if err := c.pool.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+kind+")").Scan(&busy, &log, &copied); err != nil {
		return 0, fmt.Errorf("checkpoint: %w", err)
	}
	left = log - copied
	c.left.Store(int64(left))
	return left, nil
}
