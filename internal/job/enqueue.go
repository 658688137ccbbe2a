package job

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/furima/furima/internal/sqldb"
)

// row is a job on its way into the database.
type row struct {
	New
	kind     *kind
	id       int64
	enqueued int64
	runAt    int64
	due      bool
	dropped  bool      // its key is live
	to       *handover // who it is handed to, or nil
}

// rows checks jobs and makes their rows, all with ids.
func (q *Queue) rows(jobs []New) ([]row, error) {
	now := q.now()
	enqueued := sqldb.Micros(now)
	id := q.ids.next(now, len(jobs))
	rows := make([]row, len(jobs))
	for i, j := range jobs {
		if err := check(j); err != nil {
			if len(jobs) > 1 {
				err = fmt.Errorf("job %d of %d: %w", i+1, len(jobs), err)
			}
			return nil, err
		}
		r := &rows[i]
		r.New, r.kind, r.id, r.enqueued, r.runAt, r.due = j, q.kinds.get(j.Kind), id, enqueued, enqueued, true
		if r.MaxAttempts == 0 {
			r.MaxAttempts = DefaultMaxAttempts
		}
		if j.RunAt.After(now) {
			r.runAt, r.due = sqldb.Micros(j.RunAt), false
		}
		id += idStep
	}
	return rows, nil
}

const maxPriority = 1_000_000

// check holds a job against the limits.
func check(j New) error {
	var problem string
	switch {
	case j.Kind == "":
		problem = "it has no kind"
	case len(j.Kind) > MaxKindBytes:
		problem = fmt.Sprintf("its kind has %d bytes, more than %d", len(j.Kind), MaxKindBytes)
	case strings.ContainsFunc(j.Kind, func(r rune) bool { return r <= ' ' || r > '~' }):
		problem = "its kind is not printable ASCII without spaces"
	case len(j.Payload) > MaxPayloadBytes:
		problem = fmt.Sprintf("its payload has %d bytes, more than %d", len(j.Payload), MaxPayloadBytes)
	case len(j.Key) > MaxKeyBytes:
		problem = fmt.Sprintf("its key has %d bytes, more than %d", len(j.Key), MaxKeyBytes)
	case j.Priority > maxPriority || j.Priority < -maxPriority:
		problem = fmt.Sprintf("its priority is %d, beyond %d", j.Priority, maxPriority)
	case j.MaxAttempts < 0 || j.MaxAttempts > 1<<31-1:
		problem = fmt.Sprintf("its number of attempts is %d", j.MaxAttempts)
	case !j.RunAt.IsZero() && (j.RunAt.Year() < 1 || j.RunAt.Year() > 9999):
		problem = "its time is out of range"
	default:
		return nil
	}
	return fmt.Errorf("%w of kind %.64q: %s", ErrInvalid, j.Kind, problem)
}

// insert writes rows, those of several callers at once. Those whose key is live
// are marked as dropped. It may be run again.
func (q *Queue) insert(ctx context.Context, tx *sqldb.Tx, rows []*row) error {
	live := rows
	if slices.ContainsFunc(rows, func(r *row) bool { return r.Key != "" }) {
		if err := q.claimKeys(ctx, tx, rows); err != nil {
			return fmt.Errorf("claim keys of jobs: %w", err)
		}
		live = slices.DeleteFunc(slices.Clone(rows), func(r *row) bool { return r.dropped })
	}
	args := make([]any, 0, min(len(live), maxRows)*jobColumns)
	for len(live) > 0 {
		n := chunk(live)
		if err := q.insertJobs(ctx, tx, live[:n], args); err != nil {
			return fmt.Errorf("insert jobs: %w", err)
		}
		if err := execRows(ctx, tx, &q.sql.insertQueue, args, live[:n], bindNew); err != nil {
			return fmt.Errorf("insert jobs into the queue: %w", err)
		}
		live = live[n:]
	}
	return nil
}

// chunk returns how many of the rows one statement takes.
func chunk(rows []*row) int {
	size := 0
	for i, r := range rows {
		size += len(r.Payload)
		if i == maxRows || i > 0 && size > maxBytes {
			return i
		}
	}
	return len(rows)
}

