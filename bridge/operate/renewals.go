package operate

import "github.com/prometheus/client_golang/prometheus"

// Renewals is what is measured of grants that are looked up anew because tables behind them have changed.
type Renewals struct {
	Users    prometheus.Counter // looked up
	Sessions *prometheus.CounterVec
	Failures prometheus.Counter   // look-ups without an answer
	Silence  prometheus.Histogram // seconds from the change to when nothing was written any more that it could concern
	Duration prometheus.Histogram // seconds from the change to when the sessions of a user went on or were closed
}

// Renewals returns the counters, registered; it is called once.
func (m *Metrics) Renewals() *Renewals {
	buckets := []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	r := &Renewals{
		Users: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rowfeed_renewal_users_total", Help: "Users whose grants were looked up anew."}),
		Sessions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rowfeed_renewal_sessions_total",
			Help: "Sessions of these by outcome: same, changed, refused (closed), unknown (closed: the database did not say)."},
			[]string{"outcome"}),
		Failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rowfeed_renewal_failures_total", Help: "Look-ups of a user that had no answer and were tried again."}),
		Silence: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "rowfeed_renewal_silence_seconds", Buckets: buckets,
			Help: "From a change of the tables behind the grants until nothing is written that was judged by the old ones."}),
		Duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "rowfeed_renewal_seconds", Buckets: buckets,
			Help: "From the change until a user's sessions go on, or are closed."}),
	}
	m.registry.MustRegister(r.Users, r.Sessions, r.Failures, r.Silence, r.Duration)
	return r
}
