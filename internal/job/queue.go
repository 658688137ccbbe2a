package job

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/furima/furima/internal/sqldb"
)

// Options are what a Queue needs besides its database. The zero value works.
type Options struct {
	Logger     *slog.Logger          // nil: no logs
	Registerer prometheus.Registerer // nil: metrics are not registered
	Now        func() time.Time      // nil: time.Now
	// Name is the label queue of the metrics. Empty means that of the database.
	Name string
}

// Queue enqueues jobs and hands them to workers. NewQueue makes it.
type Queue struct {
	db        *sqldb.DB
	log       *slog.Logger
	now       func() time.Time
	sql       *statements
	ids       *ids
	kinds     *kinds
	metrics   *metrics
	committer *committer
	measured  bool // somebody looks at the metrics
	inTrouble atomic.Bool
	stats     statsCache

	mu       sync.RWMutex // guards what follows
	workers  map[int64][]*Worker
	sessions map[int64]*session
}

// NewQueue returns a Queue on a database that Migrate has prepared. It does
// nothing before Run.
func NewQueue(db *sqldb.DB, o Options) *Queue {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Name == "" {
		o.Name = db.Name()
	}
	q := &Queue{
		db: db, log: o.Logger, now: o.Now, sql: newStatements(db.Dialect()), ids: newIDs(),
		metrics: newMetrics(o.Registerer, o.Name), measured: o.Registerer != nil,
		workers: map[int64][]*Worker{}, sessions: map[int64]*session{},
	}
	q.kinds = &kinds{byName: map[string]*kind{}, metrics: q.metrics}
	q.committer = newCommitter(q)
	return q
}

// mysqlWriters is how many transactions of the committer a server gets at once.
// SQLite has one writer.
const mysqlWriters = 2

// Run commits what Enqueue and the workers of this process bring, and takes
// jobs back from workers that died. It returns when ctx has ended and
// everything that was brought is written. It is called once; workers must end
// before it.
func (q *Queue) Run(ctx context.Context) error {
	writers := 1
	if q.db.Dialect().Name() != "sqlite" {
		writers = mysqlWriters
	}
	var wg sync.WaitGroup
	wg.Go(func() { q.watch(ctx) })
	q.committer.run(ctx, writers)
	wg.Wait()
	return nil
}

// EnqueueTx enqueues jobs in the caller's transaction and returns their ids in
// order. The queue needs not run for it. Workers of this process are woken when
// the transaction commits.
func (q *Queue) EnqueueTx(ctx context.Context, tx *sqldb.Tx, jobs ...New) ([]int64, error) {
	rows, err := q.rows(jobs)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	refs := make([]*row, len(rows))
	for i := range rows {
		refs[i] = &rows[i]
	}
	if err := q.insert(ctx, tx, refs); err != nil {
		return nil, err
	}
	for i := range rows {
		rows[i].Payload = nil // the caller's; the hook does not keep it
	}
	tx.OnCommit(func() { q.told(rows) })
	return idsOf(rows), nil
}

// Enqueue enqueues jobs, all or none, and returns their ids in order when they
// are on disk. Concurrent callers share a commit. If ctx ends before the commit
// has begun nothing is enqueued.
func (q *Queue) Enqueue(ctx context.Context, jobs ...New) ([]int64, error) {
	rows, err := q.rows(jobs)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	op := &enqueueOp{rows: rows}
	for i := range rows {
		op.size += len(rows[i].Payload)
	}
	if err := q.committer.submit(ctx, &op.wait, func(g *group) { g.enqueues = append(g.enqueues, op) }); err != nil {
		return nil, err
	}
	return idsOf(rows), nil
}

// EnqueueFunc runs f in a transaction that concurrent callers of EnqueueFunc and
// Enqueue share, and returns when it is on disk. F may call EnqueueTx and write
// rows of its own; if it fails nothing of it remains and the others are not
// touched. It must be quick, since others wait for it, and it may be run again.
// Its ctx is that of the caller without its end.
func (q *Queue) EnqueueFunc(ctx context.Context, f func(ctx context.Context, tx *sqldb.Tx) error) error {
	op := &funcOp{f: func(tx *sqldb.Tx) error { return f(context.WithoutCancel(ctx), tx) }}
	return q.committer.submit(ctx, &op.wait, func(g *group) { g.funcs = append(g.funcs, op) })
}

// SaveProgress makes progress durable, under the lease: the next attempt finds
// it in Job.Progress. It returns ErrLeaseLost if the job is not the caller's any
// more, also when its handler has ended. Any goroutine may call it; what was
// given last is what stays.
func (j *Job) SaveProgress(ctx context.Context, progress []byte) error {
	l := j.lease
	if l == nil || l.closed.Load() {
		return ErrLeaseLost
	}
	if len(progress) > MaxProgressBytes {
		return errProgressSize
	}
	if progress == nil {
		progress = noBytes
	}
	op := &saveOp{lease: l, progress: progress}
	return j.committer.submit(ctx, &op.wait, func(g *group) { g.saves = append(g.saves, op) })
}

var errProgressSize = errors.New("the progress of a job is larger than 1 MiB")

// wake tells the workers of this process that a lane has jobs.
func (q *Queue) wake(lane int64) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	for _, w := range q.workers[lane] {
		w.desk.caughtUp.Store(false)
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// join has a worker woken when there are jobs for it.
func (q *Queue) join(w *Worker) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range w.looks {
		for _, k := range l.kinds {
			q.workers[k.lane] = append(q.workers[k.lane], w)
		}
	}
}

func (q *Queue) part(w *Worker) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range w.looks {
		for _, k := range l.kinds {
			q.workers[k.lane] = remove(q.workers[k.lane], w)
		}
	}
}

func remove(workers []*Worker, w *Worker) []*Worker {
	var rest []*Worker // a new one: wake may be reading the old
	for _, other := range workers {
		if other != w {
			rest = append(rest, other)
		}
	}
	return rest
}

// replace notes that a worker has another session. Either may be nil.
func (q *Queue) replace(old, new *session) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if old != nil {
		delete(q.sessions, old.token)
	}
	if new != nil {
		q.sessions[new.token] = new
	}
}

// lose ends the handlers of jobs that have been cancelled.
func (q *Queue) lose(ids []int64) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	for _, s := range q.sessions {
		s.lose(ids)
	}
}

// ended is called for each job whose end is written.
func (q *Queue) ended(e *ending) {
	o := e.outcome
	if e.gone {
		o = lost
		q.log.Warn("a job was taken from its worker before it ended", "kind", e.lease.kind.name, "job_id", e.lease.id)
	}
	e.lease.kind.metrics.finished[o].Inc()
	e.lease.session.settle(e.lease)
	if o != done && o != dead && o != lost {
		q.wake(e.lease.kind.lane)
	}
}

// trouble says once that the database does not take what the queue brings.
func (q *Queue) trouble(err error) {
	if q.inTrouble.CompareAndSwap(false, true) {
		q.log.Warn("the job queue cannot use its database, it tries on", "err", err)
	}
}

func (q *Queue) noTrouble() {
	if q.inTrouble.Load() && q.inTrouble.CompareAndSwap(true, false) {
		q.log.Info("the job queue can use its database again")
	}
}
