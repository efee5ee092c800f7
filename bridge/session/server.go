// Package session is one authenticated connection and all that keeps it: handshake, frames, bounded queue, writers,
// readers, heartbeats, close.
//
// A session at rest has no goroutine and no buffer beyond its socket's: on Linux, without TLS, its socket waits in one
// epoll instance (poller), a pool worker reads what has come (reader), and a few writers send what waits in the queues
// (writer). Whatever leaves, pongs and close frames of the WebSocket library included, leaves through the session's
// queue. A stream of Server-Sent Events (sse*.go) is a session like any other, but for its handshake, its framing and
// that what its client says is thrown away. Under TLS and on other systems a goroutine reads each connection and another
// writes while it has to.
//
// Locks: a router's lock may be held while a session's is taken (Send), never the other way round.
package session

import (
	"container/list"
	"context"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"nalar.internal/rowfeed/bridge/audience"
	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/router"
	"nalar.internal/rowfeed/config"
)

// Channel is what sessions need of a channel.
type Channel struct {
	Router *router.Channel
	// Fields holds, for each resource, the fields of data that a where may name; "" is the whole channel.
	Fields map[string]map[string]bool
}

// Options are what a Server is made of.
type Options struct {
	Config   *config.Config
	Channels map[string]Channel
	// Identify turns a token into who it is, see audience.Authority.
	Identify func(ctx context.Context, token string) (*audience.Identity, error)
	// Stale tells that what an identity is made of may have changed since; nil: it never does.
	Stale func(*audience.Identity) bool
	// Changed tells that what the user may see may have changed since a snapshot; nil: it never does.
	Changed func(who *audience.Identity, since *change.Snapshot) bool
	Log     *zap.Logger
}

// Server upgrades connections and owns the sessions. It is an http.Handler for /ws and what is below it; ServeEvents is
// one for /sse.
type Server struct {
	Stats Stats

	cfg        *config.Config
	channels   map[string]Channel
	identify   func(ctx context.Context, token string) (*audience.Identity, error)
	stale      func(*audience.Identity) bool
	changed    func(*audience.Identity, *change.Snapshot) bool
	origins    *audience.Origins
	proxies    []netip.Prefix
	log        *zap.Logger
	node       string
	frameLimit string

	nextID    atomic.Uint64
	draining  atomic.Bool
	unchecked atomic.Int64   // when it was last logged that a token could not be checked, unix seconds
	wg        sync.WaitGroup // readers and drains
	loops     sync.WaitGroup // writers, poller, heartbeat
	writers   []*writer
	poller    *poller
	workers   chan struct{}
	stopBeat  chan struct{}

	mu          sync.Mutex
	beats       [heartbeatPhases][]*Session // every session, by when its heartbeat is due
	phase       int
	users       map[string]int
	people      map[string][]*Session // by audience.UserKey
	addresses   map[string]int
	stragglers  map[string]int
	strangers   list.List      // of *Session, in the order in which they came
	strangersOf map[string]int // of each address
	unnamed     []*Session     // streams that wait for a first cursor

	past ended
}

// New makes a server; Start must be called before it is used.
func New(o Options) (*Server, error) {
	origins, err := audience.NewOrigins(o.Config.Server.AllowedOrigins)
	if err != nil {
		return nil, err
	}
	srv := &Server{
		cfg: o.Config, channels: o.Channels, identify: o.Identify, stale: o.Stale, changed: o.Changed, origins: origins, log: o.Log,
		node:       strconv.FormatUint(uint64(rand.Uint32()), 36),
		frameLimit: strconv.Itoa(o.Config.Server.FramesPerSecond),
		workers:    make(chan struct{}, readWorkers),
		stopBeat:   make(chan struct{}),
		users:      map[string]int{}, people: map[string][]*Session{}, addresses: map[string]int{}, stragglers: map[string]int{},
		strangersOf: map[string]int{},
	}
	for _, p := range o.Config.Server.TrustedProxies {
		prefix, err := netip.ParsePrefix(p)
		if err != nil {
			return nil, err
		}
		srv.proxies = append(srv.proxies, prefix)
	}
	if srv.poller, err = newPoller(); err != nil {
		return nil, err
	}
	// One writer to two processors: more of them get in the way of the feeds, and of each other.
	for range max(1, runtime.GOMAXPROCS(0)/2) {
		srv.writers = append(srv.writers, newWriter())
	}
	return srv, nil
}

// Start starts the writers, the poller and the heartbeat. Stop ends them.
func (srv *Server) Start() {
	if parking {
		for _, w := range srv.writers {
			srv.loops.Go(w.run)
		}
		srv.loops.Go(func() { srv.poller.run(srv.read) })
	}
	srv.loops.Go(srv.heartbeat)
}

