package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"nalar.internal/rowfeed/config"
)

// environment is what every verb gets: where it reads and writes, and the global flags.
type environment struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string     // as os.Environ gives it
	client         *http.Client // fetches published keys; nil: as serve does
	configPath     string       // --config; empty: ROWFEED_CONFIG, else ./rowfeed.yaml if it is there
}

// exitCode is the error of a verb that has said all there is to say and wants this exit code.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// config loads the configuration and returns all that is wrong with the named sections (database, server, auth,
// channels, …; none: with everything) as config.Problems. A verb names the sections that it uses, so that the DBA's
// machine need not hold the secrets of the bridge's.
func (e *environment) config(sections ...string) (*config.Config, error) {
	cfg, problems, err := e.load()
	if err != nil {
		return nil, err
	}
	problems = append(problems, cfg.Validate().Under(sections...)...)
	switch {
	case len(problems) > 0 && !cfg.Given():
		return nil, errNoConfig
	case len(problems) > 0:
		return nil, cfg.Locate(problems)
	}
	return cfg, nil
}

var errNoConfig = errors.New("no configuration: there is no " + config.DefaultFile + " in this folder, and no variable sets a " +
	"key: name the file with --config")

// load loads the configuration, not yet validated, and what of it could not be read; the error is that there is none.
func (e *environment) load() (*config.Config, config.Problems, error) {
	cfg, err := config.Load(config.Options{Path: e.configPath, Environ: e.environ})
	if cfg == nil {
		return nil, nil, err
	}
	var problems config.Problems
	errors.As(err, &problems)
	return cfg, problems, nil
}

// variable returns an environment variable, or "".
func (e *environment) variable(name string) string {
	for _, entry := range slices.Backward(e.environ) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// logger makes the logger that the configuration asks for. It writes to stderr: stdout belongs to the verbs' output.
func (e *environment) logger(cfg config.Log) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(cfg.Level)
	if err != nil {
		return nil, fmt.Errorf("parse log level: %w", err)
	}
	encoding := zap.NewProductionEncoderConfig()
	encoding.TimeKey, encoding.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
	encoding.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(encoding)
	if cfg.Format == "console" {
		encoding.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(encoding)
	}
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(e.stderr)), level)
	return zap.New(core, zap.ErrorOutput(zapcore.Lock(zapcore.AddSync(e.stderr)))), nil
}

// verbs makes the commands under the root, in the order of its help.
var verbs = []func(*environment) *cobra.Command{
	newMigrateCommand,
	newServeCommand,
	newDoctorCommand,
	newTypesCommand,
	newTokenCommand,
	newTailCommand,
	newExplainCommand,
	newKickCommand,
	newDemoCommand,
}

const rootLong = `rowfeed turns committed row changes of an ERP's PostgreSQL into live updates in the browsers that may
see them. Triggers capture changes of the tables that the configuration names, the bridge sends
them over WebSocket to those whose token lets them see the row.

  rowfeed migrate plan          what would be written into the database, as SQL
  rowfeed migrate up            write it
  rowfeed serve                 run the bridge
  rowfeed doctor                what is unsafe or unreliable in configuration and database
  rowfeed types > events.d.ts   the types of all events, for the frontend
  rowfeed token --user 42       a token to try it with
  rowfeed tail stock --user 42  what that user is sent, in this terminal
  rowfeed explain --user 42 …   why that user did or did not get an event
  rowfeed kick --user 42        close that user's sessions, so that grants are read anew

Configuration is a YAML file, ./rowfeed.yaml unless --config or ROWFEED_CONFIG names another. Every key
can be set by the environment as well, which wins over the file: server.listen is ROWFEED_SERVER_LISTEN,
the rules of channel stock are ROWFEED_CHANNELS_STOCK_RULES (lists of names separated by commas, all
other lists and maps as YAML or JSON). The database is database.url or ROWFEED_DATABASE_URL, else
DATABASE_URL, else the PG* variables.`

// newRootCommand makes the command line.
func newRootCommand(env *environment) *cobra.Command {
	root := &cobra.Command{
		Use:           "rowfeed",
		Short:         "Live updates from the rows of an ERP's PostgreSQL",
		Long:          rootLong,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(env.stdin)
	root.SetOut(env.stdout)
	root.SetErr(env.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: see %s --help", err, cmd.CommandPath())
	})
	root.PersistentFlags().StringVarP(&env.configPath, "config", "c", "",
		"configuration `file` (default ROWFEED_CONFIG, else ./rowfeed.yaml)")
	root.SuggestionsMinimumDistance = 2
	for _, verb := range verbs {
		root.AddCommand(verb(env))
	}
	return root
}

// noArgs refuses arguments with a word that says what to do.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if near := cmd.SuggestionsFor(args[0]); cmd.HasSubCommands() && len(near) > 0 {
		return fmt.Errorf("unknown command %q: did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return fmt.Errorf("unexpected argument %q: see %s --help", args[0], cmd.CommandPath())
}
