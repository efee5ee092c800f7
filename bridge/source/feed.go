package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/change"
)

// Handler receives what a feed reads, in order, from one goroutine.
type Handler interface {
	// Change takes one change. It and its values are good until Change returns.
	Change(at change.Place, c *change.Change)
	// Swept tells that all there is for now has been handed over.
	Swept()
	// Settled tells that all that lies before the cursor has been handed over.
	Settled(cursor string)
	// Lost tells that there may be a gap before what follows: other_epoch, cursor_expired or drift.
	Lost(reason string)
}

// Options are what a Feed is made of.
type Options struct {
	Connect func(ctx context.Context) (*pgx.Conn, error)
	Schema  string // rowfeed's own
	Channel string
	Wake    string // auto, notify or sweep
	Tempo   Tempo  // when the channel is busy
	// Notify sends a notification, not by a connection of the feed. Nil: whether the listener hears is not tried out.
	Notify  func(ctx context.Context, channel, payload string) error
	Handler Handler
	History int // bytes of memory for those who come back; 0: 64 MiB
	Log     *zap.Logger
}

// Stats counts what a feed did since the start.
type Stats struct {
	Sweeps     atomic.Uint64
	Glances    atomic.Uint64 // sweeps of the hot slot alone, of these
	Changes    atomic.Uint64
	Missed     atomic.Uint64 // heartbeat sweeps that found changes, and no notification came up to the next
	Wakeups    atomic.Uint64 // notifications that led to a sweep
	Reconnects atomic.Uint64
	Lost       atomic.Uint64 // gaps told to subscribers

	Led     atomic.Uint64 // times that this node became the leader
	Rings   atomic.Uint64 // for other nodes
	Tries   atomic.Uint64 // to get the door's lock
	Leading atomic.Bool   // it has it
	mode    atomic.Int32
	queue   atomic.Uint64 // bits of a float
	foreign atomic.Pointer[Holder]

	CanariesLost atomic.Uint64
	Listening    atomic.Bool // LISTEN is in force, and the last canary came back
	Deaf         atomic.Bool // the last canary did not come back
	Polling      atomic.Bool // no notification is to be expected
	Connected    atomic.Bool

	swept atomic.Int64 // when the last sweep ended, from began on
	lag   atomic.Int64 // nanoseconds
}

// began is what the time of a sweep counts from: a clock that is set does not matter.
var began = time.Now()

// SinceSweep returns how long ago the last sweep ended.
func (s *Stats) SinceSweep() time.Duration { return time.Since(began) - time.Duration(s.swept.Load()) }

// Lag returns how old the oldest change was in the last sweep that found any.
func (s *Stats) Lag() time.Duration { return time.Duration(s.lag.Load()) }

// Mode returns how the feed learns that there is something to sweep.
func (s *Stats) Mode() Mode { return Mode(s.mode.Load()) }

// QueueUsage returns how full the server's queue of notifications was a second ago, from 0 to 1.
func (s *Stats) QueueUsage() float64 { return math.Float64frombits(s.queue.Load()) }

// Foreign returns who holds the lock between leader and captures and is no bridge; nil: nobody.
func (s *Stats) Foreign() *Holder { return s.foreign.Load() }

// Feed reads one channel.
type Feed struct {
	Stats Stats

	o       Options
	door    *door
	pace    pace
	probed  time.Time
	bell    chan struct{}
	seen    atomic.Pointer[change.Snapshot] // of the last sweep: what a notification may be about is judged by it
	started chan struct{}
	ready   bool

	epoch        string
	installation uint32       // oid of the table of that name: another one has other ids for everything
	id           atomic.Int32 // the channel's, in the outbox
	notify       atomic.Pointer[string]
	polling      bool // no notification is to be expected
	slotSeconds  int
	tables       []uint32         // oids of the ring's tables
	prev         *change.Snapshot // of the last sweep of all slots
	hot          *hot             // nil: all slots have to be swept
	turn         turn
	floor        *change.Snapshot // what is visible in it needs no remembering; of the last tick, or where the feed began
	safe         *tick            // the last one swept; nil before the first
	cursor       string           // of safe
	history      *History
	recent       map[identity]uint64 // delivered since safe, with their positions
	unconfirmed  map[identity]uint64 // likewise, by an earlier connection: the first sweep has to find them again
	forgotten    map[uint64]struct{} // transactions with changes for which there was no room in recent
	beyond       *change.Snapshot    // of the last sweep with more of those than there is room for; nil: none
	relations    map[int32]*change.Relation
	relisten     atomic.Pointer[context.CancelFunc]
	lines, line  atomic.Int64  // connections of the listener so far; the one on which LISTEN is in force, or 0
	fresh        chan struct{} // LISTEN has come into force
	heard        atomic.Uint64 // notifications, canaries not counted
	canary       atomic.Pointer[canary]
}

