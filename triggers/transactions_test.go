package triggers

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/test/pgtest"
)

// TestERPTriggers: what the ERP's own triggers do to a row, and to others, before us and after us.
func TestERPTriggers(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL+`create table log (id serial primary key, line text);
		create function stamp() returns trigger language plpgsql as $$ begin
			if new.status = 'skip' then return null; end if; new.amount := coalesce(new.amount, 0) + 1; return new; end $$;
		create trigger "0 before" before insert or update on orders for each row execute function stamp();
		create function again() returns trigger language plpgsql as $$ begin
			if new.status = 'a' then update orders set status = 'b' where id = new.id; end if;
			if new.status = 'bad' then raise exception 'bad'; end if;
			insert into log (line) values (tg_op || new.status); return null; end $$;
		create trigger z_after after insert or update on orders for each row execute function again();
		create function late() returns trigger language plpgsql as $$ begin
			update orders set status = 'late' where id = new.id and status = 'b'; return null; end $$;
		create constraint trigger zz after insert on orders deferrable initially deferred for each row execute function late();`,
		want("orders", "status", "amount"), want("log", "line"))
	b.expect(`begin; insert into orders values (1, 'a'); insert into orders values (2, 'skip'); commit`,
		"i a,1,1", "u b,2,1 < a,1,1", "i UPDATEb,1", "i INSERTa,2", "u late,3,1 < b,2,1", "i UPDATElate,3")
	_, err := b.conn.Exec(t.Context(), `update orders set status = 'bad'`)
	if err == nil || !strings.Contains(err.Error(), "bad") {
		t.Errorf("a trigger that raises: %v", err)
	}
	b.appended("a trigger raised")
	b.expect(`update orders set status = 'skip'`)
}

// TestDisabledTriggers: ALTER TABLE … DISABLE TRIGGER USER or ALL, as bulk loads and pg_restore --disable-triggers do it,
// silences us too. Status says so while it lasts; the ENABLE that follows has to be the DBA's ENABLE ALWAYS, or up's.
func TestDisabledTriggers(t *testing.T) {
	t.Parallel()
	for _, which := range []string{"user", "all"} {
		b := installed(t, ordersDDL, want("orders", "status"))
		b.expect(`alter table orders disable trigger ` + which + `; insert into orders values (1, 'a')`)
		if got := b.status(); got.State != Disabled || len(got.Problems) != 2 {
			t.Errorf("disabled %s: status %+v", which, got)
		}
		b.exec(`alter table orders enable trigger ` + which)
		b.expect(`update orders set status = 'b'`, "u b,1 < a,1")
		if got := b.status(); got.State != Disabled { // not as a replica
			t.Errorf("enabled %s, but not always: status %+v", which, got)
		}
		b.up()
		b.expect(`set session_replication_role = replica; update orders set status = 'c'; reset session_replication_role`, "u c,1 < b,1")
	}
}

// TestSavepoints: what is rolled back is not told, at any depth, and past the 64 subtransactions that a backend announces.
func TestSavepoints(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL+`create function attempt(i int) returns void language plpgsql as $$ begin
		insert into orders values (i, 'x'); if i % 2 = 0 then perform 1 / 0; end if;
		exception when division_by_zero then update orders set status = 'odd' where id = i - 1; end $$;`, want("orders", "status"))
	b.expect(`begin; select attempt(1); savepoint a; select attempt(2); select attempt(3); rollback to a; select attempt(5); commit`,
		"i x,1", "i x,5")
	b.exec(`begin; select attempt(i) from generate_series(10, 210) i`)
	other := b.db.Connect(t)
	snapshot := one(t, other, `select pg_current_snapshot()::text`)
	xid := b.one(`select pg_current_xact_id()::text`)
	b.exec(`commit`)
	if !strings.Contains(snapshot, xid) {
		t.Errorf("snapshot %s does not list the open transaction %s", snapshot, xid)
	}
	got := b.changes()
	if len(got) != 200 || got[0] != "i x,11" || got[199] != "u odd,209 < x,209" {
		t.Errorf("%d changes, want 200: %q", len(got), got[:min(4, len(got))])
	}
	if n := b.one(fmt.Sprintf(`select count(distinct xid)::text || max(xid::text) from %s where xid >= '%s' and op <> 'k'`,
		ident(b.target.Schema, "change"), xid)); n != "1"+xid {
		t.Errorf("transactions of the rows: %s, want the one top-level %s", n, xid)
	}
}

// TestCaptureTakesNoTransactionIDs: its protected block must not use up an id for each row.
func TestCaptureTakesNoTransactionIDs(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, nil) // where nobody else takes ids
	b := setupIn(t, pgtest.NewIn(t, server), ordersDDL, want("orders", "status"))
	b.up()
	before := b.one(`select pg_current_xact_id()::text`)
	b.exec(`insert into orders select i, 'a' from generate_series(1, 1000) i`)
	after := b.one(`select (pg_current_xact_id()::text::int8 - ` + before + `)::text`)
	if after != "2" {
		t.Errorf("a statement of 1,000 rows took %s transaction ids, want its own and the question's", after)
	}
}

