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
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Options say how a Server runs. The zero value is for tests.
type Options struct {
	// Durable has the server sync every commit to disk, as one in production does.
	Durable bool
	// Dir is where its folder is made; empty: that for temporary files.
	Dir string
}

// Server is a private MariaDB server on a socket in a folder of its own.
type Server struct {
	dir, socket string
	command     []string
	cmd         *exec.Cmd
	done        chan struct{} // closed when it has ended
	root        *sql.DB
}

// find looks for a program, also where Debian puts servers.
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

// Start makes a data folder and runs a server on it, which takes a few seconds.
// The server ends with Stop, or with this process however that ends.
func Start(o Options) (*Server, error) {
	program, err := find("mariadbd")
	if err != nil {
		return nil, err
	}
	install, err := find("mariadb-install-db")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.Dir, "furima-mariadb-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, socket: filepath.Join(dir, "s")}
	common := []string{"--no-defaults", "--datadir=" + filepath.Join(dir, "data"), "--user=" + owner(), "--tmpdir=" + dir}
	made := exec.Command(install, append(common, "--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-flush-log-at-trx-commit=0")...)
	if out, err := made.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w: %s", install, err, out), os.RemoveAll(dir))
	}
	args := append(common,
		"--socket="+s.socket, "--skip-networking", "--pid-file="+filepath.Join(dir, "pid"),
		"--log-error="+filepath.Join(dir, "log"),
		"--skip-log-bin", "--max-connections=500", "--performance-schema=OFF")
	if o.Durable {
		args = append(args, "--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=512M", "--innodb-log-file-size=512M")
	} else {
		args = append(args, "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--innodb-buffer-pool-size=128M")
	}
	s.command = append([]string{program}, args...)
	if err := s.run(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// Crash ends the server as kill -9 does, and keeps its data.
func (s *Server) Crash() {
	_ = s.root.Close()
	_ = s.cmd.Process.Kill()
	<-s.done
}

// Restart runs the server again after Crash, with its data and its socket.
func (s *Server) Restart() error { return s.run() }

func owner() string {
	if os.Getuid() == 0 {
		return "root"
	}
	return fmt.Sprint(os.Getuid())
}

// run starts the server and waits until it answers.
func (s *Server) run() error {
	s.cmd, s.done = exec.Command(s.command[0], s.command[1:]...), make(chan struct{})
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
		s.Stop()
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
			_ = s.root.Close()
			return fmt.Errorf("ended at its start: %s", log)
		case <-ctx.Done():
			s.Stop()
			return errors.New("does not answer within a minute")
		case <-tick.C:
		}
	}
	return nil
}

func (s *Server) exec(ctx context.Context, statement string) error {
	if _, err := s.root.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// Database makes an empty database and returns its URL.
func (s *Server) Database(ctx context.Context, name string) (url string, err error) {
	if err := s.exec(ctx, "CREATE DATABASE "+name+" CHARACTER SET utf8mb4"); err != nil {
		return "", err
	}
	return "mysql://root@unix(" + s.socket + ")/" + name, nil
}

// Version asks the server for its version.
func (s *Server) Version(ctx context.Context) (v string, err error) {
	err = s.root.QueryRowContext(ctx, "SELECT VERSION()").Scan(&v)
	return v, err
}

// Pid is that of the server's process.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Stop ends the server at once, and its folder: its data is of no use to
// anybody.
func (s *Server) Stop() {
	if s.root != nil {
		_ = s.root.Close()
	}
	_ = s.cmd.Process.Kill()
	<-s.done
	_ = os.RemoveAll(s.dir)
}
