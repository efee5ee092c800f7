package triggers

import (
	"fmt"
	"slices"
	"strings"
)

// The states of a table, the worst of which counts.
const (
	Installed = "installed" // all is as the configuration wants it
	Outdated  = "outdated"  // function, columns or triggers differ from what up would write
	Disabled  = "disabled"  // a trigger does not fire, or not always
	Missing   = "missing"   // no trigger
	Broken    = "broken"    // can't be captured: no such table, a column that is gone, no key
	Unwanted  = "unwanted"  // has triggers, but the configuration does not name it
)

// TableStatus is what is to say of one table.
type TableStatus struct {
	Table    string   `json:"table"`    // schema.table
	State    string   `json:"state"`    // one of the constants
	Problems []string `json:"problems"` // in words; empty when installed
}

// Status compares catalog and configuration, table by table.
func (s *State) Status() []TableStatus {
	var list []TableStatus
	known := map[uint32]bool{}
	for _, t := range s.tables {
		list = append(list, s.tableStatus(t))
		for _, m := range t.members {
			known[m.oid] = true
		}
	}
	for _, g := range s.triggers {
		name := g.schema + "." + g.table
		if g.function == "" || known[g.oid] || len(list) > 0 && list[len(list)-1].Table == name {
			continue
		}
		list = append(list, TableStatus{Table: name, State: Unwanted, Problems: []string{s.stray(&g)}})
	}
	return list
}

// stray says why a table that no rule names may have our triggers.
func (s *State) stray(g *installedTrigger) string {
	for _, t := range s.tables {
		if functionName(t.want.schema, t.want.name) == g.function {
			return "has the triggers of " + t.want.relation() + ": it was probably called so before"
		}
	}
	return "has triggers, but no rule names it, nor does auth.grants_tables"
}

func (s *State) tableStatus(t *table) TableStatus {
	st := TableStatus{Table: t.want.relation(), State: Installed, Problems: []string{}}
	note := func(state, problem string) {
		order := []string{Installed, Outdated, Disabled, Missing, Broken}
		if slices.Index(order, state) > slices.Index(order, st.State) {
			st.State = state
		}
		st.Problems = append(st.Problems, problem)
	}
	for _, b := range t.broken {
		note(Broken, b)
	}
	s.renamed(t, func(problem string) { note(Broken, problem) })
	if !t.usable() {
		return st
	}
	c, fresh := s.current(t, s.lastID+1)
	if latest := s.latest[c.relation]; fresh && latest != nil {
		note(Outdated, versionDifference(latest, c))
	}
	if d := s.difference(c.function); d != "" && !fresh {
		note(Outdated, "function "+c.function.name+" "+d)
	}
	if s.server.installed && !s.writes {
		note(Outdated, "role "+s.target.owner()+" may not write the outbox: nothing is captured")
	}
	_, callable := s.functions[c.function.name]
	for _, role := range t.uncalled {
		if !callable {
			break // it is yet to be made
		}
		note(Outdated, fmt.Sprintf("role %s may not execute function %s: attaching a partition, or making one, would fail", role,
			c.function.name))
	}
	for i, e := range s.expect(t) {
		wrong := e.wrong(c.function.name)
		if wrong == "" {
			continue
		}
		state := wrong
		if wrong == Missing && i > 0 { // a partition, or only the one for TRUNCATE
			state = Outdated
		}
		on := ident(e.member.schema, e.member.name)
		note(state, fmt.Sprintf("trigger %s on %s is %s", e.name, on, e.how(wrong)))
	}
	for _, m := range t.members {
		for _, g := range s.doubles(m.oid) {
			note(Outdated, fmt.Sprintf("trigger %s on %s is rowfeed's by another name: what it captures may be captured twice",
				g.name, ident(m.schema, m.name)))
		}
	}
	return st
}

// how says how a trigger is disabled, or in what it is outdated.
func (e *expected) how(wrong string) string {
	switch {
	case wrong == "disabled":
		return "disabled (" + map[string]string{"D": "D: it never fires", "R": "R: it fires for replicated changes alone",
			"O": "O: it does not fire for replicated changes, nor where session_replication_role is replica"}[e.found.enabled] + ")"
	case wrong == "outdated" && e.found.function == "":
		return "not rowfeed's"
	case wrong == "outdated" && e.clone && !e.found.clone:
		return "outdated: it is not that of the table that this is a partition of"
	}
	return wrong
}

