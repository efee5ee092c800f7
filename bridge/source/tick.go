package source

import (
	"slices"
	"sort"

	"nalar.internal/rowfeed/bridge/change"
)

// delivered tells whether the change has been handed on already.
func (f *Feed) delivered(id identity) bool {
	_, ok := f.recent[id]
	if pos, before := f.unconfirmed[id]; before {
		delete(f.unconfirmed, id)
		f.recent[id], ok = pos, true
	}
	return ok
}

// remember notes that the change has been handed on by a sweep of that snapshot, as far as there is room.
func (f *Feed) remember(id identity, pos uint64, at *change.Snapshot) {
	switch {
	case len(f.recent) < maxRecent:
		f.recent[id] = pos
	case len(f.forgotten) < maxForgotten:
		f.forgotten[id.xid] = struct{}{}
	default:
		f.beyond = at
	}
}

// forgetful tells whether something has been handed on that is not remembered, and that the last tick does not see.
func (f *Feed) forgetful() bool { return len(f.forgotten) > 0 || f.beyond != nil }

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
	from := f.unseen(ticks)
	if len(f.recent) == 0 {
		f.recent = map[identity]uint64{} // a map keeps the room of its busiest second
	}
	if !f.forgetful() {
		f.history.settle(ticks, from)
	}
	for xid := range f.forgotten {
		if newest.snapshot.Over(xid) {
			delete(f.forgotten, xid)
		}
	}
	if f.beyond != nil && !newest.snapshot.Before(f.beyond) {
		f.beyond = nil
	}
	f.floor, f.safe = newest.snapshot, newest
	f.cursor = newest.cursor(f.epoch).String()
	f.o.Handler.Settled(f.cursor)
}

// unseen returns the position of the oldest change that each of the ticks does not see, and forgets what the newest does.
// After a long time away there may be very many of both.
func (f *Feed) unseen(ticks []*tick) []uint64 {
	from := make([]uint64, len(ticks))
	end := f.history.End()
	for i := range from {
		from[i] = end
	}
	for id, pos := range f.recent {
		// What one tick sees the later ones see. (One that was written in a transaction with changes sees those itself,
		// however much is between.)
		n := sort.Search(len(ticks), func(i int) bool { return ticks[i].xid != id.xid && ticks[i].snapshot.Over(id.xid) })
		if n > 0 {
			from[n-1] = min(from[n-1], pos)
		}
		if ticks[len(ticks)-1].snapshot.Over(id.xid) {
			delete(f.recent, id)
		}
	}
	for i := len(from) - 1; i > 0; i-- {
		from[i-1] = min(from[i-1], from[i])
	}
	return from
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
