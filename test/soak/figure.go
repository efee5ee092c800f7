//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
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

func (f *figure) holds() bool { return math.IsNaN(f.bar) || median(f.values) <= f.bar }

// row prints the figure as a row of a Markdown table.
func (f *figure) row(w io.Writer) {
	verdict := "—"
	if !math.IsNaN(f.bar) {
		verdict = strings.TrimSpace(fmt.Sprintf("≤ %s %s", digits(f.bar), f.unit)) + ": yes"
		if !f.holds() {
			verdict = strings.TrimSuffix(verdict, "yes") + "**no**"
		}
	}
	text := strings.TrimSpace(digits(median(f.values)) + " " + f.unit)
	if len(f.values) > 1 {
		text += fmt.Sprintf(" (%s–%s)", digits(slices.Min(f.values)), digits(slices.Max(f.values)))
	}
	fmt.Fprintf(w, "| %s | %s | %s |\n", f.name, text, verdict)
}

// count is a figure without a unit.
func count[T int | int64 | uint64](name string, n T, bar float64) figure {
	return figure{name: name, values: []float64{float64(n)}, bar: bar}
}

// digits prints whole numbers as they are, and three significant digits of others.
func digits(v float64) string {
	if v == math.Trunc(v) || math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Sprintf("%.0f", v)
	}
	places := max(0, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	text := fmt.Sprintf("%.*f", places, v)
	if places > 0 {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

func median(list []float64) float64 { return quantile(list, 0.5) }

// quantile returns the value below which that share of the list lies.
func quantile(list []float64, share float64) float64 {
	if len(list) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(list))
	at := share * float64(len(sorted)-1)
	below := int(at)
	if below+1 == len(sorted) {
		return sorted[below]
	}
	return sorted[below] + (at-float64(below))*(sorted[below+1]-sorted[below])
}
