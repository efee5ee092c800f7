package bridge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge/explain"
	"nalar.internal/rowfeed/bridge/operate"
	"nalar.internal/rowfeed/test/rig"
)

const explainTable = `
	create table task (id int primary key, state text not null default 'new', owner int, company int default 3, note text default 'secret');
	create table plain (id int primary key)`

const explainChannels = `
  tasks:
    class: lossless
    rules:
      - table: task
        event: task_changed
        resource: tasks
        columns: [id, state, owner, company]
        watch: [state]
        if: "row.state != 'hidden' && (row.state != 'broken' || row.owner + 1 > 0)"
        tenant: "{company}"
        audience: ["user:{owner}", "role:boss"]
        operations: [insert, update]
      - {table: task, event: note_changed, resource: notes, columns: [id, note], watch: [note], tenant: any, audience: ["role:none"]}
`

// explained asks all bridges of the rig's database and returns their reports.
func explained(t *testing.T, r *rig.Rig, q explain.Question) []*explain.Report {
	t.Helper()
	var reports []*explain.Report
	for _, reply := range asked(t, r.Conn(t), operate.KindExplain, q) {
		var report explain.Report
		if err := json.Unmarshal(reply.Body, &report); err != nil || report.Node == "" {
			t.Fatalf("answer %s: %v", reply.Body, err)
		}
		if strings.Contains(string(reply.Body), "secret") || strings.Contains(string(reply.Body), "hidden'") {
			t.Errorf("the report has values of the row: %s", reply.Body)
		}
		reports = append(reports, &report)
	}
	return reports
}

func asked(t *testing.T, conn *pgx.Conn, kind string, body any) []operate.Reply {
	t.Helper()
	replies, err := operate.Ask(context.Background(), conn, "rowfeed", kind, body)
	if err != nil {
		t.Fatal(err)
	}
	if len(replies.Silent) > 0 || len(replies.Replies) == 0 {
		t.Fatalf("answers %+v", replies)
	}
	return replies.Replies
}

// One scenario for each gate: that one says no, and the report names it.
func TestExplainGates(t *testing.T) {
	t.Parallel()
	r := rig.Prepare(t, explainTable, explainChannels, `ROWFEED_AUTH_TENANT={company}`)
	r.Start(t)
	member := func(user, company int, roles ...string) string {
		return rig.Token(map[string]any{"user_id": user, "company": company, "roles": roles})
	}
	bystander := r.Full(t, member(1, 3, "boss"))
	bystander.Ask(`{"type":"subscribe","ref":"all","channel":"tasks"}`)
	subscribe := map[int]string{
		10: `{"type":"subscribe","ref":"a","channel":"tasks","resource":"tasks","key":99}`,
		11: `{"type":"subscribe","ref":"a","channel":"tasks","where":{"state":"never"}}`,
		12: `{"type":"ping"}`,
		13: `{"type":"subscribe","ref":"a","channel":"tasks"}`,
		14: `{"type":"subscribe","ref":"a","channel":"tasks"}`,
	}
	for user, frame := range subscribe {
		company := 3
		if user == 14 {
			company = 4
		}
		r.Full(t, member(user, company)).Ask("%s", frame)
	}
	for _, tt := range []struct {
		name, sql string
		user      int
		key       string
		gates     string // of change, rule and session
		words     string // of the gate that decides
	}{
		{"written", `insert into task (id, owner) values (1, 1)`, 1, "1", "written yes", "socket"},
		{"not captured", `insert into plain values (1)`, 1, "1 of plain", "captured no", "migrate up"},
		{"no such row", ``, 1, "777", "captured no", "since"},
		{"rolled back", `begin; insert into task (id, owner) values (778, 1); rollback`, 1, "778", "captured no", "committed"},
		{"operation", `insert into task (id, owner) values (2, 1); delete from task where id = 2`, 1, "2", "rule no", "delete"},
		{"watch", `insert into task (id, owner) values (3, 1); update task set note = 'secret too' where id = 3`, 1, "3", "rule no", "watch"},
		{"condition", `insert into task (id, owner, state) values (4, 1, 'hidden')`, 1, "4", "condition no", "false"},
		{"condition fails", `insert into task (id, owner, state) values (5, null, 'broken')`, 1, "5", "condition no", "failed"},
		{"audience", `insert into task (id, owner, company) values (6, 1, null)`, 1, "6", "audience no", "no tenant"},
		{"grants", `insert into task (id, owner) values (7, 5)`, 13, "7", "grants no", "user:13"},
		{"tenant", `insert into task (id, owner) values (8, 14)`, 14, "8", "grants no", "another tenant"},
		{"no session", `insert into task (id, owner) values (9, 5)`, 5, "9", "subscribed no", "no session"},
		{"another row", `insert into task (id, owner) values (20, 10)`, 10, "20", "subscribed no", "other rows"},
		{"where", `insert into task (id, owner) values (21, 11)`, 11, "21", "subscribed no", "state"},
		{"no subscription", `insert into task (id, owner) values (22, 12)`, 12, "22", "subscribed no", "no subscription"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.sql != "" {
				r.Exec(t, tt.sql)
			}
			key, table, _ := strings.Cut(tt.key, " of ")
			if table == "" {
				table = "task"
			}
			delivered(t, r, bystander)
			report := explained(t, r, explain.Question{User: fmt.Sprint(tt.user), Table: table, Key: key})[0]
			got, text := decided(report)
			if got != tt.gates || !strings.Contains(text, tt.words) {
				full, _ := json.MarshalIndent(report, "", " ")
				t.Errorf("%s: %s, want %s with %q\n%s", got, text, tt.gates, tt.words, full)
			}
		})
	}
}

// delivered waits until what was committed has been delivered.
func delivered(t *testing.T, r *rig.Rig, c *rig.Client) {
	t.Helper()
	r.Exec(t, `insert into task (id, owner) values (1000000 + (random() * 1000000000)::int, 1)`)
	for {
		id, _ := c.Next()["resource_id"].(json.Number)
		if n, _ := id.Int64(); n > 1_000_000 {
			return
		}
	}
}

// decided returns the gate that decided, and its words.
func decided(r *explain.Report) (gate, text string) {
	if len(r.Changes) == 0 || len(r.Changes[0].Rules) == 0 {
		gates := r.Gates
		if len(r.Changes) > 0 {
			gates = slices.Concat(r.Changes[0].Gates, gates)
		}
		last := gates[len(gates)-1]
		return fmt.Sprintf("%s %s", last.Name, last.Verdict), last.Text
	}
	o := r.Changes[0].Rules[0].Outcome
	return fmt.Sprintf("%s %s", o.Name, o.Verdict), o.Text
}
