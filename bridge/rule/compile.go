package rule

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"

	"cel.dev/cel-go/cel"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/config"
)

// Compile compiles the rules of all channels. It returns every problem at once, without line numbers, and no Book if
// there is any. What concerns no column, template or condition is for config's own validation to find.
func Compile(cfg *config.Config) (*Book, []config.Problem) {
	env, err := environment()
	if err != nil {
		return nil, []config.Problem{{Key: "channels", What: "prepare conditions: " + err.Error()}}
	}
	c := &compiler{env: env, tags: map[string]bool{}}
	book := &Book{channels: make(map[string]*Channel, len(cfg.Channels))}
	for _, name := range slices.Sorted(maps.Keys(cfg.Channels)) {
		ch, wants := c.channel(name, cfg.Channels[name])
		book.channels[name] = ch
		book.wants = append(book.wants, wants...)
	}
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	book.wants = append(book.wants, grantsWants(cfg.Auth.GrantsTables)...)
	return book, nil
}

// compiler collects problems; key is where it is in the configuration.
type compiler struct {
	env      *cel.Env
	tags     map[string]bool // table and tag of each rule
	problems []config.Problem
	key      string // channels.stock.rules[1]
	columns  []string
}

func (c *compiler) problem(key, what, do string) {
	c.problems = append(c.problems, config.Problem{Key: c.key + "." + key, What: what, Do: do})
}

func (c *compiler) channel(name string, cfg config.Channel) (*Channel, []change.Want) {
	ch := &Channel{name: name, tables: map[string][]*rule{}, fields: map[string]map[string]bool{"": {}}}
	for i := range cfg.Rules {
		c.key = fmt.Sprintf("channels.%s.rules[%d]", name, i)
		r := c.rule(name, i, &cfg.Rules[i])
		r.latest = cfg.Class == config.Latest
		ch.rules = append(ch.rules, r)
		ch.tables[r.table] = append(ch.tables[r.table], r)
		ch.anyTenant = ch.anyTenant || r.anyTenant
		ch.tenants = ch.tenants || !r.anyTenant
		if ch.fields[r.resource] == nil {
			ch.fields[r.resource] = map[string]bool{}
		}
		if !slices.Contains(ch.resources, r.resource) {
			ch.resources = append(ch.resources, r.resource)
		}
		for _, f := range r.fields {
			ch.fields[r.resource][f.name] = true
			ch.fields[""][f.name] = true
		}
	}
	ch.bindings.Store(&map[*change.Relation]*binding{})
	ch.states.New = func() any { return new(state) }
	return ch, ch.wants(cfg)
}

func (c *compiler) rule(channel string, number int, cfg *config.Rule) *rule {
	r := &rule{
		channel: channel, table: tableName(cfg.Table), event: cfg.Event, resource: cfg.Resource, number: number,
		columns: cfg.Columns, anyTenant: cfg.Tenant == "any",
	}
	c.columns = cfg.Columns
	for i, name := range cfg.Columns {
		if slices.Index(cfg.Columns, name) != i {
			c.problem(fmt.Sprintf("columns[%d]", i), name+" is listed twice", "leave one out")
		}
	}
	r.operations = c.operations(cfg.Operations)
	r.quoted = make([]bool, len(cfg.Columns))
	for _, i := range c.indexes("strings", cfg.Strings) {
		r.quoted[i] = true
	}
	r.fields = c.data(cfg.Data)
	if !r.anyTenant {
		r.tenant = c.template("tenant", cfg.Tenant)
		if slices.ContainsFunc([]byte(cfg.Tenant), isControl) {
			c.problem("tenant", "it has a control character", "leave it out")
		}
	}
	for i, text := range cfg.Audience {
		r.audience = append(r.audience, c.template(fmt.Sprintf("audience[%d]", i), text))
	}
	r.hasMessage, r.message = cfg.Message != "", c.template("message", cfg.Message).escapeLiterals()
	r.hasLink, r.link = cfg.Link != "", c.template("link", cfg.Link).escapeLiterals()
	if cfg.If != "" {
		r.condition = c.condition(cfg.If)
	}
	c.watch(r, cfg.Watch)
	r.setStatic()
	c.frame(r)
	return r
}

