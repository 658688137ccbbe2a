package job

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"github.com/furima/furima/internal/sqldb"
)

// readJobs reads what leased jobs are and gives them to f in the order of the
// leases. A lease whose job is gone is passed over.
func (w *Worker) readJobs(ctx context.Context, leases []*lease, f func(*Job)) error {
	for len(leases) > 0 {
		n := min(len(leases), maxRows)
		jobs, err := w.readSome(ctx, leases[:n])
		if err != nil {
			return fmt.Errorf("read leased jobs: %w", err)
		}
		for _, j := range jobs {
			if j != nil {
				j.lease.maxAttempts = int64(j.MaxAttempts)
				f(j)
			}
		}
		leases = leases[n:]
	}
	return nil
}

func (w *Worker) readSome(ctx context.Context, leases []*lease) ([]*Job, error) {
	q := w.q
	ids := make([]any, len(leases))
	place := make(map[int64]int, len(leases))
	for i, l := range leases {
		ids[i], place[l.id] = l.idArg, i
	}
	text, args := q.sql.selectJobs.in(ids, nil)
	rows, err := q.db.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	jobs := make([]*Job, len(leases))
	for rows.Next() {
		j := &Job{committer: q.committer, worker: w}
		var enqueued, runAt int64
		var again sql.NullInt64
		if err := rows.Scan(&j.ID, &j.Key, &j.MaxAttempts, &enqueued, &runAt, &j.Payload, &again, &j.Progress); err != nil {
			return nil, err
		}
		i := place[j.ID]
		l := leases[i]
		if again.Valid {
			l.hasRun.Store(true)
			runAt = again.Int64
		}
		l.key, l.runAt = j.Key, runAt
		j.Kind, j.Priority, j.Attempt = l.kind.name, int(l.priority), int(l.attempt)
		j.EnqueuedAt, j.RunAt = sqldb.FromMicros(enqueued), sqldb.FromMicros(runAt)
		j.lease = l
		jobs[i] = j
	}
	return jobs, rows.Err()
}

// Job returns what is known about a job, or ErrNotFound.
func (q *Queue) Job(ctx context.Context, id int64) (Info, error) {
	var info Info
	err := q.db.ReadTx(ctx, func(tx *sqldb.Tx) error {
		infos, err := q.infos(ctx, tx, []int64{id}, true)
		if err != nil {
			return err
		}
		if len(infos) == 0 {
			return ErrNotFound
		}
		info = infos[0]
		places, err := q.find(ctx, tx, infos, "")
		if err != nil {
			return err
		}
		p, ok := places[id]
		if !ok {
			return ErrNotFound
		}
		info.State, info.Attempt = stateOf(p.state), int(p.attempt)
		if info.State == Scheduled {
			info.RunAt = sqldb.FromMicros(p.at)
		}
		return nil
	})
	if err != nil {
		return Info{}, fmt.Errorf("job %d: %w", id, err)
	}
	return info, nil
}

