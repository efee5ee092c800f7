package audience

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/config"
	"nalar.internal/rowfeed/test/pgtest"
)

// erp is what a Django project has of users and groups.
const erp = `
create table auth_user (id int primary key, first_name text, last_name text, is_active bool, company_id int);
create table auth_group (id int primary key, name text);
create table auth_user_groups (user_id int, group_id int);
insert into auth_user values (42, 'Ana', 'Lima', true, 7), (43, 'Bo', 'Ek', false, 7), (44, null, null, true, null),
	(45, 'Cy', 'Oz', true, 8);
insert into auth_group values (1, 'buyer'), (2, 'clerk'), (3, null), (4, e'odd\x01');
insert into auth_user_groups values (42, 1), (42, 2), (42, 1), (42, 3), (42, 4), (43, 1);
create function raise(text) returns text language plpgsql as $$ begin raise exception 'row data'; end $$`

const (
	userQuery = `select company_id, first_name || ' ' || last_name from auth_user where id = $1::int and is_active`
	grants    = `select 'role:' || g.name from auth_group g join auth_user_groups ug on ug.group_id = g.id
		where ug.user_id = $1::int union all select '' order by 1;`
)

func django() config.Auth {
	cfg := basic()
	cfg.UserQuery, cfg.GrantsQuery = userQuery, grants
	return cfg
}

func user(t testing.TB, id any) string { return hs256(t, jwt.MapClaims{"user_id": id}) }

func setup(t *testing.T) (*pgtest.DB, Querier) {
	t.Helper()
	db := pgtest.New(t)
	pool := db.Pool(t)
	if _, err := pool.Exec(t.Context(), erp); err != nil {
		t.Fatal(err)
	}
	return db, pool
}

func TestIdentityFromQueries(t *testing.T) {
	t.Parallel()
	_, db := setup(t)
	a := newAuthority(t, django(), db)
	if err := a.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := identify(t, a, user(t, 42))
	if id.User != "42" || id.Tenant != "7" || id.Name != "Ana Lima" {
		t.Errorf("got %+v", id)
	}
	want := []string{
		change.Scope("7", "role:buyer"), change.Scope("7", "role:clerk"),
		change.Scope(change.AnyTenant, "role:buyer"), change.Scope(change.AnyTenant, "role:clerk"),
	}
	slices.Sort(want)
	if !slices.Equal(id.Grants, want) {
		t.Errorf("grants %q, want %q", id.Grants, want)
	}
	for name, test := range map[string]struct {
		user   any
		reason string
	}{
		"inactive":     {43, "user not active"},
		"unknown":      {99, "user not active"},
		"no tenant":    {44, "user has no tenant"},
		"no number":    {"abc", "user not accepted"},
		"SQL":          {"42 or true", "user not accepted"},
		"out of range": {1 << 40, "user not accepted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefusal(t, a, user(t, test.user), test.reason)
		})
	}
	if id := identify(t, a, user(t, 45)); id.Tenant != "8" || len(id.Grants) != 0 {
		t.Errorf("got %+v", id)
	}
}

func TestTenantFromTokenAndQuery(t *testing.T) {
	t.Parallel()
	_, db := setup(t)
	cfg := django()
	cfg.Tenant = "{company}"
	cfg.Grants = []string{"role:{role}"}
	a := newAuthority(t, cfg, db)
	with := func(id int, company string) string {
		return hs256(t, jwt.MapClaims{"user_id": id, "company": company, "role": "buyer"})
	}
	if id := identify(t, a, with(42, "7")); id.Tenant != "7" || len(id.Grants) != 4 {
		t.Errorf("got %+v", id)
	}
	wantRefusal(t, a, with(44, "9"), "user has no tenant")
	wantRefusal(t, a, with(42, "8"), "tenant is not the user's")
	wantRefusal(t, a, user(t, 42), "tenant claim missing")
}

func TestUserQueryWithoutTenant(t *testing.T) {
	t.Parallel()
	_, db := setup(t)
	cfg := basic()
	cfg.UserQuery = "select first_name from auth_user where id = $1::int"
	if id := identify(t, newAuthority(t, cfg, db), user(t, 42)); id.Tenant != "" || id.Name != "Ana" {
		t.Errorf("got %+v", id)
	}
	cfg.UserQuery = "select '', first_name from auth_user where id = $1::int"
	wantRefusal(t, newAuthority(t, cfg, db), user(t, 42), "user has no tenant")
	cfg.UserQuery = "select e'\\x01', first_name from auth_user where id = $1::int"
	wantRefusal(t, newAuthority(t, cfg, db), user(t, 42), "tenant of user not usable")
}

// TestQueryHangs: whoever waits for a lock of the ERP is told so in time, and the next one asks again.
func TestQueryHangs(t *testing.T) {
	t.Parallel()
	server, db := setup(t)
	locker := server.Connect(t)
	if _, err := locker.Exec(t.Context(), "begin; lock table auth_user in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	a := newAuthority(t, django(), db)
	a.directory.limit = 100 * time.Millisecond
	id, err := a.Identify(t.Context(), user(t, 42))
	if id != nil || !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %+v, %v", id, err)
	}
	if _, err := locker.Exec(t.Context(), "rollback"); err != nil {
		t.Fatal(err)
	}
	a.directory.limit = queryTimeout
	if id := identify(t, a, user(t, 42)); id.Tenant != "7" {
		t.Errorf("got %+v", id)
	}
}

