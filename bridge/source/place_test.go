package source_test

import (
	"context"
	"errors"
	"fmt"
	command "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/bridge/source"
	"nalar.internal/rowfeed/test/pgtest"
	"nalar.internal/rowfeed/test/rig"
	"nalar.internal/rowfeed/triggers"
)

const wide = `create table item (id int primary key, n int not null default 0, m int not null default 5);
	insert into item select i from generate_series(1, 100) i`

// recapture installs that columns of the table are captured, in this order.
func (d *direct) recapture(t *testing.T, columns string) {
	t.Helper()
	d.Config = rig.Load(t, `{database: {url: "`+d.url+`"}, server: {admin_listen: ""},
auth: {jwt: {algorithms: [HS256], secret: "`+rig.Secret+`"}, user: "{user_id}", grants: ["role:{roles}"]},
channels: {items: {class: lossless, rules: [
  {table: item, event: item_changed, resource: items, columns: [`+columns+`], audience: ["role:all"]}]}}}`)
	if wants, problems := rule.Wants(d.Config); len(problems) > 0 || len(wants) != 1 {
		t.Fatalf("wants %v, problems %v", wants, problems)
	}
	d.Migrate(t)
}

// sweeps waits until n sweeps that begin from now on have ended.
func (d *direct) sweeps(t *testing.T, n uint64) {
	t.Helper()
	until := d.feed.Stats.Sweeps.Load() + n + 1
	d.await(t, func() bool { return d.feed.Stats.Sweeps.Load() >= until })
}

// A change whose decoder can't be read just then comes when it can.
func TestDecoderLater(t *testing.T) {
	t.Parallel()
	d := newDirect(t, wide, channels("auto"))
	d.Exec(t, `update item set n = 1 where id = 1`)
	d.want(t, "1=1")
	refuse := func(context.Context) (*pgx.Conn, error) { return nil, errors.New("too many connections") }
	d.connect.Store(&refuse)
	d.recapture(t, "id, n, m")
	d.Exec(t, `update item set n = 2 where id = 2`)
	d.await(t, func() bool { return d.feed.Stats.Reconnects.Load() > 0 })
	d.connect.Store(nil)
	d.Exec(t, `update item set n = 3 where id = 3`)
	d.want(t, "2=2", "3=3")
}

// A change whose decoder is gone is told as drift, and what follows comes.
func TestDecoderGone(t *testing.T) {
	t.Parallel()
	d := newDirect(t, wide, channels("auto"))
	d.Exec(t, `update item set n = 1 where id = 1`)
	d.want(t, "1=1")
	d.Exec(t, `create table kept as select * from rowfeed.capture; delete from rowfeed.capture`)
	d.cut(t)
	d.Exec(t, `update item set n = 2 where id = 2`)
	d.want(t, "lost: drift")
	d.Exec(t, `insert into rowfeed.capture select * from kept`)
	d.Exec(t, `update item set n = 3 where id = 3`)
	d.want(t, "3=3")
}

// A tick that was begun before another and commits after it is no place to go on from.
func TestLateTick(t *testing.T) {
	t.Parallel()
	d := newDirect(t, table, channels("auto"))
	late := d.Conn(t)
	exec(t, late, `begin`)
	exec(t, late, `select rowfeed.tick()`)
	d.Exec(t, `update item set n = 1 where id = 1`)
	d.want(t, "1=1")
	d.Exec(t, `select rowfeed.tick()`)
	d.sweeps(t, 1)
	exec(t, late, `commit`)
	d.sweeps(t, 1)
	d.cut(t)
	d.Exec(t, `update item set n = 2 where id = 2`)
	d.want(t, "2=2")
}

// Rowfeed is removed and installed again between two sweeps: no row is read by the decoder of another installation.
func TestReinstalled(t *testing.T) {
	t.Parallel()
	d := newDirect(t, wide, channels("auto"))
	d.Exec(t, `update item set n = 1 where id = 1`)
	d.want(t, "1=1")
	if err := triggers.Down(context.Background(), d.Conn(t), "rowfeed", func(string) {}); err != nil {
		t.Fatal(err)
	}
	d.recapture(t, "m, id, n")
	d.Exec(t, `update item set n = 2 where id = 2`)
	d.want(t, "lost: other_epoch")
	d.await(t, func() bool { return d.feed.Stats.Connected.Load() })
	d.Exec(t, `update item set n = 3 where id = 3`)
	got := d.next(t)
	if got == "5=2" { // the feed had found out before that
		got = d.next(t)
	}
	if got != "5=3" { // the first of the columns is m now
		t.Errorf("want 5=3, got %s", got)
	}
}

