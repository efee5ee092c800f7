// Package operate is for whoever runs the bridge: Prometheus metrics and the guard of the operator's listener.
package operate

import (
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"nalar.internal/rowfeed/bridge/router"
	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/bridge/session"
	"nalar.internal/rowfeed/bridge/source"
)

// Channel is what is measured of a channel.
type Channel struct {
	Name    string
	Feed    *source.Stats
	Router  *router.Channel // nil, as Outbox: of the control channel, to which nobody subscribes
	History *source.History
	Outbox  *source.Outbox
}

// Metrics collects the counters that the rooms keep, when it is asked: nothing is counted twice on the way of an event.
type Metrics struct {
	registry *prometheus.Registry
	channels []Channel
	sessions *session.Stats
	lobby    *Lobby
	faults   *prometheus.CounterVec
	tables   func() []Table
	ring     *RingStats

	looked, unseen atomic.Uint64
}

// NewMetrics makes an empty set with the Go runtime's and the process's own.
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.faults = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rowfeed_rule_faults_total", Help: "Changes that a rule could not be applied to.",
	}, []string{"channel", "table", "event", "rule", "kind"})
	m.registry.MustRegister(m.faults, m, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Watch adds a channel.
func (m *Metrics) Watch(c Channel) { m.channels = append(m.channels, c) }

// Sessions sets the sessions' counters.
func (m *Metrics) Sessions(s *session.Stats) { m.sessions = s }

// Lobby sets the lobby of the clients' listener.
func (m *Metrics) Lobby(l *Lobby) { m.lobby = l }

// Fault counts a rule's failure.
func (m *Metrics) Fault(f rule.Fault) {
	m.faults.WithLabelValues(f.Channel, f.Table, f.Event, strconv.Itoa(f.Rule), f.Kind).Inc()
}

// Handler serves the metrics in Prometheus's format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("rowfeed_"+name, help, labels, nil)
}

