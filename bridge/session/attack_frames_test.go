package session_test

import (
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"nalar.internal/rowfeed/test/rig"
)

// JSON as deep as a frame is long is refused like any other that is wrong, wherever it stands, and costs nothing to
// speak of.
func TestDeepJSON(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	deep := func(open, end string, n int) string { return strings.Repeat(open, n) + "1" + strings.Repeat(end, n) }
	for name, value := range map[string]string{
		"lists": deep("[", "]", 12_000), "less deep": deep("[", "]", 9_000), "objects": deep(`{"a":`, "}", 4_000),
		"unfinished": strings.Repeat("[", 30_000), "unfinished objects": strings.Repeat(`{"a":`, 6_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := r.Full(t, rig.User(len(name), clerk))
			for field, code := range map[string]string{ // beside bad_frame
				`"key":`: "", `"where":{"sku_id":`: "", `"cursor":`: "", `"rewind":`: "", `"x":`: "subscribed",
			} {
				end := "}"
				if strings.HasPrefix(field, `"where"`) {
					end = "}}"
				}
				f := c.Ask(`{"type":"subscribe","ref":%q,"channel":"stock","resource":"levels",%s%s%s`, field, field, value, end)
				if f["type"] != code && f["code"] != "bad_frame" {
					t.Errorf("%s: got %v", field, f)
				}
			}
			for _, whole := range []string{value, `{"type":` + value + `}`} {
				if f := c.Ask("%s", whole); f["code"] != "bad_frame" {
					t.Errorf("got %v", f)
				}
			}
			for _, body := range []string{value, `{"subscriptions":` + value + `}`, `{"subscriptions":[{"channel":"stock","key":` + value + `}]}`} {
				s, text := r.TryStream(t, http.MethodPost, "/sse", http.Header{"Authorization": {"Bearer " + rig.User(len(name), clerk)}}, body)
				if s.Response.StatusCode == http.StatusOK {
					s.Next() // the welcome
					if f := s.Frame(); f["code"] != "bad_frame" {
						t.Errorf("as a body: %v", f)
					}
				} else if s.Response.StatusCode != http.StatusBadRequest {
					t.Errorf("as a body: %s %s", s.Response.Status, text)
				}
				s.Drop()
			}
		})
	}
	t.Run("token", func(t *testing.T) {
		t.Parallel()
		var claims any = 1
		for range 500 {
			claims = []any{claims}
		}
		c := r.Dial(t, "/ws", nil, "rowfeed.v1", "bearer."+rig.Token(map[string]any{"user_id": 1, "roles": claims}))
		if ce := c.Closed(); ce.Code != 4501 {
			t.Errorf("closed with %v, want 4501", ce)
		}
	})
}

// A frame may have 32 KiB, before it is known whose it is and after; in how many pieces does not count.
func TestFrameLimits(t *testing.T) {
	t.Parallel()
	r := rig.New(t, stock, channels)
	pieces := func(n int) []byte {
		all := frame(0x01, " ")
		for range n - 2 {
			all = append(all, frame(0x00, strings.Repeat(" ", 1<<10))...)
		}
		return append(all, frame(0x80, ping)...)
	}
	for name, f := range map[string][]byte{
		"whole": frame(0x81, strings.Repeat(" ", 32<<10)+ping), "in pieces": pieces(40),
		"announced": append([]byte{0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, make([]byte, 40<<10)...),
		"negative":  {0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 'x'},
	} {
		for user, path := range map[string]string{"": "/ws", rig.User(1, clerk): "/ws", rig.User(2, clerk): "/ws/stock"} {
			var c *rawConn
			if user == "" {
				_, c = upgrade(t, r, path)
			} else if c = rawDial(t, r.Addr, path, user); path == "/ws" {
				c.want("welcome")
			}
			c.send(f)
			if got := c.code(); got != 1009 && (name != "negative" || got != 1002) {
				t.Errorf("%s at %s: closed with %d, want 1009", name, path, got)
			}
		}
	}
	c := rawDial(t, r.Addr, "/ws", rig.User(3, clerk))
	c.want("welcome")
	c.send(pieces(30))
	c.want("pong")
}

// usage is what a process holds.
type usage struct{ goroutines, descriptors, heap int }

func used(t *testing.T) usage {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil && runtime.GOOS == "linux" {
		t.Fatal(err)
	}
	return usage{runtime.NumGoroutine(), len(fds), int(m.HeapInuse)}
}

// settled waits until the process holds about what it held before: its own clients' remains, and what caches keep, are
// allowed for.
func settled(t *testing.T, before usage) {
	t.Helper()
	for limit := time.After(3 * rig.Limit); ; {
		now := used(t)
		if now.goroutines <= before.goroutines+10 && now.descriptors <= before.descriptors+10 && now.heap <= before.heap+16<<20 {
			return
		}
		select {
		case <-limit:
			t.Fatalf("before %+v, afterwards %+v", before, now)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