// Drain closes every session with 4000, spread over the given time so that clients don't come back all at once, and
// returns when they are gone or ctx ends. New connections are refused from the start.
func (srv *Server) Drain(ctx context.Context, over time.Duration) {
	srv.draining.Store(true)
	all := srv.all()
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	over = min(over, time.Duration(len(all))*time.Millisecond)
	start := time.Now()
	for i, s := range all {
		if wait := time.Until(start.Add(over * time.Duration(i) / time.Duration(len(all)))); wait > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
		}
		s.Close(closeDraining, "draining; "+retryAfter+strconv.Itoa(rand.IntN(int(srv.cfg.Server.Drain.Milliseconds()/4)+500)))
	}
	for srv.Stats.Open.Load() > 0 && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// retryAfter stands in the reason of 4000 before the milliseconds that a client is asked to wait.
const retryAfter = "retry_ms="

// Stop ends what is left and waits for every goroutine of the server.
func (srv *Server) Stop() {
	srv.draining.Store(true)
	for _, s := range srv.all() {
		s.kill()
	}
	close(srv.stopBeat)
	if parking {
		srv.poller.close()
		for _, w := range srv.writers {
			w.close()
		}
	}
	srv.loops.Wait()
	srv.wg.Wait()
	srv.poller.release()
}

// all returns every session.
func (srv *Server) all() []*Session {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	var all []*Session
	for _, b := range srv.beats {
		all = append(all, b...)
	}
	return all
}

// schedule hands the session to a writer, and wakes it if that can't wait.
func (srv *Server) schedule(s *Session, wake bool) {
	if s.raw == nil {
		srv.wg.Go(s.drain)
		return
	}
	srv.writers[s.id%uint64(len(srv.writers))].add(s, wake)
}

// Wake has what was queued written. The caller writes little itself: that is sooner done than a writer woken.
func (srv *Server) Wake() {
	for _, w := range srv.writers {
		w.kick()
	}
}

// park leaves the session to the poller.
func (srv *Server) park(s *Session) {
	if err := srv.poller.arm(s); err != nil {
		srv.poller.disarm(s)
		s.kill()
	} else if s.ended() {
		srv.poller.disarm(s) // kill may have come before the session had its place
	}
}

func (srv *Server) unpark(s *Session) {
	if s.raw != nil {
		srv.poller.disarm(s)
	}
}

// register counts and lists a session that is to be connected.
func (srv *Server) register(s *Session) {
	s.opened = time.Now().UnixMicro()
	srv.Stats.Open.Add(1)
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.phase = (srv.phase + 1) % heartbeatPhases
	s.phase = int32(srv.phase)               //nolint:gosec // below heartbeatPhases
	s.place = int32(len(srv.beats[s.phase])) //nolint:gosec // sessions are bounded by descriptors, whose numbers are an int32
	srv.beats[s.phase] = append(srv.beats[s.phase], s)
	srv.addresses[s.address]++
}

// forget undoes register, and ends the session's subscriptions. Called once, by kill.
func (srv *Server) forget(s *Session) {
	s.mu.Lock()
	subs, who, code, why := s.subs, s.who, s.closing, s.why
	s.subs, s.q = nil, queue{}
	s.mu.Unlock()
	for _, sub := range subs {
		sub.Close()
	}
	srv.mu.Lock()
	list := srv.beats[s.phase]
	last := len(list) - 1
	list[s.place] = list[last]
	list[s.place].place = s.place
	list[last] = nil
	srv.beats[s.phase] = list[:last]
	decrement(srv.addresses, s.address)
	srv.known(s)
	if who != nil {
		decrement(srv.users, userKey(who))
		srv.leavePeople(who, s)
	}
	srv.mu.Unlock()
	if who != nil {
		srv.past.add(Ended{ID: s.name(), Issuer: who.Issuer, User: who.User, Tenant: who.Tenant, Channels: channelsOf(subs),
			Opened: time.UnixMicro(s.opened), At: time.Now(), Code: code, Reason: why})
	}
	srv.Stats.closed(code)
	srv.Stats.Open.Add(-1)
}

func decrement(counts map[string]int, key string) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

// userKey is what makes a person one: two issuers' user 42 are two people.
func userKey(id *audience.Identity) string {
	return id.Issuer + "\x00" + id.Tenant + "\x00" + id.User
}

// refuse answers a handshake by an HTTP error.
func (srv *Server) refuse(w http.ResponseWriter, status int, text string) {
	srv.Stats.Refused.Add(1)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.Error(w, text, status)
}
