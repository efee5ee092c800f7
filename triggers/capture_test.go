package triggers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/test/pgtest"
)

const ordersDDL = `create table orders (id bigint primary key, status text, amount numeric, note text);`

func TestCaptureOperations(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status", "amount"))
	b.expect(`insert into orders values (1, 'draft', 1.50, 'x')`, "i draft,1.50,1")
	b.expect(`update orders set status = 'sent'`, "u sent,1.50,1 < draft,1.50,1")
	b.expect(`update orders set note = 'y'`)
	b.expect(`update orders set id = 2`, "u sent,1.50,2 < sent,1.50,1")
	b.expect(`update orders set status = null`, "u NULL,1.50,2 < sent,1.50,2")
	b.expect(`update orders set status = null`)
	b.expect(`delete from orders`, "d < NULL,1.50,2")
	b.expect(`truncate orders`, "t")
}

func TestCaptureStatements(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	b.expect(`begin; insert into orders values (1, 'a'); rollback`)
	b.expect(`begin; insert into orders values (1, 'a'); savepoint s; update orders set status = 'b';
		rollback to s; update orders set status = 'c'; commit`, "i a,1", "u c,1 < a,1")
	b.expect(`insert into orders values (1, 'd'), (2, 'e') on conflict (id) do update set status = excluded.status`,
		"u d,1 < c,1", "i e,2")
	b.expect(`insert into orders values (1, 'z') on conflict do nothing`)
	merge := `merge into orders o using (values (2, 'f'), (3, 'g')) v (id, status) on v.id = o.id
		when matched then update set status = v.status when not matched then insert values (v.id, v.status)`
	if !b.db.Has(t, pgtest.Merge) { // the same by hand
		merge = `update orders set status = 'f' where id = 2; insert into orders values (3, 'g')`
	}
	b.expect(merge, "u f,2 < e,2", "i g,3")
	_, err := b.conn.CopyFrom(t.Context(), pgx.Identifier{"orders"}, []string{"id", "status"},
		pgx.CopyFromRows([][]any{{4, "h"}, {5, nil}}))
	if err != nil {
		t.Fatal(err)
	}
	b.appended("copy", "i h,4", "i NULL,5")
	b.expect(`do $$ begin update orders set status = 'i' where id = 4; perform 1/0; exception when others then null; end $$`)
	b.expect(`set session_replication_role = replica; update orders set status = 'j' where id = 4;
		reset session_replication_role`, "u j,4 < h,4")
}

func TestCaptureCascadesAndDepth(t *testing.T) {
	t.Parallel()
	b := installed(t, `create table buyer (id int primary key, name text);
		create table orders (id int primary key, buyer_id int references buyer on update cascade on delete cascade
			deferrable initially deferred);
		create function touch() returns trigger language plpgsql as
			$$ begin update orders set id = id + 100 where buyer_id = new.id; return null; end $$;
		create trigger a_touch after update of name on buyer for each row execute function touch();
		insert into buyer values (1, 'a'); insert into orders values (10, 1);`,
		want("buyer", "id", "name"), want("orders", "id", "buyer_id"))
	b.expect(`update buyer set id = 2`, "u 2,a < 1,a", "u 10,2 < 10,1")
	b.expect(`update buyer set name = 'b'`, "u 2,b < 2,a", "u 110,2 < 10,2")
	depths := b.one(`select string_agg(depth::text, ',' order by lsn) from (select depth, lsn from ` +
		ident(b.target.Schema, "change") + ` order by lsn desc limit 2) x`)
	if depths != "1,2" {
		t.Errorf("depths %s, want 1,2", depths)
	}
	b.expect(`delete from buyer`, "d < 2,b", "d < 110,2")
}

