package source_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/source"
)

const (
	writers   = 4
	rows      = 12
	histories = 200
	steps     = 40
)

// write is one change of a row.
type write struct {
	row  int
	text string // as the feed hands it on
}

// writer is one connection of a history: what its open transaction has written, and where its savepoints are.
type writer struct {
	conn       *pgx.Conn
	open       bool
	wrote      []write
	savepoints []int      // length of wrote at each
	held       [rows]bool // rows that it may have locked
}

// model is what the feed has to hand on: for each row the committed changes, in the order of the commits.
type model struct {
	t         *testing.T
	d         *direct
	rng       *rand.Rand
	writers   [writers]*writer
	ticker    *writer    // its transactions write ticks alone
	there     [rows]bool // as committed
	committed [rows][]string
	n         int
}

// Generated histories of interleaved transactions with savepoints, rollbacks, late commits, ticks that commit late and
// lost connections: what is committed comes, once, and the changes of one row in the order of their commits.
func TestHistories(t *testing.T) {
	t.Parallel()
	m := newModel(t)
	for seed := range histories {
		m.play(7, seed)
	}
}

func newModel(t *testing.T) *model {
	t.Helper()
	m := &model{t: t, d: newDirect(t, `create table item (id int primary key, n int not null)`, channels("auto"))}
	m.ticker = &writer{conn: m.d.Conn(t)}
	for i := range m.writers {
		m.writers[i] = &writer{conn: m.d.Conn(t)}
	}
	return m
}

// play runs one history of a series and checks it; after each tenth the connections are lost.
func (m *model) play(series uint64, seed int) {
	m.t.Helper()
	m.rng = rand.New(rand.NewPCG(series, uint64(seed)))
	for range steps {
		m.step(m.writers[m.rng.IntN(writers)])
	}
	if seed%10 == 9 {
		m.d.cut(m.t)
	}
	for _, w := range m.writers {
		m.end(w, m.rng.IntN(4) > 0)
	}
	m.check(seed)
}

// step has a writer do one thing.
func (m *model) step(w *writer) {
	switch n := m.rng.IntN(20); {
	case n < 11:
		m.write(w)
	case n < 13 && !w.open:
		m.exec(w, "begin")
		w.open = true
	case n < 15 && w.open:
		m.exec(w, fmt.Sprintf("savepoint s%d", len(w.savepoints)))
		w.savepoints = append(w.savepoints, len(w.wrote))
	case n < 17 && len(w.savepoints) > 0:
		last := len(w.savepoints) - 1
		if m.rng.IntN(2) == 0 {
			m.exec(w, fmt.Sprintf("rollback to s%d", last))
			w.wrote = w.wrote[:w.savepoints[last]]
		} else {
			m.exec(w, fmt.Sprintf("release s%d", last))
			w.savepoints = w.savepoints[:last]
		}
	case n < 18:
		m.tick()
	default:
		m.end(w, m.rng.IntN(4) > 0)
	}
}

// tick writes a tick, which commits at once or later.
func (m *model) tick() {
	switch {
	case m.ticker.open:
		m.exec(m.ticker, "commit")
		m.ticker.open = false
	case m.rng.IntN(2) == 0:
		m.exec(m.ticker, "begin")
		m.ticker.open = true
		fallthrough
	default:
		m.exec(m.ticker, "select rowfeed.tick()")
	}
}

// write changes a row that no other writer has locked.
func (m *model) write(w *writer) {
	row := m.rng.IntN(rows)
	for _, other := range m.writers {
		if other != w && other.held[row] {
			return
		}
	}
	there := m.there[row]
	for _, done := range w.wrote {
		if done.row == row {
			there = done.text[len(done.text)-1] != '!'
		}
	}
	m.n++
	was := write{row, fmt.Sprintf("%d=%d", row, m.n)}
	switch {
	case !there:
		m.exec(w, fmt.Sprintf("insert into item values (%d, %d)", row, m.n))
	case m.rng.IntN(4) > 0:
		m.exec(w, fmt.Sprintf("update item set n = %d where id = %d", m.n, row))
	default:
		if err := w.conn.QueryRow(context.Background(), "delete from item where id = $1 returning id || '=' || n || '!'", row).
			Scan(&was.text); err != nil {
			m.t.Fatal(err)
		}
	}
	w.held[row] = true
	w.wrote = append(w.wrote, was)
	if !w.open {
		m.end(w, true)
	}
}

// end commits what a writer has open, or rolls it back.
func (m *model) end(w *writer, commit bool) {
	if w.open && commit {
		m.exec(w, "commit")
	} else if w.open {
		m.exec(w, "rollback")
		w.wrote = nil
	}
	for _, done := range w.wrote {
		m.committed[done.row] = append(m.committed[done.row], done.text)
		m.there[done.row] = done.text[len(done.text)-1] != '!'
	}
	*w = writer{conn: w.conn}
}

