package triggers

import (
	"fmt"
	"slices"
	"strings"
)

// Step is one transaction of Up.
type Step struct {
	What string // in a few words
	Lock string // the lock that it takes on tables of the ERP, and who waits for it
	SQL  string // statements that end with a semicolon, without begin and commit

	table string // whose lock it needs, for the message when it does not get it
}

// LockTimeout is how long a step waits for a lock, and so the longest that a write of the ERP can wait for a step that
// waits. It is tried again then.
const LockTimeout = "2s"

// Preamble begins each step's transaction. Nobody else's functions or operators get between us and the catalog.
const Preamble = "set local lock_timeout = '" + LockTimeout + "';\nset local search_path = pg_catalog, pg_temp;\n"

const (
	noLock    = "none on tables of the ERP"
	rowLock   = "share row exclusive on %s: reads go on, writes wait until it is done (milliseconds)"
	dropLock  = "access exclusive on %s: reads and writes wait until it is done (milliseconds)"
	kindRow   = 1 | 4 | 8 | 16 // pg_trigger.tgtype: for each row; insert, delete, update; neither bit of before, instead
	kindTrunc = 32
	always    = "A"
)

// Plan returns what Up would do, in order; nothing when all is as it should be. It is only of use when Err is nil.
func (s *State) Plan() []Step {
	p := &planner{State: s, nextID: s.lastID}
	p.foundation()
	p.retention()
	p.letAsk()
	for _, t := range s.tables {
		if t.usable() {
			p.watch(t)
			p.letAttach(t)
		}
	}
	p.unused()
	p.grants()
	return p.steps
}

type planner struct {
	*State
	steps  []Step
	nextID int32
	done   map[string]bool // relations whose function an earlier step replaces
}

func (p *planner) step(what, lock, table, sql string) {
	p.steps = append(p.steps, Step{What: what, Lock: lock, SQL: sql, table: table})
}

// asOwner runs statements as the owner role, so that what they make belongs to it.
func (p *planner) asOwner(sql string) string {
	return "set local role " + ident(p.target.owner()) + ";\n" + sql + "reset role;\n"
}

// reown gives functions that somebody made theirs back to the owner role, which has to replace them.
func (p *planner) reown(names ...string) (sql string) {
	for _, name := range names {
		if f, ok := p.functions[name]; ok && f.owner != p.target.owner() {
			sql += fmt.Sprintf("alter function %s owner to %s;\n", signature(p.target.Schema, name), ident(p.target.owner()))
		}
	}
	return sql
}

// foundation makes the role, the schema, its helpers and the channels.
func (p *planner) foundation() {
	t, v := &p.target, &p.server
	if !v.ownerExists {
		sql := "create role " + ident(t.owner()) + " nologin;\n"
		if !v.superuser {
			sql += grantRole(v, t.owner(), v.user) + "\n"
		}
		p.step("create role "+t.owner()+", which owns what rowfeed writes", noLock, "", sql)
	}
	if !v.installed {
		p.step("create schema "+t.Schema+" with the outbox", noLock, "", render("schema", t.common()))
	}
	p.upgrade()
	p.requests()
	p.driftTable()
	p.letWrite()
	if !v.installed || p.slotSeconds == t.slotSeconds() {
		var sql string
		for _, f := range t.helpers() {
			if p.differs(f) {
				sql += f.create(t.Schema)
			}
		}
		if sql != "" {
			p.step("create the functions that the bridge and operators call", noLock, "", p.reown(helperNames...)+p.asOwner(sql+p.adopt()))
		}
	}
	var sql string
	for _, c := range p.channels {
		if c.fresh {
			sql += fmt.Sprintf("insert into %s (id, name, notify) values (%d, %s, %s);\n", ident(t.Schema, "channel"), c.id,
				literal(c.name), literal(c.notify))
		}
	}
	if sql != "" {
		p.step("add channels", noLock, "", p.asOwner(sql))
	}
}

