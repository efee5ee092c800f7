package rule_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/config"
)

// summary is an event in one line: op, key, old and new audience.
func summary(e event) string {
	list := func(audience []string) string {
		if audience == nil {
			return "-"
		}
		return strings.NewReplacer("\x00", "/", change.AnyTenant, "*").Replace(fmt.Sprint(audience))
	}
	return fmt.Sprintf("%c %s %s %s", e.Op, e.Key, list(e.Was), list(e.Now))
}

func TestApply(t *testing.T) {
	t.Parallel()
	one, two := row("1", "new", "42", "5.00"), row("1", "done", "42", "5.00")
	only := func(ops ...string) config.Rule {
		return with(request(), func(r *config.Rule) { r.Operations = ops })
	}
	watching := func(names ...string) config.Rule {
		return with(request(), func(r *config.Rule) { r.Watch = names })
	}
	tenant := with(request(), func(r *config.Rule) { r.Tenant = "{status}" })
	conditional := with(request(), func(r *config.Rule) {
		r.Watch, r.If = []string{"status"}, "double(row.amount) > 0.0"
	})
	fixed := with(request(), func(r *config.Rule) { r.Tenant, r.Audience = "acme", []string{"role:a", "role:a"} })
	for name, test := range map[string]struct {
		rule     config.Rule
		old, new change.Row
		want     []string
	}{
		"insert":          {request(), nil, one, []string{"i 1 - [*/user:42]"}},
		"update":          {request(), one, two, []string{"u 1 [*/user:42] [*/user:42]"}},
		"delete":          {request(), one, nil, []string{"d 1 [*/user:42] -"}},
		"nothing changed": {request(), one, one, nil},
		"insert left out": {only("update", "delete"), nil, one, nil},
		"update left out": {only("insert", "delete"), one, two, nil},
		"delete left out": {only("insert", "update"), one, nil, nil},
		"unwatched":       {watching("amount"), one, two, nil},
		"watched":         {watching("status"), one, two, []string{"u 1 [*/user:42] [*/user:42]"}},
		"null to empty": {watching("status"), row("1", null, "42", "5"), row("1", "", "42", "5"),
			[]string{"u 1 [*/user:42] [*/user:42]"}},
		"audience is watched": {watching("status"), one, row("1", "new", "43", "5.00"),
			[]string{"u 1 [*/user:42] [*/user:43]"}},
		"tenant is watched": {with(tenant, func(r *config.Rule) { r.Watch = []string{"id"} }), one, two,
			[]string{"u 1 [new/user:42] [done/user:42]"}},
		"condition is watched": {conditional, one, row("1", "new", "42", "6.00"),
			[]string{"u 1 [*/user:42] [*/user:42]"}},
		"nobody":                  {request(), nil, row("1", "new", null, "5"), nil},
		"empty is nobody":         {request(), nil, row("1", "new", "", "5"), nil},
		"left to nobody":          {request(), one, row("1", "new", null, "5.00"), []string{"u 1 [*/user:42] []"}},
		"came from nobody":        {request(), row("1", "new", null, "5.00"), one, []string{"u 1 [] [*/user:42]"}},
		"no tenant":               {tenant, nil, row("1", null, "42", "5"), nil},
		"empty tenant":            {tenant, nil, row("1", "", "42", "5"), nil},
		"fixed tenant, each once": {fixed, nil, one, []string{"i 1 - [acme/role:a]"}},
		"without tenants": {with(request(), func(r *config.Rule) { r.Tenant = "" }), nil, one,
			[]string{"i 1 - [/user:42]"}},
		"moved": {request(), one, row("2", "new", "43", "5"),
			[]string{"d 1 [*/user:42] -", "i 2 - [*/user:43]"}},
		"moved, updates only": {only("update"), one, row("2", "new", "42", "5"),
			[]string{"d 1 [*/user:42] -", "i 2 - [*/user:42]"}},
		"moved, deletes only": {only("delete"), one, row("2", "new", "42", "5"), []string{"d 1 [*/user:42] -"}},
		"moved, inserts only": {only("insert"), one, row("2", "new", "42", "5"), []string{"i 2 - [*/user:42]"}},
		"moved, though unwatched": {watching("status"), one, row("2", "new", "42", "5.00"),
			[]string{"d 1 [*/user:42] -", "i 2 - [*/user:42]"}},
		"moved, one half for nobody": {request(), one, row("2", "new", null, "5.00"), []string{"d 1 [*/user:42] -"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := apply(compile(t, test.rule), changed(requests(), test.old, test.new))
			var got []string
			for _, e := range out.events {
				got = append(got, summary(e))
			}
			if !slices.Equal(got, test.want) || len(out.faults)+len(out.notices) > 0 {
				t.Errorf("got %q, want %q; faults %v, notices %v", got, test.want, out.faults, out.notices)
			}
		})
	}
}