// A slot of the outbox is due to be emptied just when a transaction commits that is older than the retention: what it
// wrote stays until it has been swept.
func TestRotatedWhileLate(t *testing.T) {
	t.Parallel()
	d := newDirect(t, table, channels("auto"))
	ctx := context.Background()
	long, rotate, other := d.Conn(t), d.Conn(t), d.Conn(t)
	var next int
	if err := other.QueryRow(ctx, `select (floor(date_part('epoch', clock_timestamp()) / slot_seconds)::int8 + 1) % 3
		from rowfeed.installation`).Scan(&next); err != nil {
		t.Fatal(err)
	}
	// Two days pass: what the transaction wrote is in the slot that comes next, beside other rows of then.
	exec(t, long, `begin`)
	exec(t, long, `update item set n = 1 where id = 1`)
	exec(t, long, fmt.Sprintf(`with w as (delete from rowfeed.change_%d where xid = pg_current_xact_id() returning *)
		insert into rowfeed.change_%d
		select xid, lsn, at - interval '2 days', capture, channel, depth, op, old, new from w`,
		(next+2)%3, next))
	d.Exec(t, fmt.Sprintf(`insert into rowfeed.change_%d select pg_current_xact_id(), '0/0', now() - interval '2 days', 0, id,
		0, 'k' from rowfeed.channel`, next))
	d.Exec(t, `select rowfeed.tick()`)
	d.Exec(t, fmt.Sprintf(`update rowfeed.change_%d set at = at - interval '11 s' where channel = 0`, (next+2)%3))
	exec(t, rotate, `alter function rowfeed.rotate() set lock_timeout = '10s'`)
	done := make(chan error, 1)
	var emptied *bool
	go func() { done <- rotate.QueryRow(ctx, `select rowfeed.rotate()`).Scan(&emptied) }()
	d.blocked(t, other, rotate)
	exec(t, long, `commit`)
	if err := <-done; err != nil || emptied == nil || *emptied {
		t.Fatalf("emptied %v, %v", emptied, err)
	}
	d.Exec(t, `update item set n = 2 where id = 2`)
	// Two rows have no order: a sweep that reads the current slot alone finds the second, and only a later one the first,
	// which stands in a slot where no capture of today writes.
	if got := []string{d.next(t), d.next(t)}; !slices.Contains(got, "1=1") || !slices.Contains(got, "2=2") {
		t.Errorf("want 1=1 and 2=2, got %q", got)
	}
}

// blocked waits until a connection's statement waits for a lock.
func (d *direct) blocked(t *testing.T, other, waiter *pgx.Conn) {
	t.Helper()
	waiting := 0
	d.await(t, func() bool {
		err := other.QueryRow(context.Background(), `select count(*) from pg_locks where not granted and pid = $1`,
			waiter.PgConn().PID()).Scan(&waiting)
		return err != nil || waiting > 0
	})
}

// A slot of the outbox is emptied by somebody's hand just when a transaction commits that wrote to it: what it wrote is
// gone, and subscribers are told. So they are where something later was truncated away long before.
func TestEmptiedBeforeSwept(t *testing.T) {
	t.Parallel()
	t.Run("first", func(t *testing.T) { t.Parallel(); testEmptied(t, false) })
	t.Run("again", func(t *testing.T) { t.Parallel(); testEmptied(t, true) })
}

func testEmptied(t *testing.T, again bool) {
	d := newDirect(t, table, channels("auto"))
	long, hand, other := d.Conn(t), d.Conn(t), d.Conn(t)
	exec(t, long, `begin`)
	exec(t, long, `update item set n = 1 where id = 1`)
	var xid string
	if err := long.QueryRow(context.Background(), `select pg_current_xact_id()::text`).Scan(&xid); err != nil {
		t.Fatal(err)
	}
	if again {
		d.Exec(t, `update rowfeed.installation set horizon = '`+xid+`', swept = pg_current_snapshot()`)
		d.sweeps(t, 2)
	}
	done := make(chan error, 1)
	go func() {
		_, err := hand.Exec(context.Background(), `begin; truncate rowfeed.change_0, rowfeed.change_1, rowfeed.change_2;
			update rowfeed.installation set horizon = '`+xid+`', swept = pg_current_snapshot(); commit`)
		done <- err
	}()
	d.blocked(t, other, hand)
	exec(t, long, `commit`)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	d.want(t, "lost: cursor_expired")
	d.Exec(t, `update item set n = 2 where id = 2`)
	d.want(t, "2=2")
}

