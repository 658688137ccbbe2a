package job

import (
	"context"
	"database/sql"
	"fmt"
)

// Sample calls f for live and dead jobs of all kinds with their payloads and their
// progress: for all of them, in the order of their ids, if they are at most most,
// and otherwise for about that many that are spread over the time in which they
// were enqueued. It reports whether it was all. F must not use the queue, and
// must not keep what it is given.
func (q *Queue) Sample(ctx context.Context, most int, f func(kind string, payload, progress []byte)) (all bool, err error) {
	ids, all, err := q.sampleIDs(ctx, most)
	for len(ids) > 0 && err == nil {
		n := min(len(ids), sampleAtOnce)
		err = q.sampleSome(ctx, ids[:n], f)
		ids = ids[n:]
	}
	if err != nil {
		return false, fmt.Errorf("sample jobs: %w", err)
	}
	return all, nil
}

// sampleAtOnce is how many payloads one query reads; sampleRun, how many jobs in
// a row a sample takes.
const (
	sampleAtOnce = 16
	sampleRun    = 8
)

func (q *Queue) sampleIDs(ctx context.Context, most int) (ids []any, all bool, err error) {
	if ids, err = q.idsFrom(ctx, 0, most+1); err != nil || len(ids) <= most {
		return ids, true, err
	}
	first := ids[0].(int64)
	var last int64
	if err := q.db.QueryRowContext(ctx, "SELECT MAX(id) FROM jobs").Scan(&last); err != nil {
		return nil, false, err
	}
	runs := int64(max(most/sampleRun, 1))
	ids = ids[:0]
	next := first
	for i := range runs {
		from := max(next, first+(last-first)/runs*i)
		some, err := q.idsFrom(ctx, from, sampleRun)
		if err != nil {
			return nil, false, err
		}
		ids = append(ids, some...)
		if len(some) > 0 {
			next = some[len(some)-1].(int64) + 1
		}
	}
	return ids, false, nil
}

// idsFrom returns the ids of jobs from one on.
func (q *Queue) idsFrom(ctx context.Context, from int64, limit int) ([]any, error) {
	rows, err := q.db.QueryContext(ctx, "SELECT id FROM jobs WHERE id >= ? ORDER BY id LIMIT ?", from, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []any
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

func (q *Queue) sampleSome(ctx context.Context, ids []any, f func(kind string, payload, progress []byte)) error {
	rows, err := q.db.QueryContext(ctx, "SELECT j.kind, j.payload, r.progress FROM jobs j LEFT JOIN job_runs r ON r.id = j.id WHERE j.id IN "+
		q.db.Dialect().In(len(ids))+" ORDER BY j.id", ids...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var kind string
		var payload, progress sql.RawBytes
		if err := rows.Scan(&kind, &payload, &progress); err != nil {
			return err
		}
		f(kind, payload, progress)
	}
	return rows.Err()
}
