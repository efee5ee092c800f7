package triggers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"nalar.internal/rowfeed/bridge/change"
)

// State is what a database holds and what the configuration wants of it.
type State struct {
	target   Target
	server   server
	tables   []*table
	channels []channel
	latest   map[string]*capture // by relation: its newest version
	versions map[string][]*capture
	lastID   int32 // the highest id of a version

	version     int // of the installation
	slotSeconds int // likewise
	functions   map[string]installedFunction
	triggers    []installedTrigger
	granted     bool     // the runtime role has what it needs
	harmed      []string // tables of the outbox that captures can't write to
	operators   operators
	writes      bool // captures may write the outbox
	roles       roles
	own         own
	noted       bool     // the table drift is there
	published   []string // publications of all tables
	refusals    []string // what stands in the way of up, whoever runs it
	lacks       []string // the rights that who is connected would need for up
}

// server is what is to know of the server, the database and who we are in it.
type server struct {
	refused                             bool // too old: nothing else is known of it
	number                              int  // 150004
	version                             string
	standby                             bool
	user, database                      string
	superuser, createRole, createSchema bool
	ownerExists, ownerMember            bool
	schemaExists, installed, usage      bool
	runtimeExists, runtimeSuperuser     bool
	monetary                            string
}

// channel is a row of rowfeed.channel; fresh ones are not there yet.
type channel struct {
	id           int16
	name, notify string
	fresh        bool
}

type installedFunction struct {
	name, body string
	config     []string
	definer    bool
	owner      string
	public     bool   // PUBLIC may execute it
	definition string // the statement that makes it
}

type installedTrigger struct {
	oid                 uint32 // of its table
	schema, table, name string
	function            string // empty: not one of ours
	enabled             string
	kind                int
	clone               bool
	plain               bool   // no WHEN, no column list
	id, parent          uint32 // pg_trigger.oid, tgparentid
	definition          string // the statement that makes it
}

// Inspect reads what is there and compares it with what is wanted. It changes nothing and takes no lock that a write
// could wait for. What can't be done is no error of Inspect: see Err.
func Inspect(ctx context.Context, conn *pgx.Conn, target Target) (*State, error) {
	s := &State{target: target, latest: map[string]*capture{}, versions: map[string][]*capture{},
		functions: map[string]installedFunction{}}
	err := pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly},
		func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, plainNames); err != nil {
				return err
			}
			return s.read(ctx, tx)
		})
	if err != nil {
		return nil, fmt.Errorf("inspect database: %w", err)
	}
	return s, nil
}

func (s *State) read(ctx context.Context, tx pgx.Tx) error {
	if err := s.readServer(ctx, tx); err != nil || s.server.refused {
		return err
	}
	if err := s.readOperators(ctx, tx); err != nil {
		return err
	}
	if err := s.readOwn(ctx, tx); err != nil {
		return err
	}
	if err := s.readInstallation(ctx, tx); err != nil {
		return err
	}
	if err := s.readNoted(ctx, tx); err != nil {
		return err
	}
	if err := s.readTables(ctx, tx); err != nil {
		return err
	}
	s.numberChannels()
	s.checkServer()
	return nil
}

// readServer reads what is to know of the server; nothing but its version where that is too old.
func (s *State) readServer(ctx context.Context, tx pgx.Tx) error {
	v := &s.server
	v.version = tx.Conn().PgConn().ParameterStatus("server_version")
	if err := change.CheckServer(v.version); err != nil {
		v.refused = true
		s.refuse("%v", err)
		return nil
	}
	return tx.QueryRow(ctx, query("inspect_server"), s.target.Schema, s.target.owner(), s.target.RuntimeRole).Scan(
		&v.number, &v.version, &v.standby, &v.user, &v.database, &v.superuser, &v.createRole, &v.createSchema,
		&v.ownerExists, &v.ownerMember, &v.schemaExists, &v.installed, &v.usage, &v.runtimeExists,
		&v.runtimeSuperuser, &v.monetary)
}

// refuse notes what stands in the way of up.
func (s *State) refuse(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(s.refusals, text) {
		s.refusals = append(s.refusals, text)
	}
}

// lack notes a right that who is connected has not, and up needs.
func (s *State) lack(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(s.lacks, text) {
		s.lacks = append(s.lacks, text)
	}
}

// Err returns everything that stands in the way of Up, each with what to do; nil when nothing does.
func (s *State) Err() error {
	return errors.Join(s.Refused(), joinLines(s.InTheWay()))
}