func TestApplyEvent(t *testing.T) {
	t.Parallel()
	cfg := &config.Config{Channels: map[string]config.Channel{"levels": {Class: config.Latest,
		Rules: []config.Rule{line, stock, low}}}}
	book, problems := rule.Compile(cfg)
	if len(problems) > 0 {
		t.Fatal(config.Problems(problems))
	}
	ch := book.Channel("levels")
	out := apply(ch, changed(levels, row("5", "7", "2", "12", "10"), row("5", "7", "2", "9", "10")))
	if len(out.events) != 2 {
		t.Fatalf("%d events, want 2: %v", len(out.events), out.faults)
	}
	for i, e := range out.events {
		if e.Channel != "levels" || e.Resource != "stock-levels" || int(e.Rule) != i+1 || !e.Latest || e.Key != "5" {
			t.Errorf("event %d: %+v", i, e.Event)
		}
	}
	first := out.events[0]
	if first.was["new_quantity"] != "12" || first.now["new_quantity"] != "9" {
		t.Errorf("fields %v, %v", first.was, first.now)
	}
	out = apply(ch, changed(lines, row("3", `A,\1`, "4", null), nil))
	if len(out.events) != 1 || out.events[0].Key != `3,A\,\\1` || len(out.events[0].now) != 0 {
		t.Errorf("composite key: %+v", out.events)
	}
}

// TestOldIsThere wants old in every whole update, empty where what changed is not sent.
func TestOldIsThere(t *testing.T) {
	t.Parallel()
	renamed := map[string]string{"state": "status", "no": "id"}
	ch := compile(t, with(request(), func(r *config.Rule) { r.Data = renamed }))
	out := apply(ch, changed(requests(), row("1", "new", "42", "5"), row("1", "new", "42", "6")))
	if len(out.events) != 1 || !strings.HasSuffix(out.events[0].frames[change.Whole],
		`"data":{"no":1,"state":"new"},"old":{}}`) {
		t.Errorf("%+v", out.events)
	}
	var absent fieldless
	ch.Apply(change.Place{Epoch: "7f3a"}, changed(requests(), nil, row("1", "new", "42", "6")), &absent)
	if string(absent) != "status:false state-was:false state:true" {
		t.Errorf("fields: %s", absent)
	}
}

// fieldless is an Output that asks for fields that are not there, and one that is.
type fieldless string

func (f *fieldless) Event(e *change.Event) {
	_, column := e.Body.Field("status", false)
	_, was := e.Body.Field("state", true)
	_, now := e.Body.Field("state", false)
	*f = fieldless(fmt.Sprintf("status:%v state-was:%v state:%v", column, was, now))
}

func (f *fieldless) Notice(change.Notice) {}
func (f *fieldless) Fault(rule.Fault)     {}

func TestIDsDiffer(t *testing.T) {
	t.Parallel()
	twin := with(request(), func(r *config.Rule) { r.Operations = []string{"update"} })
	other := with(request(), func(r *config.Rule) { r.Event = "other" })
	cfg := &config.Config{Channels: map[string]config.Channel{
		"a": {Rules: []config.Rule{request(), twin, other}}, "b": {Rules: []config.Rule{request()}},
	}}
	book, problems := rule.Compile(cfg)
	if len(problems) > 0 {
		t.Fatal(config.Problems(problems))
	}
	c := changed(requests(), row("1", "new", "42", "5"), row("2", "new", "42", "5"))
	ids := func(book *rule.Book) []string {
		var list []string
		for _, name := range []string{"a", "b"} {
			for _, e := range apply(book.Channel(name), c).events {
				_, rest, _ := strings.Cut(e.frames[change.Whole], `"id":"`)
				id, _, _ := strings.Cut(rest, `"`)
				list = append(list, id)
			}
		}
		return list
	}
	first := ids(book)
	if sorted := slices.Sorted(slices.Values(first)); len(slices.Compact(sorted)) != 8 {
		t.Errorf("ids %q, want 8 that differ", first)
	}
	again, _ := rule.Compile(cfg)
	if second := ids(again); !slices.Equal(first, second) {
		t.Errorf("ids %q on another node, %q on this", second, first)
	}
}

