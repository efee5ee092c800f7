package oracle

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Change is one change of a row, or, with a reason, of all rows of its table.
type Change struct {
	Table    *Table
	Old, New Row    // nil where there is none
	Reason   string // truncated, drift
	Lacks    string // a column that was not captured, by an older version of the trigger
}

// Outcome is what a rule makes of a change: an event (Op is insert, update or delete), or a notice to those concerned.
type Outcome struct {
	Rule     *Rule
	Op       string
	Old, New Row
	Half     string // tells the two events of a changed key apart
	Resource string
	Reason   string // of a notice: truncated, drift, rule_error
}

// Subscription is what a session asks for. Where has JSON scalars.
type Subscription struct {
	Ref, Resource string
	Key           []string // the parts' texts; nil: every row
	Where         map[string][]string
}

// Outcomes returns what the rules make of a change, in their order.
func Outcomes(rules []*Rule, c *Change) (list []Outcome) {
	var said []string
	for _, r := range rules {
		reason := c.Reason
		if slices.Contains(r.Columns, c.Lacks) && (c.Old != nil && c.New != nil || r.does(c.op())) {
			reason = "drift"
		}
		switch {
		case r.Table != c.Table:
		case reason != "":
			if !slices.Contains(said, r.Resource) {
				said = append(said, r.Resource)
				list = append(list, Outcome{Rule: r, Resource: r.Resource, Reason: reason})
			}
		case slices.Contains(r.Columns, c.Lacks):
		default:
			list = append(list, r.outcomes(c)...)
		}
	}
	return list
}

func (c *Change) op() string {
	switch {
	case c.Old == nil:
		return "insert"
	case c.New == nil:
		return "delete"
	}
	return "update"
}

func (r *Rule) outcomes(c *Change) (list []Outcome) {
	differs := func(column string) bool {
		a, b := r.column(c.Old, column), r.column(c.New, column)
		return a.Null != b.Null || a.Raw != b.Raw
	}
	switch {
	case c.Old == nil:
		if r.does("insert") {
			return r.outcome("insert", nil, c.New, "")
		}
	case c.New == nil:
		if r.does("delete") {
			return r.outcome("delete", c.Old, nil, "")
		}
	case slices.ContainsFunc(c.Table.Key, func(k int) bool { return differs(c.Table.Columns[k]) }):
		if r.does("delete", "update") { // a row is gone for those who hold it by its key
			list = r.outcome("delete", c.Old, nil, "old")
		}
		if r.does("insert", "update") {
			list = append(list, r.outcome("insert", nil, c.New, "")...)
		}
		return list
	case r.does("update") && slices.ContainsFunc(r.watched(), differs):
		return r.outcome("update", c.Old, c.New, "")
	}
	return nil
}

// outcome asks the condition, and whether a value stands in the way of knowing the audience.
func (r *Rule) outcome(op string, old, current Row, half string) []Outcome {
	o := Outcome{Rule: r, Op: op, Old: old, New: current, Half: half, Resource: r.Resource}
	failed := Outcome{Rule: r, Old: old, New: current, Resource: r.Resource, Reason: "rule_error"}
	if r.If != nil {
		row, was := current, old
		if op == "delete" {
			row, was = old, nil
		}
		get := func(row Row) func(string) Value { return func(c string) Value { return r.column(row, c) } }
		switch r.If.Holds(get(row), get(was), was != nil) {
		case No:
			return nil
		case Fails:
			return []Outcome{failed}
		}
	}
	if r.broken(old) || r.broken(current) {
		failed.Half = "audience"
		return []Outcome{o, failed}
	}
	return []Outcome{o}
}

// broken tells that a template of the audience can't be filled, in a row that has a tenant.
func (r *Rule) broken(row Row) bool {
	return row != nil && slices.ContainsFunc(r.Audience, func(t string) bool { _, b := r.grants(t, row); return b })
}

// mayConcern tells whether a user might see a row, had its audience not been broken: whether they hold a grant that
// begins as the template does.
func (r *Rule) mayConcern(u User, row Row) bool {
	if row == nil {
		return false
	}
	if r.Tenant != "any" {
		if tenant, ok := r.tenantOf(row); !ok || tenant != u.Tenant {
			return false
		}
	}
	for _, t := range r.Audience {
		if _, broken := r.grants(t, row); !broken {
			continue
		}
		start := ""
		for _, p := range split(t) {
			if p.column != "" {
				break
			}
			start += p.literal
		}
		if slices.ContainsFunc(u.Grants, func(g string) bool { return strings.HasPrefix(g, start) }) {
			return true
		}
	}
	return false
}

