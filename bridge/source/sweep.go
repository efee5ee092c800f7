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
		sql := strings.ReplaceAll(sweepSQL, "{slots}", strings.Join(parts, "\n    union all\n"))
		if _, err := s.conn.Prepare(ctx, name, sql, nil); err != nil {
			return nil, fmt.Errorf("prepare sweep: %w", err)
		}
	}
	return s, nil
}

// sweeps sweeps on each wake-up and heartbeat until the connection fails.
func (f *Feed) sweeps(ctx context.Context, s *sweeper) error {
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
	var next, tick *snapshot
	n := 0
	var failed error
	for result.NextRow() {
		raw := result.Values()
		if len(raw) != sweepColumns {
			failed = errRow
			break
		}
		if raw[colSnapshot] != nil {
			if next, failed = parseSnapshot(raw[colSnapshot]); failed != nil {
				break
			}
			continue
		}
		id, capture, err := decode(raw, &s.change, &s.rows)
		if err != nil {
			failed = err
			break
		}
		if s.change.Op == change.Tick {
			if t, err := tickOf(&s.change); err == nil && (tick == nil || t.xmax > tick.xmax) {
				tick = t
			}
			continue
		}
		if f.delivered(id) {
			continue
		}
		if failed = f.deliver(ctx, s, capture); failed != nil {
			break
		}
		n++
	}
	if n > 0 {
		f.o.Handler.Swept()
	}
	_, err := result.Close()
	if failed == nil {
		failed = err
	}
	if failed == nil && next == nil {
		failed = errRow
	}
	if failed != nil {
		return n, fmt.Errorf("sweep: %w", failed)
	}
	f.prev = next
	f.seen.Store(next)
	if tick != nil {
		f.settle(tick)
	}
	f.Stats.Sweeps.Add(1)
	f.Stats.Changes.Add(uint64(n))
	f.Stats.Swept.Store(time.Now().UnixMicro())
	return n, nil
}

func (f *Feed) deliver(ctx context.Context, s *sweeper, capture int32) error {
	r := f.relations[capture]
	if r == nil {
		// A table was migrated while we run; the sweep's own connection is in the middle of its answer.
		if err := f.reloadRelations(ctx); err != nil {
			return err
		}
		if r = f.relations[capture]; r == nil {
			return fmt.Errorf("read outbox: capture %d is not in the capture table", capture)
		}
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

// delivered tells whether the change has been handed on already, and remembers it otherwise.
func (f *Feed) delivered(id identity) bool {
	if _, ok := f.recent[id]; ok {
		return true
	}
	if len(f.recent) >= maxRecent {
		f.full = true
		return false
	}
	f.recent[id] = struct{}{}
	return false
}

// settle takes a swept tick as the place to go on from after a lost connection: all that is visible in its snapshot
// has been delivered, and only what is not needs to be remembered.
func (f *Feed) settle(tick *snapshot) {
	f.safe, f.full = tick, false
	for id := range f.recent {
		if tick.over(id.xid) {
			delete(f.recent, id)
		}
	}
	if len(f.recent) == 0 {
		f.recent = map[identity]struct{}{} // a map keeps the room of its busiest second
	}
}

func tickOf(c *change.Change) (*snapshot, error) {
	if len(c.New) < 1 {
		return nil, errSnapshot
	}
	return parseSnapshotText(string(c.New[0]))
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
