//go:build !linux

package pgserver

import "syscall"

// dieWithParent has no counterpart here: a server whose starter is killed has to be stopped by hand.
func dieWithParent(*syscall.SysProcAttr) {}
