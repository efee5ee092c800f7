package bridge

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/audience"
	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/operate"
	"nalar.internal/rowfeed/bridge/router"
	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/bridge/session"
	"nalar.internal/rowfeed/bridge/source"
	"nalar.internal/rowfeed/config"
)

// Bridge is one node: feeds, rules, router and sessions, put together.
type Bridge struct {
	cfg      *config.Config
	log      *zap.Logger
	db       *pgx.ConnConfig
	channels []*channel
	control  *control
	desk     *desk
	drift    *drift
	ring     ring
	sessions *session.Server
	metrics  *operate.Metrics
	lobby    *operate.Lobby
	who      *audience.Authority
	pool     *pgxpool.Pool
	ready    chan struct{}
	serving  serving
}

// channel is what goes from one feed to its subscribers.
type channel struct {
	name   string
	rules  *rule.Channel
	router *router.Channel
	feed   *source.Feed
	outbox *source.Outbox
	carry  *carrier
}

// Option changes what a bridge is made of.
type Option func(*options)

type options struct {
	history int
	look    time.Duration
	tempo   source.Tempo
}

// WithHistory has each channel keep so many bytes of recent changes in memory, instead of 64 MiB.
func WithHistory(bytes int) Option { return func(o *options) { o.history = bytes } }

// WithDriftCheck has it look for changes of the watched tables' schema about so often, instead of each 15 s.
func WithDriftCheck(every time.Duration) Option { return func(o *options) { o.look = every } }

// WithTempo has channels become busy, and quiet again, at other rates.
func WithTempo(t source.Tempo) Option { return func(o *options) { o.tempo = t } }

// New compiles the configuration into a bridge. Its errors are config.Problems; it does not touch the database.
func New(cfg *config.Config, log *zap.Logger, set ...Option) (*Bridge, error) {
	book, problems := rule.Compile(cfg)
	if len(problems) > 0 {
		return nil, cfg.Locate(problems)
	}
	b := &Bridge{cfg: cfg, log: log, metrics: operate.NewMetrics(), ready: make(chan struct{})}
	var err error
	if b.db, err = DatabaseConfig(cfg.Database.URL); err != nil {
		return nil, err
	}
	o := options{look: lookEvery}
	for _, f := range set {
		f(&o)
	}
	if b.drift, err = newDrift(b, book.Wants(), o.look); err != nil {
		return nil, err
	}
	b.metrics.Drift(b.drift.list)
	b.ring.b = b
	b.metrics.Ring(&b.ring.stats)
	topics := map[string]session.Channel{}
	for _, name := range slices.Sorted(maps.Keys(cfg.Channels)) {
		rules := book.Channel(name)
		anyTenant, tenants := rules.Scopes()
		c := &channel{name: name, rules: rules, router: router.NewChannel(name, anyTenant, tenants, func() { b.sessions.Wake() })}
		c.carry = &carrier{channel: c, log: log, metrics: b.metrics, drift: b.drift}
		c.feed = source.New(source.Options{
			Connect: b.dedicated("rowfeed " + name),
			Schema:  cfg.Database.Schema, Channel: name, Wake: cfg.Channels[name].Wake, Notify: b.notify,
			Handler: c.carry, History: o.history, Tempo: o.tempo,
			Log: log,
		})
		c.outbox = source.NewOutbox(c.feed)
		b.channels = append(b.channels, c)
		fields := map[string]map[string]bool{"": rules.Fields("")}
		for _, r := range rules.Resources() {
			fields[r] = rules.Fields(r)
		}
		topics[name] = session.Channel{Router: c.router, Fields: fields}
		b.metrics.Watch(operate.Channel{Name: name, Feed: &c.feed.Stats, Router: c.router, History: c.feed.History(), Outbox: c.outbox})
	}
	b.control = newControl(cfg.Database.Schema, cfg.Auth.GrantsTables)
	b.control.feed = source.New(source.Options{
		// Its name is how operators count the nodes.
		Connect: func(ctx context.Context) (*pgx.Conn, error) {
			return b.dedicated(operate.NodeName(b.sessions.Node(), cfg.Database.Schema))(ctx)
		},
		Schema: cfg.Database.Schema, Channel: change.Control, Wake: "auto",
		Notify: b.notify, Handler: b.control, History: controlHistory, Log: log,
	})
	b.control.drifted = b.drift.ring
	b.control.away = &away{oldest: b.control.feed.History().Oldest, users: map[string]alterations{}}
	b.desk = newDesk(b)
	b.control.request = b.desk.hear
	b.metrics.Watch(operate.Channel{Name: change.Control, Feed: &b.control.feed.Stats, History: b.control.feed.History()})
	b.sessions, err = session.New(session.Options{
		Config: cfg, Channels: topics, Log: log,
		Identify: func(ctx context.Context, token string) (*audience.Identity, error) { return b.who.Identify(ctx, token) },
		Stale:    func(id *audience.Identity) bool { return b.who.Stale(id) },
		Changed: func(id *audience.Identity, since *change.Snapshot) bool {
			return b.renews() && b.control.away.changed(id, since)
		},
	})
	if err != nil {
		return nil, err
	}
	b.metrics.Sessions(&b.sessions.Stats)
	b.lobby = operate.NewLobby(max(minHalfOpen, cfg.Server.MaxConnections/4))
	b.metrics.Lobby(b.lobby)
	return b, nil
}

