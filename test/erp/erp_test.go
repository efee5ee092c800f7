package erp

import (
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/test/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// setup gives a database with the sample ERP in it.
func setup(t *testing.T) *pgtest.DB {
	t.Helper()
	db := pgtest.New(t)
	install(t, db)
	return db
}

func install(t *testing.T, db *pgtest.DB) {
	t.Helper()
	if err := Install(t.Context(), db.Connect(t)); err != nil {
		t.Fatal(err)
	}
}

// scalar runs a query for one value.
func scalar[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%v\nin: %s", err, sql)
	}
	return v
}

func TestInstallIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	var sums [2]string
	var all sync.WaitGroup
	for i := range sums {
		db := pgtest.New(t)
		conn := db.Connect(t)
		all.Go(func() { // at once, as the tests of a package do: the role belongs to all databases
			if err := Install(t.Context(), conn); err != nil {
				t.Error(err)
				return
			}
			sums[i] = scalar[string](t, conn, `select
				(select md5(string_agg(md5(row(number, amount, status, requested_by_id)::text), '' order by id))
					from finance_expenserequest) ||
				(select md5(string_agg(quantity || ' ' || reorder_level, ',' order by id)) from inventory_stocklevel)`)
		})
	}
	all.Wait()
	if sums[0] != sums[1] {
		t.Errorf("two installations differ: %v", sums)
	}
}

func TestData(t *testing.T) {
	t.Parallel()
	conn := setup(t).Connect(t)
	for table, want := range map[string]int{
		"core_company": 2, "auth_user": 60, "auth_group": 6, "inventory_warehouse": 3, "inventory_sku": 300,
		"inventory_stocklevel": 900, "inventory_stockmovement": 900, "finance_expenserequest": 400, "assets_asset": 240,
	} {
		if got := scalar[int](t, conn, "select count(*) from "+table); got != want {
			t.Errorf("%s has %d rows, want %d", table, got, want)
		}
	}
	for what, sql := range map[string]string{
		"requests across companies": `select count(*) from finance_expenserequest e join auth_user u
			on u.id = e.requested_by_id join auth_user a on a.id = e.approved_by_id
			where e.company_id <> u.company_id or e.company_id <> a.company_id`,
		"disbursements of another company's grant": `select count(*) from grants_disbursement d
			join grants_grant g on g.id = d.grant_id where g.company_id <> d.company_id`,
		"decisions by those who may not": `select count(*) from finance_expenserequest e where approved_by_id is not null
			and not exists (select from auth_user_groups ug join auth_group g on g.id = ug.group_id
				where ug.user_id = e.approved_by_id and g.name = 'finance-approver')`,
		"companies without a member of some group": `select count(*) from auth_group g cross join core_company c
			where not exists (select from auth_user_groups ug join auth_user u on u.id = ug.user_id
				where ug.group_id = g.id and u.company_id = c.id)`,
		"dates to come": `select count(*) from finance_expenserequest where created_at > now()`,
	} {
		if n := scalar[int](t, conn, sql); n != 0 {
			t.Errorf("%d %s", n, what)
		}
	}
	if n := scalar[int](t, conn, "select nextval('finance_expenserequest_id_seq')"); n != 401 {
		t.Errorf("the next expense request is %d, want 401", n)
	}
}

func TestApplicationRoleOwnsNothing(t *testing.T) {
	t.Parallel()
	db := setup(t)
	conn := db.Connect(t)
	if n := scalar[int](t, conn, "select count(*) from pg_class where relowner = $1::regrole", Role); n != 0 {
		t.Errorf("role %s owns %d relations", Role, n)
	}
	_, err := db.ConnectAs(t, Role).Exec(t.Context(), "create trigger t after insert on auth_user execute function now()")
	if err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("create trigger as %s: %v, want permission denied", Role, err)
	}
}
