package rule_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output collects what Apply gives out, each event's frames rendered while it is valid.
type output struct {
	events  []event
	notices []change.Notice
	faults  []rule.Fault
	cursor  string
}

type event struct {
	change.Event
	frames map[change.Variant]string
	was    map[string]string // Field of the old row, by name
	now    map[string]string
}

func (o *output) Event(e *change.Event) {
	kept := event{Event: *e, frames: map[change.Variant]string{}, was: map[string]string{}, now: map[string]string{}}
	kept.Was, kept.Now = slices.Clone(e.Was), slices.Clone(e.Now)
	if o.cursor != "" {
		e.Place.Cursor = o.cursor
	}
	for _, v := range []change.Variant{change.Whole, change.Enter, change.Leave} {
		kept.frames[v] = string(e.Message(v, true).Payload())
	}
	var frame struct {
		Data map[string]json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal([]byte(kept.frames[change.Whole]), &frame); err != nil {
		panic("frame is no JSON: " + kept.frames[change.Whole])
	}
	for name := range frame.Data {
		if v, ok := e.Body.Field(name, true); ok {
			kept.was[name] = string(v)
		}
		if v, ok := e.Body.Field(name, false); ok {
			kept.now[name] = string(v)
		}
	}
	o.events = append(o.events, kept)
}

func (o *output) Notice(n change.Notice) { o.notices = append(o.notices, n) }
func (o *output) Fault(f rule.Fault)     { o.faults = append(o.faults, f) }

// compile compiles rules as those of a lossless channel named c.
func compile(t testing.TB, rules ...config.Rule) *rule.Channel {
	t.Helper()
	return compileChannel(t, "c", rules...)
}

func compileChannel(t testing.TB, name string, rules ...config.Rule) *rule.Channel {
	t.Helper()
	cfg := &config.Config{Channels: map[string]config.Channel{name: {Class: config.Lossless, Rules: rules}}}
	book, problems := rule.Compile(cfg)
	if len(problems) > 0 {
		t.Fatal(config.Problems(problems))
	}
	return book.Channel(name)
}

// with returns a copy of the rule, changed.
func with(r config.Rule, alter func(*config.Rule)) config.Rule {
	alter(&r)
	return r
}

// request is a rule over requests.
func request() config.Rule {
	return config.Rule{
		Table: "request", Event: "request_changed", Resource: "requests",
		Columns: []string{"id", "status", "owner", "amount"},
		Tenant:  "any", Audience: []string{"user:{owner}"},
	}
}

// requests is the relation of request.
func requests() *change.Relation {
	return &change.Relation{ID: 1, Table: "public.request", Key: []int{0}, Columns: []change.Column{
		{Name: "id", Kind: change.Integer, Type: "integer"},
		{Name: "status", Kind: change.Text, Type: "text"},
		{Name: "owner", Kind: change.Integer, Type: "integer"},
		{Name: "amount", Kind: change.Numeric, Type: "numeric(12,2)"},
	}}
}

// null is SQL NULL in row.
const null = "\x00null"

func row(values ...string) change.Row {
	r := make(change.Row, len(values))
	for i, v := range values {
		if v != null {
			r[i] = []byte(v)
		}
	}
	return r
}

var at = time.Date(2026, 11, 23, 15, 15, 2, 114_999_000, time.FixedZone("WIB", 7*3600))

// changed makes the change of the rows that are there.
func changed(rel *change.Relation, old, current change.Row) *change.Change {
	op := change.Update
	switch {
	case old == nil:
		op = change.Insert
	case current == nil:
		op = change.Delete
	}
	return &change.Change{Relation: rel, Op: op, Xid: 90412, LSN: 48213, At: at, Old: old, New: current}
}

func apply(ch *rule.Channel, c *change.Change) *output {
	out := &output{}
	ch.Apply(change.Place{Epoch: "7f3a"}, c, out)
	return out
}

func scoped(tenant string, grants ...string) []string {
	list := []string{}
	for _, g := range grants {
		list = append(list, change.Scope(tenant, g))
	}
	return list
}
