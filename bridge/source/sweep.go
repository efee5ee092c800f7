package source

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
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
	//go:embed queries/slot.sql
	slotSQL string
)

// slots is how many tables the outbox's ring has.
const slots = 3

const (
	heartbeat = time.Second            // the sweep that needs no wake-up
	poll      = 100 * time.Millisecond // the same where no notification can come
	slowdown  = 10 * time.Millisecond  // between sweeps that are woken and find nothing
)

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
	quiet   string // nothing was in progress before
	busy    string // something was
	values  [2][]byte
	xip     []byte
	formats []int16
	rows    [2]change.Row
	change  change.Change
}

func newSweeper(ctx context.Context, conn *pgx.Conn, schema string) (*sweeper, error) {
	s := &sweeper{conn: conn.PgConn(), quiet: "rowfeed_quiet", busy: "rowfeed_busy", formats: []int16{1}}
	const began, ended = "xid >= $2::xid8", "xid = any ($3::xid8[])"
	for name, conditions := range map[string][]string{s.quiet: {began}, s.busy: {began, ended}} {
		var parts []string
		for _, what := range conditions {
			for slot := range slots {
				table := pgx.Identifier{schema, "change_" + strconv.Itoa(slot)}.Sanitize()
				parts = append(parts, strings.NewReplacer("{table}", table, "{what}", what).Replace(strings.TrimSpace(slotSQL)))
			}
		}
		sql := strings.ReplaceAll(render(sweepSQL, schema), "{slots}", strings.Join(parts, "\n    union all\n"))
		if _, err := s.conn.Prepare(ctx, name, sql, nil); err != nil {
			return nil, fmt.Errorf("prepare sweep: %w", err)
		}
	}
	return s, nil
}

// sweeps sweeps on each wake-up and heartbeat until the connection fails.
func (f *Feed) sweeps(ctx context.Context, s *sweeper, wait *backoff) error {
	interval := heartbeat
	if f.polling {
		interval = poll
	}
	timer := time.NewTimer(0) // the first sweep is due at once: LISTEN may have come after something happened
	defer timer.Stop()
	idle, missed := 0, 0
	for first := true; ; first = false {
		woken := false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.bell:
			woken = true
		case <-timer.C:
		}
		n, err := f.sweep(ctx, s)
		if err != nil {
			return err
		}
		timer.Reset(interval)
		if first {
			wait.reset() // not before: a connection whose sweeps fail is no good
		}
		switch {
		case woken && n == 0:
			if idle++; idle > 20 {
				rest(ctx, slowdown)
			}
		case !woken && n > 0 && !first && !f.polling:
			f.Stats.Missed.Add(1)
			if missed++; missed >= 3 {
				missed = 0
				f.restartListener()
			}
			idle = 0
		default:
			idle = 0
			if woken {
				missed = 0
			}
		}
	}
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
	next       *snapshot // the sweep's own
	last       *tick     // the newest that it read
	changes    int
	reloaded   bool // decoders were read anew
	unreadable bool // a change without a decoder was told
}

// sweep reads what became visible since the previous sweep and hands it on. It returns how many changes there were.
func (f *Feed) sweep(ctx context.Context, s *sweeper) (int, error) {
	var result *pgconn.ResultReader
	s.values[0] = binary.BigEndian.AppendUint16(s.values[0][:0], uint16(f.id))
	s.values[1] = binary.BigEndian.AppendUint64(s.values[1][:0], f.prev.xmax)
	if len(f.prev.xip) == 0 {
		result = s.conn.ExecPrepared(ctx, s.quiet, s.values[:], s.formats, s.formats)
	} else {
		s.xip = appendXids(s.xip[:0], f.prev.xip)
		result = s.conn.ExecPrepared(ctx, s.busy, [][]byte{s.values[0], s.values[1], s.xip}, s.formats, s.formats)
	}
	var b batch
	var failed error
	for failed == nil && result.NextRow() {
		failed = f.take(ctx, s, result.Values(), &b)
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
		return b.changes, fmt.Errorf("sweep: %w", failed)
	}
	f.prev = b.next
	f.seen.Store(b.next)
	if b.last != nil {
		f.settle(b.last)
	}
	f.Stats.Sweeps.Add(1)
	f.Stats.Changes.Add(uint64(b.changes))
	f.Stats.swept.Store(int64(time.Since(began)))
	return b.changes, nil
}

