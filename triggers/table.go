package triggers

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
)

// table is a wanted table as the database has it.
type table struct {
	want        *wanted
	oid         uint32 // 0: there is no such table
	kind        string // pg_class.relkind
	persistence string
	owner       string
	mine        bool   // we may act as its owner
	parent      string // of a partition
	deferrable  bool   // its primary key
	key         []string
	columns     map[string]*column
	members     []member // itself first, then what inherits from it
	broken      []string // why it can't be captured
	gone        []string // wanted columns that are not there
	uncalled    []string // owners of partitioned tables who may not execute the function
	unique      []uniqueIndex
}

// member is a table, partition or child in a wanted table's tree.
type member struct {
	oid          uint32
	schema, name string
	kind         string
	partition    bool // its row trigger is a clone of its parent's
	persistence  string
	mine         bool
}

// keys are the columns of the primary key or of the configured one, as far as they have to be captured.
func (t *table) keys() []string {
	if t.want.keyless() {
		return nil
	}
	return t.key
}

func (t *table) usable() bool { return t.oid != 0 && len(t.broken) == 0 }

func (t *table) breaks(format string, args ...any) {
	t.broken = append(t.broken, fmt.Sprintf(format, args...))
}

// readTables reads the wanted tables and notes why one can't be captured.
func (s *State) readTables(ctx context.Context, tx pgx.Tx) error {
	wants, err := merge(s.target.Wants)
	if err != nil {
		s.refuse("%s", err)
		return nil
	}
	var schemas, names []string
	for _, w := range wants {
		s.tables = append(s.tables, &table{want: w, columns: map[string]*column{}})
		schemas, names = append(schemas, w.schema), append(names, w.name)
	}
	rows, _ := tx.Query(ctx, query("inspect_relations"), schemas, names)
	var n int
	var t table
	var parent *string
	var oids []uint32
	_, err = pgx.ForEachRow(rows, []any{&n, &t.oid, &t.kind, &t.persistence, &t.owner, &t.mine, &parent, &t.deferrable,
		&t.key}, func() error {
		found := s.tables[n-1]
		found.oid, found.kind, found.persistence, found.owner, found.mine = t.oid, t.kind, t.persistence, t.owner, t.mine
		found.deferrable, found.key = t.deferrable, slices.Clone(t.key)
		if parent != nil {
			found.parent = *parent
		}
		oids = append(oids, t.oid)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read tables: %w", err)
	}
	if err := s.readColumns(ctx, tx, oids); err != nil {
		return fmt.Errorf("read columns: %w", err)
	}
	if err := s.readMembers(ctx, tx, oids); err != nil {
		return fmt.Errorf("read partitions: %w", err)
	}
	if err := s.readCallers(ctx, tx); err != nil {
		return err
	}
	if err := s.readKeys(ctx, tx, oids); err != nil {
		return fmt.Errorf("read unique keys: %w", err)
	}
	return s.checkTables(ctx, tx)
}

func (s *State) byOID(oid uint32) *table {
	i := slices.IndexFunc(s.tables, func(t *table) bool { return t.oid == oid })
	return s.tables[i]
}

func (s *State) readColumns(ctx context.Context, tx pgx.Tx, oids []uint32) error {
	rows, _ := tx.Query(ctx, query("inspect_columns"), oids)
	var oid uint32
	var c column
	_, err := pgx.ForEachRow(rows, []any{&oid, &c.name, &c.generated, &c.format, &c.domain, &c.oid, &c.typtype,
		&c.category, &c.typname, &c.element, &c.elemtype, &c.bounded}, func() error {
		found := c
		s.byOID(oid).columns[c.name] = &found
		return nil
	})
	return err
}

func (s *State) readMembers(ctx context.Context, tx pgx.Tx, oids []uint32) error {
	rows, _ := tx.Query(ctx, query("inspect_members"), oids)
	var root uint32
	var m member
	_, err := pgx.ForEachRow(rows, []any{&root, &m.oid, &m.schema, &m.name, &m.kind, &m.partition, &m.persistence,
		&m.mine}, func() error {
		t := s.byOID(root)
		t.members = append(t.members, m)
		return nil
	})
	return err
}

// checkTables says of each table why it can't be captured truthfully, or that we may not.
func (s *State) checkTables(ctx context.Context, tx pgx.Tx) error {
	for _, t := range s.tables {
		if t.oid == 0 {
			if err := s.unknownTable(ctx, tx, t); err != nil {
				return err
			}
		} else {
			t.checkKind()
			t.checkColumns()
			s.checkParent(t)
			s.checkNames(t)
		}
		for _, m := range t.members {
			if !m.mine {
				s.lack("table %s: role %s is not its owner, and only the owner may make a trigger ENABLE ALWAYS: connect "+
					"as %s or a superuser (database.admin_url)", ident(m.schema, m.name), s.server.user, t.owner)
			}
		}
	}
	return nil
}

// unknownTable says what the table is probably called.
func (s *State) unknownTable(ctx context.Context, tx pgx.Tx, t *table) error {
	rows, _ := tx.Query(ctx, `select n.nspname || '.' || c.relname from pg_catalog.pg_class c
		join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema') order by 1`)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("read table names: %w", err)
	}
	if near := nearest(t.want.relation(), names); near != "" {
		t.breaks("there is no such table in database %s: did you mean %s?", s.server.database, near)
	} else {
		t.breaks("there is no such table in database %s", s.server.database)
	}
	return nil
}

