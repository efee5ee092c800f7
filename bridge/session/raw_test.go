package session_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"nalar.internal/rowfeed/test/rig"
	"nalar.internal/rowfeed/test/wstest"
)

type jsonNumber = json.Number

// rawConn speaks WebSocket by hand, to say what no library would.
type rawConn struct {
	net.Conn
	r *bufio.Reader
	t *testing.T
}

func rawDial(t *testing.T, addr, path, token string) *rawConn {
	t.Helper()
	nc := wstest.Dial(t, addr)
	if token != "" {
		token = ", bearer." + token
	}
	fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: rowfeed.v1, rowfeed.plain%s\r\n\r\n", path, addr, token)
	r := bufio.NewReader(nc)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("handshake: %v %v", res, err)
	}
	return &rawConn{nc, r, t}
}

// frame makes a masked client frame.
func frame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = append(b, 0x80|126)
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b = append(b, 0x80|127)
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

func (c *rawConn) send(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// next returns the opcode and payload of the next frame that is no heartbeat.
func (c *rawConn) next() (byte, string) {
	c.t.Helper()
	for {
		op, p := c.any()
		if op != 9 && !strings.HasPrefix(p, `{"type":"heartbeat"`) {
			return op, p
		}
	}
}

func (c *rawConn) any() (byte, string) {
	c.t.Helper()
	op, p, err := c.read()
	if err != nil {
		c.t.Fatalf("read frame: %v", err)
	}
	return op, p
}

// read reads one frame.
func (c *rawConn) read() (op byte, payload string, err error) {
	var h [2]byte
	if _, err := io.ReadFull(c.r, h[:]); err != nil {
		return 0, "", err
	}
	n := int(h[1])
	if n == 126 {
		var l [2]byte
		if _, err := io.ReadFull(c.r, l[:]); err != nil {
			return 0, "", err
		}
		n = int(binary.BigEndian.Uint16(l[:]))
	}
	p := make([]byte, n)
	_, err = io.ReadFull(c.r, p)
	return h[0] & 0xf, string(p), err
}

// code returns the close code of the next frame, which must be a close frame.
func (c *rawConn) code() int {
	c.t.Helper()
	op, p := c.next()
	if op != 8 || len(p) < 2 {
		c.t.Fatalf("want a close frame, got opcode %d %q", op, p)
	}
	return int(binary.BigEndian.Uint16([]byte(p)))
}

func (c *rawConn) want(text string) {
	c.t.Helper()
	if op, p := c.next(); op != 1 || !strings.Contains(p, text) {
		c.t.Fatalf("want %s, got opcode %d %q", text, op, p)
	}
}

const ping = `{"type":"ping"}`

// However a message is cut into frames and segments, it is read whole, and control frames between are answered.
func TestReading(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels, "ROWFEED_SERVER_FRAMES_PER_SECOND=1000")
	dial := func(t *testing.T) *rawConn {
		c := rawDial(t, r.Addr, "/ws", rig.User(1, clerk))
		c.want("welcome")
		return c
	}
	t.Run("byte by byte", func(t *testing.T) {
		t.Parallel()
		c := dial(t)
		for _, b := range frame(0x81, ping) {
			c.send([]byte{b})
		}
		c.want("pong")
	})
	t.Run("slower than a worker waits", func(t *testing.T) {
		t.Parallel()
		c := dial(t)
		f := frame(0x81, ping)
		for len(f) > 0 {
			n := min(5, len(f))
			c.send(f[:n])
			f = f[n:]
			pause(80 * time.Millisecond)
		}
		c.want("pong")
		c.send(frame(0x81, ping))
		c.want("pong")
	})
	t.Run("many in one segment", func(t *testing.T) {
		t.Parallel()
		c := dial(t)
		var all []byte
		for range 50 {
			all = append(all, frame(0x81, ping)...)
			all = append(all, frame(0x89, "x")...)
		}
		c.send(all)
		pongs := map[byte]int{}
		for range 100 {
			op, _ := c.next()
			pongs[op]++
		}
		if pongs[1] != 50 || pongs[0xa] != 50 {
			t.Errorf("want 50 of each, got %v", pongs)
		}
	})
	t.Run("fragments with a ping between", func(t *testing.T) {
		t.Parallel()
		c := dial(t)
		c.send(frame(0x01, ping[:5]))
		c.send(frame(0x89, "between"))
		if op, p := c.next(); op != 0xa || p != "between" {
			t.Fatalf("want the pong, got %d %q", op, p)
		}
		c.send(frame(0x00, ping[5:9]))
		c.send(frame(0x80, ping[9:]))
		c.want("pong")
	})
	t.Run("pong then half a header", func(t *testing.T) {
		t.Parallel()
		c := dial(t)
		f := frame(0x81, ping)
		c.send(append(frame(0x8a, "late"), f[:1]...))
		pause(30 * time.Millisecond)
		c.send(f[1:])
		c.want("pong")
	})
	t.Run("longer than the buffer", func(t *testing.T) {
		t.Parallel()
		c := dial(t)
		c.send(frame(0x81, `{"type":"ping","ref":"1"`+strings.Repeat(" ", 20_000)+`}`))
		c.want("pong")
	})
	for _, tt := range []struct {
		name  string
		bytes []byte
		code  int
	}{
		{"too big", frame(0x81, strings.Repeat(" ", 40_000)), 1009},
		{"binary", frame(0x82, ping), 1003},
		{"invalid UTF-8", frame(0x81, "\xff\xfe"), 1007},
		{"unmasked", []byte{0x81, 1, 'x'}, 1002},
		{"reserved bits", append([]byte{0xf1}, frame(0x81, ping)[1:]...), 1002},
		{"unknown opcode", frame(0x83, ping), 1002},
		{"continuation of nothing", frame(0x80, ping), 1002},
		{"long control frame", frame(0x89, strings.Repeat("x", 126)), 1002},
		{"close", frame(0x88, "\x03\xe8bye"), 1000},
		{"close without code", frame(0x88, ""), 1005},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := dial(t)
			c.send(tt.bytes)
			if tt.code == 1005 {
				if op, p := c.next(); op != 8 || p != "" {
					t.Errorf("want an empty close frame, got %d %q", op, p)
				}
				return
			}
			if got := c.code(); got != tt.code {
				t.Errorf("want %d, got %d", tt.code, got)
			}
			if tt.code == 1000 {
				if _, err := c.r.ReadByte(); err != io.EOF {
					t.Errorf("after the close handshake: want EOF, got %v", err)
				}
			}
		})
	}
}

// A flood of frames, good or bad, is answered and then closed.
func TestFloods(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	for name, f := range map[string][]byte{
		"pings": frame(0x89, "x"), "good frames": frame(0x81, ping), "bad frames": frame(0x81, "x"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := rawDial(t, r.Addr, "/ws", rig.User(1, clerk))
			var all []byte
			for range 500 {
				all = append(all, f...)
			}
			c.send(all)
			for {
				op, p := c.next()
				if op == 8 {
					if got := binary.BigEndian.Uint16([]byte(p)); got != 4505 {
						t.Errorf("want 4505, got %d", got)
					}
					return
				}
			}
		})
	}
}

// pause spaces bytes on the wire: slowness itself is what is tested.
func pause(d time.Duration) { <-time.After(d) }