// away has the feed be without a connection while a function runs.
func (d *direct) away(t *testing.T, f func()) {
	t.Helper()
	refuse := func(context.Context) (*pgx.Conn, error) { return nil, errors.New("no connection for a while") }
	d.connect.Store(&refuse)
	before := d.feed.Stats.Reconnects.Load()
	d.Exec(t, `select pg_terminate_backend(pid) from pg_stat_activity
		where datname = current_database() and application_name = 'rowfeed items'`)
	d.await(t, func() bool { return d.feed.Stats.Reconnects.Load() > before })
	f()
	d.connect.Store(nil)
}

// settled is the newest tick, which the feed is to have swept.
func (d *direct) settled(t *testing.T) change.Cursor {
	t.Helper()
	var epoch, nonce string
	var xid uint64
	if err := d.Conn(t).QueryRow(context.Background(), `select rowfeed.epoch(), xid::text::int8, new[2] from rowfeed.change
		where channel = 1 and op = 'k' order by xid desc limit 1`).Scan(&epoch, &xid, &nonce); err != nil {
		t.Fatal(err)
	}
	return change.Cursor{Epoch: source.EpochOf(epoch), Xid: xid, Nonce: nonce}
}

// remembered is what follows a tick in memory; false where memory does not know.
func (d *direct) remembered(c change.Cursor) (list []*change.Record, ok bool) {
	m, from, _, ok, _ := d.feed.History().Find(c)
	if !ok {
		return nil, false
	}
	room := make([]*change.Record, d.feed.History().End())
	n, ok := d.feed.History().Read(from, room, make([]change.Place, len(room)))
	for _, r := range room[:n] {
		if !m.Snapshot.Over(r.Xid) {
			list = append(list, r)
		}
	}
	return list, ok
}

// What had been handed on is gone with the server, unflushed. A tick that was swept in the same sweep is no place from
// which memory knows what another transaction committed after it.
func TestUndone(t *testing.T) {
	t.Parallel()
	d := newDirect(t, table, channels("auto"))
	d.Exec(t, `select rowfeed.tick()`)
	d.sweeps(t, 3)
	long := d.Conn(t)
	d.Exec(t, `update item set n = 1 where id = 1`)
	d.want(t, "1=1")
	d.away(t, func() {
		for slot := range 3 {
			d.Exec(t, fmt.Sprintf(`delete from rowfeed.change_%d where op = 'u'`, slot))
		}
		exec(t, long, `begin`)
		exec(t, long, `update item set n = 2 where id = 2`)
		d.Exec(t, `select rowfeed.tick()`)
		exec(t, long, `commit`)
	})
	d.want(t, "2=2", "lost: other_epoch")
	d.sweeps(t, 1)
	if list, ok := d.remembered(d.settled(t)); ok && len(list) != 1 {
		t.Errorf("%d changes after the tick, want 1", len(list))
	}
	d.cut(t)
	d.Exec(t, `update item set n = 3 where id = 3`)
	d.want(t, "3=3")
}

// Who comes back from a place before a change that nobody can read is told so, from memory too.
func TestUnreadableIsRemembered(t *testing.T) {
	t.Parallel()
	d := newDirect(t, table, channels("auto"))
	d.Exec(t, `select rowfeed.tick()`)
	d.sweeps(t, 3)
	long := d.Conn(t)
	d.away(t, func() {
		exec(t, long, `begin`)
		exec(t, long, `update item set n = 2 where id = 2`)
		d.Exec(t, `select rowfeed.tick(); delete from rowfeed.capture`)
		exec(t, long, `commit`)
	})
	d.want(t, "lost: drift")
	d.sweeps(t, 1)
	list, ok := d.remembered(d.settled(t))
	if ok && (len(list) != 1 || list[0].Relation != nil) {
		t.Errorf("%v after the tick, want a change without a decoder", list)
	}
	if !ok {
		t.Error("memory does not know the tick")
	}
}

