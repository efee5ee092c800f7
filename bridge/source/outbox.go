package source

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge/change"
)

var (
	//go:embed queries/lookup.sql
	lookupSQL string
	//go:embed queries/next.sql
	nextSQL string
	//go:embed queries/first.sql
	firstSQL string
	//go:embed queries/page.sql
	pageSQL string
	//go:embed queries/older.sql
	olderSQL string
)

// ErrGone says that part of what was asked for has been truncated away, or never was in this database.
var ErrGone = errors.New("read outbox: what was asked for is gone")

// tickChannel is where each tick is a second time, and nothing else is.
const tickChannel = int16(0)

// Bounds of a page.
const (
	pageChanges = 4096
	pageBytes   = 4 << 20
	sliceLen    = 256       // changes that are handed on at a time
	sliceBytes  = 256 << 10 // and their bytes; one change may have more
)

// Outbox reads what a feed's memory no longer holds. One goroutine uses it; it connects when it is first asked and
// after an error.
type Outbox struct {
	Queries atomic.Uint64 // since the start

	feed      *Feed
	sql       map[string]string
	conn      *pgx.Conn
	relations map[int32]*change.Relation
	reloaded  bool // for the page at hand
	records   []change.Record
	values    []byte
}

// NewOutbox makes one for the feed's channel.
func NewOutbox(f *Feed) *Outbox {
	const since = "xid >= $2::text::xid8"
	between := func() string { // what began since, and what was in progress then
		both := []string{}
		for slot := range slots {
			both = append(both, slotPart(f.o.Schema, slot, since+" and xid < $4::text::xid8"),
				slotPart(f.o.Schema, slot, "xid = any ($3::text::xid8[])"))
		}
		return strings.Join(both, "\n    union all\n")
	}
	return &Outbox{feed: f, sql: map[string]string{
		"lookup": slotted(lookupSQL, f.o.Schema, "xid = any ($2::text::xid8[])"),
		"next":   slotted(nextSQL, f.o.Schema, since+" order by xid limit $3"),
		"first":  slotted(firstSQL, f.o.Schema, since+" order by xid limit 64"),
		"page":   render(strings.ReplaceAll(pageSQL, "{slots}", between()), f.o.Schema),
		"older": slotted(olderSQL, f.o.Schema, "xid < $2::text::xid8 and op <> 'k' and not xid = any ($3::text::xid8[]) "+
			"and (xid, lsn) < ($4::text::xid8, $5::text::pg_lsn) order by xid desc, lsn desc limit $6"),
	}}
}

// Close ends the connection, if there is one.
func (o *Outbox) Close(ctx context.Context) {
	if o.conn != nil {
		o.conn.Close(ctx)
		o.conn = nil
	}
}

// Lookup returns what lies before each of the cursors, in their order: nil for one that is gone.
func (o *Outbox) Lookup(ctx context.Context, cursors []change.Cursor) ([]*change.Mark, error) {
	xids := make([]uint64, len(cursors))
	for i, c := range cursors {
		xids[i] = c.Xid
	}
	var gone horizon
	found := map[change.Cursor]*change.Snapshot{}
	err := o.query(ctx, "lookup", func(raw [][]byte) (err error) {
		if gone, err = goneOf(raw, 4); err != nil || raw[2] == nil {
			return err
		}
		xid, row, err := xidAndRow(raw[2:])
		if err != nil {
			return err
		}
		if t, err := tickOf(xid, row); err == nil {
			found[change.Cursor{Xid: t.xid, Nonce: t.nonce}] = t.snapshot
		}
		return nil
	}, tickChannel, textXids(xids))
	if err != nil {
		return nil, err
	}
	marks := make([]*change.Mark, len(cursors))
	for i, c := range cursors {
		if s := found[change.Cursor{Xid: c.Xid, Nonce: c.Nonce}]; s != nil && !gone.passed(s) {
			marks[i] = &change.Mark{Cursor: c, Snapshot: s}
		}
	}
	return marks, nil
}

// Next returns a later place, some thousand changes on where that can be; ok is false where there is none yet.
func (o *Outbox) Next(ctx context.Context, after change.Mark) (next change.Mark, ok bool, err error) {
	take := func(raw [][]byte) error {
		xid, row, err := xidAndRow(raw)
		if err != nil {
			return err
		}
		t, err := tickOf(xid, row)
		if err == nil && after.Snapshot.Before(t.snapshot) && !ok {
			next, ok = change.Mark{Cursor: t.cursor(after.Cursor.Epoch), Snapshot: t.snapshot}, true
		}
		return nil //nolint:nilerr // a tick that can't be read is no place
	}
	xmax := strconv.FormatUint(after.Snapshot.Xmax, 10)
	if err = o.query(ctx, "next", take, o.feed.channel(), xmax, pageChanges); err == nil && !ok {
		err = o.query(ctx, "first", take, tickChannel, xmax)
	}
	return next, ok, err
}

// Page reads the changes between two places in the order of their capture, from behind a position on, as many as make a
// page, and hands them on in slices; they are good until take returns. It stops when take returns false. more tells
// that there are others behind it.
func (o *Outbox) Page(
	ctx context.Context, after, until change.Mark, lsn, xid uint64, take func([]*change.Record) bool,
) (more bool, err error) {
	return o.read(ctx, "page", after.Snapshot, take, o.feed.channel(), strconv.FormatUint(after.Snapshot.Xmax, 10),
		textXids(after.Snapshot.Xip), strconv.FormatUint(until.Snapshot.Xmax, 10), textXids(until.Snapshot.Xip),
		textLSN(lsn), strconv.FormatUint(xid, 10), pageChanges, pageBytes)
}

