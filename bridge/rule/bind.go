package rule

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"nalar.internal/rowfeed/bridge/change"
)

// maxBindings bounds what is remembered of relations; there is one per table and version of its capture.
const maxBindings = 1024

// binding is the rules of one relation's table, resolved for its rows.
type binding struct {
	rules []bound
	width int   // columns of a row
	key   []int // positions of the primary key
}

// bound is one rule, resolved for the rows of a relation.
type bound struct {
	rule    *rule
	columns []column // by the rule's column
	key     []column
	watch   []int // positions
	scope   []int // positions
	err     error // why the rule can't be applied to rows of this relation
}

// bind returns the rules of the relation's table, or nil if there are none.
func (ch *Channel) bind(rel *change.Relation) *binding {
	if b, ok := (*ch.bindings.Load())[rel]; ok {
		return b
	}
	ch.binding.Lock()
	defer ch.binding.Unlock()
	known := *ch.bindings.Load()
	if b, ok := known[rel]; ok {
		return b
	}
	next := make(map[*change.Relation]*binding, len(known)+1)
	if len(known) < maxBindings {
		maps.Copy(next, known)
	}
	b := newBinding(ch.tables[rel.Table], rel)
	next[rel] = b
	ch.bindings.Store(&next)
	return b
}

func newBinding(rules []*rule, rel *change.Relation) *binding {
	if len(rules) == 0 {
		return nil
	}
	b := &binding{width: len(rel.Columns)}
	if !slices.ContainsFunc(rel.Key, func(pos int) bool { return pos < 0 || pos >= b.width }) {
		b.key = rel.Key // else every rule is an error
	}
	for _, r := range rules {
		b.rules = append(b.rules, newBound(r, rel))
	}
	return b
}

func newBound(r *rule, rel *change.Relation) bound {
	b := bound{rule: r, columns: make([]column, len(r.columns))}
	for i, name := range r.columns {
		c, err := bindColumn(rel, rel.Position(name), name, r.quoted[i])
		if err != nil {
			b.err = err
			return b
		}
		b.columns[i] = c
	}
	if len(rel.Key) == 0 {
		b.err = errors.New("the relation has no key")
	}
	for _, pos := range rel.Key {
		quoted := false
		if pos >= 0 && pos < len(rel.Columns) {
			i := slices.Index(r.columns, rel.Columns[pos].Name)
			quoted = i >= 0 && r.quoted[i]
		}
		c, err := bindColumn(rel, pos, "of the key", quoted)
		if err != nil {
			b.err = err
			return b
		}
		b.key = append(b.key, c)
	}
	for _, i := range r.watch {
		b.watch = append(b.watch, b.columns[i].pos)
	}
	for _, i := range r.scope {
		b.scope = append(b.scope, b.columns[i].pos)
	}
	return b
}

func bindColumn(rel *change.Relation, pos int, name string, quoted bool) (column, error) {
	if pos < 0 || pos >= len(rel.Columns) {
		return column{}, fmt.Errorf("column %s was not captured", name)
	}
	k, err := kindOf(&rel.Columns[pos])
	return column{pos: pos, kind: k, quoted: quoted}, err
}

// differs tells whether the rows differ in one of the positions.
func differs(a, b change.Row, positions []int) bool {
	for _, i := range positions {
		if changed(a[i], b[i]) {
			return true
		}
	}
	return false
}

// changed tells two captured values apart; NULL is not the empty text.
func changed(a, b []byte) bool { return (a == nil) != (b == nil) || !bytes.Equal(a, b) }
