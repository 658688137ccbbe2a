package job

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/furima/furima/internal/sqldb"
)

// ending is how a job's run ended.
type ending struct {
	lease    *lease
	outcome  outcome // done, retry, snoozed, dead or released
	at       int64   // of retry and snoozed: when to run again
	later    bool    // that is in the future
	failedAt int64   // of retry and dead
	err      string  // of retry and dead
	progress []byte  // of snoozed: to be saved; nil if it is to stay
	gone     bool    // set by writeEnds: the job was not ours any more
}

// counts reports whether the run used up an attempt.
func (e *ending) counts() bool { return e.outcome == retry || e.outcome == dead }

// errSomeLost says that some of the jobs to be ended are not their workers' any
// more. That is rare, so writeEnds finds out which only when it is run again,
// carefully.
var errSomeLost = errors.New("some jobs are not ours any more")

// writeEnds takes jobs out of the running state, if they are still there. One
// that is not belongs to somebody else or to nobody, and is left alone.
func (q *Queue) writeEnds(ctx context.Context, tx *sqldb.Tx, all []ending, careful bool) error {
	var sessions []*session
	ends := make([]*ending, len(all))
	for i := range all {
		ends[i] = &all[i]
		ends[i].gone = false
		if s := all[i].lease.session; !slices.Contains(sessions, s) {
			sessions = append(sessions, s)
		}
	}
	for _, s := range sessions {
		ids := make([]any, 0, len(ends))
		for _, e := range ends {
			if e.lease.session == s {
				ids = append(ids, e.lease.idArg)
			}
		}
		if careful {
			if err := q.markGone(ctx, tx, s, ends, ids); err != nil {
				return err
			}
		}
		n, err := execIn(ctx, tx, &q.sql.deleteQueue, ids, int64(stRunning), s.tokenArg, int64(0))
		if err != nil {
			return err
		}
		if int(n) != len(ids) && !careful {
			return errSomeLost
		}
	}
	ends = slices.DeleteFunc(ends, func(e *ending) bool { return e.gone })
	if err := q.forget(ctx, tx, ends); err != nil {
		return err
	}
	return q.goOn(ctx, tx, ends)
}

// markGone finds out which of a session's jobs are not its own any more.
func (q *Queue) markGone(ctx context.Context, tx *sqldb.Tx, s *session, ends []*ending, ids []any) error {
	ours, err := queryIDs(ctx, tx, &q.sql.selectQueue, ids, int64(stRunning), s.tokenArg, int64(0))
	if err != nil {
		return err
	}
	slices.Sort(ours)
	for _, e := range ends {
		if e.lease.session == s {
			_, found := slices.BinarySearch(ours, e.lease.id)
			e.gone = !found
		}
	}
	return nil
}

// forget deletes what is done, and the keys of what is not live any more.
func (q *Queue) forget(ctx context.Context, tx *sqldb.Tx, ends []*ending) error {
	var jobs, runs, keys, keyIDs []any
	for _, e := range ends {
		l := e.lease
		if e.outcome != done && e.outcome != dead {
			continue
		}
		if l.key != "" {
			keys, keyIDs = append(keys, l.key), append(keyIDs, l.idArg)
		}
		if e.outcome == dead {
			continue
		}
		jobs = append(jobs, l.idArg)
		if l.hasRun.Load() {
			runs = append(runs, l.idArg)
		}
	}
	if _, err := execIn(ctx, tx, &q.sql.deleteJobs, jobs); err != nil {
		return err
	}
	if _, err := execIn(ctx, tx, &q.sql.deleteRuns, runs); err != nil {
		return err
	}
	return q.dropKeys(ctx, tx, keys, keyIDs)
}

// dropKeys gives keys free that the jobs hold.
func (q *Queue) dropKeys(ctx context.Context, tx *sqldb.Tx, keys, ids []any) error {
	for i, key := range keys {
		if _, err := tx.ExecContext(ctx, q.sql.deleteKey, key, ids[i]); err != nil {
			return err
		}
	}
	return nil
}

