package change

import (
	"strconv"
	"strings"
)

// Cursor names a place in the feed: a tick. All that is visible in the tick's snapshot lies before it.
type Cursor struct {
	Epoch string // of the server's history
	Xid   uint64 // the transaction that wrote the tick
	Nonce string // tells it from one that a restored server wrote under the same id
}

// maxCursor is the longest text of a cursor, in bytes.
const maxCursor = 64

// String returns the text that clients hold.
func (c Cursor) String() string {
	if c.Nonce == "" {
		return ""
	}
	return c.Epoch + ":" + strconv.FormatUint(c.Xid, 36) + ":" + c.Nonce
}

// ParseCursor reads what String wrote; false for anything else.
func ParseCursor(text string) (Cursor, bool) {
	if len(text) > maxCursor {
		return Cursor{}, false
	}
	epoch, rest, _ := strings.Cut(text, ":")
	id, nonce, _ := strings.Cut(rest, ":")
	xid, err := strconv.ParseUint(id, 36, 63)
	if err != nil || !word(epoch) || !word(nonce) {
		return Cursor{}, false
	}
	return Cursor{Epoch: epoch, Xid: xid, Nonce: nonce}, true
}

// word tells whether s is lower-case letters and digits, one at least.
func word(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != ""
}

// Mark is a place with what lies before it.
type Mark struct {
	Cursor   Cursor
	Snapshot *Snapshot
}

// Place is where a change stands in the feed of this node.
type Place struct {
	Epoch  string
	Cursor string // safe for whoever has been sent all that came before; empty: none
	Pos    uint64 // grows from change to change; 0 for one that is read from the outbox again
}

// Record is a captured change as it is kept: its values are not decoded yet.
type Record struct {
	Relation *Relation
	Xid, LSN uint64
	At       int64 // microseconds of the Unix epoch
	Op       Op
	Depth    int16
	Old, New []byte // the binary form of text[]; nil is NULL
}

// After tells whether the record was captured after the position; transactions break ties.
func (r *Record) After(lsn, xid uint64) bool { return r.LSN > lsn || r.LSN == lsn && r.Xid > xid }