// check compares what the feed has handed on with the model, up to a change that was made after all others.
func (m *model) check(seed int) {
	m.exec(m.writers[0], fmt.Sprintf("insert into item values (%d, 0)", rows+seed))
	var got [rows][]string
	for last := fmt.Sprintf("%d=0", rows+seed); ; {
		s := m.d.next(m.t)
		if s == last {
			break
		}
		var row int
		if _, err := fmt.Sscanf(s, "%d=", &row); err != nil || row >= rows {
			m.t.Fatalf("history %d: got %q", seed, s)
		}
		got[row] = append(got[row], s)
	}
	for row := range rows {
		if !slices.Equal(got[row], m.committed[row]) {
			m.t.Fatalf("history %d, row %d:\n got %v\nwant %v", seed, row, got[row], m.committed[row])
		}
		m.committed[row] = nil
	}
}

func (m *model) exec(w *writer, sql string) {
	m.t.Helper()
	exec(m.t, w.conn, sql)
}

// Each tick of generated histories is a place: memory, where it knows it, and the outbox, page by page, bring exactly what
// the tick does not see, once.
func TestPlaces(t *testing.T) {
	t.Parallel()
	m := newModel(t)
	for seed := range 40 {
		m.play(8, seed)
	}
	if m.ticker.open {
		m.tick()
	}
	m.d.Exec(t, `select rowfeed.tick()`)
	m.d.sweeps(t, 2)
	ctx := context.Background()
	o := source.NewOutbox(m.d.feed)
	defer o.Close(ctx)
	last := m.d.settled(t)
	marks, err := o.Lookup(ctx, m.cursors())
	if err != nil {
		t.Fatal(err)
	}
	known := 0
	for _, mark := range marks {
		want := m.after(mark.Cursor)
		if list, ok := m.d.remembered(mark.Cursor); ok {
			known++
			m.same("memory", mark.Cursor, want, list)
		}
		if mark.Cursor.Xid < last.Xid {
			m.same("outbox", mark.Cursor, want, m.pages(o, *mark))
		}
	}
	if known < len(marks)/2 {
		t.Errorf("memory knows %d of %d ticks", known, len(marks))
	}
}

// cursors are those of all ticks.
func (m *model) cursors() (list []change.Cursor) {
	m.t.Helper()
	epoch := m.d.settled(m.t).Epoch
	rows, err := m.writers[0].conn.Query(context.Background(), `select xid::text::int8, new[2] from rowfeed.change
		where channel = 1 and op = 'k'`)
	if err == nil {
		list, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (change.Cursor, error) {
			c := change.Cursor{Epoch: epoch}
			return c, r.Scan(&c.Xid, &c.Nonce)
		})
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return list
}

// after is what a tick does not see, as text.
func (m *model) after(c change.Cursor) []string {
	m.t.Helper()
	rows, err := m.writers[0].conn.Query(context.Background(), `select xid::text || ' ' || (lsn - '0/0')::text from rowfeed.change
		where channel = 1 and op <> 'k' and not pg_visible_in_snapshot(xid, (select new[1]::pg_snapshot from rowfeed.change
			where channel = 1 and xid = $1::text::xid8 and new[2] = $2))`, strconv.FormatUint(c.Xid, 10), c.Nonce)
	var list []string
	if err == nil {
		list, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return list
}

// pages reads from a place to the last, in pages that end early.
func (m *model) pages(o *source.Outbox, at change.Mark) (list []*change.Record) {
	m.t.Helper()
	ctx := context.Background()
	for {
		until, ok, err := o.Next(ctx, at)
		if err != nil {
			m.t.Fatal(err)
		}
		if !ok {
			return list
		}
		var lsn, xid uint64
		for more := true; more; {
			n := len(list)
			if more, err = o.Page(ctx, at, until, lsn, xid, func(records []*change.Record) bool {
				for _, r := range records[:1+m.rng.IntN(len(records))] {
					kept := *r
					list = append(list, &kept)
				}
				return false
			}); err != nil {
				m.t.Fatal(err)
			}
			if len(list) > n {
				lsn, xid, more = list[len(list)-1].LSN, list[len(list)-1].Xid, true
			}
		}
		at = until
	}
}

func (m *model) same(where string, c change.Cursor, want []string, list []*change.Record) {
	m.t.Helper()
	var got []string
	for _, r := range list {
		got = append(got, fmt.Sprint(r.Xid, r.LSN))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		m.t.Errorf("%s after %v: %d changes, want %d", where, c, len(got), len(want))
	}
}
