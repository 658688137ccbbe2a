package job

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/furima/furima/internal/sqldb"
)

// watchEvery is how often a queue looks after the workers of other processes.
const watchEvery = time.Second

// beatSeen is the beat of another process's worker as it was first seen.
type beatSeen struct {
	beat  int64
	since time.Time
}

// watch takes jobs back from workers that died, and counts jobs for the
// metrics, until ctx ends.
func (q *Queue) watch(ctx context.Context) {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	seen := map[int64]beatSeen{}
	var counted time.Time
	for {
		if err := q.rescue(ctx, seen); err != nil && ctx.Err() == nil {
			q.trouble(err)
		}
		if q.measured && time.Since(counted) >= statsEvery {
			if err := q.count(ctx); err != nil && ctx.Err() == nil {
				q.trouble(err)
			}
			counted = time.Now()
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// rescue takes the jobs of dead workers back. A worker is dead when its beat has not changed
// for the time of its lease, by this process's own clock: clocks that differ or
// jump kill nobody. Where the database can tell that its process has ended, it
// is dead at once.
func (q *Queue) rescue(ctx context.Context, seen map[int64]beatSeen) error {
	workers, err := q.workerRows(ctx)
	if err != nil {
		return err
	}
	now := q.now()
	for token := range seen {
		if !slices.ContainsFunc(workers, func(w workerRow) bool { return w.token == token }) {
			delete(seen, token)
		}
	}
	for _, w := range workers {
		if q.isOwn(w.token) {
			continue
		}
		s, known := seen[w.token]
		if !known || s.beat != w.beat {
			s = beatSeen{w.beat, now}
			seen[w.token] = s
		}
		if w.beat >= 0 && now.Sub(s.since) < w.lease && !q.db.Gone(w.token) {
			continue
		}
		if err := q.bury(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

type workerRow struct {
	token, beat int64
	lease       time.Duration
}

func (q *Queue) workerRows(ctx context.Context) (workers []workerRow, err error) {
	rows, err := q.db.QueryContext(ctx, q.sql.selectWorkers)
	if err != nil {
		return nil, fmt.Errorf("look after workers: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var w workerRow
		var lease int64
		if err := rows.Scan(&w.token, &w.beat, &lease); err != nil {
			return nil, fmt.Errorf("look after workers: %w", err)
		}
		w.lease = time.Duration(lease) * time.Microsecond
		workers = append(workers, w)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look after workers: %w", err)
	}
	return workers, nil
}

func (q *Queue) isOwn(token int64) bool {
	q.mu.RLock()
	defer q.mu.RUnlock()
	return q.sessions[token] != nil
}

// bury ends a dead worker's session and gives its jobs to others.
func (q *Queue) bury(ctx context.Context, w workerRow) error {
	if w.beat >= 0 {
		// From here on the worker itself is told that it is dead, should it wake up.
		killed := false
		err := q.db.Tx(ctx, func(tx *sqldb.Tx) error {
			res, err := tx.ExecContext(ctx, q.sql.killWorker, w.token, w.beat)
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			killed = n > 0
			return err
		})
		if err != nil {
			return fmt.Errorf("end the session of a dead worker: %w", err)
		}
		if !killed {
			return nil // it lives, or somebody else was quicker
		}
	}
	total := 0
	for {
		n, err := q.reclaim(ctx, w.token, nil)
		total += n
		if err != nil {
			return err
		}
		if n < maxRows {
			break
		}
	}
	err := q.db.Tx(ctx, func(tx *sqldb.Tx) error {
		// Rows without a job, if such a thing can be, would stay for ever.
		if _, err := tx.ExecContext(ctx, q.sql.deleteRunning, w.token); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, q.sql.deleteWorker, w.token)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete the session of a dead worker: %w", err)
	}
	if total > 0 {
		q.log.Warn("jobs of a worker that died are taken back", "jobs", total)
	}
	return nil
}

// orphan is a running job that nobody runs.
type orphan struct {
	queued
	key         string
	maxAttempts int64
	dead        bool
	runAt       int64 // 0: now
}

// leaseError is the error of a job that was given up because it took its
// workers down with it.
const leaseError = "the worker died or stalled while it ran"

// reclaim gives up to maxRows jobs of a session to others, those with the given ids or all.
// The attempt counts: a job that kills its process must not do so for ever.
func (q *Queue) reclaim(ctx context.Context, token any, only []int64) (int, error) {
	var orphans []orphan
	err := q.db.Tx(ctx, func(tx *sqldb.Tx) error {
		var err error
		if orphans, err = q.orphans(ctx, tx, token, only); err != nil || len(orphans) == 0 {
			return err
		}
		return q.adopt(ctx, tx, token, orphans)
	})
	if err != nil {
		return 0, fmt.Errorf("take back jobs of a dead worker: %w", err)
	}
	q.metrics.reclaimed.Add(float64(len(orphans)))
	for _, o := range orphans {
		q.wake(o.kind.lane)
	}
	return len(orphans), nil
}

func (q *Queue) orphans(ctx context.Context, tx *sqldb.Tx, token any, only []int64) (found []orphan, err error) {
	limit := maxRows
	if only != nil {
		limit = 1 << 20 // a worker's jobs are few; those asked for may be anywhere among them
	}
	rows, err := tx.QueryContext(ctx, q.sql.selectOrphans, token, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var o orphan
		var name string
		if err := rows.Scan(&o.id, &o.priority, &o.attempt, &o.size, &name, &o.key, &o.maxAttempts); err != nil {
			return nil, err
		}
		if only == nil || slices.Contains(only, o.id) {
			o.kind = q.kinds.get(name)
			found = append(found, o)
		}
	}
	return found, rows.Err()
}

// quickReturns is how many times a job whose worker died comes back at once.
// After that it waits as after a failure.
const quickReturns = 5

// adopt moves orphans to where they belong.
func (q *Queue) adopt(ctx context.Context, tx *sqldb.Tx, token any, orphans []orphan) error {
	now := q.now()
	ids := make([]any, len(orphans))
	var deaths, waits []*orphan
	for i := range orphans {
		o := &orphans[i]
		ids[i], o.dead, o.runAt = o.id, o.attempt >= o.maxAttempts, 0
		switch {
		case o.dead:
			deaths = append(deaths, o)
		case o.attempt > quickReturns:
			o.runAt = sqldb.Micros(now.Add(DefaultBackoff(int(o.attempt - quickReturns))))
			waits = append(waits, o)
		}
	}
	if _, err := execIn(ctx, tx, &q.sql.deleteQueue, ids, int64(stRunning), token, int64(0)); err != nil {
		return err
	}
	err := execRows(ctx, tx, &q.sql.insertQueue, nil, orphans, func(args []any, o orphan) []any {
		state, at := stReady, -o.priority
		switch {
		case o.dead:
			state, at = stDead, 0
		case o.runAt > 0:
			state, at = stScheduled, o.runAt
		}
		return append(args, int64(state), o.kind.laneArg, at, o.id, o.priority, o.attempt, o.size)
	})
	if err != nil {
		return err
	}
	for _, o := range deaths {
		if o.key != "" {
			if _, err := tx.ExecContext(ctx, q.sql.deleteKey, o.key, o.id); err != nil {
				return err
			}
		}
	}
	at := sqldb.Micros(now)
	err = execRows(ctx, tx, &q.sql.upsertRuns, nil, deaths, func(args []any, o *orphan) []any {
		return append(args, o.id, at, at, leaseError)
	})
	if err != nil {
		return err
	}
	return execRows(ctx, tx, &q.sql.upsertRunAt, nil, waits, func(args []any, o *orphan) []any {
		return append(args, o.id, o.runAt)
	})
}

// signOff ends the session of a worker that stops. What it should still have is
// given to others at once.
func (q *Queue) signOff(ctx context.Context, s *session) error {
	err := q.db.Tx(ctx, func(tx *sqldb.Tx) error {
		left, err := scanIDs(ctx, tx, q.sql.selectRunning, s.tokenArg)
		if err != nil {
			return err
		}
		if len(left) == 0 {
			_, err = tx.ExecContext(ctx, q.sql.deleteWorker, s.tokenArg)
			return err
		}
		_, err = tx.ExecContext(ctx, q.sql.endWorker, s.tokenArg)
		return err
	})
	if err != nil {
		return fmt.Errorf("sign off: %w", err)
	}
	return nil
}
