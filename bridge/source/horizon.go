package source

import (
	"strconv"
	"strings"

	"nalar.internal/rowfeed/bridge/change"
)

// horizon is what was truncated away from the outbox: transactions up to an id, all of which a snapshot sees. And what
// never got there: transactions up to the fence may have run while captures had stopped.
type horizon struct {
	xid   uint64
	swept *change.Snapshot
	fence uint64
}

// horizonOf reads the last two as the queries have them: the snapshot, a space, the fence.
func horizonOf(xid uint64, rest string) (horizon, error) {
	swept, fence, _ := strings.Cut(rest, " ")
	id, err := strconv.ParseUint(fence, 10, 64)
	if err != nil {
		return horizon{}, errRow
	}
	s, err := change.ParseSnapshot(swept)
	return horizon{xid, s, id}, err
}

func parseHorizon(xid, rest string) (horizon, error) {
	id, err := strconv.ParseUint(xid, 10, 64)
	if err != nil {
		return horizon{}, errRow
	}
	return horizonOf(id, rest)
}

// passed tells that something may be gone, or was left out, which the snapshot does not see. A transaction that was in
// progress for longer than the retention has a low id, and nothing of it is gone.
func (h horizon) passed(s *change.Snapshot) bool {
	return s.Xmin <= h.xid && s.Before(h.swept) || s.Xmin <= h.fence
}

// between tells that something of what is new between two snapshots of a feed may be gone, or was left out.
func (h horizon) between(prev, next *change.Snapshot) bool {
	return prev.Ended(next, h.xid) && prev.Before(h.swept) || prev.Ended(next, h.fence)
}

// last is the highest transaction of which something may be missing.
func (h horizon) last() uint64 { return max(h.xid, h.fence) }