// Older reads up to n of the changes that lie before a place, the newest first, from before a transaction and position
// on.
func (o *Outbox) Older(
	ctx context.Context, before change.Mark, xid, lsn uint64, n int, take func([]*change.Record) bool,
) (more bool, err error) {
	return o.read(ctx, "older", nil, take, o.feed.channel(), strconv.FormatUint(min(before.Snapshot.Xmax, xid+1), 10),
		textXids(before.Snapshot.Xip), strconv.FormatUint(xid, 10), textLSN(lsn), n)
}

// read hands on the changes of a query whose rows hold what was truncated away: nothing is read since a snapshot that
// something is gone of, nor, where there is none, of what may be incomplete.
func (o *Outbox) read(
	ctx context.Context, name string, since *change.Snapshot, take func([]*change.Record) bool, args ...any,
) (more bool, err error) {
	going := true
	flush := func() {
		if len(o.records) > 0 && going {
			list := make([]*change.Record, len(o.records))
			for i := range o.records {
				list[i] = &o.records[i]
			}
			going = take(list)
		}
		o.records, o.values = o.records[:0], o.values[:0]
	}
	o.records, o.values, o.reloaded = o.records[:0], o.values[:0], false
	err = o.query(ctx, name, func(raw [][]byte) error {
		gone, err := goneOf(raw, pageColumns)
		if err == nil && since != nil && gone.passed(since) {
			err = ErrGone
		}
		if err != nil || raw[2] == nil {
			return err
		}
		row := raw[2:]
		more = len(row[8]) == 1 && row[8][0] == 0
		if since == nil && binary.BigEndian.Uint64(row[0]) <= gone.last() {
			going, more = false, false // older ones may be incomplete
		}
		if !going {
			return nil
		}
		if err := o.keep(ctx, row); err != nil {
			return err
		}
		if len(o.records) == sliceLen || len(o.values) >= sliceBytes {
			flush()
		}
		return nil
	}, args...)
	if err != nil {
		return false, err
	}
	flush()
	return more, nil
}

// keep copies a row of a page; Relation is nil where its decoder is gone.
func (o *Outbox) keep(ctx context.Context, raw [][]byte) error {
	var full [sweepColumns][]byte
	full[colXid], full[colLSN], full[colAt], full[colCapture] = raw[0], raw[1], raw[2], raw[3]
	full[colDepth], full[colOp], full[colOld], full[colNew] = raw[4], raw[5], raw[6], raw[7]
	var c change.Change
	id, capture, err := decode(full[:], &c, &[2]change.Row{})
	if err != nil {
		return err
	}
	r := o.relations[capture]
	if r == nil && !o.reloaded {
		if o.relations, err = o.feed.freshRelations(ctx); err != nil {
			return err
		}
		o.reloaded = true
		r = o.relations[capture]
	}
	copied := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		from := len(o.values)
		o.values = append(o.values, b...)
		return o.values[from:len(o.values):len(o.values)]
	}
	o.records = append(o.records, change.Record{Relation: r, Xid: id.xid, LSN: id.lsn, At: id.at, Op: c.Op, Depth: c.Depth,
		Old: copied(raw[6]), New: copied(raw[7])})
	return nil
}

// query runs a statement and takes its rows in binary form.
func (o *Outbox) query(ctx context.Context, name string, take func(raw [][]byte) error, args ...any) error {
	if o.conn == nil {
		conn, err := o.feed.o.Connect(ctx)
		if err != nil {
			return err
		}
		o.conn = conn
		// What is wanted in order has an index; a young table's statistics may say that sorting all of it is cheaper.
		if _, err := conn.Exec(ctx, "set enable_sort = off"); err != nil {
			o.Close(context.WithoutCancel(ctx))
			return fmt.Errorf("read outbox: %w", err)
		}
	}
	o.Queries.Add(1)
	rows, err := o.conn.Query(ctx, o.sql[name], append([]any{pgx.QueryResultFormats{1}}, args...)...)
	if err == nil {
		for rows.Next() && err == nil {
			err = take(rows.RawValues())
		}
		rows.Close()
		if err == nil {
			err = rows.Err()
		}
	}
	if err != nil && !errors.Is(err, ErrGone) {
		o.Close(context.WithoutCancel(ctx))
		return fmt.Errorf("read outbox: %w", err)
	}
	return err
}

// pageColumns is how many columns a row of a page has, with the two of what was truncated away.
const pageColumns = 11

// goneOf reads what was truncated away off a row of so many columns.
func goneOf(raw [][]byte, columns int) (horizon, error) {
	if len(raw) != columns || len(raw[0]) != 8 {
		return horizon{}, errRow
	}
	return horizonOf(binary.BigEndian.Uint64(raw[0]), string(raw[1]))
}

func xidAndRow(raw [][]byte) (uint64, change.Row, error) {
	if len(raw) != 2 || len(raw[0]) != 8 {
		return 0, nil, errRow
	}
	var room change.Row
	row, err := textArray(raw[1], &room)
	return binary.BigEndian.Uint64(raw[0]), row, err
}

func textXids(xids []uint64) string {
	b := []byte{'{'}
	for i, x := range xids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, x, 10)
	}
	return string(append(b, '}'))
}

func textLSN(lsn uint64) string { return fmt.Sprintf("%X/%X", lsn>>32, uint32(lsn)) } //nolint:gosec // the lower half is what is meant
