package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"nalar.internal/rowfeed/triggers"
)

// newUpCommand makes `rowfeed migrate up`.
func newUpCommand(env *environment) *cobra.Command {
	return newMigrateVerb(env, "up", "Install what is missing, replace what differs, drop what no rule needs", migrateLong,
		migrateUp)
}

// newDownCommand makes `rowfeed migrate down`.
func newDownCommand(env *environment) *cobra.Command {
	return newMigrateVerb(env, "down", "Remove triggers, schema and roles: the database is as it was",
		"down drops rowfeed's triggers table by table, then its schema with the outbox, then the roles that up made. What "+
			"subscribers\ncould still have resumed from is gone.", migrateDown)
}

// progress prints a line for each step.
func (e *environment) progress() (print func(string), count *int) {
	count = new(int)
	return func(line string) {
		*count++
		fmt.Fprintln(e.stdout, oneLine(line))
	}, count
}

func migrateUp(ctx context.Context, env *environment, conn *pgx.Conn, target triggers.Target) error {
	state, err := env.greet(ctx, conn, target)
	if err != nil {
		return err
	}
	for _, line := range state.Notes() {
		fmt.Fprintln(env.stdout, oneLine("note: "+line))
	}
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
	target = triggers.Target{Schema: target.Schema} // the rules don't matter, nor whether they still fit
	if _, err := env.greet(ctx, conn, target); err != nil {
		return err
	}
	progress, count := env.progress()
	if err := triggers.Down(ctx, conn, target.Schema, progress); err != nil {
		return err
	}
	if *count == 0 {
		progress("nothing to do: schema " + target.Schema + " is not installed")
	}
	return nil
}

// greet says where it is connected to, before anything is done there.
func (e *environment) greet(ctx context.Context, conn *pgx.Conn, target triggers.Target) (*triggers.State, error) {
	state, err := inspect(ctx, conn, target)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintln(e.stdout, oneLine(state.Server().String()))
	return state, err
}
