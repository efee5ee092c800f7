package main

import (
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"nalar.internal/rowfeed/bridge/operate"
)

// nobodyKicked is the exit code of kick when there was no such session.
const nobodyKicked exitCode = 2

const kickLong = `Closes the sessions of a user, or one session, on every bridge of the database: with 4003 grants_changed,
so that the page connects anew and is asked again who it is and what it may see. What the bridges remember
of the user is forgotten first.

It does not lock anybody out: make the user inactive where auth.user_query looks, or let the token expire.

The request goes through the database: as database.admin_url says, else database.url. The role there has to
be a superuser's, the bridge's own, or a member of SCHEMA_operator.

The exit code is 2 when there was no such session, and 1 when a bridge did not answer.`

func newKickCommand(env *environment) *cobra.Command {
	var w whom
	var session string
	cmd := &cobra.Command{
		Use:     "kick --user USER | --session ID",
		Short:   "Close a user's sessions, so that they are asked again who they are",
		Long:    kickLong,
		Example: "  rowfeed kick --user 42\n  rowfeed kick --user 42 --tenant 3\n  rowfeed kick --session 1x8k2q9-7",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f := cmd.Flags()
			k := operate.Kick{User: w.user, Session: session, Issuer: given(f, "issuer", w.issuer), Tenant: given(f, "tenant", w.tenant)}
			if err := k.Check(); err != nil {
				return err
			}
			cfg, err := env.config("database")
			if err != nil {
				return err
			}
			return env.withDatabase(cmd.Context(), cfg.Database, func(conn *pgx.Conn) error {
				replies, err := operate.Ask(cmd.Context(), conn, cfg.Database.Schema, operate.KindKick, k)
				if err != nil {
					return err
				}
				return env.kicked(replies)
			})
		},
	}
	w.flags(cmd.Flags())
	cmd.Flags().StringVar(&session, "session", "", "the `id` of one session, as welcome and the log have it")
	return cmd
}

// kicked prints what each node did.
func (e *environment) kicked(replies *operate.Replies) error {
	if len(replies.Replies)+len(replies.Silent) == 0 {
		return errNoBridge
	}
	total := 0
	err := eachReply(replies, ", then kick again", func(node string, k *operate.Kicked) error {
		total += k.Sessions
		fmt.Fprintf(e.stdout, "node %s: %s\n", printable(node), sessionsClosed(k.Sessions))
		return nil
	})
	if err == nil && total == 0 {
		return nobodyKicked
	}
	return err
}

func sessionsClosed(n int) string {
	if n == 1 {
		return "1 session closed"
	}
	return fmt.Sprintf("%d sessions closed", n)
}
