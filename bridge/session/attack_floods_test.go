package session_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"nalar.internal/rowfeed/test/rig"
)

// The floods are not parallel, so that what the process holds before and afterwards can be compared.

// flooded runs a bridge with a client who subscribes, floods it meanwhile, and wants the client to get each event and
// the bridge to hold no more afterwards than before.
func flooded(t *testing.T, flood func(r *rig.Rig, stop <-chan struct{}), more ...string) {
	t.Helper()
	r := rig.New(t, stock, channels, more...)
	c := r.Full(t, rig.User(1, clerk))
	c.Ask(`{"type":"subscribe","ref":"1","channel":"stock","resource":"levels","key":1}`)
	event := func(n int) {
		t.Helper()
		r.Exec(t, `update stock set quantity = $1 where id = 1`, n)
		if f := c.Next(); f["type"] != "stock_changed" || fmt.Sprint(f["data"].(map[string]any)["new_quantity"]) != fmt.Sprint(n) {
			t.Fatalf("event %d: got %v", n, f)
		}
	}
	event(1000)
	before := used(t)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { defer close(done); flood(r, stop) }()
	for i := range 15 {
		event(i)
		<-time.After(25 * time.Millisecond) // the flood rises meanwhile
	}
	enters(t, r)
	close(stop)
	<-done
	event(2000)
	settled(t, before)
}

// enters connects as a client that comes during a flood does: it tries again where it had to make room.
func enters(t *testing.T, r *rig.Rig) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), rig.Limit)
	defer cancel()
	for {
		conn, _, err := websocket.Dial(ctx, "ws://"+r.Addr+"/ws", &websocket.DialOptions{
			Subprotocols: []string{"rowfeed.v1", "bearer." + rig.User(2, clerk)},
		})
		if err == nil {
			_, b, err := conn.Read(ctx)
			conn.CloseNow()
			if err == nil && strings.Contains(string(b), "welcome") {
				return
			}
		}
		if ctx.Err() != nil {
			t.Fatalf("nobody comes in during the flood: %v", err)
		}
	}
}

// many runs f again and again in n goroutines until stop.
func many(n int, stop <-chan struct{}, f func(i int)) {
	ended := make(chan struct{})
	for i := range n {
		go func() {
			defer func() { ended <- struct{}{} }()
			for {
				select {
				case <-stop:
					return
				default:
					f(i)
				}
			}
		}()
	}
	for range n {
		<-ended
	}
}

// Connections that say nothing, or a part, or connect without ever sending a token, make room for those who are known.
func TestFloodOfConnections(t *testing.T) {
	const upgrade = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: rowfeed.v1\r\nX-Forwarded-For: 192.0.2.%d\r\n\r\n"
	flooded(t, func(r *rig.Rig, stop <-chan struct{}) {
		held := make([][]net.Conn, 4)
		many(len(held), stop, func(i int) {
			nc, err := net.Dial("tcp", r.Addr)
			if err != nil {
				return
			}
			switch text := fmt.Sprintf(upgrade, len(held[i])%250); i {
			case 0:
				nc.Write([]byte(text[:40]))
			case 1, 2:
				nc.Write([]byte(text))
			}
			if held[i] = append(held[i], nc); len(held[i]) > 500 { // what the machine allows to one process
				held[i][0].Close()
				held[i] = held[i][1:]
			}
		})
		text := r.Metrics(t)
		for _, line := range []string{"rowfeed_server_dropped_total 0\n", "rowfeed_session_evicted_total 0\n"} {
			if strings.Contains(text, line) {
				t.Errorf("nobody made room: %s", line)
			}
		}
		for _, list := range held {
			for _, nc := range list {
				nc.Close()
			}
		}
	}, "ROWFEED_SERVER_MAX_CONNECTIONS=400", "ROWFEED_SERVER_TRUSTED_PROXIES=127.0.0.0/8")
}

// Frames of all kinds, as fast as they can be sent, end the session that sends them and hold up no other.
func TestFloodOfFrames(t *testing.T) {
	fragment := frame(0x00, "")
	kinds := [][]byte{
		frame(0x81, ping), frame(0x81, "x"), frame(0x89, "x"), frame(0x8a, ""),
		frame(0x81, `{"type":"unsubscribe","subscription":"1"}`), append(frame(0x01, ""), frame(0x80, ping)...), fragment,
	}
	flooded(t, func(r *rig.Rig, stop <-chan struct{}) {
		many(len(kinds), stop, func(i int) {
			c := rawDial(t, r.Addr, "/ws", rig.User(10+i, clerk))
			defer c.Close()
			if i == len(kinds)-1 {
				c.send(frame(0x01, "x")) // a message that never ends
			}
			more := []byte(strings.Repeat(string(kinds[i]), 200))
			written := make(chan struct{})
			go func() {
				defer close(written)
				for {
					if _, err := c.Write(more); err != nil {
						return
					}
				}
			}()
			for {
				op, p, err := c.read()
				if op == 8 && len(p) >= 2 {
					code := binary.BigEndian.Uint16([]byte(p))
					if code != 4505 && code != 4504 { // its user has too many that are yet to go
						t.Errorf("flood %d: closed with %d, want 4505", i, code)
					}
				}
				if err != nil || op == 8 {
					break
				}
			}
			c.Close()
			<-written
		})
	})
}

// Subscriptions beyond the limit are refused; those within it, made and ended without end, are a flood of frames.
func TestFloodOfSubscriptions(t *testing.T) {
	flooded(t, func(r *rig.Rig, stop <-chan struct{}) {
		many(4, stop, func(i int) {
			c := rawDial(t, r.Addr, "/ws", rig.User(10+i, clerk))
			defer c.Close()
			c.want("welcome")
			refused, n := false, 0
			for ; !refused && n < 100; n++ {
				c.send(frame(0x81, fmt.Sprintf(`{"type":"subscribe","ref":"%d","channel":"stock","resource":"levels","key":%d}`, n, n+100)))
				_, p := c.next()
				refused = strings.Contains(p, "too_many_subscriptions")
			}
			if !refused || n != 21 {
				t.Errorf("refused: %v, after %d subscriptions", refused, n)
			}
		})
	}, "ROWFEED_SERVER_MAX_SUBSCRIPTIONS=20", "ROWFEED_SERVER_FRAMES_PER_SECOND=1000")
}
