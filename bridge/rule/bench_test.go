package rule_test

import (
	"slices"
	"testing"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/bridge/rule"
	"nalar.internal/rowfeed/config"
)

// renderer is an Output that renders each event once into the same memory.
type renderer struct{ buf []byte }

func (r *renderer) Event(e *change.Event)  { r.buf = e.Body.Append(r.buf[:0], change.Whole, "") }
func (r *renderer) Notice(n change.Notice) { panic(n) }
func (r *renderer) Fault(f rule.Fault)     { panic(f.Err) }

// BenchmarkApply applies a typical update of one row and renders its frame.
func BenchmarkApply(b *testing.B) {
	amount := slices.Clone(pending)
	amount[3] = []byte("1.00")
	unwatched := changed(expenses, pending, amount)
	for _, bench := range []struct {
		name   string
		rule   config.Rule
		change *change.Change
	}{
		{"approval", expense, changed(expenses, pending, approved)},
		{"stock", stock, changed(levels, row("5", "7", "2", "12", "10"), row("5", "7", "2", "9", "10"))},
		{"condition", low, changed(levels, row("5", "7", "2", "12", "10"), row("5", "7", "2", "9", "10"))},
		{"condition false", low, changed(levels, row("5", "7", "2", "15", "10"), row("5", "7", "2", "12", "10"))},
		{"every kind", every, changed(values, nil, everyRow)},
		{"unwatched", expense, unwatched},
	} {
		b.Run(bench.name, func(b *testing.B) {
			ch := compile(b, bench.rule)
			out := &renderer{}
			b.ReportAllocs()
			for b.Loop() {
				ch.Apply(change.Place{Epoch: "7f3a"}, bench.change, out)
			}
		})
	}
}
