package rule_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/config"
)

var update = flag.Bool("update", false, "write the golden frames instead of comparing them")

const wire = "../../test/testdata/wire"

// golden is a file of test/testdata/wire: one frame, and what it shows.
type golden struct {
	Name  string          `json:"name"`
	From  string          `json:"from"`
	Says  string          `json:"says"`
	Frame json.RawMessage `json:"frame"`
}

var (
	expenses = &change.Relation{Table: "public.finance_expenserequest", Key: []int{0}, Columns: []change.Column{
		{Name: "id", Kind: change.Integer}, {Name: "number", Kind: change.Text}, {Name: "status", Kind: change.Text},
		{Name: "amount", Kind: change.Numeric}, {Name: "requested_by_id", Kind: change.Integer},
		{Name: "company_id", Kind: change.Integer}, {Name: "decided_at", Kind: change.Timestamptz},
	}}
	expense = config.Rule{
		Table: "finance_expenserequest", Event: "approval_status_changed", Resource: "expense-requests",
		Columns: []string{"id", "number", "status", "amount", "requested_by_id", "company_id", "decided_at"},
		Watch:   []string{"status"}, Tenant: "{company_id}",
		Data:     map[string]string{"id": "id", "number": "number", "status": "status", "decided_at": "decided_at"},
		Audience: []string{"user:{requested_by_id}", "role:finance-approver"},
		Message:  "Your expense request {number} was {status}", Link: "/finance/expenses/{id}",
	}
	pending  = row("17", "EXP-0017", "pending", "1250000.00", "42", "3", null)
	approved = row("17", "EXP-0017", "approved", "1250000.00", "42", "3", `"2026-11-23T08:15:02.114"`)

	levels = &change.Relation{Table: "public.inventory_stocklevel", Key: []int{0}, Columns: []change.Column{
		{Name: "id", Kind: change.Integer}, {Name: "sku_id", Kind: change.Integer},
		{Name: "warehouse_id", Kind: change.Integer}, {Name: "quantity", Kind: change.Integer},
		{Name: "reorder_level", Kind: change.Numeric},
	}}
	stock = config.Rule{
		Table: "inventory_stocklevel", Event: "stock_changed", Resource: "stock-levels",
		Columns: []string{"id", "sku_id", "warehouse_id", "quantity", "reorder_level"}, Watch: []string{"quantity"},
		Data:   map[string]string{"sku_id": "sku_id", "warehouse_id": "warehouse_id", "new_quantity": "quantity"},
		Tenant: "any", Audience: []string{"warehouse:{warehouse_id}"},
	}
	low = config.Rule{
		Table: "inventory_stocklevel", Event: "low_stock", Resource: "stock-levels",
		Columns: []string{"id", "sku_id", "warehouse_id", "quantity", "reorder_level"},
		If:      "row.quantity <= row.reorder_level && (old == null || old.quantity > old.reorder_level)",
		Tenant:  "any", Audience: []string{"role:purchasing"}, Message: "SKU {sku_id} is low: {quantity} left",
	}

	notifications = &change.Relation{Table: "rowfeed.notification", Key: []int{0}, Columns: []change.Column{
		{Name: "id", Kind: change.Text}, {Name: "user_id", Kind: change.Text}, {Name: "kind", Kind: change.Text},
		{Name: "message", Kind: change.Text}, {Name: "link", Kind: change.Text},
		{Name: "created_at", Kind: change.Timestamptz}, {Name: "read_at", Kind: change.Timestamptz},
	}}
	notification = config.Rule{
		Table: "rowfeed.notification", Event: "notification", Resource: "notifications",
		Columns:    []string{"id", "user_id", "kind", "message", "link", "created_at", "read_at"},
		Data:       map[string]string{"type": "kind", "message": "message", "link": "link", "read_at": "read_at"},
		Operations: []string{"insert"}, Tenant: "any", Audience: []string{"user:{user_id}"},
		Message: "{message}", Link: "{link}",
	}

	lines = &change.Relation{Table: "public.inventory_countline", Key: []int{0, 1}, Columns: []change.Column{
		{Name: "count_id", Kind: change.Integer}, {Name: "bin", Kind: change.Text},
		{Name: "counted", Kind: change.Numeric},
		{Name: "note", Kind: change.Text},
	}}
	line = config.Rule{
		Table: "inventory_countline", Event: "count_line_changed", Resource: "count-lines",
		Columns: []string{"count_id", "bin", "counted", "note"}, Tenant: "any", Audience: []string{"role:counter"},
	}

	values = &change.Relation{Table: "public.every_kind", Key: []int{0}, Columns: []change.Column{
		{Name: "id", Kind: change.Integer}, {Name: "total", Kind: change.Numeric}, {Name: "ratio", Kind: change.Float},
		{Name: "share", Kind: change.Float, Type: "real"}, {Name: "none", Kind: change.Numeric},
		{Name: "active", Kind: change.Bool}, {Name: "title", Kind: change.Text}, {Name: "tags", Kind: change.JSON},
		{Name: "due", Kind: change.JSON}, {Name: "at", Kind: change.Timestamptz},
		{Name: "until", Kind: change.Timestamptz},
		{Name: "digest", Kind: change.Bytes},
	}}
	every = config.Rule{
		Table: "every_kind", Event: "value_changed", Resource: "values", Tenant: "any", Audience: []string{"role:all"},
		Columns: []string{"id", "total", "ratio", "share", "none", "active", "title", "tags", "due", "at", "until",
			"digest"},
	}
	everyRow = row("9007199254740993", "12345678901234567890.0123456789", "3fd3333333333334", "3fb99999a0000000", "NaN",
		"true", "Zoë said \"hi\"\n\u2028 😀 \x01", `{"a": [1, "x"]}`, `"2026-11-23"`, `"2026-11-23T08:15:02.114999"`,
		`"infinity"`, "00ff10")
)

