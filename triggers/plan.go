package triggers

import (
	"fmt"
	"slices"
	"strings"
)

const (
	kindRow   = 1 | 4 | 8 | 16 // pg_trigger.tgtype: for each row; insert, delete, update; neither bit of before, instead
	kindTrunc = 32
	always    = "A"
)

// Plan returns what Up would do, in order; nothing when all is as it should be. It is only of use when Err is nil.
func (s *State) Plan() []Step {
	p := &planner{State: s, nextID: s.lastID}
	return p.plan()
}

func (p *planner) plan() []Step {
	p.foundation()
	p.giveBack()
	p.retention()
	p.letAsk()
	p.grants()
	for _, t := range p.tables {
		if t.usable() {
			p.watch(t)
			p.letAttach(t)
		}
	}
	p.unused()
	return p.steps
}

type planner struct {
	*State
	steps  []Step
	nextID int32
	done   map[string]bool // relations whose function an earlier step replaces

	planned  map[string]*capture // by relation: the version that is written down
	portable bool                // for migration files, which may run elsewhere and more than once
}

// step adds a step that takes no lock on a table of the ERP. undo takes it back.
func (p *planner) step(what, sql, undo string) {
	s := Step{What: what, undo: undo, script: scriptUpdate}
	if !p.server.installed {
		s.script, s.undo = scriptInstall, "" // down's statements do, for the whole file
	}
	s.add(sql)
	p.add(s)
}

// add adds a step.
func (p *planner) add(s Step) {
	s.finish()
	p.steps = append(p.steps, s)
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
	if !p.roles.owner.exists {
		p.createRole(t.owner(), "which owns what rowfeed writes", !v.superuser)
	}
	if !v.installed {
		p.step("create schema "+t.Schema+" with the outbox", render("schema", t.common()), "")
	}
	p.upgrade()
	p.requests()
	p.driftTable()
	p.letWrite()
	if !v.installed || p.slotSeconds == t.slotSeconds() {
		var sql, undo string
		for _, f := range t.helpers() {
			if p.differs(f) {
				sql += f.create(t.Schema)
				undo = p.restoreFunction(f.name) + undo
			}
		}
		if sql != "" {
			p.step("create the functions that the bridge and operators call", p.reown(helperNames...)+p.asOwner(sql+p.adopt()),
				undo)
		}
	}
	var sql string
	for _, c := range p.channels {
		if c.fresh {
			sql += fmt.Sprintf("insert into %s (id, name, notify) values (%d, %s, %s)%s;\n", ident(t.Schema, "channel"), c.id,
				literal(c.name), literal(c.notify), p.unlessThere())
		}
	}
	if sql != "" {
		p.step("add channels", p.asOwner(sql), "-- The channels stay: a channel's number is never given to another one.\n")
	}
}

// createRole makes a role that is down's to drop. Roles belong to the whole server: in a migration file, which may run
// in another one, it is made unless it is there.
func (p *planner) createRole(name, what string, join bool) {
	sql := fmt.Sprintf("create role %s nologin;\ncomment on role %s is %s;\n", ident(name), ident(name), literal(roleMark))
	switch {
	case p.portable:
		if name == p.target.owner() {
			member := "grant " + ident(name) + " to current_user"
			sql += fmt.Sprintf("if not (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user) then\n"+
				"execute %s || case when pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= %d\n"+
				"  then ' with inherit true, set true' else '' end;\nend if;\n", literal(member), inheritOption)
		}
		sql = fmt.Sprintf("do $rowfeed$ begin\nif not exists (select from pg_catalog.pg_roles r where r.rolname = %s) then\n%send if;\n"+
			"end $rowfeed$;\n", literal(name), sql)
	case join:
		sql += grantRole(&p.server, name, p.server.user) + "\n"
	}
	p.step("create role "+name+", "+what, sql, "")
}

// unlessThere lets a migration file that was taken back be run again: what counts for the outbox's rows stays for ever.
func (p *planner) unlessThere() string {
	if p.portable {
		return " on conflict (id) do nothing"
	}
	return ""
}

