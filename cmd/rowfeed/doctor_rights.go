package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/triggers"
)

// checkInstallation is migrate status in short.
func checkInstallation(ctx context.Context, x *examination) []finding {
	wants, problems := rule.Wants(x.cfg)
	if len(problems) > 0 {
		return nil // they are the configuration's
	}
	user, err := userOf(x.cfg.Database.URL)
	if err != nil {
		return nil // likewise
	}
	state, err := triggers.Inspect(ctx, x.admin, triggers.Target{
		Schema: x.cfg.Database.Schema, Retention: x.cfg.Database.Retention, RuntimeRole: user, Wants: wants,
	})
	if err != nil {
		return []finding{fail(oneLine(err.Error()), "see the error")}
	}
	const do = "run `rowfeed migrate up`; `rowfeed migrate plan` says what it does"
	var found []finding
	for _, line := range state.Drifted() {
		found = append(found, fail(line, do))
	}
	if x.has&needsInstalled == 0 {
		return found
	}
	tables := 0
	for _, st := range state.Status() {
		if st.State == triggers.Unwanted {
			found = append(found, warn("table "+st.Table+": "+strings.Join(st.Problems, "; "), do))
		}
		tables++
	}
	if len(found) == 0 {
		found = append(found, good("%d tables are watched as the configuration wants it", tables))
	}
	return found
}

// checkRowSecurity looks for rows that policies hide from serve.
func checkRowSecurity(ctx context.Context, x *examination) []finding {
	hidden, err := collect[string](ctx, x.runtime, doctorQuery("row_security"), x.cfg.Database.Schema)
	if err != nil {
		return []finding{unreadable("row security", err)}
	}
	var found []finding
	for _, table := range hidden {
		found = append(found, fail("row-level security is on for "+table+": serve's role does not see all that was captured",
			"alter table "+table+" disable row level security"))
	}
	if len(identityQueries(x.cfg.Auth)) > 0 && x.has&needsAdmin != 0 {
		for _, q := range identityQueries(x.cfg.Auth) {
			relations, err := x.relations(ctx, q.sql)
			if err != nil {
				continue // the query's own check says so
			}
			for _, r := range relations {
				if r.Secured {
					found = append(found, warn(q.key+" reads "+r.Name+", where row-level security decides what serve's role sees",
						"see that its policies show role "+x.runtime.Config().User+" every user"))
				}
			}
		}
	}
	if len(found) == 0 {
		found = append(found, good("hides nothing from serve's role"))
	}
	return found
}

// checkRights looks at what serve's role may do beyond its work.
func checkRights(ctx context.Context, x *examination) []finding {
	var role string
	var rights []string
	if err := x.runtime.QueryRow(ctx, doctorQuery("role"), x.cfg.Database.Schema).Scan(&role, &rights); err != nil {
		return []finding{unreadable("the rights of database.url's role", err)}
	}
	if len(rights) > 0 {
		return []finding{warn(fmt.Sprintf("role %s of database.url %s: a mistake in a query could do anything", role,
			strings.Join(rights, ", ")), "give serve a role of its own: `rowfeed migrate plan --roles` says what it needs; then rowfeed migrate up")}
	}
	return []finding{good("role %s of database.url has no more than it was granted", role)}
}

// checkOthers looks for those who may read or write the outbox beside serve.
func checkOthers(ctx context.Context, x *examination) []finding {
	schema := x.cfg.Database.Schema
	type access struct{ Who, What, Do string }
	rows, err := x.admin.Query(ctx, doctorQuery("others"), schema, schema+"_owner", schema+"_operator", x.runtimeUser())
	if err != nil {
		return []finding{unreadable("the rights on schema "+schema, err)}
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[access])
	if err != nil {
		return []finding{unreadable("the rights on schema "+schema, err)}
	}
	var found []finding
	for _, a := range all {
		found = append(found, warn(a.Who+" "+a.What+": the outbox holds rows of every user and tenant", a.Do))
	}
	if len(found) == 0 {
		found = append(found, good("nobody else may read or write schema %s, but superusers and members of %s_owner", schema, schema))
	}
	return found
}

// checkSearchPath looks for schemas in which somebody else could put what serve's queries would then use.
func checkSearchPath(ctx context.Context, x *examination) []finding {
	if len(identityQueries(x.cfg.Auth)) == 0 {
		return nil
	}
	open, err := collect[string](ctx, x.runtime, doctorQuery("search_path"))
	if err != nil {
		return []finding{unreadable("the search path", err)}
	}
	var found []finding
	for _, schema := range open {
		found = append(found, warn("every login may create in schema "+schema+", where serve's queries look for names: one could slip in a "+
			"function or table of theirs", "revoke create on schema "+schema+" from public"))
	}
	if len(found) == 0 {
		found = append(found, good("what serve's queries name can't be replaced by other logins"))
	}
	return found
}

// collect returns a query's single column.
func collect[T any](ctx context.Context, conn *pgx.Conn, sql string, args ...any) ([]T, error) {
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[T])
}

// unreadable is what a check says that the server refuses.
func unreadable(what string, err error) finding {
	return fail(what+" can't be read: "+plain(err), "see the error; it may be a right that lacks")
}
