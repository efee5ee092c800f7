package source_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge/source"
	"nalar.internal/rowfeed/test/measure"
	"nalar.internal/rowfeed/test/pgserver"
	"nalar.internal/rowfeed/test/pgtest"
	"nalar.internal/rowfeed/test/rig"
)

// queuePages is the least room that there can be for notifications, in the first version where it can be set.
const queuePages = 64

// newNarrow runs nodes on a server whose queue of notifications is as small as that. fill makes it over half full, by a
// session that listens and stays in a transaction, until drain is called.
func newNarrow(t *testing.T, nodes int) (c *crew, fill, drain func()) {
	t.Helper()
	bin, err := pgserver.FindVersion(t.Context(), "17")
	if err != nil {
		t.Fatal(err)
	}
	db := pgtest.NewIn(t, pgtest.StartServer(t, pgserver.Options{
		BinDir: bin, Settings: map[string]string{"max_notify_queue_pages": fmt.Sprint(queuePages)},
	}))
	c = newCrew(t, rig.PrepareOn(t, db, table, channels("auto")), nodes, nil)
	idle, flood := c.Conn(t), c.Conn(t)
	fill = func() {
		exec(t, idle, `listen anything`)
		exec(t, idle, `begin`)
		exec(t, flood, fmt.Sprintf(`select pg_notify('flood', repeat('x', 7900) || i) from generate_series(1, %d) i`, queuePages*6/10))
	}
	return c, fill, func() {
		exec(t, idle, `commit`)
		exec(t, idle, `unlisten *`)
	}
}

// The queue of notifications is over half full, since a session listens and stays in a transaction. Commits go on without
// NOTIFY, and changes are not left to the heartbeat; when the queue is empty commits notify again.
func TestQueueHalfFull(t *testing.T) {
	t.Parallel()
	c, fill, drain := newNarrow(t, 1)
	w := c.nodes[0]
	writer := c.Conn(t)
	fill()
	w.await(t, func() bool { return w.feed.Stats.QueueUsage() > source.HalfFull })
	w.awaitMode(t, source.Silenced)
	begun := w.feed.Stats.Wakeups.Load()
	w.times()
	for range 500 { // many more than the queue has room for, were each to notify
		c.write(writer, 90)
	}
	c.settled()
	late := measure.Median(w.times())
	if n := w.feed.Stats.Wakeups.Load() - begun; n > 10 {
		t.Errorf("%d wake-ups while the queue is over half full", n)
	}
	drain()
	w.awaitMode(t, source.Quiet)
	ear := c.listen()
	c.write(writer, 90)
	c.settled()
	if n := ear.heard(); n != 1 || w.feed.Stats.Missed.Load() > 0 {
		t.Errorf("%d notifications when the queue is empty again, %d missed", n, w.feed.Stats.Missed.Load())
	}
	t.Logf("median %.0f ms while the queue is over half full", late)
}

// It is so while a channel is busy: its leader does not ring for other nodes either, and they do not miss it.
func TestLeaderQueueHalfFull(t *testing.T) {
	t.Parallel()
	c, fill, drain := newNarrow(t, 2)
	usage := func(conn *pgx.Conn) (u float64) {
		t.Helper()
		if err := conn.QueryRow(context.Background(), "select pg_notification_queue_usage()").Scan(&u); err != nil {
			t.Fatal(err)
		}
		return u
	}
	reader := c.Conn(t)
	stop := c.burden(800)
	l := c.leader()
	l.await(t, func() bool { return l.feed.Stats.Rings.Load() > 10 })
	fill()
	full, begun := usage(reader), l.feed.Stats.Changes.Load()
	l.await(t, func() bool { return l.feed.Stats.Changes.Load() > begun+3000 })
	c.leader()
	if u := usage(reader); u > full {
		t.Errorf("the queue was %g full, and is %g", full, u)
	}
	drain()
	stop()
	c.settled()
}
