package source

import "nalar.internal/rowfeed/bridge/change"

// delivered tells whether the change has been handed on already.
func (f *Feed) delivered(id identity) bool {
	_, ok := f.recent[id]
	return ok
}

// remember notes that the change has been handed on, as far as there is room.
func (f *Feed) remember(id identity) {
	if len(f.recent) >= maxRecent {
		f.forgotten[id.xid] = struct{}{}
		return
	}
	f.recent[id] = struct{}{}
}

// settle takes a swept tick as the place to go on from after a lost connection: all that is visible in its snapshot
// has been delivered, and only what is not needs to be remembered. A tick that committed late, after another that was
// begun later, is no place: what it does not see has been forgotten.
func (f *Feed) settle(t *tick) {
	if t.snapshot.before(f.floor) {
		return
	}
	f.floor, f.safe = t.snapshot, t
	for id := range f.recent {
		if t.snapshot.over(id.xid) {
			delete(f.recent, id)
		}
	}
	for xid := range f.forgotten {
		if t.snapshot.over(xid) {
			delete(f.forgotten, xid)
		}
	}
	if len(f.recent) == 0 {
		f.recent = map[identity]struct{}{} // a map keeps the room of its busiest second
	}
}

// tick is one that was swept.
type tick struct {
	snapshot *snapshot
	xid      uint64
	nonce    string
}

func tickOf(c *change.Change) (*tick, error) {
	if len(c.New) < 2 {
		return nil, errSnapshot
	}
	s, err := parseSnapshotText(string(c.New[0]))
	return &tick{snapshot: s, xid: c.Xid, nonce: string(c.New[1])}, err
}
