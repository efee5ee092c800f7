package fault

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Silence has the kernel drop every packet that comes from the bridge, without a reset, and sends none: nothing is
// acknowledged, neither data nor keepalive probes nor new connections. Until Resume.
func (p *Proxy) Silence(t testing.TB) { p.setSilent(t, true) }

// Resume ends a silence: what TCP has not given up goes on.
func (p *Proxy) Resume(t testing.TB) { p.setSilent(t, false) }

func (p *Proxy) setSilent(t testing.TB, on bool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = on
	if err := silence(p.listener, on); err != nil {
		t.Fatal(err)
	}
	for l := range p.links {
		_ = silence(l.near, on) // it may be closed just now
	}
	p.resumed.Broadcast()
}

// silence attaches a filter to the socket that lets no packet in, or takes it off: socket(7), SO_ATTACH_FILTER.
func silence(socket any, on bool) error {
	raw, err := socket.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		if !on {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
			return
		}
		drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop})
	})
	if err != nil {
		return err
	}
	return failed
}
