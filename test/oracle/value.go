package oracle

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
)

// Value is one column's value in all the forms that it takes on its way.
type Value struct {
	SQL    string   // as SQL writes it; empty where PostgreSQL can't hold it
	Raw    string   // as the outbox holds it, see change.Kind
	Null   bool     // SQL NULL
	JSON   string   // as `data` has it
	Quoted string   // likewise, of a column under `strings`
	Plain  string   // in a message, a link and a key
	Items  []string // what it gives to an audience; none: nobody
	Broken bool     // it can give nothing to an audience
	List   bool     // it is a list, of which a tenant can't be made
	Number float64  // of a number, for conditions
	NaN    bool
}

// Null is SQL NULL.
func Null() Value { return Value{SQL: "null", Null: true, JSON: "null", Quoted: "null"} }

// Text is a value of type text.
func Text(s string) Value {
	quoted, _ := json.Marshal(s)
	v := Value{Raw: s, JSON: string(quoted), Quoted: string(quoted), Plain: s}
	if s != "" {
		v.Items = []string{s}
	}
	if !strings.Contains(s, "\x00") {
		v.SQL = "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return v
}

// Number is an integer or a numeric, as it is written. NaN is a string in JSON.
func Number(s string) Value {
	v := Value{SQL: "'" + s + "'", Raw: s, JSON: s, Quoted: strconv.Quote(s), Plain: s, Items: []string{s}}
	f, _ := strconv.ParseFloat(s, 64)
	if v.Number = f; f != f {
		v.NaN, v.JSON = true, v.Quoted
	}
	return v
}

// Float is a double precision; raw is what float8send gives, in hex.
func Float(raw, s string) Value {
	v := Number(s)
	v.Raw = raw
	return v
}

// Bool is a boolean.
func Bool(b bool) Value {
	s := strconv.FormatBool(b)
	return Value{SQL: s, Raw: s, JSON: s, Quoted: strconv.Quote(s), Plain: s, Items: []string{s}}
}

// Document is a JSON text; what it gives to an audience is said beside it.
func Document(raw, plain string, items ...string) Value {
	v := Value{SQL: "'" + strings.ReplaceAll(raw, "'", "''") + "'", Raw: raw, JSON: raw, Quoted: raw, Plain: plain, Items: items}
	if raw[0] != '"' {
		v.Quoted = strconv.Quote(raw)
	}
	v.List = raw[0] == '['
	return v
}

// Broken is a JSON text that can't give anything to an audience.
func Broken(raw string) Value {
	v := Document(raw, raw)
	v.Broken = true
	return v
}

// Equal tells whether two JSON scalars are the same to a `where`: numbers by what they are worth, never a number and a
// string. What is no scalar equals nothing.
func Equal(a, b string) bool {
	x, y := scalar(a), scalar(b)
	if m, ok := x.(*big.Rat); ok {
		n, ok := y.(*big.Rat)
		return ok && m.Cmp(n) == 0
	}
	return x != nil && x == y
}

type nothing struct{}

func scalar(text string) any {
	if !json.Valid([]byte(text)) {
		return nil
	}
	switch text[0] {
	case 'n':
		return nothing{}
	case 't', 'f':
		return text == "true"
	case '{', '[':
		return nil
	case '"':
		var s string
		_ = json.Unmarshal([]byte(text), &s)
		return s
	}
	r, _ := new(big.Rat).SetString(text)
	return r
}
