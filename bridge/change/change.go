// Package change is the vocabulary that every other room shares: a captured row change, the event made of it, and the
// finished message that many sessions send. It imports the standard library only.
package change

import (
	"strconv"
	"strings"
	"time"
)

// Op is what happened to a row, as the outbox holds it (one "char").
type Op byte

// The operations of the outbox. Truncate, Resync and Tick concern no single row.
const (
	Insert   Op = 'i'
	Update   Op = 'u'
	Delete   Op = 'd'
	Truncate Op = 't' // TRUNCATE: what subscribers hold of the table is void
	Resync   Op = 'r' // the row could not be captured truthfully; Change.Reason is "drift"
	Tick     Op = 'k' // no change: a place in the feed, see DESIGN "Ticks"
)

// Kind says how a captured value is written in the outbox's text and how it becomes JSON. It is chosen by the capture
// function's generator from the column's type; see package triggers.
type Kind string

// The kinds. The comment gives the text in the outbox.
const (
	Integer     Kind = "int"   // decimal digits, of smallint to bigint and oid
	Numeric     Kind = "num"   // as numeric_out: digits, NaN, Infinity
	Float       Kind = "float" // hex of float8send: 16 hex digits, exact whatever extra_float_digits says
	Bool        Kind = "bool"  // true or false
	Text        Kind = "text"  // the text itself: text, varchar, uuid, enum, inet, …
	JSON        Kind = "json"  // a JSON text, sent as it is: json, jsonb, and to_json() of all other types
	Timestamptz Kind = "tstz"  // to_json(x at time zone 'UTC'): quoted ISO 8601 without offset, or "infinity"
	Bytes       Kind = "bytes" // hex digits without \x
)

// Column is one captured column.
type Column struct {
	Name string
	Kind Kind
	Type string // the SQL type as format_type prints it, for messages and generated types
}

// Relation is one version of what is captured of one table: the decoder of its outbox rows. A migration that changes
// the captured columns makes a new Relation, so rows written before it stay readable.
type Relation struct {
	ID      int32  // rowfeed.capture.id
	Table   string // as the configuration names it, always with its schema: public.finance_expenserequest
	Columns []Column
	Key     []int // positions in Columns of the primary key, or of the configured one, in key order
}

// Position returns the position of the named column in Columns, or -1.
func (r *Relation) Position(column string) int {
	for i := range r.Columns {
		if r.Columns[i].Name == column {
			return i
		}
	}
	return -1
}

// Row holds a captured value for each of a Relation's columns, in order; nil is SQL NULL.
type Row [][]byte

// Change is one captured row operation.
type Change struct {
	Relation *Relation
	Op       Op
	Xid      uint64    // the top-level transaction, pg_current_xact_id()
	LSN      uint64    // pg_current_wal_insert_lsn() at capture: the order within a sweep
	At       time.Time // clock_timestamp() at capture
	Depth    int16     // pg_trigger_depth()
	Old, New Row       // nil where the operation has none
	Reason   string    // of Truncate and Resync: "truncated", "drift"
}

// Want is what one channel needs captured of one table: rules say it, triggers install it.
type Want struct {
	Table   string   // as the configuration names it; without a schema it is in public
	Channel string   // rowfeed's channel
	Columns []string // all that rules read or send; the key is added by triggers
	Watch   []string // an update that changes none of these (nor the key) appends nothing; empty: Columns
	Any     bool     // every update that changes the row in any column appends; only Columns, which may be empty, are stored
	Wake    string   // auto, notify or sweep
	Key     []string // the columns of a unique key that tell rows apart, in this order; empty: the primary key
}

// Control is the channel of what concerns the bridge itself: changes of what grants are made of, and requests of the
// operator. No configured channel has a name of that form, and nobody can subscribe to it.
const Control = ".control"

// RequestCapture is what the outbox has in place of a Relation's id where an operator's request was written down. That
// Relation's table is request in rowfeed's schema, its columns are the request's id and kind.
const RequestCapture = -1

// ID returns the identity of an event that was made of the change: the same on every node and every replay. Transaction
// ids and positions can recur after a crash, so the capture time is part of it; tag tells apart the events that several
// rules, of one channel or of many, make of one change.
func (c *Change) ID(epoch, tag string) string {
	return string(c.AppendID(make([]byte, 0, 64), epoch, tag))
}

// EventID is what the id of an event says.
type EventID struct {
	Epoch    string
	Xid, LSN uint64
	At       time.Time
	Tag      string // of the rule
}

// ParseID reads an event's id; false for what is none.
func ParseID(text string) (id EventID, ok bool) {
	parts := strings.SplitN(text, "-", 5)
	if len(parts) != 5 || !word(parts[0]) || parts[4] == "" {
		return id, false
	}
	var err [3]error
	var micro int64
	id.Xid, err[0] = strconv.ParseUint(parts[1], 36, 64)
	id.LSN, err[1] = strconv.ParseUint(parts[2], 36, 64)
	micro, err[2] = strconv.ParseInt(parts[3], 36, 64)
	id.Epoch, id.At, id.Tag = parts[0], time.UnixMicro(micro).UTC(), parts[4]
	return id, err == [3]error{}
}

// AppendID appends ID to dst.
func (c *Change) AppendID(dst []byte, epoch, tag string) []byte {
	dst = append(dst, epoch...)
	dst = append(dst, '-')
	dst = strconv.AppendUint(dst, c.Xid, 36)
	dst = append(dst, '-')
	dst = strconv.AppendUint(dst, c.LSN, 36)
	dst = append(dst, '-')
	dst = strconv.AppendInt(dst, c.At.UnixMicro(), 36)
	dst = append(dst, '-')
	return append(dst, tag...)
}
