package job_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/sqldb"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

// childEnv has the test binary run as a process that enqueues and works: its
// value is "role first url".
const childEnv = "FURIMA_JOB_TEST_CHILD"

// childHeld bounds what one process has in its hands when it is killed: the
// jobs that run, and as many that have ended but whose end is not written.
const (
	childConcurrency = 4
	childHeld        = 2 * childConcurrency
	childLease       = 400 * time.Millisecond
)

// child enqueues numbered jobs and prints each number when it is acknowledged
// (role "enqueue"), works on them and notes each run in the table runs (role
// "work"), or both; or it never gets done with the first (role "hang"), or with
// one that was handed over (role "take").
func child(spec string) error {
	role, rest, _ := strings.Cut(spec, " ")
	number, url, _ := strings.Cut(rest, " ")
	first, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	db, err := sqldb.Open(ctx, sqldb.Config{URL: url}, sqldb.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	q := job.NewQueue(db, job.Options{})
	var all sync.WaitGroup
	all.Go(func() { _ = q.Run(ctx) })
	switch role {
	case "work":
		all.Go(func() { _ = childWorker(db, q).Run(ctx) })
		fmt.Println("works")
	case "both":
		all.Go(func() { _ = childWorker(db, q).Run(ctx) })
		err = childEnqueue(ctx, q, first)
	case "enqueue":
		err = childEnqueue(ctx, q, first)
	case "take":
		err = childTake(ctx, q)
	case "hang":
		all.Go(func() { _ = hangingWorker(q).Run(ctx) })
	}
	if err != nil {
		return err
	}
	all.Wait()
	return nil
}

func childEnqueue(ctx context.Context, q *job.Queue, first int) error {
	var printing sync.Mutex
	const producers = 4
	errs := make([]error, producers)
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for n := first + p; ; n += producers {
				if _, errs[p] = q.Enqueue(ctx, job.New{Kind: "k", Payload: []byte(strconv.Itoa(n))}); errs[p] != nil {
					return
				}
				printing.Lock()
				fmt.Println(n)
				printing.Unlock()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func childWorker(db *sqldb.DB, q *job.Queue) *job.Worker {
	return q.NewWorker(job.WorkerOptions{
		Concurrency: childConcurrency, Prefetch: -1, Lease: childLease, Poll: 20 * time.Millisecond,
		Handlers: map[string]job.Handler{"k": func(ctx context.Context, j *job.Job) error {
			n, err := strconv.Atoi(string(j.Payload))
			if err != nil {
				return err
			}
			return db.Tx(ctx, func(tx *sqldb.Tx) error {
				_, err := tx.ExecContext(ctx, "INSERT INTO runs (number, pid, salt) VALUES (?, ?, ?)", n, os.Getpid(), rand.Int64())
				return err
			})
		}},
	})
}

func hangingWorker(q *job.Queue) *job.Worker {
	return q.NewWorker(job.WorkerOptions{Lease: childLease, Handlers: map[string]job.Handler{"k": func(ctx context.Context, j *job.Job) error {
		if err := j.SaveProgress(ctx, []byte("half")); err != nil {
			return err
		}
		fmt.Println("half done")
		<-ctx.Done()
		return ctx.Err()
	}}})
}

// process is a child that runs.
type process struct {
	cmd   *exec.Cmd
	lines chan string // what it prints; closed when it has ended
}

func startChild(t *testing.T, role string, first int, url string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0], "-test.run=^$"), lines: make(chan string, 1<<16)}
	p.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %s", childEnv, role, first, url))
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // its end would be the child's
		defer runtime.UnlockOSThread()
		defer close(p.lines)
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
		_ = p.cmd.Wait()
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.kill() })
	return p
}

// kill kills the child as it stands, and returns what it printed and was not yet read.
func (p *process) kill() (rest []string) {
	_ = p.cmd.Process.Kill()
	for line := range p.lines {
		rest = append(rest, line)
	}
	return rest
}

// TestKill kills processes that enqueue and work, at random instants, and then
// counts: what was acknowledged has run, and what ran twice was in flight when a
// process died.
func TestKill(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		db := open(t, url)
		if err := db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.ExecContext(t.Context(), "CREATE TABLE runs (number BIGINT NOT NULL, pid BIGINT NOT NULL, salt BIGINT NOT NULL, PRIMARY KEY (number, pid, salt))")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		const rounds = 5
		acknowledged := map[int]bool{}
		note := func(line string) {
			n, err := strconv.Atoi(line)
			if err != nil {
				t.Fatalf("a child printed %q", line)
			}
			acknowledged[n] = true
		}
		// One worker lives through all of it, in a process of its own.
		survivor := startChild(t, "work", 0, url)
		<-survivor.lines
		for round := range rounds {
			p := startChild(t, "both", round*1_000_000, url)
			for range 20 + rand.IntN(200) {
				line, ok := <-p.lines
				if !ok {
					t.Fatal("a child ended by itself")
				}
				note(line)
			}
			for _, line := range p.kill() {
				note(line)
			}
		}
		eventually(t, "everything is done", func() bool {
			var n int
			if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM job_queue").Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n == 0
		})
		survivor.kill()
		ran := map[int]int{}
		rows, err := db.QueryContext(t.Context(), "SELECT number FROM runs")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var n int
			if err := rows.Scan(&n); err != nil {
				t.Fatal(err)
			}
			ran[n]++
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		missing, again := 0, 0
		for n := range acknowledged {
			if ran[n] == 0 {
				missing++
			}
		}
		for _, times := range ran {
			again += times - 1
		}
		t.Logf("%d acknowledged, %d ran, %d runs too many", len(acknowledged), len(ran), again)
		if missing > 0 {
			t.Errorf("%d acknowledged jobs never ran", missing)
		}
		if most := rounds * childHeld; again > most {
			t.Errorf("%d runs too many, at most %d could be in flight", again, most)
		}
	})
}

// TestDeadWorkersJobsComeBack kills a worker in the middle of a job: another
// process's worker gets it, with the attempt counted and the progress kept.
func TestDeadWorkersJobsComeBack(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		b.enqueue(job.New{Kind: "k", Payload: []byte("0")})
		p := startChild(t, "hang", 0, url)
		<-p.lines
		p.kill()
		got := make(chan job.Job, 1)
		b.work(job.WorkerOptions{}, func(_ context.Context, j *job.Job) error {
			got <- *j
			return nil
		})
		j := <-got
		if j.Attempt != 2 || string(j.Progress) != "half" {
			t.Errorf("attempt %d with progress %q, want 2 with half", j.Attempt, j.Progress)
		}
		b.empty()
	})
}
