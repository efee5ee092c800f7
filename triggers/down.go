package triggers

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Down removes everything that Up wrote, and nothing else. Where something of somebody else's hangs on it, it removes
// nothing and says what that is. Stopped half-way, Down goes on from there, and Up mends it.
func Down(ctx context.Context, conn *pgx.Conn, schema string, progress func(string)) error {
	return locked(ctx, conn, schema, progress, func() error {
		state, err := Inspect(ctx, conn, Target{Schema: schema})
		if err != nil {
			return err
		}
		if err := state.removable(ctx, conn); err != nil {
			return err
		}
		p := &planner{State: state}
		p.dropTriggers(func(*installedTrigger) bool { return true })
		if state.server.installed {
			p.step("drop schema "+schema, p.dropSchema(), "")
			p.steps[len(p.steps)-1].late = true
		}
		if err := run(ctx, conn, p.steps, progress, "down"); err != nil {
			return explainDependents(err, schema)
		}
		for _, r := range []struct {
			role ownRole
			name string
		}{{state.roles.operator, state.target.operator()}, {state.roles.owner, state.target.owner()}} {
			switch {
			case r.role.ours:
				if err := dropRole(ctx, conn, r.name, progress); err != nil {
					return err
				}
			case r.role.exists && state.server.installed:
				progress("role " + r.name + " stays: rowfeed did not make it")
			}
		}
		return nil
	})
}

// removable refuses what would leave half of it, before anything is done.
func (s *State) removable(ctx context.Context, conn *pgx.Conn) error {
	v, schema := &s.server, s.target.Schema
	switch {
	case v.refused || v.standby || s.version > version:
		return s.Refused()
	case !v.schemaExists:
		return nil
	case !v.installed:
		return fmt.Errorf("schema %s is not rowfeed's, or its table installation was dropped: nothing was removed: if all in it "+
			"is rowfeed's: drop schema %s cascade; which drops the triggers too", schema, ident(schema))
	case !v.superuser && v.ownerExists && !v.ownerMember:
		return fmt.Errorf("role %s may not drop what belongs to %s: nothing was removed: connect as a superuser "+
			"(database.admin_url), or grant %s to %s", v.user, s.target.owner(), ident(s.target.owner()), ident(v.user))
	}
	if !v.superuser {
		if err := s.mayDrop(ctx, conn); err != nil {
			return err
		}
	}
	rows, _ := conn.Query(ctx, query("inspect_dependents"), schema, ownNames(), helperNames)
	theirs, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look for what depends on schema %s: %w", schema, err)
	}
	if len(theirs) > 0 {
		return fmt.Errorf("not rowfeed's, but in schema %s or made of it: %s: nothing was removed: drop that, or move it elsewhere, "+
			"then run `rowfeed migrate down` again", schema, strings.Join(theirs, "; "))
	}
	return nil
}

// mayDrop says whose objects would stop down half-way: a role other than a superuser drops only its own and those of
// roles that it is a member of.
func (s *State) mayDrop(ctx context.Context, conn *pgx.Conn) error {
	rows, _ := conn.Query(ctx, query("inspect_droppable"), s.target.Schema)
	others, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look for whom things belong to: %w", err)
	}
	if len(others) > 0 {
		return fmt.Errorf("role %s may not drop %s: nothing was removed: connect as a superuser (database.admin_url) or as a "+
			"member of their owners", s.server.user, strings.Join(others, "; "))
	}
	return nil
}

// ownNames are the tables, views, indexes and sequences that up makes.
func ownNames() []string {
	list := []string{"installation_one"}
	for name := range ownKinds {
		list = append(list, name)
	}
	return list
}

// dropSchema names each object, and cascades to none: what somebody else made to depend on the outbox is theirs.
func (p *planner) dropSchema() string {
	schema := p.target.Schema
	var b strings.Builder
	for _, name := range p.functionNames() {
		fmt.Fprintf(&b, "drop function %s;\n", signature(schema, name))
	}
	fmt.Fprintf(&b, "drop view if exists %s;\n", ident(schema, "change"))
	fmt.Fprintf(&b, "drop table if exists %s, %s, %s;\n", ident(schema, "answer"), ident(schema, "request"), ident(schema, "drift"))
	for _, name := range readable[:len(readable)-1] {
		fmt.Fprintf(&b, "drop table if exists %s;\n", ident(schema, name))
	}
	fmt.Fprintf(&b, "drop sequence if exists %s;\ndrop schema %s;\n", ident(schema, "open_until"), ident(schema))
	return b.String()
}

// explainDependents says what to do when somebody's objects came to hang on ours meanwhile.
func explainDependents(err error, schema string) error {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == dependentObjects {
		return fmt.Errorf("%w: %s: that is not rowfeed's: drop it, then run `rowfeed migrate down` again; or `rowfeed migrate up`, "+
			"which makes schema %s whole again", err, strings.ReplaceAll(pgErr.Detail, "\n", "; "), schema)
	}
	return err
}

// dropRole drops a role of ours, unless another database of the cluster needs it or we may not.
func dropRole(ctx context.Context, conn *pgx.Conn, name string, progress func(string)) error {
	drop := "drop role if exists " + ident(name)
	_, err := conn.Exec(ctx, drop)
	if stateOf(err) == internalError {
		// Two downs that drop it at the same time: the server tells the second that the row is gone, not that the role is.
		_, err = conn.Exec(ctx, drop)
	}
	var pgErr *pgconn.PgError
	switch {
	case err == nil:
		progress("drop role " + name)
	case errors.As(err, &pgErr) && pgErr.Code == dependentObjects:
		progress(fmt.Sprintf("role %s stays: something else in this cluster depends on it (%s)", name,
			strings.ReplaceAll(pgErr.Detail, "\n", "; ")))
	case errors.As(err, &pgErr) && pgErr.Code == noPrivilege:
		progress(fmt.Sprintf("role %s stays: this role may not drop it; as a superuser: drop role %s;", name, ident(name)))
	default:
		return fmt.Errorf("drop role %s: %w", name, err)
	}
	return nil
}
