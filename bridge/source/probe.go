package source

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
)

var (
	//go:embed queries/probe.sql
	probeSQL string
	//go:embed queries/holders.sql
	holdersSQL string
)

// Holder is a session that holds a lock of the bridge's, or waits for it, and is none of its own.
type Holder struct {
	PID  int
	Role string
}

// HalfFull is from where on captures leave out NOTIFY.
const HalfFull = 0.5

// probe does what captures do before they ring, once a second, on the connection of the sweep: whoever keeps them from it,
// it shows. What the leader knows it is not asked for.
func (f *Feed) probe(ctx context.Context, s *sweeper) error {
	d := f.door
	if time.Since(f.probed) < heartbeat {
		return nil
	}
	f.probed = time.Now()
	if f.o.Wake != "auto" && f.o.Wake != "notify" || f.polling || d.attended() {
		d.shut.Store(false)
		return nil
	}
	doorKey, leaderKey := d.keys()
	row, err := s.ask(ctx, probeSQL, strconv.FormatInt(doorKey, 10))
	if err != nil {
		return err
	}
	free := len(row) == 2 && row[0] == "t" // else not even a lock could be tried
	if len(row) == 2 {
		if usage, err := strconv.ParseFloat(row[1], 64); err == nil {
			f.Stats.queue.Store(math.Float64bits(usage))
			free = free && usage <= HalfFull
		}
	}
	d.shut.Store(!free)
	var holder *Holder
	if !free || stance(d.stance.Load()) == following {
		row, err := s.ask(ctx, holdersSQL, fmt.Sprintf("{%d,%d}", doorKey, leaderKey))
		if err != nil {
			return err
		}
		if len(row) == 2 {
			pid, _ := strconv.Atoi(row[0]) // a number, by its type
			holder = &Holder{PID: pid, Role: row[1]}
		}
	}
	f.note(holder)
	return nil
}

// note logs a stranger who is new.
func (f *Feed) note(h *Holder) {
	old := f.Stats.foreign.Swap(h)
	if h != nil && (old == nil || *old != *h) {
		f.o.Log.Warn("a session that is not the bridge's holds its advisory lock, so commits don't notify and changes are found "+
			"ten times a second only: end it (pg_terminate_backend) and see what it is",
			zap.String("channel", f.o.Channel), zap.Int("pid", h.PID), zap.String("role", h.Role))
	}
}

// ask runs a small statement and returns its first row as text; nothing where the server refuses it.
func (s *sweeper) ask(ctx context.Context, sql string, parameters ...string) ([]string, error) {
	values := make([][]byte, len(parameters))
	for i, p := range parameters {
		values[i] = []byte(p)
	}
	r := s.conn.ExecParams(ctx, sql, values, nil, nil, nil).Read()
	var refused *pgconn.PgError
	if errors.As(r.Err, &refused) && !s.conn.IsClosed() {
		return nil, nil
	}
	if r.Err != nil {
		return nil, fmt.Errorf("probe door: %w", r.Err)
	}
	if len(r.Rows) == 0 {
		return nil, nil
	}
	row := make([]string, len(r.Rows[0]))
	for i, v := range r.Rows[0] {
		row[i] = string(v)
	}
	return row, nil
}