func TestChannelsAndWatch(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL,
		change.Want{Table: "orders", Channel: "one", Columns: []string{"status", "amount"}, Watch: []string{"status"}},
		change.Want{Table: "public.orders", Channel: "two", Columns: []string{"note", "status"}, Watch: []string{"note"}},
		change.Want{Table: "orders", Channel: "two", Columns: []string{"amount"}})
	b.expect(`insert into orders values (1, 'a', 1, 'n')`, "one i a,1,n,1", "two i a,1,n,1")
	b.expect(`update orders set status = 'b'`, "one u b,1,n,1 < a,1,n,1")
	b.expect(`update orders set amount = 2`, "two u b,2,n,1 < b,1,n,1")
	b.expect(`update orders set note = null`, "two u b,2,NULL,1 < b,2,n,1")
	b.expect(`update orders set id = 9`, "one u b,2,NULL,9 < b,2,NULL,1", "two u b,2,NULL,9 < b,2,NULL,1")
	b.expect(`update orders set note = note, status = status`)
	b.expect(`truncate orders`, "one t", "two t")
}

func TestQuotedNames(t *testing.T) {
	t.Parallel()
	b := installed(t, `create schema "Sa.les"; create table "Sa.les"."Order ""Lines"" \ $rowfeed$"
		("Id" int, "v_op" text, "ü'x\" text, "$rowfeed$" text, primary key ("v_op", "Id"));`,
		want(`"Sa.les"."Order ""Lines"" \ $rowfeed$"`, "ü'x\\", "$rowfeed$"))
	b.expect(`insert into "Sa.les"."Order ""Lines"" \ $rowfeed$" values (1, 'k', 'v', 'w')`, "i v,w,k,1")
	if got := b.one(`select relation || ' ' || key::text from ` + ident(b.target.Schema, "capture")); got !=
		`Sa.les.Order "Lines" \ $rowfeed$ {2,3}` {
		t.Errorf("capture %s", got)
	}
	if lines := b.up(); len(lines) > 0 {
		t.Errorf("second up did %q", lines)
	}
}

func TestSequencesUntouched(t *testing.T) {
	t.Parallel()
	b := installed(t, `create table orders (id serial primary key, status text)`, want("orders", "status"))
	if got := b.one(`insert into orders (status) values ('a') returning lastval()::text`); got != "1" {
		t.Errorf("lastval in the statement is %s", got)
	}
	if got := b.one(`select lastval()::text || currval('orders_id_seq')::text`); got != "11" {
		t.Errorf("lastval and currval are %s, want 11", got)
	}
}

func TestERPRoleNeedsNoRights(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL+`alter table orders enable row level security; alter table orders force row level security;
		create policy own on orders using (status <> 'secret') with check (true);`, want("orders", "status"))
	erp, _ := b.login("", "grant select, insert, update, delete, truncate on orders to @role")
	run1(t, erp, `insert into orders values (1, 'a'); update orders set status = 'secret'; delete from orders; truncate orders`)
	b.appended("as the ERP's role", "i a,1", "u secret,1 < a,1", "t")
	schema := ident(b.target.Schema)
	for _, sql := range []string{"select * from @.change", "select * from @.change_0", "select @.tick()", "select @.rotate()",
		"insert into @.change_0 select * from @.change_1", "select * from @.capture"} {
		_, err := erp.Exec(t.Context(), strings.ReplaceAll(sql, "@", schema))
		if code := sqlState(err); code != noPrivilege {
			t.Errorf("%s: %v, want permission denied", sql, err)
		}
	}
}

func sqlState(err error) string {
	if e, ok := err.(*pgconn.PgError); ok {
		return e.Code
	}
	return ""
}

