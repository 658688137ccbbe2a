package job

import (
	"context"

	"github.com/furima/furima/internal/sqldb"
)

// The states as the database has them. See migrations.
const (
	stReady     = 1
	stScheduled = 2
	stRunning   = 3
	stDead      = 4
)

func stateOf(n int) State {
	switch n {
	case stReady:
		return Ready
	case stScheduled:
		return Scheduled
	case stRunning:
		return Running
	default:
		return Dead
	}
}

// rowSizes are the numbers of rows in which a statement over many rows exists,
// so that few texts, prepared once, do for any number of rows in few statements.
// They end with maxRows.
var rowSizes = [...]int{1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256}

const (
	maxRows  = 256
	maxBytes = 4 << 20 // payload in one statement: well under any server's max_allowed_packet
)

// sized is a statement in all sizes.
type sized [len(rowSizes)]string

func sizes(make func(n int) string) (s sized) {
	for i, n := range rowSizes {
		s[i] = make(n)
	}
	return s
}

// under returns the text for at most n rows, and for how many it is.
func (s *sized) under(n int) (text string, rows int) {
	i := len(rowSizes) - 1
	for rowSizes[i] > n {
		i--
	}
	return s[i], rowSizes[i]
}

// over returns the text for at least n rows, maxRows at most, and for how many
// it is.
func (s *sized) over(n int) (text string, rows int) {
	i := 0
	for rowSizes[i] < n {
		i++
	}
	return s[i], rowSizes[i]
}

// statements are the texts that are run again and again.
type statements struct {
	// Where nobody else can hold rows in between, a range is leased. In SQLite to
	// copy and delete is twice as quick as to change the primary key in place.
	copyRange                    string // token, lane, at, first id, last id; empty elsewhere
	deleteRange                  string // lane, at, first id, last id
	insertJobs, insertQueue      sized  // rows
	insertKeys, upsertRuns       sized  // rows
	upsertRunAt, upsertProgress  sized  // rows
	upsertSaved                  sized  // rows
	deleteJobs, deleteRuns       sized  // id…
	selectKeys                   sized  // name…
	deleteQueue                  sized  // state, lane, at, id…
	deleteScheduled              sized  // lane, from, to, id…
	selectQueue                  sized  // state, lane, at, id…
	lease                        sized  // token, lane, at, id…
	selectJobs                   sized  // id…
	selectReady, selectDue       string
	selectRunning, selectOrphans string
	insertWorker, beatWorker     string
	deleteWorker, selectWorkers  string
	deleteKey, killWorker        string
	deleteRunning, endWorker     string
}

const (
	jobColumns      = 8
	queueColumns    = 7
	runColumns      = 4
	runAtColumns    = 2
	progressColumns = 3
)

