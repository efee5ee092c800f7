package source_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/source"
	"nalar.internal/rowfeed/test/rig"
)

// unheard changes a row in a transaction that is left open, while somebody is at the door who then goes: it will not ring.
func (c *crew) unheard(conn, leader *pgx.Conn, id int) {
	c.t.Helper()
	exec(c.t, leader, fmt.Sprintf(`select pg_advisory_lock(%d)`, change.DoorKey("rowfeed", "items")))
	exec(c.t, conn, `begin`)
	c.write(conn, id)
	exec(c.t, leader, `select pg_advisory_unlock_all()`)
}

// A leader was there, and is gone, while a node was away or had not begun. Who kept silent for it is not left to the
// heartbeat.
func TestSilentMeanwhile(t *testing.T) {
	t.Parallel()
	r := rig.Prepare(t, table, channels("auto"))
	leader, writer := r.Conn(t), r.Conn(t)
	first := &crew{Rig: r, t: t}
	first.unheard(writer, leader, 99)
	c := newCrew(t, r, 1, nil)
	w := c.nodes[0]
	heard := func(when string) {
		t.Helper()
		w.awaitMode(t, source.Lingering)
		exec(t, writer, `commit`)
		c.settled()
		w.awaitMode(t, source.Quiet)
		w.sweeps(t, 3) // it takes a second to know that a notification is missed
		if n := w.feed.Stats.Missed.Load(); n > 0 {
			t.Errorf("%s: %d notifications count as missed", when, n)
		}
	}
	c.last[99].Store(first.last[99].Load())
	heard("before it began")
	none := func(context.Context) (*pgx.Conn, error) { return nil, errors.New("not now") }
	w.connect.Store(&none)
	c.Exec(t, `select pg_terminate_backend(pid) from pg_stat_activity
		where datname = current_database() and application_name = 'rowfeed items'`)
	w.await(t, func() bool { return !w.feed.Stats.Connected.Load() })
	c.unheard(writer, leader, 99)
	w.connect.Store(nil)
	heard("while it was away")
}