// Refused returns why there can't even be a plan, each reason with what to do: a server that is too old or a standby, a
// schema that is not rowfeed's, one that may not be read. Nil when there can.
func (s *State) Refused() error { return joinLines(s.refusals) }

// InTheWay says, in a line each, what else would stop Up: tables that can't be captured, and rights that the role which
// is connected lacks. Plan leaves such tables out.
func (s *State) InTheWay() []string {
	var list []string
	for _, t := range s.tables {
		for _, b := range t.broken {
			list = append(list, "table "+t.want.relation()+": "+b)
		}
	}
	return append(list, s.lacks...)
}

func joinLines(lines []string) error {
	list := make([]error, len(lines))
	for i, line := range lines {
		list[i] = errors.New(line)
	}
	return errors.Join(list...)
}

// readInstallation reads what rowfeed has of its own.
func (s *State) readInstallation(ctx context.Context, tx pgx.Tx) error {
	t := &s.target
	rows, _ := tx.Query(ctx, query("inspect_triggers"), t.Schema, t.rowTrigger(), t.truncateTrigger())
	var err error
	s.triggers, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (g installedTrigger, err error) {
		return g, row.Scan(&g.oid, &g.schema, &g.table, &g.name, &g.function, &g.enabled, &g.kind, &g.clone, &g.plain,
			&g.id, &g.parent, &g.definition)
	})
	if err != nil {
		return err
	}
	rows, _ = tx.Query(ctx, query("inspect_functions"), t.Schema)
	functions, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f installedFunction, err error) {
		return f, row.Scan(&f.name, &f.body, &f.config, &f.definer, &f.owner, &f.public, &f.definition)
	})
	if err != nil {
		return err
	}
	for _, f := range functions {
		s.functions[f.name] = f
	}
	if !s.server.installed {
		return nil
	}
	if !s.server.usage {
		s.refuse("role %s may not read schema %s: grant %s to %s; or connect as a superuser (database.admin_url)",
			s.server.user, t.Schema, ident(t.owner()), ident(s.server.user))
		return nil
	}
	if lost := s.lost(); slices.ContainsFunc(lost, func(l string) bool { return l == "table channel" || l == "table capture" }) {
		return nil // refused later, with all that is missing
	}
	err = s.readOwnTables(ctx, tx)
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == "42501" {
		return fmt.Errorf("%w: role %s may not read schema %s: run `rowfeed migrate up` as a superuser or the tables' "+
			"owner, with database.url naming this role", err, s.server.user, t.Schema)
	}
	return err
}

func (s *State) readOwnTables(ctx context.Context, tx pgx.Tx) error {
	schema := s.target.Schema
	err := tx.QueryRow(ctx, "select version, slot_seconds from "+ident(schema, "installation")).
		Scan(&s.version, &s.slotSeconds)
	if err != nil {
		return fmt.Errorf("read installation: %w", err)
	}
	if s.version > version {
		s.refuse("schema %s was installed by a newer rowfeed (version %d, this one knows %d): use that one",
			schema, s.version, version)
	}
	rows, _ := tx.Query(ctx, "select id, name, notify from "+ident(schema, "channel")+" order by id")
	s.channels, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c channel, err error) {
		return c, row.Scan(&c.id, &c.name, &c.notify)
	})
	if err != nil {
		return fmt.Errorf("read channels: %w", err)
	}
	rows, _ = tx.Query(ctx, "select id, relation, columns, kinds, types, key, channels, hash from "+
		ident(schema, "capture")+" order by id")
	captures, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c capture, err error) {
		return c, row.Scan(&c.id, &c.relation, &c.columns, &c.kinds, &c.types, &c.key, &c.channels, &c.hash)
	})
	if err != nil {
		return fmt.Errorf("read captures: %w", err)
	}
	for _, c := range captures {
		s.latest[c.relation] = &c
		s.versions[c.relation] = append(s.versions[c.relation], &c)
		s.lastID = c.id
	}
	if s.grantsNeeded() && s.server.runtimeExists {
		err = tx.QueryRow(ctx, query("inspect_grants"), schema, s.target.RuntimeRole, readable,
			helperNames).Scan(&s.granted)
		if err != nil {
			return fmt.Errorf("read rights: %w", err)
		}
	}
	return s.readOutbox(ctx, tx)
}

