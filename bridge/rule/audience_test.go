package rule_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/config"
)

func TestAudience(t *testing.T) {
	t.Parallel()
	rel := &change.Relation{Table: "public.request", Key: []int{0}, Columns: []change.Column{
		{Name: "id", Kind: change.Integer}, {Name: "a", Kind: change.JSON}, {Name: "b", Kind: change.JSON},
		{Name: "tenant", Kind: change.JSON}, {Name: "name", Kind: change.Text}, {Name: "due", Kind: change.Timestamptz},
	}}
	long := make([]string, 101)
	for i := range long {
		long[i] = fmt.Sprint(i)
	}
	many := "[" + strings.Join(long, ",") + "]"
	for name, test := range map[string]struct {
		audience []string
		a, b     string
		want     []string
		fault    bool
	}{
		"array of numbers": {[]string{"user:{a}"}, `[1, 2,3]`, null, []string{"user:1", "user:2", "user:3"}, false},
		"array of texts": {[]string{"role:{a}"}, ` ["x","\u00e9,[y"]`, null, []string{"role:x",
			"role:é,[y"}, false},
		"array with gaps": {[]string{"role:{a}"}, `[null,"",true]`, null, []string{"role:true"}, false},
		"array of arrays": {[]string{"u:{a}"}, `[[1,2],[2,3]]`, null, []string{"u:1", "u:2", "u:3"}, false},
		"empty array":     {[]string{"u:{a}"}, `[]`, null, nil, false},
		"two arrays": {[]string{"{a}/{b}"}, `[1,2]`, `["x","y"]`, []string{"1/x", "1/y", "2/x",
			"2/y"}, false},
		"array and NULL":       {[]string{"{a}/{b}"}, `[1,2]`, null, nil, false},
		"NULL and array":       {[]string{"{b}/{a}", "role:all"}, `[1,2]`, null, []string{"role:all"}, false},
		"scalar string":        {[]string{"u:{a}"}, `"[1]"`, null, []string{"u:[1]"}, false},
		"scalar null":          {[]string{"u:{a}"}, `null`, null, nil, false},
		"string null":          {[]string{"u:{a}"}, `"null"`, null, []string{"u:null"}, false},
		"object":               {[]string{"u:{a}", "role:all"}, `{"x":1}`, null, []string{"role:all"}, true},
		"object in an array":   {[]string{"u:{a}"}, `[1,{"x":1}]`, null, nil, true},
		"broken array":         {[]string{"u:{a}"}, `[1,`, null, nil, true},
		"too many":             {[]string{"{a}/{b}"}, many, many, nil, true},
		"many, each once":      {[]string{"u:{a}", "u:{b}"}, many, many, grants("u:", long), false},
		"several columns":      {[]string{"{name}:{a}"}, `7`, null, []string{"n:7"}, false},
		"braces":               {[]string{"{{x}}:{name}"}, null, null, []string{"{x}:n"}, false},
		"time":                 {[]string{"at:{due}"}, null, null, []string{"at:2026-11-23T08:00:00Z"}, false},
		"literal and template": {[]string{"role:all", "u:{a}"}, `1`, null, []string{"role:all", "u:1"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := config.Rule{Table: "request", Event: "e", Resource: "r", Tenant: "any", Audience: test.audience,
				Columns: []string{"id", "a", "b", "name", "due"}}
			out := apply(compile(t, r), changed(rel, nil,
				row("1", test.a, test.b, null, "n", `"2026-11-23T08:00:00"`)))
			var got []string
			for _, e := range out.events {
				got = append(got, e.Now...)
			}
			if want := scoped(change.AnyTenant, test.want...); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			if fault := len(out.faults) == 1 && out.faults[0].Kind == rule.FaultAudience; fault != test.fault {
				t.Errorf("faults %v", out.faults)
			}
		})
	}
}

func grants(prefix string, values []string) []string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = prefix + v
	}
	return list
}

// TestTenant holds what can't be a tenant to give nobody: an audience of the wrong tenant is the worst of errors.
func TestTenant(t *testing.T) {
	t.Parallel()
	rel := &change.Relation{Table: "public.request", Key: []int{0}, Columns: []change.Column{
		{Name: "id", Kind: change.Integer}, {Name: "company", Kind: change.JSON},
	}}
	r := config.Rule{Table: "request", Event: "e", Resource: "r", Tenant: "{company}", Audience: []string{"role:all"},
		Columns: []string{"id", "company"}}
	for value, want := range map[string]string{
		`7`: "7", `"acme"`: "acme", `"null"`: "null", `null`: "", `""`: "", null: "", `[7]`: "", `{"a":1}`: "",
		`"\u0001"`: "", `"a\u0000role:all"`: "", "\"a\x7f\"": "",
	} {
		out := apply(compile(t, r), changed(rel, nil, row("1", value)))
		var got []string
		for _, e := range out.events {
			got = append(got, e.Now...)
		}
		var wanted []string
		if want != "" {
			wanted = scoped(want, "role:all")
		}
		if !slices.Equal(got, wanted) {
			t.Errorf("tenant %s: got %q, want %q", value, got, wanted)
		}
	}
}
