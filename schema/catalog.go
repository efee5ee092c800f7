package schema

import (
	"context"
	_ "embed" // the queries
	"fmt"
	"regexp"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/triggers"
)

var (
	//go:embed queries/columns.sql
	columnsSQL string
	//go:embed queries/types.sql
	typesSQL string
)

// catalog is what is read of the database beside what package triggers reads.
type catalog struct {
	columns map[place]columnInfo
	types   map[uint32]typeInfo
}

type place struct {
	table uint32
	name  string
}

type columnInfo struct {
	format     string // the type as format_type prints it
	notNull    bool
	dimensions int // as declared; PostgreSQL takes others too
}

type typeInfo struct {
	typtype       string // b, c, d, e, p, r, m
	base, element uint32
	labels        []string // of an enum
	names         []string // of a composite type's attributes
	attributes    []uint32
	castsToJSON   bool
}

func readCatalog(ctx context.Context, conn *pgx.Conn, tables []triggers.Table) (*catalog, error) {
	c := &catalog{columns: map[place]columnInfo{}, types: map[uint32]typeInfo{}}
	var oids, types []uint32
	for _, t := range tables {
		oids = append(oids, t.OID)
		for _, column := range t.Columns {
			types = append(types, column.Type)
		}
	}
	rows, _ := conn.Query(ctx, columnsSQL, oids)
	var p place
	var column columnInfo
	_, err := pgx.ForEachRow(rows, []any{&p.table, &p.name, &column.format, &column.notNull, &column.dimensions}, func() error {
		c.columns[p] = column
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read columns: %w", err)
	}
	rows, _ = conn.Query(ctx, typesSQL, types)
	for rows.Next() {
		var oid uint32
		var t typeInfo
		if err := rows.Scan(&oid, &t.typtype, &t.base, &t.element, &t.labels, &t.names, &t.attributes, &t.castsToJSON); err != nil {
			return nil, fmt.Errorf("read types: %w", err)
		}
		c.types[oid] = t
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read types: %w", err)
	}
	return c, nil
}

// column is what a frame has for a column: bridge/rule's appendJSON, by the kind that the capture gave it.
func (c *catalog) column(t *triggers.Table, name string, quoted bool) Field {
	column, info := t.Columns[name], c.columns[place{t.OID, name}]
	f := Field{Name: name, Type: c.value(column, info.dimensions, quoted)}
	f.Type.Null = !info.notNull
	if !obvious.MatchString(info.format) {
		f.Note = info.format
	}
	return f
}

// obvious are SQL types that need no word beside the type of the value.
var obvious = regexp.MustCompile(`^(text|character.*|uuid|boolean|integer|bigint|smallint|jsonb?)$`)

func (c *catalog) value(column triggers.Column, dimensions int, quoted bool) Type {
	if quoted {
		switch {
		case column.Kind == change.Bool:
			return Type{Kind: Enum, Values: []string{"true", "false"}}
		case column.Kind != change.Text: // an enum's labels are strings already
			return Type{Kind: String}
		}
	}
	switch column.Kind {
	case change.Integer:
		return Type{Kind: Integer}
	case change.Numeric:
		return Type{Kind: Number}
	case change.Float:
		return Type{Kind: Float}
	case change.Bool:
		return Type{Kind: Bool}
	case change.Text:
		return c.labels(column.Type)
	case change.JSON:
		return c.document(column.Type, dimensions)
	}
	return Type{Kind: String} // timestamptz, bytea
}

// labels is the type of an enum, or of any other text.
func (c *catalog) labels(oid uint32) Type {
	if labels := c.types[oid].labels; len(labels) > 0 {
		return Type{Kind: Enum, Values: labels}
	}
	return Type{Kind: String}
}

// document is what to_json makes of a type: PostgreSQL's json.c, json_categorize_type.
func (c *catalog) document(oid uint32, dimensions int) Type {
	for c.types[oid].typtype == "d" {
		oid = c.types[oid].base
	}
	switch oid {
	case pgtype.BoolOID:
		return Type{Kind: Bool}
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
		return Type{Kind: Integer}
	case pgtype.NumericOID:
		return Type{Kind: Number}
	case pgtype.Float4OID, pgtype.Float8OID:
		return Type{Kind: Float}
	case pgtype.JSONOID, pgtype.JSONBOID:
		return Type{Kind: JSON}
	}
	t := c.types[oid]
	switch {
	case t.element != 0:
		item := c.document(t.element, 0)
		item.Null = true
		for ; dimensions > 1; dimensions-- {
			item = Type{Kind: Array, Items: []Type{item}}
		}
		return Type{Kind: Array, Items: []Type{item}}
	case t.typtype == "c":
		object := Type{Kind: Object}
		for i, name := range t.names {
			field := Field{Name: name, Type: c.document(t.attributes[i], 0)}
			field.Type.Null = true
			object.Fields = append(object.Fields, field)
		}
		return object
	case t.castsToJSON:
		return Type{Kind: JSON}
	}
	return c.labels(oid)
}
