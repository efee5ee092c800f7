package source

import "nalar.internal/rowfeed/bridge/change"

// The outbox is a ring of tables, one for each span of time (slot), and nearly always all that is new is in one of them.
// Sweeping that one alone costs half. Each slot is read from a snapshot of its own, so nothing is lost or read twice
// whichever are swept when; what has to be seen to is that a change in another slot is not left until the heartbeat,
// behind a later one of the same row. So a slot is hot only when no transaction is left that may have written to another
// one, and no longer than the ring stands: a glance says by the server's clock whether it does.

// hot is the slot that may be swept alone.
type hot struct {
	slot  int
	prev  *change.Snapshot // up to which it was read
	ticks []*tick          // that were read in it since the last sweep of all slots
	over  bool             // the ring has turned: all slots have to be swept
}

// turn is when the ring was found to stand at a slot: transactions that began later write to no earlier one. A sweep
// reads the clock after it takes its snapshot, so it takes a second one to say that.
type turn struct {
	slot int // -1: not yet
	xmax uint64
	sure bool
}

// heat decides, after a sweep of all slots, whether the current one may be swept alone.
func (f *Feed) heat(slot int) {
	f.hot = nil
	switch {
	case slot < 0 || slot >= slots:
	case slot != f.turn.slot:
		f.turn = turn{slot: slot}
	case !f.turn.sure:
		f.turn.xmax, f.turn.sure = f.prev.Xmax, true
	case f.prev.Xmin >= f.turn.xmax:
		f.hot = &hot{slot: slot, prev: f.prev}
	}
}