// TestWire compares a frame of each shape with its golden file, byte for byte but for white space.
func TestWire(t *testing.T) {
	t.Parallel()
	moved := row("18", "EXP-0017", "approved", "1250000.00", "42", "3", null)
	bell := row("5f0c", "42", "leave_approved", "Your leave was approved", "/hr/leave/7?tab=days",
		`"2026-11-23T08:15:02"`, null)
	text := with(every, func(r *config.Rule) { r.Strings = []string{"id", "total", "ratio", "active", "tags"} })
	for _, test := range []struct {
		name, says string
		channel    string
		rule       config.Rule
		change     *change.Change
		variant    change.Variant
		nth        int
		cursor     string
	}{
		{name: "event-insert", says: "a new row: data, no old",
			channel: "approvals", rule: expense,
			change: changed(expenses, nil, pending)},
		{name: "event-update", says: "old holds the previous values of the fields that changed",
			channel: "approvals", rule: expense,
			change: changed(expenses, pending, approved)},
		{name: "event-cursor", says: "the cursor stands last",
			channel: "approvals", rule: expense, cursor: "7f3a:4711",
			change: changed(expenses, pending, approved)},
		{name: "event-delete", says: "data is the old row",
			channel: "approvals", rule: expense,
			change: changed(expenses, approved, nil)},
		{name: "event-leave", says: "no longer this subscriber's to see: the key and nothing of the row",
			channel: "approvals", rule: expense,
			change: changed(expenses, pending, approved), variant: change.Leave},
		{name: "event-enter", says: "it has become this subscriber's to see: no old",
			channel: "approvals", rule: expense,
			change: changed(expenses, pending, approved), variant: change.Enter},
		{name: "event-moved-delete", says: "a changed key: the row under the old key is gone",
			channel: "approvals", rule: expense,
			change: changed(expenses, approved, moved)},
		{name: "event-moved-insert", says: "a changed key: and there is one under the new key",
			channel: "approvals", rule: expense,
			change: changed(expenses, approved, moved), nth: 1},
		{name: "event-notification", says: "a kept notification; its link is the address itself",
			channel: "notifications", rule: notification,
			change: changed(notifications, nil, bell)},
		{name: "event-stock-changed", says: "data under the names of the frontend",
			channel: "stock", rule: stock,
			change: changed(levels, row("5", "7", "2", "12", "10"), row("5", "7", "2", "9", "10"))},
		{name: "event-low-stock", says: "the level was crossed",
			channel: "stock", rule: low,
			change: changed(levels, row("5", "7", "2", "12", "10"), row("5", "7", "2", "9", "10"))},
		{name: "event-composite-key", says: "resource_id is an array",
			channel: "counts", rule: line,
			change: changed(lines, row("3", "A,1", "4", null), row("3", "A,1", "4.50", "recounted"))},
		{name: "event-values", says: "every kind of value: numbers keep their digits",
			channel: "values", rule: every,
			change: changed(values, nil, everyRow)},
		{name: "event-strings", says: "columns under strings are strings, resource_id too",
			channel: "values", rule: text,
			change: changed(values, nil, everyRow)},
		{name: "event-nulls", says: "NULL is null, before and after",
			channel: "counts", rule: line,
			change: changed(lines, row("3", "A1", null, "?"), row("3", "A1", "0", null))},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			out := &output{cursor: test.cursor}
			compileChannel(t, test.channel, test.rule).Apply(change.Place{Epoch: "7f3a"}, test.change, out)
			if len(out.events) <= test.nth {
				t.Fatalf("%d events, faults %v", len(out.events), out.faults)
			}
			compare(t, golden{Name: test.name, From: "server", Says: test.says,
				Frame: json.RawMessage(out.events[test.nth].frames[test.variant])})
		})
	}
}

func compare(t *testing.T, g golden) {
	t.Helper()
	path := filepath.Join(wire, g.Name+".json")
	if *update {
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(g); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(wire, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want golden
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	var wanted bytes.Buffer
	if err := json.Compact(&wanted, want.Frame); err != nil {
		t.Fatal(err)
	}
	// Documents under data keep their own spaces, which compacting takes away.
	var got bytes.Buffer
	if err := json.Compact(&got, g.Frame); err != nil {
		t.Fatal(err)
	}
	if got.String() != wanted.String() {
		t.Errorf("frame\n%s\nwant\n%s", got.String(), wanted.String())
	}
}
