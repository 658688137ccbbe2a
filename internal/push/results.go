package push

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/sqldb"
)

// results reads what the recorder has written, and forgets what is old.
type results struct{ db *sqldb.DB }

// has reports whether a job's end is on record.
func (r results) has(ctx context.Context, jobID int64) (bool, error) {
	rows, err := r.db.QueryContext(ctx, "SELECT job_id FROM push_results WHERE job_id = ?", jobID)
	if err != nil {
		return false, fmt.Errorf("look for results of job %d: %w", jobID, err)
	}
	defer rows.Close()
	found := rows.Next()
	if err := rows.Err(); err != nil {
		return false, fmt.Errorf("look for results of job %d: %w", jobID, err)
	}
	return found, nil
}

// among returns which of the jobs' ends are on record.
func (r results) among(ctx context.Context, jobIDs []int64) (map[int64]bool, error) {
	ended := make(map[int64]bool)
	for some := range slices.Chunk(jobIDs, resultRows[0]) {
		args := make([]any, resultRows[0])
		for i := range args {
			args[i] = some[min(i, len(some)-1)] // one text for any number
		}
		if err := r.mark(ctx, ended, args); err != nil {
			return nil, fmt.Errorf("look for results of %d jobs: %w", len(jobIDs), err)
		}
	}
	return ended, nil
}

func (r results) mark(ctx context.Context, ended map[int64]bool, args []any) error {
	rows, err := r.db.QueryContext(ctx, "SELECT job_id FROM push_results WHERE job_id IN "+r.db.Dialect().In(len(args)), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		ended[id] = true
	}
	return rows.Err()
}

// get returns how a job ended, or nil if nothing is on record.
func (r results) get(ctx context.Context, jobID int64) (*outcome, error) {
	rows, err := r.db.QueryContext(ctx, "SELECT "+resultColumns+" FROM push_results WHERE job_id = ?", jobID)
	if err != nil {
		return nil, fmt.Errorf("read results of job %d: %w", jobID, err)
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("read results of job %d: %w", jobID, err)
		}
		return nil, nil
	}
	var o outcome
	var created, finished int64
	var reasons string
	c := &o.counts.byState
	err = rows.Scan(&o.jobID, &o.app, &created, &finished, &o.total,
		&c[sent], &c[unregistered], &c[rejected], &c[expired], &c[cancelled], &reasons)
	if err != nil {
		return nil, fmt.Errorf("read results of job %d: %w", jobID, err)
	}
	o.created = sqldb.FromMicros(created)
	if err := json.Unmarshal([]byte(reasons), &o.counts.reasons); err != nil {
		return nil, fmt.Errorf("read reasons of job %d: %w", jobID, err)
	}
	return &o, nil
}

// feedback returns dead tokens after the given id, of the apps that may be
// seen, and the id to go on from.
func (r results) feedback(ctx context.Context, a access, after int64, limit int) ([]client.DeadToken, int64, error) {
	query, args := "SELECT id, app, platform, token, reason, since_at FROM push_feedback WHERE id > ?", []any{after}
	if !a.all {
		query += " AND app IN " + r.db.Dialect().In(len(a.apps))
		for _, app := range a.apps {
			args = append(args, app)
		}
	}
	rows, err := r.db.QueryContext(ctx, query+" ORDER BY id LIMIT ?", append(args, limit)...)
	if err != nil {
		return nil, 0, fmt.Errorf("read feedback: %w", err)
	}
	defer rows.Close()
	tokens := []client.DeadToken{}
	for rows.Next() {
		var t client.DeadToken
		var since int64
		if err := rows.Scan(&after, &t.App, &t.Platform, &t.Token, &t.Reason, &since); err != nil {
			return nil, 0, fmt.Errorf("read feedback: %w", err)
		}
		t.Time = sqldb.FromMicros(since)
		tokens = append(tokens, t)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, fmt.Errorf("read feedback: %w", err)
	}
	return tokens, after, nil
}