// Bounds of what is remembered between two ticks.
const (
	maxRecent    = 500_000 // delivered changes
	maxForgotten = 10_000  // transactions of those beyond that
)

// New makes a feed; Run reads it.
func New(o Options) *Feed {
	f := &Feed{
		o: o, pace: pace{tempo: o.Tempo.orDefault()}, bell: make(chan struct{}, 1), started: make(chan struct{}), fresh: make(chan struct{}, 1),
		history: NewHistory(cmp.Or(o.History, historyLimit)), recent: map[identity]uint64{},
		unconfirmed: map[identity]uint64{}, forgotten: map[uint64]struct{}{},
	}
	f.door = newDoor(f)
	return f
}

// channel returns the channel's number in the outbox.
func (f *Feed) channel() int16 { return int16(f.id.Load()) } //nolint:gosec // the database has it as smallint

// History returns what the feed remembers.
func (f *Feed) History() *History { return f.history }

// Started is closed when the feed has read what was there: what commits after that is delivered.
func (f *Feed) Started() <-chan struct{} { return f.started }

// Run reads until ctx ends. It returns early only when the first connection shows that it can never work.
func (f *Feed) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		f.listen(ctx)
	}()
	attended := make(chan struct{})
	go func() {
		defer close(attended)
		f.door.run(ctx)
	}()
	defer func() { cancel(); <-listening; <-attended }()

	var wait backoff
	for {
		err := f.read(ctx, &wait)
		f.Stats.Connected.Store(false)
		if ctx.Err() != nil {
			return nil
		}
		var fatal *fatalError
		if errors.As(err, &fatal) {
			return fatal.err
		}
		f.o.Log.Warn("feed interrupted, reconnecting", zap.String("channel", f.o.Channel), zap.Error(err))
		f.Stats.Reconnects.Add(1)
		wait.sleep(ctx)
	}
}

// fatalError is one that no reconnect can mend.
type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }

// read connects, finds its place and sweeps until the connection fails.
func (f *Feed) read(ctx context.Context, wait *backoff) error {
	conn, err := f.o.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		conn.Close(ctx)
	}()
	if err := adopt(ctx, conn, f.o.Schema); err != nil {
		return err
	}
	s, err := f.hello(ctx, conn)
	if err != nil {
		return err
	}
	f.Stats.Connected.Store(true)
	return f.sweeps(ctx, s, wait)
}