// Notifies tells whether a user hears of a notice.
func (o *Outcome) Notifies(u User) bool {
	if o.Reason != "rule_error" {
		return true
	}
	if o.Rule.mayConcern(u, o.Old) || o.Rule.mayConcern(u, o.New) {
		return true
	}
	return o.Half != "audience" && (o.Old != nil && o.Rule.Allows(u, o.Old) || o.New != nil && o.Rule.Allows(u, o.New))
}

// sees tells whether a user may see a row of the outcome through a subscription.
func (o *Outcome) sees(u User, s *Subscription, row Row) bool {
	r := o.Rule
	if row == nil || !r.Allows(u, row) || s.Resource != "" && s.Resource != r.Resource {
		return false
	}
	for i, part := range s.Key {
		if len(s.Key) != len(r.Table.Key) || row[r.Table.Key[i]].Plain != part {
			return false
		}
	}
	for name, values := range s.Where {
		i := slices.IndexFunc(r.fields(), func(f Field) bool { return f.Name == name })
		if i < 0 || !slices.ContainsFunc(values, func(v string) bool { return Equal(v, r.json(row, r.fields()[i].Column)) }) {
			return false
		}
	}
	return true
}

// Frame returns the event as a user hears it through their subscriptions; empty if they don't.
func (o *Outcome) Frame(channel string, u User, subs []*Subscription) string {
	any := func(row Row) bool {
		return slices.ContainsFunc(subs, func(s *Subscription) bool { return o.sees(u, s, row) })
	}
	was, is := any(o.Old), any(o.New)
	op := o.Op
	switch {
	case !was && !is:
		return ""
	case o.Op == "update" && !is:
		op = "leave"
	case o.Op == "update" && !was:
		op = "enter"
	}
	return o.frame(channel, op)
}

func (o *Outcome) frame(channel, op string) string {
	r, row := o.Rule, o.New
	if row == nil {
		row = o.Old
	}
	f := Event{Type: r.Event, Channel: channel, Resource: r.Resource, Op: op, Key: r.keyOf(row)}
	if op == "leave" {
		return f.String()
	}
	f.Data = map[string]string{}
	if op == "update" {
		f.Old = map[string]string{}
	}
	for _, d := range r.fields() {
		f.Data[d.Name] = r.json(row, d.Column)
		if op != "update" {
			continue
		}
		if a, b := r.column(o.Old, d.Column), r.column(o.New, d.Column); a.Null != b.Null || a.Raw != b.Raw {
			f.Old[d.Name] = r.json(o.Old, d.Column)
		}
	}
	if r.Message != "" {
		f.Message = "+" + r.fill(r.Message, row, func(v Value) string { return v.Plain })
	}
	if r.Link != "" {
		f.Link = "+" + r.link(row)
	}
	return f.String()
}

func (r *Rule) keyOf(row Row) string {
	var parts []string
	for _, k := range r.Table.Key {
		parts = append(parts, r.json(row, r.Table.Columns[k]))
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// Event is an event frame less its id, time, transaction and cursor. Message and Link begin with a + where they are there;
// the values of Data and Old are JSON.
type Event struct {
	Type, Channel, Resource, Key, Op, Message, Link string
	Data, Old                                       map[string]string
}

// String returns a text that is the same for equal frames.
func (e Event) String() string {
	show := func(m map[string]string) string {
		if m == nil {
			return "-"
		}
		var list []string
		for name, v := range m {
			list = append(list, strconv.Quote(name)+":"+canonical(v))
		}
		slices.Sort(list)
		return "{" + strings.Join(list, " ") + "}"
	}
	return fmt.Sprintf("%s %s %s %s %s data %s old %s message %q link %q", e.Op, e.Type, e.Channel, e.Resource, canonical(e.Key),
		show(e.Data), show(e.Old), e.Message, e.Link)
}

// canonical writes a JSON string in one of its forms, and leaves everything else as it is, to the digit.
func canonical(text string) string {
	var s string
	if len(text) > 0 && text[0] == '"' && json.Unmarshal([]byte(text), &s) == nil {
		return strconv.Quote(s)
	}
	return text
}
