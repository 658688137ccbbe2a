package edge

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// childAttributes puts nginx into a process group of its own, so that a
// terminal's Ctrl-C reaches furima alone and its processes can be told from
// others, and has the kernel end it if furima dies without stopping it.
//
// The signal comes when the thread that started the process ends; see start.
// It is SIGTERM and not SIGKILL: the master takes its workers along, while a
// killed master would leave them behind.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// members returns the processes of a group that are still running and are
// nginx. A process that has ended and was not waited for is not running.
func members(group int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		// pid (name) state parent group …; a name may hold anything.
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
		if open < 0 || end < open {
			continue
		}
		fields := bytes.Fields(stat[end+1:])
		if len(fields) < 3 || string(fields[0]) == "Z" || string(fields[2]) != strconv.Itoa(group) {
			continue
		}
		if name := stat[open+1 : end]; bytes.HasPrefix(name, []byte("nginx")) {
			pids = append(pids, pid)
		}
	}
	return pids
}
