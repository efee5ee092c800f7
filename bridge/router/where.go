package router

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"nalar.internal/rowfeed/bridge/change"
)

// Scalar returns the canonical text of a JSON scalar, so that equal values compare equal however they are written:
// 5, 5.0 and 5e0 are one number; "5" is not a number. ok is false for what is no scalar.
func Scalar(raw []byte) (text string, ok bool) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return "", false
	}
	switch raw[0] {
	case '"':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return "", false
		}
		return `"` + s, true
	case 't', 'f', 'n':
		switch s := string(raw); s {
		case "true", "false", "null":
			return s, true
		}
		return "", false
	case '{', '[':
		return "", false
	}
	return number(string(raw))
}

// maxNumber bounds a number's text in bytes: room for every float8, and not for exponents that are written to cost
// memory (1e9999).
const maxNumber = 400

// number writes a JSON number without exponent, leading plus or trailing zeros. It works on the text: it is called for
// each subscription with a where, and big.Rat takes a hundred times as long.
func number(s string) (string, bool) {
	if plain(s) {
		return s, true
	}
	if len(s) > maxNumber || !json.Valid([]byte(s)) {
		return "", false
	}
	s, negative := strings.CutPrefix(s, "-")
	exponent := 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		var err error
		if exponent, err = strconv.Atoi(s[i+1:]); err != nil || exponent > 2*maxNumber || exponent < -2*maxNumber {
			return "", false
		}
		s = s[:i]
	}
	whole, fraction, _ := strings.Cut(s, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	point := len(whole) + exponent - (len(whole) + len(fraction) - len(digits)) // in digits; may lie outside of them
	digits = strings.TrimRight(digits, "0")
	var text string
	switch {
	case digits == "":
		return "0", true
	case point <= 0:
		text = "0." + strings.Repeat("0", -point) + digits
	case point >= len(digits):
		text = digits + strings.Repeat("0", point-len(digits))
	default:
		text = digits[:point] + "." + digits[point:]
	}
	if negative {
		text = "-" + text
	}
	return text, len(text) <= maxNumber
}

// plain tells that s is an integer in its only form.
func plain(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || len(digits) > 1 && digits[0] == '0' || s == "-0" {
		return false
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return false
		}
	}
	return true
}

func matches(where []Condition, body change.Body, was bool) bool {
	for i := range where {
		raw, ok := body.Field(where[i].Field, was)
		if !ok {
			return false
		}
		text, ok := Scalar(raw)
		if !ok {
			return false
		}
		if _, ok := where[i].Values[text]; !ok {
			return false
		}
	}
	return true
}
