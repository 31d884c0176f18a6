//go:build !linux

package parts

import "syscall"

// dieWithParent does nothing here: no other system offers it. A child is ended
// by Stop and by its context, not when this process is killed outright.
func dieWithParent(*syscall.SysProcAttr) {}

// listensOn takes the program's word for it: no other system says whose a port is
// in this way.
func listensOn(int, string) bool { return true }
