package triggers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Whose a Right is.
const (
	Runtime   = "runtime"   // the role that serve connects as
	Owner     = "owner"     // the role that owns what rowfeed writes; nobody logs in as it
	Operator  = "operator"  // the role whose members may ask and kick; nobody logs in as it
	Installer = "installer" // the role that migrate connects as
)

// Right is a role, or something that it may do, without which rowfeed can't be installed or run.
type Right struct {
	Of   string `json:"of"`            // Runtime, Owner, Operator or Installer
	Role string `json:"role"`          // its name
	Why  string `json:"why"`           // in a few words
	SQL  string `json:"sql,omitempty"` // one statement, which ends with a semicolon; empty: no statement should, Why says what else
	Held bool   `json:"held"`          // it is so already
	ByUp bool   `json:"by_up"`         // Up sees to it
}

// Reading is a configured query that the runtime role runs.
type Reading struct {
	Key string // of the configuration: auth.grants_query
	SQL string
}

// Rights lists what the roles need, in an order in which it can be given: all of it, what they have already included.
// What a reading reads is found by having the server parse it, in a transaction that is rolled back.
func Rights(ctx context.Context, conn *pgx.Conn, target Target, readings []Reading) ([]Right, error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("inspect rights: %w", err)
	}
	defer func() { _ = tx.Rollback(ctx) }() // nothing is to stay of it
	r := &rights{State: State{target: target}}
	if err := r.inspect(ctx, tx); err != nil {
		return nil, fmt.Errorf("inspect rights: %w", err)
	}
	r.runtime()
	for _, reading := range readings {
		if err := r.reading(ctx, tx, reading); err != nil {
			return nil, fmt.Errorf("inspect rights: %w", err)
		}
	}
	r.schemaRoles()
	r.installer()
	return r.list, nil
}

// rights is what Rights works on.
type rights struct {
	State
	list []Right

	inherits, operatorExists          bool // of the one who asks; the operators' role is there
	connect, usage, tables, functions bool // the runtime role has
	path                              string
	owners                            []owner
}

// owner is who owns wanted tables of a schema.
type owner struct {
	role              string
	superuser, usable bool
	schema            string // quoted
	visible           bool   // the installer may use the schema
}

func (r *rights) inspect(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, plainNames); err != nil {
		return err
	}
	if err := r.readServer(ctx, tx); err != nil {
		return err
	}
	if r.server.refused {
		return r.Err()
	}
	t := &r.target
	err := tx.QueryRow(ctx, query("inspect_rights"), t.Schema, t.operator(), t.RuntimeRole, readable, helperNames).Scan(
		&r.inherits, &r.operatorExists, &r.connect, &r.usage, &r.tables, &r.functions, &r.path)
	if err != nil {
		return err
	}
	if err := r.readTables(ctx, tx); err != nil {
		return err
	}
	var oids []uint32
	for _, table := range r.State.tables {
		for _, m := range table.members {
			oids = append(oids, m.oid)
		}
	}
	rows, _ := tx.Query(ctx, query("inspect_owners"), oids)
	r.owners, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (o owner, err error) {
		return o, row.Scan(&o.role, &o.superuser, &o.usable, &o.schema, &o.visible)
	})
	return err
}

func (r *rights) add(x Right) {
	if !slices.ContainsFunc(r.list, func(y Right) bool { return x.SQL != "" && x.SQL == y.SQL }) {
		r.list = append(r.list, x)
	}
}

// runtime lists what the role that serve connects as needs of its own schema.
func (r *rights) runtime() {
	v, role := &r.server, ident(r.target.RuntimeRole)
	add := func(why, sql string, held, byUp bool) {
		r.add(Right{Of: Runtime, Role: r.target.RuntimeRole, Why: why, SQL: sql, Held: held, ByUp: byUp})
	}
	add("the role that serve connects as; set its password by \\password "+role+" in psql, and let it in by pg_hba.conf",
		"create role "+role+" login;", v.runtimeExists, false)
	add("to connect", fmt.Sprintf("grant connect on database %s to %s;", ident(v.database), role), r.connect, false)
	for i, sql := range runtimeGrants(r.target.Schema, role) {
		add([]string{"to reach the outbox", "to read the outbox", "to mark its place, empty the outbox and answer operators"}[i], sql,
			[]bool{r.usage, r.tables, r.functions}[i], true)
	}
}

// runtimeGrants are what the runtime role, quoted, gets of the schema: usage, tables, functions.
func runtimeGrants(schema, role string) []string {
	tables := make([]string, len(readable))
	for i, name := range readable {
		tables[i] = ident(schema, name)
	}
	functions := make([]string, len(helperNames))
	for i, name := range helperNames {
		functions[i] = signature(schema, name)
	}
	return []string{
		fmt.Sprintf("grant usage on schema %s to %s;", ident(schema), role),
		fmt.Sprintf("grant select on %s to %s;", strings.Join(tables, ", "), role),
		fmt.Sprintf("grant execute on function %s to %s;", strings.Join(functions, ", "), role),
	}
}

// schemaRoles lists the two roles that nobody logs in as.
func (r *rights) schemaRoles() {
	t, v := &r.target, &r.server
	byUp := v.superuser || v.createRole
	r.add(Right{Of: Owner, Role: t.owner(), Why: "owns the schema " + t.Schema + ", and nothing else",
		SQL: "create role " + ident(t.owner()) + " nologin;", Held: v.ownerExists, ByUp: byUp})
	r.add(Right{Of: Operator, Role: t.operator(), Why: "its members may explain and kick; grant it to your operators",
		SQL: "create role " + ident(t.operator()) + " nologin;", Held: r.operatorExists, ByUp: byUp})
}

// installer lists what the role that migrate connects as needs, unless it is a superuser.
func (r *rights) installer() {
	t, v, me := &r.target, &r.server, ident(r.server.user)
	if v.superuser {
		return
	}
	add := func(why, sql string, held, byUp bool) {
		r.add(Right{Of: Installer, Role: v.user, Why: why, SQL: sql, Held: held, ByUp: byUp})
	}
	if !v.schemaExists {
		add("to create the schema "+t.Schema, fmt.Sprintf("grant create on database %s to %s;", ident(v.database), me), v.createSchema, false)
	}
	if v.number < inheritOption && !r.inherits {
		add("to use what it is granted", "alter role "+me+" inherit;", false, false)
	}
	add("to act for the owner role", grantRole(v, t.owner(), v.user), v.ownerMember, !v.ownerExists && v.createRole)
	for _, o := range r.owners {
		if !o.visible {
			add("to reach its tables", fmt.Sprintf("grant usage on schema %s to %s;", o.schema, me), false, false)
		}
		why := "to make triggers on tables in " + o.schema
		switch {
		case o.role == v.user:
			add(why+" it has to own them, and does", "", true, false)
		case o.superuser && !o.usable:
			add(why+": they are a superuser's ("+o.role+"), and whoever is a member of that is one too. Install as a superuser "+
				"(database.admin_url), or give the tables to another role", "", false, false)
		default:
			add(why+", as a member of the role that owns them", grantRole(v, o.role, v.user), o.usable, false)
		}
	}
}

// inheritOption is the first version of the server where membership says by itself what it is good for.
const inheritOption = 160000

// grantRole makes a role a member of another that may act as it.
func grantRole(v *server, role, member string) string {
	sql := fmt.Sprintf("grant %s to %s", ident(role), ident(member))
	if v.number >= inheritOption {
		sql += " with inherit true, set true"
	}
	return sql + ";"
}
