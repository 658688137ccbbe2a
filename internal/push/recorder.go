package push

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/sqldb"
)

// record is what deliveries have to say: tokens that died, and how those of them
// ended that have.
type record struct {
	dead    []deadToken
	results []*outcome
	done    chan error
}

// deadToken is a token that its provider has declared dead.
type deadToken struct {
	app, token, reason string
	platform           Platform
	since              time.Time
}

// outcome is how a job ended.
type outcome struct {
	jobID   int64
	app     string
	created time.Time
	total   int
	counts  tally

	// unlessEnded keeps what is on record already: how the job really ended.
	unlessEnded bool
}

// recorder writes records, those of many deliveries in one transaction.
type recorder struct {
	queue *job.Queue
	now   func() time.Time
	in    chan record
	end   chan struct{} // closed when run has ended
}

// maxGroup is how many records one transaction takes.
const maxGroup = 512

var errNotRunning = errors.New("the gateway does not run")

func newRecorder(queue *job.Queue, now func() time.Time) *recorder {
	return &recorder{queue: queue, now: now, in: make(chan record, maxGroup), end: make(chan struct{})}
}

// write returns when the record is durable. It is an error once run has ended.
func (r *recorder) write(ctx context.Context, dead []deadToken, results ...*outcome) error {
	rec := record{dead: dead, results: results, done: make(chan error, 1)}
	select {
	case r.in <- rec:
	case <-r.end:
		return errNotRunning
	case <-ctx.Done():
		return fmt.Errorf("record results: %w", ctx.Err())
	}
	select {
	case err := <-rec.done:
		return err
	case <-r.end:
		return errNotRunning
	case <-ctx.Done():
		// It may be written all the same, which does no harm: results are
		// written over, and a token may be reported dead twice.
		return fmt.Errorf("record results: %w", ctx.Err())
	}
}

// run writes until ctx ends. It is called once.
func (r *recorder) run(ctx context.Context) {
	defer close(r.end)
	group := make([]record, 0, maxGroup)
	for {
		group = group[:0]
		select {
		case rec := <-r.in:
			group = append(group, rec)
		case <-ctx.Done():
			return
		}
	gather:
		for len(group) < maxGroup {
			select {
			case rec := <-r.in:
				group = append(group, rec)
			default:
				break gather
			}
		}
		err := r.commit(ctx, group)
		for _, rec := range group {
			rec.done <- err
		}
	}
}

func (r *recorder) commit(ctx context.Context, group []record) error {
	now := r.now()
	// In the queue's own transactions: that is one fsync for both.
	err := r.queue.EnqueueFunc(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		if err := r.insertResults(ctx, tx, group, now); err != nil {
			return err
		}
		return r.insertFeedback(ctx, tx, group, now)
	})
	if err != nil {
		return fmt.Errorf("record results: %w", err)
	}
	return nil
}

const resultColumns = "job_id, app, created_at, finished_at, total, sent, unregistered, rejected, expired, cancelled, reasons"

func (r *recorder) insertResults(ctx context.Context, tx *sqldb.Tx, group []record, now time.Time) error {
	var final, provisional []*outcome
	for _, rec := range group {
		for _, o := range rec.results {
			if o.unlessEnded {
				provisional = append(provisional, o)
			} else {
				final = append(final, o)
			}
		}
	}
	d := tx.Dialect()
	keep := d.Upsert([]string{"job_id"})
	replace := d.Upsert([]string{"job_id"}, "finished_at", "total", "sent", "unregistered", "rejected", "expired", "cancelled", "reasons")
	return errors.Join(
		insertOutcomes(ctx, tx, final, replace, now),
		insertOutcomes(ctx, tx, provisional, keep, now))
}

func insertOutcomes(ctx context.Context, tx *sqldb.Tx, outcomes []*outcome, upsert string, now time.Time) error {
	const columns = 11
	args := make([]any, 0, min(len(outcomes), resultRows[0])*columns)
	finished := any(sqldb.Micros(now))
	for len(outcomes) > 0 {
		n := rowsAtOnce(len(outcomes))
		args = args[:0]
		for _, o := range outcomes[:n] {
			reasons := "{}"
			if len(o.counts.reasons) > 0 {
				raw, err := json.Marshal(o.counts.reasons)
				if err != nil {
					return fmt.Errorf("encode reasons: %w", err)
				}
				reasons = string(raw)
			}
			c := &o.counts.byState
			args = append(args, o.jobID, o.app, sqldb.Micros(o.created), finished, int64(o.total),
				int64(c[sent]), int64(c[unregistered]), int64(c[rejected]), int64(c[expired]), int64(c[cancelled]), reasons)
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO push_results ("+resultColumns+") VALUES "+tx.Dialect().Rows(n, columns)+upsert, args...)
		if err != nil {
			return fmt.Errorf("insert results: %w", err)
		}
		outcomes = outcomes[n:]
	}
	return nil
}

// resultRows are the numbers of rows that one statement takes, so that few texts,
// which stay prepared, do for any number of rows.
var resultRows = [...]int{256, 128, 64, 32, 16, 8, 4, 2, 1}

// rowsAtOnce returns how many of n rows the next statement takes.
func rowsAtOnce(n int) int {
	for _, rows := range resultRows {
		if rows <= n {
			return rows
		}
	}
	return 0
}

// feedbackRows is how many dead tokens one statement takes.
const feedbackRows = 500

func (r *recorder) insertFeedback(ctx context.Context, tx *sqldb.Tx, group []record, now time.Time) error {
	var dead []deadToken
	for _, rec := range group {
		dead = append(dead, rec.dead...)
	}
	if len(dead) == 0 {
		return nil
	}
	// The row of the sequence stays locked until the commit, so that ids become
	// visible in their order: a reader that has seen one has seen all before.
	if _, err := tx.ExecContext(ctx, "UPDATE push_sequences SET last = last + ? WHERE name = 'feedback'", len(dead)); err != nil {
		return fmt.Errorf("take feedback ids: %w", err)
	}
	var last int64
	if err := tx.QueryRowContext(ctx, "SELECT last FROM push_sequences WHERE name = 'feedback'").Scan(&last); err != nil {
		return fmt.Errorf("take feedback ids: %w", err)
	}
	id := last - int64(len(dead))
	for len(dead) > 0 {
		n := min(len(dead), feedbackRows)
		const columns = 7
		args := make([]any, 0, n*columns)
		for _, t := range dead[:n] {
			id++
			since := t.since
			if since.IsZero() {
				since = now
			}
			args = append(args, id, t.app, string(t.platform), t.token, t.reason, sqldb.Micros(since), sqldb.Micros(now))
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO push_feedback (id, app, platform, token, reason, since_at, created_at) VALUES "+
			tx.Dialect().Rows(n, columns), args...)
		if err != nil {
			return fmt.Errorf("insert feedback: %w", err)
		}
		dead = dead[n:]
	}
	return nil
}
