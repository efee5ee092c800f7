package triggers

import (
	"fmt"
	"slices"
	"strings"
)

// unused drops triggers on tables that are no longer wanted, then the functions that nothing needs.
func (p *planner) unused() {
	wanted, functions := map[uint32]bool{}, map[string]bool{}
	for _, name := range helperNames {
		functions[name] = true
	}
	for _, t := range p.tables {
		functions[functionName(t.want.schema, t.want.name)] = true
		for _, m := range t.members {
			wanted[m.oid] = true
		}
	}
	p.dropTriggers(func(g *installedTrigger) bool { return !wanted[g.oid] })
	step := Step{What: "drop functions that nothing needs", late: true, script: scriptCleanup}
	for _, name := range p.functionNames() {
		if !functions[name] {
			step.add(fmt.Sprintf("drop function %s;\n", signature(p.target.Schema, name)))
			step.undo += p.asOwner(p.restoreFunction(name) + fmt.Sprintf("revoke all on function %s from public;\n",
				signature(p.target.Schema, name)))
		}
	}
	if len(step.Statements) > 0 {
		p.add(step)
	}
}

// dropTriggers drops the chosen ones of our triggers, table by table. Clones go with their parent's.
func (p *planner) dropTriggers(chosen func(*installedTrigger) bool) {
	var step *Step
	for i := range p.triggers {
		g := &p.triggers[i]
		if g.function == "" || g.clone || !chosen(g) {
			continue
		}
		if step == nil || step.oids[0] != g.oid {
			if step != nil {
				p.add(*step)
			}
			name := g.schema + "." + g.table
			step = &Step{What: "stop watching " + name, Table: name, oids: []uint32{g.oid}, script: "unwatch_" + name}
		}
		table := ident(g.schema, g.table)
		clones := p.clones(g)
		step.addLocking(Lock{Mode: accessExclusive, Table: table, Partitions: tablesOf(clones)}, dropTrigger(g.name, table))
		step.undo += g.definition + ";\n" + g.enable()
		for _, c := range clones {
			step.oids = append(step.oids, c.oid)
			step.undo += c.enable()
		}
	}
	if step != nil {
		p.add(*step)
	}
}

// clones are the triggers that PostgreSQL has made of this one on partitions, and theirs.
func (s *State) clones(of *installedTrigger) []*installedTrigger {
	var list []*installedTrigger
	for i := range s.triggers {
		if g := &s.triggers[i]; g.parent == of.id {
			list = append(append(list, g), s.clones(g)...)
		}
	}
	return list
}

// tablesOf are the tables that triggers are on, quoted.
func tablesOf(triggers []*installedTrigger) []string {
	var list []string
	for _, g := range triggers {
		list = append(list, ident(g.schema, g.table))
	}
	return list
}

// functionNames are those of our functions that are there, sorted.
func (s *State) functionNames() []string {
	var names []string
	for name := range s.functions {
		if slices.Contains(helperNames, name) || strings.HasPrefix(name, "capture_") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
