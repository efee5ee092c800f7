//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"nalar.internal/rowfeed/test/measure"
)

// figure is one line of the table: what was seen, and what it may be at most.
type figure struct {
	name   string
	values []float64 // one a round
	unit   string
	bar    float64 // the most that the median may be; NaN is no bar
}

// none is the bar of a figure that is told for its own sake.
var none = math.NaN()

func (f *figure) holds() bool { return math.IsNaN(f.bar) || measure.Median(f.values) <= f.bar }

// row prints the figure as a row of a Markdown table.
func (f *figure) row(w io.Writer) {
	verdict := "—"
	if !math.IsNaN(f.bar) {
		verdict = strings.TrimSpace(fmt.Sprintf("≤ %s %s", measure.Digits(f.bar), f.unit)) + ": yes"
		if !f.holds() {
			verdict = strings.TrimSuffix(verdict, "yes") + "**no**"
		}
	}
	text := strings.TrimSpace(measure.Digits(measure.Median(f.values)) + " " + f.unit)
	if len(f.values) > 1 {
		text += fmt.Sprintf(" (%s–%s)", measure.Digits(slices.Min(f.values)), measure.Digits(slices.Max(f.values)))
	}
	fmt.Fprintf(w, "| %s | %s | %s |\n", f.name, text, verdict)
}

// count is a figure without a unit.
func count[T int | int64 | uint64](name string, n T, bar float64) figure {
	return figure{name: name, values: []float64{float64(n)}, bar: bar}
}
