package triggers

import (
	"fmt"
	"slices"
	"strings"
)

// current is the version that the table should have: the newest that is there and the same, or a new one.
func (s *State) current(t *table, nextID int32) (c *capture, fresh bool) {
	for _, v := range slices.Backward(s.versions[t.want.relation()]) {
		if c := s.newCapture(t, v.id); c.hash == v.hash {
			return c, false
		}
	}
	return s.newCapture(t, nextID), true
}

// replacement is what replaces a function, and what takes that back.
type replacement struct{ sql, undo string }

// function writes down the table's version and its function, as far as they are not there.
func (p *planner) function(t *table) replacement {
	c, fresh := p.current(t, p.nextID+1)
	var r replacement
	if fresh {
		p.nextID++
		if p.planned == nil {
			p.planned = map[string]*capture{}
		}
		p.planned[c.relation] = c
		r.sql = c.insert(p.target.Schema, p.unlessThere())
	}
	if fresh || p.differs(c.function) {
		r.sql += c.function.create(p.target.Schema)
		r.undo = p.restoreFunction(c.function.name)
	}
	return r
}

// restoreFunction is what takes back that a function is made or replaced.
func (p *planner) restoreFunction(name string) string {
	f, ok := p.functions[name]
	if !ok {
		return "drop function " + signature(p.target.Schema, name) + ";\n"
	}
	sql := f.definition + ";\n"
	if f.owner != p.target.owner() {
		sql += fmt.Sprintf("alter function %s owner to %s;\n", signature(p.target.Schema, name), ident(f.owner))
	}
	return sql
}

// watch makes a table's function and triggers, as far as they are not there: the table with its partitions in one step
// where its row trigger is made, for that locks them all; else, and for what inherits from it otherwise, each by itself.
func (p *planner) watch(t *table) {
	relation := t.want.relation()
	script := "watch_" + relation
	var function replacement
	if !p.done[relation] {
		if function = p.function(t); function.sql != "" {
			function.sql = p.reown(functionName(t.want.schema, t.want.name)) + p.asOwner(function.sql)
		}
	}
	for i, unit := range p.units(t) {
		table := unit[0].member
		step := Step{What: "watch " + table.schema + "." + table.name, Table: table.schema + "." + table.name, script: script}
		if i == 0 {
			step.add(function.sql)
		} else {
			step.script = "watch_" + step.Table
		}
		p.triggerSQL(&step, t, unit)
		if i == 0 {
			step.undo += function.undo
		}
		switch {
		case len(step.Statements) == 0:
			continue
		case len(step.oids) == 0:
			step.What, step.Table = "replace what is captured of "+relation, ""
		}
		p.add(step)
	}
}

// expected is a trigger that has to be on a table, and what is there.
type expected struct {
	member member
	name   string
	kind   int
	clone  bool
	found  *installedTrigger
}

// wrong says what is not as it should be; empty when it is.
func (e *expected) wrong(function string) string {
	switch f := e.found; {
	case f == nil:
		return "missing"
	case f.function != function || f.kind != e.kind || !f.plain || f.clone != e.clone:
		return "outdated"
	case f.enabled != always:
		return "disabled"
	}
	return ""
}

// expect lists the triggers that the table and all that inherits from it should have.
func (s *State) expect(t *table) []*expected {
	var list []*expected
	for i, m := range t.members {
		row := &expected{member: m, name: s.target.rowTrigger(), kind: kindRow, clone: i > 0 && m.partition}
		truncate := &expected{member: m, name: s.target.truncateTrigger(), kind: kindTrunc}
		for _, e := range []*expected{row, truncate} {
			for j := range s.triggers {
				if g := &s.triggers[j]; g.oid == m.oid && g.name == e.name {
					e.found = g
				}
			}
			list = append(list, e)
		}
	}
	return list
}

// again tells whether the row trigger of a table has to be made, anew or for the first time: partitions get the clone of
// their parent's from PostgreSQL, and should one lack it, the parent's is made anew.
func (s *State) again(t *table, list []*expected) bool {
	function := functionName(t.want.schema, t.want.name)
	return slices.ContainsFunc(list, func(e *expected) bool {
		w := e.wrong(function)
		return e.clone && (w == "missing" || w == "outdated") || e == list[0] && (w == "missing" || w == "outdated")
	})
}

// units are the triggers that a step can make right without a lock on a table that it need not have.
func (s *State) units(t *table) [][]*expected {
	list := s.expect(t)
	again := s.again(t, list)
	units := [][]*expected{{}}
	for _, e := range list {
		first := len(units[0]) == 0 || e.member.oid == t.oid
		if first || again && e.member.partition {
			units[0] = append(units[0], e)
			continue
		}
		last := len(units) - 1
		if last == 0 || units[last][0].member.oid != e.member.oid {
			units = append(units, nil)
			last++
		}
		units[last] = append(units[last], e)
	}
	return units
}

