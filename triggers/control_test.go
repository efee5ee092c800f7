package triggers

import (
	"strings"
	"testing"

	"nalar.internal/rowfeed/bridge/change"
)

const usersDDL = `create table auth_user (id int primary key, password text, is_active bool, odd point, last_login timestamptz);
	create table member (user_id text, role int); create table auth_group (id int primary key, name json);`

// grantsOf is what the control channel wants of a table.
func grantsOf(table string, columns ...string) change.Want {
	return change.Want{Table: table, Channel: change.Control, Columns: columns, Any: true, Wake: "auto"}
}

// TestAny: any change of a row counts, whatever type the column has; nothing but the columns wanted is stored, and a table
// without a primary key will do.
func TestAny(t *testing.T) {
	t.Parallel()
	b := installed(t, usersDDL, grantsOf("auth_user", "id"), grantsOf("member", "user_id"), grantsOf("auth_group"))
	b.expect(`insert into auth_user values (7, 'secret', true, '(1,2)')`, ".control i 7")
	b.expect(`update auth_user set is_active = true, odd = '(1,2)', password = 'secret'`)
	b.expect(`update auth_user set last_login = now()`, ".control u 7 < 7")
	b.expect(`update auth_user set odd = '(2,2)'; update auth_user set odd = null`, ".control u 7 < 7", ".control u 7 < 7")
	b.expect(`update auth_user set id = 8; delete from auth_user`, ".control u 8 < 7", ".control d < 8")
	b.expect(`insert into member values ('a', 1), ('a', 1); update member set role = 2; update member set user_id = 'b' where role = 3`,
		".control i a", ".control i a", ".control u a < a", ".control u a < a")
	b.expect(`truncate member`, ".control t")
	b.expect(`insert into auth_group values (1, '{"a": 1}'); update auth_group set name = '{"a":1}'; update auth_group set name = name`,
		".control i ", ".control u  < ")
	if got := b.one(`select count(*)::text from ` + ident(b.target.Schema, "change") + ` where new::text like '%secret%'`); got != "0" {
		t.Errorf("%s rows hold a password", got)
	}
	for _, st := range b.inspect().Status() {
		if st.State != Installed {
			t.Errorf("%+v", st)
		}
	}
}

// TestAnyAltered: the row's comparison goes on after ALTER TABLE, in the session that has used it and within one transaction.
func TestAnyAltered(t *testing.T) {
	t.Parallel()
	b := installed(t, usersDDL, grantsOf("auth_user", "id"))
	b.expect(`insert into auth_user values (7); update auth_user set is_active = true`, ".control i 7", ".control u 7 < 7")
	for _, ddl := range []string{"add email text", "drop password", "alter odd type text using odd::text", "add extra int default 4",
		"rename last_login to seen"} {
		b.expect("alter table auth_user " + ddl + "; update auth_user set is_active = is_active")
		b.expect("update auth_user set is_active = not is_active", ".control u 7 < 7")
	}
	// The column that is wanted: a change is told, as one that concerns everybody, and the write does not fail.
	b.expect(`alter table auth_user rename id to number; update auth_user set email = 'x'`, ".control r")
	if got := b.status(); got.State != Broken || !strings.Contains(strings.Join(got.Problems, ";"), "no column id") {
		t.Errorf("status %+v", got)
	}
}

// TestAnyBeside: a table that a rule watches too has one capture for both.
func TestAnyBeside(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"), grantsOf("orders", "note"))
	b.expect(`insert into orders values (1, 'a', 0, 'me')`, "i a,me,1", ".control i a,me,1")
	b.expect(`update orders set note = 'you'`, ".control u a,you,1 < a,me,1")
	b.target.Wants = b.target.Wants[:1]
	b.up()
	b.expect(`update orders set status = 'b', note = 'x'`, "u b,1 < a,1")
	before := len(b.inspect().Plan())
	if b.target.Wants = nil; before != 0 || len(b.inspect().Plan()) == 0 {
		t.Errorf("plan of %d steps for what is installed", before)
	}
}
