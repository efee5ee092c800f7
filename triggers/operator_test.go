package triggers

import (
	"strings"
	"testing"
	"time"
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

// TestAskDoesNotHoldTheRing: who asks and does not commit keeps others from asking, and the outbox from nothing.
func TestAskDoesNotHoldTheRing(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status"))
	schema := b.target.Schema
	b.exec(`insert into ` + ident(schema, "change_"+slotNow(b, 1)) + ` (xid, lsn, at, capture, channel, depth, op)
		values ('1', '0/1', clock_timestamp() - interval '3 hours', 1, 1, 1, 'i')`)
	tickAt(b, 11*time.Second, "1000:1000:")
	asker := b.db.Connect(t)
	run1(t, asker, "begin; select "+ident(schema, "ask")+"('kick', '{}')")
	if got := b.one("select " + ident(schema, "rotate") + "()::text"); got != "true" {
		t.Errorf("rotate while somebody asks: %s, want true", got)
	}
	run1(t, asker, "commit")
	b.exec("update " + ident(schema, "request") + " set at = at - interval '6 min'")
	if got := b.one("select " + ident(schema, "rotate") + "()::text"); got != "NULL" {
		t.Errorf("rotate again: %s, want null", got)
	}
	if got := b.one("select count(*)::text from " + ident(schema, "request")); got != "0" {
		t.Errorf("%s old requests are left", got)
	}
}
