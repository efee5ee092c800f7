package triggers

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// deeds are what somebody may do to the outbox by hand; @ is the schema, @owner its owner. undo makes it good again.
var deeds = map[string]struct{ do, undo string }{
	"drop a table":    {"drop table @.change_1 cascade", ""},
	"drop all":        {"drop table @.change_0, @.change_1, @.change_2 cascade", ""},
	"rename a table":  {"alter table @.change_2 rename to old", "alter table @.old rename to change_2"},
	"move a table":    {"alter table @.change_0 set schema public", "alter table public.change_0 set schema @"},
	"rename a column": {"alter table @.change_0 rename old to was", "alter table @.change_0 rename was to old"},
	"retype a column": {"drop view @.change; alter table @.change_0 alter lsn type text", ""},
	"a column more":   {"alter table @.change_1 add x int not null default 1", "alter table @.change_1 drop x"},
	"a check":         {"alter table @.change_0 add constraint c check (op <> 'u') not valid", "alter table @.change_0 drop constraint c"},
	"a trigger": {`create function @.f() returns trigger language plpgsql as $$ begin raise 'no'; end $$;
		create trigger t before insert on @.change_0 for each row execute function @.f()`, "drop function @.f() cascade"},
	"a rule":              {"create rule r as on insert to @.change_0 do instead nothing", "drop rule r on @.change_0"},
	"a unique index":      {"truncate @.change_0; create unique index u on @.change_0 (channel)", "drop index @.u"},
	"a column not null":   {"truncate @.change_0; alter table @.change_0 alter old set not null", "alter table @.change_0 alter old drop not null"},
	"row-level security":  {"alter table @.change_0 enable row level security, force row level security", "alter table @.change_0 disable row level security, no force row level security"},
	"another owner":       {"alter table @.change_0 owner to current_user", "alter table @.change_0 owner to @owner"},
	"a right taken":       {"revoke insert on @.change_0 from @owner", "grant insert on @.change_0 to @owner"},
	"the schema's owner":  {"alter schema @ owner to current_user", "alter schema @ owner to @owner"},
	"a schema renamed":    {"alter schema @ rename to @elsewhere", "alter schema @elsewhere rename to @"},
	"the function's loss": {"drop function @.writable(regclass)", ""},
}

// TestOutboxHarmed: a write of the ERP succeeds whatever was done to the outbox, in a session that knew it before and in a
// new one; when it is undone, capture goes on by itself.
func TestOutboxHarmed(t *testing.T) {
	t.Parallel()
	for name, deed := range deeds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := installed(t, ordersDDL, want("orders", "status"))
			schema := ident(b.target.Schema)
			fill := strings.NewReplacer("@owner", ident(b.target.owner()), "@elsewhere", ident(b.target.Schema+"_x"), "@", schema).Replace
			veteran := b.db.Connect(t)
			writes := func(conn *pgx.Conn) {
				t.Helper()
				run1(t, conn, `insert into orders values (1, 'a'), (2, 'a'); update orders set status = 'b'; delete from orders where id = 2`)
				run1(t, conn, `begin; truncate orders; savepoint s; insert into orders values (1, 'a'); rollback to s; commit`)
			}
			writes(veteran)
			b.exec(fill(deed.do))
			writes(veteran)
			writes(b.db.Connect(t))
			if got := one(t, veteran, `select count(*)::text from orders`); got != "0" {
				t.Errorf("%s rows, want none", got)
			}
			if name != "a schema renamed" && len(b.inspect().Off()) == 0 {
				t.Error("status has nothing to say of it")
			}
			if deed.undo != "" {
				b.exec(fill(deed.undo))
				b.changes()
				run1(t, veteran, `insert into orders values (3, 'c')`)
				b.appended("undone", "i c,3")
				if off := b.inspect().Off(); len(off) > 0 {
					t.Errorf("undone, and status says %q", off)
				}
			}
		})
	}
}