// Run serves until ctx ends, then drains. It returns an error when the bridge can't start: the database unreachable,
// rowfeed not installed there, a right missing, a port in use. To be ended while it starts is no error.
func (b *Bridge) Run(ctx context.Context) error {
	err := b.run(ctx)
	if err != nil && ctx.Err() != nil && !b.serving.started.Load() {
		return nil
	}
	return err
}

func (b *Bridge) run(ctx context.Context) error {
	if err := b.preflight(ctx); err != nil {
		return err
	}
	if err := b.openPool(ctx); err != nil {
		return err
	}
	defer b.pool.Close()
	b.ring.begin(ctx)
	if err := b.openAuthority(ctx); err != nil {
		return err
	}
	listeners, err := b.listen()
	if err != nil {
		return err
	}

	// Feeds and chores outlive ctx until the sessions are drained.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	failed := make(chan error, 2*len(b.channels)+8)
	running := 0
	start := func(f func(context.Context) error) {
		running++
		go func() { failed <- f(work) }()
	}
	finish := func() error {
		stop()
		var errs []error
		for range running {
			errs = append(errs, <-failed)
		}
		return errors.Join(errs...)
	}
	for _, c := range b.channels {
		start(c.feed.Run)
		start(c.carry.replay)
	}
	for _, f := range b.chores() {
		start(f)
	}
	b.sessions.Start()
	if err := b.awaitFeeds(ctx, failed, &running); err != nil {
		listeners.close()
		b.sessions.Stop()
		return errors.Join(err, finish())
	}
	for _, s := range b.servers(listeners) {
		start(s)
	}
	b.announce(listeners)
	b.serving.started.Store(true)
	close(b.ready)

	var result error
	select {
	case <-ctx.Done():
		b.drain()
	case result = <-failed:
		running--
	}
	result = errors.Join(result, finish())
	b.sessions.Stop()
	return result
}

// chores are what runs beside the channels.
func (b *Bridge) chores() []func(context.Context) error {
	list := []func(context.Context) error{b.control.feed.Run, b.keepTime, b.who.Run, b.drift.run}
	for kind := range b.desk.kinds {
		list = append(list, b.desk.run(kind))
	}
	if b.renews() {
		r := newRenewals(b.who, b.sessions, b.metrics.Renewals(), b.log)
		b.control.renew = r.changed
		list = append(list, r.run)
	}
	return list
}

// renews tells whether grants are renewed when their tables change.
func (b *Bridge) renews() bool { return len(b.cfg.Auth.GrantsTables) > 0 && b.who.Renews() }

// feeds are those of the channels, and the one of the control channel.
func (b *Bridge) feeds() iter.Seq2[string, *source.Feed] {
	return func(yield func(string, *source.Feed) bool) {
		for _, c := range b.channels {
			if !yield(c.name, c.feed) {
				return
			}
		}
		yield(change.Control, b.control.feed)
	}
}

// openAuthority reads the keys and tries the queries that tell who is asking.
func (b *Bridge) openAuthority(ctx context.Context) error {
	var err error
	if b.who, err = audience.New(b.cfg.Auth, b.pool, b.log); err != nil {
		return err
	}
	if err := b.who.Check(ctx); err != nil {
		return err
	}
	b.metrics.Tokens(b.who.Stats())
	return nil
}

// awaitFeeds waits until every feed has its place: what commits from then on is delivered.
func (b *Bridge) awaitFeeds(ctx context.Context, failed chan error, running *int) error {
	limit := time.NewTimer(3 * connectTimeout)
	defer limit.Stop()
	for name, feed := range b.feeds() {
		select {
		case <-feed.Started():
		case err := <-failed:
			*running--
			if err == nil {
				err = errors.New("feed ended before it began")
			}
			return err
		case <-limit.C:
			return fmt.Errorf("connect feed of channel %s: the database does not answer: see the log", name)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// drain tells clients to go elsewhere and waits for them, server.drain at the most.
func (b *Bridge) drain() {
	b.serving.draining.Store(true)
	b.log.Info("draining", zap.Int64("sessions", b.sessions.Stats.Open.Load()))
	ctx, cancel := context.WithTimeout(context.Background(), b.cfg.Server.Drain)
	defer cancel()
	b.sessions.Drain(ctx, b.cfg.Server.Drain/2)
}

// Ready is closed when the bridge serves.
func (b *Bridge) Ready() <-chan struct{} { return b.ready }

// keepTime writes a tick and has captures go on each second, and turns the outbox's ring each minute.
func (b *Bridge) keepTime(ctx context.Context) error {
	schema := pgx.Identifier{b.cfg.Database.Schema}.Sanitize()
	tick := b.chore("select "+schema+".tick()",
		"tick not written: after a lost connection subscribers will have to fetch afresh")
	rotate := b.chore("select "+schema+".rotate()", "outbox not emptied: it grows beyond database.retention")
	timer := time.NewTicker(time.Second)
	defer timer.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		tick(ctx)
		b.ring.keepOpen(ctx)
		if n%60 == 0 {
			rotate(ctx)
		}
	}
}

// chore returns what runs a statement in the pool and warns when it begins to fail.
func (b *Bridge) chore(sql, warning string) func(context.Context) {
	failing := false
	return func(ctx context.Context) {
		limit, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		_, err := b.pool.Exec(limit, sql)
		if err != nil && !failing && ctx.Err() == nil {
			b.log.Warn(warning, zap.Error(err))
		}
		b.leave(err)
		failing = err != nil
	}
}