// firstSince returns the feedback id after which everything is younger.
func (r results) firstSince(ctx context.Context, since time.Time) (int64, error) {
	rows, err := r.db.QueryContext(ctx, "SELECT id FROM push_feedback WHERE created_at >= ? ORDER BY created_at, id LIMIT 1", sqldb.Micros(since))
	if err != nil {
		return 0, fmt.Errorf("look for feedback: %w", err)
	}
	defer rows.Close()
	id := int64(1)
	if rows.Next() {
		if err := rows.Scan(&id); err != nil {
			return 0, fmt.Errorf("look for feedback: %w", err)
		}
	}
	return id - 1, rows.Err()
}

// died calls f for dead tokens after the given id and when they were put on
// record, and returns the id to go on from.
func (r results) died(ctx context.Context, after int64, limit int, f func(t deadToken, at time.Time)) (int64, error) {
	rows, err := r.db.QueryContext(ctx, "SELECT id, app, platform, token, reason, created_at FROM push_feedback WHERE id > ? ORDER BY id LIMIT ?", after, limit)
	if err != nil {
		return after, fmt.Errorf("read dead tokens: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var t deadToken
		var created int64
		if err := rows.Scan(&after, &t.app, &t.platform, &t.token, &t.reason, &created); err != nil {
			return after, fmt.Errorf("read dead tokens: %w", err)
		}
		f(t, sqldb.FromMicros(created))
	}
	if err := rows.Err(); err != nil {
		return after, fmt.Errorf("read dead tokens: %w", err)
	}
	return after, nil
}

// forget deletes results, feedback and idempotency keys that are older than they
// are kept, some at a time. It reports whether there is more.
func (r results) forget(ctx context.Context, resultsBefore, feedbackBefore, keysBefore time.Time) (more bool, err error) {
	for _, f := range []func() (int, error){
		func() (int, error) {
			return forgetSome[int64](ctx, r.db, "push_results", "job_id", "finished_at", resultsBefore)
		},
		func() (int, error) {
			return forgetSome[int64](ctx, r.db, "push_feedback", "id", "created_at", feedbackBefore)
		},
		func() (int, error) {
			return forgetSome[string](ctx, r.db, "push_keys", "key_hash", "created_at", keysBefore)
		},
	} {
		n, err := f()
		if err != nil {
			return false, err
		}
		more = more || n == forgetAtOnce
	}
	return more, nil
}

// forgetAtOnce is how many rows one transaction deletes.
const forgetAtOnce = 1000

// forgetSome deletes old rows of a table whose primary key is of type K.
func forgetSome[K any](ctx context.Context, db *sqldb.DB, table, key, column string, before time.Time) (int, error) {
	// The keys first: neither engine takes a limit in DELETE as the other does.
	ids, err := oldKeys[K](ctx, db, table, key, column, before)
	if err == nil && len(ids) > 0 {
		err = db.Tx(ctx, func(tx *sqldb.Tx) error {
			_, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE "+key+" IN "+tx.Dialect().In(len(ids)), ids...)
			return err
		})
	}
	if err != nil {
		return 0, fmt.Errorf("forget old rows of %s: %w", table, err)
	}
	return len(ids), nil
}

func oldKeys[K any](ctx context.Context, db *sqldb.DB, table, key, column string, before time.Time) ([]any, error) {
	rows, err := db.QueryContext(ctx, "SELECT "+key+" FROM "+table+" WHERE "+column+" < ? ORDER BY "+column+" LIMIT ?", sqldb.Micros(before), forgetAtOnce)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []any
	for rows.Next() {
		var id K
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// encodeCursor and decodeCursor are the outside form of a feedback id.
func encodeCursor(id int64) string { return "fb_" + strconv.FormatInt(id, 36) }

func decodeCursor(s string) (int64, bool) {
	if s == "" {
		return 0, true
	}
	if len(s) < 4 || s[:3] != "fb_" {
		return 0, false
	}
	id, err := strconv.ParseInt(s[3:], 36, 64)
	return id, err == nil && id >= 0
}
