//go:build unix

package edge

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// canEnter reports whether a user may enter a directory, as far as modes tell.
// Parts of the path that do not exist yet will be made open to all.
func canEnter(u *user.User, dir string) bool {
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return false
	}
	if uid == 0 {
		return true
	}
	groups, err := u.GroupIds()
	if err != nil {
		groups = []string{u.Gid}
	}
	member := map[string]bool{}
	for _, g := range groups {
		member[g] = true
	}
	for ; ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil {
			st, ok := info.Sys().(*syscall.Stat_t)
			bit := os.FileMode(0o001)
			switch {
			case ok && uint64(st.Uid) == uid:
				bit = 0o100
			case ok && member[strconv.FormatUint(uint64(st.Gid), 10)]:
				bit = 0o010
			}
			if info.Mode()&bit == 0 {
				return false
			}
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

func modified(e os.DirEntry) time.Time {
	info, err := e.Info()
	if err != nil {
		return time.Time{} // it is gone
	}
	return info.ModTime()
}

// errLocked means that another process has the lock.
var errLocked = errors.New("locked")

// lock takes the lock at path, which ends with the returned file or with the
// process, however that ends.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errLocked
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
