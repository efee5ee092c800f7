package rule_test

import (
	"reflect"
	"strings"
	"testing"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/config"
)

// fragile is an output that breaks on events of one type.
type fragile struct {
	output
	breaks string
}

func (f *fragile) Event(e *change.Event) {
	if frame := string(e.Message(change.Whole, true).Payload()); strings.Contains(frame, f.breaks) {
		panic("s3cr3t of " + frame)
	}
	f.output.Event(e)
}

// A panic while one rule is applied is that rule's: the others of the change go on, the operator hears where it was and
// nothing of the row, and those it might have concerned fetch afresh.
func TestPanicIsOneRules(t *testing.T) {
	t.Parallel()
	bad := with(request(), func(r *config.Rule) {
		r.Event, r.Tenant, r.Audience = "bad", "{status}", []string{"user:{owner}", "role:boss"}
	})
	ch := compile(t, bad, request())
	out := &fragile{breaks: `"bad"`}
	ch.Apply(change.Place{Epoch: "7f3a"}, changed(requests(), nil, row("1", "t1", "42", "5")), out)
	if len(out.events) != 1 || summary(out.events[0]) != "i 1 - [*/user:42]" {
		t.Errorf("the other rule: %+v", out.events)
	}
	want := []change.Notice{{Channel: "c", Resource: "requests", Reason: "rule_error", Prefixes: scoped("t1", "user:", "role:boss")}}
	if !reflect.DeepEqual(out.notices, want) {
		t.Errorf("notices %+v, want %+v", out.notices, want)
	}
	if len(out.faults) != 1 || out.faults[0].Kind != rule.FaultPanic || out.faults[0].Event != "bad" ||
		!strings.Contains(out.faults[0].Err.Error(), "isolation_test.go") || strings.Contains(out.faults[0].Err.Error(), "s3cr3t") {
		t.Errorf("faults %+v", out.faults)
	}
}

// Whom a broken audience might have concerned: those of the row's tenant who hold a grant that begins as it would have;
// nobody where another part of it gives nobody, or the row has no tenant.
func TestBrokenAudience(t *testing.T) {
	t.Parallel()
	rel := &change.Relation{Table: "public.request", Key: []int{0}, Columns: []change.Column{
		{Name: "id", Kind: change.Integer}, {Name: "a", Kind: change.JSON}, {Name: "b", Kind: change.JSON}, {Name: "org", Kind: change.Text},
	}}
	for name, test := range map[string]struct {
		audience  []string
		a, b, org string
		want      []string
	}{
		"its form":        {[]string{"user:{a}", "role:x"}, `{}`, null, "t1", scoped("t1", "user:")},
		"no literal":      {[]string{"{a}"}, `[{}]`, null, "t1", scoped("t1", "")},
		"a literal later": {[]string{"{b}:{a}"}, `{}`, `1`, "t1", scoped("t1", "")},
		"with nobody":     {[]string{"{b}:{a}", "{a}:{b}"}, `{}`, `[]`, "t1", nil},
		"with null":       {[]string{"u{a}:{b}"}, `[1,{}]`, `null`, "t1", nil},
		"no tenant":       {[]string{"user:{a}"}, `{}`, null, null, nil},
		"a bad tenant":    {[]string{"user:{a}"}, `{}`, null, "t\x01", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := config.Rule{Table: "request", Event: "e", Resource: "r", Tenant: "{org}", Audience: test.audience,
				Columns: []string{"id", "a", "b", "org"}}
			out := apply(compile(t, r), changed(rel, nil, row("1", test.a, test.b, test.org)))
			var got []string
			for _, n := range out.notices {
				got = append(got, n.Prefixes...)
				if n.Reason != "rule_error" || n.Resource != "r" || len(n.Audience) > 0 {
					t.Errorf("%+v", n)
				}
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
