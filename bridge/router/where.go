package router

import (
	"bytes"
	"encoding/json"
	"math/big"
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

// number writes a JSON number without exponent, leading plus or trailing zeros.
func number(s string) (string, bool) {
	if plain(s) {
		return s, true
	}
	if len(s) > 400 || !json.Valid([]byte(s)) {
		return "", false
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 && len(s)-i > 5 {
		return "", false // an exponent of five digits costs megabytes to expand
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return "", false
	}
	if r.IsInt() {
		return r.Num().String(), true
	}
	return strings.TrimRight(r.FloatString(len(s)+1000), "0"), true
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
