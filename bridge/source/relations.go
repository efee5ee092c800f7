package source

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge/change"
)

// freshRelations reads the decoders on a connection of its own: the feed's and the outbox's may be in the middle of an
// answer.
func (f *Feed) freshRelations(ctx context.Context) (map[int32]*change.Relation, error) {
	conn, err := f.o.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return loadRelations(ctx, conn, f.o.Schema)
}

// loadRelations reads the decoders of all outbox rows.
func loadRelations(ctx context.Context, conn *pgx.Conn, schema string) (map[int32]*change.Relation, error) {
	rows, err := conn.Query(ctx, render(capturesSQL, schema))
	if err != nil {
		return nil, fmt.Errorf("read captures: %w", err)
	}
	defer rows.Close()
	all := map[int32]*change.Relation{change.RequestCapture: requests(schema)}
	for rows.Next() {
		var r change.Relation
		var names, kinds, types []string
		var key []int16
		if err := rows.Scan(&r.ID, &r.Table, &names, &kinds, &types, &key); err != nil {
			return nil, fmt.Errorf("read captures: %w", err)
		}
		if len(kinds) != len(names) || len(types) != len(names) {
			return nil, errors.New("read captures: columns, kinds and types differ in length")
		}
		for i := range names {
			r.Columns = append(r.Columns, change.Column{Name: names[i], Kind: change.Kind(kinds[i]), Type: types[i]})
		}
		for _, k := range key {
			if int(k) >= len(names) || k < 0 {
				return nil, errors.New("read captures: key is not among the columns")
			}
			r.Key = append(r.Key, int(k))
		}
		all[r.ID] = &r
	}
	return all, rows.Err()
}

// requests is the decoder of operators' requests, which no trigger captures.
func requests(schema string) *change.Relation {
	return &change.Relation{ID: change.RequestCapture, Table: schema + ".request",
		Columns: []change.Column{{Name: "id", Kind: change.Text, Type: "uuid"}, {Name: "kind", Kind: change.Text, Type: "text"}},
		Key:     []int{0}}
}
