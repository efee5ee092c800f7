package triggers

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
)

// neighbours are two databases of one server with schemas of one name, whose roles are therefore the same.
func neighbours(t *testing.T) (one, two *bundle) {
	t.Helper()
	one, two = setup(t, ordersDDL, want("orders", "status")), setup(t, ordersDDL, want("orders", "status"))
	two.target.Schema = one.target.Schema
	return one, two
}

// TestMigrationsOfNeighbours: ups and downs in two databases, at the same time, make and drop the same roles; none fails.
func TestMigrationsOfNeighbours(t *testing.T) {
	t.Parallel()
	one, two := neighbours(t)
	const rounds = 12
	var both sync.WaitGroup
	var again, stays atomic.Int64
	progress := func(line string) {
		if strings.Contains(line, "is read again") {
			again.Add(1)
		}
		if strings.Contains(line, "stays") {
			stays.Add(1)
		}
	}
	for _, b := range []*bundle{one, two} {
		both.Go(func() {
			for range rounds {
				if err := Up(t.Context(), b.conn, b.target, progress); err != nil {
					t.Errorf("up: %v", err)
				}
				if s, err := Inspect(t.Context(), b.conn, b.target); err != nil || len(s.Plan()) > 0 || len(s.Off()) > 0 {
					t.Errorf("after up: %v %q", err, s.Off())
				}
				if err := Down(t.Context(), b.conn, b.target.Schema, progress); err != nil {
					t.Errorf("down: %v", err)
				}
			}
		})
	}
	both.Wait()
	t.Logf("up read the state again %d times, down left a role %d times", again.Load(), stays.Load())
	one.wantNoRoles()
}

// TestRoleGoesDuringUp: a role that up has made or found, and nothing needs yet, is dropped before the next step.
func TestRoleGoesDuringUp(t *testing.T) {
	t.Parallel()
	for name, role := range map[string]func(*Target) string{"owner": (*Target).owner, "operator": (*Target).operator} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, ordersDDL, want("orders", "status"))
			name, other := role(&b.target), b.db.Connect(t)
			drops, again := 1, 0
			progress := func(line string) {
				if strings.Contains(line, "create role "+name) && drops > 0 {
					drops--
					run1(t, other, "drop role "+ident(name))
				}
				if strings.Contains(line, "is read again") {
					again++
				}
			}
			if err := Up(t.Context(), b.conn, b.target, progress); err != nil || again != 1 {
				t.Errorf("up: %v; the state was read again %d times, want once", err, again)
			}
			if off := b.inspect().Off(); len(off) > 0 {
				t.Errorf("after up: %q", off)
			}
			b.expect("insert into orders values (1, 'a')", "i a,1")
			b.down()
			drops, again = readings, 0
			err := Up(t.Context(), b.conn, b.target, progress)
			if err == nil || !strings.Contains(err.Error(), "run `rowfeed migrate up` again") || again != readings-1 {
				t.Errorf("up while the role is dropped each time: %v; the state was read again %d times", err, again)
			}
		})
	}
}

// TestRoleGoesDuringDown: a down in another database drops the same role at the same time, and is faster.
func TestRoleGoesDuringDown(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	other, conn := b.db.Connect(t), b.db.Connect(t)
	done := make(chan error, 1)
	go func() {
		done <- Down(t.Context(), conn, b.target.Schema, func(line string) {
			if strings.Contains(line, "drop schema") {
				_, err := other.Exec(t.Context(), "begin; drop role "+ident(b.target.operator()), pgx.QueryExecModeSimpleProtocol)
				if err != nil {
					t.Error(err)
				}
			}
		})
	}()
	awaitLocks(t, b, "exists (select from pg_locks where not granted and locktype = 'object' and pid = $1)", conn)
	run1(t, other, "commit")
	if err := <-done; err != nil {
		t.Errorf("down: %v", err)
	}
	b.wantNoRoles()
}

// wantNoRoles fails the test when roles of the schema are left.
func (b *bundle) wantNoRoles() {
	b.t.Helper()
	if got := b.one("select count(*)::text from pg_roles where rolname like " + literal(b.target.Schema+`\_%`)); got != "0" {
		b.t.Errorf("%s roles are left", got)
	}
}
