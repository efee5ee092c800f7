package rule

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"

	"nalar.internal/rowfeed/bridge/change"
)

var errWidth = errors.New("the row does not have the columns of its relation")

// state is what applying a change needs, reused from change to change.
type state struct {
	place   change.Place
	change  *change.Change
	out     Output
	drifted []string // resources that have had their notice of this change

	event      change.Event
	body       Body
	activation activation
	was, now   []string
	unknown    []string // how scoped grants begin that an audience may have and that can't be known
	last       string   // text of the newest audience
	text       []byte
	ends       []int
	scope      []byte
	room       []byte
}

// Apply evaluates the rules of the change's table and gives out what comes of it: events, in the order of the rules;
// a notice for each resource of a table that was truncated or could not be captured truthfully; faults. Changes of
// tables without a rule in this channel, and ticks, give nothing.
func (ch *Channel) Apply(at change.Place, c *change.Change, out Output) {
	if c.Relation == nil {
		return
	}
	switch c.Op {
	case change.Truncate:
		ch.void(c, "truncated", out)
		return
	case change.Resync:
		ch.void(c, "drift", out)
		return
	case change.Insert, change.Update, change.Delete:
	default:
		return
	}
	b := ch.bind(c.Relation)
	if b == nil {
		return
	}
	s := ch.states.Get().(*state)
	defer ch.states.Put(s)
	s.place, s.change, s.out, s.drifted = at, c, out, s.drifted[:0]
	whole := (c.Op == change.Insert || len(c.Old) == b.width) && (c.Op == change.Delete || len(c.New) == b.width)
	moved := whole && c.Op == change.Update && differs(c.Old, c.New, b.key)
	for i := range b.rules {
		switch r := &b.rules[i]; {
		case r.err != nil:
			s.lacking(r, r.err)
		case !whole:
			s.lacking(r, errWidth)
		default:
			s.isolated(r, moved)
		}
	}
	s.release()
}

// release lets go of the change: a pooled state must not keep rows in memory.
func (s *state) release() {
	s.change, s.out, s.event = nil, nil, change.Event{}
	s.body = Body{scratch: s.body.scratch}
	s.activation = activation{}
}

// void says that what subscribers hold of the change's table is void.
func (ch *Channel) void(c *change.Change, reason string, out Output) {
	var said []string
	for _, r := range ch.tables[c.Relation.Table] {
		if !slices.Contains(said, r.resource) {
			said = append(said, r.resource)
			out.Notice(change.Notice{Channel: ch.name, Resource: r.resource, Reason: reason})
		}
	}
}

// lacking reports that a rule can't be applied to a row that was captured by an older version, say.
func (s *state) lacking(b *bound, err error) {
	r := b.rule
	if !r.operations.has(s.change.Op) && s.change.Op != change.Update { // an update may be of the key
		return
	}
	s.fault(r, FaultRelation, err)
	if !slices.Contains(s.drifted, r.resource) {
		s.drifted = append(s.drifted, r.resource)
		s.out.Notice(change.Notice{Channel: r.channel, Resource: r.resource, Reason: "drift"})
	}
}

func (s *state) fault(r *rule, kind string, err error) {
	s.out.Fault(Fault{Channel: r.channel, Table: r.table, Event: r.event, Rule: r.number, Kind: kind, Err: err})
}

// isolated has a panic, which is a defect of the program, concern one rule: the others of the change go on.
func (s *state) isolated(b *bound, moved bool) {
	defer func() {
		if v := recover(); v != nil {
			s.panicked(b, v)
		}
	}()
	s.apply(b, moved)
}

// panicked reports a panic to the operator, and to those who hold grants of the forms that the rule's audience has. What
// it says is left out where it may hold a value of the row.
func (s *state) panicked(b *bound, v any) {
	why := fmt.Errorf("panic of type %T at:\n%s", v, debug.Stack())
	if err, ok := v.(runtime.Error); ok {
		why = fmt.Errorf("panic: %w at:\n%s", err, debug.Stack())
	}
	s.fault(b.rule, FaultPanic, why)
	defer func() { _ = recover() }() // whatever was broken may be so still: the operator knows
	s.unknown = s.unknown[:0]
	for _, row := range []change.Row{s.change.Old, s.change.New} {
		if row == nil {
			continue
		}
		scope, err := s.tenant(b, row, nil)
		for _, t := range b.rule.audience {
			if err == nil && len(scope) > 0 {
				s.unknown = union(s.unknown, []string{string(scope) + t.start()})
			}
		}
	}
	s.ruleError(b.rule, nil)
}

