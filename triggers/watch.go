package triggers

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge/change"
)

// inspectAgain is after how many looks that found nothing new everything is inspected all the same: a right that a role
// has by another one leaves no trace where a look looks.
const inspectAgain = 20

// Watcher looks for drift again and again. A look is one query of the catalog whose cost grows with the watched tables
// alone; it takes no lock that ALTER TABLE waits for, and its snapshot is gone with it. Only where that shows something
// new everything is inspected. It is for one goroutine.
type Watcher struct {
	target         Target
	wants          []*wanted
	schemas, names []string
	numbers        []int32 // of the captured columns: their table
	columns        []string
	shapes         []string
	looks          int
	tables         []TableStatus
	off            []string
}

// Sight is what a look has seen.
type Sight struct {
	Tables    []WatchedTable   // in the order of the configuration
	Off       []string         // what is wrong beside them, in a line each
	Snapshot  *change.Snapshot // it is as of this one, or later
	Inspected bool             // something was new, or it was time

	snapshot string
}

// WatchedTable is how a table of the configuration stands. Another Thread than before says that changes may have been
// missed in between, even where the state is the same: the trigger was away for a moment, or it is another table.
type WatchedTable struct {
	TableStatus
	Thread string
}

// NewWatcher makes a watcher of what the target wants. It fails on a table's name that is none.
func NewWatcher(target Target) (*Watcher, error) {
	wants, err := merge(target.Wants)
	if err != nil {
		return nil, err
	}
	w := &Watcher{target: target, wants: wants}
	for i, want := range wants {
		w.schemas, w.names = append(w.schemas, want.schema), append(w.names, want.name)
		for _, column := range union(want.columns, want.key) {
			w.numbers = append(w.numbers, int32(i+1))
			w.columns = append(w.columns, column)
		}
	}
	return w, nil
}

// Look compares the database with what is wanted.
func (w *Watcher) Look(ctx context.Context, conn *pgx.Conn) (*Sight, error) {
	rows, _ := conn.Query(ctx, query("watch"), w.parameters()...)
	var threads, shapes []string
	var n int
	var thread, shape, snapshot string
	_, err := pgx.ForEachRow(rows, []any{&n, &thread, &shape, &snapshot}, func() error {
		threads, shapes = append(threads, thread), append(shapes, thread+shape)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for drift: %w", err)
	}
	s := &Sight{snapshot: snapshot}
	if s.Snapshot, err = change.ParseSnapshot(snapshot); err != nil {
		return nil, fmt.Errorf("look for drift: %w", err)
	}
	if w.looks++; w.looks > inspectAgain || !slices.Equal(shapes, w.shapes) {
		// What changes between the two is inspected by the next look, whose shapes are others.
		state, err := Inspect(ctx, conn, w.target)
		if err != nil {
			return nil, err
		}
		w.tables, w.off = state.wantedStatus(), state.Off()
		w.shapes, w.looks, s.Inspected = shapes, 0, true
	}
	s.Off = w.off
	for i, t := range w.tables {
		s.Tables = append(s.Tables, WatchedTable{TableStatus: t, Thread: threads[i+1]})
	}
	return s, nil
}

// parameters are those of sql/watch.sql.
func (w *Watcher) parameters() []any {
	return []any{w.target.Schema, w.schemas, w.names, w.target.rowTrigger(), w.target.truncateTrigger(), w.numbers, w.columns}
}

// wantedStatus is the status of the configuration's tables, without that of others.
func (s *State) wantedStatus() []TableStatus {
	list := make([]TableStatus, len(s.tables))
	for i, t := range s.tables {
		list[i] = s.tableStatus(t)
	}
	return list
}

// Note writes down how a table stands. Where that is not how it stood when any node last looked, the call tells all who
// subscribe to what is made of it that changes may have been missed: told. again does so in any case. since is when the
// table's state became what it is.
func (s *Sight) Note(ctx context.Context, conn *pgx.Conn, schema string, t WatchedTable, again bool) (
	told bool, since time.Time, err error) {
	err = conn.QueryRow(ctx, "select told, since from "+ident(schema, "note")+"($1, $2, $3, $4::text::pg_snapshot, $5)",
		t.Table, t.State, t.Thread, s.snapshot, again).Scan(&told, &since)
	if err != nil {
		return false, time.Time{}, fmt.Errorf("note drift of table %s: %w", t.Table, err)
	}
	return told, since, nil
}

// noteFunction is what Note calls.
func (t *Target) noteFunction() *function {
	return &function{name: "note", returns: "table (told boolean, since timestamptz)", body: render("note", t.common()),
		settings: []setting{searchPath, {"lock_timeout", "'2s'", "2s"}}}
}

// readNoted reads whether it can, and whether captures may write the outbox.
func (s *State) readNoted(ctx context.Context, tx pgx.Tx) error {
	return tx.QueryRow(ctx, query("inspect_outbox"), s.target.Schema, s.target.owner()).Scan(&s.noted, &s.writes)
}

// letWrite gives the owner role back what somebody took from it.
func (p *planner) letWrite() {
	if !p.server.installed || p.writes {
		return
	}
	schema, owner := ident(p.target.Schema), ident(p.target.owner())
	p.step("let role "+p.target.owner()+" write the outbox", fmt.Sprintf(
		"grant all on schema %s to %s;\ngrant all on all tables in schema %s to %s;\n", schema, owner, schema, owner), "")
}

// driftTable makes the table that it writes.
func (p *planner) driftTable() {
	if p.noted {
		return
	}
	p.step("create the table drift", p.asOwner(render("drift", p.target.common())),
		"drop table "+ident(p.target.Schema, "drift")+";\n")
}
