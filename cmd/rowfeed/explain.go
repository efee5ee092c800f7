package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"nalar.internal/rowfeed/bridge/explain"
	"nalar.internal/rowfeed/bridge/operate"
	"nalar.internal/rowfeed/config"
)

const explainLong = `Says why a user did or did not get an event, gate by gate: captured, rule, condition, audience, move (who is
sent enter or leave), grants, subscribed, queued, written. Each says yes, no or not known, and what to do.

Name the event by the id that its frame has, or a row by its table and key: then its newest change in each
channel is explained, or the newest -n. The key is written as in the path of a plain endpoint: 17, or 3,A1
for a composite key.

The question goes through the database to every bridge, as database.admin_url says, else database.url; what
each of them knows of the user's sessions is printed. The role has to be a superuser's, the bridge's own, or a
member of SCHEMA_operator. Where no bridge runs, what can be told without one is read from the outbox and
this configuration; that needs a role that may read the outbox.

The report holds no values of rows, but for keys and what the audience is made of.`

const explainExample = `  rowfeed explain --user 42 --event 7f3a-1xrg-1179-hof9cd0vxz-jfewha
  rowfeed explain --user 42 --table finance_expenserequest --key 17
  rowfeed explain --user 42 --table inventory_stocklevel --key 5 --channel stock -n 3 --json`

func newExplainCommand(env *environment) *cobra.Command {
	var w whom
	var q explain.Question
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "explain --user USER (--event ID | --table TABLE --key KEY)",
		Short:   "Say why a user did or did not get an event",
		Long:    explainLong,
		Example: explainExample,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f := cmd.Flags()
			q.User, q.Issuer, q.Tenant = w.user, given(f, "issuer", w.issuer), given(f, "tenant", w.tenant)
			if err := q.Check(); err != nil {
				return err
			}
			cfg, err := env.config("database", "channels")
			if err != nil {
				return err
			}
			return env.withDatabase(cmd.Context(), cfg.Database, func(conn *pgx.Conn) error {
				return env.explain(cmd.Context(), conn, cfg, q, asJSON)
			})
		},
	}
	w.flags(cmd.Flags())
	f := cmd.Flags()
	f.StringVar(&q.Event, "event", "", "the `id` of an event")
	f.StringVar(&q.Table, "table", "", "the row's `table`, with its schema where that is not public")
	f.StringVar(&q.Key, "key", "", "the row's `key`")
	f.StringVar(&q.Channel, "channel", "", "only in this `channel` (default all)")
	f.IntVarP(&q.Newest, "newest", "n", 1, "how many changes of the row, the newest first")
	f.BoolVar(&asJSON, "json", false, "print the reports as JSON, one a line")
	return cmd
}

// explain asks the bridges, or says what can be told without one, and prints it.
func (e *environment) explain(ctx context.Context, conn *pgx.Conn, cfg *config.Config, q explain.Question, asJSON bool) error {
	replies, err := operate.Ask(ctx, conn, cfg.Database.Schema, operate.KindExplain, q)
	if err != nil {
		return err
	}
	p := &reportPrinter{out: e.stdout, colour: colourful(e)}
	if len(replies.Replies)+len(replies.Silent) == 0 {
		fmt.Fprintln(e.stderr, "rowfeed: no bridge is connected to this database: grants, subscriptions and queues are not known")
		x, err := explain.New(cfg)
		if err != nil {
			return err
		}
		report, err := x.Explain(ctx, conn, q)
		if err != nil {
			return err
		}
		return p.print(report, asJSON)
	}
	return eachReply(replies, "", func(_ string, report *explain.Report) error { return p.print(report, asJSON) })
}
