package rule

import (
	"slices"
	"strings"

	"nalar.internal/rowfeed/bridge/change"
)

// Trace says what one rule made of one change, step by step, for an operator who asks. It holds no values of the row but
// its key and what its audience is made of.
type Trace struct {
	Rule            int // number in the channel, from 0
	Event, Resource string
	ID              string // of the event, whether there is one or not
	Key             string // canonical, see change.KeyText
	Op              change.Op
	Latest          bool

	Err       error    // the rule can't be applied to rows that were captured so; the rest is empty
	Operation bool     // the rule's operations have it
	Watches   []string // columns whose change makes an update an event
	Changed   bool     // one of them changed; true where the operation is no update
	HasIf     bool     // there is a condition
	Holds     bool     // and it is true; true where there is none
	Failed    error    // or could not be evaluated
	Was, Now  *Scope   // who may see the old and the new row; nil where there is no such row

	// Routed is what the router was given; nil where a step said no. It is valid until see returns.
	Routed *change.Event
}

// Scope is the audience of one row.
type Scope struct {
	Tenant   string   // change.AnyTenant for rules with tenant: any; empty in an installation without tenants
	Nowhere  bool     // the rule has a tenant, and the row none
	Audience []string // scoped
	Parts    []Part   // one for each template of the rule's audience
	Err      error    // of the tenant
}

// Part is what one template of an audience gave.
type Part struct {
	Grants int
	Empty  []string // columns that hold nothing, for which reason it gave none
	Err    error
}

// Trace gives to see what each rule of the change's table makes of it, twice where a changed key makes a delete and an
// insert. Other changes than of a row give nothing.
func (ch *Channel) Trace(at change.Place, c *change.Change, see func(*Trace)) {
	if c.Relation == nil || c.Op != change.Insert && c.Op != change.Update && c.Op != change.Delete {
		return
	}
	b := ch.bind(c.Relation)
	if b == nil {
		return
	}
	whole := (c.Op == change.Insert || len(c.Old) == b.width) && (c.Op == change.Delete || len(c.New) == b.width)
	moved := whole && c.Op == change.Update && differs(c.Old, c.New, b.key)
	for i := range b.rules {
		r := &b.rules[i]
		t := Trace{Rule: r.rule.number, Event: r.rule.event, Resource: r.rule.resource, Op: c.Op, Latest: r.rule.latest,
			ID: c.ID(at.Epoch, r.rule.tag)}
		if t.Err = r.err; t.Err == nil && !whole {
			t.Err = errWidth
		}
		does := r.rule.operations
		switch {
		case t.Err != nil:
			see(&t)
		case moved:
			d := t
			d.Op, d.ID = change.Delete, c.ID(at.Epoch, r.rule.vacated)
			d.Operation = does.has(change.Update) || does.has(change.Delete)
			traceRow(at, c, r, d, c.Old, nil, r.rule.vacated, see)
			t.Op, t.Operation = change.Insert, does.has(change.Update) || does.has(change.Insert)
			traceRow(at, c, r, t, nil, c.New, r.rule.tag, see)
		default:
			t.Operation = does.has(c.Op)
			traceRow(at, c, r, t, c.Old, c.New, r.rule.tag, see)
		}
	}
}

// traceRow fills in the steps of one operation, and has the event made as Apply would.
func traceRow(
	at change.Place, c *change.Change, b *bound, t Trace, old, current change.Row, tag string, see func(*Trace),
) {
	s := &state{place: at, change: c}
	row := current
	if t.Op == change.Delete {
		row, current = old, nil
	}
	if t.Op == change.Insert {
		old = nil
	}
	t.Key = s.key(b, row)
	t.Changed = t.Op != change.Update || differs(old, current, b.watch)
	for _, i := range b.rule.watch {
		t.Watches = append(t.Watches, b.rule.columns[i])
	}
	t.Holds = true
	if t.HasIf = b.rule.condition != nil; t.HasIf {
		a := activation{row: celRow{b, row}}
		if t.Op == change.Update {
			a.old = celRow{b, old}
		}
		t.Holds, t.Failed = b.rule.condition.holds(&a)
	}
	if old != nil {
		t.Was = s.scopeOf(b, old)
	}
	if current != nil {
		t.Now = s.scopeOf(b, current)
	}
	made := &traced{}
	s.out = made
	if t.Operation && t.Changed {
		made.see = func(e *change.Event) {
			t.Routed = e
			see(&t)
		}
		s.emit(b, t.Op, old, current, tag)
	}
	if !made.seen {
		see(&t)
	}
}

// traced is the output of a rule that is being traced.
type traced struct {
	see  func(*change.Event)
	seen bool
}

// Event implements Output.
func (o *traced) Event(e *change.Event) {
	o.seen = true
	o.see(e)
}

// Notice implements Output.
func (*traced) Notice(change.Notice) {}

// Fault implements Output.
func (*traced) Fault(Fault) {}

// scopeOf says what a row's audience is made of.
func (s *state) scopeOf(b *bound, row change.Row) *Scope {
	sc := &Scope{}
	var tenant []byte
	tenant, sc.Err = s.tenant(b, row, nil)
	sc.Nowhere = sc.Err == nil && len(tenant) == 0
	sc.Tenant = strings.TrimSuffix(string(tenant), "\x00")
	list, _ := s.audience(b, row, nil)
	sc.Audience = slices.Clone(list)
	for _, t := range b.rule.audience {
		var p Part
		probe := &state{scope: []byte("\x00")}
		p.Err = probe.grants(b, t, row)
		p.Grants = len(probe.ends)
		for _, g := range t {
			if p.Grants == 0 && p.Err == nil && g.index >= 0 && b.columns[g.index].empty(row) {
				p.Empty = append(p.Empty, b.rule.columns[g.index])
			}
		}
		sc.Parts = append(sc.Parts, p)
	}
	return sc
}

// empty tells that the column gives a template nothing.
func (c column) empty(row change.Row) bool {
	texts, err := c.items(row[c.pos])
	return err == nil && len(texts) == 0
}

// HasKey tells whether a change is of the row with a key in canonical text (change.KeyText), before it or after it.
func (ch *Channel) HasKey(c *change.Change, key string) bool {
	b := ch.bind(c.Relation)
	if b == nil || len(b.rules) == 0 {
		return false
	}
	s := &state{}
	for _, row := range []change.Row{c.Old, c.New} {
		for i := range b.rules {
			if r := &b.rules[i]; r.err == nil && len(row) == b.width && s.key(r, row) == key {
				return true
			}
		}
	}
	return false
}

// Serves tells whether the channel has rules of a table (schema.table; without a schema it is in public), and returns
// their numbers.
func (ch *Channel) Serves(table string) (rules []int) {
	for _, r := range ch.tables[tableName(table)] {
		rules = append(rules, r.number)
	}
	return rules
}

// Watches returns the columns of a table whose change makes an update an event, by any of the channel's rules.
func (ch *Channel) Watches(table string) []string {
	var rules []*rule
	rules = append(rules, ch.tables[tableName(table)]...)
	_, watch := needs(rules)
	return watch
}
