package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// outbox is how the outbox stands.
type outbox struct {
	slot   float64  // seconds of a table of the ring: database.retention
	open   *float64 // for how long captures go on without a bridge, seconds; below 0: they have stopped
	oldest *float64 // age of the oldest row, seconds
	ahead  *float64 // how far the newest is in the future
	tick   *float64 // age of the last one
	size   int64    // bytes
	dead   int64    // rows
}

// readOutbox reads it as the sweeps do: by the index, whatever the planner thinks of a young table.
func (x *examination) readOutbox(ctx context.Context) (o outbox, err error) {
	schema := x.cfg.Database.Schema
	var edges []string
	for slot := range 3 {
		edges = append(edges, strings.ReplaceAll(strings.TrimRight(doctorQuery("edge"), "\n"), "{table}",
			pgx.Identifier{schema, fmt.Sprintf("change_%d", slot)}.Sanitize()))
	}
	sql := strings.NewReplacer("{schema}", pgx.Identifier{schema}.Sanitize(), "{edges}", strings.Join(edges, "\n  union all\n")).
		Replace(doctorQuery("outbox"))
	err = pgx.BeginTxFunc(ctx, x.runtime, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "set local enable_seqscan = off"); err != nil {
			return err
		}
		return tx.QueryRow(ctx, sql, schema).Scan(&o.slot, &o.open, &o.oldest, &o.ahead, &o.tick, &o.size, &o.dead)
	})
	return o, err
}

// lateTick is from what age on of the last tick there is no bridge: one writes it each second.
const lateTick = 60

// checkOutbox looks at what was captured: that it is read, emptied in time, and of the present.
func checkOutbox(ctx context.Context, x *examination) []finding {
	o, err := x.readOutbox(ctx)
	if err != nil {
		return []finding{unreadable("the outbox", err)}
	}
	var found []finding
	switch idle := o.tick != nil && *o.tick > lateTick; {
	case o.open != nil && *o.open <= 0:
		found = append(found, fail(fmt.Sprintf("captures have stopped %s ago, since no bridge has run for long and the outbox is not to fill "+
			"the disk: changes are not told", span(-*o.open)), "start `rowfeed serve`: they go on then, and clients fetch afresh"))
	case idle && o.open != nil:
		found = append(found, warn(fmt.Sprintf("no bridge has written a tick for %s: what is captured stays where it is, and is lost to clients "+
			"that come back after %s; captures stop in %s", span(*o.tick), span(2*o.slot), span(*o.open)), "start `rowfeed serve`, or see its log"))
	case idle:
		found = append(found, warn(fmt.Sprintf("no bridge has written a tick for %s", span(*o.tick)), "start `rowfeed serve`, or see its log"))
	}
	if o.oldest != nil && *o.oldest > 3*o.slot {
		found = append(found, x.behind(ctx, o))
	}
	if o.ahead != nil && *o.ahead > x.limits.skew.Seconds() {
		found = append(found, warn(fmt.Sprintf("the newest row is of %s in the future: the server's clock was put back, and until then the "+
			"outbox is not emptied in time", span(*o.ahead)), "keep the server's clock by NTP, which slews it"))
	}
	if o.size > x.limits.size {
		found = append(found, warn(fmt.Sprintf("its tables have %s on disk", bytesOf(o.size)),
			"watch fewer columns, or set database.retention shorter and run `rowfeed migrate up`"))
	}
	if o.dead > x.limits.dead {
		found = append(found, warn(fmt.Sprintf("its tables have %d dead rows, of transactions that were rolled back", o.dead),
			"vacuum analyze the tables of schema "+x.cfg.Database.Schema+", and see why autovacuum does not"))
	}
	if len(found) > 0 {
		return found
	}
	last := "no bridge has run yet"
	if o.tick != nil {
		last = fmt.Sprintf("last tick %.1f s ago", max(*o.tick, 0))
	}
	return []finding{good("%s on disk, %s", bytesOf(o.size), last)}
}

// behind says why rows are older than they should be.
func (x *examination) behind(ctx context.Context, o outbox) finding {
	about := fmt.Sprintf("its oldest row is %s old, and should be gone after %s", span(*o.oldest), span(2*o.slot))
	conn := x.admin
	if conn == nil {
		conn = x.runtime
	}
	holders, err := backends(ctx, conn, "holders", x.cfg.Database.Schema)
	switch {
	case err != nil:
		return fail(about+"; who holds it can't be read: "+plain(err), "see the error")
	case len(holders) > 0:
		return warn(about+"; its tables are held by "+sessionsOf(holders), "have them commit; to end the oldest: "+ending(holders[:1]))
	case o.tick == nil || *o.tick > lateTick:
		return warn(about+"; a bridge empties it, and none runs", "start `rowfeed serve`")
	}
	return warn(about+"; nobody holds its tables now",
		"see the log of `rowfeed serve`; transactions that last, prepared ones too, keep it back")
}

// bytesOf writes a number of bytes as people say it.
func bytesOf(n int64) string {
	const kib = 1 << 10
	switch {
	case n >= kib*kib*kib:
		return fmt.Sprintf("%.1f GiB", float64(n)/(kib*kib*kib))
	case n >= kib*kib:
		return fmt.Sprintf("%.1f MiB", float64(n)/(kib*kib))
	}
	return fmt.Sprintf("%d KiB", n/kib)
}

// checkClock compares this machine's clock with the server's: tokens expire by the one, changes are dated by the other.
func checkClock(ctx context.Context, x *examination) []finding {
	var skew, doubt time.Duration
	for try := range 3 { // the quickest answer says most
		var server time.Time
		before, began := x.now(), time.Now()
		if err := x.runtime.QueryRow(ctx, "select clock_timestamp()").Scan(&server); err != nil {
			return []finding{unreadable("the server's clock", err)}
		}
		if half := time.Since(began) / 2; try == 0 || half < doubt {
			skew, doubt = server.Sub(before)-half, half
		}
	}
	if skew.Abs()-doubt > x.limits.skew {
		way := "ahead of"
		if skew < 0 {
			way = "behind"
		}
		return []finding{warn(fmt.Sprintf("the server's clock is %s %s this machine's: tokens expire by this one, changes are dated by "+
			"the server's", skew.Abs().Round(100*time.Millisecond), way), "have both keep their clocks by NTP")}
	}
	return []finding{good("the server's is within %s of this machine's", (skew.Abs() + doubt).Round(time.Millisecond))}
}
