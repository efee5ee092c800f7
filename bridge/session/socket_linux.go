package session

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// setUserTimeout bounds how long sent bytes may stay unacknowledged before the connection ends: tcp(7),
// TCP_USER_TIMEOUT. Without it the kernel tries for a quarter of an hour.
func setUserTimeout(raw syscall.RawConn, d time.Duration) {
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
}

// maxUnsent is how much of what was written the kernel keeps for a peer that has no room for it, in bytes.
const maxUnsent = 256 << 10

// limitUnsent bounds what a peer that does not read costs in the kernel, which takes megabytes else: tcp(7),
// TCP_NOTSENT_LOWAT. What is on its way is not counted, so that a fast peer far away stays one.
func limitUnsent(raw syscall.RawConn) {
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
	})
}
