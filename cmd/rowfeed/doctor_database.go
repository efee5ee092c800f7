package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"nalar.internal/rowfeed/bridge/audience"
	"nalar.internal/rowfeed/config"
)

//go:embed queries/doctor_*.sql
var doctorFiles embed.FS

// doctorQuery returns queries/doctor_NAME.sql.
func doctorQuery(name string) string {
	b, err := doctorFiles.ReadFile("queries/doctor_" + name + ".sql")
	if err != nil {
		panic(err) // the files are compiled in
	}
	return string(b)
}

// checkQueries runs the identity queries as serve does.
func checkQueries(ctx context.Context, x *examination) []finding {
	var found []finding
	for _, q := range identityQueries(x.cfg.Auth) {
		err := audience.CheckQueries(ctx, q.alone, x.runtime)
		if err != nil {
			about := strings.TrimPrefix(err.Error(), audience.ErrUnavailable.Error()+": ")
			found = append(found, fail(oneLine(about), "correct the query, or grant the role of database.url what it reads"))
			continue
		}
		found = append(found, good("%s runs as serve's role", q.key))
	}
	return found
}

// identityQuery is one of the configured queries.
type identityQuery struct {
	key, sql string
	alone    config.Auth // with this query and nothing else
}

func identityQueries(auth config.Auth) []identityQuery {
	all := []identityQuery{
		{"auth.user_query", auth.UserQuery, config.Auth{UserQuery: auth.UserQuery}},
		{"auth.grants_query", auth.GrantsQuery, config.Auth{GrantsQuery: auth.GrantsQuery}},
	}
	return slices.DeleteFunc(all, func(q identityQuery) bool { return strings.TrimSpace(q.sql) == "" })
}

// relation is a table that a query reads.
type relation struct {
	Name     string // schema.table; of a partition that of its root
	Kind     string // of pg_class
	Writable bool   // by serve's role
	Secured  bool   // policies decide which rows that sees
}

// checkGrantsTables looks for tables that decide who a user is, or what they may see, and whose changes go unnoticed.
func checkGrantsTables(ctx context.Context, x *examination) []finding {
	queries := identityQueries(x.cfg.Auth)
	if len(queries) == 0 {
		return nil
	}
	watched := map[string]bool{}
	for table := range x.cfg.Auth.GrantsTables {
		if !strings.Contains(table, ".") {
			table = "public." + table
		}
		watched[table] = true
	}
	var found []finding
	for _, q := range queries {
		found = append(found, x.tablesOf(ctx, q, watched)...)
	}
	return found
}

// tablesOf judges the tables and functions that one query reads.
func (x *examination) tablesOf(ctx context.Context, q identityQuery, watched map[string]bool) []finding {
	relations, err := x.relations(ctx, q.sql)
	if err != nil {
		return []finding{fail(q.key+": what it reads can't be told: "+plain(err), "correct the query; admin_url may need rights on its tables")}
	}
	var found []finding
	var noticed []string
	for _, r := range relations {
		const manual = "or have sessions end sooner: tokens that live for minutes are renewed from the database"
		switch {
		case r.Kind == "m":
			found = append(found, warn(q.key+" reads "+r.Name+", a materialized view: no trigger sees its refresh", "read its tables, "+manual))
		case r.Kind == "f":
			found = append(found, warn(q.key+" reads "+r.Name+", a foreign table: changes elsewhere are not seen", "read a local copy, "+manual))
		case strings.HasPrefix(r.Name, "pg_catalog."):
			found = append(found, warn(q.key+" reads "+r.Name+", of which no change is seen", "read a table of the ERP, "+manual))
		case !watched[r.Name]:
			found = append(found, warn(q.key+" reads "+r.Name+", which is not in auth.grants_tables: a right that is taken away there is kept "+
				"until the session ends or renews its token",
				"add it, with the column that holds the user, or an empty one where a change concerns everybody"))
		default:
			noticed = append(noticed, r.Name)
		}
		if r.Writable {
			found = append(found, warn("serve's role may write "+r.Name, "revoke insert, update, delete and truncate: reading is enough"))
		}
	}
	functions, err := x.functions(ctx, q.sql)
	if err != nil {
		return append(found, fail(q.key+": its functions can't be looked up: "+plain(err), "see the error"))
	}
	if len(functions) > 0 {
		found = append(found, warn(q.key+" calls "+strings.Join(functions, ", ")+": the tables read in there are not known to doctor",
			"see that each of them is in auth.grants_tables"))
	}
	if len(found) == 0 {
		found = append(found, good("%s: changes are noticed of %s", q.key, strings.Join(noticed, ", ")))
	}
	return found
}

