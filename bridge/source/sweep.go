package source

import (
	"context"
	_ "embed"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/change"
)

var (
	//go:embed queries/hello.sql
	helloSQL string
	//go:embed queries/captures.sql
	capturesSQL string
	//go:embed queries/sweep.sql
	sweepSQL string
	//go:embed queries/glance.sql
	glanceSQL string
	//go:embed queries/slot.sql
	slotSQL string
	//go:embed queries/warm.sql
	warmSQL string
)

// slots is how many tables the outbox's ring has.
const slots = 3

const (
	heartbeat = time.Second            // the sweep that needs no wake-up
	poll      = 100 * time.Millisecond // the same where no notification can come
	slowdown  = 10 * time.Millisecond  // between sweeps that are woken and find nothing

	maxXids = 4096 // in one sweep: a channel is busy long before

	warmth      = 15 * time.Minute // how far back a feed begins: a bridge that is back has what its clients missed
	warmChanges = 50_000           // and no further than so many changes
)

// slotted fills in the schema and, for {slots}, the part of each table of the ring. A part that is wanted in order, up to a
// limit, says so itself, else all of it is read.
func slotted(sql, schema, what string) string {
	parts := make([]string, slots)
	for slot := range parts {
		parts[slot] = slotPart(schema, slot, what)
	}
	return render(strings.ReplaceAll(sql, "{slots}", strings.Join(parts, "\n    union all\n")), schema)
}

func slotPart(schema string, slot int, what string) string {
	table := pgx.Identifier{schema, "change_" + strconv.Itoa(slot)}.Sanitize()
	return strings.NewReplacer("{table}", table, "{what}", what).Replace(strings.TrimRight(slotSQL, "\n"))
}

func render(sql, schema string) string {
	return strings.ReplaceAll(sql, "{schema}", pgx.Identifier{schema}.Sanitize())
}

// epochOf makes the short name of a server's history out of its fingerprint.
func epochOf(fingerprint string) string {
	h := fnv.New32a()
	h.Write([]byte(fingerprint))
	return strconv.FormatUint(uint64(h.Sum32()), 36)
}

// sweeper holds a connection's prepared sweeps and the memory that each of them uses again.
type sweeper struct {
	conn    *pgconn.PgConn
	memory  []byte
	values  [][]byte
	formats []int16
	rows    [2]change.Row
	change  change.Change
	xids    map[uint64]struct{} // transactions with changes in this sweep, as far as it matters how many
}

// The prepared statements: of all slots or of one, with transactions that were in progress or (quiet) without.
const (
	sweepAll   = "rowfeed_sweep"
	sweepQuiet = "rowfeed_sweep_quiet"
)

var (
	glanceAll   = [slots]string{"rowfeed_glance_0", "rowfeed_glance_1", "rowfeed_glance_2"}
	glanceQuiet = [slots]string{"rowfeed_glance_quiet_0", "rowfeed_glance_quiet_1", "rowfeed_glance_quiet_2"}
)

func newSweeper(ctx context.Context, conn *pgx.Conn, schema string, slotSeconds int) (*sweeper, error) {
	s := &sweeper{conn: conn.PgConn(), formats: []int16{1}, xids: map[uint64]struct{}{}}
	const began, ended = "xid >= $%d::xid8", "xid = any ($%d::xid8[])"
	part := func(slot int, what string, parameter int) string {
		return slotPart(schema, slot, fmt.Sprintf(what, parameter))
	}
	// The slot of now as the triggers reckon it.
	now := fmt.Sprintf("floor(date_part('epoch', clock_timestamp()) / %d)::int8 %% %d", slotSeconds, slots)
	prepare := func(name, sql string, parts []string) error {
		sql = strings.NewReplacer("{slot}", now, "{slots}", strings.Join(parts, "\n    union all\n")).Replace(render(sql, schema))
		if _, err := s.conn.Prepare(ctx, name, sql, nil); err != nil {
			return fmt.Errorf("prepare sweep: %w", err)
		}
		return nil
	}
	var news, olds []string
	for slot := range slots {
		n, o := part(slot, began, 2), part(slot, ended, 3)
		if err := prepare(glanceQuiet[slot], glanceSQL, []string{n}); err != nil {
			return nil, err
		}
		if err := prepare(glanceAll[slot], glanceSQL, []string{n, o}); err != nil {
			return nil, err
		}
		news = append(news, part(slot, began, 2+slot))
		olds = append(olds, part(slot, ended, 2+slots+slot))
	}
	if err := prepare(sweepQuiet, sweepSQL, news); err != nil {
		return nil, err
	}
	return s, prepare(sweepAll, sweepSQL, append(news, olds...))
}

