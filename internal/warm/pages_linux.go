package warm

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// releasePages unmaps the program's own code and constants that only its start
// has touched, some 12 MiB of a binary with all roles; what is used again
// comes back from the page cache. It does nothing where it cannot.
//
// Only mappings of the program's file are taken that cannot be written and
// hold no private copy of a page: dropping those loses nothing.
func releasePages() {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()
	var m mapping
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := sc.Text()
		if next, ok := parseMapping(line, exe); ok {
			m = next
			continue
		}
		if rest, ok := strings.CutPrefix(line, "Anonymous:"); ok {
			if m.releasable && strings.TrimSpace(rest) == "0 kB" {
				// Advice: that it is not taken is no fault.
				_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, m.from, m.to-m.from, syscall.MADV_DONTNEED)
			}
			m = mapping{}
		}
	}
}

type mapping struct {
	from, to   uintptr
	releasable bool
}

// parseMapping reads the line that begins a mapping:
// 00400000-00f99000 r-xp 00000000 fe:00 99 /path/of/file
func parseMapping(line, exe string) (mapping, bool) {
	fields := strings.Fields(line)
	if len(fields) < 5 {
		return mapping{}, false
	}
	from, to, ok := strings.Cut(fields[0], "-")
	if !ok {
		return mapping{}, false
	}
	a, err := strconv.ParseUint(from, 16, strconv.IntSize)
	if err != nil {
		return mapping{}, false
	}
	b, err := strconv.ParseUint(to, 16, strconv.IntSize)
	if err != nil {
		return mapping{}, false
	}
	readOnly := fields[1] == "r-xp" || fields[1] == "r--p"
	return mapping{from: uintptr(a), to: uintptr(b), releasable: readOnly && strings.HasSuffix(line, " "+exe)}, true
}
