package warm

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// releasePages unmaps the program's own code. Starting a binary with all roles
// touches most of it once, some 8 MiB, and warming needs a tenth of that, which
// comes back from the page cache. It does nothing where it cannot.
//
// Only code is taken: it is never written, so that dropping it loses nothing.
// Constants may hold relocated addresses, which exist in memory alone.
func releasePages() {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if from, to, ok := codeOf(sc.Text(), exe); ok {
			// Advice: that it is not taken is no fault.
			_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, from, to-from, syscall.MADV_DONTNEED)
		}
	}
}

// codeOf reads a line of /proc/self/maps and returns the mapping if it is code
// of the program: 00400000-00f99000 r-xp 00000000 fe:00 99 /path/of/file
func codeOf(line, exe string) (from, to uintptr, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 6 || fields[1] != "r-xp" || !strings.HasSuffix(line, " "+exe) {
		return 0, 0, false
	}
	first, last, ok := strings.Cut(fields[0], "-")
	if !ok {
		return 0, 0, false
	}
	a, err := strconv.ParseUint(first, 16, strconv.IntSize)
	if err != nil {
		return 0, 0, false
	}
	b, err := strconv.ParseUint(last, 16, strconv.IntSize)
	if err != nil || b <= a {
		return 0, 0, false
	}
	return uintptr(a), uintptr(b), true
}
