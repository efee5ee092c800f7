package rule_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/config"
)

// What a trace says is what Apply does, for generated rules and changes: the same events, and where there is none a step
// that says why, one that says no only then.
func TestTraceIsWhatHappens(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(11, 12))
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	value := func() change.Row {
		return row(pick("1", "2"), pick("new", "done", "hidden"), pick("7", "8", null), pick("1.50", "NaN", null))
	}
	steps := map[string]int{}
	var ch *rule.Channel
	for n := range 4000 {
		if n%10 == 0 {
			ch = some(t, pick, rnd)
		}
		old, current := value(), value()
		switch rnd.IntN(3) {
		case 0:
			old = nil
		case 1:
			current = nil
		}
		c := changed(requests(), old, current)
		var want, got []string
		for _, e := range apply(ch, c).events {
			want = append(want, fmt.Sprint(e.Rule, string(e.Op), e.Key, e.Was, e.Now))
		}
		ch.Trace(change.Place{Epoch: "7f3a"}, c, func(s *rule.Trace) {
			stopped := blocked(s)
			steps[stopped]++
			if (stopped == "") != (s.Routed != nil) {
				t.Fatalf("case %d: the trace says %q, and the event is %v: %+v", n, stopped, s.Routed, s)
			}
			if e := s.Routed; e != nil {
				got = append(got, fmt.Sprint(e.Rule, string(e.Op), e.Key, e.Was, e.Now))
				if e.Key != s.Key || e.Op != s.Op || s.Was != nil && !slices.Equal(s.Was.Audience, e.Was) ||
					s.Now != nil && !slices.Equal(s.Now.Audience, e.Now) {
					t.Fatalf("case %d: %+v of %+v", n, s, e)
				}
			}
		})
		if !slices.Equal(got, want) {
			t.Fatalf("case %d: traced %q, applied %q", n, got, want)
		}
	}
	for _, step := range []string{"", "operation", "watch", "condition", "failed", "audience"} {
		if steps[step] < 20 {
			t.Errorf("step %q stopped %d events: the cases are too few", step, steps[step])
		}
	}
}

// some compiles a generated rule, and one beside it.
func some(t *testing.T, pick func(...string) string, rnd *rand.Rand) *rule.Channel {
	r := request()
	r.Operations = [][]string{nil, {"insert"}, {"update"}, {"delete", "update"}}[rnd.IntN(4)]
	r.Watch = [][]string{nil, {"status"}, {"amount"}}[rnd.IntN(3)]
	r.If = pick("", "row.status != 'hidden'", "row.amount > 1", "old == null || old.status != row.status")
	r.Tenant = pick("any", "{owner}", "t")
	r.Audience = [][]string{{"user:{owner}"}, {"all"}, {"user:{owner}", "state:{status}"}}[rnd.IntN(3)]
	return compile(t, r, with(request(), func(c *config.Rule) { c.Event = "other" }))
}

// blocked is the step that says no, by the trace's own words.
func blocked(s *rule.Trace) string {
	nobody := func(sc *rule.Scope) bool { return sc == nil || len(sc.Audience) == 0 }
	switch {
	case s.Err != nil:
		return "relation"
	case !s.Operation:
		return "operation"
	case !s.Changed:
		return "watch"
	case s.Failed != nil:
		return "failed"
	case !s.Holds:
		return "condition"
	case nobody(s.Was) && nobody(s.Now):
		return "audience"
	}
	return ""
}

// A trace says why a row has no audience: which template, and which column.
func TestTraceAudience(t *testing.T) {
	t.Parallel()
	scope := func(tenant, value string, audience ...string) *rule.Scope {
		var found *rule.Scope
		ch := compile(t, with(request(), func(r *config.Rule) { r.Tenant, r.Audience = tenant, audience }))
		ch.Trace(change.Place{}, changed(requests(), nil, row("1", "new", value, "1")), func(s *rule.Trace) { found = s.Now })
		return found
	}
	if s := scope("any", null, "user:{owner}", "state:{status}"); len(s.Audience) != 1 || s.Parts[0].Grants != 0 ||
		!slices.Equal(s.Parts[0].Empty, []string{"owner"}) || s.Parts[1].Grants != 1 || s.Nowhere {
		t.Errorf("an empty column: %+v", s)
	}
	if s := scope("{owner}", null, "all"); !s.Nowhere || len(s.Audience) != 0 {
		t.Errorf("no tenant: %+v", s)
	}
	if s := scope("{owner}", "7", "all"); s.Nowhere || s.Tenant != "7" || !slices.Equal(s.Audience, scoped("7", "all")) {
		t.Errorf("tenant: %+v", s)
	}
	if s := scope("{status}{owner}", "\x01", "all"); s.Err == nil || s.Nowhere {
		t.Errorf("a tenant that can't be one: %+v", s)
	}
}

// A change is of a row if either of its keys is the row's.
func TestHasKey(t *testing.T) {
	t.Parallel()
	ch := compile(t, request())
	c := changed(requests(), row("1", "new", "7", "1"), row("2", "new", "7", "1"))
	for key, want := range map[string]bool{"1": true, "2": true, "3": false, "": false, "1,2": false} {
		if ch.HasKey(c, key) != want {
			t.Errorf("key %q: %v", key, !want)
		}
	}
	if got := ch.Serves("request"); !slices.Equal(got, []int{0}) || ch.Serves("other.request") != nil {
		t.Errorf("rules %v", got)
	}
	if got := ch.Watches("public.request"); !slices.Equal(got, []string{"id", "status", "owner", "amount"}) {
		t.Errorf("watches %v", got)
	}
}
