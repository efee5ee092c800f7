package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed demo/sql/rows_requests.sql
var rowsRequestsSQL string

//go:embed demo/sql/rows_stock.sql
var rowsStockSQL string

//go:embed demo/sql/committed.sql
var committedSQL string

// demoRow is a row that the visitor may change by an UPDATE.
type demoRow struct {
	ID     int64    `json:"id"`
	Label  string   `json:"label"`
	Value  string   `json:"value"`
	SeenBy []string `json:"seen_by"` // the demo's users to whom it may be shown
}

// demoTable is a table that the visitor may change.
type demoTable struct {
	Table    string    `json:"table"`
	Column   string    `json:"column"`
	Resource string    `json:"resource"`
	Values   []string  `json:"values"` // to choose from; null: a number
	Rows     []demoRow `json:"rows"`
}

var requestValues = []string{"pending", "approved", "rejected", "paid"}

// updatable lists the rows that the form offers: some that the user may see and some that only others may.
func (s *demoServer) updatable(r *http.Request, _ *demoPerson) (any, error) {
	requester, clerk := s.people[0], s.people[2]
	rows, err := s.stage.erp.Query(r.Context(), rowsRequestsSQL, requester.company, requester.key)
	if err != nil {
		return nil, fmt.Errorf("read requests: %w", err)
	}
	requests, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (demoRow, error) {
		var d demoRow
		var company, author int64
		err := row.Scan(&d.ID, &d.Label, &d.Value, &company, &author)
		d.SeenBy = s.who(func(p *demoPerson) bool {
			return p.company == company && (p.key == author || s.rights.decides(p, requestTable))
		})
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("read requests: %w", err)
	}
	if rows, err = s.stage.erp.Query(r.Context(), rowsStockSQL, clerk.places); err != nil {
		return nil, fmt.Errorf("read stock: %w", err)
	}
	levels, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (demoRow, error) {
		var d demoRow
		var company, place int64
		err := row.Scan(&d.ID, &d.Label, &d.Value, &company, &place)
		d.SeenBy = s.who(func(p *demoPerson) bool {
			return p.company == company && (s.rights.keeps(p, place) || s.rights.decides(p, orderTable))
		})
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("read stock: %w", err)
	}
	return map[string]demoTable{
		"requests": {Table: requestTable, Resource: s.tables[requestTable], Column: "status", Values: requestValues, Rows: requests},
		"stock":    {Table: stockTable, Resource: s.tables[stockTable], Column: "quantity", Rows: levels},
	}, nil
}

// who returns the demo's users for whom test holds.
func (s *demoServer) who(test func(*demoPerson) bool) []string {
	list := []string{}
	for _, p := range s.people {
		if test(p) {
			list = append(list, p.ID)
		}
	}
	return list
}

// update runs one plain UPDATE as the ERP, whoever the user is, and tells what it did.
func (s *demoServer) update(r *http.Request, _ *demoPerson) (any, error) {
	var body struct {
		Kind  string
		ID    int64
		Value string
	}
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	var value any = body.Value
	table, column := requestTable, "status"
	switch body.Kind {
	case "requests":
		if !slices.Contains(requestValues, body.Value) {
			return nil, &refusal{http.StatusUnprocessableEntity, "that is no status of a request"}
		}
	case "stock":
		n, err := strconv.ParseInt(body.Value, 10, 32)
		if err != nil || n < 0 || n > 1_000_000 {
			return nil, &refusal{http.StatusUnprocessableEntity, "give a whole number from 0 to 1,000,000"}
		}
		table, column, value = stockTable, "quantity", n
	default:
		return nil, &refusal{http.StatusBadRequest, "that table can't be changed here"}
	}
	return s.run(r.Context(), table, column, body.ID, value)
}

// run executes it in a transaction that first looks at the old value, to tell the visitor whether anything changed.
func (s *demoServer) run(ctx context.Context, table, column string, id int64, value any) (any, error) {
	name, field := pgx.Identifier{table}.Sanitize(), pgx.Identifier{column}.Sanitize()
	var same bool
	var txid string
	begin := time.Now()
	err := pgx.BeginFunc(ctx, s.stage.erp, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, "select "+field+" = $2, pg_current_xact_id()::text from "+name+
			" where id = $1 for update", id, value).Scan(&same, &txid)
		if errors.Is(err, pgx.ErrNoRows) {
			return &refusal{http.StatusUnprocessableEntity, "no row has this id any more"}
		}
		if err != nil {
			return err
		}
		begin = time.Now()
		_, err = tx.Exec(ctx, "update "+name+" set "+field+" = $2 where id = $1", id, value)
		return err
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"rows": 1, "changed": !same, "txid": txid,
		"ms": milliseconds(time.Since(begin))}, nil
}

// countFromNow makes the counter of committed changes start here.
func (s *demoServer) countFromNow(ctx context.Context) error {
	var err error
	s.snapshot, err = s.snapshotNow(ctx)
	return err
}

// snapshotNow returns what the database shows now.
func (s *demoServer) snapshotNow(ctx context.Context) (snapshot string, err error) {
	if err = s.stage.feed.QueryRow(ctx, "select pg_current_snapshot()::text").Scan(&snapshot); err != nil {
		return "", fmt.Errorf("read snapshot: %w", err)
	}
	return snapshot, nil
}

// committed tells how many row changes were committed to the watched tables since the start, whoever may see them.
func (s *demoServer) committed(r *http.Request, _ *demoPerson) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n int64
	var snapshot string
	if err := s.stage.feed.QueryRow(r.Context(), committedSQL, s.snapshot).Scan(&n, &snapshot); err != nil {
		return nil, fmt.Errorf("count changes: %w", err)
	}
	s.changes, s.snapshot = s.changes+n, snapshot
	return map[string]int64{"changes": s.changes}, nil
}
