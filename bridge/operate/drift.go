package operate

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Table is how a watched table stood when this node last looked.
type Table struct {
	Table    string    `json:"table"` // schema.table; "schema …" is what rowfeed has of its own
	State    string    `json:"state"` // as `rowfeed migrate status` says it
	Problems []string  `json:"problems,omitempty"`
	Since    time.Time `json:"since,omitzero"` // when a node found it so, by the server's clock; zero: not known yet
	Captured bool      `json:"captured"`       // all is as the configuration wants it
}

// Line says what is wrong with the table; empty when nothing is.
func (t *Table) Line() string {
	if t.Captured {
		return ""
	}
	since := ""
	if !t.Since.IsZero() {
		since = " since " + t.Since.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("table %s is %s%s, so changes of it may be missed: %s: run `rowfeed migrate status`", t.Table, t.State, since,
		strings.Join(t.Problems, "; "))
}

var (
	drifted = describe("triggers_drift",
		"0 where a watched table is captured as the rules need it, 1 where it is not, by its state as migrate status has it.", "table", "state")
	driftSince = describe("triggers_drift_found_timestamp_seconds", "When that was found, of tables that are not.", "table")
	looks      = describe("triggers_looks_total", "Looks for drift, by result: ok, failed.", "result")
)

// Drift has the metrics say how the tables stand.
func (m *Metrics) Drift(tables func() []Table) { m.tables = tables }

// Looked counts a look for drift.
func (m *Metrics) Looked(ok bool) {
	if ok {
		m.looked.Add(1)
	} else {
		m.unseen.Add(1)
	}
}

// collectDrift is the part of Collect.
func (m *Metrics) collectDrift(gauge, counter func(d *prometheus.Desc, v float64, labels ...string)) {
	counter(looks, float64(m.looked.Load()), "ok")
	counter(looks, float64(m.unseen.Load()), "failed")
	for _, t := range m.tables() {
		if t.Captured {
			gauge(drifted, 0, t.Table, t.State)
			continue
		}
		gauge(drifted, 1, t.Table, t.State)
		if !t.Since.IsZero() {
			gauge(driftSince, float64(t.Since.UnixMilli())/1000, t.Table)
		}
	}
}
