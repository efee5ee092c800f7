//go:build !linux

package bridge

import "syscall"

// setUserTimeout has no counterpart here that all systems share: keepalive alone finds a connection that leads nowhere,
// and a sweep that is not answered shows in the readiness answer.
func setUserTimeout(_, _ string, _ syscall.RawConn) error { return nil }