// upgrade makes the tables those of this version. It locks rowfeed's own table installation, which no capture reads.
func (p *planner) upgrade() {
	if p.server.installed && p.version < version {
		table, c := ident(p.target.Schema, "installation"), p.target.common()
		p.step(fmt.Sprintf("bring schema %s from version %d to %d", p.target.Schema, p.version, version),
			p.asOwner(fmt.Sprintf("alter table %s add column if not exists epoch text,\n  add column if not exists "+
				"swept pg_snapshot not null default '1:1:',\n  add column if not exists fence xid8 not null default '0',\n"+
				"  add column if not exists stopped timestamptz, add column if not exists open_until timestamptz;\n"+
				"create sequence if not exists %s;\nupdate %s set version = %d, open_until = pg_catalog.to_timestamp("+
				"pg_catalog.setval(%s::pg_catalog.regclass, %s));\n",
				table, ident(p.target.Schema, "open_until"), table, version, c.Sequence(), c.Due())),
			p.asOwner(fmt.Sprintf("update %s set version = %d;\n", table, p.version)))
	}
}

// adopt notes of which history the outbox is, where that is not known yet. Later it is for a tick to do.
func (p *planner) adopt() string {
	return fmt.Sprintf("update %s set epoch = %s() where epoch is null;\n", ident(p.target.Schema, "installation"),
		ident(p.target.Schema, "epoch"))
}

// giveBack makes what is rowfeed's the owner role's again.
func (p *planner) giveBack() {
	var sql, undo string
	if p.server.installed && p.own.owner != p.target.owner() {
		sql = fmt.Sprintf("alter schema %s owner to %s;\n", ident(p.target.Schema), ident(p.target.owner()))
		undo = fmt.Sprintf("alter schema %s owner to %s;\n", ident(p.target.Schema), ident(p.own.owner))
	}
	for _, r := range p.own.relations {
		if r.owner != p.target.owner() && ownKinds[r.name] == r.kind {
			kind := map[string]string{"r": "table", "v": "view", "S": "sequence"}[r.kind]
			alter := "alter " + kind + " " + ident(p.target.Schema, r.name) + " owner to "
			sql += alter + ident(p.target.owner()) + ";\n"
			undo += alter + ident(r.owner) + ";\n"
		}
	}
	if sql != "" {
		p.step("give role "+p.target.owner()+" back what belongs to others", sql, undo)
	}
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
	set := "update " + ident(t.Schema, "installation") + " set slot_seconds = %d;\n"
	sql, undo := fmt.Sprintf(set, t.slotSeconds()), p.asOwner(fmt.Sprintf(set, p.slotSeconds))
	for _, f := range t.helpers() {
		sql += f.create(t.Schema)
		undo += p.restoreFunction(f.name)
	}
	for _, table := range p.tables {
		if table.usable() && p.latest[table.want.relation()] != nil {
			function := p.function(table)
			sql += function.sql
			undo += function.undo
			p.done[table.want.relation()] = true
		}
	}
	p.step(fmt.Sprintf("change the outbox's slots from %d to %d seconds", p.slotSeconds, t.slotSeconds()),
		p.reown(p.functionNames()...)+p.asOwner(sql+p.adopt()), undo)
}

// grants lets the runtime role read.
func (p *planner) grants() {
	if !p.grantsNeeded() || p.granted {
		return
	}
	give := runtimeGrants(p.target.Schema, ident(p.target.RuntimeRole))
	p.step("let role "+p.target.RuntimeRole+" read the outbox", p.asOwner(strings.Join(give, "\n")+"\n"), p.asOwner(revoked(give)))
}

// revoked takes grants back.
func revoked(grants []string) (sql string) {
	for _, g := range grants {
		to := strings.LastIndex(g, " to ")
		sql += "revoke " + strings.TrimPrefix(g[:to], "grant ") + " from " + g[to+len(" to "):] + "\n"
	}
	return sql
}
