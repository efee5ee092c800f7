package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/change"
)

// tape is a feed's memory, and what it was filled from: each record is an update of a row's v, the transaction its
// number. A tick is there every ten records, named by how many it has seen.
type tape struct {
	records []*change.Record
	gone    int  // ticks up to here are not in memory
	deaf    bool // there is no tick at all
}

const grant = "\x00g"

func (p *tape) add(row, was, now string) {
	xid := uint64(len(p.records) + 1)
	p.records = append(p.records, &change.Record{Xid: xid, LSN: xid, Op: change.Update, Old: []byte(row + " " + was), New: []byte(row + " " + now)})
}

func (p *tape) mark(n int) change.Mark {
	return change.Mark{Cursor: at(n), Snapshot: &change.Snapshot{Xmin: uint64(n + 1), Xmax: uint64(n + 1)}}
}

// at is the cursor that vouches for the first n records.
func at(n int) change.Cursor { return change.Cursor{Epoch: "e", Xid: uint64(n + 1), Nonce: "x"} }

func (p *tape) End() uint64 { return uint64(len(p.records) + 1) }

func (p *tape) Find(c change.Cursor) (m change.Mark, from, newer uint64, ok, foreign bool) {
	n := int(c.Xid) - 1
	if c.Epoch != "e" || n < p.gone {
		return m, 0, 0, false, c.Epoch != "e"
	}
	return p.mark(n), uint64(n + 1), uint64(n + 1), true, false
}

func (p *tape) Oldest() (m change.Mark, from uint64, ok bool) { return p.mark(0), 1, !p.deaf }

func (p *tape) Read(from uint64, dst []*change.Record, places []change.Place) (n int, ok bool) {
	for ; n < len(dst) && from-1+uint64(n) < uint64(len(p.records)); n++ {
		pos := from + uint64(n)
		dst[n], places[n] = p.records[pos-1], change.Place{Epoch: "e", Pos: pos, Cursor: at(int(pos-1) / 10 * 10).String()}
	}
	return n, true
}

func (p *tape) Lookup(_ context.Context, cursors []change.Cursor) ([]*change.Mark, error) {
	marks := make([]*change.Mark, len(cursors))
	for i, c := range cursors {
		if n := int(c.Xid) - 1; c.Nonce == "x" {
			m := p.mark(n)
			marks[i] = &m
		}
	}
	return marks, nil
}

func (p *tape) Next(context.Context, change.Mark) (next change.Mark, ok bool, err error) {
	return next, false, nil
}

func (p *tape) Page(context.Context, change.Mark, change.Mark, uint64, uint64, func([]*change.Record) bool) (bool, error) {
	return false, errors.New("not here")
}

func (p *tape) Older(context.Context, change.Mark, uint64, uint64, int, func([]*change.Record) bool) (bool, error) {
	return false, nil
}

func (p *tape) Close(context.Context) {}

func eventOf(place change.Place, r *change.Record) *change.Event {
	row, was, _ := strings.Cut(string(r.Old), " ")
	_, now, _ := strings.Cut(string(r.New), " ")
	return &change.Event{Channel: "c", Resource: "r", Key: row, Op: r.Op, Was: []string{grant}, Now: []string{grant},
		Body: &text{row, was, now}, Place: place}
}

// text is a body whose payload says it all: row, variant, v and the cursor.
type text struct{ row, was, now string }

func (b *text) Field(name string, was bool) ([]byte, bool) {
	if was {
		return []byte(b.was), name == "v"
	}
	return []byte(b.now), name == "v"
}

func (b *text) Append(dst []byte, v change.Variant, cursor string) []byte {
	return fmt.Appendf(dst, "%s %c%s %s", b.row, "wel"[v], b.now, cursor)
}

// reader is a sink with room for so many messages of the past.
type reader struct {
	room int
	got  []string
	cur  []string // cursors of got
}