// readOutbox notes which tables of the outbox are not as they were made. Before there is the function that knows, another
// step of up is to be done anyway.
func (s *State) readOutbox(ctx context.Context, tx pgx.Tx) error {
	var may bool
	err := tx.QueryRow(ctx, "select coalesce(pg_catalog.has_function_privilege(pg_catalog.to_regprocedure($1)::oid, 'execute'), false)",
		ident(s.target.Schema, "writable")+"(pg_catalog.regclass)").Scan(&may)
	if err != nil || !may {
		return err
	}
	sql := strings.ReplaceAll(query("inspect_writable"), "{schema}", ident(s.target.Schema))
	rows, _ := tx.Query(ctx, sql, s.target.Schema, outboxTables)
	if s.harmed, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return fmt.Errorf("read outbox: %w", err)
	}
	return nil
}

// outboxTables are those of the ring.
var outboxTables = []string{"change_0", "change_1", "change_2"}

// readable are the tables and views that the runtime role reads.
var readable = []string{"installation", "channel", "capture", "change_0", "change_1", "change_2", "change"}

// grantsNeeded tells whether the runtime role is one that has no rights by itself.
func (s *State) grantsNeeded() bool {
	role := s.target.RuntimeRole
	return role != "" && role != s.server.user && !s.server.runtimeSuperuser
}

// numberChannels gives each wanted channel its id, the one it has or the next; the control channel is always wanted.
func (s *State) numberChannels() {
	for _, t := range s.tables {
		for _, w := range t.want.channels {
			s.numberChannel(w.name)
		}
	}
	s.numberChannel(change.Control)
}

func (s *State) numberChannel(name string) {
	if s.channelID(name) > 0 {
		return
	}
	var id int16 = 1
	if n := len(s.channels); n > 0 {
		id = s.channels[n-1].id + 1
	}
	notify := s.target.notify(name)
	if len(notify) > nameLimit {
		s.refuse("channel %s: its NOTIFY channel %q has more than %d bytes: use a shorter name", name, notify, nameLimit)
	}
	s.channels = append(s.channels, channel{id: id, name: name, notify: notify, fresh: true})
}

func (s *State) channelID(name string) int16 {
	for _, c := range s.channels {
		if c.name == name {
			return c.id
		}
	}
	return 0
}

// checkServer refuses what can't work here, and names the right that lacks.
func (s *State) checkServer() {
	v, t := &s.server, &s.target
	if v.standby {
		s.refuse("database %s is a standby, which can't be written to: connect to the primary", v.database)
	}
	if len(t.truncateTrigger()) > nameLimit || t.Schema == "" {
		s.refuse("database.schema %q: use a name of 1 to %d bytes", t.Schema, nameLimit-len("00__truncate"))
	}
	if v.schemaExists && !v.installed {
		s.refuse("schema %s exists and is not rowfeed's: set database.schema to another name", t.Schema)
	}
	if o := s.roles.owner; o.exists && !o.ours && o.powers && !v.installed {
		s.refuse("role %s is there already, was not made by rowfeed, and may log in or has powers that rowfeed's functions "+
			"must not have: set database.schema to another name, or rename that role", t.owner())
	}
	if lost := s.lost(); len(lost) > 0 {
		s.refuse("schema %s: missing: %s: run `rowfeed migrate down`, then `rowfeed migrate up`", t.Schema, strings.Join(lost, ", "))
	}
	s.checkRights()
}

// checkRights notes what the role that is connected would need.
func (s *State) checkRights() {
	v, t := &s.server, &s.target
	if t.RuntimeRole != "" && !v.runtimeExists {
		s.lack("role %s (the user of database.url) does not exist: create role %s login;", t.RuntimeRole,
			ident(t.RuntimeRole))
	}
	if v.superuser {
		return
	}
	if !v.schemaExists && !v.createSchema {
		s.lack("role %s may not create a schema: grant create on database %s to %s; or connect as a superuser "+
			"(database.admin_url)", v.user, ident(v.database), ident(v.user))
	}
	if !v.ownerExists && !v.createRole {
		s.lack("role %s may not create role %s: alter role %s createrole; or, as a superuser: create role %s nologin; "+
			"grant %s to %s;", v.user, t.owner(), ident(v.user), ident(t.owner()), ident(t.owner()), ident(v.user))
	}
	if v.ownerExists && !v.ownerMember {
		s.lack("role %s may not act for role %s: as a superuser: %s or connect as a superuser (database.admin_url)",
			v.user, t.owner(), grantRole(v, t.owner(), v.user))
	}
}
