package oracle

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Row is a row's values, by the number of the column in its table.
type Row []Value

// Table is a watched table.
type Table struct {
	Name    string
	Columns []string
	Key     []int
}

// Answer is what a condition says of a row.
type Answer int

// The answers.
const (
	No Answer = iota
	Yes
	Fails
)

// Condition is an `if`: the text in CEL, the columns that it reads, and what it means.
type Condition struct {
	Text  string
	Reads []string
	Holds func(row, old func(column string) Value, has bool) Answer // has: there is an old row
}

// Field is one field of `data`.
type Field struct{ Name, Column string }

// Rule is one rule as its configuration says it.
type Rule struct {
	Table           *Table
	Event, Resource string
	Columns         []string
	Data            []Field // empty: all columns under their names
	Watch           []string
	Operations      []string // empty: all
	Strings         []string
	If              *Condition
	Tenant          string // a template, or any
	Audience        []string
	Message, Link   string
}

// User is who is asking. The grants are as the token has them.
type User struct {
	Tenant string
	Grants []string
}

var (
	braces   = regexp.MustCompile(`\{\{|\}\}|\{\w+\}`)
	scheme   = regexp.MustCompile(`^([^/?#:]*):`)
	reserved = regexp.MustCompile(`[^A-Za-z0-9._~-]`) // in a piece of an address: RFC 3986, section 2.3
)

// column returns the value of a column.
func (r *Rule) column(row Row, name string) Value { return row[slices.Index(r.Table.Columns, name)] }

// piece is a literal text of a template or, where that is empty, a column.
type piece struct{ literal, column string }

var pieces sync.Map // of each template

// split takes a template apart.
func split(template string) []piece {
	if known, ok := pieces.Load(template); ok {
		return known.([]piece)
	}
	var list []piece
	rest := 0
	for _, at := range braces.FindAllStringIndex(template, -1) {
		list = append(list, piece{literal: template[rest:at[0]]})
		if b := template[at[0]:at[1]]; b == "{{" || b == "}}" {
			list = append(list, piece{literal: b[:1]})
		} else {
			list = append(list, piece{column: strings.Trim(b, "{}")})
		}
		rest = at[1]
	}
	list = append(list, piece{literal: template[rest:]})
	pieces.Store(template, list)
	return list
}

// reads returns the columns that a template reads.
func reads(template string) (names []string) {
	for _, p := range split(template) {
		if p.column != "" {
			names = append(names, p.column)
		}
	}
	return names
}

// fill replaces each column of a template by what put makes of its value.
func (r *Rule) fill(template string, row Row, put func(Value) string) (text string) {
	for _, p := range split(template) {
		if text += p.literal; p.column != "" {
			text += put(r.column(row, p.column))
		}
	}
	return text
}

// tenantOf returns the tenant of a row; false where it has none that a user could be of.
func (r *Rule) tenantOf(row Row) (string, bool) {
	good := true
	tenant := r.fill(r.Tenant, row, func(v Value) string {
		good = good && len(v.Items) == 1 && !v.Broken && !v.List
		return v.Plain
	})
	return tenant, good && !strings.ContainsFunc(tenant, func(c rune) bool { return c < 0x20 || c == 0x7f })
}

// grants returns the grants that a template asks for, one for each combination of the items of its columns, and whether
// a value of the row is none that it can be filled with.
func (r *Rule) grants(template string, row Row) (grants []string, broken bool) {
	grants = []string{""}
	for _, p := range split(template) {
		values := []string{p.literal}
		if p.column != "" {
			v := r.column(row, p.column)
			if len(v.Items) == 0 && !v.Broken {
				return nil, false // nobody, whatever stands beside it
			}
			values, broken = v.Items, broken || v.Broken
		}
		var longer []string
		for _, g := range grants {
			for _, v := range values {
				longer = append(longer, g+v)
			}
		}
		grants = longer
	}
	if broken {
		return nil, true
	}
	return grants, false
}

// Allows tells whether the rule lets a user see a row.
func (r *Rule) Allows(u User, row Row) bool {
	if r.Tenant != "any" {
		if tenant, ok := r.tenantOf(row); !ok || tenant != u.Tenant {
			return false
		}
	}
	for _, template := range r.Audience {
		grants, _ := r.grants(template, row)
		for _, g := range grants {
			if slices.Contains(u.Grants, g) {
				return true
			}
		}
	}
	return false
}

// fields returns the fields of `data`.
func (r *Rule) fields() []Field {
	if len(r.Data) > 0 {
		return r.Data
	}
	all := make([]Field, len(r.Columns))
	for i, c := range r.Columns {
		all[i] = Field{c, c}
	}
	return all
}

// json returns a column's value as `data` has it.
func (r *Rule) json(row Row, column string) string {
	v := r.column(row, column)
	if slices.Contains(r.Strings, column) {
		return v.Quoted
	}
	return v.JSON
}

// does tells whether the rule's operations have one of the words.
func (r *Rule) does(words ...string) bool {
	return len(r.Operations) == 0 || slices.ContainsFunc(r.Operations, func(o string) bool { return slices.Contains(words, o) })
}

// watched returns the columns of which one has to change for an update to be an event.
func (r *Rule) watched() []string {
	list := slices.Clone(r.Watch)
	if len(list) == 0 {
		list = slices.Clone(r.Columns)
	}
	for _, t := range append([]string{r.Tenant}, r.Audience...) {
		list = append(list, reads(t)...)
	}
	if r.If != nil {
		list = append(list, r.If.Reads...)
	}
	return list
}

// link fills the template of a link: values are escaped, and a whole address that a column holds is left out if it has a
// scheme that a page must not link to.
func (r *Rule) link(row Row) string {
	if name, ok := strings.CutPrefix(r.Link, "{"); ok && strings.HasSuffix(name, "}") && !strings.ContainsAny(name[:len(name)-1], "{}") {
		address := r.column(row, name[:len(name)-1]).Plain
		if m := scheme.FindStringSubmatch(address); m != nil &&
			!slices.Contains([]string{"http", "https", "mailto"}, strings.ToLower(m[1])) {
			return ""
		}
		return address
	}
	return r.fill(r.Link, row, func(v Value) string {
		return reserved.ReplaceAllStringFunc(v.Plain, percent)
	})
}

func percent(s string) (escaped string) {
	for _, b := range []byte(s) {
		escaped += fmt.Sprintf("%%%02X", b)
	}
	return escaped
}

// Reads returns the columns that the rule reads, whether it sends them or not.
func (r *Rule) Reads() (columns []string) {
	for _, t := range append([]string{r.Tenant, r.Message, r.Link}, r.Audience...) {
		columns = append(columns, reads(t)...)
	}
	if r.If != nil {
		columns = append(columns, r.If.Reads...)
	}
	return columns
}
