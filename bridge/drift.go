package bridge

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/operate"
	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/triggers"
)

const (
	lookEvery = 15 * time.Second // by some more or less, so that nodes don't look all at once
	lookGap   = 2 * time.Second  // at least, however often changes say that something is wrong
	lookLimit = 10 * time.Second // for one look
)

// drift looks whether the ERP's tables are still as the triggers need them: every few seconds, and at once when a change
// could not be captured. What it finds, and what it finds mended, is noted in the database, by which all subscribers of what
// is made of the table hear resync: those of every node, and those who come back later. So nothing else tells of it here.
type drift struct {
	b       *Bridge
	watcher *triggers.Watcher
	target  triggers.Target
	every   time.Duration
	bell    chan struct{}
	rights  map[string]bool // tables that grants are made of

	// Of the goroutine, and of the preflight before it.
	noted   map[string]triggers.WatchedTable
	owed    map[string]bool             // not noted, since that failed
	again   map[string]*change.Snapshot // mended, but what was in progress then may have gone past the old capture
	failing bool

	mu     sync.Mutex
	tables []operate.Table // what the last look saw
	// Tables without our trigger: what is captured in their name is of a table that was called so before.
	foreign atomic.Pointer[map[string]bool]
}

func newDrift(b *Bridge, wants []change.Want, every time.Duration) (*drift, error) {
	d := &drift{b: b, every: every, bell: make(chan struct{}, 1), rights: map[string]bool{},
		noted: map[string]triggers.WatchedTable{}, owed: map[string]bool{}, again: map[string]*change.Snapshot{}}
	d.target = triggers.Target{Schema: b.cfg.Database.Schema, Retention: b.cfg.Database.Retention, RuntimeRole: b.db.User, Wants: wants}
	for table := range b.cfg.Auth.GrantsTables {
		d.rights[rule.Table(table)] = true
	}
	var err error
	if d.watcher, err = triggers.NewWatcher(d.target); err != nil {
		return nil, fmt.Errorf("read table names: %w", err)
	}
	return d, nil
}

// ring has it look soon. It does not wait.
func (d *drift) ring() {
	select {
	case d.bell <- struct{}{}:
	default:
	}
}

// check refuses an installation that is not what this bridge needs. Tables that have drifted are no reason not to serve the
// others: it goes on with them when they are back.
func (d *drift) check(ctx context.Context, conn *pgx.Conn) error {
	s, err := d.watcher.Look(ctx, conn)
	if err != nil {
		return err
	}
	if len(s.Off) > 0 {
		return errors.New(strings.Join(s.Off, "\n") + "\nrun `rowfeed migrate up`, or `rowfeed migrate plan` to see what it does")
	}
	for _, t := range s.Tables {
		d.show(t, time.Time{})
	}
	return nil
}

// run looks until ctx ends.
func (d *drift) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.bell:
		case <-timer.C:
		}
		if err := d.look(ctx); ctx.Err() == nil {
			d.looked(err)
		}
		if !pause(ctx, min(lookGap, d.every)) {
			return nil
		}
		timer.Reset(d.every*3/4 + rand.N(d.every/2))
	}
}

// pause waits, and tells whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// looked counts a look, and logs when they begin to fail.
func (d *drift) looked(err error) {
	d.b.metrics.Looked(err == nil)
	if err != nil && !d.failing {
		d.b.log.Warn("drift can't be looked for: changes of the watched tables' schema go unseen", zap.Error(err))
	}
	d.failing = err != nil
	d.b.leave(err)
}

