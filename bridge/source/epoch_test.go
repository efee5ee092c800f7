package source_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
)

// The database comes out of a dump of another server: its outbox holds rows with ids that are not given out here yet, and
// a horizon far ahead. None of them is taken for a change, and there is a place to go on from again.
func TestRestoredDump(t *testing.T) {
	t.Parallel()
	d := newDirect(t, table, channels("auto"))
	d.Exec(t, `update item set n = 1 where id = 1`)
	d.want(t, "1=1")
	refuse := func(context.Context) (*pgx.Conn, error) { return nil, errors.New("closed for the restore") }
	d.connect.Store(&refuse)
	d.Exec(t, `select pg_terminate_backend(pid) from pg_stat_activity
		where datname = current_database() and application_name = 'rowfeed items'`)
	d.await(t, func() bool { return !d.feed.Stats.Connected.Load() })
	d.Exec(t, `insert into rowfeed.change_0 select (4e9::bigint + i)::text::xid8, lsn, at, capture, channel, depth, op, old, new
		from generate_series(1, 150000) i, (select * from rowfeed.change where op = 'u' limit 1) c`)
	d.Exec(t, `update rowfeed.installation set epoch = 'of another server', horizon = '5000000000'`)
	d.connect.Store(nil)
	d.want(t, "lost: cursor_expired")
	d.Exec(t, `update item set n = 2 where id = 2`)
	d.want(t, "2=2")
	d.Exec(t, `select rowfeed.tick()`)
	d.sweeps(t, 2)
	d.cut(t)
	d.Exec(t, `update item set n = 3 where id = 3`)
	d.want(t, "3=3")
}