// infos reads all about jobs except where they are, and their payloads if asked to.
func (q *Queue) infos(ctx context.Context, r sqldb.Querier, ids []int64, payloads bool) ([]Info, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	bytes := "NULL, NULL"
	if payloads {
		bytes = "j.payload, r.progress"
	}
	rows, err := r.QueryContext(ctx, "SELECT j.id, j.kind, j.job_key, j.priority, j.max_attempts, j.enqueued_at, j.run_at, r.run_at, r.failed_at, r.error, "+bytes+" "+
		"FROM jobs j LEFT JOIN job_runs r ON r.id = j.id WHERE j.id IN "+q.db.Dialect().In(len(args))+" ORDER BY j.id", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var infos []Info
	for rows.Next() {
		var i Info
		var enqueued, runAt int64
		var again, failed sql.NullInt64
		var text sql.NullString
		if err := rows.Scan(&i.ID, &i.Kind, &i.Key, &i.Priority, &i.MaxAttempts, &enqueued, &runAt, &again, &failed, &text, &i.Payload, &i.Progress); err != nil {
			return nil, err
		}
		if again.Valid {
			runAt = again.Int64
		}
		if failed.Int64 != 0 {
			i.FailedAt = sqldb.FromMicros(failed.Int64)
		}
		i.EnqueuedAt, i.RunAt, i.Error = sqldb.FromMicros(enqueued), sqldb.FromMicros(runAt), text.String
		infos = append(infos, i)
	}
	return infos, rows.Err()
}

// Dead lists dead jobs with ids above after, in the order of their ids, at most
// limit. An empty kind means all.
func (q *Queue) Dead(ctx context.Context, kind string, after int64, limit int) ([]Info, error) {
	var infos []Info
	err := q.db.ReadTx(ctx, func(tx *sqldb.Tx) error {
		text, args := "SELECT id, attempt FROM job_queue WHERE state = 4 AND id > ? ORDER BY id LIMIT ?", []any{after, limit}
		if kind != "" {
			text = "SELECT id, attempt FROM job_queue WHERE state = 4 AND lane = ? AND at = 0 AND id > ? ORDER BY id LIMIT ?"
			args = []any{laneOf(kind), after, limit}
		}
		rows, err := tx.QueryContext(ctx, text, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		var ids []int64
		attempts := map[int64]int{}
		for rows.Next() {
			var id int64
			var attempt int
			if err := rows.Scan(&id, &attempt); err != nil {
				return err
			}
			ids = append(ids, id)
			attempts[id] = attempt
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if infos, err = q.infos(ctx, tx, ids, true); err != nil {
			return err
		}
		for i := range infos {
			infos[i].State, infos[i].Attempt = Dead, attempts[infos[i].ID]
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list dead jobs: %w", err)
	}
	return infos, nil
}

// statsCache keeps the last Stats: to count a long queue takes a while.
type statsCache struct {
	mu    sync.Mutex
	stats []Stat
	made  time.Time
	took  time.Duration
}

// What takes longer than statsFree to count is kept for statsShare times as long
// as it took beyond that.
const (
	statsFree  = 50 * time.Millisecond
	statsShare = 20
)

// statsEvery is how often the jobs are counted for the metrics.
const statsEvery = 15 * time.Second

// Stats counts the jobs by kind and state. To count a million takes some tenths of a second, so
// what was counted a moment ago is returned again: the larger the queue, the
// longer the moment, and nothing of a short queue.
func (q *Queue) Stats(ctx context.Context) ([]Stat, error) {
	c := &q.stats
	c.mu.Lock()
	defer c.mu.Unlock()
	began := time.Now()
	if began.Sub(c.made) < c.took*statsShare {
		return c.stats, nil
	}
	stats, err := q.countJobs(ctx)
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	c.stats, c.made, c.took = stats, time.Now(), max(time.Since(began)-statsFree, 0)
	return stats, nil
}

func (q *Queue) countJobs(ctx context.Context) ([]Stat, error) {
	var stats []Stat
	err := q.db.ReadTx(ctx, func(tx *sqldb.Tx) error {
		stats = nil
		// Of running jobs the lane does not tell the kind, but they are few.
		for _, text := range []string{
			"SELECT q.state, j.kind, q.n, q.size, j.enqueued_at FROM (SELECT state, lane, COUNT(*) AS n, SUM(size) AS size, MIN(id) AS id FROM job_queue WHERE state IN (1, 2, 4) GROUP BY state, lane) q JOIN jobs j ON j.id = q.id",
			"SELECT 3, j.kind, COUNT(*), SUM(q.size), MIN(j.enqueued_at) FROM job_queue q JOIN jobs j ON j.id = q.id WHERE q.state = 3 GROUP BY j.kind",
		} {
			rows, err := tx.QueryContext(ctx, text)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var s Stat
				var state int
				var oldest int64
				if err := rows.Scan(&state, &s.Kind, &s.Count, &s.Bytes, &oldest); err != nil {
					return err
				}
				s.State, s.Oldest = stateOf(state), sqldb.FromMicros(oldest)
				stats = append(stats, s)
			}
			if err := rows.Err(); err != nil {
				return err
			}
		}
		return nil
	})
	return stats, err
}

// count puts the numbers of jobs into the metrics.
func (q *Queue) count(ctx context.Context) error {
	stats, err := q.Stats(ctx)
	if err != nil {
		return err
	}
	now := q.now()
	q.metrics.jobs.Reset()
	q.metrics.oldest.Reset()
	for _, s := range stats {
		q.metrics.jobs.WithLabelValues(s.Kind, string(s.State)).Set(float64(s.Count))
		if s.State == Ready {
			q.metrics.oldest.WithLabelValues(s.Kind).Set(max(now.Sub(s.Oldest), 0).Seconds())
		}
	}
	return nil
}
