package sqldb

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// claims are locks on bytes of a file, each of an open file description: they
// end with it, and two of one process are apart from each other.
type claims struct {
	path string

	mu   sync.Mutex // guards what follows
	file *os.File   // nil before the first use
	own  map[int64]bool
}

func newClaims(path string) *claims { return &claims{path: path, own: map[int64]bool{}} }

// open is called under c.mu.
func (c *claims) open() error {
	if c.own == nil {
		return os.ErrClosed
	}
	if c.file != nil {
		return nil
	}
	f, err := os.OpenFile(c.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	c.file = f
	return nil
}

func lockOf(id int64, kind int16) *unix.Flock_t {
	return &unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: id & (1<<62 - 1), Len: 1}
}

func (c *claims) claim(id int64) (release func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.open(); err != nil {
		return nil, fmt.Errorf("claim to be alive: %w", err)
	}
	if c.own[id] {
		return nil, errClaimed
	}
	err = unix.FcntlFlock(c.file.Fd(), unix.F_OFD_SETLK, lockOf(id, unix.F_WRLCK))
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return nil, errClaimed
	}
	if err != nil {
		return nil, fmt.Errorf("claim to be alive: lock %s: %w", c.path, err)
	}
	c.own[id] = true
	return func() { c.release(id) }, nil
}

func (c *claims) release(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own[id] {
		delete(c.own, id)
		_ = unix.FcntlFlock(c.file.Fd(), unix.F_OFD_SETLK, lockOf(id, unix.F_UNLCK))
	}
}

func (c *claims) gone(id int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own[id] || c.open() != nil {
		return false
	}
	lock := lockOf(id, unix.F_WRLCK)
	err := unix.FcntlFlock(c.file.Fd(), unix.F_OFD_GETLK, lock)
	return err == nil && lock.Type == unix.F_UNLCK
}

func (c *claims) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.own = nil
	if c.file == nil {
		return nil
	}
	err := c.file.Close()
	c.file = nil
	if err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