// triggerSQL makes the triggers of a unit right.
func (p *planner) triggerSQL(step *Step, t *table, unit []*expected) {
	function := functionName(t.want.schema, t.want.name)
	again := unit[0].member.oid == t.oid && p.again(t, p.expect(t))
	var partitions []string
	for _, m := range t.members[1:] {
		if m.partition && again {
			partitions = append(partitions, ident(m.schema, m.name))
		}
	}
	remake := func(e *expected) bool { return again && (e == unit[0] || e.clone) }
	for _, e := range unit { // a trigger of its own where a clone has to be
		if e.clone && again && e.found != nil && !e.found.clone {
			table := ident(e.member.schema, e.member.name)
			step.addLocking(Lock{Mode: accessExclusive, Table: ident(t.want.schema, t.want.name), Partitions: partitions},
				dropTrigger(e.name, table))
		}
	}
	p.dropDoubles(step, unit)
	for i, e := range unit {
		wrong := e.wrong(function)
		if wrong == "" && !remake(e) {
			continue
		}
		root := i == 0 && again
		lock := Lock{Mode: shareRowExclusive, Table: ident(e.member.schema, e.member.name)}
		if root {
			lock.Partitions = partitions
		}
		step.oids = append(step.oids, e.member.oid)
		anew := !e.clone && (root || wrong != "disabled")
		if anew && e.found != nil {
			drop := lock
			drop.Mode = accessExclusive
			step.addLocking(drop, dropTrigger(e.name, drop.Table))
		}
		if anew {
			step.addLocking(lock, p.createTrigger(e, lock.Table, function))
		}
		step.addLocking(lock, fmt.Sprintf("alter table only %s enable always trigger %s;\n", lock.Table, ident(e.name)))
		p.undoTrigger(step, e, anew)
	}
}

// dropDoubles drops triggers of ours by other names, which would capture each change a second time.
func (p *planner) dropDoubles(step *Step, unit []*expected) {
	seen := map[uint32]bool{}
	for _, e := range unit {
		if seen[e.member.oid] {
			continue
		}
		seen[e.member.oid] = true
		for _, g := range p.doubles(e.member.oid) {
			clones := p.clones(g)
			table := ident(g.schema, g.table)
			step.addLocking(Lock{Mode: accessExclusive, Table: table, Partitions: tablesOf(clones)}, dropTrigger(g.name, table))
			step.oids = append(step.oids, g.oid)
			step.undo += g.definition + ";\n" + g.enable()
		}
	}
}

// doubles are the triggers of a table that call a function of ours by a name that is not ours: somebody renamed them.
func (s *State) doubles(oid uint32) []*installedTrigger {
	var list []*installedTrigger
	for i := range s.triggers {
		g := &s.triggers[i]
		if g.oid == oid && g.function != "" && !g.clone && g.name != s.target.rowTrigger() && g.name != s.target.truncateTrigger() {
			list = append(list, g)
		}
	}
	return list
}

// undoTrigger says how to take back what a step does to a trigger. Clones go and come with their parent's.
func (p *planner) undoTrigger(step *Step, e *expected, made bool) {
	if made {
		step.undo += strings.Replace(dropTrigger(e.name, ident(e.member.schema, e.member.name)), "trigger", "trigger if exists", 1)
	}
	if g := e.found; g != nil {
		if made || e.clone && !g.clone {
			step.undo += g.definition + ";\n"
		}
		step.undo += g.enable()
	}
}

// enable is the statement that gives a trigger the state that it has.
func (g *installedTrigger) enable() string {
	return fmt.Sprintf("alter table only %s %s trigger %s;\n", ident(g.schema, g.table), enabling[g.enabled], ident(g.name))
}

// enabling are the clauses of ALTER TABLE … TRIGGER by pg_trigger.tgenabled.
var enabling = map[string]string{"O": "enable", "A": "enable always", "R": "enable replica", "D": "disable"}

func dropTrigger(name, table string) string {
	return fmt.Sprintf("drop trigger %s on %s;\n", ident(name), table)
}

func (p *planner) createTrigger(e *expected, table, function string) string {
	event, each := "insert or update or delete", "row"
	if e.kind == kindTrunc {
		event, each = "truncate", "statement"
	}
	return fmt.Sprintf("create trigger %s after %s on %s\n  for each %s execute function %s();\n", ident(e.name), event,
		table, each, ident(p.target.Schema, function))
}
