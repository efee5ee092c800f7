package triggers

import (
	"strings"
	"testing"
)

// up makes the operators' role, mends what was taken from it, and makes what an older version lacks; down leaves nothing.
func TestOperatorRole(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	role := b.target.operator()
	exists := `select count(*)::text from pg_roles where rolname = '` + role + `'`
	if got := b.one(exists); got != "1" {
		t.Fatalf("%s roles", got)
	}
	schema := ident(b.target.Schema)
	for name, sql := range map[string]string{
		"may not ask": `revoke execute on function ` + schema + `.ask(text, jsonb) from ` + role,
		"request":     `drop table ` + schema + `.answer, ` + schema + `.request`,
		"answers":     `drop function ` + schema + `.answers(uuid)`,
	} {
		b.exec(sql)
		if off := strings.Join(b.inspect().Off(), "; "); !strings.Contains(off, name) {
			t.Errorf("after %s: %q", sql, off)
		}
		if lines := b.up(); len(lines) == 0 {
			t.Errorf("after %s: up did nothing", sql)
		}
		if off := b.inspect().Off(); len(off) != 0 {
			t.Errorf("after %s and up: %q", sql, off)
		}
	}
	b.down()
	if got := b.one(exists); got != "0" {
		t.Errorf("down left %s roles", got)
	}
}
