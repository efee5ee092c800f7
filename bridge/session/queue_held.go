package session

import (
	"slices"

	"nalar.internal/rowfeed/bridge/change"
)

// rest is what of a frame is to follow what is on the wire already, where anything must; nothing of later frames, which
// the same message may hold.
func (q *queue) rest() []byte {
	if q.offset == 0 {
		return nil
	}
	m := q.items[q.head]
	return q.wire(m)[q.offset:m.Boundary(q.offset, q.sse)]
}

// unfinished tells whether anything has to be written even while the queue is held.
func (q *queue) unfinished() bool { return q.opening && q.len() > 0 || len(q.rest()) > 0 }

// doom has nothing more written of the events that have begun to leave, but for what completes a frame. What is with the
// writer meanwhile is dropped when that is back.
func (q *queue) doom() {
	if q.inflight > 0 {
		q.doomed = true
		return
	}
	q.trim()
}

// dropDoomed drops events before a position that were with the writer and have not begun to leave, and what would vouch
// for them.
func (q *queue) dropDoomed(end int) {
	q.trim()
	first := q.begun()
	if first >= end {
		return
	}
	rest := slices.Clone(q.items[first:])
	clear(q.items[first:])
	q.items = q.items[:first]
	for i, m := range rest {
		if i < end-first && (m.Op != 0 || m.Beat) {
			q.count(m, -1)
		} else {
			q.items = append(q.items, m)
		}
	}
}

// finish drops all that has not begun to leave, but for the end of a session that is being closed.
func (q *queue) finish() {
	q.doom()
	first := q.begun()
	if first >= len(q.items) {
		return
	}
	last := q.items[len(q.items)-1]
	q.cut()
	if last.Op == 0 && !last.Beat {
		q.append(last)
	}
}

// trim shortens the first message, where it is partly on the wire, to the frame at hand.
func (q *queue) trim() {
	if q.offset == 0 {
		return
	}
	m := q.items[q.head]
	wire, end := q.wire(m), m.Boundary(q.offset, q.sse)
	if end == len(wire) {
		return
	}
	q.count(m, -1)
	if end == q.offset {
		q.items[q.head], q.offset = nil, 0
		q.head++
		return
	}
	short := change.NewRaw(wire[:end])
	short.Shared = m.Shared
	q.items[q.head] = short
	q.count(short, 1)
}
