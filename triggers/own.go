package triggers

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// roleMark is the comment on the roles that up has made, and down may drop.
const roleMark = "made by rowfeed: rowfeed migrate down drops it"

// roles are those that rowfeed has of its own.
type roles struct{ owner, operator ownRole }

type ownRole struct {
	exists, ours bool // ours: made by up
	powers       bool // may log in, or is a superuser or nearly one
}

// own is what is in rowfeed's schema.
type own struct {
	owner     string // of the schema
	relations []ownRelation
}

// ownRelation is a table, view, index or sequence of the schema; kind is pg_class.relkind.
type ownRelation struct{ name, kind, owner string }

// ownKinds are the tables, views, indexes and sequences that have to be there.
var ownKinds = map[string]string{
	"installation": "r", "channel": "r", "capture": "r", "change_0": "r", "change_1": "r", "change_2": "r", "change": "v",
	"request": "r", "answer": "r", "drift": "r", "change_0_channel_xid": "i", "change_1_channel_xid": "i", "change_2_channel_xid": "i",
	"open_until": "S",
}

// readOwn reads the roles and what is in the schema.
func (s *State) readOwn(ctx context.Context, tx pgx.Tx) error {
	rows, _ := tx.Query(ctx, query("inspect_roles"), s.target.owner(), s.target.operator(), roleMark)
	var name string
	var role ownRole
	_, err := pgx.ForEachRow(rows, []any{&name, &role.ours, &role.powers}, func() error {
		role.exists = true
		if name == s.target.owner() {
			s.roles.owner = role
		} else {
			s.roles.operator = role
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read roles: %w", err)
	}
	rows, _ = tx.Query(ctx, query("inspect_publications"))
	if s.published, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return fmt.Errorf("read publications: %w", err)
	}
	rows, _ = tx.Query(ctx, query("inspect_own"), s.target.Schema)
	var r ownRelation
	_, err = pgx.ForEachRow(rows, []any{&s.own.owner, &r.name, &r.kind, &r.owner}, func() error {
		s.own.relations = append(s.own.relations, r)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read schema %s: %w", s.target.Schema, err)
	}
	return nil
}

// lost lists what is missing of the schema's own that no step of up makes, sorted. The outbox with a hole in it is not
// mended: a capture of before may have failed, and nobody knows what is gone.
func (s *State) lost() []string {
	if !s.server.installed {
		return nil
	}
	var list []string
	for name, kind := range ownKinds {
		made := name == "drift" || name == "open_until" && s.version < version || (name == "request" || name == "answer") && !s.operators.tables
		there := slices.ContainsFunc(s.own.relations, func(r ownRelation) bool { return r.name == name && r.kind == kind })
		if !there && !made {
			list = append(list, map[string]string{"r": "table ", "v": "view ", "i": "index ", "S": "sequence "}[kind]+name)
		}
	}
	slices.Sort(list)
	return list
}

// offRoles says what is not as it should be of our roles and of whom things belong to.
func (s *State) offOwn() []string {
	var list []string
	if !s.roles.owner.exists {
		list = append(list, "role "+s.target.owner()+" is missing")
	}
	if s.own.owner != s.target.owner() {
		list = append(list, fmt.Sprintf("schema %s belongs to %s, not to %s", s.target.Schema, s.own.owner, s.target.owner()))
	}
	for _, r := range s.own.relations {
		if _, ours := ownKinds[r.name]; ours && r.kind != "i" && r.owner != s.target.owner() {
			list = append(list, fmt.Sprintf("%s.%s belongs to %s, not to %s", s.target.Schema, r.name, r.owner, s.target.owner()))
		}
	}
	for _, what := range s.lost() {
		list = append(list, fmt.Sprintf("schema %s: %s is missing: run `rowfeed migrate down`, then `rowfeed migrate up`",
			s.target.Schema, what))
	}
	return list
}

// Notes says, in a line each, what a person should know who installs: roles that are not ours, or that there are none, and
// who else is sent what the outbox holds.
func (s *State) Notes() []string {
	var list []string
	t := &s.target
	for _, r := range []struct {
		role ownRole
		name string
	}{{s.roles.owner, t.owner()}, {s.roles.operator, t.operator()}} {
		if r.role.exists && !r.role.ours {
			list = append(list, fmt.Sprintf("role %s was not made by rowfeed: it is used as it is, and down leaves it", r.name))
		}
	}
	for _, p := range s.published {
		list = append(list, fmt.Sprintf("publication %s is for all tables, those of schema %s too: a subscription of PostgreSQL to it "+
			"stops with an error at the first row of these, and its slot keeps the WAL, unless the subscriber has the tables, empty: "+
			"create them there before up (the plan has them), or let the publication name its tables", p, t.Schema))
	}
	if !s.roles.operator.exists && !s.mayMakeRoles() {
		list = append(list, fmt.Sprintf("there is no role %s, and role %s may not make it: `rowfeed explain` and `rowfeed kick` work "+
			"for superusers and the user of database.url alone; to let others, as a superuser: create role %s nologin; and run "+
			"`rowfeed migrate up` again", t.operator(), s.server.user, ident(t.operator())))
	}
	return list
}

func (s *State) mayMakeRoles() bool { return s.server.superuser || s.server.createRole }
