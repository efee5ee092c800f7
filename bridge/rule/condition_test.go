package rule_test

import (
	"reflect"
	"strings"
	"testing"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/config"
)

// everyIf is a rule over every kind of value with a condition.
func everyIf(condition string) config.Rule {
	return with(every, func(r *config.Rule) { r.If = condition })
}

func TestCondition(t *testing.T) {
	t.Parallel()
	for condition, want := range map[string]bool{
		"row.id == 9007199254740993":                 true,
		"row.id > row.ratio":                         true,
		"row.total > 1.2e19":                         true,
		"row.total > 1e30":                           false,
		"row.ratio > 0.3 && row.ratio < 1":           true,
		"row.share == 0.1":                           true,
		"row.active":                                 true,
		"!row.active":                                false,
		"row.title.startsWith('Zoë')":                true,
		"row['title'].contains('😀')":                 true,
		"row.tags.a[0] == 1 && row.tags.a[1] == 'x'": true,
		"has(row.tags.b)":                            false,
		"has(row.title)":                             true,
		"row.tags.a.exists(v, v == 'x')":             true,
		"row.due < '2026-12-01'":                     true,
		"row.at < timestamp('2026-11-23T09:00:00Z')": true,
		"row.at.getHours() == 8":                     true,
		"row.digest == b'\\x00\\xff\\x10'":           true,
		"old == null":                                true,
		"old == null || old.id > 1":                  true,
		"row != null":                                true,
		"'title' in row && !('nothing' in row)":      true,
		"row.exists(k, k == 'due')":                  true,
		"size(row) == 12":                            true,
		"row[['ti', 'tle'][0] + 'tle'] != ''":        true,
		"row == old":                                 false,
		"type(row) == map":                           true,
		"row.title.matches('^Z.*h')":                 true,
		"[1, 2.5].exists(x, x == 2.5) && row.ratio in [0.30000000000000004]": true,
		"row.id in [1, 2, 9007199254740993]":                                 true,
		"double(row.id) > 1.5 && int(row.ratio * 10.0) == 3":                 true,
		"row.active || row.none > 1":                                         true,
		"row.none > 1 || row.active":                                         true,
		"row == {'id': 1}":                                                   false,
		"row.id == 1 ? row.none > 1 : true":                                  true,
		"row.due.size() == 10 && string(row.id) == '9007199254740993'":       true,
		"dyn(row).id > 0":                                                    true,
		"row.tags == {'a': [1, 'x']}":                                        true,
		"duration('1h') > duration('1m') && row.at > timestamp(0)":           true,
		"row.id - 9007199254740992 == 1":                                     true,
		"row.total >= row.id && row.id <= row.total && row.id != row.total":  true,
		"true": true,
	} {
		t.Run(condition, func(t *testing.T) {
			t.Parallel()
			out := apply(compile(t, everyIf(condition)), changed(values, nil, everyRow))
			if len(out.faults) > 0 || (len(out.events) == 1) != want {
				t.Errorf("%d events, faults %v; want an event: %v", len(out.events), out.faults, want)
			}
		})
	}
}

func TestConditionRows(t *testing.T) {
	t.Parallel()
	crossed := compile(t, low)
	r := func(quantity, level string) change.Row { return row("5", "7", "2", quantity, level) }
	for name, test := range map[string]struct {
		old, new change.Row
		want     int
	}{
		"born low":        {nil, r("3", "10"), 1},
		"born high":       {nil, r("30", "10.5"), 0},
		"crosses":         {r("11", "10.5"), r("10", "10.5"), 1},
		"stays low":       {r("9", "10"), r("8", "10"), 0},
		"rises":           {r("9", "10"), r("12", "10"), 0},
		"level rises":     {r("9", "5"), r("9", "10"), 1},
		"deleted low":     {r("9", "10"), nil, 1}, // old is null on delete: row is the old row
		"moved while low": {r("9", "10"), row("6", "7", "2", "9", "10"), 2},
	} {
		out := apply(crossed, changed(levels, test.old, test.new))
		if len(out.events) != test.want || len(out.faults) > 0 {
			t.Errorf("%s: %d events, want %d; faults %v", name, len(out.events), test.want, out.faults)
		}
	}
}

func TestConditionFails(t *testing.T) {
	t.Parallel()
	secret := "s3cr3t"
	for condition, says := range map[string]string{
		"old.id > 1":   "no such key",
		"row.none > 1": "NaN",
		"row.until < timestamp('2026-11-23T09:00:00Z')": "infinite",
		"row.id * row.id > 0":                           "overflow",
		"row.title > 1":                                 "null",
		"row.digest + 1 == 2":                           "null",
		"int(row.title) > 1":                            "converted",
		"timestamp(row.title) > timestamp(0)":           "converted",
		"row.id / (row.id - row.id) > 1":                "division by zero",
		"row.tags.nothing == 1":                         "lacks a key",
		"row.tags.a[7] == 1":                            "out of bounds",
		"row.ratio":                                     "no boolean",
		"row.tags.a.all(a, row.tags.a.all(b, row.tags.a.all(c, a + b + c >= 0)))": "too long",
	} {
		t.Run(condition, func(t *testing.T) {
			t.Parallel()
			old, current := append(change.Row(nil), everyRow...), append(change.Row(nil), everyRow...)
			current[6] = []byte(secret)
			if says == "too long" {
				current[7] = []byte(`{"a":[` + strings.Repeat("1,", 200) + `1]}`)
			}
			c := changed(values, old, current)
			if strings.HasPrefix(condition, "old") {
				c = changed(values, nil, current)
			}
			out := apply(compile(t, everyIf(condition), every), c)
			if len(out.events) != 1 || len(out.faults) != 1 || out.faults[0].Kind != rule.FaultCondition {
				t.Fatalf("%d events, faults %v; want the other rule's event and a fault", len(out.events), out.faults)
			}
			if e := out.faults[0].Err.Error(); strings.Contains(e, secret) || says != "no such key" &&
				!strings.Contains(e, says) {
				t.Errorf("fault %q, want %q in it", e, says)
			}
			want := []change.Notice{{Channel: "c", Resource: "values", Reason: "rule_error",
				Audience: scoped(change.AnyTenant, "role:all")}}
			if !reflect.DeepEqual(out.notices, want) {
				t.Errorf("notices %+v, want %+v", out.notices, want)
			}
		})
	}
}

// TestConditionFailsAudience wants the notice for those of the old and of the new row, and for nobody else.
func TestConditionFailsAudience(t *testing.T) {
	t.Parallel()
	ch := compile(t, with(request(), func(r *config.Rule) { r.If = "row.amount > 1" }))
	out := apply(ch, changed(requests(), row("1", "new", "42", "5"), row("1", "new", "43", null)))
	if len(out.notices) != 1 || !reflect.DeepEqual(out.notices[0].Audience,
		scoped(change.AnyTenant, "user:42", "user:43")) {
		t.Errorf("notices %+v", out.notices)
	}
	out = apply(ch, changed(requests(), nil, row("1", "new", null, null)))
	if len(out.notices) != 0 || len(out.faults) != 1 {
		t.Errorf("a row of nobody: notices %+v, faults %v", out.notices, out.faults)
	}
}
