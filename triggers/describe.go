package triggers

import (
	"slices"

	"nalar.internal/rowfeed/bridge/change"
)

// Table is a wanted table as the database has it.
type Table struct {
	Name     string // schema.table, without quotes
	OID      uint32 // 0: there is no such table
	Problems []string
	Key      []string          // its columns, in the key's order
	Columns  map[string]Column // all that it has
}

// Column says what the values of a column are.
type Column struct {
	Kind change.Kind
	Type uint32 // pg_type.oid; of a domain, that of its base type
}

// Tables returns the wanted tables, in the order in which they are wanted first. Those that can't be captured have
// Problems, which say what to do.
func (s *State) Tables() []Table {
	out := make([]Table, 0, len(s.tables))
	for _, t := range s.tables {
		d := Table{Name: t.want.relation(), OID: t.oid, Problems: slices.Clone(t.broken), Key: slices.Clone(t.key),
			Columns: make(map[string]Column, len(t.columns))}
		for name, c := range t.columns {
			d.Columns[name] = Column{Kind: c.kind(), Type: c.oid}
		}
		out = append(out, d)
	}
	return out
}
