package rule

import (
	"strconv"

	"nalar.internal/rowfeed/bridge/change"
)

// Body writes an event's frames. It is valid, as the rows that it reads are, only until Output.Event returns.
type Body struct {
	bound        *bound
	change       *change.Change
	epoch, tag   string
	op           change.Op
	row          change.Row // what data is of: the new row, or on delete the old one
	old, current change.Row
	scratch      []byte
}

var _ change.Body = (*Body)(nil)

// Field implements change.Body. What it returns is valid until the next call.
func (b *Body) Field(name string, was bool) ([]byte, bool) {
	row := b.current
	if was {
		row = b.old
	}
	if row == nil {
		return nil, false
	}
	for i := range b.bound.rule.fields {
		if f := &b.bound.rule.fields[i]; f.name == name {
			c := b.bound.columns[f.index]
			b.scratch = c.appendJSON(b.scratch[:0], row[c.pos])
			return b.scratch, true
		}
	}
	return nil, false
}

// Append implements change.Body: the event frame of PROTOCOL, fields in its order.
func (b *Body) Append(dst []byte, v change.Variant, cursor string) []byte {
	r := b.bound.rule
	dst = append(dst, r.head...)
	dst = b.change.AppendID(dst, b.epoch, b.tag)
	dst = append(dst, r.middle...)
	dst = b.appendKey(dst)
	dst = append(dst, `,"op":"`...)
	dst = append(dst, opWord(b.op, v)...)
	dst = append(dst, `","at":"`...)
	dst = appendTime(dst, b.change.At)
	dst = append(dst, `","txid":"`...)
	dst = strconv.AppendUint(dst, b.change.Xid, 10)
	dst = append(dst, '"')
	if v != change.Leave {
		dst = b.appendRow(dst, v)
	}
	if cursor != "" { // letters, digits and colons
		dst = append(dst, `,"cursor":"`...)
		dst = append(dst, cursor...)
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

// appendRow appends what only those receive who may see the row.
func (b *Body) appendRow(dst []byte, v change.Variant) []byte {
	r := b.bound.rule
	dst = append(dst, `,"data":`...)
	dst = b.appendData(dst)
	if b.op == change.Update && v == change.Whole {
		dst = append(dst, `,"old":`...)
		dst = b.appendOld(dst)
	}
	if r.hasMessage {
		dst = append(dst, `,"message":"`...)
		dst = b.bound.appendMessage(dst, r.message, b.row, b.scratch)
		dst = append(dst, '"')
	}
	if r.hasLink {
		dst = append(dst, `,"link":"`...)
		dst = b.bound.appendLink(dst, r.link, b.row, b.scratch)
		dst = append(dst, '"')
	}
	return dst
}

func (b *Body) appendData(dst []byte) []byte {
	dst = append(dst, '{')
	for i := range b.bound.rule.fields {
		f := &b.bound.rule.fields[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		c := b.bound.columns[f.index]
		dst = append(dst, f.label...)
		dst = c.appendJSON(dst, b.row[c.pos])
	}
	return append(dst, '}')
}

// appendOld appends the previous values of the fields that changed; an empty object if it was other columns that did.
func (b *Body) appendOld(dst []byte) []byte {
	dst = append(dst, '{')
	first := true
	for i := range b.bound.rule.fields {
		f := &b.bound.rule.fields[i]
		c := b.bound.columns[f.index]
		if !changed(b.old[c.pos], b.current[c.pos]) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, f.label...)
		dst = c.appendJSON(dst, b.old[c.pos])
	}
	return append(dst, '}')
}

// appendKey appends the key in the JSON type that it has, an array if it is composite.
func (b *Body) appendKey(dst []byte) []byte {
	key := b.bound.key
	if len(key) == 1 {
		return key[0].appendJSON(dst, b.row[key[0].pos])
	}
	dst = append(dst, '[')
	for i, c := range key {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = c.appendJSON(dst, b.row[c.pos])
	}
	return append(dst, ']')
}

func opWord(op change.Op, v change.Variant) string {
	switch v {
	case change.Leave:
		return "leave"
	case change.Enter:
		return "enter"
	}
	switch op {
	case change.Insert:
		return "insert"
	case change.Delete:
		return "delete"
	}
	return "update"
}