// upgrade makes the tables those of this version. It locks rowfeed's own table installation, which no capture reads.
func (p *planner) upgrade() {
	if p.server.installed && p.version < version {
		table := ident(p.target.Schema, "installation")
		p.step(fmt.Sprintf("bring schema %s from version %d to %d", p.target.Schema, p.version, version), noLock, "",
			p.asOwner(fmt.Sprintf("alter table %s add column if not exists epoch text,\n  add column if not exists "+
				"swept pg_snapshot not null default '1:1:';\nupdate %s set version = %d;\n", table, table, version)))
	}
}

// adopt notes of which history the outbox is, where that is not known yet. Later it is for a tick to do.
func (p *planner) adopt() string {
	return fmt.Sprintf("update %s set epoch = %s() where epoch is null;\n", ident(p.target.Schema, "installation"),
		ident(p.target.Schema, "epoch"))
}

// differs tells whether a function is missing or is not as it should be.
func (s *State) differs(f *function) bool { return s.difference(f) != "" }

// difference says in what an installed function is not as it should be; empty when it is.
func (s *State) difference(f *function) string {
	installed, ok := s.functions[f.name]
	switch {
	case !ok:
		return "is missing"
	case installed.body != "\n"+f.body:
		return "is not as this version writes it, or was changed by hand"
	case !slices.Equal(installed.config, f.config()):
		return "has other settings"
	case !installed.definer:
		return "is not security definer"
	case installed.owner != s.target.owner():
		return "belongs to " + installed.owner
	case installed.public:
		return "can be executed by everybody"
	}
	return ""
}

// retention changes the length of a slot. All functions have to agree on which slot is the current one, so they are
// replaced in one transaction; that takes no lock on a table.
func (p *planner) retention() {
	p.done = map[string]bool{}
	t := &p.target
	if !p.server.installed || p.slotSeconds == t.slotSeconds() {
		return
	}
	sql := fmt.Sprintf("update %s set slot_seconds = %d;\n", ident(t.Schema, "installation"), t.slotSeconds())
	for _, f := range t.helpers() {
		sql += f.create(t.Schema)
	}
	for _, table := range p.tables {
		if table.usable() && p.latest[table.want.relation()] != nil {
			sql += p.function(table)
			p.done[table.want.relation()] = true
		}
	}
	p.step(fmt.Sprintf("change the outbox's slots from %d to %d seconds", p.slotSeconds, t.slotSeconds()), noLock, "",
		p.reown(p.functionNames()...)+p.asOwner(sql+p.adopt()))
}

// current is the version that the table should have: the newest that is there, or a new one.
func (s *State) current(t *table, nextID int32) (c *capture, fresh bool) {
	latest := s.latest[t.want.relation()]
	if latest != nil {
		if c := s.newCapture(t, latest.id); c.hash == latest.hash {
			return c, false
		}
	}
	return s.newCapture(t, nextID), true
}

// function writes down the table's version and its function, as far as they are not there.
func (p *planner) function(t *table) string {
	c, fresh := p.current(t, p.nextID+1)
	var sql string
	if fresh {
		p.nextID++
		sql = c.insert(p.target.Schema)
	}
	if fresh || p.differs(c.function) {
		sql += c.function.create(p.target.Schema)
	}
	return sql
}

