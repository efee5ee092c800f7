//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// swarm is many raw clients that one goroutine reads through epoll, since what the clients cost is taken from the
// machine that the bridge is measured on.
type swarm struct {
	clients []*raw
	address string
	buffer  int // of a socket, in bytes; 0 is the system's
	poll    int
	place   map[int32]*raw
	events  []unix.EpollEvent
	memory  []byte
}

// inflight is how many handshakes are under way at a time: less than a listener's backlog, beyond which the kernel has
// connections wait for a second.
const inflight = 1024

func newSwarm(clients []*raw, address string) (*swarm, error) {
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	return &swarm{
		clients: clients, address: address, poll: poll, place: map[int32]*raw{},
		events: make([]unix.EpollEvent, 512), memory: make([]byte, 256<<10),
	}, nil
}

// connect connects all clients, reads until each of them is done, and returns how long that took.
func (s *swarm) connect(ctx context.Context, done func(*raw) bool) (time.Duration, error) {
	at, err := netip.ParseAddrPort(s.address)
	if err != nil {
		return 0, fmt.Errorf("read address: %w", err)
	}
	start, begun := time.Now(), 0
	open := map[*raw]struct{}{} // not done yet
	for {
		for ; begun < len(s.clients) && len(open) < inflight; begun++ {
			if err := s.dial(s.clients[begun], at); err != nil {
				return 0, err
			}
			open[s.clients[begun]] = struct{}{}
		}
		if len(open) == 0 {
			return time.Since(start), nil
		}
		if err := s.read(ctx, start.Add(patience), func(r *raw) {
			if done(r) {
				delete(open, r)
			}
		}); err != nil {
			return 0, fmt.Errorf("%w; %d clients were not done", err, len(open)+len(s.clients)-begun)
		}
	}
}

// until reads until done, which is asked after each batch.
func (s *swarm) until(ctx context.Context, done func() bool) error {
	for limit := time.Now().Add(patience); !done(); {
		if err := s.read(ctx, limit, func(*raw) {}); err != nil {
			return err
		}
	}
	return nil
}

// read feeds the clients with what has come, waiting for a short while.
func (s *swarm) read(ctx context.Context, limit time.Time, fed func(*raw)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if time.Now().After(limit) {
		return errors.New("read clients: time is up")
	}
	n, err := unix.EpollWait(s.poll, s.events, 10)
	if err != nil && err != unix.EINTR {
		return fmt.Errorf("wait for epoll: %w", err)
	}
	for _, ev := range s.events[:max(n, 0)] {
		r := s.place[ev.Fd]
		n, err := unix.Read(int(ev.Fd), s.memory)
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
			continue
		case err == nil && n == 0:
			err = errors.New("ended by the server")
		case err == nil:
			err = r.feed(s.memory[:n])
		}
		if err != nil {
			return fmt.Errorf("client %d: %w", r.number, err)
		}
		fed(r)
	}
	return nil
}

// dial opens a client's socket and sends its handshake.
func (s *swarm) dial(r *raw, at netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	s.place[int32(fd)] = r
	if s.buffer > 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, s.buffer); err != nil {
			return fmt.Errorf("set receive buffer: %w", err)
		}
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}); err != nil {
		return fmt.Errorf("connect to %s: %w", at, err)
	}
	r.upgraded, r.subscribed, r.rest = false, false, nil
	r.say = func(b []byte) error {
		_, err := unix.Write(fd, b)
		return err
	}
	if err := r.say(r.hello(s.address)); err != nil {
		return fmt.Errorf("send handshake: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return fmt.Errorf("set socket non-blocking: %w", err)
	}
	return unix.EpollCtl(s.poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// hangUp closes all sockets without a word, as a network that is gone does.
func (s *swarm) hangUp() {
	for fd := range s.place {
		unix.Close(int(fd))
	}
	clear(s.place)
}

func (s *swarm) close() {
	s.hangUp()
	unix.Close(s.poll)
}

// raiseFiles lets this process, and those that it starts, open so many files.
func raiseFiles(n uint64) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read limit of open files: %w", err)
	}
	if limit.Cur >= n {
		return nil
	}
	limit.Cur, limit.Max = n, max(limit.Max, n)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("raise limit of open files: %w: run `ulimit -n %d` first, or take -short", err, n)
	}
	return nil
}
