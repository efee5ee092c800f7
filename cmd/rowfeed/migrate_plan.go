package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"nalar.internal/rowfeed/triggers"
)

const planLong = `plan changes nothing, and needs no right but to read. It prints the SQL that up would run, the lock of
each statement, who waits for it and how long at most; of each table what is right and what is not;
and what stands in the way. What is not SQL is a comment: psql can run it as it is.

--format json is for machines (docs/DBA.md has the form), --format sql is the SQL without comments.
The exit code is 2 when there is something to do, else 0.`

// planFlags are those of `migrate plan`.
type planFlags struct {
	format string
	roles  bool // print the roles and their grants instead
}

// newPlanCommand makes `rowfeed migrate plan`.
func newPlanCommand(env *environment) *cobra.Command {
	var flags planFlags
	cmd := newMigrateVerb(env, "plan", "Print the SQL that up would run, and the locks that it takes", planLong,
		func(ctx context.Context, env *environment, conn *pgx.Conn, target triggers.Target) error {
			return migratePlan(ctx, env, conn, target, flags)
		})
	formatFlag(cmd, &flags.format, "text", "json", "sql")
	cmd.Flags().BoolVar(&flags.roles, "roles", false, "print the roles and what each needs instead")
	return cmd
}

func migratePlan(ctx context.Context, env *environment, conn *pgx.Conn, target triggers.Target, flags planFlags) error {
	if err := knownFormat(flags.format, "text", "json", "sql"); err != nil {
		return err
	}
	if flags.roles {
		return migrateRoles(ctx, env, conn, target, flags.format == "json")
	}
	state, err := inspect(ctx, conn, target)
	if err != nil {
		return err
	}
	if err := state.Refused(); err != nil {
		return err
	}
	p := newPlanReport(state)
	switch flags.format {
	case "json":
		err = writeJSON(env.stdout, p)
	case "sql":
		err = whole(env.stdout, p.sql)
	default:
		err = whole(env.stdout, p.text)
	}
	if err == nil && !p.Clean {
		return somethingToDo
	}
	return err
}

// inspect reads the state, unless a pooler is in the way.
func inspect(ctx context.Context, conn *pgx.Conn, target triggers.Target) (*triggers.State, error) {
	if err := triggers.Pooled(ctx, conn); err != nil {
		return nil, err
	}
	return triggers.Inspect(ctx, conn, target)
}

// planReport is what `migrate plan --format json` prints: docs/DBA.md.
type planReport struct {
	statusReport
	InTheWay []string   `json:"in_the_way"` // what would stop up
	Notes    []string   `json:"notes"`      // what is good to know
	Steps    []planStep `json:"steps"`      // in order, each a transaction

	target []triggers.Step
}

type planStep struct {
	What        string          `json:"what"`
	Table       string          `json:"table,omitempty"` // of the ERP, that it locks
	LockTimeout string          `json:"lock_timeout"`
	Statements  []planStatement `json:"statements"`
}

type planStatement struct {
	SQL  string    `json:"sql"`
	Lock *planLock `json:"lock"` // on tables of the ERP; null: none
}

type planLock struct {
	Mode       string `json:"mode"`
	Table      string `json:"table"`
	Partitions int    `json:"partitions"` // that are locked with it
	Waits      string `json:"waits"`      // writes, or reads and writes
	AtMost     string `json:"at_most"`    // for the lock
}

func newPlanReport(state *triggers.State) *planReport {
	p := &planReport{statusReport: newStatusReport(state), InTheWay: list(state.InTheWay()), Notes: list(state.Notes()),
		Steps: []planStep{}, target: state.Plan()}
	for _, step := range p.target {
		s := planStep{What: step.What, Table: step.Table, LockTimeout: triggers.LockTimeout, Statements: []planStatement{}}
		for _, st := range step.Statements {
			line := planStatement{SQL: st.SQL}
			if l := st.Lock; l != nil {
				line.Lock = &planLock{Mode: l.Mode, Table: l.Table, Partitions: len(l.Partitions), Waits: l.Waits(),
					AtMost: triggers.LockTimeout}
			}
			s.Statements = append(s.Statements, line)
		}
		p.Steps = append(p.Steps, s)
	}
	p.Clean = p.Clean && len(p.Steps)+len(p.InTheWay) == 0
	return p
}

// list is never null in JSON.
func list(lines []string) []string {
	if lines == nil {
		return []string{}
	}
	return lines
}

// text prints the plan for people, and for psql.
func (p *planReport) text(w io.Writer) {
	comment := func(format string, args ...any) { fmt.Fprintf(w, "-- %s\n", oneLine(fmt.Sprintf(format, args...))) }
	comment("%s, schema %s", p.Server, p.Schema)
	for _, t := range p.Tables {
		says := "right as it is"
		if t.State != triggers.Installed {
			says = t.State + ": " + strings.Join(t.Problems, "; ")
		}
		comment("table %s: %s", t.Table, says)
	}
	for _, line := range p.Problems {
		comment("%s", line)
	}
	for _, line := range p.Notes {
		comment("note: %s", line)
	}
	for _, line := range p.InTheWay {
		comment("in the way: %s", line)
	}
	switch {
	case len(p.Steps) > 0:
		comment("to do: %d steps, each a transaction", len(p.Steps))
	case p.Clean:
		comment("nothing to do: the database is as the configuration wants it")
	default:
		comment("nothing that up can do")
	}
	for i, step := range p.target {
		fmt.Fprintln(w)
		comment("%d/%d %s", i+1, len(p.target), step.What)
		comment("lock: %s", step.Lock)
		fmt.Fprintf(w, "begin;\n%s", triggers.Preamble)
		for _, st := range step.Statements {
			if st.Lock != nil {
				comment("%s on %s", st.Lock.Mode, st.Lock.Table)
			}
			fmt.Fprint(w, st.SQL)
		}
		fmt.Fprintln(w, "commit;")
	}
}

// sql prints the SQL alone.
func (p *planReport) sql(w io.Writer) {
	for _, step := range p.target {
		fmt.Fprintf(w, "begin;\n%s%scommit;\n", triggers.Preamble, step.SQL)
	}
}

// oneLine keeps a name with a line break from ending the comment that it stands in.
func oneLine(s string) string { return strings.NewReplacer("\n", " ", "\r", " ").Replace(s) }
