// Package job is a durable queue on a SQL database. A job that has been
// enqueued survives kill -9 and is worked on until its handler says that it is
// done, or dead.
//
// Migrate the database, run a Queue, and give its jobs to a Worker:
//
//	if err := job.Migrate(ctx, db); err != nil {
//		return err
//	}
//	q := job.NewQueue(db, job.Options{Logger: log})
//	go q.Run(ctx) // must run while the others do
//	w := q.NewWorker(job.WorkerOptions{Handlers: map[string]job.Handler{
//		"mail.send": func(ctx context.Context, j *job.Job) error { return send(ctx, j.Payload) },
//	}})
//	go w.Run(ctx)
//	ids, err := q.Enqueue(ctx, job.New{Kind: "mail.send", Payload: mail})
//
// Enqueue returns when the jobs are on disk; concurrent callers share a commit.
// EnqueueTx makes jobs part of the caller's transaction instead, so that an
// event and its job happen together or not at all.
//
// Who works on thousands of jobs at once, and better on many together than on each
// alone, gives the worker a Taker instead of Handlers.
//
// A handler may run more than once for the same job: the process may die
// between the end of the work and the note about it. The package does not pass
// results back, does not order jobs beyond priority and rough age, and keeps no
// history of what is done. DESIGN.md tells how it works and why.
//
// A Queue may be used by any number of goroutines, and any number of processes
// may have one on the same database. A Job belongs to its handler.
package job
