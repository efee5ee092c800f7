package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/audience"
	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/explain"
	"nalar.internal/rowfeed/bridge/operate"
	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/bridge/session"
)

// desk answers what operators ask of the nodes. Each kind has a goroutine, so that a kick does not wait for an
// explanation; what comes faster than it is answered is left unanswered.
type desk struct {
	b      *Bridge
	kinds  map[string]func(ctx context.Context, conn *pgx.Conn, body []byte) (any, error)
	inbox  map[string]chan string // ids of requests
	asking chan struct{}          // bounds how many of this node's own are under way: each holds a connection
	schema string
	asked  *prometheus.CounterVec
}

const (
	deskRoom = 64               // requests of a kind that may wait
	deskTime = 10 * time.Second // for each

	maxAsking = 2
	maxAnswer = 900 << 10 // bytes; jsonb's text has more spaces, and may be 1 MiB
)

func newDesk(b *Bridge) *desk {
	d := &desk{
		b: b, inbox: map[string]chan string{}, asking: make(chan struct{}, maxAsking), asked: b.metrics.Requests(),
		schema: pgx.Identifier{b.cfg.Database.Schema}.Sanitize(),
	}
	d.kinds = map[string]func(context.Context, *pgx.Conn, []byte) (any, error){
		operate.KindKick: d.kick, operate.KindExplain: d.explain,
	}
	for kind := range d.kinds {
		d.inbox[kind] = make(chan string, deskRoom)
	}
	return d
}

// hear takes a row of the table request.
func (d *desk) hear(c *change.Change) {
	if c.Op != change.Insert || len(c.New) != 2 {
		return
	}
	inbox := d.inbox[string(c.New[1])]
	if inbox == nil {
		return // of a later version
	}
	select {
	case inbox <- string(c.New[0]):
	default:
		d.asked.WithLabelValues(string(c.New[1]), "dropped").Inc()
		d.b.log.Warn("an operator's request is not answered: too many wait", zap.String("kind", string(c.New[1])))
	}
}

// run answers requests of a kind until ctx ends.
func (d *desk) run(kind string) func(context.Context) error {
	return func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case id := <-d.inbox[kind]:
				if err := d.serve(ctx, id); err != nil && ctx.Err() == nil {
					d.b.log.Warn("an operator's request is not answered", zap.String("kind", kind), zap.Error(err))
				}
			}
		}
	}
}

// serve answers one request. What is older than half a minute is none any more.
func (d *desk) serve(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, deskTime)
	defer cancel()
	conn, err := d.b.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("take request: %w", err)
	}
	defer conn.Release()
	var kind, body, who string
	err = conn.QueryRow(ctx, "select kind, body::text, asked_by from "+d.schema+".requested($1::text::uuid)", id).
		Scan(&kind, &body, &who)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("take request: %w", err)
	}
	do := d.kinds[kind]
	if do == nil {
		return nil
	}
	answer, err := d.attempt(func() (any, error) { return do(ctx, conn.Conn(), []byte(body)) })
	d.b.log.Info("answered an operator", zap.String("does", kind), zap.String("role", who), zap.String("request", id),
		zap.Error(err))
	result := "answered"
	if err != nil {
		answer, result = operate.Failed{Error: err.Error()}, "failed"
	}
	d.asked.WithLabelValues(kind, result).Inc()
	text, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	if len(text) > maxAnswer {
		text, _ = json.Marshal(operate.Failed{Error: "the answer is too long: ask for fewer changes, or for one event"})
	}
	_, err = conn.Exec(ctx, "select "+d.schema+".answer($1::text::uuid, $2, $3::text::jsonb)", id, d.b.sessions.Node(), string(text))
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}

// attempt does what was asked. A panic, which is a defect of the program, fails the request and not the node; what it says
// is left out, since it may hold a row's value.
func (d *desk) attempt(do func() (any, error)) (answer any, err error) {
	defer func() {
		if v := recover(); v != nil {
			d.b.log.Error("an operator's request met a defect of the program", zap.String("panic", fmt.Sprintf("of type %T", v)), zap.Stack("at"))
			answer, err = nil, errors.New("a defect of the program: see this node's log")
		}
	}()
	return do()
}

// kick closes sessions, after what is remembered of their users.
func (d *desk) kick(_ context.Context, _ *pgx.Conn, body []byte) (any, error) {
	var k operate.Kick
	if err := json.Unmarshal(body, &k); err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	if err := k.Check(); err != nil {
		return nil, err
	}
	chosen := session.Chosen{Session: k.Session, User: k.User, Issuer: k.Issuer, Tenant: k.Tenant}
	users := map[string]struct{}{}
	if k.User != "" { // also of a user who has no session now
		users[audience.UserKey(k.User)] = struct{}{}
	}
	for _, s := range d.b.sessions.Find(chosen) {
		users[audience.UserKey(s.Inspect().User)] = struct{}{}
	}
	d.b.who.Changed(false, users)
	return operate.Kicked{Sessions: d.b.sessions.Kick(chosen)}, nil
}

// explain says why a user did or did not get an event.
func (d *desk) explain(ctx context.Context, conn *pgx.Conn, body []byte) (any, error) {
	var q explain.Question
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	x := &explain.Explainer{Config: d.b.cfg, Channels: map[string]*rule.Channel{},
		Node: &explain.Node{Sessions: d.b.sessions, Position: d.b.position, Drift: d.b.drift.line}}
	for _, c := range d.b.channels {
		x.Channels[c.name] = c.rules
	}
	return x.Explain(ctx, conn, q)
}

// position returns where a change stands in a channel's memory, 0 where it is not there, and whether the channel has been
// swept since its transaction ended.
func (b *Bridge) position(channel string, xid, lsn uint64, at time.Time) (pos uint64, swept bool) {
	for _, c := range b.channels {
		if c.name == channel {
			return c.feed.History().Position(xid, lsn, at), c.feed.Swept(xid)
		}
	}
	return 0, false
}

// ask puts an operator's request to every node, on a connection of its own: the pool's are for those who log in.
func (b *Bridge) ask(ctx context.Context, kind string, body any) (*operate.Replies, error) {
	select {
	case b.desk.asking <- struct{}{}:
		defer func() { <-b.desk.asking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	conn, err := b.dedicated("rowfeed operator")(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the bridges: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return operate.Ask(ctx, conn, b.cfg.Database.Schema, kind, body)
}
