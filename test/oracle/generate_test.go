package oracle_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"nalar.internal/rowfeed/test/oracle"
)

// The two watched tables differ in their keys.
var tables = []*oracle.Table{
	{Name: "public.a", Columns: names, Key: []int{0}},
	{Name: "public.b", Columns: names, Key: []int{0, 1}},
}

var (
	names = []string{"id", "part", "org", "owner", "status", "n", "amount", "ratio", "flag"}
	types = []string{"integer", "text", "text", "json", "text", "integer", "numeric", "double precision", "boolean"}
)

// some of the values that each column may hold; the odd ones are what a separator, a scope or a type could be taken in by.
var pool = map[string][]oracle.Value{
	"id":   {oracle.Number("1"), oracle.Number("2"), oracle.Number("3")},
	"part": texts("x", "x", "x", "y", "x,y", `x\`, "user:1", "1"),
	"org": append(texts("t1", "t1", "t1", "t1", "t1", "t1", "t1", "t2", "t2", "t2", "", "\x01", "t1\x00user:1", "any", "t\n", "1"),
		oracle.Null()),
	"owner": {
		oracle.Document(`1`, "1", "1"), oracle.Document(`1`, "1", "1"), oracle.Document(`2`, "2", "2"), oracle.Document(`"1"`, "1", "1"),
		oracle.Document(`[1,2]`, "[1,2]", "1", "2"), oracle.Document(`["2","x,y"]`, `["2","x,y"]`, "2", "x,y"),
		oracle.Document(`[[2],null,"","1"]`, `[[2],null,"","1"]`, "2", "1"), oracle.Document(`[]`, `[]`),
		oracle.Document(`null`, "null"), oracle.Document(`""`, ""), oracle.Document(`"1\u0000role:all"`, "1\x00role:all", "1\x00role:all"),
		oracle.Broken(`{"a":1}`), oracle.Broken(`[1,{"b":2}]`), oracle.Null(),
	},
	"status": append(texts("new", "new", "done", "", "a\nb", "x,y", "user:1", "1", "é\u2028\"", "javascript:alert(1)", "https://x/y?z",
		"t2\x00user:1"), oracle.Null()),
	"n": {oracle.Number("0"), oracle.Number("1"), oracle.Number("2"), oracle.Number("-7"), oracle.Null()},
	"amount": {oracle.Number("5.00"), oracle.Number("10.0"), oracle.Number("10.5"), oracle.Number("123456789012345678901234567890.125"),
		oracle.Number("NaN"), oracle.Null()},
	"ratio": {oracle.Float("3fb999999999999a", "0.1"), oracle.Float("4000000000000000", "2"), oracle.Float("bff0000000000000", "-1"),
		oracle.Float("7ff8000000000000", "NaN"), oracle.Null()},
	"flag": {oracle.Bool(true), oracle.Bool(true), oracle.Bool(false), oracle.Null()},
}

func texts(list ...string) (values []oracle.Value) {
	for _, s := range list {
		values = append(values, oracle.Text(s))
	}
	return values
}

// What users hold; some look like what is only ever made of a tenant and a grant.
var grantPool = []string{"user:1", "user:2", "role:all", "role:new", "role:done", "1", "2", "new", "user:x,y", "t1:user:1", `t1\x00user:1`,
	"t2", "user:1:new", "user:{1}", "u{ser:1", "x,y", "https://x/y?z", "any"}

var audiencePool = []string{"user:{owner}", "user:{owner}", "role:all", "role:{status}", "{owner}", "{status}", "user:{n}",
	"user:{owner}:{status}", "user:{{{n}}}", "u{{ser:{owner}", "{status}{owner}", "t1:user:{n}"}

func and(a, b oracle.Answer) oracle.Answer {
	switch {
	case a == oracle.No || b == oracle.No:
		return oracle.No
	case a == oracle.Fails || b == oracle.Fails:
		return oracle.Fails
	}
	return oracle.Yes
}

func or(a, b oracle.Answer) oracle.Answer { return not(and(not(a), not(b))) }

func not(a oracle.Answer) oracle.Answer {
	switch a {
	case oracle.No:
		return oracle.Yes
	case oracle.Yes:
		return oracle.No
	}
	return a
}

func is(b bool) oracle.Answer {
	if b {
		return oracle.Yes
	}
	return oracle.No
}

// ordered compares a number: null and NaN have no order.
func ordered(v oracle.Value, holds func(float64) bool) oracle.Answer {
	if v.Null || v.NaN {
		return oracle.Fails
	}
	return is(holds(v.Number))
}

type get = func(string) oracle.Value

var conditions = []*oracle.Condition{
	{Text: "row.n > 0", Reads: []string{"n"}, Holds: func(row, _ get, _ bool) oracle.Answer {
		return ordered(row("n"), func(f float64) bool { return f > 0 })
	}},
	{Text: "row.status == 'new'", Reads: []string{"status"}, Holds: func(row, _ get, _ bool) oracle.Answer {
		return is(!row("status").Null && row("status").Raw == "new")
	}},
	{Text: "old == null || old.status != row.status", Reads: []string{"status"}, Holds: func(row, old get, has bool) oracle.Answer {
		return is(!has || old("status").Null != row("status").Null || old("status").Raw != row("status").Raw)
	}},
	{Text: "row.amount <= 10.0 && (old == null || old.amount > 10.0)", Reads: []string{"amount"},
		Holds: func(row, old get, has bool) oracle.Answer {
			was := oracle.Yes
			if has {
				was = ordered(old("amount"), func(f float64) bool { return f > 10 })
			}
			return and(ordered(row("amount"), func(f float64) bool { return f <= 10 }), was)
		}},
	{Text: "row.ratio < 1.0 || row.flag", Reads: []string{"ratio", "flag"}, Holds: func(row, _ get, _ bool) oracle.Answer {
		flag := oracle.Fails
		if !row("flag").Null {
			flag = is(row("flag").Raw == "true")
		}
		return or(ordered(row("ratio"), func(f float64) bool { return f < 1 }), flag)
	}},
	{Text: "row.n != null && row.n in [0, 1]", Reads: []string{"n"}, Holds: func(row, _ get, _ bool) oracle.Answer {
		return is(!row("n").Null && (row("n").Raw == "0" || row("n").Raw == "1"))
	}},
}

// generator makes rules and histories of its random numbers.
type generator struct {
	*rand.Rand
	tenants bool // the installation has tenants
	sql     bool // only what PostgreSQL can hold
}

func pick[T any](g *generator, list []T) T { return list[g.IntN(len(list))] }

func (g *generator) chance(n int) bool { return g.IntN(n) == 0 }

// subset returns some of the list, in its order.
func (g *generator) subset(list []string, n int) (some []string) {
	for _, s := range list {
		if g.IntN(len(list)) < n {
			some = append(some, s)
		}
	}
	return some
}

func (g *generator) rules() (rules []*oracle.Rule) {
	for range 1 + g.IntN(3) {
		rules = append(rules, g.rule())
	}
	return rules
}

func (g *generator) rule() *oracle.Rule {
	r := &oracle.Rule{Table: pick(g, tables), Event: pick(g, []string{"e", "f"}), Resource: pick(g, []string{"r", "r", "q"})}
	if g.tenants {
		r.Tenant = pick(g, []string{"any", "{org}", "{org}", "{org}", "t1", "t{n}"})
	}
	for range 1 + g.IntN(3) {
		if t := pick(g, audiencePool); !slices.Contains(r.Audience, t) {
			r.Audience = append(r.Audience, t)
		}
	}
	if g.chance(3) {
		r.If = pick(g, conditions)
	}
	if g.chance(2) {
		r.Message = pick(g, []string{"{status} of {owner}", "{{{n}}} {amount}{ratio}", "m"})
	}
	if g.chance(2) {
		r.Link = pick(g, []string{"/x/{status}/{n}", "{status}", "{{{flag}"})
	}
	if g.chance(4) {
		r.Operations = g.subset([]string{"insert", "update", "delete"}, 2)
	}
	r.Columns = slices.Concat(g.subset(names, 5), r.Reads())
	slices.Sort(r.Columns)
	r.Columns = slices.Compact(r.Columns)
	if len(r.Columns) == 0 {
		r.Columns = []string{"n"}
	}
	g.Shuffle(len(r.Columns), func(i, j int) { r.Columns[i], r.Columns[j] = r.Columns[j], r.Columns[i] })
	if g.chance(2) {
		r.Watch = g.subset(r.Columns, 2)
	}
	if g.chance(3) {
		r.Strings = g.subset(r.Columns, 2)
	}
	if g.chance(2) {
		for i, c := range g.subset(r.Columns, 3) {
			r.Data = append(r.Data, oracle.Field{Name: []string{"d" + c, c, fmt.Sprint("f", i)}[g.IntN(3)], Column: c})
		}
	}
	return r
}

func (g *generator) value(column string) oracle.Value {
	for {
		if v := pick(g, pool[column]); !g.sql || v.SQL != "" {
			return v
		}
	}
}

func (g *generator) user() oracle.User {
	u := oracle.User{Grants: g.grants()}
	if g.tenants {
		u.Tenant = pick(g, []string{"t1", "t1", "t2", "1"})
	}
	return u
}

// grantSets is what users may hold: few enough that each is made into an identity once.
var grantSets = func() (sets [][]string) {
	g := &generator{Rand: rand.New(rand.NewPCG(1, 2))}
	for range 64 {
		sets = append(sets, g.subset(grantPool, 8))
	}
	return sets
}()

func (g *generator) grants() []string { return pick(g, grantSets) }

func (g *generator) subscription(rules []*oracle.Rule, ref string) oracle.Subscription {
	q := oracle.Subscription{Ref: ref}
	r := pick(g, rules)
	if g.chance(3) {
		return g.where(q, rules)
	}
	if q.Resource = r.Resource; g.chance(4) {
		for _, k := range r.Table.Key {
			q.Key = append(q.Key, g.value(names[k]).Plain)
		}
	}
	return g.where(q, rules)
}

// where adds conditions on fields of data.
func (g *generator) where(q oracle.Subscription, rules []*oracle.Rule) oracle.Subscription {
	if !g.chance(4) {
		return q
	}
	q.Where = map[string][]string{}
	for range 1 + g.IntN(2) {
		r := pick(g, rules)
		f := fieldOf(g, r)
		if q.Resource != "" && r.Resource != q.Resource {
			continue
		}
		var values []string
		for range 1 + g.IntN(3) {
			v := g.value(f.Column)
			for _, text := range []string{v.JSON, v.Quoted, v.JSON + ".0", "null"} {
				if oracle.Equal(text, text) && g.chance(2) {
					values = append(values, text)
				}
			}
		}
		q.Where[f.Name] = append(q.Where[f.Name], values...)
	}
	return q
}

func fieldOf(g *generator, r *oracle.Rule) oracle.Field {
	if len(r.Data) > 0 {
		return pick(g, r.Data)
	}
	c := pick(g, r.Columns)
	return oracle.Field{Name: c, Column: c}
}

// stock is the rows that a history has so far.
type stock map[*oracle.Table][]oracle.Row

// change makes the next change, mostly of a table that a rule is for; nil where it finds none.
func (g *generator) change(rules []*oracle.Rule, rows stock) *oracle.Change {
	c := &oracle.Change{Table: pick(g, rules).Table}
	if g.chance(10) {
		c.Table = pick(g, tables)
	}
	list := rows[c.Table]
	i := g.IntN(len(list) + 1)
	switch {
	case g.chance(40):
		c.Reason = "truncated"
		rows[c.Table] = nil
		return c
	case !g.sql && g.chance(40):
		c.Reason = "drift"
		return c
	case i == len(list):
		c.New = g.row()
	case g.chance(5):
		c.Old = list[i]
	default:
		c.Old, c.New = list[i], slices.Clone(list[i])
		for range 1 + g.IntN(3) {
			column := pick(g, names[2:])
			if g.chance(12) {
				column = pick(g, names[:2])
			}
			c.New[slices.Index(names, column)] = g.value(column)
		}
	}
	same := func(row oracle.Row) bool { return keyText(c.Table, row) == keyText(c.Table, c.New) }
	if c.New != nil && (c.Old == nil || !same(c.Old)) && slices.ContainsFunc(list, same) {
		return nil
	}
	if !g.sql && g.chance(30) {
		c.Lacks = pick(g, names[2:])
	}
	if c.Old != nil {
		list = slices.Delete(slices.Clone(list), i, i+1)
	}
	if c.New != nil {
		list = append(slices.Clone(list), c.New)
	}
	rows[c.Table] = list
	return c
}

func (g *generator) row() (row oracle.Row) {
	for _, name := range names {
		row = append(row, g.value(name))
	}
	return row
}

func keyText(t *oracle.Table, row oracle.Row) (text string) {
	for _, k := range t.Key {
		text += row[k].Raw + "\x00"
	}
	return text
}

func show(row oracle.Row) string {
	if row == nil {
		return "-"
	}
	var list []string
	for i, v := range row {
		text := fmt.Sprintf("%q", v.Raw)
		if v.Null {
			text = "NULL"
		}
		list = append(list, names[i]+"="+text)
	}
	return strings.Join(list, " ")
}
