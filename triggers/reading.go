package triggers

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// probe is the name of the function, and of the prepared statement, that a reading is parsed as.
const probe = "rowfeed_reading"

// reading lists what the runtime role needs for a configured query, or that it can't be told.
func (r *rights) reading(ctx context.Context, tx pgx.Tx, reading Reading) error {
	attempt, err := tx.Begin(ctx) // a savepoint: the next query is to be looked at all the same
	if err != nil {
		return err
	}
	defer func() { _ = attempt.Rollback(ctx) }() // nothing is to stay of it
	err = r.reads(ctx, attempt, reading)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		r.add(Right{Of: Runtime, Role: r.target.RuntimeRole, Why: fmt.Sprintf("%s: what it reads can't be told: %s: see to that, then ask again",
			reading.Key, pg.Message)})
		return nil
	}
	return err
}

// reads lists it: as the body of a function in SQL it is parsed, and the
// server writes down which columns, functions and types it depends on. Views count as themselves, not as their tables.
func (r *rights) reads(ctx context.Context, tx pgx.Tx, reading Reading) error {
	if err := r.parse(ctx, tx, reading.SQL); err != nil {
		return err
	}
	rows, _ := tx.Query(ctx, query("inspect_reading"), r.target.RuntimeRole)
	var kind, name string
	var columns []string
	var held bool
	role := ident(r.target.RuntimeRole)
	_, err := pgx.ForEachRow(rows, []any{&kind, &name, &columns, &held}, func() error {
		sql := fmt.Sprintf("grant %s on %s %s to %s;", map[string]string{"schema": "usage", "table": "select", "function": "execute"}[kind],
			kind, name, role)
		if len(columns) > 0 {
			quoted := make([]string, len(columns))
			for i, c := range columns {
				quoted[i] = ident(c)
			}
			sql = fmt.Sprintf("grant select (%s) on %s to %s;", strings.Join(quoted, ", "), name, role)
		}
		why := reading.Key + " reads it"
		if kind == "function" {
			why = reading.Key + " calls it; what it reads in turn has to be granted too, unless it is security definer"
		}
		r.add(Right{Of: Runtime, Role: r.target.RuntimeRole, Why: why, SQL: sql, Held: held})
		return nil
	})
	return err
}

// parse makes the function. Its parameters are of the types that the query asks for; names are found as serve finds them.
func (r *rights) parse(ctx context.Context, tx pgx.Tx, sql string) error {
	if _, err := tx.Exec(ctx, "select pg_catalog.set_config('search_path', $1, true)", r.path); err != nil {
		return err
	}
	prepared, err := tx.Prepare(ctx, probe, sql)
	if err != nil {
		return err
	}
	if err := tx.Conn().Deallocate(ctx, probe); err != nil {
		return err
	}
	var types string
	err = tx.QueryRow(ctx, `select coalesce(pg_catalog.string_agg(pg_catalog.format_type(p.type, null), ', ' order by p.n), '')
		from pg_catalog.unnest($1::oid[]) with ordinality p (type, n)`, prepared.ParamOIDs).Scan(&types)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, fmt.Sprintf("create function pg_temp.%s(%s) returns setof record language sql begin atomic\n%s\n;\nend",
		probe, types, sql), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, plainNames) // what is printed has its schema
	return err
}
