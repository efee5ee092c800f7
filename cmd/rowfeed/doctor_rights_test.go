package main

import (
	"context"
	"slices"
	"strings"
	"testing"
)

func TestDoctorInstallation(t *testing.T) {
	t.Parallel()
	w := connected(t, nil)
	w.exec("create table more (id int primary key)")
	trigger := `"00_` + w.cfg.Database.Schema + `"`
	for _, step := range []struct{ do, undo, outcome, says string }{
		{"alter table orders disable trigger " + trigger, "alter table orders enable always trigger " + trigger, "fail", "table public.orders: disabled"},
		{"revoke select on {s}.change_1 from rowfeed", "grant select on {s}.change_1 to rowfeed", "fail", "role rowfeed (the user of database.url) lacks rights"},
		{"alter function {s}.tick() security invoker", "alter function {s}.tick() security definer", "fail", "function tick is not security definer"},
		{"alter table orders drop constraint orders_pkey", "alter table orders add primary key (id)", "fail", "table public.orders: broken"},
	} {
		w.exec(step.do)
		w.says(checkInstallation, step.outcome, step.says)
		w.exec(step.undo)
	}
	w.says(checkInstallation, "ok")
	w.cfg.Channels["orders"].Rules[0].Table = "more"
	w.says(func(ctx context.Context, x *examination) []finding {
		return slices.DeleteFunc(checkInstallation(ctx, x), func(f finding) bool { return f.Outcome == outcomeFail })
	}, "warn", "table public.orders: has triggers, but no rule names it")
	w.cfg.Database.Schema = "nowhere"
	w.has &^= needsInstalled
	w.says(checkInstallation, "fail", "schema nowhere is not installed")
}

func TestDoctorRowSecurity(t *testing.T) {
	t.Parallel()
	w := connected(t, nil, "ROWFEED_AUTH_USER_QUERY=select name from staff where id = $1::int")
	w.exec("create table staff (id int, name text); alter table staff enable row level security; grant select on staff to rowfeed")
	w.says(checkRowSecurity, "warn", "auth.user_query reads public.staff, where row-level security decides")
	w.exec("alter table staff disable row level security; alter table {s}.change_2 enable row level security")
	w.says(checkRowSecurity, "fail", "row-level security is on for "+w.cfg.Database.Schema+".change_2")
}

func TestDoctorOthers(t *testing.T) {
	t.Parallel()
	w := connected(t, nil, "ROWFEED_AUTH_USER_QUERY=select 1::text where $1 = ''")
	w.says(checkRights, "ok")
	w.says(checkOthers, "ok")
	reporting, schema := "reporting_"+w.db.Name, w.cfg.Database.Schema
	w.exec("create role " + reporting + " login")
	for _, step := range []struct{ do, undo, says string }{
		{"grant select on all tables in schema {s} to " + reporting, "revoke all on all tables in schema {s} from " + reporting, "role " + reporting + " may select "},
		{"grant insert on {s}.change_0 to public", "revoke insert on {s}.change_0 from public", "everybody (PUBLIC) may insert " + schema + ".change_0"},
		{"grant select (old, new) on {s}.change_0 to public", "revoke all (new, old) on {s}.change_0 from public",
			"everybody (PUBLIC) may select columns of " + schema + ".change_0"},
		{"grant execute on function {s}.tick() to public", "revoke execute on function {s}.tick() from public", "everybody (PUBLIC) may call tick"},
		{"create publication p_orders for table orders, {s}.change_0", "drop publication p_orders", "publication p_orders sends 1 tables"},
		{"alter role {s}_owner login", "alter role {s}_owner nologin", "role " + schema + "_owner can log in"},
		{"alter role {s}_operator superuser", "alter role {s}_operator nosuperuser", "role " + schema + "_operator is a superuser"},
	} {
		w.exec(strings.ReplaceAll(step.do, "{s}_", schema+"_"))
		w.says(checkOthers, "warn", step.says)
		w.exec(strings.ReplaceAll(step.undo, "{s}_", schema+"_"))
	}
	w.says(checkOthers, "ok")
	for do, says := range map[string]string{
		"grant insert on {s}.change_0 to rowfeed": "may write the outbox",
		"grant update on orders to rowfeed":       "may write tables of the ERP",
		"grant create on schema {s} to rowfeed":   "may create in schemas",
	} {
		w.exec(do)
		w.says(checkRights, "warn", says)
		w.exec(strings.NewReplacer("grant", "revoke", " to ", " from ").Replace(do))
	}
	w.exec("revoke create on schema public from public")
	w.says(checkSearchPath, "ok")
	w.exec("grant create on schema public to public")
	w.says(checkSearchPath, "warn", "every login may create in schema public")
}
