//go:build unix

package pay

import (
	"errors"
	"os"
	"syscall"
)

// lockFile waits until no other process holds the file's lock, and takes it.
// The lock ends with the process, however that ends.
func lockFile(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func unlockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
