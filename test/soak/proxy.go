//go:build linux

package main

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
)

// proxy stands between clients and the bridge and cuts their connections after a random number of bytes, mostly in the
// middle of a frame.
type proxy struct {
	l       net.Listener
	target  string
	cutting atomic.Bool
	cuts    atomic.Int64
	within  int64 // a connection that is cut has brought at most so many bytes

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	all   sync.WaitGroup
}

func newProxy(target string, within int64) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{l: l, target: target, within: within, conns: map[net.Conn]struct{}{}}
	p.all.Go(p.accept)
	return p, nil
}

func (p *proxy) address() string { return p.l.Addr().String() }

func (p *proxy) accept() {
	for {
		down, err := p.l.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", p.target)
		if err != nil {
			down.Close()
			continue
		}
		p.mu.Lock()
		p.conns[down], p.conns[up] = struct{}{}, struct{}{}
		p.mu.Unlock()
		p.all.Go(func() { _, _ = io.Copy(up, down); p.close(down, up) })
		p.all.Go(func() { p.carry(down, up); p.close(down, up) })
	}
}

// carry copies what the bridge says, up to where it is cut.
func (p *proxy) carry(down, up net.Conn) {
	buf := make([]byte, 32<<10)
	left := rand.Int64N(p.within)
	for {
		n, err := up.Read(buf)
		if p.cutting.Load() && left < int64(n) {
			_, _ = down.Write(buf[:left])
			if rand.IntN(2) == 0 { // one end in two hears of it by a reset
				_ = down.(*net.TCPConn).SetLinger(0)
				_ = up.(*net.TCPConn).SetLinger(0)
			}
			p.cuts.Add(1)
			return
		}
		if p.cutting.Load() {
			left -= int64(n)
		}
		if _, werr := down.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

func (p *proxy) close(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(p.conns, c)
	}
}

// stop ends the proxy and all that goes through it.
func (p *proxy) stop() {
	p.l.Close()
	p.mu.Lock()
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.all.Wait()
}
