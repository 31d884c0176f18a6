package parts

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// dieWithParent has the kernel kill the child when this process ends in any way.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// listensOn reports whether it is the process that listens on a port of 127.0.0.1.
func listensOn(pid int, port string) bool {
	n, err := strconv.Atoi(port)
	if err != nil {
		return false
	}
	sockets, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(sockets)) {
		const local, state, inode, listening = 1, 3, 9, "0A"
		f := strings.Fields(line)
		if len(f) > inode && f[local] == fmt.Sprintf("0100007F:%04X", n) && f[state] == listening {
			return holds(pid, "socket:["+f[inode]+"]")
		}
	}
	return false
}

// holds reports whether the process has something open.
func holds(pid int, what string) bool {
	open, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return false
	}
	for _, file := range open {
		if name, err := os.Readlink(file); err == nil && name == what {
			return true
		}
	}
	return false
}