// TestPreparedLater: a transaction that another session commits, with changes made in between.
func TestPreparedLater(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, map[string]string{"max_prepared_transactions": "4"})
	w := want("orders", "status")
	w.Wake = wakeBySweep
	b := setupIn(t, pgtest.NewIn(t, server), ordersDDL, w)
	b.up()
	run1(t, b.conn, `begin; insert into orders values (1, 'a'); savepoint s; update orders set status = 'b'; prepare transaction 'p'`)
	b.exec(`begin; insert into orders values (3, 'no'); prepare transaction 'q'`)
	b.expect(`insert into orders values (2, 'c')`, "i c,2")
	b.marker = "0/0"
	other := b.db.Connect(t)
	run1(t, other, `rollback prepared 'q'`)
	run1(t, other, `commit prepared 'p'`)
	b.appended("all", "i a,1", "u b,1 < a,1", "i c,2")
}

// TestSerializable: transactions that do not conflict without us do not conflict with us, and those that do still do. Each
// pair overlaps; what reads the one writes the other only where it is meant to.
func TestSerializable(t *testing.T) {
	t.Parallel()
	for _, watched := range []bool{false, true} {
		b := setup(t, ordersDDL+`insert into orders select i, 'a' from generate_series(1, 2000) i; analyze orders`)
		if watched {
			b.target.Wants = append(b.target.Wants, want("orders", "status"))
			b.up()
		}
		one, two := b.db.Connect(t), b.db.Connect(t)
		for i := range 100 {
			a, z := 1+i, 1900-i // rows far apart: on pages of their own
			err := overlap(t, one, two,
				fmt.Sprintf(`select status from orders where id = %d; update orders set status = status || 'x' where id = %[1]d`, a),
				fmt.Sprintf(`select status from orders where id = %d; update orders set status = status || 'x' where id = %[1]d`, z))
			if err != nil {
				t.Fatalf("watched %v, pair %d: %v", watched, i, err)
			}
		}
		err := overlap(t, one, two, `select count(*) from orders where status = 'q'; update orders set status = 'p' where id = 500`,
			`select count(*) from orders where status = 'p'; update orders set status = 'q' where id = 600`)
		if sqlState(err) != "40001" {
			t.Errorf("watched %v: write skew ended with %v, want a serialization failure", watched, err)
		}
	}
}

// overlap runs two serializable transactions, each of whose statements follows the other's, and returns the first error.
func overlap(t *testing.T, one, two *pgx.Conn, first, second string) error {
	t.Helper()
	firsts, seconds := strings.Split(first, ";"), strings.Split(second, ";")
	run1(t, one, `begin isolation level serializable`)
	run1(t, two, `begin isolation level serializable`)
	for i := range firsts {
		run1(t, one, firsts[i])
		run1(t, two, seconds[i])
	}
	_, err := one.Exec(t.Context(), `commit`)
	if _, e := two.Exec(t.Context(), `commit`); err == nil {
		err = e
	}
	return err
}

// TestKeptSnapshots: a transaction that began before the outbox was there, or before something was done to it, captures what
// it writes, and what it saw of the catalog does not stay with its session.
func TestKeptSnapshots(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"repeatable read", "serializable"} {
		b := setup(t, ordersDDL+`insert into orders values (1, 'a'); create function fail() returns trigger language plpgsql as
			$$ begin raise 'no'; end $$`, want("orders", "status"))
		client := b.db.Connect(t)
		during := func(status string, do func()) {
			t.Helper()
			run1(t, client, `begin isolation level `+level+`; select from orders`)
			do()
			run1(t, client, `update orders set status = '`+status+`'; update orders set status = status || '!'; savepoint s;
				update orders set status = 'no'; rollback to s; update orders set status = status || '?'; commit`)
		}
		during("b", func() { b.up() })
		b.appended("began before up", "u b,1 < a,1", "u b!,1 < b,1", "u b!?,1 < b!,1")
		run1(t, client, `update orders set status = 'c'`)
		b.appended("after it", "u c,1 < b!?,1")
		all := func(sql string) func() {
			return func() {
				for i := range slots {
					b.exec(fmt.Sprintf(sql, ident(b.target.Schema, fmt.Sprintf("change_%d", i))))
				}
			}
		}
		during("d", all(`create trigger t before insert on %s for each row execute function fail()`))
		run1(t, client, `update orders set status = 'e'`)
		b.appended("a trigger")
		during("f", all(`drop trigger t on %s`)) // what it sees is the trigger
		b.changes()
		run1(t, client, `update orders set status = 'g'`)
		b.appended("undone", "u g,1 < f!?,1")
		during("h", all(`alter table %s rename old to was`))
		b.appended("a column renamed")
		during("i", all(`alter table %s rename was to old`))
		b.changes()
		run1(t, client, `begin isolation level `+level+`; update orders set status = 'j'; truncate orders; commit`)
		b.appended("again", "u j,1 < i!?,1", "t")
	}
}