// Sweeps that fail are tried again after pauses that grow.
func TestFailingSweeps(t *testing.T) {
	t.Parallel()
	d := newDirect(t, table, channels("auto"))
	d.Exec(t, `revoke select on rowfeed.change_0 from rowfeed`)
	d.await(t, func() bool { return d.feed.Stats.Reconnects.Load() > 0 })
	first := time.Now()
	d.await(t, func() bool { return d.feed.Stats.Reconnects.Load() > 6 })
	if took := time.Since(first); took < 600*time.Millisecond { // pauses of a tenth at least of 0.1, 0.2, … 3.2 s
		t.Errorf("six failures in %v", took)
	}
	d.Exec(t, `grant select on rowfeed.change_0 to rowfeed`)
	d.Exec(t, `update item set n = 1 where id = 1`)
	d.want(t, "1=1")
}

// The database is replaced by a copy of itself beside it, as after a restore.
func TestCopiedDatabase(t *testing.T) {
	t.Parallel()
	db := pgtest.NewIn(t, pgtest.NewServer(t, nil))
	d := newDirectOn(t, db, table, channels("auto"))
	d.Exec(t, `update item set n = 1 where id = 1`)
	d.want(t, "1=1")
	d.sweeps(t, 2)
	refuse := func(context.Context) (*pgx.Conn, error) { return nil, errors.New("closed for the copy") }
	d.connect.Store(&refuse)
	admin, err := pgx.Connect(context.Background(), db.Server.URL("postgres", "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	exec(t, admin, `select pg_terminate_backend(pid) from pg_stat_activity where datname = '`+db.Name+`'`)
	exec(t, admin, `create database copy template `+db.Name)
	exec(t, admin, `alter database `+db.Name+` rename to old`)
	exec(t, admin, `alter database copy rename to `+db.Name)
	d.connect.Store(nil)
	d.want(t, "lost: other_epoch")
	d.Exec(t, `update item set n = 2 where id = 2`)
	d.want(t, "2=2")
	exec(t, admin, `drop database old`)
}

// The server's files are put back to an earlier state: the last tick is not there any more.
func TestServerPutBack(t *testing.T) {
	t.Parallel()
	db := pgtest.NewIn(t, pgtest.NewServer(t, nil))
	d := newDirectOn(t, db, table, channels("auto"))
	d.Exec(t, `update item set n = 1 where id = 1`)
	d.want(t, "1=1")
	data := filepath.Join(db.Server.Dir(), "data")
	run := func(words ...string) {
		if out, err := command.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v %s", strings.Join(words, " "), err, out)
		}
	}
	restart := func(files func()) {
		if err := db.Server.Kill(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		<-db.Server.Done()
		files()
		if err := db.Server.Restart(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	restart(func() { run("cp", "-a", data, data+".backup") })
	d.Exec(t, `update item set n = 2 where id = 2`)
	d.want(t, "2=2")
	d.Exec(t, `select rowfeed.tick()`)
	d.sweeps(t, 2)
	restart(func() { run("rm", "-r", data); run("mv", data+".backup", data) })
	d.want(t, "lost: other_epoch")
	d.Exec(t, `update item set n = 3 where id = 3`)
	d.want(t, "3=3")
}

// While one slot is swept alone, what is in another (a clock was set) comes with the heartbeat, and nothing twice.
func TestOtherSlot(t *testing.T) {
	t.Parallel()
	d := newDirect(t, wide, channels("auto"))
	n := 0
	for d.feed.Stats.Glances.Load() < 3 {
		n++
		d.Exec(t, `update item set n = $1 where id = 1`, n)
		d.want(t, fmt.Sprintf("1=%d", n))
	}
	for slot := range 3 { // two of them are not the current one
		d.Exec(t, fmt.Sprintf(`insert into rowfeed.change_%d select pg_current_xact_id(), pg_current_wal_insert_lsn(),
			clock_timestamp(), capture, channel, 0, op, old, new from rowfeed.change where op = 'u' order by lsn desc limit 1`, slot))
		d.want(t, fmt.Sprintf("1=%d", n))
	}
	n++
	d.Exec(t, `update item set n = $1 where id = 1`, n)
	d.want(t, fmt.Sprintf("1=%d", n))
}
