// Package fault makes the network between a bridge and its database fail, for tests.
package fault

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy passes connections on to a PostgreSQL server, without TLS, and does harm to them when it is told to.
type Proxy struct {
	// Mute, while it is true, has the proxy leave out every notification that the server sends, as a pooler in transaction
	// mode does.
	Mute atomic.Bool

	target   string
	listener net.Listener
	wg       sync.WaitGroup

	mu      sync.Mutex
	links   map[*link]bool
	silent  bool
	resumed *sync.Cond // of mu: silent has become false, or the proxy is closed
	closed  bool
}

// link is one connection: from the bridge, and on to the server.
type link struct {
	near, far net.Conn
	mute      atomic.Bool
}

// New makes a proxy for the server at target (host:port), until the test ends.
func New(t testing.TB, target string) *Proxy {
	t.Helper()
	var plain net.ListenConfig
	plain.SetMultipathTCP(false) // such a socket takes no filter
	l, err := plain.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{target: target, listener: l, links: map[*link]bool{}}
	p.resumed = sync.NewCond(&p.mu)
	p.wg.Add(1)
	go p.accept()
	t.Cleanup(p.close)
	return p
}

// Addr is where the proxy listens, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Target has connections that come from now on go to another server.
func (p *Proxy) Target(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// MuteLinks has the connections that there are leave out notifications, and those that come not.
func (p *Proxy) MuteLinks() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.mute.Store(true)
	}
}

// Cut ends all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.near.Close()
		l.far.Close()
	}
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.resumed.Broadcast()
	p.mu.Unlock()
	p.listener.Close()
	p.Cut()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	defer p.wg.Done()
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		target := p.target
		p.mu.Unlock()
		far, err := net.Dial("tcp", target)
		if err != nil {
			near.Close()
			continue
		}
		p.pass(&link{near: near, far: far})
	}
}

// pass copies both ways until either end is closed.
func (p *Proxy) pass(l *link) {
	_ = l.near.(*net.TCPConn).SetKeepAlive(false) // a silent network lets no probe through
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		l.near.Close()
		l.far.Close()
		return
	}
	if p.silent {
		_ = silence(l.near, true)
	}
	p.links[l] = true
	ways := []func(){
		func() { _, _ = io.Copy(l.far, l.near) },
		func() { p.answer(l) },
	}
	p.wg.Add(len(ways))
	for _, way := range ways {
		go func() {
			defer p.wg.Done()
			way()
			l.near.Close()
			l.far.Close()
			p.mu.Lock()
			defer p.mu.Unlock()
			delete(p.links, l)
		}()
	}
}

// answer copies what the server sends, message by message: a type, a length that counts itself, and so much less four.
func (p *Proxy) answer(l *link) {
	const notification = 'A'
	from := bufio.NewReaderSize(l.far, 64<<10)
	for {
		head, err := from.Peek(5)
		if err != nil {
			return
		}
		size := 1 + int64(binary.BigEndian.Uint32(head[1:]))
		to := io.Writer(l.near)
		if head[0] == notification && (p.Mute.Load() || l.mute.Load()) {
			to = io.Discard
		}
		if !p.awaitVoice() {
			return
		}
		if _, err := io.CopyN(to, from, size); err != nil {
			return
		}
	}
}

// awaitVoice waits while the network is silent; false: the proxy is closed.
func (p *Proxy) awaitVoice() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.silent && !p.closed {
		p.resumed.Wait()
	}
	return !p.closed
}
