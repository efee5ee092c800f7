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

// newMigrateCommand makes `rowfeed migrate plan|up|down|sql|status`.
func newMigrateCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Install the outbox and the triggers in the database, or remove them",
		Long:  migrateLong,
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPlanCommand(env), newUpCommand(env), newDownCommand(env), newSQLCommand(env), newStatusCommand(env))
	return cmd
}

// migrateVerb is what a verb of migrate does, once connected.
type migrateVerb func(context.Context, *environment, *pgx.Conn, triggers.Target) error

// newMigrateVerb makes the command of a verb, without its flags.
func newMigrateVerb(env *environment, name, short, long string, run migrateVerb) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Long: long, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return env.migrate(cmd.Context(), run) }}
}

// migrate connects to the database that the configuration names and runs a verb there.
func (e *environment) migrate(ctx context.Context, verb migrateVerb) error {
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
