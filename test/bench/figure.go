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
	least   float64   // the same where more is better
}

func (f *figure) ratios() []float64 {
	all := make([]float64, len(f.against))
	for i := range all {
		all[i] = f.ours[i] / f.against[i]
	}
	return all
}

// judged are the numbers that the bar is for, and their unit.
func (f *figure) judged() (list []float64, unit string) {
	if len(f.against) > 0 {
		return f.ratios(), "×"
	}
	return f.ours, f.unit
}

// held tells whether the bar, where there is one, is held.
func (f *figure) held() bool {
	list, _ := f.judged()
	switch {
	case f.most > 0:
		return measure.Median(list) <= f.most
	case f.least > 0:
		return measure.Median(list) >= f.least
	}
	return true
}

// row prints the figure as a row of a Markdown table.
func (f *figure) row(w io.Writer) {
	list, unit := f.judged()
	other, ratio, bar, verdict := "—", "—", "—", ""
	if len(f.against) > 0 {
		other, ratio = values(f.against, f.unit)+", "+f.other, values(list, unit)
	}
	if f.most > 0 {
		bar = fmt.Sprintf("≤ %s %s", measure.Digits(f.most), unit)
	}
	if f.least > 0 {
		bar = fmt.Sprintf("≥ %s %s", measure.Digits(f.least), unit)
	}
	if f.most > 0 || f.least > 0 {
		verdict = ": yes"
		if !f.held() {
			verdict = ": **no**"
		}
	}
	fmt.Fprintf(w, "| %s | %s | %s | %s | %s%s |\n", f.name, values(f.ours, f.unit), other, ratio, bar, verdict)
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
