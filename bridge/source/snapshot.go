package source

import (
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// snapshot is a pg_snapshot: which transactions were over when it was taken.
type snapshot struct {
	xmin, xmax uint64
	xip        []uint64 // in progress, ascending
}

var errSnapshot = errors.New("read snapshot: not a pg_snapshot")

// parseSnapshot reads the binary form: int4 count, int8 xmin, int8 xmax, int8 each (pg_snapshot_send).
func parseSnapshot(b []byte) (*snapshot, error) {
	if len(b) < 20 {
		return nil, errSnapshot
	}
	n := int(binary.BigEndian.Uint32(b))
	if n < 0 || len(b) != 20+8*n {
		return nil, errSnapshot
	}
	s := &snapshot{xmin: binary.BigEndian.Uint64(b[4:]), xmax: binary.BigEndian.Uint64(b[12:])}
	for i := range n {
		s.xip = append(s.xip, binary.BigEndian.Uint64(b[20+8*i:]))
	}
	return s, nil
}

// parseSnapshotText reads xmin:xmax:xip,xip,… (pg_snapshot_out).
func parseSnapshotText(t string) (*snapshot, error) {
	parts := strings.SplitN(t, ":", 3)
	if len(parts) != 3 {
		return nil, errSnapshot
	}
	var s snapshot
	var err error
	if s.xmin, err = strconv.ParseUint(parts[0], 10, 64); err != nil {
		return nil, errSnapshot
	}
	if s.xmax, err = strconv.ParseUint(parts[1], 10, 64); err != nil {
		return nil, errSnapshot
	}
	if parts[2] == "" {
		return &s, nil
	}
	for x := range strings.SplitSeq(parts[2], ",") {
		id, err := strconv.ParseUint(x, 10, 64)
		if err != nil {
			return nil, errSnapshot
		}
		s.xip = append(s.xip, id)
	}
	return &s, nil
}

// over tells whether the transaction had ended when the snapshot was taken.
func (s *snapshot) over(xid uint64) bool {
	if xid < s.xmin {
		return true
	}
	if xid >= s.xmax {
		return false
	}
	_, running := slices.BinarySearch(s.xip, xid)
	return !running
}

// before tells whether the snapshot was taken earlier than t, of the same server: the ids that are not yet given out
// only grow, and while they stay, those in progress only get fewer.
func (s *snapshot) before(t *snapshot) bool {
	return s.xmax < t.xmax || s.xmax == t.xmax && len(s.xip) > len(t.xip)
}

// ended tells whether a transaction up to the given id was not over in s and is, or may be, in next.
func (s *snapshot) ended(next *snapshot, last uint64) bool {
	if s.xmax <= last {
		return true
	}
	return slices.ContainsFunc(s.xip, func(xid uint64) bool { return xid <= last && next.over(xid) })
}
