package rule_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/config"
)

// TestCompileProblems wants each problem at its key, in words that name what is wrong.
func TestCompileProblems(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		alter func(*config.Rule)
		want  map[string]string // key below the rule: part of the problem
	}{
		"syntax": {func(r *config.Rule) { r.If = "row.id ==" }, map[string]string{"if": "Syntax error"}},
		"type": {func(r *config.Rule) { r.If = "1 == 'a' && true" },
			map[string]string{"if": "no matching overload"}},
		"not bool":    {func(r *config.Rule) { r.If = "'a' + 'b'" }, map[string]string{"if": "of type string"}},
		"function":    {func(r *config.Rule) { r.If = "row.status.split('') == []" }, map[string]string{"if": "split"}},
		"variable":    {func(r *config.Rule) { r.If = "rwo.id == 1" }, map[string]string{"if": "rwo"}},
		"if column":   {func(r *config.Rule) { r.If = "row.stauts == ''" }, map[string]string{"if": "row.stauts"}},
		"if index":    {func(r *config.Rule) { r.If = "old['x'] == ''" }, map[string]string{"if": "old.x"}},
		"if has":      {func(r *config.Rule) { r.If = "has(row.x)" }, map[string]string{"if": "row.x"}},
		"if in macro": {func(r *config.Rule) { r.If = "[1].all(i, row.x == i)" }, map[string]string{"if": "row.x"}},
		"if shadow":   {func(r *config.Rule) { r.If = "[1].all(row, row == 1)" }, map[string]string{"if": "macro"}},
		"braces":      {func(r *config.Rule) { r.Message = "a {id" }, map[string]string{"message": "without its }"}},
		"brace":       {func(r *config.Rule) { r.Link = "/a}" }, map[string]string{"link": "without its {"}},
		"nested":      {func(r *config.Rule) { r.Link = "/{a{id}}" }, map[string]string{"link": "without its }"}},
		"empty":       {func(r *config.Rule) { r.Link = "/{ }" }, map[string]string{"link": "without a column's name"}},
		"data": {func(r *config.Rule) { r.Data = map[string]string{"a": "b"} },
			map[string]string{"data.a": "b is not among"}},
		"operation": {func(r *config.Rule) { r.Operations = []string{"insret"} },
			map[string]string{"operations[0]": "insret"}},
		"twice": {func(r *config.Rule) { r.Columns = append(r.Columns, "id") },
			map[string]string{"columns[4]": "id is listed twice"}},
		"tenant": {func(r *config.Rule) { r.Tenant = "\x01" }, map[string]string{"tenant": "control character"}},
		"all at once": {func(r *config.Rule) {
			r.Watch, r.Strings, r.Tenant, r.Message = []string{"id", "w"}, []string{"s"}, "{t}", "{m}"
			r.Audience, r.If = []string{"role:all", "user:{a}"}, "row.i == old.o"
		}, map[string]string{"watch[1]": "w is", "strings[0]": "s is", "tenant": "t is", "message": "m is",
			"audience[1]": "a is", "if": "row.i"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := &config.Config{Channels: map[string]config.Channel{"c": {
				Rules: []config.Rule{request(), with(request(), test.alter)}}}}
			book, problems := rule.Compile(cfg)
			if book != nil {
				t.Error("a book in spite of problems")
			}
			found := map[string]string{}
			for _, p := range problems {
				key, ok := strings.CutPrefix(p.Key, "channels.c.rules[1].")
				if !ok || p.Do == "" {
					t.Errorf("problem %s", p)
				}
				found[key] = p.What + "; " + found[key]
			}
			if !slices.Equal(slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(test.want))) {
				t.Errorf("problems %v, want those of %v", found, test.want)
			}
			for key, part := range test.want {
				if !strings.Contains(found[key], part) {
					t.Errorf("%s: %q, want %q in it", key, found[key], part)
				}
			}
			if _, again := rule.Wants(cfg); !reflect.DeepEqual(again, problems) {
				t.Errorf("Wants finds %v", again)
			}
		})
	}
}

