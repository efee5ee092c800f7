package measure

import (
	"testing"
)

func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		list  []float64
		share float64
		want  float64
	}{
		{[]float64{3, 1, 2}, 0.5, 2}, {[]float64{4, 1, 2, 3}, 0.5, 2.5},
		{[]float64{7}, 0.99, 7}, {[]float64{0, 10}, 0.9, 9},
	} {
		if got := Quantile(c.list, c.share); got != c.want {
			t.Errorf("quantile(%v, %v) = %v, want %v", c.list, c.share, got, c.want)
		}
	}
}

func TestDigits(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 3: "3", 12345: "12345", 1.2345: "1.23", 0.1: "0.1", 123.4: "123", 0.01234: "0.0123"} {
		if got := Digits(v); got != want {
			t.Errorf("Digits(%v) = %q, want %q", v, got, want)
		}
	}
}
