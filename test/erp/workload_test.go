package erp

import (
	"context"
	"maps"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/test/pgtest"
)

// recordSQL makes triggers that keep each committed row operation: an account that is independent of the workload's.
const recordSQL = `
create table record (tbl text, op text);
create function record() returns trigger language plpgsql security definer as
$$ begin insert into public.record values (tg_table_name, tg_op); return null; end $$;
do $$ declare t regclass; begin
	for t in select oid from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace and relname <> 'record'
	loop
		execute format('create trigger record after insert or update or delete on %s
			for each row execute function record()', t);
	end loop;
end $$;`

func TestWorkload(t *testing.T) {
	t.Parallel()
	db := setup(t)
	db.Exec(t, recordSQL)
	const rate = 150
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	result, err := Run(ctx, db.PoolAs(t, Role), Options{
		Rate: rate, Seed: 7, Users: 6, BulkEvery: 2 * time.Second, SlowEvery: 3 * time.Second, SlowFor: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", result)
	if got := float64(result.Changes()) / result.Elapsed.Seconds(); got < 0.9*rate || got > 1.1*rate {
		t.Errorf("%.1f changes/s, want %d ± 10 %%", got, rate)
	}
	if result.Rollbacks == 0 || result.Commits == 0 || result.Unknown != 0 || result.Failures != 0 {
		t.Errorf("an unlikely day: %+v", result)
	}
	conn := db.Connect(t)
	if got := recorded(t, conn); !maps.Equal(got, result.Rows) {
		t.Errorf("the database recorded %v\nthe workload counted %v", got, result.Rows)
	}
	if n := scalar[int](t, conn, `select count(*) from inventory_stocklevel l
		where quantity < 0 or quantity <> (select sum(delta) from inventory_stockmovement m where m.stock_level_id = l.id)
	`); n != 0 {
		t.Errorf("%d stock levels are not the sum of their movements", n)
	}
	if n := scalar[int](t, conn, `select count(*) from grants_grant g where disbursed <> coalesce(
		(select sum(amount) from grants_disbursement d where d.grant_id = g.id and d.status = 'disbursed'), 0)`); n != 0 {
		t.Errorf("%d grants are not the sum of what was disbursed", n)
	}
	for _, d := range documents {
		if n := scalar[int](t, conn, "select count(*) from "+d.table+
			" where (status in ('draft', 'pending')) <> (decided_at is null)"); n != 0 {
			t.Errorf("%d rows of %s have a status that is not theirs", n, d.table)
		}
	}
}

// recorded returns what the triggers of recordSQL saw.
func recorded(t *testing.T, conn *pgx.Conn) map[string]Ops {
	t.Helper()
	rows, err := conn.Query(t.Context(), `select tbl, count(*) filter (where op = 'INSERT'),
		count(*) filter (where op = 'UPDATE'), count(*) filter (where op = 'DELETE') from record group by tbl`)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Ops{}
	var table string
	var ops Ops
	_, err = pgx.ForEachRow(rows, []any{&table, &ops.Insert, &ops.Update, &ops.Delete}, func() error {
		got[table] = ops
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestWorkloadOutlivesTheServer crashes the server under the workload.
func TestWorkloadOutlivesTheServer(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, nil)
	db := pgtest.NewIn(t, server)
	install(t, db)
	db.Exec(t, recordSQL+`
		create function ring() returns trigger language plpgsql as $$ begin notify worked; return null; end $$;
		create trigger ring after insert on notifications_notification execute function ring();`)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type outcome struct {
		result Result
		err    error
	}
	done := make(chan outcome, 1)
	pool := db.PoolAs(t, Role)
	go func() {
		result, err := Run(ctx, pool, Options{Rate: 200, Seed: 3, Users: 4, Persist: true})
		done <- outcome{result, err}
	}()
	worked := func() {
		conn := db.Connect(t)
		if _, err := conn.Exec(t.Context(), "listen worked"); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if _, err := conn.WaitForNotification(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	worked()
	if err := server.Kill(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	<-server.Done()
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	worked()
	cancel()
	out := <-done
	if out.err != nil {
		t.Fatal(out.err)
	}
	if out.result.Failures == 0 {
		t.Error("the crash made no transaction fail")
	}
	var counted, kept int64
	for _, ops := range out.result.Rows {
		counted += ops.Insert + ops.Update + ops.Delete
	}
	kept = scalar[int64](t, db.Connect(t), "select count(*) from record")
	if kept < counted || kept > counted && out.result.Unknown == 0 {
		t.Errorf("the database kept %d rows, the workload counted %d and %d unknown commits", kept, counted,
			out.result.Unknown)
	}
}

func TestRunErrors(t *testing.T) {
	t.Parallel()
	db := setup(t)
	if _, err := Run(t.Context(), db.PoolAs(t, Role), Options{}); err == nil || !strings.Contains(err.Error(), "rate") {
		t.Errorf("error %v of no rate", err)
	}
	db.Exec(t, "revoke update on inventory_stocklevel from erp")
	_, err := Run(t.Context(), db.PoolAs(t, Role), Options{Rate: 200})
	if err == nil || !strings.Contains(err.Error(), "permission denied for table inventory_stocklevel") {
		t.Errorf("error %v of a missing right", err)
	}
}

func TestPacer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		p := pacer{rate: 100, next: begin}
		for range 50 { // 10 rows planned, 5 written
			if !p.wait(t.Context(), 10) {
				t.Fatal("not done, but it says so")
			}
			p.settle(10, 5)
		}
		if took := time.Since(begin); took < 2400*time.Millisecond || took > 2600*time.Millisecond {
			t.Errorf("250 rows at 100/s took %v", took)
		}
		pause(t.Context(), time.Minute) // of the bubble's clock: the server was slow
		before := time.Now()
		for range 300 {
			p.wait(t.Context(), 1)
		}
		if took := time.Since(before); took < 900*time.Millisecond || took > 1100*time.Millisecond {
			t.Errorf("300 rows with %v to make up for took %v", catchUp, took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if p.wait(ctx, 1) {
			t.Error("it waited for nobody")
		}
	})
}