func TestWants(t *testing.T) {
	t.Parallel()
	watched := func(alter func(*config.Rule)) config.Rule {
		return with(request(), func(r *config.Rule) { r.Watch = []string{"id"}; alter(r) })
	}
	insert := with(request(), func(r *config.Rule) { r.Operations = []string{"insert"} })
	for name, test := range map[string]struct {
		rules []config.Rule
		watch []string
	}{
		"all":      {[]config.Rule{request()}, []string{"id", "status", "owner", "amount"}},
		"audience": {[]config.Rule{watched(func(*config.Rule) {})}, []string{"id", "owner"}},
		"tenant": {[]config.Rule{watched(func(r *config.Rule) { r.Tenant = "{status}" })},
			[]string{"id", "status", "owner"}},
		"condition": {[]config.Rule{watched(func(r *config.Rule) { r.If = "row.amount > old.amount" })},
			[]string{"id", "owner", "amount"}},
		"index": {[]config.Rule{watched(func(r *config.Rule) { r.If = "row['amount'] > 1" })},
			[]string{"id", "owner", "amount"}},
		"in a macro": {[]config.Rule{watched(func(r *config.Rule) { r.If = "[1].all(x, old.amount > x)" })},
			[]string{"id", "owner", "amount"}},
		"null": {[]config.Rule{watched(func(r *config.Rule) { r.If = "old != null" })},
			[]string{"id", "owner"}},
		"computed": {[]config.Rule{watched(func(r *config.Rule) { r.If = "row['am' + 'ount'] > 1" })},
			[]string{"id", "status", "owner", "amount"}},
		"whole": {[]config.Rule{watched(func(r *config.Rule) { r.If = "row != old" })},
			[]string{"id", "status", "owner", "amount"}},
		"several": {[]config.Rule{watched(func(*config.Rule) {}),
			watched(func(r *config.Rule) { r.Watch = []string{"amount"} })}, []string{"id", "owner", "amount"}},
		"inserts watch nothing": {[]config.Rule{insert, watched(func(*config.Rule) {})}, []string{"id", "owner"}},
		"inserts alone":         {[]config.Rule{insert}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := &config.Config{Channels: map[string]config.Channel{"c": {Wake: "sweep", Rules: test.rules}}}
			wants, problems := rule.Wants(cfg)
			want := []change.Want{{Table: "request", Channel: "c", Wake: "sweep", Watch: test.watch,
				Columns: []string{"id", "status", "owner", "amount"}}}
			if len(problems) > 0 || !reflect.DeepEqual(wants, want) {
				t.Errorf("got %+v, want %+v; problems %v", wants, want, problems)
			}
		})
	}
}

// TestWantsTables wants one entry per channel and table, however the table is written.
func TestWantsTables(t *testing.T) {
	t.Parallel()
	full := with(request(), func(r *config.Rule) {
		r.Table, r.Columns, r.Audience = "public.request", []string{"id", "note"}, []string{"role:all"}
	})
	cfg := &config.Config{Channels: map[string]config.Channel{
		"b": {Rules: []config.Rule{stock, request(), full}}, "a": {Rules: []config.Rule{notification}},
	}}
	wants, problems := rule.Wants(cfg)
	if len(problems) > 0 {
		t.Fatal(config.Problems(problems))
	}
	var got []string
	for _, w := range wants {
		got = append(got, w.Channel+" "+w.Table+" "+w.Wake+" "+strings.Join(w.Columns, ","))
	}
	want := []string{
		"a rowfeed.notification auto id,user_id,kind,message,link,created_at,read_at",
		"b inventory_stocklevel auto id,sku_id,warehouse_id,quantity,reorder_level",
		"b request auto id,status,owner,amount,note",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestChannel(t *testing.T) {
	t.Parallel()
	ch := compile(t, stock, low, expense)
	if got := ch.Resources(); !slices.Equal(got, []string{"stock-levels", "expense-requests"}) {
		t.Errorf("resources %q", got)
	}
	for resource, want := range map[string]string{
		"stock-levels":     "id new_quantity quantity reorder_level sku_id warehouse_id",
		"expense-requests": "decided_at id number status",
		"":                 "decided_at id new_quantity number quantity reorder_level sku_id status warehouse_id",
		"others":           "",
	} {
		if got := strings.Join(slices.Sorted(maps.Keys(ch.Fields(resource))), " "); got != want {
			t.Errorf("fields of %q: %s, want %s", resource, got, want)
		}
	}
	for _, test := range []struct {
		channel      *rule.Channel
		any, tenants bool
	}{{ch, true, true}, {compile(t, stock), true, false}, {compile(t, expense), false, true}} {
		if anyTenant, tenants := test.channel.Scopes(); anyTenant != test.any || tenants != test.tenants {
			t.Errorf("scopes %v %v, want %v %v", anyTenant, tenants, test.any, test.tenants)
		}
	}
	if book, _ := rule.Compile(&config.Config{}); book.Channel("nothing") != nil {
		t.Error("a channel that is not there")
	}
}
