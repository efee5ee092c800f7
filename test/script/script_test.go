// Package script plays test/testdata/script.json to a bridge: what clients send, what the database is told, and what
// each connection hears of it. The fake server of the client package plays the same script, and has to say the same.
package script

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"nalar.internal/rowfeed/test/pgtest"
	"nalar.internal/rowfeed/test/rig"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var update = flag.Bool("update", false, "write what the bridge says into the script")

const file = "../testdata/script.json"

// step is something that happens, and what each connection hears of it. In the update a null stands for a frame.
type step struct {
	Open  string                      `json:"open,omitempty"`
	Close string                      `json:"close,omitempty"`
	On    string                      `json:"on,omitempty"` // the connection that sends
	Send  json.RawMessage             `json:"send,omitempty"`
	Text  string                      `json:"text,omitempty"`
	SQL   string                      `json:"sql,omitempty"`
	Emit  json.RawMessage             `json:"emit,omitempty"` // the same to the fake server
	Says  map[string][]map[string]any `json:"says"`
}

const table = `create table item (id int primary key, owner int, colour text, n int)`

const channels = `  stock:
    class: lossless
    rules:
      - {table: item, event: item_changed, resource: items, columns: [id, owner, colour, n], audience: ["user:{owner}"]}
`

// player plays a script to a bridge.
type player struct {
	t     *testing.T
	rig   *rig.Rig
	conns map[string]*rig.Client
	heard map[string]*memory
}

// memory is what a connection, and those of its name before it, were sent.
type memory struct {
	cursor string
	ids    []string
}

func TestScript(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var steps []step
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&steps); err != nil {
		t.Fatal(err)
	}
	p := &player{t: t, rig: rig.New(t, table, channels), conns: map[string]*rig.Client{}, heard: map[string]*memory{}}
	for i := range steps {
		p.do(&steps[i])
		for name, want := range steps[i].Says {
			for n := range want {
				got := p.next(name)
				if *update {
					want[n] = got
				} else if !reflect.DeepEqual(got, want[n]) {
					t.Errorf("step %d: %s hears %v, the script has %v", i, name, got, want[n])
				}
			}
		}
	}
	if *update {
		p.write(steps)
	}
}

func (p *player) write(steps []step) {
	p.t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(steps); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *player) do(s *step) {
	p.t.Helper()
	switch {
	case s.Open != "":
		p.conns[s.Open] = p.rig.Dial(p.t, "/ws", nil, "rowfeed.v1")
		if p.heard[s.Open] == nil {
			p.heard[s.Open] = &memory{}
		}
	case s.Close != "":
		_ = p.conns[s.Close].Close(websocket.StatusNormalClosure, "")
	case s.Text != "":
		p.conns[s.On].Say(s.Text)
	case s.Send != nil:
		text := strings.NewReplacer(`"@1"`, quoted(rig.User(1)), `"@2"`, quoted(rig.User(2)),
			`"@a"`, quoted(p.heard["a"].cursor)).Replace(string(s.Send))
		p.conns[s.On].Say(text)
	case s.SQL != "":
		p.rig.Exec(p.t, s.SQL)
	}
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // of a string there is no error
	}
	return string(b)
}

// next returns the next frame without what differs from run to run; for the end of the connection its code. An event
// that comes again, since a cursor is a little older than what came with it, is passed over.
func (p *player) next(name string) map[string]any {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), rig.Limit)
	defer cancel()
	m := p.heard[name]
	for {
		_, b, err := p.conns[name].Read(ctx)
		var closed websocket.CloseError
		if errors.As(err, &closed) {
			return map[string]any{"close": float64(closed.Code)}
		}
		if err != nil {
			p.t.Fatalf("%s: read frame: %v", name, err)
		}
		var f map[string]any
		if err := json.Unmarshal(b, &f); err != nil {
			p.t.Fatal(err)
		}
		if c, ok := f["cursor"].(string); ok {
			m.cursor = c
		}
		if f["type"] == "heartbeat" {
			continue
		}
		if id, ok := f["id"].(string); ok {
			if slices.Contains(m.ids, id) {
				continue
			}
			m.ids = append(m.ids, id)
		}
		for _, field := range []string{"id", "at", "txid", "cursor", "session", "grants", "expires_in_ms"} {
			delete(f, field)
		}
		return f
	}
}