// notifications returns the payloads that arrive before the fence, which the caller's own notification is.
func notifications(t *testing.T, listener, sender *pgx.Conn) []string {
	t.Helper()
	run1(t, sender, "notify fence")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	list := []string{}
	for {
		n, err := listener.WaitForNotification(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if n.Channel == "fence" {
			return list
		}
		list = append(list, n.Channel+" "+n.Payload)
	}
}

func TestDoorbell(t *testing.T) {
	t.Parallel()
	w := func(channel, wake string) change.Want {
		return change.Want{Table: "orders", Channel: channel, Columns: []string{"status"}, Wake: wake}
	}
	b := installed(t, ordersDDL, w("a", "auto"), w("b", "notify"), w("c", "sweep"))
	listener := b.db.Connect(t)
	for _, c := range []string{"a", "b", "c"} {
		run1(t, listener, "listen "+ident(b.target.notify(c)))
	}
	run1(t, listener, "listen fence")
	b.exec(`begin; insert into orders select i, 'x' from generate_series(1, 100) i; savepoint s;
		update orders set status = 'y'; release s; commit`)
	xid := b.one("select xid::text from " + ident(b.target.Schema, "change") + " order by xid desc limit 1")
	got := notifications(t, listener, b.conn)
	slices.Sort(got)
	wanted := []string{b.target.notify("a") + " " + xid, b.target.notify("b") + " " + xid}
	if !slices.Equal(got, wanted) {
		t.Errorf("rang %q, want %q", got, wanted)
	}
	b.exec(`update orders set note = 'unwatched'; begin; delete from orders; rollback`)
	if got := notifications(t, listener, b.conn); len(got) > 0 {
		t.Errorf("nothing was appended, and it rang %q", got)
	}
}

func TestTwoPhaseCommit(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, map[string]string{"max_prepared_transactions": "4"})
	b := setupIn(t, pgtest.NewIn(t, server), ordersDDL, want("orders", "status"))
	b.up()
	listener := b.db.Connect(t)
	run1(t, listener, "listen fence; listen "+ident(b.target.notify("orders")))
	b.exec(`begin; insert into orders values (1, 'a'); prepare transaction 'p'`)
	b.appended("prepared")
	b.expect(`commit prepared 'p'`, "i a,1")
	b.expect(`update orders set status = 'b'`, "u b,1 < a,1")
	if got := notifications(t, listener, b.conn); len(got) > 0 {
		t.Errorf("rang %q where a transaction may be prepared", got)
	}
}

func TestIsolationLevels(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	for _, level := range []string{"read committed", "repeatable read", "serializable"} {
		b.expect(`begin isolation level `+level+`; insert into orders values (1, 'a'); delete from orders; commit`,
			"i a,1", "d < a,1")
	}
}

// TestTurnIsSlot: captures find the slot by fewer functions than what reads and empties the ring, and must find the same.
func TestTurnIsSlot(t *testing.T) {
	t.Parallel()
	conn := pgtest.New(t).Connect(t)
	for _, seconds := range []int{60, 3600, 86_400, 1_000_003} {
		c := common{Slot: seconds}
		sql := fmt.Sprintf(`select count(*)::text || ' ' || count(distinct %[1]s)::text || ' ' ||
			count(*) filter (where %[1]s <> case when %[2]s < %[3]s then 0 when %[2]s < %[4]s then 1 else 2 end)::text
			from generate_series(0, 3000) n,
			     unnest(array[interval '-1 microsecond', '0', '1 microsecond', '0.5 s', '59.999999 s']) off,
			     lateral (select to_timestamp((1700000000 / %[5]d + n) * %[5]d::bigint) + off as at) x`,
			c.SlotAt("at"), c.TurnAt("at"), c.Seconds(1), c.Seconds(2), seconds)
		if got := one(t, conn, sql); got != "15005 3 0" {
			t.Errorf("slots of %d s: times, slots and differences are %s, want 15005 3 0", seconds, got)
		}
	}
}

// TestBulkMemory: a bulk update that rings takes no memory for each row, but for the few bytes of the trigger's event.
func TestBulkMemory(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	b.exec("insert into orders select i, 'a' from generate_series(1, 20000) i; begin; update orders set status = 'b'")
	if got := b.one("select (sum(total_bytes) < 60e6)::text from pg_backend_memory_contexts"); got != "true" {
		t.Errorf("the transaction holds %s", b.one("select pg_size_pretty(sum(total_bytes)) from pg_backend_memory_contexts"))
	}
	b.exec("commit")
}
