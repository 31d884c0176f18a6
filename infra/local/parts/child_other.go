//go:build !linux

package parts

import "syscall"

// dieWithParent does nothing here: no other system offers it. A child is ended
// by Stop and by its context, not when this process is killed outright.
func dieWithParent(*syscall.SysProcAttr) {}
