package triggers

import (
	"strings"
	"testing"
)

// TestOwnerMakesPartitions: who owns a partitioned table attaches, makes and detaches partitions as before, of sub-partitioned
// ones too; others get no right by it.
func TestOwnerMakesPartitions(t *testing.T) {
	t.Parallel()
	b := setup(t, "", want("orders", "status"))
	owner, role := b.login("", "grant create on schema public to @role")
	stranger, _ := b.login("", "grant create on schema public to @role")
	run1(t, owner, `create table orders (id int, day int, status text, primary key (id, day)) partition by range (day);
		create table orders_1 partition of orders for values from (0) to (10) partition by range (day);
		create table filled (like orders including all); insert into filled values (1, 11, 'new')`)
	b.up()
	run1(t, owner, `create table orders_2 partition of orders_1 for values from (0) to (5);
		alter table orders attach partition filled for values from (10) to (20);
		alter table orders detach partition filled; alter table orders attach partition filled for values from (10) to (20)`)
	b.up() // their triggers for TRUNCATE
	b.expect(`insert into orders values (2, 3, 'a'); update orders set status = 'b' where id = 1`, "i a,2,3", "u b,1,11 < new,1,11")
	forge := `create table mine (id int, day int, status text);
		create trigger t after insert on mine for each row execute function ` +
		signature(b.target.Schema, functionName("public", "orders"))
	if _, err := stranger.Exec(t.Context(), forge); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("a stranger's table: %v", err)
	}
	b.exec(`revoke all on function ` + signature(b.target.Schema, functionName("public", "orders")) + ` from ` + role)
	if st := b.status(); st.State != Outdated || !strings.Contains(strings.Join(st.Problems, ";"), role+" may not execute") {
		t.Errorf("without the right: %+v", st)
	}
	b.up()
	if st := b.status(); st.State != Installed {
		t.Errorf("after up: %+v", st)
	}
}
