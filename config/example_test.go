package config

import "time"

// example is what testdata/good/example.yaml says, and the defaults for what it leaves out.
func example() Config {
	return Config{
		Database: Database{URL: "postgres://rowfeed@localhost:5432/nalar", Schema: "rowfeed", Retention: 24 * time.Hour},
		Server: Server{
			Listen: ":8080", AdminListen: "127.0.0.1:9090", AllowedOrigins: []string{"https://erp.nalar.example"},
			MaxConnections: 50000, MaxConnectionsPerUser: 50, MaxConnectionsPerAddress: 1000, MaxSubscriptions: 200,
			FramesPerSecond: 50, TrustedProxies: []string{"10.0.0.0/8"}, Drain: 30 * time.Second,
		},
		Auth: Auth{
			Deadline: 10 * time.Second,
			JWT: JWT{
				Algorithms: []string{"HS256"}, SecretFile: "/run/secrets/jwt", Leeway: 30 * time.Second,
				Cookie: "access_token", Claims: map[string]string{"token_type": "access"},
			},
			Issuers: []Issuer{},
			User:    "{user_id}",
			UserQuery: "select company_id::text, first_name || ' ' || last_name from auth_user " +
				"where id = $1::int and is_active\n",
			Grants: []string{"user:{user_id}", "warehouse:{warehouses}"},
			GrantsQuery: "select 'role:' || g.name from auth_group g join auth_user_groups ug on ug.group_id = g.id " +
				"where ug.user_id = $1::int\n",
			GrantsTables: map[string]string{"auth_user_groups": "user_id", "auth_user": "id", "auth_group": ""},
		},
		Channels: map[string]Channel{
			"approvals":     {Class: Lossless, Wake: "auto", Rules: []Rule{approvals}},
			"stock":         {Class: Latest, Wake: "auto", Rules: stock},
			"notifications": {Class: Lossless, Wake: "auto", Rules: []Rule{notifications}},
		},
		Leases: []Lease{{Resource: "stock-levels", Tenant: "any", Grants: []string{"role:warehouse"}, MaxPerUser: 20,
			MaxTTL: 5 * time.Minute}},
		Presence: Presence{Rooms: []Room{{Pattern: "grant-proposals/{id}", Tenant: "any",
			Grants: []string{"role:grants"}, Editing: true}}},
		Metrics: map[string]Metric{"dashboard": {
			SQL: "select count(*) filter (where status = 'pending') as pending " +
				"from finance_expenserequest",
			RefreshOn: []string{"finance_expenserequest"}, MinInterval: time.Second, MaxInterval: time.Minute,
			Tenant: "any", Audience: []string{"role:manager"},
		}},
		Log: Log{Level: "info", Format: "json"},
	}
}

var approvals = Rule{
	Table: "finance_expenserequest", Event: "approval_status_changed", Resource: "expense-requests",
	Columns: []string{"id", "number", "status", "amount", "requested_by_id", "company_id"},
	Watch:   []string{"status"}, Operations: []string{"insert", "update", "delete"}, Strings: []string{"amount"},
	Tenant: "{company_id}", Audience: []string{"user:{requested_by_id}", "role:finance-approver"},
	Message: "Your expense request {number} was {status}", Link: "/finance/expenses/{id}",
	Inbox: &Inbox{To: []string{"{requested_by_id}"}, If: "row.status in ['approved', 'rejected']",
		Kind: "expense_decided"},
}

var stock = []Rule{
	{
		Table: "inventory_stocklevel", Event: "stock_changed", Resource: "stock-levels",
		Columns: []string{"id", "sku_id", "warehouse_id", "quantity", "reorder_level"}, Watch: []string{"quantity"},
		Data:   map[string]string{"sku_id": "sku_id", "warehouse_id": "warehouse_id", "new_quantity": "quantity"},
		Tenant: "any", Audience: []string{"warehouse:{warehouse_id}"},
	}, {
		Table: "inventory_stocklevel", Event: "low_stock", Resource: "stock-levels",
		Columns: []string{"id", "sku_id", "warehouse_id", "quantity", "reorder_level"},
		If:      "row.quantity <= row.reorder_level && (old == null || old.quantity > old.reorder_level)",
		Tenant:  "any", Audience: []string{"role:purchasing"}, Message: "SKU {sku_id} is low: {quantity} left",
	},
}

var notifications = Rule{
	Table: "rowfeed.notification", Event: "notification", Resource: "notifications",
	Columns:    []string{"id", "user_id", "kind", "message", "link", "created_at", "read_at"},
	Data:       map[string]string{"type": "kind", "message": "message", "link": "link", "read_at": "read_at"},
	Operations: []string{"insert"}, Tenant: "any", Audience: []string{"user:{user_id}"}, Message: "{message}",
	Link: "{link}",
}
