package bridge

import (
	"bytes"

	"nalar.internal/rowfeed/bridge/audience"
	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/bridge/source"
)

// controlHistory is what the control channel's feed remembers, in bytes: nobody resumes it.
const controlHistory = 64 << 10

// maxConcerned is from how many users on a batch of changes concerns everybody: counting them costs more then.
const maxConcerned = 50_000

// control takes what the control channel's feed reads to those whom it concerns. It is a source.Handler.
type control struct {
	feed   *source.Feed
	tables map[string]string // those behind the grants, as a Relation names them: the user's column, or empty for everybody
	// renew hears, in batches, whose grants may have changed; nil where nothing is looked up.
	renew func(concerned)
	// request hears of each row of rowfeed's own table request; nil: nobody answers. It must not block, and the change is
	// good until it returns.
	request      func(*change.Change)
	requestTable string
	drifted      func() // hears of each change that could not be captured; it does not wait

	away  *away
	batch concerned
}

func newControl(schema string, tables map[string]string) *control {
	c := &control{tables: make(map[string]string, len(tables)), requestTable: schema + ".request"}
	for table, column := range tables {
		c.tables[rule.Table(table)] = column
	}
	return c
}

// Change implements source.Handler.
func (c *control) Change(_ change.Place, ch *change.Change) {
	if ch.Relation.Table == c.requestTable {
		if c.request != nil {
			c.request(ch)
		}
		return
	}
	if ch.Op == change.Resync {
		c.drifted()
	}
	// A table that is no longer configured may still have its triggers.
	if column, ok := c.tables[ch.Relation.Table]; ok {
		var whom concerned
		whom.add(ch, column)
		c.away.note(ch.Xid, whom)
		c.batch.merge(whom)
	}
}

// Swept implements source.Handler.
func (c *control) Swept() {
	c.away.swept()
	c.flush()
}

// Settled implements source.Handler.
func (c *control) Settled(string) {}

// Lost implements source.Handler: whose grants have changed meanwhile is not known.
func (c *control) Lost(string) {
	c.away.lost()
	c.batch.all = true
	c.flush()
}

func (c *control) flush() {
	batch := c.batch
	c.batch = concerned{}
	if c.renew != nil && !batch.empty() {
		c.renew(batch)
	}
}

// concerned is whose grants may have changed.
type concerned struct {
	all   bool
	users map[string]struct{} // as audience.UserKey has them
	at    int64               // when the oldest of the changes was captured, Unix microseconds by the server's clock; 0: unknown
}

func (d *concerned) empty() bool { return !d.all && len(d.users) == 0 }

// add notes whom a change concerns: the users that the column held and holds.
func (d *concerned) add(ch *change.Change, column string) {
	if at := ch.At.UnixMicro(); d.at == 0 || at < d.at {
		d.at = at
	}
	i := ch.Relation.Position(column)
	if d.all = d.all || i < 0 || ch.Op == change.Truncate || ch.Op == change.Resync; d.all {
		return
	}
	for _, row := range []change.Row{ch.Old, ch.New} {
		if i >= len(row) || row[i] == nil {
			continue
		}
		if !comparableText(ch.Relation.Columns[i].Kind, row[i]) {
			d.all = true
			return
		}
		d.user(audience.UserKey(string(row[i])))
	}
}

// comparableText tells whether a value's text is what a token could name the user by. What is none concerns everybody.
func comparableText(kind change.Kind, value []byte) bool {
	switch kind {
	case change.Integer, change.Text:
		return true
	case change.Numeric:
		return !bytes.ContainsRune(value, '.')
	}
	return false
}

func (d *concerned) user(key string) {
	if d.users == nil {
		d.users = map[string]struct{}{}
	}
	if d.users[key] = struct{}{}; len(d.users) > maxConcerned {
		d.all = true
	}
}

// merge adds what another batch has.
func (d *concerned) merge(other concerned) {
	if d.at == 0 || other.at != 0 && other.at < d.at {
		d.at = other.at
	}
	if d.all = d.all || other.all; d.all {
		d.users = nil
		return
	}
	for key := range other.users {
		d.user(key)
	}
}
