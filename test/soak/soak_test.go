//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"nalar.internal/rowfeed/test/pgserver"
	"nalar.internal/rowfeed/test/pgtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(smallVariable) != "" { // this binary is a bridge too
		if err := serveSmall(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "goleak:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// built is the bridge's program, made once for all tests.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func program(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "rowfeed-soak-test-"); built.err == nil {
			built.err = build(context.Background(), filepath.Join(built.dir, "rowfeed"))
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "rowfeed")
}

// TestScenarios runs each scenario in its short form. What is lost, comes twice or out of order fails it; how long
// something took, or how much memory, is not for a test.
func TestScenarios(t *testing.T) {
	path := program(t)
	dir, err := pgserver.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	major, err := pgserver.Major(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, sc := range scenarios {
		if sc.name == "queue" && !pgtest.NotifyQueuePages.In(t, major) {
			continue // make test-versions runs it
		}
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel() // mostly they wait
			figures, notes, err := sc.attempt(t.Context(), path, short)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range figures {
				if f.bar == 0 && !f.holds() {
					t.Errorf("%s: %v", f.name, f.values)
				}
			}
			if t.Failed() {
				t.Log(strings.Join(notes, "\n"))
			}
		})
	}
}

func TestUnknownScenario(t *testing.T) {
	err := run(t.Context(), &bytes.Buffer{}, &bytes.Buffer{}, []string{"flooded"}, short)
	if err == nil || !strings.Contains(err.Error(), `"flooded"`) {
		t.Errorf("want an error that names it, got %v", err)
	}
}

// TestJudge holds the judge to see each kind of fault.
func TestJudge(t *testing.T) {
	state := func(row, at int, mark string) arrival { return arrival{version: version{row, at}, mark: mark} }
	committed := ledger{
		1: {state(1, 2, "a"), state(1, 4, "b"), state(1, 5, "b"), state(1, 6, "c")},
		2: {state(2, 2, "d")},
	}
	whole := []arrival{state(1, 2, "a"), state(2, 2, "d"), state(1, 4, "b"), state(1, 5, "b"), state(1, 6, "c")}
	replaced := func(i int, a ...arrival) []arrival {
		return append(append(append([]arrival{}, whole[:i]...), a...), whole[i+1:]...)
	}
	by := &load{}
	by.hasty.Store("u", nil)
	for name, test := range map[string]struct {
		log  []arrival
		want verdict
	}{
		"whole":        {whole, verdict{}},
		"lost":         {replaced(2), verdict{lost: 1}},
		"twice":        {replaced(4, whole[4], whole[4]), verdict{twice: 1}},
		"out of order": {replaced(2, whole[3], whole[2])[:4], verdict{disorder: 1, lost: 1}},
		"rolled back":  {replaced(1, whole[1], state(2, 4, "r")), verdict{foreign: 1}},
		"another's":    {replaced(1, state(2, 2, "r")), verdict{foreign: 1, lost: 1}},
		"undone":       {replaced(1, whole[1], state(2, 4, "u")), verdict{undone: 1, untold: 1}},
	} {
		got := committed.judge(&client{log: test.log}, by)
		got.first = ""
		if got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

// TestRawPieces feeds a conversation byte by byte and as a whole: what is heard must be the same.
func TestRawPieces(t *testing.T) {
	text := func(s string) string {
		if len(s) < 126 {
			return "\x81" + string([]byte{byte(len(s))}) + s
		}
		return "\x81\x7e" + string([]byte{byte(len(s) >> 8), byte(len(s))}) + s
	}
	event := `{"type":"pulse_changed","data":{"id":1,"n":7},"old":{"n":6},"x":"` + strings.Repeat("y", 300) + `","cursor":"a:b"}`
	wire := "HTTP/1.1 101 Switching Protocols\r\n\r\n" + text(`{"type":"welcome"}`) +
		text(`{"type":"subscribed","ref":"1","resumed":true}`) + text(event) + "\x89\x00" + text(`{"type":"heartbeat"}`) + text(event)
	for _, piece := range []int{1, 2, 5, 1000} {
		v := &survivor{place: 7, fresh: true}
		var said bytes.Buffer
		v.subscribe, v.say = `{"type":"subscribe"}`, func(b []byte) error { said.Write(b); return nil }
		heard := 0
		v.heard = func(b []byte) error { heard++; return v.take(b) }
		var err error
		for rest := []byte(wire); len(rest) > 0 && err == nil; rest = rest[min(piece, len(rest)):] {
			err = v.feed(rest[:min(piece, len(rest))])
		}
		if err == nil || !strings.Contains(err.Error(), "version 7 came after 7") {
			t.Errorf("pieces of %d: an event that came again is taken: %v", piece, err)
		}
		if heard != 2 || v.last != 7 || v.cursor != "a:b" || !v.subscribed {
			t.Errorf("pieces of %d: heard %d, last %d, cursor %q", piece, heard, v.last, v.cursor)
		}
		if pong := "\x8a\x80\x00\x00\x00\x00"; !strings.HasSuffix(said.String(), pong) {
			t.Errorf("pieces of %d: the ping was not answered", piece)
		}
	}
}
