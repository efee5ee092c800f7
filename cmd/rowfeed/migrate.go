package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"nalar.internal/rowfeed/bridge"
	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/config"
	"nalar.internal/rowfeed/triggers"
)

// somethingToDo is the exit code of plan and status when the database is not as the configuration wants it.
const somethingToDo exitCode = 2

const migrateLong = `migrate installs the outbox and the triggers on the tables that the configuration names, and removes
them without a trace.

It connects with database.admin_url, or database.url where that is empty, as a superuser or as the
owner of the tables. The user of database.url is given the rights that serve needs, and no others.

up works table by table, each in a transaction of its own that waits at most ` + triggers.LockTimeout + ` for its lock and is then
tried again, so that no write of the ERP waits longer. It can be run again at any time, several at
once, and after it was stopped half-way.`

// newMigrateCommand makes `rowfeed migrate plan|up|down|status`.
func newMigrateCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Install the outbox and the triggers in the database, or remove them",
		Long:  migrateLong,
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	verbs := []struct {
		name, short, long string
		run               func(context.Context, *environment, *pgx.Conn, triggers.Target) error
	}{
		{"plan", "Print the SQL that up would run, and the locks that it takes", "plan changes nothing. Its output can be " +
			"run with psql as it is. The exit code is 2 when there is something to do, else 0.", migratePlan},
		{"up", "Install what is missing, replace what differs, drop what no rule needs", migrateLong, migrateUp},
		{"down", "Remove triggers, schema and owner role: the database is as it was",
			"down drops rowfeed's triggers table by table, then its schema with the outbox, then the owner role. What " +
				"subscribers could still have resumed from is gone.", migrateDown},
		{"status", "Compare the database with the configuration, table by table",
			"status changes nothing. The exit code is 2 when anything is not as it should be, else 0.", migrateStatus},
	}
	for _, v := range verbs {
		cmd.AddCommand(&cobra.Command{Use: v.name, Short: v.short, Long: v.long, Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return env.migrate(cmd.Context(), v.run) }})
	}
	return cmd
}

// migrate connects to the database that the configuration names and runs a verb there.
func (e *environment) migrate(ctx context.Context,
	verb func(context.Context, *environment, *pgx.Conn, triggers.Target) error) error {
	cfg, err := e.config("database", "channels")
	if err != nil {
		return err
	}
	wants, problems := rule.Wants(cfg)
	if len(problems) > 0 {
		return cfg.Locate(problems)
	}
	target := triggers.Target{Schema: cfg.Database.Schema, Retention: cfg.Database.Retention, Wants: wants}
	if target.RuntimeRole, err = userOf(cfg.Database.URL); err != nil {
		return err
	}
	return e.withDatabase(ctx, cfg.Database, func(conn *pgx.Conn) error { return verb(ctx, e, conn, target) })
}

// connectAdmin connects as the one who installs.
func connectAdmin(ctx context.Context, db config.Database) (*pgx.Conn, error) {
	url, key := db.AdminURL, "database.admin_url"
	if url == "" {
		url, key = db.URL, "database.url"
	}
	cfg, err := bridge.DatabaseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("parse %s: write it as postgres://user@host:5432/database", key)
	}
	cfg.RuntimeParams["application_name"] = "rowfeed migrate"
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		text := strings.Join(strings.Fields(err.Error()), " ") // one line
		return nil, fmt.Errorf("connect to the database: %s: check %s, and that the server runs and lets this user in", text,
			key)
	}
	return conn, nil
}

// userOf returns the user of a connection URL.
func userOf(url string) (string, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return "", errors.New("parse database.url: write it as postgres://user@host:5432/database")
	}
	return cfg.User, nil
}

func migratePlan(ctx context.Context, env *environment, conn *pgx.Conn, target triggers.Target) error {
	state, err := triggers.Inspect(ctx, conn, target)
	if err != nil {
		return err
	}
	if err := state.Err(); err != nil {
		return err
	}
	steps := state.Plan()
	if len(steps) == 0 {
		_, err := fmt.Fprintln(env.stdout, "-- nothing to do: the database is as the configuration wants it")
		return err
	}
	for _, step := range steps {
		fmt.Fprintf(env.stdout, "-- %s\n-- lock: %s\nbegin;\n%s%scommit;\n\n", oneLine(step.What),
			oneLine(step.Lock), triggers.Preamble, step.SQL)
	}
	return somethingToDo
}

// oneLine keeps a name with a line break from ending the comment that it stands in.
func oneLine(s string) string { return strings.NewReplacer("\n", " ", "\r", " ").Replace(s) }

// progress prints a line for each step.
func (e *environment) progress() (print func(string), count *int) {
	count = new(int)
	return func(line string) {
		*count++
		fmt.Fprintln(e.stdout, oneLine(line))
	}, count
}

func migrateUp(ctx context.Context, env *environment, conn *pgx.Conn, target triggers.Target) error {
	progress, count := env.progress()
	if err := triggers.Up(ctx, conn, target, progress); err != nil {
		return err
	}
	if *count == 0 {
		progress("nothing to do: the database is as the configuration wants it")
	}
	return nil
}

func migrateDown(ctx context.Context, env *environment, conn *pgx.Conn, target triggers.Target) error {
	progress, count := env.progress()
	if err := triggers.Down(ctx, conn, target.Schema, progress); err != nil {
		return err
	}
	if *count == 0 {
		progress("nothing to do: schema " + target.Schema + " is not installed")
	}
	return nil
}

func migrateStatus(ctx context.Context, env *environment, conn *pgx.Conn, target triggers.Target) error {
	state, err := triggers.Inspect(ctx, conn, target)
	if err != nil {
		return err
	}
	for _, t := range state.Status() {
		fmt.Fprintf(env.stdout, "%-9s  %s\n", t.State, oneLine(t.Table))
		for _, p := range t.Problems {
			fmt.Fprintf(env.stdout, "           %s\n", oneLine(p))
		}
	}
	off := state.Off()
	for _, line := range off {
		fmt.Fprintln(env.stdout, oneLine(line))
	}
	if len(off) > 0 || !state.Clean() {
		fmt.Fprintln(env.stdout, "run `rowfeed migrate plan` to see what would make it right")
		return somethingToDo
	}
	return nil
}
