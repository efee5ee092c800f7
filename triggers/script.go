package triggers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Script is one migration file of a team that runs its own: what Up would do to one table, or to rowfeed's schema, and
// what takes that back. Each text is for one transaction, which the tool that runs it makes.
type Script struct {
	Name     string // install, update, cleanup, watch_public_orders, unwatch_…: a-z, 0-9 and _
	What     string // in a few words
	Up, Down string
}

// Scripts returns what Plan says as migration files, in order. The same database and configuration give the same bytes.
// Before it does anything a script makes sure that the database is as it was when the script was made.
func Scripts(ctx context.Context, conn *pgx.Conn, s *State) ([]Script, error) {
	if err := errors.Join(s.Refused(), s.brokenTables()); err != nil {
		return nil, err
	}
	state := *s
	if !s.server.installed { // elsewhere the roles may not be there
		state.roles = roles{}
	}
	p := &planner{State: &state, nextID: s.lastID, portable: true}
	var scripts []Script
	var groups [][]Step
	for _, step := range p.plan() {
		i := slices.IndexFunc(groups, func(g []Step) bool { return g[0].script == step.script })
		if i < 0 {
			i = len(groups)
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], step)
	}
	for _, g := range groups {
		script, err := p.script(ctx, conn, g)
		if err != nil {
			return nil, err
		}
		scripts = append(scripts, script)
	}
	return scripts, nil
}

func (s *State) brokenTables() error {
	var list []string
	for _, t := range s.tables {
		for _, b := range t.broken {
			list = append(list, "table "+t.want.relation()+": "+b)
		}
	}
	return joinLines(list)
}

// script makes the file of steps that belong together.
func (p *planner) script(ctx context.Context, conn *pgx.Conn, steps []Step) (Script, error) {
	s := Script{Name: scriptName(steps[0].script), What: steps[0].What}
	var up, down strings.Builder
	for _, step := range steps {
		fmt.Fprintf(&up, "\n-- %s\n-- lock: %s\n%s", oneLineOf(step.What), oneLineOf(step.Lock), step.SQL)
	}
	for _, step := range slices.Backward(steps) {
		fmt.Fprintf(&down, "\n-- take back: %s\n%s%s", oneLineOf(step.What), step.lockToUndo(), step.undo)
	}
	if steps[0].script == scriptInstall {
		s.What = "install schema " + p.target.Schema
		down.Reset()
		down.WriteString("\n" + p.uninstall())
	}
	guard, captures, err := p.guard(ctx, conn, steps)
	if err != nil {
		return s, err
	}
	body := preambleOfScript(p.target.Schema, guard) + restoringRole(up.String()) + epilogue
	sum := sha256.Sum256([]byte(body))
	s.Up = fmt.Sprintf("-- rowfeed: %s. Made by `rowfeed migrate sql`: run it in one transaction, and don't change it.\n%s%s\n%s%s",
		oneLineOf(s.What), digestLine, hex.EncodeToString(sum[:]), captures, body)
	s.Down = fmt.Sprintf("-- rowfeed: takes back: %s. Run it in one transaction.\n", oneLineOf(s.What)) +
		preambleOfScript(p.target.Schema, "") + restoringRole(down.String()) + epilogue
	return s, nil
}

const (
	digestLine  = "-- digest: "
	captureLine = "-- capture: "
)

var (
	digestPattern  = regexp.MustCompile(`(?m)^-- digest: ([0-9a-f]{64})$`)
	capturePattern = regexp.MustCompile(`(?m)^-- capture: (\d+) ([0-9a-f]+)$`)
)

// Digest is what a file of a script's Up says of what it does; equal texts do the same. Empty: it is no such file.
func Digest(file string) string {
	if m := digestPattern.FindStringSubmatch(file); m != nil {
		return m[1]
	}
	return ""
}

// Ran reports whether this database holds what the file of a script wrote into the table capture. A file that wrote
// nothing there counts as one that ran.
func (s *State) Ran(file string) bool {
	for _, m := range capturePattern.FindAllStringSubmatch(file, -1) {
		there := func(list []*capture) bool {
			return slices.ContainsFunc(list, func(c *capture) bool { return strconv.Itoa(int(c.id)) == m[1] && c.hash == m[2] })
		}
		found := false
		for _, list := range s.versions {
			found = found || there(list)
		}
		if !found {
			return false
		}
	}
	return true
}

