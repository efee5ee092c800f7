//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/test/measure"
)

// Clients that never read: each has rows of its own, so that none of what waits for it is shared.
const (
	muteRows   = 60
	muteBytes  = 8 << 10 // of a row: all of them nearly fill a session's queue
	muteRounds = 15      // updates of each row in a round: more than the kernel's buffers take
	mutePause  = 40 * time.Millisecond
)

// mute measures what a client costs that shakes hands and then reads nothing, and whether others feel it.
func mute(ctx context.Context, s *stage, clients, rounds int) ([]figure, []string, error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "insert into parcel select o * 1000 + i, o, 0, repeat('x', $3) from generate_series(1, $1) o, "+
		"generate_series(1, $2) i", clients, muteRows, muteBytes); err != nil {
		return nil, nil, fmt.Errorf("fill table: %w", err)
	}
	name := fmt.Sprintf("%d clients that never read, %d KB for each: ", clients, muteRows*muteRounds*muteBytes>>10)
	cost := figure{name: name + "peak of the bridge's memory each, over that with clients that read", unit: "KB", bar: 1024}
	kernel := figure{name: name + "the kernel's buffers of their connections each, at the end", unit: "KB", bar: 1024}
	alone := figure{name: name + "the same over that of the bridge at rest", unit: "KB", bar: none}
	p99 := figure{name: name + "p99 of another channel's events, in times of that with clients that read", unit: "×", bar: 1.5}
	with := figure{name: name + "that p99", unit: "ms", bar: none}
	for round := range rounds {
		var peak, rest, held [2]int
		var late [2]float64
		for i := range 2 {
			silent := (i+round)%2 == 1
			at := 0
			if silent {
				at = 1
			}
			if peak[at], rest[at], held[at], late[at], err = hush(ctx, s, conn, clients, silent); err != nil {
				return nil, nil, err
			}
		}
		cost.values = append(cost.values, float64(peak[1]-peak[0])/float64(clients))
		kernel.values = append(kernel.values, float64(held[1]-held[0])/float64(clients))
		alone.values = append(alone.values, float64(peak[1]-rest[1])/float64(clients))
		p99.values, with.values = append(p99.values, late[1]/late[0]), append(with.values, late[1])
	}
	return []figure{cost, alone, kernel, p99, with}, nil, nil
}

// hush connects the clients to a bridge that is new and changes their rows. It returns, in kilobytes, the bridge's memory
// at its peak and before, and that of all TCP sockets of the machine; and the probe's p99.
func hush(ctx context.Context, s *stage, conn *pgx.Conn, count int, silent bool) (peak, rest, held int, p99 float64, err error) {
	if err := s.crash(); err != nil { // memory that the last round has left would hide what this one takes
		return 0, 0, 0, 0, err
	}
	if err := s.start(ctx); err != nil {
		return 0, 0, 0, 0, err
	}
	p, err := newProbe(ctx, s)
	if err != nil {
		return 0, 0, 0, 0, err
	}
	defer p.close()
	clients := make([]*raw, count)
	for i := range clients {
		clients[i] = &raw{
			number: i + 1, token: token(jwt.MapClaims{"user_id": i + 1}), heard: func([]byte) error { return nil },
			subscribe: `{"type":"subscribe","ref":"1","channel":"parcels"}`,
		}
	}
	w, err := newSwarm(clients, s.address)
	if err != nil {
		return 0, 0, 0, 0, err
	}
	defer w.close()
	w.buffer = 4096
	if !silent {
		w.buffer = 0
	}
	if _, err := w.connect(ctx, func(r *raw) bool { return r.subscribed }); err != nil {
		return 0, 0, 0, 0, err
	}
	if rest, err = s.memory("VmRSS"); err != nil {
		return 0, 0, 0, 0, err
	}
	if err := s.resetPeak(); err != nil {
		return 0, 0, 0, 0, err
	}
	reading, stop := context.WithCancel(ctx)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for !silent && w.read(reading, time.Now().Add(patience), func(*raw) {}) == nil {
			continue
		}
	}()
	took, err := p.while(ctx, func() error {
		for range muteRounds {
			for o := range count {
				if _, err := conn.Exec(ctx, "update parcel set n = n + 1 where owner = $1", o+1); err != nil {
					return fmt.Errorf("change rows: %w", err)
				}
				if err := pause(ctx, mutePause); err != nil {
					return err
				}
			}
		}
		return nil
	})
	stop()
	<-read
	if err != nil {
		return 0, 0, 0, 0, err
	}
	if peak, err = s.memory("VmHWM"); err != nil {
		return 0, 0, 0, 0, err
	}
	held, err = socketMemory()
	return peak, rest, held, measure.Quantile(took, 0.99), err
}

// socketMemory returns what the kernel holds for TCP, in kilobytes (proc(5), net/sockstat: pages).
func socketMemory() (int, error) {
	text, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return 0, fmt.Errorf("read memory of sockets: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if _, pages, ok := strings.Cut(strings.TrimSpace(line), " mem "); ok && strings.HasPrefix(line, "TCP:") {
			n, err := strconv.Atoi(pages)
			return n * os.Getpagesize() / 1024, err
		}
	}
	return 0, errors.New("read memory of sockets: no TCP in sockstat")
}
