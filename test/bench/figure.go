//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"

	"nalar.internal/rowfeed/test/measure"
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
		verdict = fmt.Sprintf("≤ %s %s: yes", measure.Digits(f.most), unit)
		if !(measure.Median(judged) <= f.most) {
			verdict = fmt.Sprintf("≤ %s %s: **no**", measure.Digits(f.most), unit)
		}
	}
	fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", f.name, values(f.ours, f.unit), other, ratio, verdict)
}

// values prints a median and, where there are several, what it lies between.
func values(list []float64, unit string) string {
	if len(list) == 0 {
		return "—"
	}
	text := measure.Digits(measure.Median(list)) + " " + unit
	if len(list) > 1 {
		text += fmt.Sprintf(" (%s–%s)", measure.Digits(slices.Min(list)), measure.Digits(slices.Max(list)))
	}
	return text
}