// scriptName makes a file's name of what a script is for, unique for each table.
func scriptName(of string) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, of)
	if strings.Count(of, ".") > 1 || strings.ReplaceAll(of, ".", "_") != plain || len(plain) > 60 {
		plain = plain[:min(len(plain), 50)] + "_" + hash(of)[:8]
	}
	return plain
}

// oneLineOf keeps a line break in a name, which anybody may give to a partition, from ending the comment that it stands in.
func oneLineOf(s string) string { return strings.NewReplacer("\n", " ", "\r", " ").Replace(s) }

// saved are the settings that a script changes, and puts back at its end: what follows in the transaction is the tool's.
var saved = []string{"search_path", "quote_all_identifiers", "lock_timeout", "statement_timeout", "role"}

// preambleOfScript keeps the settings, sets ours, and checks that there is a transaction, that no other migration runs,
// and what else guard says.
func preambleOfScript(schema, guard string) string {
	var b strings.Builder
	b.WriteString("do $rowfeed$ begin\n")
	for _, name := range saved {
		fmt.Fprintf(&b, "perform pg_catalog.set_config('rowfeed.was_%s', pg_catalog.current_setting('%s'), true);\n", name, name)
	}
	fmt.Fprintf(&b, "end $rowfeed$;\n%sdo $rowfeed$ begin\n", Preamble)
	// What was kept lasts as long as the transaction.
	b.WriteString("if coalesce(pg_catalog.current_setting('rowfeed.was_role', true), '') = '' then\n" +
		"  raise exception 'rowfeed: run this file in one transaction: psql -1 -v ON_ERROR_STOP=1 -f';\nend if;\n")
	fmt.Fprintf(&b, "if not pg_catalog.pg_try_advisory_xact_lock(%d) then\n  raise exception 'rowfeed: another migration of this "+
		"schema is running: try again';\nend if;\n", lockKey(schema))
	b.WriteString(guard)
	b.WriteString("end $rowfeed$;\n")
	return b.String()
}

// restoringRole puts back the role of the tool instead of the session's own.
func restoringRole(sql string) string {
	return strings.ReplaceAll(sql, "\nreset role;\n", "\ndo $rowfeed$ begin\nperform pg_catalog.set_config('role', "+
		"pg_catalog.current_setting('rowfeed.was_role'), true);\nend $rowfeed$;\n")
}

// epilogue puts the settings back. The path comes last: what it holds could be anybody's.
var epilogue = func() string {
	var b strings.Builder
	b.WriteString("\ndo $rowfeed$ begin\n")
	for _, name := range slices.Backward(saved) {
		fmt.Fprintf(&b, "perform pg_catalog.set_config('%s', pg_catalog.current_setting('rowfeed.was_%s'), true);\n", name, name)
	}
	b.WriteString("end $rowfeed$;\n")
	return b.String()
}()

// uninstall is what takes the first script back: what is rowfeed's own, by name, and the roles that it has made.
func (p *planner) uninstall() string {
	functions := p.functions
	defer func() { p.functions = functions }()
	p.functions = map[string]installedFunction{}
	for _, name := range helperNames {
		p.functions[name] = installedFunction{}
	}
	var b strings.Builder
	b.WriteString(p.dropSchema())
	for _, name := range []string{p.target.operator(), p.target.owner()} {
		fmt.Fprintf(&b, "do $rowfeed$ begin\nif exists (select from pg_catalog.pg_roles r where r.rolname = %s\n    "+
			"and pg_catalog.shobj_description(r.oid, 'pg_authid') = %s) then\n  drop role %s;\nend if;\n"+
			"exception when dependent_objects_still_exist or insufficient_privilege then\n  raise notice 'a role stays: %%', sqlerrm;\n"+
			"end $rowfeed$;\n", literal(name), literal(roleMark), ident(name))
	}
	return b.String()
}