// apply evaluates one rule; moved tells that an update changed the key.
func (s *state) apply(b *bound, moved bool) {
	c, does := s.change, b.rule.operations
	switch {
	case moved:
		if does.has(change.Update) || does.has(change.Delete) {
			s.emit(b, change.Delete, c.Old, nil, b.rule.vacated)
		}
		if does.has(change.Update) || does.has(change.Insert) {
			s.emit(b, change.Insert, nil, c.New, b.rule.tag)
		}
	case !does.has(c.Op):
	case c.Op == change.Insert:
		s.emit(b, c.Op, nil, c.New, b.rule.tag)
	case c.Op == change.Delete:
		s.emit(b, c.Op, c.Old, nil, b.rule.tag)
	case differs(c.Old, c.New, b.watch):
		s.emit(b, c.Op, c.Old, c.New, b.rule.tag)
	}
}

// emit gives out the event of an operation that the rule chooses, if its condition holds and anybody may receive it.
func (s *state) emit(b *bound, op change.Op, old, current change.Row, tag string) {
	row := current
	if op == change.Delete {
		row = old
	}
	holds, failed := true, error(nil)
	if b.rule.condition != nil {
		s.activation = activation{row: celRow{b, row}}
		if op == change.Update {
			s.activation.old = celRow{b, old}
		}
		holds, failed = b.rule.condition.holds(&s.activation)
	}
	if failed == nil && !holds {
		return
	}
	s.unknown = s.unknown[:0]
	was, now := s.audiences(b, old, current)
	if failed != nil {
		s.fault(b.rule, FaultCondition, failed)
		s.ruleError(b.rule, union(slices.Clone(was), now))
		return
	}
	if len(was) > 0 || len(now) > 0 {
		s.give(b, op, old, current, tag, was, now)
	}
	s.ruleError(b.rule, nil)
}

// give gives out an event.
func (s *state) give(b *bound, op change.Op, old, current change.Row, tag string, was, now []string) {
	row := current
	if op == change.Delete {
		row = old
	}
	s.body = Body{bound: b, change: s.change, epoch: s.place.Epoch, tag: tag, op: op, row: row, old: old, current: current,
		scratch: s.body.scratch[:0]}
	s.event = change.Event{
		//nolint:gosec // rules of a configuration are few
		Channel: b.rule.channel, Resource: b.rule.resource, Rule: int32(b.rule.number), Key: s.key(b, row), Op: op,
		Latest: b.rule.latest, Was: was, Now: now, Body: &s.body, Place: s.place,
	}
	s.out.Event(&s.event)
}

// audiences returns the audiences of both rows, nil where there is no such row.
func (s *state) audiences(b *bound, old, current change.Row) (was, now []string) {
	var err error
	if old != nil {
		if was, err = s.audience(b, old, s.was); err != nil {
			s.fault(b.rule, FaultAudience, err)
		}
		if b.rule.static == nil {
			s.was = was
		}
	}
	switch {
	case current == nil:
		return was, nil
	case old != nil && !differs(old, current, b.scope):
		return was, was
	}
	if now, err = s.audience(b, current, s.now); err != nil {
		s.fault(b.rule, FaultAudience, err)
	}
	if b.rule.static == nil {
		s.now = now
	}
	return was, now
}

// ruleError tells those whom the event might have concerned, and nobody else, that it can't be told: an audience that is
// known, and those of the tenant who hold grants of the form that is not.
func (s *state) ruleError(r *rule, audience []string) {
	if len(audience)+len(s.unknown) == 0 {
		return // a notice without audience would go to everybody
	}
	s.out.Notice(change.Notice{Channel: r.channel, Resource: r.resource, Reason: "rule_error", Audience: audience,
		Prefixes: slices.Clone(s.unknown)})
}

// key returns the canonical text of the row's key.
func (s *state) key(b *bound, row change.Row) string {
	if len(b.key) == 1 {
		c := b.key[0]
		return string(c.plain(s.room[:0], row[c.pos]))
	}
	parts := make([][]byte, len(b.key))
	for i, c := range b.key {
		parts[i] = c.plain(nil, row[c.pos])
	}
	return change.KeyText(parts...)
}
