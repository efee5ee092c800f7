package main

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"nalar.internal/rowfeed/bridge/change"
)

// backend is a session of the server.
type backend struct {
	PID                        int32
	Role, App, Database, State string
	Age                        float64 // seconds since its transaction began
}

func (b backend) String() string {
	app := ""
	if b.App != "" {
		app = " (" + printable(b.App) + ")"
	}
	return fmt.Sprintf("pid %d of role %s%s in database %s, %s, for %s", b.PID, printable(b.Role), app, printable(b.Database), b.State,
		span(b.Age))
}

// span writes seconds as people say them.
func span(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}

func sessionsOf(list []backend) string {
	texts := make([]string, len(list))
	for i, b := range list {
		texts[i] = b.String()
	}
	return strings.Join(texts, "; ")
}

// ending is how one of the sessions is ended.
func ending(list []backend) string {
	pids := make([]string, len(list))
	for i, b := range list {
		pids[i] = fmt.Sprintf("select pg_terminate_backend(%d)", b.PID)
	}
	return strings.Join(pids, "; ")
}

// backends runs a query that makes them.
func backends(ctx context.Context, conn *pgx.Conn, name string, args ...any) ([]backend, error) {
	rows, err := conn.Query(ctx, doctorQuery(name), args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[backend])
}

// blind says what is not seen of other roles' sessions, if so.
func (x *examination) blind(ctx context.Context) string {
	var sees bool
	err := x.admin.QueryRow(ctx, "select pg_has_role('pg_read_all_stats', 'usage')").Scan(&sees)
	if err == nil && sees {
		return ""
	}
	user := x.admin.Config().User
	return fmt.Sprintf("; role %s sees its own sessions only (grant pg_read_all_stats to %s)", printable(user),
		pgx.Identifier{user}.Sanitize())
}

// full is how full the NOTIFY queue is when the triggers stop to notify and the server begins to warn.
const full = 0.5

// checkQueue looks at the server's NOTIFY queue, which is one for all databases.
func checkQueue(ctx context.Context, x *examination) []finding {
	var usage float64
	var prepared int
	err := x.admin.QueryRow(ctx, "select pg_notification_queue_usage(), current_setting('max_prepared_transactions')::int").Scan(
		&usage, &prepared)
	if err != nil {
		return []finding{unreadable("the NOTIFY queue", err)}
	}
	var found []finding
	if prepared > 0 {
		found = append(found, good("max_prepared_transactions is %d, and a transaction that notifies can't be prepared: triggers never "+
			"notify here, and bridges look for changes ten times a second", prepared))
	}
	if usage < x.limits.queue {
		return append(found, good("%.0f %% full", usage*100))
	}
	about := fmt.Sprintf("the server's NOTIFY queue is %.0f %% full; from 50 %% on triggers no longer notify, and changes come up to a "+
		"second late; when it is full, commits of others that notify fail", usage*100)
	pid := 0
	if usage >= full {
		if pid, err = x.named(ctx); err != nil {
			about += "; " + plain(err)
		}
	}
	suspects, err := backends(ctx, x.admin, "queue", pid)
	switch {
	case err != nil:
		about += "; sessions can't be read: " + plain(err)
	case len(suspects) == 0:
		about += "; no session of this server is seen that could hold it" + x.blind(ctx)
		return append(found, warn(about, "see which sessions listen, and whether their clients read"))
	case pid != 0:
		about += "; the server names as the one that holds it " + sessionsOf(suspects)
	default:
		about += "; it is held by a session that listens and does not read or is in a transaction; which listen, only they know. " +
			"Those it may be: " + sessionsOf(suspects) + x.blind(ctx)
	}
	f := warn(about, "end it: "+ending(suspects[:min(1, len(suspects))]))
	if usage >= full {
		f.Outcome = outcomeFail
	}
	return append(found, f)
}

var numerals = regexp.MustCompile(`\d+`)

