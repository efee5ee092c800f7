package oracle_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/test/oracle"
)

const epoch = "e1"

// tape is what the router reads the past from: the changes so far, each a transaction of its own, and ticks among them. What
// lies before a horizon is only in the outbox. Its transactions have the numbers of the changes, from 1.
type tape struct {
	mu      sync.RWMutex
	changes []*change.Change
	records []*change.Record
	ticks   []int // after how many changes
	horizon int   // the first tick that is in memory, by number
}

// add puts a change on the tape.
func (t *tape) add(c *oracle.Change, relations map[capturedBy]*change.Relation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := uint64(len(t.changes) + 1)
	at := time.Unix(1_790_000_000, int64(n)*1000)
	lacks := slices.Index(names, c.Lacks)
	ch := &change.Change{Relation: relations[capturedBy{c.Table, c.Lacks}], Xid: n, LSN: n, At: at, Old: captured(c.Old, lacks),
		New: captured(c.New, lacks), Reason: c.Reason}
	switch {
	case c.Reason == "truncated":
		ch.Op = change.Truncate
	case c.Reason == "drift":
		ch.Op = change.Resync
	case c.Old == nil:
		ch.Op = change.Insert
	case c.New == nil:
		ch.Op = change.Delete
	default:
		ch.Op = change.Update
	}
	t.changes = append(t.changes, ch)
	t.records = append(t.records, &change.Record{Relation: ch.Relation, Xid: n, LSN: n, At: at.UnixMicro(), Op: ch.Op})
}

// capturedBy names a version of what is captured of a table: without one of the columns, where it is an old one.
type capturedBy struct {
	table *oracle.Table
	lacks string
}

func captured(row oracle.Row, lacks int) change.Row {
	if row == nil {
		return nil
	}
	r := make(change.Row, len(row))
	for i, v := range row {
		if !v.Null {
			r[i] = []byte(v.Raw)
		}
	}
	if lacks >= 0 {
		r = slices.Delete(r, lacks, lacks+1)
	}
	return r
}

// tick adds a place after the changes so far, and returns its cursor.
func (t *tape) tick() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.changes); t.ticks[len(t.ticks)-1] != n {
		t.ticks = append(t.ticks, n)
	}
	return cursorAt(len(t.changes)).String()
}

func cursorAt(n int) change.Cursor { return change.Cursor{Epoch: epoch, Xid: uint64(n), Nonce: "x"} }

func markAt(n int) change.Mark {
	return change.Mark{Cursor: cursorAt(n), Snapshot: &change.Snapshot{Xmin: uint64(n + 1), Xmax: uint64(n + 1)}}
}

// place is where a change stands.
func (t *tape) place(n int) change.Place {
	i, _ := slices.BinarySearch(t.ticks, n+1)
	return change.Place{Epoch: epoch, Pos: uint64(n + 1), Cursor: cursorAt(t.ticks[i-1]).String()}
}

// The methods of router.Memory.

func (t *tape) End() uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return uint64(len(t.changes) + 1)
}

// change returns the change of a record.
func (t *tape) change(r *change.Record) *change.Change {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.changes[r.Xid-1]
}

// forget leaves what lies before the last tick to the outbox.
func (t *tape) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.horizon = len(t.ticks) - 1
}

func (t *tape) Find(c change.Cursor) (m change.Mark, from, newer uint64, ok, foreign bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	n := int(c.Xid)
	if c.Epoch != epoch {
		return m, 0, 0, false, true
	}
	if !t.known(c) || n < t.ticks[t.horizon] {
		return m, 0, 0, false, false
	}
	return markAt(n), uint64(n + 1), uint64(n + 1), true, false
}

func (t *tape) known(c change.Cursor) bool {
	return c.Nonce == "x" && slices.Contains(t.ticks, int(c.Xid))
}

func (t *tape) Oldest() (m change.Mark, from uint64, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	n := t.ticks[t.horizon]
	return markAt(n), uint64(n + 1), true
}

func (t *tape) Read(from uint64, dst []*change.Record, places []change.Place) (n int, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for at := int(from) - 1; n < len(dst) && at < len(t.records); at++ {
		dst[n], places[n] = t.records[at], t.place(at)
		n++
	}
	return n, int(from) > t.ticks[t.horizon]
}

// past is the tape as router.Outbox.
type past struct{ *tape }

func (p past) Lookup(_ context.Context, cursors []change.Cursor) ([]*change.Mark, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	marks := make([]*change.Mark, len(cursors))
	for i, c := range cursors {
		if p.known(c) {
			m := markAt(int(c.Xid))
			marks[i] = &m
		}
	}
	return marks, nil
}

func (p past) Next(_ context.Context, after change.Mark) (next change.Mark, ok bool, err error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, n := range p.ticks {
		if n > int(after.Cursor.Xid) {
			return markAt(n), true, nil
		}
	}
	return next, false, nil
}

func (p past) Page(_ context.Context, after, until change.Mark, lsn, xid uint64, take func([]*change.Record) bool) (bool, error) {
	p.mu.RLock()
	records := slices.Clone(p.records)
	p.mu.RUnlock()
	for n := after.Cursor.Xid; n < until.Cursor.Xid; n++ {
		if r := records[n]; r.After(lsn, xid) && !take([]*change.Record{r}) {
			return true, nil
		}
	}
	return false, nil
}

func (p past) Older(_ context.Context, before change.Mark, xid, lsn uint64, n int, take func([]*change.Record) bool) (bool, error) {
	p.mu.RLock()
	records := slices.Clone(p.records)
	p.mu.RUnlock()
	var list []*change.Record
	for _, r := range records {
		if before.Snapshot.Over(r.Xid) && cmp.Or(cmp.Compare(r.Xid, xid), cmp.Compare(r.LSN, lsn)) < 0 {
			list = append([]*change.Record{r}, list...)
		}
	}
	more := len(list) > n
	if list = list[:min(n, len(list))]; len(list) > 0 {
		take(list)
	}
	return more, nil
}

func (past) Close(context.Context) {}

var errGone = errors.New("gone")