// query runs the sweep for what is new in the slots since the snapshots up to which each was read.
func (s *sweeper) query(ctx context.Context, all, quiet string, channel int16, since []*change.Snapshot) *pgconn.ResultReader {
	//nolint:gosec // the two have the same bits
	s.memory, s.values = binary.BigEndian.AppendUint16(s.memory[:0], uint16(channel)), s.values[:0]
	ends := []int{len(s.memory)}
	name := quiet
	for _, prev := range since {
		s.memory = binary.BigEndian.AppendUint64(s.memory, prev.Xmax)
		ends = append(ends, len(s.memory))
		if len(prev.Xip) > 0 {
			name = all
		}
	}
	if name == all {
		for _, prev := range since {
			s.memory = appendXids(s.memory, prev.Xip)
			ends = append(ends, len(s.memory))
		}
	}
	from := 0
	for _, to := range ends {
		s.values = append(s.values, s.memory[from:to:to])
		from = to
	}
	return s.conn.ExecPrepared(ctx, name, s.values, s.formats, s.formats)
}

// sweeps sweeps on each wake-up, and by itself when it is time to, until the connection fails.
func (f *Feed) sweeps(ctx context.Context, s *sweeper, wait *backoff) error {
	timer := time.NewTimer(0) // the first sweep is due at once: LISTEN may have come after something happened
	defer timer.Stop()
	var whole time.Time // the last sweep of all slots: a feed that is woken all the time needs its ticks too
	var late missing
	idle := 0
	for first := true; ; first = false {
		woken, err := f.awaitTurn(ctx, timer)
		if err != nil {
			return err
		}
		signs := f.door.signs(time.Now())
		if !woken {
			f.judge(&late, signs.at)
		}
		heard := f.heard.Load()
		n, err := f.once(ctx, s, signs, woken, &whole)
		if err != nil {
			return err
		}
		if !f.ready {
			f.ready = true
			close(f.started)
		}
		before := f.Stats.Mode()
		mode, interval := f.tempo(signs, len(s.xids), first)
		timer.Reset(interval)
		if first {
			wait.reset() // not before: a connection whose sweeps fail is no good
		}
		switch {
		case woken && n == 0:
			if idle++; idle > 20 {
				rest(ctx, slowdown)
			}
			continue
		case !woken && n > 0 && !first:
			f.door.tell()
			if before == Quiet && mode == Quiet { // else it may be of the last that was waited for
				late.found(signs.at, heard)
			}
		}
		idle = 0
	}
}

// once sweeps, all slots where that is due since the last time.
func (f *Feed) once(ctx context.Context, s *sweeper, signs signs, woken bool, whole *time.Time) (n int, err error) {
	if f.pace.opens(signs) {
		if _, err := s.ask(ctx, "select pg_current_xact_id()"); err != nil {
			return 0, err
		}
	}
	all := f.hot == nil || f.hot.over || f.polling && !woken || time.Since(*whole) >= heartbeat
	if !all {
		return f.glance(ctx, s)
	}
	*whole = time.Now()
	if n, err = f.sweep(ctx, s); err != nil {
		return n, err
	}
	return n, f.probe(ctx, s)
}

func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// batch is what a sweep has come to.
type batch struct {
	all        bool             // of all slots
	next       *change.Snapshot // the sweep's own
	slot       int              // of the time when it ran
	ticks      []*tick          // that it read
	changes    int
	reloaded   bool // decoders were read anew
	unreadable bool // a change without a decoder was told
}

// sweep reads what became visible in all slots since they were read, and hands it on. It returns how many changes there
// were.
func (f *Feed) sweep(ctx context.Context, s *sweeper) (int, error) {
	since := []*change.Snapshot{f.prev, f.prev, f.prev}
	if f.hot != nil {
		since[f.hot.slot] = f.hot.prev
	}
	b := batch{all: true}
	if err := f.run(ctx, s, s.query(ctx, sweepAll, sweepQuiet, f.channel(), since), &b); err != nil {
		return b.changes, err
	}
	f.prev = b.next
	if f.hot != nil {
		b.ticks = append(f.hot.ticks, b.ticks...)
	}
	f.heat(b.slot)
	if len(f.unconfirmed) > 0 {
		// Delivered before it was flushed, and gone with the server: what subscribers hold never was.
		f.lost("other_epoch")
		clear(f.unconfirmed)
	}
	f.settle(b.ticks)
	return b.changes, nil
}

// glance is a sweep of the hot slot alone: half the work.
func (f *Feed) glance(ctx context.Context, s *sweeper) (int, error) {
	h := f.hot
	var b batch
	result := s.query(ctx, glanceAll[h.slot], glanceQuiet[h.slot], f.channel(), []*change.Snapshot{h.prev})
	if err := f.run(ctx, s, result, &b); err != nil {
		return b.changes, err
	}
	f.Stats.Glances.Add(1)
	h.prev = b.next
	h.ticks = append(h.ticks, b.ticks...)
	if b.slot != h.slot {
		f.ring() // the ring has turned
		h.over = true
	}
	return b.changes, nil
}

// run hands on what a sweep has found.
func (f *Feed) run(ctx context.Context, s *sweeper, result *pgconn.ResultReader, b *batch) error {
	var failed error
	clear(s.xids)
	for failed == nil && result.NextRow() {
		failed = f.take(ctx, s, result.Values(), b)
	}
	if b.changes > 0 {
		f.o.Handler.Swept()
	}
	if _, err := result.Close(); failed == nil {
		failed = err
	}
	if failed == nil && b.next == nil {
		failed = errRow
	}
	if failed != nil {
		return fmt.Errorf("sweep: %w", failed)
	}
	f.seen.Store(b.next)
	f.Stats.Sweeps.Add(1)
	f.Stats.Changes.Add(uint64(b.changes)) //nolint:gosec // a count is not negative
	f.Stats.swept.Store(int64(time.Since(began)))
	return nil
}

