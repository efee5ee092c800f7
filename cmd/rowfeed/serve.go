package main

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"nalar.internal/rowfeed/bridge"
	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/config"
	"nalar.internal/rowfeed/triggers"
)

const serveLong = `Runs the bridge: it reads what the triggers capture and sends it to the WebSocket clients that may
see it, until SIGINT or SIGTERM; then it says goodbye to them, at most for server.drain. It needs what
rowfeed migrate up has installed.

Clients connect to server.listen: /ws/CHANNEL[/RESOURCE[/KEY]] for one subscription, /ws for the whole
protocol. /healthz and /readyz are there too. The log goes to stderr as log.level and log.format say.

The exit code is 1, with a line for each problem on stderr, where the configuration is wrong, asks for
what this version can't do, or the database is not ready.`

func newServeCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:     "serve",
		Short:   "Run the bridge",
		Long:    serveLong,
		Example: "  rowfeed serve --config rowfeed.yaml\n  DATABASE_URL=postgres://rowfeed@db/erp rowfeed serve",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := env.config()
			if err != nil {
				return err
			}
			if missing := cfg.Unavailable(); len(missing) > 0 {
				return missing
			}
			log, err := env.logger(cfg.Log)
			if err != nil {
				return err
			}
			b, err := bridge.New(cfg, log)
			if err != nil {
				return err
			}
			b.Check = func(ctx context.Context, conn *pgx.Conn) error { return checkInstalled(ctx, conn, cfg) }
			if err := b.Run(cmd.Context()); err != nil {
				return err
			}
			log.Info("stopped")
			return nil
		},
	}
}

// checkInstalled refuses a database whose triggers are not what the rules need: events would be missing in silence.
func checkInstalled(ctx context.Context, conn *pgx.Conn, cfg *config.Config) error {
	wants, problems := rule.Wants(cfg)
	if len(problems) > 0 {
		return cfg.Locate(problems)
	}
	state, err := triggers.Inspect(ctx, conn, triggers.Target{
		Schema: cfg.Database.Schema, Retention: cfg.Database.Retention, RuntimeRole: conn.Config().User, Wants: wants,
	})
	if err != nil {
		return err
	}
	if drifted := state.Drifted(); len(drifted) > 0 {
		return errors.New(strings.Join(drifted, "\n") + "\nrun `rowfeed migrate up`, or `rowfeed migrate plan` to see what it does")
	}
	return nil
}
