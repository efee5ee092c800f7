package source

import (
	"slices"
	"sync"

	"nalar.internal/rowfeed/bridge/change"
)

// History keeps a feed's recent changes for those who come back, once for all sessions: at most limit bytes, the oldest
// go first. Positions grow by one from change to change and are never given twice.
type History struct {
	limit int

	mu     sync.RWMutex
	epoch  string
	chunks []*chunk // oldest first
	end    uint64   // position of the next change
	bytes  int
	marks  []mark // settled ticks, oldest first
}

// Bounds of a History.
const (
	historyLimit = 64 << 20 // bytes
	chunkLen     = 512      // changes
	chunkBytes   = 64 << 10 // of values; one change may have more
	maxMarks     = 4096     // over an hour of a quiet channel on one node
)

// recordSize is what a change takes beside its values, in bytes.
const recordSize = 104

// chunk is a run of changes with their values in one piece of memory. What has been written is never written again, so
// readers go on after the lock is released.
type chunk struct {
	first   uint64
	records []change.Record
	values  []byte
}

func (c *chunk) size() int { return cap(c.values) + cap(c.records)*recordSize }

// mark is a settled tick: from is the position of the first change that its snapshot does not see, settled the one of
// the first change after all that it does see.
type mark struct {
	change.Mark
	text          string
	from, settled uint64
}

// NewHistory makes an empty history that holds at most limit bytes.
func NewHistory(limit int) *History { return &History{limit: limit, end: 1} }

// End returns the position after the newest change.
func (h *History) End() uint64 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.end
}

// Size returns the changes and bytes that are kept.
func (h *History) Size() (changes, bytes int) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return int(h.end - h.base()), h.bytes //nolint:gosec // as many as there are in memory
}

// Find returns what lies before a cursor, the position from which on lies what does not, and the one from which on what
// is read carries cursors that are no older; ok is false when that is not in memory. foreign tells that the cursor is of
// another history.
func (h *History) Find(c change.Cursor) (m change.Mark, from, newer uint64, ok, foreign bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if c.Epoch != h.epoch {
		return m, 0, 0, false, h.epoch != ""
	}
	for i := len(h.marks) - 1; i >= 0; i-- {
		if k := &h.marks[i]; k.Cursor == c {
			return k.Mark, k.from, k.settled, true, false
		}
	}
	return m, 0, 0, false, false
}

// Oldest returns the oldest tick from which on everything is in memory.
func (h *History) Oldest() (m change.Mark, from uint64, ok bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if len(h.marks) == 0 {
		return m, 0, false
	}
	return h.marks[0].Mark, h.marks[0].from, true
}

// Read fills dst with the changes from a position on, and places with where they stand; ok is false when the first of
// them is gone.
func (h *History) Read(from uint64, dst []*change.Record, places []change.Place) (n int, ok bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if from < h.base() {
		return 0, false
	}
	i, _ := slices.BinarySearchFunc(h.chunks, from+1, func(c *chunk, at uint64) int {
		if c.first < at {
			return -1
		}
		return 1
	})
	m, _ := slices.BinarySearchFunc(h.marks, from+1, func(k mark, at uint64) int {
		if k.settled < at {
			return -1
		}
		return 1
	})
	for i = max(0, i-1); i < len(h.chunks) && n < len(dst); i++ {
		c := h.chunks[i]
		for j := from + uint64(n) - c.first; j < uint64(len(c.records)) && n < len(dst); j++ { //nolint:gosec // a count is not negative
			at := c.first + j
			for m < len(h.marks) && h.marks[m].settled <= at {
				m++
			}
			dst[n], places[n] = &c.records[j], change.Place{Epoch: h.epoch, Pos: at}
			if m > 0 {
				places[n].Cursor = h.marks[m-1].text
			}
			n++
		}
	}
	return n, true
}

// base is the position of the oldest change that is kept; h.mu is held.
func (h *History) base() uint64 {
	if len(h.chunks) == 0 {
		return h.end
	}
	return h.chunks[0].first
}

// add keeps a change and returns its position; old and new are copied.
func (h *History) add(r change.Record) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	need := len(r.Old) + len(r.New)
	var c *chunk
	if n := len(h.chunks); n > 0 {
		c = h.chunks[n-1]
	}
	if c == nil || len(c.records) == chunkLen || len(c.values)+need > cap(c.values) {
		c = &chunk{first: h.end, records: make([]change.Record, 0, chunkLen), values: make([]byte, 0, max(chunkBytes, need))}
		h.chunks = append(h.chunks, c)
		h.bytes += c.size()
		h.evict()
	}
	r.Old, r.New = c.keep(r.Old), c.keep(r.New)
	c.records = append(c.records, r)
	h.end++
	return h.end - 1
}

// keep copies b into the chunk; nil stays nil.
func (c *chunk) keep(b []byte) []byte {
	if b == nil {
		return nil
	}
	n := len(c.values)
	c.values = append(c.values, b...)
	return c.values[n:len(c.values):len(c.values)]
}

// evict drops the oldest until the bound is kept; the newest chunk stays whatever its size.
func (h *History) evict() {
	n := 0
	for ; h.bytes > h.limit && n < len(h.chunks)-1; n++ {
		h.bytes -= h.chunks[n].size()
	}
	if n == 0 {
		return
	}
	h.chunks = slices.Delete(h.chunks, 0, n)
	h.forget(h.chunks[0].first)
}

// forget drops the ticks from which on not everything is there.
func (h *History) forget(base uint64) {
	n := 0
	for n < len(h.marks) && h.marks[n].from < base {
		n++
	}
	h.marks = slices.Delete(h.marks, 0, n)
}

// settle notes ticks, in the order of their snapshots, all that is visible in which has been added. from holds for each
// the position of the first change that it does not see.
func (h *History) settle(ticks []*tick, from []uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, t := range ticks {
		c := change.Cursor{Epoch: h.epoch, Xid: t.xid, Nonce: t.nonce}
		h.marks = append(h.marks, mark{change.Mark{Cursor: c, Snapshot: t.snapshot}, c.String(), from[i], h.end})
	}
	if n := len(h.marks) - maxMarks; n > 0 {
		h.marks = slices.Delete(h.marks, 0, n)
	}
	h.forget(h.base())
}

// reset forgets everything: what follows has a gap before it.
func (h *History) reset(epoch string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.epoch, h.chunks, h.marks, h.bytes = epoch, nil, nil, 0
}
