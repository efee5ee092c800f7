package session

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"nalar.internal/rowfeed/bridge/audience"
	"nalar.internal/rowfeed/bridge/change"
)

// The control frames are to the byte what the golden files say, which the client's tests read too.
func TestWireControl(t *testing.T) {
	t.Parallel()
	id, _ := strconv.ParseUint("5f0c", 36, 64)
	s := &Session{srv: &Server{node: "s"}, id: id}
	who := &audience.Identity{User: "42", Name: "Siti Rahma", Expires: time.Now().Add(5 * time.Minute)}
	beat := func(cursors ...[2]string) *change.Message {
		return change.NewMessage(64, func(b []byte) []byte { return append(b, heartbeatText(cursors)...) })
	}
	sent := map[string]*change.Message{
		"server-welcome":            welcomeFrame(s, who),
		"server-error":              errorFrame("1", errUnknownColumn, "where: no field colour in stock-levels"),
		"server-error-no-ref":       errorFrame("", errBadFrame, "frame is not a JSON object"),
		"server-resync":             resyncFrame(change.Notice{Channel: "stock", Resource: "stock-levels", Reason: "cursor_expired"}, "1"),
		"server-resync-channel":     resyncFrame(change.Notice{Channel: "approvals", Reason: "drift"}, ""),
		"server-auth-expiring":      expiringFrame(time.Minute),
		"server-heartbeat":          beat(),
		"server-heartbeat-cursors":  beat([2]string{"stock", "7f3a:4711"}),
		"server-pong":               pongFrame,
		"server-subscribed":         subscribedFrame("1", false),
		"server-subscribed-resumed": subscribedFrame("4", true),
		"server-unsubscribed":       unsubscribedFrame("5"),
	}
	files, err := filepath.Glob("../../test/testdata/wire/control/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	expires := regexp.MustCompile(`"expires_in_ms":\d+`)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var golden struct{ Frame json.RawMessage }
		if err := json.Unmarshal(b, &golden); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if strings.HasPrefix(name, "client-") {
			dec := json.NewDecoder(bytes.NewReader(golden.Frame))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&clientFrame{}); err != nil {
				t.Errorf("%s: not understood: %v", name, err)
			}
			continue
		}
		m := sent[name]
		if m == nil {
			t.Errorf("%s: nothing sends it", name)
			continue
		}
		var want bytes.Buffer
		if err := json.Compact(&want, golden.Frame); err != nil {
			t.Fatal(err)
		}
		text := expires.ReplaceAll(m.Payload(), []byte(`"expires_in_ms":300000`))
		if string(text) != want.String() {
			t.Errorf("%s: sends %s, golden is %s", name, text, want.String())
		}
		delete(sent, name)
	}
	for name := range sent {
		t.Errorf("%s: no golden file", name)
	}
}

// A frame's header says its length in the form that RFC 6455, section 5.2 has for it.
func TestFrameHeader(t *testing.T) {
	t.Parallel()
	for n, header := range map[int]string{
		0: "\x81\x00", 125: "\x81\x7d", 126: "\x81\x7e\x00\x7e", 65535: "\x81\x7e\xff\xff",
		65536: "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00",
	} {
		m := change.NewMessage(n, func(b []byte) []byte { return append(b, make([]byte, n)...) })
		if f := m.Frame(); string(f[:len(header)]) != header || len(f) != len(header)+n || len(m.Payload()) != n {
			t.Errorf("%d bytes: header % x", n, f[:len(header)])
		}
	}
}