// take takes one row of a sweep.
func (f *Feed) take(ctx context.Context, s *sweeper, raw [][]byte, b *batch) (err error) {
	if len(raw) != sweepColumns || (raw[colSnapshot] != nil) != (b.next == nil) {
		return errRow
	}
	if b.next == nil {
		b.next, err = f.opening(raw)
		return err
	}
	id, capture, err := decode(raw, &s.change, &s.rows)
	if err != nil {
		return err
	}
	if s.change.Op == change.Tick {
		if t, err := tickOf(&s.change); err == nil && (b.last == nil || b.last.snapshot.before(t.snapshot)) {
			b.last = t
		}
		return nil
	}
	if f.delivered(id) {
		return nil
	}
	if err := f.deliver(ctx, s, capture, b); err != nil {
		return err
	}
	f.remember(id) // not before: what fails here is read again
	b.changes++
	return nil
}

// opening reads a sweep's first row. It fails where this is not the installation that the feed found its place in, and
// tells of a gap where rows were truncated away that the feed may not have read: those of a transaction that was older
// than the retention when it committed, say.
func (f *Feed) opening(raw [][]byte) (*snapshot, error) {
	if len(raw[colXid]) != 8 || len(raw[colCapture]) != 4 {
		return nil, errRow
	}
	if binary.BigEndian.Uint32(raw[colCapture]) != f.installation {
		return nil, errReinstalled
	}
	next, err := parseSnapshot(raw[colSnapshot])
	if err != nil {
		return nil, err
	}
	if horizon := binary.BigEndian.Uint64(raw[colXid]); horizon > f.horizon {
		f.horizon = horizon
		if f.prev.ended(next, horizon) {
			f.lost("cursor_expired")
		}
	}
	return next, nil
}

// deliver hands a change on, or tells of a gap where there is no decoder for it.
func (f *Feed) deliver(ctx context.Context, s *sweeper, capture int32, b *batch) error {
	r := f.relations[capture]
	if r == nil && !b.reloaded {
		// A table was migrated while we run; the sweep's own connection is in the middle of its answer.
		if err := f.reloadRelations(ctx); err != nil {
			return err
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
		return nil
	}
	s.change.Relation = r
	switch s.change.Op {
	case change.Truncate:
		s.change.Reason = "truncated"
	case change.Resync:
		s.change.Reason = "drift"
	}
	f.o.Handler.Change(f.epoch, &s.change)
	return nil
}

// appendXids appends the binary form of an xid8[].
func appendXids(b []byte, xids []uint64) []byte {
	const xid8 = 5069
	for _, v := range []uint32{1, 0, xid8, uint32(len(xids)), 1} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	for _, x := range xids {
		b = binary.BigEndian.AppendUint32(b, 8)
		b = binary.BigEndian.AppendUint64(b, x)
	}
	return b
}

func (f *Feed) reloadRelations(ctx context.Context) error {
	conn, err := f.o.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	f.relations, err = loadRelations(ctx, conn, f.o.Schema)
	return err
}

// loadRelations reads the decoders of all outbox rows.
func loadRelations(ctx context.Context, conn *pgx.Conn, schema string) (map[int32]*change.Relation, error) {
	rows, err := conn.Query(ctx, render(capturesSQL, schema))
	if err != nil {
		return nil, fmt.Errorf("read captures: %w", err)
	}
	defer rows.Close()
	all := map[int32]*change.Relation{}
	for rows.Next() {
		var r change.Relation
		var names, kinds, types []string
		var key []int16
		if err := rows.Scan(&r.ID, &r.Table, &names, &kinds, &types, &key); err != nil {
			return nil, fmt.Errorf("read captures: %w", err)
		}
		if len(kinds) != len(names) || len(types) != len(names) {
			return nil, errors.New("read captures: columns, kinds and types differ in length")
		}
		for i := range names {
			r.Columns = append(r.Columns, change.Column{Name: names[i], Kind: change.Kind(kinds[i]), Type: types[i]})
		}
		for _, k := range key {
			if int(k) >= len(names) || k < 0 {
				return nil, errors.New("read captures: key is not among the columns")
			}
			r.Key = append(r.Key, int(k))
		}
		all[r.ID] = &r
	}
	return all, rows.Err()
}
