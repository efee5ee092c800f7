package main

import (
	"github.com/spf13/cobra"

	"nalar.internal/rowfeed/bridge"
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
			if err := b.Run(cmd.Context()); err != nil {
				return err
			}
			log.Info("stopped")
			return nil
		},
	}
}
