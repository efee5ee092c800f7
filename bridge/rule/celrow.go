package rule

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strconv"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"nalar.internal/rowfeed/bridge/change"
)

// activation binds a condition's variables without a map.
type activation struct{ row, old celRow }

// ResolveName implements cel.Activation.
func (a *activation) ResolveName(name string) (any, bool) {
	switch name {
	case "row":
		return a.row.value(), true
	case "old":
		return a.old.value(), true
	}
	return nil, false
}

// Parent implements cel.Activation.
func (a *activation) Parent() cel.Activation { return nil }

// celRow is a captured row as a CEL map from column to value; a column is converted when it is read.
type celRow struct {
	bound *bound
	row   change.Row
}

var _ traits.Mapper = (*celRow)(nil)

// value returns the row, or null where the operation has none.
func (r *celRow) value() ref.Val {
	if r.row == nil {
		return types.NullValue
	}
	return r
}

// Find implements traits.Mapper.
func (r *celRow) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(key), false
	}
	for i, column := range r.bound.rule.columns {
		if column == string(name) {
			c := r.bound.columns[i]
			return c.celValue(r.row[c.pos]), true
		}
	}
	return nil, false
}

// Get implements traits.Indexer.
func (r *celRow) Get(key ref.Val) ref.Val {
	v, found := r.Find(key)
	if found || types.IsError(v) {
		return v
	}
	return types.NewErr("no such key: %v", key)
}

// Contains implements traits.Container.
func (r *celRow) Contains(key ref.Val) ref.Val {
	v, found := r.Find(key)
	if types.IsError(v) && !found {
		return v
	}
	return types.Bool(found)
}

// Size implements traits.Sizer.
func (r *celRow) Size() ref.Val { return types.Int(len(r.bound.columns)) }

// Iterator, ConvertToNative, ConvertToType, Equal, Type and Value complete traits.Mapper by way of a real map: few
// conditions use a row as a whole.
func (r *celRow) Iterator() traits.Iterator { return r.whole().Iterator() }

// ConvertToNative implements ref.Val.
func (r *celRow) ConvertToNative(t reflect.Type) (any, error) { return r.whole().ConvertToNative(t) }

// ConvertToType implements ref.Val.
func (r *celRow) ConvertToType(t ref.Type) ref.Val { return r.whole().ConvertToType(t) }

// Equal implements ref.Val.
func (r *celRow) Equal(other ref.Val) ref.Val { return r.whole().Equal(other) }

// Type implements ref.Val.
func (r *celRow) Type() ref.Type { return types.MapType }

// Value implements ref.Val.
func (r *celRow) Value() any { return r.whole().Value() }

func (r *celRow) whole() traits.Mapper {
	m := make(map[ref.Val]ref.Val, len(r.bound.columns))
	for i, name := range r.bound.rule.columns {
		c := r.bound.columns[i]
		m[types.String(name)] = c.celValue(r.row[c.pos])
	}
	return types.NewRefValMap(types.DefaultTypeAdapter, m)
}

var (
	errRange    = errors.New("number out of range")
	errInfinity = errors.New("infinity is no time")
	errNaN      = errors.New("NaN has no order")
	errValue    = errors.New("invalid value")
)

// celValue converts a captured value: integers to int, numeric and floats to double, timestamptz to timestamp, bytea
// to bytes, JSON (and with it dates and arrays) to what it holds, everything else to string. A numeric of more than 15
// digits is compared by the double next to it. NaN is an error to read: CEL would take every comparison with it as
// false, PostgreSQL takes it as the greatest number.
func (c column) celValue(v []byte) ref.Val {
	if v == nil {
		return types.NullValue
	}
	switch c.kind {
	case integer:
		n, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil {
			return types.WrapErr(errRange)
		}
		return types.Int(n)
	case numeric:
		f, err := strconv.ParseFloat(string(v), 64)
		if err != nil {
			return types.WrapErr(errRange)
		}
		return celDouble(f)
	case float, real:
		f, ok := parseFloat(v)
		if !ok {
			return types.WrapErr(errValue)
		}
		return celDouble(c.shortened(f))
	case boolean:
		return types.Bool(string(v) == "true")
	case timestamptz:
		return celTime(v)
	case binary:
		b, err := hex.DecodeString(string(v))
		if err != nil {
			return types.WrapErr(errValue)
		}
		return types.Bytes(b)
	case document:
		return celDocument(v)
	}
	return types.String(v)
}

func celDouble(f float64) ref.Val {
	if math.IsNaN(f) {
		return types.WrapErr(errNaN)
	}
	return types.Double(f)
}

// shortened returns a real's value as its decimal says it: 0.1, not 0.10000000149011612, so that it equals a literal.
func (c column) shortened(f float64) float64 {
	if c.kind != real || !(math.Abs(f) <= math.MaxFloat32) { // NaN, infinities, and what a wider column held
		return f
	}
	var room [32]byte
	short, err := strconv.ParseFloat(string(strconv.AppendFloat(room[:0], f, 'e', -1, 32)), 64)
	if err != nil {
		return f
	}
	return short
}

func celTime(v []byte) ref.Val {
	inner, ok := instant(v)
	if !ok {
		return types.WrapErr(errValue)
	}
	if bytes.HasSuffix(inner, []byte("infinity")) {
		return types.WrapErr(errInfinity)
	}
	t, err := time.Parse("2006-01-02T15:04:05.999999", string(inner))
	if err != nil {
		return types.WrapErr(errRange) // before the year 1 or after 9999
	}
	return types.Timestamp{Time: t}
}

func celDocument(v []byte) ref.Val {
	dec := json.NewDecoder(bytes.NewReader(v))
	dec.UseNumber()
	var decoded any
	if dec.Decode(&decoded) != nil {
		return types.WrapErr(errValue)
	}
	decoded, err := celNumbers(decoded)
	if err != nil {
		return types.WrapErr(err)
	}
	return types.DefaultTypeAdapter.NativeToValue(decoded)
}

// celNumbers makes the numbers of a decoded JSON text int where they are written as integers that fit, else double.
func celNumbers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, errRange
		}
		return f, nil
	case []any:
		for i := range v {
			if v[i], err = celNumbers(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = celNumbers(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}