// relations lists the tables that the planner would read. The plan is a generic one, so that no value of the user can
// have it leave a table out; views are seen through to their tables.
func (x *examination) relations(ctx context.Context, sql string) ([]relation, error) {
	tx, err := x.admin.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(ctx) }() // nothing was written
	if err := x.searchPath(ctx, tx); err != nil {
		return nil, err
	}
	const name = "rowfeed_doctor"
	prepared, err := tx.Prepare(ctx, name, sql)
	if err != nil {
		return nil, err
	}
	defer func() { _ = x.admin.Deallocate(ctx, name) }() // goes with the connection
	nulls := strings.TrimSuffix(strings.Repeat("null, ", len(prepared.ParamOIDs)), ", ")
	if nulls != "" {
		nulls = "(" + nulls + ")"
	}
	// NULL is in no partition, and none may be left out for that.
	const whole = "set local plan_cache_mode = force_generic_plan; set local enable_partition_pruning = off"
	if _, err := tx.Exec(ctx, whole); err != nil {
		return nil, err
	}
	var plan string
	err = tx.QueryRow(ctx, "explain (verbose, format json) execute "+name+nulls, pgx.QueryExecModeSimpleProtocol).Scan(&plan)
	if err != nil {
		return nil, err
	}
	var nodes any
	if err := json.Unmarshal([]byte(plan), &nodes); err != nil {
		return nil, fmt.Errorf("read plan: %w", err)
	}
	names := map[string]bool{}
	walkPlan(nodes, names)
	rows, err := tx.Query(ctx, doctorQuery("relations"), slices.Sorted(maps.Keys(names)), x.runtime.Config().User)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[relation])
}

// runtimeUser is the role of database.url; empty where that can't be read.
func (x *examination) runtimeUser() string {
	user, err := userOf(x.cfg.Database.URL)
	if err != nil {
		return "" // the configuration's check says so
	}
	return user
}

// searchPath has names in tx mean what they mean to serve's role.
func (x *examination) searchPath(ctx context.Context, tx pgx.Tx) error {
	var path string
	err := x.runtime.QueryRow(ctx, `select replace(current_setting('search_path'), '"$user"', quote_ident(current_user))`).Scan(&path)
	if err == nil {
		_, err = tx.Exec(ctx, "select set_config('search_path', $1, true)", path)
	}
	return err
}

// walkPlan collects the relations of a plan, quoted as SQL writes them.
func walkPlan(node any, names map[string]bool) {
	switch node := node.(type) {
	case []any:
		for _, inner := range node {
			walkPlan(inner, names)
		}
	case map[string]any:
		table, _ := node["Relation Name"].(string)
		schema, _ := node["Schema"].(string)
		if table != "" {
			names[pgx.Identifier{schema, table}.Sanitize()] = true
		}
		for _, inner := range node {
			walkPlan(inner, names)
		}
	}
}

// called matches what may be the name of a function in SQL.
var called = regexp.MustCompile(`([A-Za-z_][A-Za-z0-9_$]*)"?\s*\(`)

// functions lists the functions outside of pg_catalog whose names the query has before a parenthesis.
func (x *examination) functions(ctx context.Context, sql string) ([]string, error) {
	var names []string
	for _, m := range called.FindAllStringSubmatch(sql, -1) {
		names = append(names, m[1], strings.ToLower(m[1]))
	}
	rows, err := x.admin.Query(ctx, doctorQuery("functions"), names)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// plain is the server's own words, in one line, without what it quotes of the statement.
func plain(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return oneLine(pg.Message)
	}
	return oneLine(err.Error())
}