// goOn puts back what is not done, and notes why.
func (q *Queue) goOn(ctx context.Context, tx *sqldb.Tx, ends []*ending) error {
	ends = slices.DeleteFunc(ends, func(e *ending) bool { return e.outcome == done })
	if len(ends) == 0 {
		return nil
	}
	if err := execRows(ctx, tx, &q.sql.insertQueue, nil, ends, bindAgain); err != nil {
		return err
	}
	var failed, moved, saved []*ending
	for _, e := range ends {
		switch {
		case e.counts():
			failed = append(failed, e)
		case e.progress != nil:
			saved = append(saved, e)
		case e.later:
			moved = append(moved, e)
		}
	}
	err := execRows(ctx, tx, &q.sql.upsertRuns, nil, failed, func(args []any, e *ending) []any {
		return append(args, e.lease.idArg, e.at, e.failedAt, e.err)
	})
	if err != nil {
		return err
	}
	err = execRows(ctx, tx, &q.sql.upsertRunAt, nil, moved, func(args []any, e *ending) []any {
		return append(args, e.lease.idArg, e.at)
	})
	if err != nil {
		return err
	}
	for len(saved) > 0 { // not too many bytes in one statement
		n, size := 0, 0
		for n < len(saved) && (n == 0 || size+len(saved[n].progress) <= maxBytes) {
			size += len(saved[n].progress)
			n++
		}
		err := execRows(ctx, tx, &q.sql.upsertSaved, nil, saved[:n], func(args []any, e *ending) []any {
			at := e.lease.runAt
			if e.later {
				at = e.at
			}
			return append(args, e.lease.idArg, at, e.progress)
		})
		if err != nil {
			return err
		}
		saved = saved[n:]
	}
	return nil
}

func bindAgain(args []any, e *ending) []any {
	l := e.lease
	state, at, attempt := stReady, -l.priority, l.attempt
	if !e.counts() {
		attempt--
	}
	switch {
	case e.outcome == dead:
		state, at = stDead, 0
	case e.later:
		state, at = stScheduled, e.at
	}
	return append(args, int64(state), l.kind.laneArg, at, l.idArg, l.priority, attempt, l.size)
}

// maxErrorRunes is how much of an error's text is kept.
const maxErrorRunes = 2000

// errorText makes an error fit to be kept.
func errorText(err error) string {
	text := strings.ToValidUTF8(strings.ReplaceAll(err.Error(), "\x00", ""), "\uFFFD")
	if utf8.RuneCountInString(text) <= maxErrorRunes {
		return text
	}
	return string([]rune(text)[:maxErrorRunes-1]) + "…"
}

// saveOp makes the progress of a job durable.
type saveOp struct {
	wait
	lease    *lease
	progress []byte
	result   error // ErrLeaseLost, or nil
}

// writeSaves writes progress, of those whose lease still holds.
func (q *Queue) writeSaves(ctx context.Context, tx *sqldb.Tx, saves []*saveOp) error {
	live := make([]*saveOp, 0, len(saves))
	for _, s := range saves {
		s.result = ErrLeaseLost
		if s.lease.closed.Load() {
			continue
		}
		// The lock keeps the job ours until the commit.
		ours, err := queryIDs(ctx, tx, &q.sql.selectQueue, []any{s.lease.idArg}, int64(stRunning), s.lease.session.tokenArg, int64(0))
		if err != nil {
			return err
		}
		if len(ours) > 0 {
			s.result = nil
			live = append(live, s)
		}
	}
	return execRows(ctx, tx, &q.sql.upsertProgress, nil, live, func(args []any, s *saveOp) []any {
		s.lease.hasRun.Store(true)
		return append(args, s.lease.idArg, s.lease.runAt, s.progress)
	})
}
