//go:build linux || darwin || freebsd

package sqldb

import "golang.org/x/sys/unix"

// diskSpace returns how much of the file system that holds path is free for
// this process, and how large it is, in bytes.
func diskSpace(path string) (free, total uint64, ok bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, 0, false
	}
	size := uint64(s.Bsize) //nolint:unconvert // its type differs by system
	return uint64(max(int64(s.Bavail), 0)) * size, s.Blocks * size, true
}
