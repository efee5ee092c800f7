// Package measure is what the programs that print figures share.
package measure

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Digits prints whole numbers as they are, and three significant digits of others.
func Digits(v float64) string {
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

// Median returns the value in the middle of a list; NaN where it is empty.
func Median(list []float64) float64 { return Quantile(list, 0.5) }

// Quantile returns the value below which that share of a list lies, between two neighbours in proportion; NaN where it is
// empty.
func Quantile(list []float64, share float64) float64 {
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
