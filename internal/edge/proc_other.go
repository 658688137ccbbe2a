//go:build unix && !linux

package edge

import "syscall"

// childAttributes puts nginx into a process group of its own. Only Linux ends
// it with furima if that is killed; see proc_linux.go.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// members stands for the whole group with its leader, since there is no
// portable way to list it.
func members(group int) []int {
	if syscall.Kill(-group, 0) != nil {
		return nil
	}
	return []int{-group}
}
