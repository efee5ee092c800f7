package session

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"nalar.internal/rowfeed/bridge/change"
)

// TestHeldQueue writes queues of joined and single messages in pieces of any size, holds them anywhere, and drops what
// waits: what is on the wire then is whole frames, none of them begun after the hold, and then what came instead.
func TestHeldQueue(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 11))
		q := &queue{sse: seed%2 == 1}
		var whole bytes.Buffer // all of it
		var ends []int         // where a frame ends
		for i := range 1 + rnd.IntN(6) {
			var parts []*change.Message
			for j := range 1 + rnd.IntN(3) {
				m := textMessage(fmt.Sprintf(`{"i":%d,"j":%d,"x":"%s"}`, i, j, strings.Repeat("x", rnd.IntN(200))))
				m.Op = change.Insert
				whole.Write(q.wire(m))
				ends = append(ends, whole.Len())
				parts = append(parts, m)
			}
			if len(parts) == 1 {
				q.append(parts[0])
			} else {
				q.append(change.Join(parts))
			}
		}
		var wire []byte
		write := func(most int, held bool) bool {
			b := bytes.Join(q.views(nil, 1+rnd.IntN(8), held), nil)
			n := min(most, len(b))
			wire = append(wire, b[:n]...)
			q.advance(n)
			return len(b) > 0
		}
		for range rnd.IntN(4) {
			write(rnd.IntN(300), false)
		}
		views := bytes.Join(q.views(nil, 1+rnd.IntN(8), false), nil) // with the writer while it happens
		sent := rnd.IntN(len(views) + 1)
		late := rnd.IntN(2) == 0
		drop := func() { q.doom(); q.replaceEvents([]*change.Message{textMessage("instead")}) }
		if late {
			drop()
		}
		wire = append(wire, views[:sent]...)
		q.advance(sent)
		at := len(wire)
		if !late {
			for write(rnd.IntN(300), true) {
				continue
			}
			drop()
		}
		for q.len() > 0 {
			write(1+rnd.IntN(300), false)
		}
		end := 0
		for _, e := range ends {
			if end = e; e >= at {
				break
			}
		}
		if at == 0 {
			end = 0
		}
		want := append(bytes.Clone(whole.Bytes()[:end]), q.wire(textMessage("instead"))...)
		if !bytes.Equal(wire, want) {
			t.Fatalf("seed %d: %d bytes were on the wire, then\n%q\nwant\n%q", seed, at, wire, want)
		}
		if q.bytes != 0 || q.own != 0 {
			t.Fatalf("seed %d: %d bytes, %d own are left", seed, q.bytes, q.own)
		}
	}
}

func textMessage(text string) *change.Message {
	return change.NewMessage(len(text), func(b []byte) []byte { return append(b, text...) })
}