// renamed says what a column or a table that is gone is probably called now.
func (s *State) renamed(t *table, note func(string)) {
	if t.oid == 0 {
		function := functionName(t.want.schema, t.want.name)
		for _, g := range s.triggers {
			if g.function == function && g.name == s.target.rowTrigger() && !g.clone {
				note("its triggers are on " + g.schema + "." + g.table + ": it was probably renamed to that")
			}
		}
	}
	latest := s.latest[t.want.relation()]
	if latest == nil {
		return
	}
	for _, gone := range t.gone {
		i := slices.Index(latest.columns, gone)
		if i < 0 {
			continue
		}
		var names []string
		for name, c := range t.columns {
			if c.format == latest.types[i] && !slices.Contains(latest.columns, name) {
				names = append(names, name)
			}
		}
		if len(names) == 1 {
			note(fmt.Sprintf("column %s was probably renamed to %s, which has its type", gone, names[0]))
		}
	}
}

// versionDifference says in what the newest version differs from what is wanted.
func versionDifference(have, want *capture) string {
	switch {
	case !slices.Equal(have.columns, want.columns):
		return fmt.Sprintf("captures %s, wanted are %s", strings.Join(have.columns, ", "), strings.Join(want.columns, ", "))
	case !slices.Equal(have.types, want.types):
		for i := range have.types {
			if have.types[i] != want.types[i] {
				return fmt.Sprintf("column %s was %s and is %s", have.columns[i], have.types[i], want.types[i])
			}
		}
	case !slices.Equal(have.key, want.key):
		return fmt.Sprintf("its key was (%s) and is (%s)", have.keyNames(), want.keyNames())
	case !slices.Equal(have.channels, want.channels):
		return "the channels that it goes to have changed"
	}
	return "what is watched, retention or this program's version has changed"
}

// Drifted says, in a line each, what is not as the configuration wants it: what a bridge that starts has to warn of.
// Empty when all is well. It asks for no right to install.
func (s *State) Drifted() []string {
	var list []string
	if s.server.refused {
		return s.refusals
	}
	if !s.server.installed {
		return s.Off()
	}
	for _, st := range s.Status() {
		if st.State != Installed && st.State != Unwanted {
			list = append(list, fmt.Sprintf("table %s: %s: %s", st.Table, st.State, strings.Join(st.Problems, "; ")))
		}
	}
	return append(list, s.Off()...)
}

// Clean tells whether every table is installed and no other is watched.
func (s *State) Clean() bool {
	return !slices.ContainsFunc(s.Status(), func(t TableStatus) bool { return t.State != Installed })
}

// Off says, in a line each, what is not as it should be beside the tables: schema, helpers, channels, rights.
func (s *State) Off() []string {
	if s.server.refused {
		return s.refusals
	}
	if !s.server.installed {
		return []string{fmt.Sprintf("schema %s is not installed: run `rowfeed migrate up`", s.target.Schema)}
	}
	list := s.offOwn()
	if s.version < version {
		list = append(list, fmt.Sprintf("schema %s: installed in version %d, this rowfeed needs version %d", s.target.Schema,
			s.version, version))
	}
	if s.slotSeconds != s.target.slotSeconds() {
		list = append(list, fmt.Sprintf("retention: installed with %d s, configured are %d s", s.slotSeconds,
			s.target.slotSeconds()))
	} else {
		for _, f := range s.target.helpers() {
			if d := s.difference(f); d != "" {
				list = append(list, "function "+f.name+" "+d)
			}
		}
	}
	for _, c := range s.channels {
		if c.fresh {
			list = append(list, "channel "+c.name+" is not installed")
		}
	}
	for _, name := range s.harmed {
		list = append(list, fmt.Sprintf("outbox table %s.%s was dropped or altered, so that nothing is captured: undo that, or run "+
			"`rowfeed migrate down` and `rowfeed migrate up`", s.target.Schema, name))
	}
	if !s.operators.tables {
		list = append(list, "the tables request and answer are missing")
	} else if !s.roles.operator.exists && s.mayMakeRoles() {
		list = append(list, "role "+s.target.operator()+" is missing")
	} else if s.roles.operator.exists && !s.operators.granted {
		list = append(list, "role "+s.target.operator()+" may not ask")
	}
	if !s.noted {
		list = append(list, "the table drift is missing")
	}
	if s.grantsNeeded() && !s.granted {
		list = append(list, fmt.Sprintf("role %s (the user of database.url) lacks rights on schema %s",
			s.target.RuntimeRole, s.target.Schema))
	}
	return list
}
