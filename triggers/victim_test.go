package triggers

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const partsDDL = `create table days (id int, day int, a text, primary key (id, day)) partition by list (day);
	create table days_1 partition of days for values in (1);
	create table days_2 partition of days for values in (2);
	create table days_3 partition of days for values in (3);
	insert into days select i, d, 'a' from generate_series(1, 9) i, generate_series(1, 3) d;
`

// TestNoVictim: an up or a down that has locked some partitions of a table and waits for others is in the way of a
// transaction that has written one of these and wants to write one of those. It is the migration that ends first: were it
// to wait longer than deadlock_timeout, the server would end the ERP's transaction.
func TestNoVictim(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before func(*bundle)
		change func(*bundle, *pgx.Conn) error
	}{
		"up": {func(*bundle) {}, func(b *bundle, conn *pgx.Conn) error { return Up(t.Context(), conn, b.target, func(string) {}) }},
		"down": {func(b *bundle) { b.up() }, func(b *bundle, conn *pgx.Conn) error {
			return Down(t.Context(), conn, b.target.Schema, func(string) {})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, partsDDL, want("days", "a"))
			tc.before(b)
			second, erp, migration := b.db.Connect(t), b.db.Connect(t), b.db.Connect(t)
			run1(t, second, "begin; update days_2 set a = 'b' where id = 1")
			run1(t, erp, "begin; update days_3 set a = 'b' where id = 2")
			done := make(chan error, 1)
			go func() { done <- tc.change(b, migration) }()
			awaitLocks(t, b, "exists (select from waiting where pid = $1)", migration) // it has the first and wants the second
			wrote := make(chan error, 1)
			go func() {
				_, err := erp.Exec(t.Context(), "update days_1 set a = 'b' where id = 2; commit", pgx.QueryExecModeSimpleProtocol)
				wrote <- err
			}()
			awaitLocks(t, b, `exists (select from waiting where pid = $2) or not exists (select from waiting where pid = $1)`,
				migration, erp)
			run1(t, second, "commit") // a migration that still waits goes on to the third
			if err := <-wrote; err != nil {
				t.Errorf("the ERP's transaction: %v", err)
			}
			if err := <-done; err != nil {
				t.Errorf("the migration: %v", err)
			}
		})
	}
}

// TestPatience: a step that locks several tables keeps writes waiting no longer than one that locks one.
func TestPatience(t *testing.T) {
	t.Parallel()
	limit, err := time.ParseDuration(LockTimeout)
	if err != nil || firstPatience+patience != limit {
		t.Errorf("%s and %s are not %s: %v", firstPatience, patience, limit, err)
	}
}

// awaitLocks returns when the condition is true of the connections that wait for a lock on a table.
func awaitLocks(t *testing.T, b *bundle, condition string, conns ...*pgx.Conn) {
	t.Helper()
	pids := make([]any, len(conns))
	for i, c := range conns {
		pids[i] = c.PgConn().PID()
	}
	deadline := time.Now().Add(time.Minute)
	for ok := false; !ok; {
		err := b.conn.QueryRow(t.Context(), `with waiting as (select pid from pg_locks where not granted
			and locktype = 'relation') select `+condition, pids...).Scan(&ok)
		if err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("not after a minute")
		}
	}
}
