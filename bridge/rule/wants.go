package rule

import (
	"maps"
	"slices"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/config"
)

// wants returns what the channel needs captured, one entry per table.
func (ch *Channel) wants(cfg config.Channel) []change.Want {
	wake := cfg.Wake
	if wake == "" {
		wake = "auto"
	}
	var wants []change.Want
	for i, r := range ch.rules {
		if ch.tables[r.table][0] == r {
			w := change.Want{Table: cfg.Rules[i].Table, Channel: ch.name, Wake: wake, Key: cfg.Rules[i].Key}
			w.Columns, w.Watch = needs(ch.tables[r.table])
			wants = append(wants, w)
		}
	}
	return wants
}

// needs returns the columns that the rules of one table need, and those whose change they want to hear of. Rules that
// never look at an update watch nothing.
func needs(rules []*rule) (columns, watch []string) {
	for _, r := range rules {
		columns = union(columns, r.columns)
	}
	for _, name := range columns {
		if slices.ContainsFunc(rules, func(r *rule) bool {
			i := slices.Index(r.columns, name)
			return r.operations.has(change.Update) && slices.Contains(r.watch, i)
		}) {
			watch = append(watch, name)
		}
	}
	return columns, watch
}

// union appends what is not in it yet.
func union(to, from []string) []string {
	for _, s := range from {
		if !slices.Contains(to, s) {
			to = append(to, s)
		}
	}
	return to
}

// grantsWants returns what the control channel needs captured of the tables behind the grants: the user's column, at any
// change. Nothing else of them: such tables hold what logins are checked by.
func grantsWants(tables map[string]string) []change.Want {
	var wants []change.Want
	for _, table := range slices.Sorted(maps.Keys(tables)) {
		w := change.Want{Table: table, Channel: change.Control, Any: true, Wake: "auto"}
		if column := tables[table]; column != "" {
			w.Columns = []string{column}
		}
		wants = append(wants, w)
	}
	return wants
}

// Table returns the name of a table as a Relation has it: always with its schema.
func Table(name string) string { return tableName(name) }
