package triggers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// tableData fills in sql/guard_table.sql: what a script takes for granted of a table.
type tableData struct {
	common
	Table, Name, Columns, Row, Truncate string // as SQL literals; Columns an array
}

// guard is the part of a script that makes sure that the database still is what it was made for, and the lines that say
// which versions of captures it writes down.
func (p *planner) guard(ctx context.Context, conn *pgx.Conn, steps []Step) (sql, captures string, err error) {
	schema := p.target.Schema
	if steps[0].script == scriptInstall {
		return check("exists (select from pg_catalog.pg_namespace n where n.nspname = "+literal(schema)+")",
			"schema "+schema+" is there already"), "", nil
	}
	var b strings.Builder
	slot, number := p.target.slotSeconds(), version
	if steps[0].script == scriptUpdate {
		slot, number = p.slotSeconds, p.version
	}
	b.WriteString(check(fmt.Sprintf("not exists (select from %s i where i.version = %d and i.slot_seconds = %d)",
		ident(schema, "installation"), number, slot), "schema "+schema+" is not as it was when this file was made: is a file "+
		"before this one missing?"))
	for _, t := range p.tables {
		mine := slices.ContainsFunc(steps, func(s Step) bool {
			return s.script == scriptWatch+t.want.relation() || s.script == scriptUpdate && p.done[t.want.relation()]
		})
		if mine && t.usable() {
			more, note := p.guardCapture(t)
			captures += note
			b.WriteString(more)
		}
	}
	for _, step := range steps {
		if step.Table == "" {
			continue
		}
		more, err := p.guardTable(ctx, conn, step.Table)
		if err != nil {
			return "", "", err
		}
		if !strings.Contains(b.String(), more) {
			b.WriteString(more)
		}
	}
	return b.String(), captures, nil
}

// check is one condition of a guard, and what to say where it holds.
func check(wrong, says string) string {
	return fmt.Sprintf("if %s then\n  raise exception '%%', %s;\nend if;\n", wrong,
		literal("rowfeed: "+oneLineOf(says)+": nothing was done: run `rowfeed migrate sql` again"))
}

// guardCapture makes sure that a version's number is not taken by another, and that channels have the numbers that the
// function has.
func (p *planner) guardCapture(t *table) (sql, note string) {
	schema := p.target.Schema
	c := p.planned[t.want.relation()]
	if c != nil {
		note = fmt.Sprintf("%s%d %s\n", captureLine, c.id, c.hash)
		sql = check(fmt.Sprintf("exists (select from %s c where c.id = %d and c.hash <> %s)", ident(schema, "capture"), c.id,
			literal(c.hash)), fmt.Sprintf("the number %d of a version of %s is taken by another", c.id, t.want.relation()))
	}
	for _, w := range t.want.channels {
		sql += check(fmt.Sprintf("not exists (select from %s c where c.id = %d and c.name = %s)", ident(schema, "channel"),
			p.channelID(w.name), literal(w.name)), "channel "+w.name+" has another number here")
	}
	return sql, note
}

// guardTable makes sure that columns, partitions and triggers of a table are what they were.
func (p *planner) guardTable(ctx context.Context, conn *pgx.Conn, relation string) (string, error) {
	schema, name := p.split(relation)
	columns := []string{}
	for _, t := range p.tables {
		if t.want.relation() == relation {
			columns = union(t.want.columns, t.keys())
			slices.Sort(columns)
		}
	}
	query := render("guard_table", tableData{common: p.target.common(), Table: literal(schema), Name: literal(name),
		Columns: literals(columns, "text"), Row: literal(p.target.rowTrigger()), Truncate: literal(p.target.truncateTrigger())})
	var is string
	err := pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, plainNames); err != nil {
			return err
		}
		return tx.QueryRow(ctx, query, pgx.QueryExecModeSimpleProtocol).Scan(&is)
	})
	if err != nil {
		return "", fmt.Errorf("read table %s: %w", relation, err)
	}
	return check(fmt.Sprintf("(\n%s) is distinct from %s", query, literal(is)), "columns, partitions or triggers of table "+relation+
		" are not what they were when this file was made"), nil
}

// split finds the schema and the name of a table that a step names.
func (p *planner) split(relation string) (schema, name string) {
	for _, t := range p.tables {
		for _, m := range t.members {
			if m.schema+"."+m.name == relation {
				return m.schema, m.name
			}
		}
	}
	for _, g := range p.triggers {
		if g.schema+"."+g.table == relation {
			return g.schema, g.table
		}
	}
	schema, name, _ = strings.Cut(relation, ".")
	return schema, name
}