func (t *table) checkKind() {
	switch t.kind {
	case "v":
		t.breaks("is a view, which has no rows of its own: name the table behind it")
	case "m":
		t.breaks("is a materialized view, whose refresh fires no trigger: name the table behind it")
	case "f":
		t.breaks("is a foreign table, whose changes are made elsewhere: run rowfeed at its own database")
	}
	switch t.persistence {
	case "t":
		t.breaks("is temporary: other sessions never see its rows")
	case "u":
		t.breaks("is unlogged, and a crash empties it without a word: alter table … set logged")
	}
	for _, m := range t.members[1:] {
		if m.kind == "f" {
			t.breaks("has the foreign partition %s, whose changes are made elsewhere too", ident(m.schema, m.name))
		}
		if m.persistence == "u" {
			t.breaks("has the unlogged partition or child %s, which a crash empties without a word: set logged",
				ident(m.schema, m.name))
		}
	}
	if t.kind != "r" && t.kind != "p" {
		return
	}
	t.checkKey()
}

func (t *table) checkColumns() {
	if t.kind != "r" && t.kind != "p" {
		return
	}
	names := slices.Sorted(maps.Keys(t.columns))
	for _, name := range union(t.want.columns, t.keys()) {
		c := t.columns[name]
		switch {
		case c == nil:
			t.gone = append(t.gone, name)
			if near := nearest(name, names); near != "" {
				t.breaks("there is no column %s: did you mean %s?", name, near)
			} else {
				t.breaks("there is no column %s", name)
			}
		case c.generated == "v":
			t.breaks("column %s is a virtual generated column, which a trigger can't read: make it stored, or leave "+
				"it out", name)
		}
	}
}

// checkParent refuses a table whose parent is watched as well: one change would be captured twice.
func (s *State) checkParent(t *table) {
	for _, other := range s.tables {
		if other == t {
			continue
		}
		if slices.ContainsFunc(other.members, func(m member) bool { return m.oid == t.oid }) {
			t.breaks("is part of %s, which is watched already: watch one of them", other.want.relation())
		}
	}
}

// checkNames refuses a table that has a trigger of our name that is not ours.
func (s *State) checkNames(t *table) {
	for _, g := range s.triggers {
		ours := g.function != ""
		if !ours && slices.ContainsFunc(t.members, func(m member) bool { return m.oid == g.oid }) {
			t.breaks("has a trigger %s already that is not rowfeed's: rename it", g.name)
		}
	}
}
