package source

import (
	"strconv"

	"nalar.internal/rowfeed/bridge/change"
)

// horizon is what was truncated away from the outbox: transactions up to an id, all of which a snapshot sees.
type horizon struct {
	xid   uint64
	swept *change.Snapshot
}

func horizonOf(xid uint64, swept string) (horizon, error) {
	s, err := change.ParseSnapshot(swept)
	return horizon{xid, s}, err
}

func parseHorizon(xid, swept string) (horizon, error) {
	id, err := strconv.ParseUint(xid, 10, 64)
	if err != nil {
		return horizon{}, errRow
	}
	return horizonOf(id, swept)
}

// passed tells that something may be gone which the snapshot does not see. A transaction that was in progress for longer
// than the retention has a low id, and nothing of it is gone.
func (h horizon) passed(s *change.Snapshot) bool { return s.Xmin <= h.xid && s.Before(h.swept) }