// look compares the tables with what is wanted, and notes what is not as it was noted.
func (d *drift) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	pooled, err := d.b.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("look for drift: %w", err)
	}
	defer pooled.Release()
	conn := pooled.Conn()
	s, err := d.watcher.Look(ctx, conn)
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range s.Tables {
		was, known := d.noted[t.Table]
		if owed := d.owed[t.Table]; known && !owed && was.State == t.State && was.Thread == t.Thread && slices.Equal(was.Problems, t.Problems) {
			errs = append(errs, d.settle(ctx, conn, s, t))
			continue
		}
		told, since, err := s.Note(ctx, conn, d.target.Schema, t, d.owed[t.Table])
		if err != nil {
			d.owed[t.Table] = true
			d.show(t, time.Now())
			errs = append(errs, err)
			continue
		}
		delete(d.owed, t.Table)
		delete(d.again, t.Table)
		if told && t.State == triggers.Installed {
			if open, err := inProgress(ctx, conn); err != nil {
				errs = append(errs, err)
			} else if len(open.Xip) > 0 {
				d.again[t.Table] = open
			}
		}
		d.noted[t.Table] = t
		d.show(t, since)
	}
	own := triggers.TableStatus{Table: "schema " + d.target.Schema, State: triggers.Installed, Problems: s.Off}
	if len(s.Off) > 0 {
		own.State = triggers.Outdated
	}
	d.show(triggers.WatchedTable{TableStatus: own}, time.Time{})
	return errors.Join(errs...)
}

// inProgress returns a snapshot of now. Only after a transaction has committed does it name all that began before that one:
// those that are newer than the last that ended it does not know.
func inProgress(ctx context.Context, conn *pgx.Conn) (*change.Snapshot, error) {
	var text string
	if err := conn.QueryRow(ctx, "select pg_current_snapshot()::text").Scan(&text); err != nil {
		return nil, fmt.Errorf("read transactions in progress: %w", err)
	}
	return change.ParseSnapshot(text)
}

// settle tells of a mended table once more when all has ended that was in progress when it was found mended: a function is
// replaced without waiting for those who have just called the old one.
func (d *drift) settle(ctx context.Context, conn *pgx.Conn, s *triggers.Sight, t triggers.WatchedTable) error {
	open := d.again[t.Table]
	if open == nil || !s.Snapshot.Before(open) && slices.ContainsFunc(open.Xip, func(xid uint64) bool { return !s.Snapshot.Over(xid) }) {
		return nil
	}
	if _, _, err := s.Note(ctx, conn, d.target.Schema, t, true); err != nil {
		return err
	}
	delete(d.again, t.Table)
	return nil
}

// show keeps how a table stands for those who ask, and logs where that is not as it was.
func (d *drift) show(t triggers.WatchedTable, since time.Time) {
	now := operate.Table{Table: t.Table, State: t.State, Problems: t.Problems, Since: since, Captured: t.State == triggers.Installed}
	d.mu.Lock()
	i := slices.IndexFunc(d.tables, func(o operate.Table) bool { return o.Table == t.Table })
	was := operate.Table{Captured: true}
	if i >= 0 {
		was, d.tables[i] = d.tables[i], now
	} else {
		d.tables = append(d.tables, now)
	}
	foreign := map[string]bool{}
	for _, o := range d.tables {
		if o.State == triggers.Missing {
			foreign[o.Table] = true
		}
	}
	d.foreign.Store(&foreign)
	d.mu.Unlock()
	fields := []zap.Field{zap.String("table", t.Table), zap.String("state", t.State), zap.Strings("problems", t.Problems)}
	switch {
	case was.Captured == now.Captured && slices.Equal(was.Problems, now.Problems):
	case now.Captured:
		d.b.log.Info("table is captured again", fields[:2]...)
	case d.rights[t.Table]:
		d.b.log.Error("table that grants are made of has drifted, rights may be stale: run `rowfeed migrate status`", fields...)
	default:
		d.b.log.Warn("table has drifted, changes of it may be missed: run `rowfeed migrate status`", fields...)
	}
}

// others tells whether changes in a table's name are another's: it was swapped by a rename, and its trigger went along with
// the old one.
func (d *drift) others(table string) bool {
	foreign := d.foreign.Load()
	return foreign != nil && (*foreign)[table]
}

// list returns how the tables stand.
func (d *drift) list() []operate.Table {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.tables)
}

// line says what is wrong with a table; empty when nothing is.
func (d *drift) line(table string) string {
	for _, t := range d.list() {
		if t.Table == table {
			return t.Line()
		}
	}
	return ""
}

// warnings says that tables have drifted. Anybody may ask for readiness, so it names none.
func (d *drift) warnings() []string {
	n := 0
	for _, t := range d.list() {
		if !t.Captured {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return []string{fmt.Sprintf("drift: %d of the watched tables are not captured as the rules need it, so changes may be missed: run "+
		"`rowfeed migrate status`, or see /admin/tables", n)}
}
