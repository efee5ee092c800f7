package bridge

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// setUserTimeout bounds how long what was sent may be unacknowledged: tcp(7), TCP_USER_TIMEOUT. Keepalive alone does not
// help there, since it probes idle connections only.
func setUserTimeout(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(lostAfter.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return failed
}
