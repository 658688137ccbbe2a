package job

import (
	"context"
	"fmt"
	"slices"

	"github.com/furima/furima/internal/sqldb"
)

// place is where a job is in job_queue.
type place struct {
	state    int
	lane, at int64
	id       int64
	priority int64
	attempt  int64
	size     int64
}

const placeColumns = "state, lane, at, id, priority, attempt, size"

// findRounds is how often find looks for a job that it has not found: it may
// have moved from where find had still to look to where it had looked already.
const findRounds = 3

// find looks where jobs are: there is no index for that, but only few places
// where a job can be. Lock ends the queries.
func (q *Queue) find(ctx context.Context, tx *sqldb.Tx, infos []Info, lock string) (map[int64]place, error) {
	found := make(map[int64]place, len(infos))
	for range findRounds {
		var workers []int64
		for _, i := range infos {
			if _, ok := found[i.ID]; ok {
				continue
			}
			if workers == nil {
				var err error
				if workers, err = scanIDs(ctx, tx, "SELECT token FROM job_workers"); err != nil {
					return nil, err
				}
			}
			p, ok, err := q.findOne(ctx, tx, i, workers, lock)
			if err != nil {
				return nil, err
			}
			if ok {
				found[i.ID] = p
			}
		}
		if len(found) == len(infos) {
			break
		}
	}
	return found, nil
}

func (q *Queue) findOne(ctx context.Context, tx *sqldb.Tx, i Info, workers []int64, lock string) (p place, ok bool, err error) {
	lane := q.kinds.get(i.Kind).laneArg
	probes := [][]any{
		{stReady, lane, int64(-i.Priority)},
		{stScheduled, lane, sqldb.Micros(i.RunAt)},
	}
	for _, token := range workers {
		probes = append(probes, []any{stRunning, token, int64(0)})
	}
	probes = append(probes, []any{stDead, lane, int64(0)})
	for _, probe := range probes {
		rows, err := tx.QueryContext(ctx, "SELECT "+placeColumns+" FROM job_queue WHERE state = ? AND lane = ? AND at = ? AND id = ?"+lock, append(probe, i.ID)...)
		if err != nil {
			return p, false, err
		}
		if rows.Next() {
			ok = true
			err = rows.Scan(&p.state, &p.lane, &p.at, &p.id, &p.priority, &p.attempt, &p.size)
		}
		if cerr := rows.Close(); err == nil {
			err = cerr
		}
		if ok || err != nil {
			return p, ok, err
		}
	}
	return p, false, nil
}

const deletePlace = "DELETE FROM job_queue WHERE state = ? AND lane = ? AND at = ? AND id = ?"

// Cancel removes jobs in any state and returns how many there were. The context
// of a handler that works on one ends: at once in this process, with the next
// heartbeat in others. What that handler returns is of no consequence.
func (q *Queue) Cancel(ctx context.Context, ids ...int64) (int, error) {
	total := 0
	for some := range slices.Chunk(ids, maxRows) {
		n := 0
		err := q.db.Tx(ctx, func(tx *sqldb.Tx) error {
			var err error
			n, err = q.CancelTx(ctx, tx, some...)
			return err
		})
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

// CancelTx is Cancel as part of the caller's transaction. Handlers of this
// process are told when it commits.
func (q *Queue) CancelTx(ctx context.Context, tx *sqldb.Tx, ids ...int64) (int, error) {
	n, err := q.cancel(ctx, tx, ids)
	if err != nil {
		return 0, fmt.Errorf("cancel %d jobs: %w", len(ids), err)
	}
	tx.OnCommit(func() { q.lose(ids) })
	return n, nil
}

func (q *Queue) cancel(ctx context.Context, tx *sqldb.Tx, ids []int64) (int, error) {
	infos, err := q.infos(ctx, tx, ids, false)
	if err != nil {
		return 0, err
	}
	places, err := q.find(ctx, tx, infos, q.db.Dialect().LockRows())
	if err != nil {
		return 0, err
	}
	var gone []any
	for _, i := range infos {
		p, ok := places[i.ID]
		if !ok {
			continue // done in the meantime
		}
		if _, err := tx.ExecContext(ctx, deletePlace, p.state, p.lane, p.at, p.id); err != nil {
			return 0, err
		}
		gone = append(gone, i.ID)
		if i.Key != "" && p.state != stDead {
			if _, err := tx.ExecContext(ctx, q.sql.deleteKey, i.Key, i.ID); err != nil {
				return 0, err
			}
		}
	}
	if _, err := execIn(ctx, tx, &q.sql.deleteJobs, gone); err != nil {
		return 0, err
	}
	_, err = execIn(ctx, tx, &q.sql.deleteRuns, gone)
	return len(gone), err
}

// Retry makes dead jobs ready, with all their attempts, and returns how many.
// One whose key is live again stays dead.
func (q *Queue) Retry(ctx context.Context, ids ...int64) (int, error) {
	total := 0
	for some := range slices.Chunk(ids, maxRows) {
		var retried []Info
		err := q.db.Tx(ctx, func(tx *sqldb.Tx) (err error) {
			retried, err = q.retry(ctx, tx, some)
			return err
		})
		if err != nil {
			return total, fmt.Errorf("retry %d jobs: %w", len(ids), err)
		}
		for _, i := range retried {
			q.wake(q.kinds.get(i.Kind).lane)
		}
		total += len(retried)
	}
	return total, nil
}

func (q *Queue) retry(ctx context.Context, tx *sqldb.Tx, ids []int64) (retried []Info, err error) {
	infos, err := q.infos(ctx, tx, ids, false)
	if err != nil {
		return nil, err
	}
	places, err := q.find(ctx, tx, infos, q.db.Dialect().LockRows())
	if err != nil {
		return nil, err
	}
	for _, i := range infos {
		p, ok := places[i.ID]
		if !ok || p.state != stDead {
			continue
		}
		if i.Key != "" {
			r := &row{New: New{Key: i.Key}, id: i.ID}
			if err := q.claimKeys(ctx, tx, []*row{r}); err != nil {
				return nil, err
			}
			if r.dropped {
				continue
			}
		}
		if _, err := tx.ExecContext(ctx, deletePlace, p.state, p.lane, p.at, p.id); err != nil {
			return nil, err
		}
		if _, err := tx.ExecContext(ctx, q.sql.insertQueue[0], int64(stReady), p.lane, -p.priority, p.id, p.priority, int64(0), p.size); err != nil {
			return nil, err
		}
		retried = append(retried, i)
	}
	return retried, nil
}
