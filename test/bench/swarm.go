//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// swarm is many subscribers in one process. Without TLS one goroutine reads them all through epoll, since what the
// clients cost is taken from the machine that the server is measured on; with TLS each has a goroutine.
type swarm struct {
	j     job
	subs  []*subscriber
	own   bool // an event must be the subscriber's own
	live  atomic.Int64
	got   atomic.Int64
	beats atomic.Int64
}

// inflight is how many handshakes are under way at a time.
const inflight = 64

var errNotMine = errors.New("an event that is another user's")

func newSwarm(j job) *swarm {
	s := &swarm{j: j, own: j.Channel == "tasks"}
	for i := range j.Count {
		s.subs = append(s.subs, &subscriber{user: i + 1, channel: j.Channel, heard: s.heard})
	}
	return s
}

// heard judges an event: each user's own arrive in the order of their steps, none twice, and nobody else's.
func (s *swarm) heard(c *subscriber, event []byte) error {
	if !s.own {
		return nil
	}
	user, err := number(event, "assigned_to")
	if err != nil {
		return err
	}
	if user != c.user {
		return errNotMine
	}
	step, err := number(event, "step")
	if err != nil {
		return err
	}
	if step <= c.step {
		return fmt.Errorf("step %d of a user after step %d", step, c.step)
	}
	c.step = step
	return nil
}

// feed passes on what a socket brought and keeps the counts.
func (s *swarm) feed(c *subscriber, b []byte) error {
	was, got, beats := c.phase, c.got, c.beats
	err := c.feed(b)
	if c.phase == live && was != live {
		s.live.Add(1)
	}
	if c.got != got {
		s.got.Add(int64(c.got - got))
	}
	if c.beats != beats {
		s.beats.Add(int64(c.beats - beats))
	}
	return err
}

// run connects all subscribers and reads until one of them fails.
func (s *swarm) run(ctx context.Context) error {
	if s.j.Authority != "" {
		return s.runTLS(ctx)
	}
	at, err := netip.ParseAddrPort(s.j.Address)
	if err != nil {
		return fmt.Errorf("read address: %w", err)
	}
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("create epoll: %w", err)
	}
	defer unix.Close(poll)
	place := map[int32]*subscriber{}
	events := make([]unix.EpollEvent, 512)
	buf := make([]byte, 256<<10)
	for next := 0; ; {
		for ; next < len(s.subs) && next < int(s.live.Load())+inflight; next++ {
			fd, err := s.connect(poll, s.subs[next], at)
			if err != nil {
				return err
			}
			place[fd] = s.subs[next]
		}
		n, err := unix.EpollWait(poll, events, -1)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("wait for epoll: %w", err)
		}
		for _, ev := range events[:max(n, 0)] {
			n, err := unix.Read(int(ev.Fd), buf)
			switch {
			case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
				continue
			case err == nil && n == 0:
				err = errors.New("ended by the server")
			case err == nil:
				err = s.feed(place[ev.Fd], buf[:n])
			}
			if err != nil {
				return fmt.Errorf("subscriber %d: %w", place[ev.Fd].user, err)
			}
		}
	}
}

// connect opens a subscriber's socket and sends its handshake.
func (s *swarm) connect(poll int, c *subscriber, at netip.AddrPort) (int32, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open socket: %w", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}); err != nil {
		return 0, fmt.Errorf("connect to %s: %w", at, err)
	}
	c.say = func(b []byte) error {
		_, err := unix.Write(fd, b)
		return err
	}
	hello, err := c.request(s.j.Address)
	if err != nil {
		return 0, err
	}
	if hello != nil {
		if err := c.say(hello); err != nil {
			return 0, fmt.Errorf("send handshake: %w", err)
		}
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return 0, fmt.Errorf("set socket non-blocking: %w", err)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	return ev.Fd, unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, fd, &ev)
}

// runTLS is run with a goroutine a connection.
func (s *swarm) runTLS(ctx context.Context) error {
	pem, err := os.ReadFile(s.j.Authority)
	if err != nil {
		return fmt.Errorf("read certificate: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	turns := make(chan struct{}, inflight)
	var all sync.WaitGroup
	for _, c := range s.subs {
		all.Go(func() {
			if err := s.converse(ctx, &dialer, c, turns); err != nil {
				cancel(fmt.Errorf("subscriber %d: %w", c.user, err))
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// converse is one subscriber's life; it holds a turn until it is live.
func (s *swarm) converse(ctx context.Context, dialer *tls.Dialer, c *subscriber, turns chan struct{}) error {
	turns <- struct{}{}
	held := true
	release := func() {
		if held {
			held = false
			<-turns
		}
	}
	defer release()
	conn, err := dialer.DialContext(ctx, "tcp", s.j.Address)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	return read(conn, c, s.j.Address, make([]byte, 4096), func(b []byte) error {
		err := s.feed(c, b)
		if c.phase == live {
			release()
		}
		return err
	})
}

// read shakes hands on a connection and feeds what comes until it ends.
func read(conn net.Conn, c *subscriber, host string, buf []byte, feed func([]byte) error) error {
	c.say = func(b []byte) error {
		_, err := conn.Write(b)
		return err
	}
	hello, err := c.request(host)
	if err != nil {
		return err
	}
	if hello != nil {
		if err := c.say(hello); err != nil {
			return err
		}
	}
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		if err := feed(buf[:n]); err != nil {
			return err
		}
	}
}