func (r *reader) Send(m *change.Message) {
	row, rest, _ := strings.Cut(string(m.Payload()), " ")
	what, cursor, _ := strings.Cut(rest, " ")
	r.got, r.cur = append(r.got, row+what), append(r.cur, cursor)
}
func (r *reader) Queue(m *change.Message) { r.Send(m) }
func (r *reader) Resync(n change.Notice, _ string) {
	r.got, r.cur = append(r.got, n.Reason), append(r.cur, "")
}
func (r *reader) Slow() {}

func (r *reader) Offer(m *change.Message, _ *Channel) bool {
	if r.room == 0 {
		return false
	}
	r.room--
	r.Send(m)
	return true
}

type bench struct {
	*tape
	c *Channel
	p *Replayer
}

func newBench() *bench {
	b := &bench{&tape{}, NewChannel("c", false, true, func() {}), nil}
	b.p = &Replayer{c: b.c, past: Past{Memory: b.tape, Outbox: b.tape, Log: zap.NewNop(),
		Apply: func(at change.Place, r *change.Record, out Output) { out.Event(eventOf(at, r)) }}}
	return b
}

// live adds a record and routes it.
func (b *bench) live(row, was, now string) {
	b.add(row, was, now)
	pos := uint64(len(b.records))
	b.c.Route(eventOf(change.Place{Epoch: "e", Pos: pos, Cursor: at(int(pos-1) / 10 * 10).String()}, b.records[pos-1]))
	b.c.Flush(pos + 1)
}

func (b *bench) resume(s Sink, n int, where ...string) *Subscription {
	return b.c.Resume(s, []string{grant}, asks(where), From{Cursor: at(n)}, nil)
}

func (b *bench) replay() {
	for b.p.read() {
	}
}

func asks(where []string) (r Request) {
	if len(where) > 0 {
		c := Condition{Field: "v", Values: map[string]struct{}{}}
		for _, v := range where {
			c.Values[v] = struct{}{}
		}
		r.Where = []Condition{c}
	}
	return r
}

func (r *reader) want(t *testing.T, got ...string) {
	t.Helper()
	if !slices.Equal(r.got, got) {
		t.Errorf("got %v, want %v", r.got, got)
	}
	r.got, r.cur = nil, nil
}

// Two columns of a board resume one after the other: a row that moved leaves the one and enters the other.
func TestResumeMoves(t *testing.T) {
	t.Parallel()
	b, s := newBench(), &reader{room: 100}
	b.add("a", "1", "2")
	b.resume(s, 0, "1")
	b.replay()
	b.resume(s, 0, "2")
	b.replay()
	s.want(t, "al2", "ae2")
}

// The past of a subscription may be older than what another one has brought: what came after it comes again, so that the
// last word on a row is the newest.
func TestResumeBehind(t *testing.T) {
	t.Parallel()
	b, s := newBench(), &reader{room: 100}
	b.live("a", "1", "2")
	b.live("a", "2", "3")
	b.c.Subscribe(s, []string{grant}, Request{}, nil)
	b.live("a", "3", "4")
	b.resume(s, 0)
	b.live("a", "4", "5")
	b.replay()
	s.want(t, "aw4", "aw2", "aw3", "aw4", "aw5")
	b.live("a", "5", "6")
	s.want(t, "aw6")
}

// What was refused has brought nothing of what was routed while it waited for its answer.
func TestResumeRefusedCoversNothing(t *testing.T) {
	t.Parallel()
	b, s := newBench(), &reader{room: 100}
	b.gone = 1
	for range 3 {
		b.add("a", "1", "1")
	}
	b.c.Resume(s, []string{grant}, Request{}, From{Cursor: change.Cursor{Epoch: "e", Xid: 1, Nonce: "old"}}, nil)
	b.resume(s, 3)
	b.p.find()
	b.live("b", "1", "2") // for neither is live
	if busy, err := b.p.turn(t.Context()); !busy || err != nil {
		t.Fatal(busy, err)
	}
	b.replay()
	s.want(t, "cursor_expired", "bw2")
}

// Nor does one that was told of a gap cover what it did not bring.
func TestGapCoversNothing(t *testing.T) {
	t.Parallel()
	b, s := newBench(), &reader{room: 100}
	b.resume(s, 0)
	b.replay()
	b.add("a", "1", "2") // never routed
	b.c.Notify(change.Notice{Channel: "c", Reason: "drift"})
	b.resume(s, 0)
	b.replay()
	s.want(t, "drift", "aw2")
}