// watch resolves which columns' changes make an update an event.
func (c *compiler) watch(r *rule, names []string) {
	r.watch = c.indexes("watch", names)
	if len(names) == 0 {
		for i := range r.columns {
			r.watch = append(r.watch, i)
		}
	}
	for _, t := range append([]template{r.tenant}, r.audience...) {
		for _, s := range t {
			if s.index >= 0 {
				r.scope = append(r.scope, s.index)
			}
		}
	}
	r.watch = append(r.watch, r.scope...)
	if r.condition != nil {
		r.watch = append(r.watch, r.condition.reads...)
	}
	slices.Sort(r.scope)
	r.scope = slices.Compact(r.scope)
	slices.Sort(r.watch)
	r.watch = slices.Compact(r.watch)
}

// indexes resolves a list of columns.
func (c *compiler) indexes(key string, names []string) []int {
	var list []int
	for i, name := range names {
		if at := c.column(fmt.Sprintf("%s[%d]", key, i), name); at >= 0 {
			list = append(list, at)
		}
	}
	return list
}

// column resolves a column's name, or reports it.
func (c *compiler) column(key, name string) int {
	i := slices.Index(c.columns, name)
	if i < 0 {
		c.problem(key, name+" is not among the rule's columns", c.addColumn())
	}
	return i
}

func (c *compiler) addColumn() string { return "correct the name, or add it to " + c.key + ".columns" }

// data resolves the fields of data, in the order of columns, then of the fields' names.
func (c *compiler) data(names map[string]string) []field {
	var fields []field
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if i := c.column("data."+name, names[name]); i >= 0 {
			fields = append(fields, newField(name, i))
		}
	}
	if len(names) == 0 {
		for i, name := range c.columns {
			fields = append(fields, newField(name, i))
		}
	}
	slices.SortStableFunc(fields, func(a, b field) int { return a.index - b.index })
	return fields
}

func newField(name string, index int) field {
	return field{name: name, label: append(appendString(nil, name), ':'), index: index}
}

func (c *compiler) template(key, text string) template {
	parts, err := parseTemplate(text)
	if err != nil {
		c.problem(key, "the template has "+err.Error(), "write {column} for a value, {{ and }} for a brace")
		return nil
	}
	t := make(template, len(parts))
	for i, p := range parts {
		t[i] = segment{literal: []byte(p.literal), index: -1}
		if p.column != "" {
			t[i].index = c.column(key, p.column)
		}
	}
	return t
}

func (c *compiler) condition(source string) *condition {
	compiled, wrong := compileCondition(c.env, source, c.columns)
	for _, what := range wrong {
		c.problem("if", what, "write a CEL condition over row and old that reads only "+c.key+
			".columns (add what is missing there), such as row.status == 'approved'")
	}
	return compiled
}

func (c *compiler) operations(words []string) operations {
	if len(words) == 0 {
		return 1 | 2 | 4
	}
	var set operations
	for i, word := range words {
		switch word {
		case "insert":
			set |= operationOf(change.Insert)
		case "update":
			set |= operationOf(change.Update)
		case "delete":
			set |= operationOf(change.Delete)
		default:
			c.problem(fmt.Sprintf("operations[%d]", i), strconv.Quote(word)+" is no operation",
				"use insert, update and delete")
		}
	}
	return set
}

// frame prepares what is the same in all of the rule's frames, and the tags of its event ids: a short hash of what
// names the rule, not its place, so that ids survive other rules' coming and going. Among the rules of one table a tag
// is unique, since only they make events of the same change.
func (c *compiler) frame(r *rule) {
	for n := 0; r.tag == ""; n++ {
		h := fnv.New32a()
		_, _ = fmt.Fprintf(h, "%s\x00%s\x00%s\x00%s\x00%d", r.channel, r.table, r.event, r.resource, n)
		tag := strconv.FormatUint(uint64(h.Sum32()), 36)
		if key := r.table + "\x00" + tag; !c.tags[key] {
			c.tags[key] = true
			r.tag, r.vacated = tag, tag+".old"
		}
	}
	r.head = append(appendString([]byte(`{"type":`), r.event), `,"id":"`...)
	r.middle = append(appendString([]byte(`","channel":`), r.channel), `,"resource":`...)
	r.middle = append(appendString(r.middle, r.resource), `,"resource_id":`...)
}
