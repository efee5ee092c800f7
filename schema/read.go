package schema

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/config"
	"nalar.internal/rowfeed/triggers"
)

// Read reads what the configuration sends from the database that has its tables; nothing need be installed there, and
// catalogs are all that is read. cfg is valid. A table or a column that can't be sent is one of config.Problems, which
// name the rule.
func Read(ctx context.Context, conn *pgx.Conn, cfg *config.Config) (*Schema, error) {
	target := triggers.Target{Schema: cfg.Database.Schema, Retention: cfg.Database.Retention}
	for _, name := range slices.Sorted(maps.Keys(cfg.Channels)) {
		for _, r := range cfg.Channels[name].Rules {
			target.Wants = append(target.Wants, change.Want{Table: r.Table, Channel: name, Columns: r.Columns, Key: r.Key})
		}
	}
	state, err := triggers.Inspect(ctx, conn, target)
	if err != nil {
		return nil, err
	}
	tables := state.Tables()
	if len(tables) == 0 {
		return nil, state.Refused()
	}
	r := reader{tables: map[string]*triggers.Table{}}
	for i := range tables {
		r.tables[tables[i].Name] = &tables[i]
	}
	if problems := r.problems(cfg); len(problems) > 0 {
		return nil, cfg.Locate(problems)
	}
	if r.catalog, err = readCatalog(ctx, conn, tables); err != nil {
		return nil, err
	}
	return r.schema(cfg), nil
}

// reader puts together what the configuration and the database say.
type reader struct {
	tables  map[string]*triggers.Table
	catalog *catalog
}

func (r *reader) table(rule *config.Rule) *triggers.Table {
	schema, name, _ := change.SplitTable(rule.Table) // the configuration is valid
	return r.tables[schema+"."+name]
}

// problems says what is wrong with a table at the first rule that names it.
func (r *reader) problems(cfg *config.Config) (found config.Problems) {
	told := map[*triggers.Table]bool{}
	for _, name := range slices.Sorted(maps.Keys(cfg.Channels)) {
		for i, rule := range cfg.Channels[name].Rules {
			t := r.table(&rule)
			if told[t] {
				continue
			}
			told[t] = true
			for _, what := range t.Problems {
				found = append(found, config.Problem{Key: fmt.Sprintf("channels.%s.rules[%d].table", name, i), What: t.Name + ": " + what})
			}
		}
	}
	return found
}

func (r *reader) schema(cfg *config.Config) *Schema {
	s := &Schema{}
	for _, name := range slices.Sorted(maps.Keys(cfg.Channels)) {
		ch := insert(&s.Channels, name, func(c *Channel) *string { return &c.Name })
		rules := cfg.Channels[name].Rules
		keys := map[string][]Type{}
		for i := range rules {
			rule := &rules[i]
			resource := insert(&ch.Resources, rule.Resource, func(r *Resource) *string { return &r.Name })
			keys[rule.Resource] = append(keys[rule.Resource], r.key(rule))
			resource.Key = unionOf(keys[rule.Resource]...)
			insert(&resource.Events, rule.Event, func(e *Event) *string { return &e.Name })
		}
		for i := range ch.Resources {
			for j := range ch.Resources[i].Events {
				r.event(&ch.Resources[i].Events[j], ch.Resources[i].Name, rules)
			}
		}
	}
	return s
}

// event fills in what the rules of its name say.
func (r *reader) event(e *Event, resource string, rules []config.Rule) {
	var shapes []Type
	n, messages, links := 0, 0, 0
	operations := map[string]bool{}
	for i := range rules {
		rule := &rules[i]
		if rule.Event != e.Name || rule.Resource != resource {
			continue
		}
		n++
		shapes = append(shapes, r.data(rule))
		if table := r.table(rule).Name; !slices.Contains(e.Tables, table) {
			e.Tables = append(e.Tables, table)
		}
		for _, op := range rule.Operations {
			operations[op] = true
		}
		if len(rule.Operations) == 0 {
			operations["insert"], operations["update"], operations["delete"] = true, true, true
		}
		messages += count(rule.Message != "")
		links += count(rule.Link != "")
	}
	e.Data = unionOf(shapes...)
	for _, op := range []string{"insert", "update", "delete"} {
		if operations[op] {
			e.Operations = append(e.Operations, op)
		}
	}
	e.Message, e.Link = presence(messages, n), presence(links, n)
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

func presence(with, all int) Presence {
	switch with {
	case 0:
		return Never
	case all:
		return Always
	}
	return Sometimes
}

// data is the type of a rule's data, its fields in the order of its columns, then of their names: as bridge/rule has it.
func (r *reader) data(rule *config.Rule) Type {
	t, object := r.table(rule), Type{Kind: Object}
	for _, column := range rule.Columns {
		field := r.catalog.column(t, column, slices.Contains(rule.Strings, column))
		if len(rule.Data) == 0 {
			object.Fields = append(object.Fields, field)
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(rule.Data)) {
			if rule.Data[name] != column {
				continue
			}
			renamed := field
			if renamed.Name = name; name != column {
				renamed.Note = strings.TrimSuffix("column "+column+", "+field.Note, ", ")
			}
			object.Fields = append(object.Fields, renamed)
		}
	}
	return object
}

// key is the type of resource_id.
func (r *reader) key(rule *config.Rule) Type {
	t := r.table(rule)
	var items []Type
	for _, column := range t.Key {
		item := r.catalog.column(t, column, slices.Contains(rule.Strings, column)).Type
		item.Null = false
		items = append(items, item)
	}
	if len(items) == 1 {
		return items[0]
	}
	return Type{Kind: Tuple, Items: items}
}
