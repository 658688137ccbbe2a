//go:build !linux && !darwin && !freebsd

package sqldb

func diskSpace(string) (free, total uint64, ok bool) { return 0, 0, false }