var (
	sweeps     = describe("source_sweeps_total", "Sweeps of the outbox.", "channel")
	glances    = describe("source_glances_total", "Sweeps of the ring's current table alone, of these.", "channel")
	changes    = describe("source_changes_total", "Changes read from the outbox.", "channel")
	missed     = describe("source_missed_notifications_total", "Heartbeat sweeps that found changes of which no notification came.", "channel")
	wakeups    = describe("source_wakeups_total", "Notifications that led to a sweep.", "channel")
	reconnects = describe("source_reconnects_total", "Lost connections of the sweep.", "channel")
	gaps       = describe("source_gaps_total", "Gaps that subscribers were told of.", "channel")
	listening  = describe("source_listening", "1 while the channel's LISTEN is in force and its canaries come back.", "channel")
	canaries   = describe("source_canaries_lost_total", "Notifications to itself that a listener did not hear.", "channel")
	mode       = describe("source_mode", "1 for how the channel is woken now: quiet, busy (this node leads), following, silenced, "+
		"lingering, polling.", "channel", "mode")
	led     = describe("source_busy_total", "Times that the channel was busy and this node became its leader.", "channel")
	leading = describe("source_leading", "1 while this node has the lock that keeps commits from notifying.", "channel")
	tries   = describe("source_lock_tries_total", "Tries to get that lock.", "channel")
	rings   = describe("source_rings_total", "Notifications to other nodes, as the leader.", "channel")
	foreign = describe("source_foreign_lock",
		"1 while a session that is not the bridge's holds a lock of the channel's, so that commits don't notify.", "channel")
	queue = describe("source_notification_queue_ratio",
		"How full the server's queue of notifications is; above 0.5 commits don't notify.", "channel")
	routed    = describe("router_events_total", "Events that were routed.", "channel")
	delivered = describe("router_deliveries_total", "Messages handed to sessions.", "channel")
	resumed   = describe("router_resumes_total",
		"Subscriptions that began with the past, by where it was: memory, outbox, rewind; refused were told to fetch afresh.",
		"channel", "source")
	replayed  = describe("router_replayed_total", "Messages of the past handed to sessions.", "channel")
	queries   = describe("router_replay_queries_total", "Queries of the outbox for those who came back.", "channel")
	kept      = describe("source_history_changes", "Changes in memory for those who come back.", "channel")
	keptBytes = describe("source_history_bytes", "Memory that they take.", "channel")
	lag       = describe("source_sweep_lag_seconds",
		"Age of the first change in the last sweep that found any, by the clocks of the database and of this machine.", "channel")
	open      = describe("session_open", "Sessions now.")
	accepted  = describe("session_accepted_total", "Upgraded connections.")
	refused   = describe("session_refused_total", "Handshakes answered by an HTTP error.")
	framesIn  = describe("session_frames_received_total", "Data frames from clients.")
	written   = describe("session_messages_written_total", "Messages wholly written to sockets.")
	writes    = describe("session_writes_total", "System calls that wrote them.")
	sentBytes = describe("session_written_bytes_total", "Bytes written to sockets.")
	overflows = describe("session_overflows_total", "Queues that passed their bounds.")
	panics    = describe("session_panics_total", "Sessions ended by a defect of the program; the log says where.")
	resyncs   = describe("session_resyncs_total", "Resync notices to subscriptions.")
	evicted   = describe("session_evicted_total", "Connections ended to make room for others, before it was known whose they were.")
	halfOpen  = describe("server_half_open", "Connections now that have sent no whole request.")
	dropped   = describe("server_dropped_total", "Connections ended to make room for others, before they had sent a whole request.")
	closes    = describe("session_closes_total",
		"Ended sessions by close code; 1006 is a connection that just ended, 0 a code of the peer's own.", "code")
)

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{sweeps, glances, changes, missed, wakeups, reconnects, gaps, listening, canaries,
		mode, led, leading, tries, rings, foreign, queue, routed, delivered,
		resumed, replayed, queries, kept, keptBytes, lag,
		open, accepted, refused, framesIn, written, writes, sentBytes, overflows, resyncs, panics, evicted, halfOpen, dropped, closes,
		drifted, driftSince, looks, openFor, stops} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, c := range m.channels {
		counter(sweeps, c.Feed.Sweeps.Load(), c.Name)
		counter(glances, c.Feed.Glances.Load(), c.Name)
		counter(changes, c.Feed.Changes.Load(), c.Name)
		counter(missed, c.Feed.Missed.Load(), c.Name)
		counter(wakeups, c.Feed.Wakeups.Load(), c.Name)
		counter(reconnects, c.Feed.Reconnects.Load(), c.Name)
		counter(canaries, c.Feed.CanariesLost.Load(), c.Name)
		counter(gaps, c.Feed.Lost.Load(), c.Name)
		flag := func(d *prometheus.Desc, on bool, labels ...string) {
			v := 0.0
			if on {
				v = 1
			}
			gauge(d, v, labels...)
		}
		flag(listening, c.Feed.Listening.Load(), c.Name)
		for m, name := range source.Modes {
			flag(mode, c.Feed.Mode() == source.Mode(m), c.Name, name)
		}
		counter(led, c.Feed.Led.Load(), c.Name)
		flag(leading, c.Feed.Leading.Load(), c.Name)
		counter(tries, c.Feed.Tries.Load(), c.Name)
		counter(rings, c.Feed.Rings.Load(), c.Name)
		flag(foreign, c.Feed.Foreign() != nil, c.Name)
		gauge(queue, c.Feed.QueueUsage(), c.Name)
		n, bytes := c.History.Size()
		gauge(kept, float64(n), c.Name)
		gauge(keptBytes, float64(bytes), c.Name)
		gauge(lag, c.Feed.Lag().Seconds(), c.Name)
		if c.Router == nil {
			continue
		}
		r, d := c.Router.Stats()
		counter(routed, r, c.Name)
		counter(delivered, d, c.Name)
		counter(resumed, c.Router.Resumes.Memory.Load(), c.Name, "memory")
		counter(resumed, c.Router.Resumes.Outbox.Load(), c.Name, "outbox")
		counter(resumed, c.Router.Resumes.Rewound.Load(), c.Name, "rewind")
		counter(resumed, c.Router.Resumes.Refused.Load(), c.Name, "refused")
		counter(replayed, c.Router.Resumes.Replayed.Load(), c.Name)
		counter(queries, c.Outbox.Queries.Load(), c.Name)
	}
	s := m.sessions
	gauge(open, float64(s.Open.Load()))
	counter(accepted, s.Accepted.Load())
	counter(refused, s.Refused.Load())
	counter(framesIn, s.FramesIn.Load())
	counter(written, s.Written.Load())
	counter(writes, s.Writes.Load())
	counter(sentBytes, s.Bytes.Load())
	counter(overflows, s.Overflows.Load())
	counter(resyncs, s.Resyncs.Load())
	counter(panics, s.Panics.Load())
	counter(evicted, s.Evicted.Load())
	counter(stops, m.ring.Stops.Load())
	gauge(openFor, m.ring.OpenFor().Seconds())
	m.collectDrift(gauge, func(d *prometheus.Desc, v float64, labels ...string) { counter(d, uint64(v), labels...) })
	waiting, gone := m.lobby.Counts()
	gauge(halfOpen, float64(waiting))
	counter(dropped, gone)
	for code, n := range s.Closes() {
		counter(closes, n, strconv.Itoa(code))
	}
}