// named has the server say which process holds the queue: it warns whoever notifies while the queue is over half full, once
// in five seconds. The words are of the server's language, the number is not. 0: it did not say.
func (x *examination) named(ctx context.Context) (pid int, err error) {
	cfg := x.admin.Config()
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if text := numerals.FindString(n.Detail); n.SeverityUnlocalized == "WARNING" && text != "" {
			pid, _ = strconv.Atoi(text) // a number it is
		}
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return 0, err
	}
	defer closeConn(ctx, conn)
	if _, err := conn.Exec(ctx, "set client_min_messages = warning"); err != nil {
		return 0, err
	}
	wait := time.NewTimer(6 * time.Second)
	defer wait.Stop()
	for try := 0; ; try++ {
		_, err := conn.Exec(ctx, "select pg_notify('rowfeed_doctor', '')") // nobody listens there
		if pid != 0 || try > 0 || ctx.Err() != nil {
			return pid, err
		}
		select {
		case <-wait.C:
		case <-ctx.Done():
		}
	}
}

// checkDoor looks for others who hold the locks by which a channel's leader tells the triggers that it is awake.
func checkDoor(ctx context.Context, x *examination) []finding {
	effects := map[int64]string{} // by key
	for _, name := range append(slices.Collect(maps.Keys(x.cfg.Channels)), change.Control) {
		effects[change.DoorKey(x.cfg.Database.Schema, name)] = "the lock by which bridges tell the triggers of channel " + name +
			" that they are awake: no trigger notifies, and changes come up to a second late"
		effects[change.LeaderKey(x.cfg.Database.Schema, name)] = "the lock of the bridge that leads channel " + name +
			": none can, and every commit notifies, however busy it gets"
	}
	type holder struct {
		backend
		Key int64
	}
	rows, err := x.admin.Query(ctx, doctorQuery("door"), slices.Collect(maps.Keys(effects)), x.runtimeUser())
	if err != nil {
		return []finding{unreadable("advisory locks", err)}
	}
	holders, err := pgx.CollectRows(rows, pgx.RowToStructByPos[holder])
	if err != nil {
		return []finding{unreadable("advisory locks", err)}
	}
	var found []finding
	for _, h := range holders {
		found = append(found, warn(h.backend.String()+", holds, or waits for, "+effects[h.Key], "end it: "+ending([]backend{h.backend})))
	}
	if len(found) == 0 {
		found = append(found, good("nobody but bridges holds the locks between them and the triggers"))
	}
	return found
}

// checkTransactions looks for transactions that last: whatever they do, vacuum and the outbox wait for them.
func checkTransactions(ctx context.Context, x *examination) []finding {
	list, err := backends(ctx, x.admin, "transactions", x.limits.transaction.Seconds())
	if err != nil {
		return []finding{unreadable("sessions", err)}
	}
	if len(list) == 0 {
		return []finding{good("none is older than %s%s", x.limits.transaction, x.blind(ctx))}
	}
	return []finding{warn("transactions older than "+x.limits.transaction.String()+": "+sessionsOf(list)+": vacuum keeps what they might "+
		"see; what they have captured comes when they commit; the outbox is emptied behind them",
		"have them commit; to end the oldest: "+ending(list[:1])+"; idle_in_transaction_session_timeout does so by itself")}
}

// checkPrepared looks for prepared transactions that nobody ends: they survive their session and a restart.
func checkPrepared(ctx context.Context, x *examination) []finding {
	type transaction struct {
		GID, Owner, Database string
		Age                  float64
	}
	rows, err := x.admin.Query(ctx, doctorQuery("prepared"), x.limits.transaction.Seconds())
	if err != nil {
		return []finding{unreadable("prepared transactions", err)}
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[transaction])
	if err != nil {
		return []finding{unreadable("prepared transactions", err)}
	}
	var found []finding
	for _, t := range list {
		found = append(found, warn(fmt.Sprintf("%q of role %s in database %s has been prepared for %s: its locks stay, vacuum and the "+
			"outbox wait for it", t.GID, printable(t.Owner), printable(t.Database), span(t.Age)),
			fmt.Sprintf("see to its coordinator, or end it in database %s: rollback prepared '%s'", printable(t.Database),
				strings.ReplaceAll(printable(t.GID), "'", "''"))))
	}
	if len(found) == 0 {
		found = append(found, good("none is older than %s", x.limits.transaction))
	}
	return found
}
