package job

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Limits of a job. They keep one job from hurting the others.
const (
	MaxKindBytes     = 64
	MaxKeyBytes      = 191
	MaxPayloadBytes  = 1 << 20
	MaxProgressBytes = 1 << 20
)

// DefaultMaxAttempts is how often a job is tried if New does not say.
const DefaultMaxAttempts = 25

// New is a job to be enqueued.
type New struct {
	Kind        string    // which handler works on it; 1 to 64 bytes
	Payload     []byte    // what the handler needs; at most 1 MiB. It is not kept after the call.
	Priority    int       // higher first; from -1000000 to 1000000
	RunAt       time.Time // not before; zero: now
	MaxAttempts int       // 0: DefaultMaxAttempts
	Key         string    // at most one live job a non-empty key: while one is there, more are dropped and their id is 0; at most 191 bytes
}

// Job is a job in the hands of its handler.
type Job struct {
	ID          int64
	Kind        string
	Key         string
	Payload     []byte
	Progress    []byte // what SaveProgress saved last, in this attempt or an earlier one; nil at first
	Priority    int
	Attempt     int // 1 at the first run; a run that ended in Snooze or in the stop of its worker does not count
	MaxAttempts int
	EnqueuedAt  time.Time
	RunAt       time.Time // when it was due

	lease     *lease
	committer *committer
	worker    *Worker   // with Take
	begun     time.Time // with Take
}

// Handler works on a job. It returns nil when the job is done, and an error to
// have it tried again after a back-off, until Job.MaxAttempts have been made;
// then it is dead. Cancel and Snooze make errors that say otherwise. A panic is
// an error. Ctx ends when the lease is lost, the job is cancelled, or the
// worker must stop; what the handler returns then is of no consequence in the
// first two cases, and in the third the job is given back uncounted.
type Handler func(ctx context.Context, j *Job) error

// Cancel makes the error by which a handler says that trying again is of no
// use: the job is dead at once.
func Cancel(err error) error {
	if err == nil {
		err = errors.New("cancelled")
	}
	return &cancelError{err}
}

type cancelError struct{ err error }

func (e *cancelError) Error() string { return "cancelled: " + e.err.Error() }
func (e *cancelError) Unwrap() error { return e.err }

// Snooze makes the error by which a handler asks to be called again after d.
// The attempt does not count.
func Snooze(d time.Duration) error { return &snoozeError{d: max(d, 0)} }

// SnoozeWith is Snooze that also saves progress, as SaveProgress does, in the
// transaction that puts the job off.
func SnoozeWith(d time.Duration, progress []byte) error {
	if progress == nil {
		progress = noBytes
	}
	return &snoozeError{max(d, 0), progress}
}

type snoozeError struct {
	d        time.Duration
	progress []byte // nil: it stays
}

func (e *snoozeError) Error() string { return fmt.Sprintf("snoozed for %v", e.d) }

var (
	// ErrLeaseLost means that the job is not this handler's any more: its lease
	// has run out, or it has been cancelled.
	ErrLeaseLost = errors.New("the job's lease is lost")
	// ErrNotRunning means that the queue's Run has not begun or has ended.
	ErrNotRunning = errors.New("the job queue does not run")
	// ErrNotFound means that there is no such job: it is done, or never was.
	ErrNotFound = errors.New("no such job")
	// ErrInvalid is wrapped by errors about jobs that break a limit.
	ErrInvalid = errors.New("invalid job")
)

// State is where a job is in its life.
type State string

// A job that is done has no state: it is gone.
const (
	Ready     State = "ready"     // due, waits for a worker
	Scheduled State = "scheduled" // waits for its time: a later start, a retry, a snooze
	Running   State = "running"   // leased by a worker
	Dead      State = "dead"      // given up; kept until Retry or Cancel
)

// Info is what the database knows about a job.
type Info struct {
	ID          int64
	Kind        string
	Key         string
	State       State
	Payload     []byte
	Progress    []byte
	Priority    int
	Attempt     int // attempts begun
	MaxAttempts int
	EnqueuedAt  time.Time
	RunAt       time.Time // when it is or was due
	LeasedUntil time.Time // of a running job
	FailedAt    time.Time // of the last error; zero without one
	Error       string    // the last one
}

// Stat counts the jobs of one kind in one state.
type Stat struct {
	Kind   string
	State  State
	Count  int64
	Bytes  int64     // of their payloads
	Oldest time.Time // when the oldest of them was enqueued
}
