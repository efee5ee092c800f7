//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// figure is one line of the table: what the rounds of one run came to.
type figure struct {
	name    string
	unit    string
	ours    []float64 // one a round
	against []float64 // of the round beside it; empty: measured against nothing
	other   string    // what against is
	most    float64   // what the ratio (or, against nothing, the value) may be at most; 0 is no bar
}

func (f *figure) ratios() []float64 {
	all := make([]float64, len(f.against))
	for i := range all {
		all[i] = f.ours[i] / f.against[i]
	}
	return all
}

// row prints the figure as a row of a Markdown table.
func (f *figure) row(w io.Writer) {
	other, ratio, judged := "—", "—", f.ours
	if len(f.against) > 0 {
		judged = f.ratios()
		other, ratio = values(f.against, f.unit)+", "+f.other, values(judged, "×")
	}
	verdict := "—"
	if f.most > 0 {
		unit := f.unit
		if len(f.against) > 0 {
			unit = "×"
		}
		verdict = fmt.Sprintf("≤ %s %s: yes", digits(f.most), unit)
		if !(median(judged) <= f.most) {
			verdict = fmt.Sprintf("≤ %s %s: **no**", digits(f.most), unit)
		}
	}
	fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", f.name, values(f.ours, f.unit), other, ratio, verdict)
}

// values prints a median and, where there are several, what it lies between.
func values(list []float64, unit string) string {
	if len(list) == 0 {
		return "—"
	}
	text := digits(median(list)) + " " + unit
	if len(list) > 1 {
		text += fmt.Sprintf(" (%s–%s)", digits(slices.Min(list)), digits(slices.Max(list)))
	}
	return text
}

// digits prints three significant ones.
func digits(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
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