func newStatements(d sqldb.Dialect) *statements {
	rows := func(insert string, columns int, end string) sized {
		return sizes(func(n int) string { return insert + " VALUES " + d.Rows(n, columns) + end })
	}
	in := func(begin, end string) sized {
		return sizes(func(n int) string { return begin + d.In(n) + end })
	}
	copyRange, deleteRange := "", ""
	if d.SkipLocked() == "" {
		const head = " FROM job_queue WHERE state = 1 AND lane = ? AND at = ? AND id BETWEEN ? AND ?"
		copyRange = "INSERT INTO job_queue (state, lane, at, id, priority, attempt, size) SELECT 3, ?, 0, id, priority, attempt + 1, size" + head
		deleteRange = "DELETE" + head
	}
	return &statements{
		copyRange:       copyRange,
		deleteRange:     deleteRange,
		insertJobs:      rows("INSERT INTO jobs (id, kind, job_key, priority, max_attempts, enqueued_at, run_at, payload)", jobColumns, ""),
		insertQueue:     rows("INSERT INTO job_queue (state, lane, at, id, priority, attempt, size)", queueColumns, ""),
		insertKeys:      rows("INSERT INTO job_keys (name, id)", 2, d.Upsert([]string{"name"})),
		upsertRuns:      rows("INSERT INTO job_runs (id, run_at, failed_at, error)", runColumns, d.Upsert([]string{"id"}, "run_at", "failed_at", "error")),
		upsertRunAt:     rows("INSERT INTO job_runs (id, run_at)", runAtColumns, d.Upsert([]string{"id"}, "run_at")),
		upsertProgress:  rows("INSERT INTO job_runs (id, run_at, progress)", progressColumns, d.Upsert([]string{"id"}, "progress")),
		upsertSaved:     rows("INSERT INTO job_runs (id, run_at, progress)", progressColumns, d.Upsert([]string{"id"}, "run_at", "progress")),
		deleteJobs:      in("DELETE FROM jobs WHERE id IN ", ""),
		deleteRuns:      in("DELETE FROM job_runs WHERE id IN ", ""),
		deleteKey:       "DELETE FROM job_keys WHERE name = ? AND id = ?",
		killWorker:      "UPDATE job_workers SET beat = -1 WHERE token = ? AND beat = ?",
		selectKeys:      in("SELECT id FROM job_keys WHERE name IN ", ""),
		deleteQueue:     in("DELETE FROM job_queue WHERE state = ? AND lane = ? AND at = ? AND id IN ", ""),
		deleteScheduled: in("DELETE FROM job_queue WHERE state = 2 AND lane = ? AND at >= ? AND at <= ? AND id IN ", ""),
		selectQueue:     in("SELECT id FROM job_queue WHERE state = ? AND lane = ? AND at = ? AND id IN ", d.LockRows()),
		lease:           in("UPDATE job_queue SET state = 3, lane = ?, at = 0, attempt = attempt + 1 WHERE state = 1 AND lane = ? AND at = ? AND id IN ", ""),
		selectJobs: in("SELECT j.id, j.job_key, j.max_attempts, j.enqueued_at, j.run_at, j.payload, r.run_at, r.progress "+
			"FROM jobs j LEFT JOIN job_runs r ON r.id = j.id WHERE j.id IN ", ""),
		selectReady:   "SELECT at, id, priority, attempt, size FROM job_queue WHERE state = 1 AND lane = ? AND at <= ? ORDER BY at, id LIMIT ?" + d.SkipLocked(),
		selectDue:     "SELECT at, id, priority, attempt, size FROM job_queue WHERE state = 2 AND lane = ? AND at <= ? ORDER BY at, id LIMIT ?" + d.SkipLocked(),
		selectRunning: "SELECT id FROM job_queue WHERE state = 3 AND lane = ?",
		selectOrphans: "SELECT q.id, q.priority, q.attempt, q.size, j.kind, j.job_key, j.max_attempts FROM job_queue q JOIN jobs j ON j.id = q.id " +
			"WHERE q.state = 3 AND q.lane = ? ORDER BY q.at, q.id LIMIT ?" + d.LockRows(),
		deleteRunning: "DELETE FROM job_queue WHERE state = 3 AND lane = ?",
		endWorker:     "UPDATE job_workers SET beat = -1 WHERE token = ?",
		insertWorker:  "INSERT INTO job_workers (token, beat, lease) VALUES (?, ?, ?)",
		beatWorker:    "UPDATE job_workers SET beat = beat + 1 WHERE token = ? AND beat >= 0",
		deleteWorker:  "DELETE FROM job_workers WHERE token = ?",
		selectWorkers: "SELECT token, beat, lease FROM job_workers",
	}
}

// execRows runs an insert of len(rows) rows in as few statements as its sizes
// allow. Bind appends the values of one row.
func execRows[R any](ctx context.Context, tx *sqldb.Tx, s *sized, args []any, rows []R, bind func(args []any, row R) []any) error {
	for len(rows) > 0 {
		text, n := s.under(len(rows))
		args = args[:0]
		for _, r := range rows[:n] {
			args = bind(args, r)
		}
		if _, err := tx.ExecContext(ctx, text, args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// execIn runs a statement that ends in a list of ids, and returns how many rows
// it changed.
func execIn(ctx context.Context, tx *sqldb.Tx, s *sized, ids []any, before ...any) (int64, error) {
	var changed int64
	for len(ids) > 0 {
		n := min(len(ids), maxRows)
		text, args := s.in(ids[:n], before)
		res, err := tx.ExecContext(ctx, text, args...)
		if err != nil {
			return changed, err
		}
		c, err := res.RowsAffected()
		if err != nil {
			return changed, err
		}
		changed += c
		ids = ids[n:]
	}
	return changed, nil
}

// in returns the text for up to maxRows ids, and its arguments. The list is
// filled up to the next size with its last id.
func (s *sized) in(ids []any, before []any) (string, []any) {
	text, n := s.over(len(ids))
	args := make([]any, 0, len(before)+n)
	args = append(args, before...)
	args = append(args, ids...)
	for range n - len(ids) {
		args = append(args, ids[len(ids)-1])
	}
	return text, args
}

// queryIDs runs a query that ends in a list of ids and yields ids.
func queryIDs(ctx context.Context, q sqldb.Querier, s *sized, ids []any, before ...any) ([]int64, error) {
	var found []int64
	for len(ids) > 0 {
		n := min(len(ids), maxRows)
		text, args := s.in(ids[:n], before)
		some, err := scanIDs(ctx, q, text, args...)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
		ids = ids[n:]
	}
	return found, nil
}

func scanIDs(ctx context.Context, q sqldb.Querier, text string, args ...any) (found []int64, err error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		found = append(found, id)
	}
	return found, rows.Err()
}