// insertJobs takes other ids if a process with the same random bits has been
// quicker. Rows with keys are excepted, their ids being in use already: their
// caller gets the error, once.
func (q *Queue) insertJobs(ctx context.Context, tx *sqldb.Tx, rows []*row, args []any) error {
	for try := 0; len(rows) > 0; {
		text, n := q.sql.insertJobs.under(len(rows))
		some := rows[:n]
		args = args[:0]
		for _, r := range some {
			args = bindJob(args, r)
		}
		_, err := tx.ExecContext(ctx, text, args...)
		if err == nil {
			rows, try = rows[n:], 0
			continue
		}
		try++
		if !sqldb.IsDuplicate(err) {
			return err
		}
		q.ids.reroll()
		if try == 3 || slices.ContainsFunc(some, func(r *row) bool { return r.Key != "" }) {
			return err
		}
		// The statement has left nothing behind and the transaction goes on.
		id := q.ids.next(q.now(), len(some))
		for _, r := range some {
			r.id = id
			id += idStep
		}
	}
	return nil
}

var noBytes = []byte{}

func bindJob(args []any, r *row) []any {
	payload := r.Payload
	if payload == nil {
		payload = noBytes
	}
	enqueued := any(r.enqueued)
	runAt := enqueued
	if r.runAt != r.enqueued {
		runAt = r.runAt
	}
	return append(args, r.id, r.kind.nameArg, r.Key, int64(r.Priority), int64(r.MaxAttempts), enqueued, runAt, payload)
}

func bindNew(args []any, r *row) []any {
	priority := any(int64(r.Priority))
	if r.to != nil && !r.to.lost {
		return append(args, int64(stRunning), r.to.session.tokenArg, int64(0), r.id, priority, int64(1), int64(len(r.Payload)))
	}
	if r.due {
		return append(args, int64(stReady), r.kind.laneArg, int64(-r.Priority), r.id, priority, int64(0), int64(len(r.Payload)))
	}
	return append(args, int64(stScheduled), r.kind.laneArg, r.runAt, r.id, priority, int64(0), int64(len(r.Payload)))
}

// claimKeys marks the rows whose key somebody else has, and takes the keys of the others.
func (q *Queue) claimKeys(ctx context.Context, tx *sqldb.Tx, rows []*row) error {
	var keyed []*row
	byKey := map[string]*row{}
	for _, r := range rows {
		if r.Key == "" {
			continue
		}
		r.dropped = byKey[r.Key] != nil // by one before it in the same transaction
		if !r.dropped {
			byKey[r.Key] = r
			keyed = append(keyed, r)
		}
	}
	// Everybody takes keys in the same order, lest they wait for each other.
	slices.SortFunc(keyed, func(a, b *row) int { return strings.Compare(a.Key, b.Key) })
	names := make([]any, len(keyed))
	for i, r := range keyed {
		names[i] = r.Key
	}
	args := make([]any, 0, 2*min(len(keyed), maxRows))
	err := execRows(ctx, tx, &q.sql.insertKeys, args, keyed, func(args []any, r *row) []any { return append(args, r.Key, r.id) })
	if err != nil {
		return err
	}
	// What is in the table now stays until the end of the transaction.
	owners, err := queryIDs(ctx, tx, &q.sql.selectKeys, names)
	if err != nil {
		return err
	}
	slices.Sort(owners)
	for _, r := range keyed {
		_, ours := slices.BinarySearch(owners, r.id)
		r.dropped = !ours
	}
	return nil
}

// told is called after the commit: it counts what was enqueued and wakes those
// who work on it.
func (q *Queue) told(rows []row) {
	var last *kind
	n := 0
	flush := func() {
		if n > 0 {
			last.metrics.enqueued.Add(float64(n))
			q.wake(last.lane)
		}
	}
	for i := range rows {
		r := &rows[i]
		if r.dropped {
			continue
		}
		if r.to != nil {
			r.kind.metrics.enqueued.Inc()
			continue
		}
		if r.kind != last {
			flush()
			last, n = r.kind, 0
		}
		n++
	}
	flush()
}

func idsOf(rows []row) []int64 {
	ids := make([]int64, len(rows))
	for i := range rows {
		if !rows[i].dropped {
			ids[i] = rows[i].id
		}
	}
	return ids
}
