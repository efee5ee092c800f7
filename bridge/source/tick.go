package source

import (
	"slices"

	"nalar.internal/rowfeed/bridge/change"
)

// delivered tells whether the change has been handed on already.
func (f *Feed) delivered(id identity) bool {
	_, ok := f.recent[id]
	if ok {
		f.confirmed++
	}
	return ok
}

// remember notes that the change has been handed on, as far as there is room.
func (f *Feed) remember(id identity, pos uint64) {
	if len(f.recent) >= maxRecent {
		f.forgotten[id.xid] = struct{}{}
		return
	}
	f.recent[id] = pos
}

// settle takes swept ticks as places: all that is visible in their snapshots has been delivered. From the newest on the
// feed goes on after a lost connection, and only what it does not see needs to be remembered. A tick that committed
// late, after another that was begun later, is no place: what it does not see has been forgotten.
func (f *Feed) settle(ticks []*tick) {
	ticks = slices.DeleteFunc(ticks, func(t *tick) bool { return t.snapshot.Before(f.floor) })
	if len(ticks) == 0 {
		return
	}
	slices.SortStableFunc(ticks, func(a, b *tick) int {
		switch {
		case a.snapshot.Before(b.snapshot):
			return -1
		case b.snapshot.Before(a.snapshot):
			return 1
		}
		return 0
	})
	newest := ticks[len(ticks)-1]
	from := make([]uint64, len(ticks)) // the oldest change that each does not see
	end := f.history.End()
	for i := range from {
		from[i] = end
	}
	for id, pos := range f.recent {
		for i, t := range ticks {
			if !t.snapshot.Over(id.xid) {
				from[i] = min(from[i], pos)
			} else if t == newest {
				delete(f.recent, id)
			}
		}
	}
	if len(f.recent) == 0 {
		f.recent = map[identity]uint64{} // a map keeps the room of its busiest second
	}
	if len(f.forgotten) == 0 {
		f.history.settle(ticks, from)
	}
	for xid := range f.forgotten {
		if newest.snapshot.Over(xid) {
			delete(f.forgotten, xid)
		}
	}
	f.floor, f.safe = newest.snapshot, newest
	f.cursor = newest.cursor(f.epoch).String()
	f.o.Handler.Settled(f.cursor)
}

// tick is one that was swept.
type tick struct {
	snapshot *change.Snapshot
	xid      uint64
	nonce    string
}

func (t *tick) cursor(epoch string) change.Cursor {
	return change.Cursor{Epoch: epoch, Xid: t.xid, Nonce: t.nonce}
}

func tickOf(xid uint64, row change.Row) (*tick, error) {
	if len(row) < 2 {
		return nil, errRow
	}
	s, err := change.ParseSnapshot(string(row[0]))
	return &tick{snapshot: s, xid: xid, nonce: string(row[1])}, err
}
