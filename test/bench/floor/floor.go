// Package floor is what the benchmarks measure against: the least that brings rows from PostgreSQL to sockets. It
// LISTENs on one connection, to a plain trigger that has the row in its NOTIFY, and writes each payload and a newline
// to every plain TCP connection that there is. No outbox, no authorization, no protocol, nothing kept.
package floor

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/jackc/pgx/v5"
)

// Channel is what the floor's trigger notifies.
const Channel = "floor"

// Options is what there is to choose.
type Options struct {
	// Batch has what waits for a connection leave in one writev; else each payload is one write to each connection.
	Batch bool
	// Width fills shorter payloads up with blanks, for a floor that writes as many bytes as what it is compared with.
	Width int
}

type floor struct {
	batch bool
	mu    sync.Mutex // guards conns and ready
	conns []*conn
	ready []*conn // batch: those that something waits for
	wake  chan struct{}
}

type conn struct {
	net.Conn
	mu      sync.Mutex
	pending net.Buffers
}

// Serve runs until ctx ends or the database connection fails. A connection gets an empty line when it is in.
func Serve(ctx context.Context, url string, l net.Listener, o Options) error {
	pg, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect floor: %w", err)
	}
	defer pg.Close(context.WithoutCancel(ctx))
	if _, err := pg.Exec(ctx, "listen "+Channel); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	f := &floor{batch: o.Batch, wake: make(chan struct{}, 1)}
	var running sync.WaitGroup
	defer running.Wait()
	defer func() { l.Close(); close(f.wake); f.hangUp() }()
	running.Go(func() { f.accept(l) })
	running.Go(f.writeBatches)
	for {
		n, err := pg.WaitForNotification(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("wait for notification: %w", err)
		}
		f.send(append(fmt.Appendf(nil, "%-*s", o.Width, n.Payload), '\n'))
	}
}

func (f *floor) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.conns = append(f.conns, &conn{Conn: c})
		f.mu.Unlock()
		_, _ = c.Write([]byte{'\n'})
	}
}

func (f *floor) send(line []byte) {
	f.mu.Lock()
	for _, c := range f.conns {
		if !f.batch {
			_, _ = c.Write(line) // one that has gone costs a failed write
			continue
		}
		c.mu.Lock()
		if len(c.pending) == 0 {
			f.ready = append(f.ready, c)
		}
		c.pending = append(c.pending, line)
		c.mu.Unlock()
	}
	f.mu.Unlock()
	if f.batch {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
}

// writeBatches writes all that waits for a connection at once, until wake is closed.
func (f *floor) writeBatches() {
	var ready []*conn
	var spare net.Buffers
	for range f.wake {
		f.mu.Lock()
		ready, f.ready = f.ready, ready[:0]
		f.mu.Unlock()
		for _, c := range ready {
			c.mu.Lock()
			waiting := c.pending
			c.pending = spare[:0]
			c.mu.Unlock()
			spare = waiting[:0]
			_, _ = waiting.WriteTo(c.Conn)
		}
	}
}

func (f *floor) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		c.Close()
	}
}
