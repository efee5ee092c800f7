package triggers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/test/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bundle is a database with a schema of its own name: roles belong to the whole server, and tests run side by side.
type bundle struct {
	t      *testing.T
	db     *pgtest.DB
	conn   *pgx.Conn
	target Target
	marker string // the highest position seen
}

// setup makes a database with the given tables.
func setup(t *testing.T, ddl string, wants ...change.Want) *bundle {
	t.Helper()
	return setupIn(t, pgtest.New(t), ddl, wants...)
}

func setupIn(t *testing.T, db *pgtest.DB, ddl string, wants ...change.Want) *bundle {
	t.Helper()
	b := &bundle{t: t, db: db, conn: db.Connect(t), marker: "0/0"}
	b.target = Target{Schema: "rf_" + db.Name, Retention: time.Hour, Wants: wants}
	b.exec(ddl)
	t.Cleanup(func() { // before the database goes: roles outlive it
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		conn, err := pgx.Connect(ctx, db.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		if err := Down(ctx, conn, b.target.Schema, func(string) {}); err != nil {
			t.Errorf("down: %v", err)
		}
	})
	return b
}

// installed is setup and up.
func installed(t *testing.T, ddl string, wants ...change.Want) *bundle {
	t.Helper()
	b := setup(t, ddl, wants...)
	b.up()
	return b
}

func want(table string, columns ...string) change.Want {
	return change.Want{Table: table, Channel: "orders", Columns: columns, Wake: "auto"}
}

// up installs and returns the progress lines.
func (b *bundle) up() []string {
	b.t.Helper()
	var lines []string
	if err := Up(b.t.Context(), b.conn, b.target, func(s string) { lines = append(lines, s) }); err != nil {
		b.t.Fatalf("up: %v", err)
	}
	return lines
}

func (b *bundle) down() []string {
	b.t.Helper()
	var lines []string
	if err := Down(b.t.Context(), b.conn, b.target.Schema, func(s string) { lines = append(lines, s) }); err != nil {
		b.t.Fatalf("down: %v", err)
	}
	return lines
}

func (b *bundle) inspect() *State {
	b.t.Helper()
	s, err := Inspect(b.t.Context(), b.conn, b.target)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// status returns the one table's.
func (b *bundle) status() TableStatus {
	b.t.Helper()
	list := b.inspect().Status()
	if len(list) != 1 {
		b.t.Fatalf("status of %d tables, want one: %v", len(list), list)
	}
	return list[0]
}

// exec runs statements as the superuser.
func (b *bundle) exec(sql string) {
	b.t.Helper()
	run1(b.t, b.conn, sql)
}

func run1(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%v\nin: %s", err, sql)
	}
}

// one returns a query's single value as text.
func (b *bundle) one(sql string) string {
	b.t.Helper()
	return one(b.t, b.conn, sql)
}

func one(t *testing.T, conn *pgx.Conn, sql string) string {
	t.Helper()
	var s *string
	if err := conn.QueryRow(t.Context(), sql, pgx.QueryExecModeSimpleProtocol).Scan(&s); err != nil {
		t.Fatalf("%v\nin: %s", err, sql)
	}
	if s == nil {
		return "NULL"
	}
	return *s
}

// changes returns what was appended since the last call: "u 1,new < 1,old" in order of capture, with the channel's
// name in front where there is more than one.
func (b *bundle) changes() []string {
	b.t.Helper()
	schema := ident(b.target.Schema)
	rows, err := b.conn.Query(b.t.Context(), strings.ReplaceAll(`select n.name, r.op::text, r.old, r.new, r.lsn::text,
		(select count(*) from @.channel where name <> '.control')
		from @.change r join @.channel n on n.id = r.channel
		where r.op <> 'k' and r.lsn > $1::pg_lsn order by r.lsn, r.channel`, "@", schema), b.marker)
	if err != nil {
		b.t.Fatal(err)
	}
	var channel, op, lsn string
	var was, now []*string
	var channels int
	list := []string{}
	_, err = pgx.ForEachRow(rows, []any{&channel, &op, &was, &now, &lsn, &channels}, func() error {
		line := op
		if channels > 1 || channel == change.Control {
			line = channel + " " + op
		}
		if now != nil {
			line += " " + join(now)
		}
		if was != nil {
			line += " < " + join(was)
		}
		list = append(list, line)
		b.marker = lsn
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return list
}

func join(values []*string) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = "NULL"
		if v != nil {
			out[i] = *v
		}
	}
	return strings.Join(out, ",")
}

// expect runs statements and compares what they append.
func (b *bundle) expect(sql string, want ...string) {
	b.t.Helper()
	b.exec(sql)
	b.appended(sql, want...)
}

func (b *bundle) appended(what string, want ...string) {
	b.t.Helper()
	if got := b.changes(); !slices.Equal(got, want) && len(got)+len(want) > 0 {
		b.t.Fatalf("%s\nappended %q\nwant     %q", what, got, want)
	}
}

// login makes a role and connects as it.
func (b *bundle) login(options string, grants ...string) (*pgx.Conn, string) {
	b.t.Helper()
	role := fmt.Sprintf("role_%s_%d", b.db.Name, time.Now().UnixNano())
	b.exec("create role " + role + " login " + options)
	for _, g := range grants {
		b.exec(strings.ReplaceAll(g, "@role", role))
	}
	conn := b.db.ConnectAs(b.t, role)
	return conn, role
}

// connectWith connects as a changed configuration says.
func (b *bundle) connectWith(config *pgx.ConnConfig) *pgx.Conn {
	b.t.Helper()
	conn, err := pgx.ConnectConfig(b.t.Context(), config)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}
