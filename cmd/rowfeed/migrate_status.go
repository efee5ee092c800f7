package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"nalar.internal/rowfeed/triggers"
)

// newStatusCommand makes `rowfeed migrate status`.
func newStatusCommand(env *environment) *cobra.Command {
	return newMigrateVerb(env, "status", "Compare the database with the configuration, table by table",
		"status changes nothing. The exit code is 2 when anything is not as it should be, else 0.", migrateStatus)
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