// watch makes a table's function and triggers, as far as they are not there.
func (p *planner) watch(t *table) {
	relation := t.want.relation()
	var function string
	if !p.done[relation] {
		if function = p.function(t); function != "" {
			function = p.reown(functionName(t.want.schema, t.want.name)) + p.asOwner(function)
		}
	}
	triggers, dropping := p.triggerSQL(t)
	table := ident(t.want.schema, t.want.name)
	if triggers != "" {
		function += lockTogether(t.names(), dropping)
	}
	switch {
	case triggers == "" && function == "":
	case triggers == "":
		p.step("replace what is captured of "+relation, noLock, "", function)
	case dropping:
		p.step("watch "+relation, fmt.Sprintf(dropLock, table), relation, function+triggers)
	default:
		p.step("watch "+relation, fmt.Sprintf(rowLock, table), relation, function+triggers)
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

// triggerSQL makes the triggers right. Partitions get the clone of their parent's row trigger from PostgreSQL; should
// one lack it, the parent's is made anew.
func (p *planner) triggerSQL(t *table) (sql string, dropping bool) {
	function := functionName(t.want.schema, t.want.name)
	list := p.expect(t)
	again := slices.ContainsFunc(list, func(e *expected) bool {
		w := e.wrong(function)
		return e.clone && (w == "missing" || w == "outdated") || e == list[0] && w == "outdated"
	})
	made := map[uint32]bool{}
	for _, e := range list {
		table, name := ident(e.member.schema, e.member.name), ident(e.name)
		wrong := e.wrong(function)
		isRoot := e == list[0]
		switch {
		case isRoot && again && e.found != nil, !isRoot && !e.clone && wrong == "outdated":
			sql += fmt.Sprintf("drop trigger %s on %s;\n", name, table)
			dropping = true
			wrong = "missing"
		case isRoot && again:
			wrong = "missing"
		}
		if wrong == "missing" && !e.clone {
			sql += p.createTrigger(e, table, function)
			made[e.member.oid] = isRoot
		}
		if wrong != "" || e.clone && (again || made[t.oid]) {
			sql += fmt.Sprintf("alter table %s enable always trigger %s;\n", table, name)
		}
	}
	return sql, dropping
}

func (p *planner) createTrigger(e *expected, table, function string) string {
	event, each := "insert or update or delete", "row"
	if e.kind == kindTrunc {
		event, each = "truncate", "statement"
	}
	return fmt.Sprintf("create trigger %s after %s on %s\n  for each %s execute function %s();\n", ident(e.name), event,
		table, each, ident(p.target.Schema, function))
}

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
	p.dropTriggers(func(g installedTrigger) bool { return !wanted[g.oid] })
	var sql string
	for _, name := range p.functionNames() {
		if !functions[name] {
			sql += fmt.Sprintf("drop function %s();\n", ident(p.target.Schema, name))
		}
	}
	if sql != "" {
		p.step("drop functions that nothing needs", noLock, "", sql)
	}
}

// dropTriggers drops the chosen ones of our triggers, table by table. Clones go with their parent's.
func (p *planner) dropTriggers(chosen func(installedTrigger) bool) {
	for i, g := range p.triggers {
		if g.function == "" || g.clone || !chosen(g) {
			continue
		}
		table := ident(g.schema, g.table)
		sql := fmt.Sprintf("drop trigger %s on %s;\n", ident(g.name), table)
		if n := len(p.steps); i > 0 && p.triggers[i-1].oid == g.oid && n > 0 && p.steps[n-1].table == g.schema+"."+g.table {
			p.steps[n-1].SQL += sql
			continue
		}
		p.step("stop watching "+g.schema+"."+g.table, fmt.Sprintf(dropLock, table), g.schema+"."+g.table,
			lockTogether(p.clones(g), true)+sql)
	}
}

// clones are the tables that lose their trigger with a parent's, that one first.
func (s *State) clones(parent installedTrigger) []string {
	tables := []string{ident(parent.schema, parent.table)}
	for _, g := range s.triggers {
		if g.clone && g.function == parent.function && g.name == parent.name {
			tables = append(tables, ident(g.schema, g.table))
		}
	}
	return tables
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

// grants lets the runtime role read.
func (p *planner) grants() {
	if !p.grantsNeeded() || p.granted {
		return
	}
	p.step("let role "+p.target.RuntimeRole+" read the outbox", noLock, "",
		p.asOwner(strings.Join(runtimeGrants(p.target.Schema, ident(p.target.RuntimeRole)), "\n")+"\n"))
}
