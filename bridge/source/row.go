package source

import (
	"encoding/binary"
	"errors"
	"time"

	"nalar.internal/rowfeed/bridge/change"
)

// Columns of queries/sweep.sql.
const (
	colSnapshot = iota
	colXid
	colLSN
	colAt
	colCapture
	colDepth
	colOp
	colOld
	colNew
	colTable
	sweepColumns
)

var (
	errRow         = errors.New("read outbox row: unexpected format")
	errRetention   = errors.New("database.retention was changed meanwhile")
	errReinstalled = errors.New("rowfeed was removed and installed again meanwhile")
)

// identity tells one captured row from all others: transaction ids and positions can recur after a crash.
type identity struct {
	xid, lsn uint64
	at       int64
}

// postgresEpoch is 2000-01-01 UTC in microseconds of the Unix epoch: what binary timestamps count from.
const postgresEpoch = 946684800 * 1_000_000

// decode fills c from the raw binary values of a change; rows keeps the memory of old and new. Values point into raw
// and are good until the next row is read.
func decode(raw [][]byte, c *change.Change, rows *[2]change.Row) (identity, int32, error) {
	if len(raw[colXid]) != 8 || len(raw[colLSN]) != 8 || len(raw[colAt]) != 8 || len(raw[colCapture]) != 4 ||
		len(raw[colDepth]) != 2 || len(raw[colOp]) != 1 {
		return identity{}, 0, errRow
	}
	id := identity{
		xid: binary.BigEndian.Uint64(raw[colXid]),
		lsn: binary.BigEndian.Uint64(raw[colLSN]),
		//nolint:gosec // the two have the same bits: the wire has a signed number
		at: int64(binary.BigEndian.Uint64(raw[colAt])) + postgresEpoch,
	}
	c.Xid, c.LSN, c.At = id.xid, id.lsn, time.UnixMicro(id.at).UTC()
	c.Depth = int16(binary.BigEndian.Uint16(raw[colDepth])) //nolint:gosec // likewise
	c.Op = change.Op(raw[colOp][0])
	c.Reason = ""
	var err error
	if c.Old, err = textArray(raw[colOld], &rows[0]); err != nil {
		return id, 0, err
	}
	if c.New, err = textArray(raw[colNew], &rows[1]); err != nil {
		return id, 0, err
	}
	return id, int32(binary.BigEndian.Uint32(raw[colCapture])), nil //nolint:gosec // likewise
}

// textArray reads the binary form of a one-dimensional text[] (array_send) without copying its elements; nil is NULL.
func textArray(b []byte, reuse *change.Row) (change.Row, error) {
	if b == nil {
		return nil, nil
	}
	if len(b) < 12 {
		return nil, errRow
	}
	row := (*reuse)[:0]
	if binary.BigEndian.Uint32(b) == 0 { // no dimension: an empty array
		return row, nil
	}
	if binary.BigEndian.Uint32(b) != 1 || len(b) < 20 {
		return nil, errRow
	}
	n := int(int32(binary.BigEndian.Uint32(b[12:]))) //nolint:gosec // likewise; of a negative number there is nothing
	b = b[20:]
	for range n {
		if len(b) < 4 {
			return nil, errRow
		}
		size := int(int32(binary.BigEndian.Uint32(b))) //nolint:gosec // likewise; -1 is null
		b = b[4:]
		if size < 0 {
			row = append(row, nil)
			continue
		}
		if size > len(b) {
			return nil, errRow
		}
		row = append(row, b[:size:size])
		b = b[size:]
	}
	*reuse = row
	return row, nil
}

// Decode fills c from a kept record, into which its values point; rows is memory that is used again.
func Decode(r *change.Record, c *change.Change, rows *[2]change.Row) error {
	*c = change.Change{Relation: r.Relation, Op: r.Op, Xid: r.Xid, LSN: r.LSN, At: time.UnixMicro(r.At).UTC(), Depth: r.Depth,
		Reason: reasonOf(r.Op)}
	var err error
	if c.Old, err = textArray(r.Old, &rows[0]); err == nil {
		c.New, err = textArray(r.New, &rows[1])
	}
	return err
}

// reasonOf says why what subscribers hold of a table is void, for the operations that concern no single row.
func reasonOf(op change.Op) string {
	switch op {
	case change.Truncate:
		return "truncated"
	case change.Resync:
		return "drift"
	}
	return ""
}
