// Package sqldbtest gives tests a database of each engine: an SQLite file, and
// a database in a private MariaDB server of the test binary's own.
//
// A package's TestMain stops the server, and a test asks for a URL:
//
//	func TestMain(m *testing.M) { os.Exit(sqldbtest.Main(m)) }
//
//	func TestStore(t *testing.T) {
//		sqldbtest.Each(t, func(t *testing.T, url string) { … })
//	}
//
// The server starts with the first test that asks for it, on a socket in a
// temporary folder, and dies with the test binary however that ends. It is
// tuned for tests: it does not sync to disk, so it shows nothing about the loss
// of power and nothing about speed.
//
// Where MariaDB is not installed its tests are skipped, and fail if CI=true:
// there, leaving something out is a failure. With -short they are skipped.
package sqldbtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// SQLite returns the URL of a new database file of the test.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "test.db")
}

// MariaDB returns the URL of a new, empty database of the test in the private
// server. It is dropped at the end of the test.
func MariaDB(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short leaves out MariaDB")
	}
	program, err := find("mariadbd")
	if err != nil {
		missing(t, err)
	}
	shared.once.Do(func() { shared.server, shared.err = start(program) })
	if shared.err != nil {
		t.Fatalf("private MariaDB: %v", shared.err)
	}
	s := shared.server
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), s.databases.Add(1))
	s.exec(t, "CREATE DATABASE "+name+" CHARACTER SET utf8mb4")
	t.Cleanup(func() { s.exec(t, "DROP DATABASE "+name) })
	return "mysql://root@unix(" + s.socket + ")/" + name
}

// Each runs f on both engines, as subtests "sqlite" and "mariadb".
func Each(t *testing.T, f func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, SQLite(t)) })
	t.Run("mariadb", func(t *testing.T) { f(t, MariaDB(t)) })
}

// Main runs the tests and stops the server that they started.
func Main(m interface{ Run() int }) int {
	defer Stop()
	return m.Run()
}

// Stop ends the private server, if one was started.
func Stop() {
	if shared.server != nil {
		shared.server.stop()
		shared.server = nil
	}
}

var shared struct {
	once   sync.Once
	server *server
	err    error
}

type server struct {
	dir, socket string
	cmd         *exec.Cmd
	done        chan struct{}
	root        *sql.DB
	databases   atomic.Int64
}

func missing(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("left out: %v (scripts/servers installs it)", err)
	}
	t.Skipf("left out: %v (scripts/servers installs it)", err)
}

func find(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	path := "/usr/sbin/" + program
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not installed", program)
	}
	return path, nil
}

// start makes a data folder and runs a server on it.
func start(program string) (*server, error) {
	dir, err := os.MkdirTemp("", "furima-mariadb-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, socket: filepath.Join(dir, "s"), done: make(chan struct{})}
	install, err := find("mariadb-install-db")
	if err != nil {
		install = "/usr/bin/mariadb-install-db"
	}
	common := []string{"--no-defaults", "--datadir=" + filepath.Join(dir, "data"), "--user=" + owner()}
	out, err := exec.Command(install, append(common, "--auth-root-authentication-method=normal", "--skip-test-db")...).CombinedOutput()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w: %s", install, err, out), os.RemoveAll(dir))
	}
	s.cmd = exec.Command(program, append(common,
		"--socket="+s.socket, "--skip-networking", "--pid-file="+filepath.Join(dir, "pid"),
		"--tmpdir="+dir, "--log-error="+filepath.Join(dir, "log"),
		"--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--sync-binlog=0", "--skip-log-bin",
		"--innodb-buffer-pool-size=128M", "--max-connections=500", "--performance-schema=OFF",
	)...)
	if err := s.run(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

func owner() string {
	if os.Getuid() == 0 {
		return "root"
	}
	return fmt.Sprint(os.Getuid())
}

// run starts the server and waits until it answers.
func (s *server) run() error {
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		// The kernel sends the death signal when the thread that started the
		// child ends, so this goroutine keeps its thread until then.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			_ = s.cmd.Wait()
		}
		close(s.done)
	}()
	if err := <-started; err != nil {
		return err
	}
	connector, err := mysql.NewConnector(&mysql.Config{User: "root", Net: "unix", Addr: s.socket, Logger: &mysql.NopLogger{}, AllowNativePasswords: true})
	if err != nil {
		return err
	}
	s.root = sql.OpenDB(connector)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for s.root.PingContext(ctx) != nil {
		select {
		case <-s.done:
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("ended at its start: %s", log)
		case <-ctx.Done():
			s.stop()
			return errors.New("does not answer within a minute")
		case <-tick.C:
		}
	}
	return nil
}

func (s *server) exec(t testing.TB, statement string) {
	t.Helper()
	// Not the test's context: that has ended when a clean-up runs.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := s.root.ExecContext(ctx, statement); err != nil {
		t.Errorf("%s: %v", statement, err)
	}
}

// stop ends the server at once: its data is of no use to anybody.
func (s *server) stop() {
	if s.root != nil {
		_ = s.root.Close()
	}
	_ = s.cmd.Process.Kill()
	<-s.done
	_ = os.RemoveAll(s.dir)
}