// take takes one row of a sweep.
func (f *Feed) take(ctx context.Context, s *sweeper, raw [][]byte, b *batch) (err error) {
	if len(raw) != sweepColumns || (raw[colSnapshot] != nil) != (b.next == nil) {
		return errRow
	}
	if b.next == nil {
		if len(raw[colDepth]) != 2 {
			return errRow
		}
		b.slot = int(binary.BigEndian.Uint16(raw[colDepth]))
		if !b.all {
			b.next, err = change.DecodeSnapshot(raw[colSnapshot])
			return err
		}
		b.next, err = f.opening(raw)
		return err
	}
	if len(raw[colTable]) != 4 || !slices.Contains(f.tables, binary.BigEndian.Uint32(raw[colTable])) {
		return errReinstalled
	}
	id, capture, err := decode(raw, &s.change, &s.rows)
	if err != nil {
		return err
	}
	if s.change.Op == change.Tick {
		if t, err := tickOf(s.change.Xid, s.change.New); err == nil {
			b.ticks = append(b.ticks, t)
		}
		return nil
	}
	if f.delivered(id) {
		return nil
	}
	pos, err := f.deliver(ctx, s, capture, raw, b)
	if err != nil {
		return err
	}
	f.remember(id, pos, b.next) // not before: what fails here is read again
	if len(s.xids) < maxXids {
		s.xids[id.xid] = struct{}{}
	}
	if b.changes++; b.changes == 1 {
		f.Stats.lag.Store(int64(max(0, time.Since(s.change.At))))
	}
	return nil
}

// opening reads a sweep's first row. It fails where this is not the installation that the feed found its place in, and
// tells of a gap where rows were truncated away that the feed may not have read: those of a transaction that was older
// than the retention when it committed, say. Likewise where captures had stopped, at the end of each transaction that may
// have left something out.
func (f *Feed) opening(raw [][]byte) (*change.Snapshot, error) {
	if len(raw[colXid]) != 8 || len(raw[colCapture]) != 4 {
		return nil, errRow
	}
	if binary.BigEndian.Uint32(raw[colCapture]) != f.installation {
		return nil, errReinstalled
	}
	var room change.Row
	if seconds, err := textArray(raw[colNew], &room); err != nil || len(seconds) != 2 {
		return nil, errRow
	} else if string(seconds[0]) != strconv.Itoa(f.slotSeconds) {
		return nil, errRetention
	}
	next, err := change.DecodeSnapshot(raw[colSnapshot])
	if err != nil {
		return nil, err
	}
	gone, err := horizonOf(binary.BigEndian.Uint64(raw[colXid]), string(room[1]))
	if err != nil {
		return nil, err
	}
	if gone.between(f.prev, next) {
		f.lost("cursor_expired")
	}
	return next, nil
}

// deliver hands a change on, or tells of a gap where there is no decoder for it.
func (f *Feed) deliver(ctx context.Context, s *sweeper, capture int32, raw [][]byte, b *batch) (pos uint64, err error) {
	r := f.relations[capture]
	if r == nil && !b.reloaded {
		// A table was migrated while we run.
		if f.relations, err = f.freshRelations(ctx); err != nil {
			return 0, err
		}
		b.reloaded = true
		r = f.relations[capture]
	}
	if r == nil {
		if !b.unreadable {
			b.unreadable = true
			f.o.Log.Error("a change can't be read, its row in the table capture is gone: run `rowfeed migrate status`",
				zap.String("channel", f.o.Channel), zap.Int32("capture", capture))
			f.lost("drift")
		}
		c := &s.change // kept too, so that who comes back is told
		return f.history.add(change.Record{Xid: c.Xid, LSN: c.LSN, At: c.At.UnixMicro(), Op: c.Op, Depth: c.Depth}), nil
	}
	s.change.Relation, s.change.Reason = r, reasonOf(s.change.Op)
	c := &s.change
	pos = f.history.add(change.Record{
		Relation: r, Xid: c.Xid, LSN: c.LSN, At: c.At.UnixMicro(), Op: c.Op, Depth: c.Depth, Old: raw[colOld], New: raw[colNew],
	})
	f.o.Handler.Change(change.Place{Epoch: f.epoch, Cursor: f.cursor, Pos: pos}, c)
	return pos, nil
}

// appendXids appends the binary form of an xid8[].
func appendXids(b []byte, xids []uint64) []byte {
	const xid8 = 5069
	//nolint:gosec // transactions in progress, as many as a server has connections
	for _, v := range []uint32{1, 0, xid8, uint32(len(xids)), 1} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	for _, x := range xids {
		b = binary.BigEndian.AppendUint32(b, 8)
		b = binary.BigEndian.AppendUint64(b, x)
	}
	return b
}