// TestQueryFails: what is not the user's fault is no refusal, and shows at start.
func TestQueryFails(t *testing.T) {
	t.Parallel()
	server, db := setup(t)
	server.Exec(t, `do $$ begin create role audience_stranger login; exception when duplicate_object then null; end $$`)
	closed := server.Pool(t)
	closed.Close()
	for name, test := range map[string]struct {
		user, grants string
		db           Querier
		late         bool // shows only when there is a row
		want         string
	}{
		"no table":       {"select name, name from gone where id = $1::int", "", db, false, "auth.user_query"},
		"no column":      {"", "select gone from auth_group where $1::int > 0", db, false, "auth.grants_query"},
		"both, second":   {userQuery, "select gone from auth_group where $1::int > 0", db, false, "auth.grants_query"},
		"no right":       {userQuery, "", server.PoolAs(t, "audience_stranger"), false, "permission denied"},
		"syntax":         {"", "selec $1", db, false, "auth.grants_query"},
		"many columns":   {"select *, $1::int from auth_user where false", "", db, false, "6 columns: make it return 2"},
		"many grants":    {"", "select name, $1::int from auth_group", db, false, "returns 2 columns: make it return 1"},
		"no columns":     {"select from auth_user where id > $1::int", "", db, false, "returns 0 columns"},
		"many rows":      {"select id, '' from auth_user where $1::int > 0", "", db, true, "more than one row"},
		"exception":      {"", "select raise($1)", db, false, "auth.grants_query: raises an exception (SQLSTATE P0001)"},
		"pool is closed": {userQuery, "", closed, false, "closed pool"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := basic()
			cfg.UserQuery, cfg.GrantsQuery = test.user, test.grants
			a := newAuthority(t, cfg, test.db)
			id, err := a.Identify(t.Context(), user(t, 42))
			if id != nil || !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("identify: %+v, %v; want %s", id, err, test.want)
			}
			if _, refused := errors.AsType[*Refusal](err); refused || strings.Contains(err.Error(), "row data") {
				t.Errorf("identify: %v", err)
			}
			err = a.Check(t.Context())
			if test.late != (err == nil) || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("check: %v; want %s", err, test.want)
			}
		})
	}
}

// TestQueryErrorConcernsOneUser: 44 divides by zero, 42 does not notice.
func TestQueryErrorConcernsOneUser(t *testing.T) {
	t.Parallel()
	_, db := setup(t)
	core, logs := observer.New(zap.WarnLevel)
	cfg := basic()
	cfg.GrantsQuery = "select 'share:' || 84 / ($1::int - 44)"
	a, err := New(cfg, db, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, a, user(t, 44), "user not accepted")
	identify(t, a, user(t, 42))
	if logs.Len() != 1 || logs.All()[0].ContextMap()["sqlstate"] != "22012" {
		t.Errorf("logged %v", logs.All())
	}
}

// counting counts the queries that really run.
type counting struct {
	Querier
	queries atomic.Int32
}

func (c *counting) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	c.queries.Add(1)
	return c.Querier.Query(ctx, sql, args...)
}

func TestManySessionsOneQuery(t *testing.T) {
	t.Parallel()
	_, db := setup(t)
	count := &counting{Querier: db}
	a := newAuthority(t, django(), count)
	token := user(t, 42)
	var sessions sync.WaitGroup
	for range 50 {
		sessions.Go(func() {
			if id, err := a.Identify(t.Context(), token); err != nil || len(id.Grants) != 4 {
				t.Errorf("got %+v, %v", id, err)
			}
		})
	}
	sessions.Wait()
	if n := count.queries.Load(); n != 2 {
		t.Errorf("%d queries, want one for the user and one for the grants", n)
	}
}

// TestFirstSessionLeaves: a client that goes away costs the pool no connection, and the next ones no answer.
func TestFirstSessionLeaves(t *testing.T) {
	t.Parallel()
	_, db := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if id, err := newAuthority(t, django(), db).Identify(ctx, user(t, 42)); err != nil || id.Tenant != "7" {
		t.Errorf("got %+v, %v", id, err)
	}
}

func TestTooManyGrantsFromQuery(t *testing.T) {
	t.Parallel()
	_, db := setup(t)
	cfg := basic()
	cfg.GrantsQuery = "select 'g' || n from generate_series(1, $1::int) n"
	a := newAuthority(t, cfg, db)
	if id := identify(t, a, user(t, maxGrants)); len(id.Grants) != 2*maxGrants {
		t.Errorf("%d grants", len(id.Grants))
	}
	wantRefusal(t, a, user(t, maxGrants+1), "too many grants")
	cfg.Grants = []string{"and one more"}
	wantRefusal(t, newAuthority(t, cfg, db), user(t, maxGrants), "too many grants")
}

// TestAnswerOlderThanIdentity: what was looked up before a change does not bring back what a later look-up found gone.
func TestAnswerOlderThanIdentity(t *testing.T) {
	t.Parallel()
	db, pool := setup(t)
	a, err := New(django(), pool, nil)
	if err != nil {
		t.Fatal(err)
	}
	token := user(t, 42)
	before, err := a.Identify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	older := a.LookUp(t.Context(), []*Identity{before})[0]
	if _, err := db.Connect(t).Exec(t.Context(), `delete from auth_user_groups where user_id = 42`); err != nil {
		t.Fatal(err)
	}
	a.Changed(false, map[string]struct{}{UserKey("42"): {}})
	now, err := a.Identify(t.Context(), token)
	if err != nil || slices.Equal(now.Grants, before.Grants) {
		t.Fatalf("got %v %v, want fewer grants than %v", now, err, before.Grants)
	}
	if got, err := a.Renew(now, older); err != nil || !slices.Equal(got.Grants, now.Grants) {
		t.Errorf("got %v %v, want what was looked up last", got, err)
	}
	if got, err := a.Renew(before, a.LookUpOne(t.Context(), before)); err != nil || !slices.Equal(got.Grants, now.Grants) {
		t.Errorf("got %v %v, want %v", got, err, now.Grants)
	}
}