// When a reader has no room all that it replays waits: what went on alone would overtake the rest, with a cursor that
// vouches for it.
func TestReplaysWaitTogether(t *testing.T) {
	t.Parallel()
	b, s := newBench(), &fickle{reader{room: 100}, 5}
	var all []string
	for n := range 45 {
		b.add("a", "0", fmt.Sprint(n))
		all = append(all, fmt.Sprint("aw", n))
	}
	b.resume(s, 0)
	b.resume(s, 20)
	b.replay()
	s.want(t, all[:4]...)
	b.c.Room(s)
	b.replay()
	s.want(t, all[4:]...)

	b.c.Resume(s, []string{grant}, asks([]string{"43", "44"}), From{Rewind: 2}, nil)
	b.c.Resume(s, []string{grant}, asks([]string{"0"}), From{Rewind: 1}, nil)
	b.p.lookBack(t.Context())
	b.live("b", "0", "0")
	s.got, s.cur, s.no = nil, nil, 1
	b.replay()
	s.want(t)
}

// fickle is a reader that has no room once, and then has: its writer was at work meanwhile.
type fickle struct {
	reader
	no int
}

func (f *fickle) Offer(m *change.Message, c *Channel) bool {
	if f.no--; f.no == 0 {
		return false
	}
	return f.reader.Offer(m, c)
}

// Those who look far back, one after the other, do not keep those waiting who come back; and who left is not kept.
func TestRewindsLetOthersThrough(t *testing.T) {
	t.Parallel()
	b, s := newBench(), &reader{room: 10_000}
	for n := range 1000 {
		b.add("a", "0", fmt.Sprint(n))
	}
	b.c.Resume(&reader{}, []string{grant}, asks([]string{"none"}), From{Rewind: 1}, nil)
	b.resume(s, 990)
	b.p.lookBack(t.Context())
	if len(s.got) != 10 {
		t.Errorf("got %v before the rewind was through", s.got)
	}
	b.deaf = true
	for range 10 {
		b.c.Resume(&reader{}, []string{grant}, Request{}, From{Rewind: 1}, nil).Close()
	}
	b.p.lookBack(t.Context())
	if n := len(b.c.rewinds); n != 0 {
		t.Errorf("keeps %d who left", n)
	}
}

// Grants may be renewed while somebody looks back: nothing of what was found by the old ones is sent.
func TestRewindRegranted(t *testing.T) {
	t.Parallel()
	b, s := newBench(), &reader{room: 10_000}
	for n := range 1000 {
		b.add("a", "0", fmt.Sprint(n))
	}
	for range 50 {
		sub := b.c.Resume(s, []string{grant}, Request{}, From{Rewind: 900}, nil)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 100 {
				b.c.Regrant(s, []string{"\x00other"})
			}
		}()
		b.p.lookBack(t.Context())
		<-done
		b.replay()
		s.want(t)
		sub.Close()
	}
}

func (*reader) Failed(v any) { panic(v) }

// A subscription whose cursor is gone, and which then looks back beyond memory, is looked for in the outbox once: counted
// twice, it would keep its session's other subscriptions waiting for ever.
func TestRefusedLooksBackOnce(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.gone = 100
	s := &reader{room: -1}
	gone := at(5)
	gone.Nonce = "y"
	b.live("1", "a", "b")
	b.c.Resume(s, []string{grant}, Request{Resource: "r", Keyed: true, Key: "none"}, From{Cursor: gone, Rewind: 2}, nil)
	b.replay()
	if _, err := b.p.turn(t.Context()); err != nil { // the outbox does not know the cursor
		t.Fatal(err)
	}
	b.p.lookBack(t.Context()) // before the outbox's next turn
	b.c.Subscribe(s, []string{grant}, Request{Resource: "r"}, nil)
	b.p.door = door{}
	for busy := true; busy; {
		var err error
		if busy, err = b.p.turn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b.live("2", "a", "b")
	b.replay()
	s.want(t, "cursor_expired", "2wb")
}
