package triggers

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestHostileSessions: whatever a client, or the ERP's database, has set, a write has its usual outcome and the same is
// captured. Each session sees the function for the first time under the setting, and again.
func TestHostileSessions(t *testing.T) {
	t.Parallel()
	b := installed(t, evil+`create table orders (id int primary key, status text, amount numeric, at timestamptz, i interval,
		f float8, tags text[], pic bytea, doc jsonb, r tstzrange)`,
		want("orders", "status", "amount", "at", "i", "f", "tags", "pic", "doc", "r"))
	row := func(id int) string {
		return fmt.Sprintf(`a,1.50,"2026-11-23T00:00:00","P1DT2H",3fd3333333333334,["x"],00ff,{"a": 1.50},`+
			`"[\"2026-11-23 00:00:00+00\",)",%d`, id)
	}
	for _, setting := range []string{
		hostile,
		`set search_path = ''`,
		`set search_path = pg_temp, evil, pg_catalog; create temp table change_0 (x int); create temp table pg_class (x int);
			create domain pg_temp.text as int4; create type pg_temp.int8 as enum ('x')`,
		`set plpgsql.variable_conflict = error; set plpgsql.extra_errors = 'all'; set plpgsql.extra_warnings = 'all';
			set plpgsql.check_asserts = off; set plpgsql.print_strict_params = on`,
		`set plpgsql.variable_conflict = use_column`, `set plpgsql.variable_conflict = use_variable`,
		`set array_nulls = off; set backslash_quote = on; set transform_null_equals = on; set escape_string_warning = off;
			set operator_precedence_warning = on`,
		`set default_transaction_isolation = serializable; set default_transaction_deferrable = on`,
		`set default_transaction_isolation = 'repeatable read'`,
		`set xmloption = document; set xmlbinary = hex; set lc_numeric = 'C'; set lc_time = 'C'; set gin_fuzzy_search_limit = 1`,
		`set enable_indexscan = off; set enable_seqscan = off; set jit_above_cost = 0; set plan_cache_mode = force_custom_plan`,
		`set plan_cache_mode = force_generic_plan; set jit = on; set jit_above_cost = 0; set jit_optimize_above_cost = 0`,
		`set row_security = off; set check_function_bodies = off; set default_table_access_method = heap;
			set default_tablespace = pg_default; set temp_tablespaces = ''`,
		`set debug_parallel_query = on; set force_parallel_mode = on; set max_parallel_workers_per_gather = 4`,
		`set synchronous_commit = off; set commit_delay = 10; set work_mem = 64; set log_statement = 'all'`,
		`set track_functions = 'all'; set session_replication_role = replica`,
		`set session_replication_role = local; set client_encoding = latin1`,
	} {
		client := b.db.Connect(t)
		for _, s := range strings.Split(setting, ";") {
			_, err := client.Exec(t.Context(), s)
			if code := sqlState(err); code != "" && code != "42704" { // some are not of all versions
				t.Fatalf("%s: %v", s, err)
			}
		}
		run1(t, client, `insert into public.orders values (1, 'a', 1.50, '2026-11-23T00:00:00Z', 'P1DT2H', 0.1::float8 + 0.2::float8,
			array['x'], decode('00ff', 'hex'), '{"a": 1.50}', pg_catalog.tstzrange('2026-11-23T00:00:00Z'::pg_catalog.timestamptz, null));`)
		run1(t, client, `update public.orders set id = 2; update public.orders set id = 2; delete from public.orders; truncate public.orders`)
		b.appended(setting, "i "+row(1), "u "+row(2)+" < "+row(1), "d < "+row(2), "t")
	}
}

// TestReadOnlySession: a write that is refused is refused as ever, and leaves nothing.
func TestReadOnlySession(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	client := b.db.Connect(t)
	run1(t, client, `set default_transaction_read_only = on`)
	if _, err := client.Exec(t.Context(), `insert into orders values (1, 'a')`); sqlState(err) != "25006" {
		t.Errorf("insert: %v, want a read-only transaction", err)
	}
	b.appended("read only")
	run1(t, client, `begin read write; insert into orders values (1, 'a'); commit`)
	b.appended("read write", "i a,1")
}

// TestRights: row-level security, rights on columns and a function of somebody else's are the ERP's own affair.
func TestRights(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL+`alter table orders enable row level security; alter table orders force row level security;
		create policy mine on orders using (note = current_user) with check (note = current_user);
		create function secure() returns void language sql security definer as
			$$ insert into public.orders values (9, 'secure', null, current_user) $$; insert into orders values (5, 'x', 1, 'other')`,
		want("orders", "status", "note"))
	erp, role := b.login("", `grant select, insert, delete, update (status) on orders to @role`)
	run1(t, erp, `insert into orders values (1, 'a', 1, current_user); update orders set status = 'b'`)
	b.appended("own rows", "i a,"+role+",1", "u b,"+role+",1 < a,"+role+",1")
	for sql, code := range map[string]string{
		`insert into orders values (2, 'a', 1, 'other')`: noPrivilege, // the policy
		`update orders set note = 'x'`:                   noPrivilege, // the column
		`truncate orders`:                                noPrivilege,
	} {
		if _, err := erp.Exec(t.Context(), sql); sqlState(err) != code {
			t.Errorf("%s: %v, want %s", sql, err, code)
		}
	}
	run1(t, erp, `select secure(); set row_security = off`)
	if _, err := erp.Exec(t.Context(), `delete from orders`); sqlState(err) != noPrivilege {
		t.Errorf("delete past the policy: %v", err)
	}
	b.appended("secure", "i secure,postgres,9")
	run1(t, erp, `set row_security = on; delete from orders`)
	b.appended("delete", "d < b,"+role+",1")
}

// TestStatementTimeout: one that strikes within the capture ends the statement as ever, at once.
func TestStatementTimeout(t *testing.T) {
	t.Parallel()
	b := installed(t, exoticDDL+`create or replace function cj_json(x cast_json) returns json language sql as
		$$ select to_json(pg_sleep(600)::text) $$; create table orders (id int primary key, x cast_json, status text)`, want("orders", "x", "status"))
	client := b.db.Connect(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := client.Exec(ctx, `set statement_timeout = 200`)
	if err == nil {
		_, err = client.Exec(ctx, `insert into orders values (1, '1', 'a')`)
	}
	if sqlState(err) != "57014" {
		t.Fatalf("a statement that is over its time: %v", err)
	}
	b.appended("timed out")
	run1(t, client, `insert into orders values (1, null, 'a')`)
	b.appended("in time", "i NULL,a,1")
}
