package operate

import (
	"github.com/prometheus/client_golang/prometheus"

	"nalar.internal/rowfeed/bridge/audience"
)

var (
	refusals = describe("auth_refusals_total", "Tokens refused, by reason.", "reason")
	faults   = describe("auth_faults_total",
		"Claims and answers of the identity queries that could not be used, by kind; the log says where.", "kind")
	keyFetches = describe("auth_key_fetches_total", "Key sets fetched, by result: ok, failed.", "issuer", "result")
	keysKnown  = describe("auth_keys", "Keys of a fetched set that can be used.", "issuer")
	keysAt     = describe("auth_keys_fetched_timestamp_seconds", "When the set was last fetched; 0: never.", "issuer")
	keyUnknown = describe("auth_unknown_keys_total", "Tokens whose key was not among those known.", "issuer")
)

// tokens collects what audience.Stats holds.
type tokens struct{ *audience.Stats }

// Tokens adds what is measured of tokens; once.
func (m *Metrics) Tokens(s *audience.Stats) { m.registry.MustRegister(tokens{s}) }

// Describe implements prometheus.Collector.
func (tokens) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{refusals, faults, keyFetches, keysKnown, keysAt, keyUnknown} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (t tokens) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	for reason, n := range t.Refusals() {
		send(refusals, prometheus.CounterValue, float64(n), reason)
	}
	for kind, n := range t.Faults() {
		send(faults, prometheus.CounterValue, float64(n), kind)
	}
	for _, s := range t.KeySets {
		send(keyFetches, prometheus.CounterValue, float64(s.Fetches.Load()), s.Issuer, "ok")
		send(keyFetches, prometheus.CounterValue, float64(s.Failures.Load()), s.Issuer, "failed")
		send(keysKnown, prometheus.GaugeValue, float64(s.Keys.Load()), s.Issuer)
		send(keysAt, prometheus.GaugeValue, float64(s.Fetched.Load()), s.Issuer)
		send(keyUnknown, prometheus.CounterValue, float64(s.Unknown.Load()), s.Issuer)
	}
}
