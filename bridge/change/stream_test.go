package change

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

func text(payload, cursor string) *Message {
	m := NewMessage(len(payload), func(b []byte) []byte { return append(b, payload...) })
	m.Cursor = cursor
	return m
}

// A message's events are its JSON texts, each under data:, with the cursor as id of the last one.
func TestStream(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		m    *Message
		want string
	}{
		{"text", text(`{"a":1}`, ""), "data: {\"a\":1}\n\n"},
		{"with a cursor", text(`{"a":1}`, "7f3a:4711"), "id: 7f3a:4711\ndata: {\"a\":1}\n\n"},
		{"joined", Join([]*Message{text(`1`, "a"), text(`2`, "b")}), "data: 1\n\nid: b\ndata: 2\n\n"},
		{"joined, the last without one", Join([]*Message{text(`1`, "a"), text(`2`, "")}), "data: 1\n\nid: a\ndata: 2\n\n"},
		{"raw", NewRaw([]byte(":\n\n")), ":\n\n"},
		{"control", NewControl(0x9, nil), ""},
	} {
		if got := string(tt.m.Stream()); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
		if again := tt.m.Stream(); len(again) > 0 && &again[0] != &tt.m.Stream()[0] {
			t.Errorf("%s: rendered more than once", tt.name)
		}
	}
}

// However long the messages of a joined one are, its events hold the same texts.
func TestStreamOfJoined(t *testing.T) {
	t.Parallel()
	lengths := []int{0, 1, 125, 126, 65_535, 65_536, 100_000}
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		var list []*Message
		var want []byte
		for range 1 + rnd.IntN(8) {
			payload := strings.Repeat("x", lengths[rnd.IntN(len(lengths))])
			list = append(list, text(payload, ""))
			want = append(want, "data: "+payload+"\n\n"...)
		}
		got := Join(list).Stream()
		if !bytes.Equal(got, want) {
			t.Fatalf("seed %d: %d bytes of events differ from the %d wanted", seed, len(got), len(want))
		}
	}
}