// hello finds out who the server is and decides from where to go on.
func (f *Feed) hello(ctx context.Context, conn *pgx.Conn) (*sweeper, error) {
	var fingerprint, notify, horizonText, swept string
	var id int16
	var now []byte
	var silent, known bool
	var seconds int
	var tables []uint32
	var xid, nonce *string
	if f.safe != nil {
		text := strconv.FormatUint(f.safe.xid, 10)
		xid, nonce = &text, &f.safe.nonce
	}
	var old *tick
	rows, err := conn.Query(ctx, render(helloSQL, f.o.Schema), pgx.QueryResultFormatsByOID{5038: 1}, f.o.Channel, xid, nonce)
	if err == nil {
		_, err = pgx.CollectExactlyOneRow(rows, func(r pgx.CollectableRow) (struct{}, error) {
			now = append(now, r.RawValues()[5]...)
			return struct{}{}, r.Scan(&fingerprint, &id, &notify, &horizonText, &swept, nil, &silent, &f.installation, &known, &seconds, &tables)
		})
	}
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		err = fmt.Errorf("channel %s is not installed: run `rowfeed migrate up`", f.o.Channel)
		if !f.ready {
			return nil, &fatalError{err}
		}
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("read installation: %w", err)
	}
	current, err := change.DecodeSnapshot(now)
	if err != nil {
		return nil, err
	}
	gone, err := parseHorizon(horizonText, swept)
	if err != nil {
		return nil, err
	}
	if f.relations, err = loadRelations(ctx, conn, f.o.Schema); err != nil {
		return nil, err
	}
	f.slotSeconds, f.tables = seconds, tables
	f.id.Store(int32(id))
	f.polling = silent || f.o.Wake == "sweep"
	f.Stats.Polling.Store(f.polling)
	f.notify.Store(&notify)
	if !f.ready {
		if old, err = f.oldTick(ctx, conn, gone); err != nil {
			return nil, err
		}
	}
	f.place(epochOf(fingerprint), current, gone, known, old)
	if f.safe == nil { // a place to go on from, as soon as there can be one
		if _, err := conn.Exec(ctx, "select "+pgx.Identifier{f.o.Schema}.Sanitize()+".tick()"); err != nil {
			return nil, fmt.Errorf("write tick: %w", err)
		}
	}
	return newSweeper(ctx, conn, f.o.Schema, seconds)
}

// oldTick returns the tick that a feed begins at, so that it remembers what those who come back have missed; nil where
// there is none.
func (f *Feed) oldTick(ctx context.Context, conn *pgx.Conn, gone horizon) (*tick, error) {
	var text string
	var row []string
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "set local enable_sort = off"); err != nil { // see Outbox.query
			return err
		}
		sql := slotted(warmSQL, f.o.Schema, "true order by xid desc limit $3")
		return tx.QueryRow(ctx, sql, f.channel(), warmth.Seconds(), warmChanges).Scan(&text, &row)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read ticks: %w", err)
	}
	xid, err := strconv.ParseUint(text, 10, 64)
	if err != nil || len(row) < 2 {
		return nil, errRow
	}
	t, err := tickOf(xid, change.Row{[]byte(row[0]), []byte(row[1])})
	if err != nil || gone.passed(t.snapshot) {
		return nil, nil //nolint:nilerr // a tick that is no place is none
	}
	return t, nil
}

// place sets from where the next sweep goes on: the last tick's snapshot, or, where that says nothing any more, now.
// known tells whether that tick is there: it is not in a server that was put back to an earlier state. A feed that
// begins goes back to an old tick, where there is one.
func (f *Feed) place(epoch string, current *change.Snapshot, gone horizon, known bool, old *tick) {
	first := !f.ready
	reason := ""
	switch {
	case first:
	case epoch != f.epoch:
		reason = "other_epoch"
	case f.safe == nil || f.forgetful() || gone.passed(f.safe.snapshot):
		reason = "cursor_expired"
	case !known:
		reason = "other_epoch"
	}
	f.epoch = epoch
	f.hot, f.turn = nil, turn{slot: -1}
	f.pace.lost()
	switch {
	case first || reason != "":
		f.prev, f.floor, f.safe, f.cursor = current, current, nil, ""
		clear(f.recent)
		clear(f.unconfirmed)
		clear(f.forgotten)
		f.beyond = nil
		f.history.reset(epoch)
		if old != nil {
			f.prev, f.floor = old.snapshot, old.snapshot
			f.settle([]*tick{old})
		}
	default:
		f.prev = f.safe.snapshot
		maps.Copy(f.unconfirmed, f.recent)
		clear(f.recent)
	}
	f.seen.Store(f.prev)
	if reason != "" {
		f.lost(reason)
	}
}

// lost tells of a gap. Nobody resumes across it from memory.
func (f *Feed) lost(reason string) {
	f.Stats.Lost.Add(1)
	f.history.reset(f.epoch)
	f.o.Handler.Lost(reason)
}

// backoff waits between attempts: from 100 ms, doubling to 5 s, each with full jitter above a tenth.
type backoff struct{ n int }

func (b *backoff) reset() { b.n = 0 }

func (b *backoff) sleep(ctx context.Context) {
	d := min(5*time.Second, 100*time.Millisecond<<min(b.n, 6))
	b.n++
	t := time.NewTimer(d/10 + rand.N(d*9/10))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
