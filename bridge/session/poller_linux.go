package session

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// poller waits for all sessions at rest with one epoll instance. A session is armed for one event at a time; whoever
// reads it arms it again. The event carries the session's place and the place's generation, so that an event that was
// already on its way when a session ended can't reach the next one at the same place. Descriptors are only touched
// under net's own lock (RawConn), so a closed one is never mistaken for its number's next owner.
type poller struct {
	fd   int
	stop int // eventfd

	mu    sync.Mutex
	slots []pollSlot
	free  []int32
}

type pollSlot struct {
	s   *Session
	gen int32
}

const pollEvents = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: -1}
	if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, stop, &ev); err != nil {
		unix.Close(stop)
		unix.Close(fd)
		return nil, fmt.Errorf("watch eventfd: %w", err)
	}
	return &poller{fd: fd, stop: stop}, nil
}

// arm has the session reported once when it becomes readable; the first time it gets its place.
func (p *poller) arm(s *Session) error {
	p.mu.Lock()
	op := unix.EPOLL_CTL_MOD
	if s.slot < 0 {
		op = unix.EPOLL_CTL_ADD
		if n := len(p.free); n > 0 {
			s.slot = p.free[n-1]
			p.free = p.free[:n-1]
		} else {
			s.slot = int32(len(p.slots)) //nolint:gosec // sessions are bounded by descriptors, whose numbers are an int32
			p.slots = append(p.slots, pollSlot{})
		}
		p.slots[s.slot].s = s
	}
	ev := unix.EpollEvent{Events: pollEvents, Fd: s.slot, Pad: p.slots[s.slot].gen}
	owned := p.slots[s.slot].s == s
	p.mu.Unlock()
	if !owned {
		return errors.New("session has ended")
	}
	var errno error
	if err := s.raw.Control(func(fd uintptr) { errno = unix.EpollCtl(p.fd, op, int(fd), &ev) }); err != nil {
		return err
	}
	return errno
}

// disarm gives the session's place back. The descriptor leaves epoll when it is closed.
func (p *poller) disarm(s *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.slot >= 0 && p.slots[s.slot].s == s {
		p.slots[s.slot] = pollSlot{gen: p.slots[s.slot].gen + 1}
		p.free = append(p.free, s.slot)
	}
}

// run hands readable sessions to read until close.
func (p *poller) run(read func(*Session)) {
	events := make([]unix.EpollEvent, 256)
	for {
		n, err := unix.EpollWait(p.fd, events, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return // the instance was closed
		}
		for _, ev := range events[:n] {
			if ev.Fd < 0 {
				return
			}
			p.mu.Lock()
			slot := p.slots[ev.Fd]
			p.mu.Unlock()
			if slot.s != nil && slot.gen == ev.Pad {
				read(slot.s)
			}
		}
	}
}

// close ends run.
func (p *poller) close() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(p.stop, one[:])
}

// free releases the descriptors, after run has ended.
func (p *poller) release() {
	unix.Close(p.stop)
	unix.Close(p.fd)
}

func (op *readOp) call(fd uintptr) bool {
	for {
		op.n, op.errno = unix.Read(int(fd), op.p)
		if !errors.Is(op.errno, syscall.EINTR) {
			return true
		}
	}
}

// read reads what is there, without waiting: EAGAIN when that is nothing.
func (op *readOp) read(raw syscall.RawConn, p []byte) (int, error) {
	op.p = p
	err := raw.Read(op.fn)
	op.p = nil
	if err != nil {
		return 0, err
	}
	if op.errno != nil {
		return 0, op.errno
	}
	return op.n, nil
}