func TestVoid(t *testing.T) {
	t.Parallel()
	second := with(request(), func(r *config.Rule) { r.Resource, r.Event = "others", "other" })
	ch := compile(t, request(), request(), second, stock)
	for op, reason := range map[change.Op]string{change.Truncate: "truncated", change.Resync: "drift"} {
		out := apply(ch, &change.Change{Relation: requests(), Op: op, At: at, Reason: reason})
		want := []change.Notice{{Channel: "c", Resource: "requests", Reason: reason},
			{Channel: "c", Resource: "others", Reason: reason}}
		if !reflect.DeepEqual(out.notices, want) || len(out.events)+len(out.faults) > 0 {
			t.Errorf("%c: %+v", op, out)
		}
	}
	for name, c := range map[string]*change.Change{
		"tick":        {Op: change.Tick},
		"other table": changed(lines, nil, row("1", "a", "1", "")),
	} {
		if out := apply(ch, c); len(out.events)+len(out.notices)+len(out.faults) > 0 {
			t.Errorf("%s: %+v", name, out)
		}
	}
}

func TestRelationLacks(t *testing.T) {
	t.Parallel()
	older := requests()
	older.Columns = older.Columns[:3]
	strange := requests()
	strange.Columns[1].Kind = "polygon"
	keyless := requests()
	keyless.Key = nil
	outside := requests()
	outside.Key = []int{9}
	for name, c := range map[string]*change.Change{
		"column":       changed(older, nil, row("1", "new", "42")),
		"kind":         changed(strange, nil, row("1", "new", "42", "5")),
		"key":          changed(keyless, nil, row("1", "new", "42", "5")),
		"key column":   changed(outside, row("1", "new", "42", "5"), row("2", "new", "42", "5")),
		"narrow row":   changed(requests(), nil, row("1", "new", "42")),
		"wide row":     changed(requests(), nil, row("1", "new", "42", "5", "6")),
		"missing row":  {Relation: requests(), Op: change.Update, At: at, New: row("1", "new", "42", "5")},
		"missing rows": {Relation: requests(), Op: change.Delete, At: at},
	} {
		out := apply(compile(t, request(), request()), c)
		if len(out.events) != 0 || len(out.faults) != 2 || out.faults[0].Kind != rule.FaultRelation ||
			!reflect.DeepEqual(out.notices, []change.Notice{{Channel: "c", Resource: "requests", Reason: "drift"}}) {
			t.Errorf("%s: %+v", name, out)
		}
	}
	// A rule that does not need the column goes on.
	narrow := with(request(), func(r *config.Rule) { r.Columns = []string{"id", "owner"} })
	if out := apply(compile(t, request(), narrow), changed(older, nil, row("1", "new", "42"))); len(out.events) != 1 {
		t.Errorf("the other rule: %+v", out)
	}
}

// TestConcurrentApply runs one channel from several goroutines, with more relations than it remembers.
func TestConcurrentApply(t *testing.T) {
	t.Parallel()
	ch := compile(t, request())
	relations := make([]*change.Relation, 1500)
	for i := range relations {
		relations[i] = requests()
	}
	errs := make(chan error, 4)
	for g := range cap(errs) {
		go func() {
			var err error
			for i, rel := range relations {
				id := fmt.Sprint(g*len(relations) + i)
				out := apply(ch, changed(rel, nil, row(id, "new", id, "5")))
				if len(out.events) != 1 || summary(out.events[0]) != "i "+id+" - [*/user:"+id+"]" {
					err = fmt.Errorf("row %s: %+v", id, out.events)
				}
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
