package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"nalar.internal/rowfeed/triggers"
)

const planLong = `plan changes nothing. Its output can be run with psql as it is. The exit code is 2 when there is
something to do, else 0.`

// planFlags are those of `migrate plan`.
type planFlags struct {
	roles bool // print the roles and their grants instead
}

// newPlanCommand makes `rowfeed migrate plan`.
func newPlanCommand(env *environment) *cobra.Command {
	var flags planFlags
	cmd := newMigrateVerb(env, "plan", "Print the SQL that up would run, and the locks that it takes", planLong,
		func(ctx context.Context, env *environment, conn *pgx.Conn, target triggers.Target) error {
			return migratePlan(ctx, env, conn, target, flags)
		})
	cmd.Flags().BoolVar(&flags.roles, "roles", false, "print the roles and what each needs instead")
	return cmd
}

func migratePlan(ctx context.Context, env *environment, conn *pgx.Conn, target triggers.Target, flags planFlags) error {
	if flags.roles {
		return migrateRoles(ctx, env, conn, target, false)
	}
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
