package change

import (
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Snapshot is a pg_snapshot: which transactions were over when it was taken.
type Snapshot struct {
	Xmin, Xmax uint64
	Xip        []uint64 // in progress, ascending
}

var errSnapshot = errors.New("read snapshot: not a pg_snapshot")

// DecodeSnapshot reads the binary form: int4 count, int8 xmin, int8 xmax, int8 each (pg_snapshot_send).
func DecodeSnapshot(b []byte) (*Snapshot, error) {
	if len(b) < 20 {
		return nil, errSnapshot
	}
	n := int(binary.BigEndian.Uint32(b))
	if n < 0 || len(b) != 20+8*n {
		return nil, errSnapshot
	}
	s := &Snapshot{Xmin: binary.BigEndian.Uint64(b[4:]), Xmax: binary.BigEndian.Uint64(b[12:])}
	for i := range n {
		s.Xip = append(s.Xip, binary.BigEndian.Uint64(b[20+8*i:]))
	}
	return s, nil
}

// ParseSnapshot reads Xmin:Xmax:xip,xip,… (pg_snapshot_out).
func ParseSnapshot(t string) (*Snapshot, error) {
	parts := strings.SplitN(t, ":", 3)
	if len(parts) != 3 {
		return nil, errSnapshot
	}
	var s Snapshot
	var err error
	if s.Xmin, err = strconv.ParseUint(parts[0], 10, 64); err != nil {
		return nil, errSnapshot
	}
	if s.Xmax, err = strconv.ParseUint(parts[1], 10, 64); err != nil {
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
		s.Xip = append(s.Xip, id)
	}
	return &s, nil
}

// Over tells whether the transaction had ended when the snapshot was taken.
func (s *Snapshot) Over(xid uint64) bool {
	if xid < s.Xmin {
		return true
	}
	if xid >= s.Xmax {
		return false
	}
	_, running := slices.BinarySearch(s.Xip, xid)
	return !running
}

// Before tells whether the snapshot was taken earlier than t, of the same server: the ids that are not yet given out
// only grow, and while they stay, those in progress only get fewer.
func (s *Snapshot) Before(t *Snapshot) bool {
	return s.Xmax < t.Xmax || s.Xmax == t.Xmax && len(s.Xip) > len(t.Xip)
}

// Ended tells whether a transaction up to the given id was not over in s and is, or may be, in next.
func (s *Snapshot) Ended(next *Snapshot, last uint64) bool {
	if s.Xmax <= last {
		return true
	}
	return slices.ContainsFunc(s.Xip, func(xid uint64) bool { return xid <= last && next.Over(xid) })
}

// Outlived tells whether all transactions that were in progress in s had ended when next was taken.
func (s *Snapshot) Outlived(next *Snapshot) bool {
	return !slices.ContainsFunc(s.Xip, func(xid uint64) bool { return !next.Over(xid) })
}
