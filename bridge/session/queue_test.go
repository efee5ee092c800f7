package session

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"nalar.internal/rowfeed/bridge/change"
)

func message(row string, op change.Op, v change.Variant, latest bool, size int) *change.Message {
	m := change.NewMessage(size, func(b []byte) []byte { return append(b, bytes.Repeat([]byte("x"), size)...) })
	m.Key, m.Op, m.Variant, m.Latest = row, op, v, latest
	return m
}

func keys(q *queue) (s string) {
	for _, m := range q.items[q.head:] {
		s += fmt.Sprintf("%s%c%d ", m.Key, rune(m.Op), m.Variant)
	}
	return s
}

// A full queue of a latest channel keeps the newest update of each row, and everything that is no plain update.
func TestQueueMerges(t *testing.T) {
	t.Parallel()
	var q queue
	q.append(message("a", change.Insert, change.Whole, true, 10))
	for range 3 {
		q.append(message("a", change.Update, change.Whole, true, 10))
		q.append(message("b", change.Update, change.Whole, true, 10))
	}
	q.append(message("a", change.Update, change.Leave, true, 10))
	q.append(message("c", change.Update, change.Enter, true, 10))
	q.append(message("b", change.Delete, change.Whole, true, 10))
	q.append(message("d", change.Update, change.Whole, false, 10))
	q.append(message("d", change.Update, change.Whole, false, 10))
	q.merge()
	if got, want := keys(&q), "ai0 au2 cu1 bd0 du0 du0 "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	bytes := 0
	for _, m := range q.items[q.head:] {
		bytes += len(m.Frame())
	}
	if bytes != q.bytes {
		t.Errorf("counts %d bytes, holds %d", q.bytes, bytes)
	}
}

// What the writer has taken stays where it is while the rest is merged.
func TestQueueMergeSparesInflight(t *testing.T) {
	t.Parallel()
	var q queue
	for range 4 {
		q.append(message("a", change.Update, change.Whole, true, 10))
	}
	views := q.views(nil, 2, false)
	q.merge()
	if q.len() != 3 {
		t.Fatalf("want the two in flight and the newest, got %d", q.len())
	}
	q.advance(len(views[0]) + len(views[1]))
	if q.len() != 1 {
		t.Errorf("want one left, got %d", q.len())
	}
}

// What is half on the wire is not replaced, though no writer has it at the moment.
func TestQueueMergeSparesBegun(t *testing.T) {
	t.Parallel()
	var q queue
	for range 3 {
		q.append(message("a", change.Update, change.Whole, true, 10))
	}
	first := q.items[0]
	q.views(nil, 2, false)
	q.advance(5)
	q.merge()
	if q.len() != 2 || q.items[q.head] != first {
		t.Errorf("want the half-written one and the newest, got %d", q.len())
	}
	q.replaceEvents(nil)
	if q.len() != 1 || q.items[q.head] != first || q.bytes != len(first.Frame()) {
		t.Errorf("want the half-written one only, got %d of %d bytes", q.len(), q.bytes)
	}
}

// Pongs wait within the bounds too.
func TestQueueBoundsPongs(t *testing.T) {
	t.Parallel()
	s := &Session{srv: &Server{}}
	for range 2 * maxQueueBytes / 127 {
		s.queueControl(append([]byte{0x8a, 125}, make([]byte, 125)...))
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.closing != closeSlowConsumer || s.q.bytes > maxQueueBytes+127 {
		t.Errorf("closing %d with %d bytes of pongs queued", s.closing, s.q.bytes)
	}
}

func TestQueueBounds(t *testing.T) {
	t.Parallel()
	var q queue
	if !q.push(message("big", change.Update, change.Whole, false, 4<<20)) {
		t.Fatal("a single message of any size must fit")
	}
	if !q.push(pingFrame) {
		t.Fatal("a ping must not end a session that is being sent a large message")
	}
	if q.push(message("b", change.Update, change.Whole, false, maxQueueBytes)) {
		t.Fatal("a lossless queue over its bound must refuse")
	}
	q = queue{}
	for i := range 100_000 {
		if !q.push(message(fmt.Sprint(i%100), change.Update, change.Whole, true, 300)) {
			t.Fatalf("a latest queue of 100 rows overflowed at %d", i)
		}
		if bytes, _ := q.behind(); bytes > maxQueueBytes {
			t.Fatalf("%d bytes queued", q.bytes)
		}
	}
	distinct, n := queue{}, 0
	for distinct.push(message(fmt.Sprint(n), change.Update, change.Whole, true, 300)) {
		if n++; n > maxQueueLen {
			t.Fatal("a latest queue of ever new rows must overflow")
		}
	}
}

// Whatever the socket takes at a time, the bytes on the wire are the frames in order.
func TestQueueAdvance(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		q := queue{sse: seed%2 == 1}
		var want, got []byte
		for len(want) == 0 || q.len() > 0 {
			if len(want) < 20_000 {
				m := message("k", change.Update, change.Whole, false, rnd.IntN(300))
				want = append(want, q.wire(m)...)
				q.append(m)
			}
			if rnd.IntN(3) == 0 {
				continue
			}
			views := q.views(nil, 1+rnd.IntN(8), false)
			all := bytes.Join(views, nil)
			n := rnd.IntN(len(all) + 1)
			got = append(got, all[:n]...)
			q.advance(n)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("seed %d: %d bytes on the wire differ from %d queued", seed, len(got), len(want))
		}
		if q.bytes != 0 {
			t.Fatalf("seed %d: an empty queue counts %d bytes", seed, q.bytes)
		}
	}
}

// A joined message of a latest channel is taken apart where something in it can be merged, but not once it has begun
// to leave.
func TestQueueTakesApart(t *testing.T) {
	t.Parallel()
	join := func() *change.Message {
		return change.Join([]*change.Message{
			message("a", change.Update, change.Whole, true, 10), message("b", change.Update, change.Whole, true, 10),
		})
	}
	var q queue
	q.append(join())
	q.append(join())
	q.append(join())
	first := len(q.views(nil, 1, false)[0])
	q.advance(5)
	q.merge()
	if got, want := keys(&q), "u0 au0 bu0 "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := q.advance(first - 5); n != 2 || q.len() != 2 {
		t.Errorf("the joined message counts %d, %d are left", n, q.len())
	}
}

// In a stream the parts of a joined message have more ids than the whole: the bytes that are counted are those that are
// there.
func TestQueueTakesStreamsApart(t *testing.T) {
	t.Parallel()
	q := queue{sse: true}
	for range 3 {
		parts := []*change.Message{message("a", change.Update, change.Whole, true, 10), message("b", change.Update, change.Whole, true, 10)}
		for _, m := range parts {
			m.Cursor = "e:1:x"
		}
		q.append(change.Join(parts))
	}
	q.merge()
	for q.len() > 0 {
		q.advance(len(q.views(nil, 1, false)[0]))
	}
	if q.bytes != 0 {
		t.Errorf("an empty queue counts %d bytes", q.bytes)
	}
}

// An engine that no handshake made reads like one that was.
func TestEngineWithoutHandshake(t *testing.T) {
	t.Parallel()
	if e := newEngine(); e.ws == nil || e.br == nil || e.op.fn == nil {
		t.Errorf("incomplete: %+v", e)
	}
}
