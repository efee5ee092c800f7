package rule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"nalar.internal/rowfeed/bridge/change"
)

// column is where a rule's column is in the rows of one relation, and how its values are written.
type column struct {
	pos    int
	kind   kind
	quoted bool // under the rule's strings
}

// kind is change.Kind as a small number; real is a Float whose SQL type has 32 bits.
type kind uint8

const (
	text kind = iota
	integer
	numeric
	float
	real
	boolean
	document
	timestamptz
	binary
)

// kindOf returns the kind of a captured column. A kind that this version doesn't know can't be told truthfully.
func kindOf(c *change.Column) (kind, error) {
	switch c.Kind {
	case change.Text:
		return text, nil
	case change.Integer:
		return integer, nil
	case change.Numeric:
		return numeric, nil
	case change.Float:
		if c.Type == "real" {
			return real, nil
		}
		return float, nil
	case change.Bool:
		return boolean, nil
	case change.JSON:
		return document, nil
	case change.Timestamptz:
		return timestamptz, nil
	case change.Bytes:
		return binary, nil
	}
	return 0, fmt.Errorf("column %s is captured as %q, which this version does not know", c.Name, c.Kind)
}

// appendJSON appends a captured value as JSON. Numbers keep every digit; what JSON has no number for (NaN, Infinity) is
// a string, as is every value under the rule's strings.
func (c column) appendJSON(dst, v []byte) []byte {
	if v == nil {
		return append(dst, "null"...)
	}
	switch c.kind {
	case integer, numeric:
		if !c.quoted && isNumber(v) {
			return append(dst, v...)
		}
	case boolean:
		if !c.quoted && (string(v) == "true" || string(v) == "false") {
			return append(dst, v...)
		}
	case float, real:
		if f, ok := parseFloat(v); ok && !c.quoted && !math.IsNaN(f) && !math.IsInf(f, 0) {
			return c.appendFloat(dst, f)
		}
		var room [32]byte
		return appendString(dst, c.plain(room[:0], v))
	case document:
		if !c.quoted {
			return appendDocument(dst, v)
		}
		if v = bytes.TrimSpace(v); len(v) > 0 && v[0] == '"' {
			return appendDocument(dst, v)
		}
	case timestamptz:
		if inner, ok := instant(v); ok {
			dst = append(dst, '"')
			dst = appendInstant(dst, inner)
			return append(dst, '"')
		}
	case binary:
		dst = append(dst, `"\\x`...)
		dst = appendEscaped(dst, v)
		return append(dst, '"')
	}
	return appendString(dst, v)
}

// plain returns the value as plain text, as templates, keys and audiences have it; NULL is empty. It may return v
// itself, else it appends to room.
func (c column) plain(room, v []byte) []byte {
	switch c.kind {
	case float, real:
		f, ok := parseFloat(v)
		switch {
		case !ok:
			return v
		case math.IsNaN(f):
			return append(room, "NaN"...)
		case math.IsInf(f, 1):
			return append(room, "Infinity"...)
		case math.IsInf(f, -1):
			return append(room, "-Infinity"...)
		}
		return c.appendFloat(room, f)
	case document:
		return unquote(v)
	case timestamptz:
		if inner, ok := instant(v); ok {
			return appendInstant(room, inner)
		}
	case binary:
		if v != nil {
			return append(append(room, `\x`...), v...)
		}
	}
	return v
}

// appendDocument appends a JSON text as PostgreSQL holds it, on one line: in JSON a raw line break can only be white
// space between tokens, and would end a line of Server-Sent Events. A database in SQL_ASCII may hold bytes that are no
// UTF-8, which no text frame may carry.
func appendDocument(dst, v []byte) []byte {
	if !utf8.Valid(v) {
		v = bytes.ToValidUTF8(v, []byte("\uFFFD"))
	}
	start := len(dst)
	dst = append(dst, v...)
	for i, b := range dst[start:] {
		if b == '\n' || b == '\r' {
			dst[start+i] = ' '
		}
	}
	return dst
}

// unquote returns the text of a JSON string, and every other JSON text as it is, less the white space around it.
func unquote(v []byte) []byte {
	v = bytes.TrimSpace(v)
	if len(v) < 2 || v[0] != '"' {
		return v
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1]
	}
	var s string
	if json.Unmarshal(v, &s) != nil {
		return v
	}
	return []byte(s)
}

// instant returns what stands between the quotes of a captured timestamptz; false if v is none.
func instant(v []byte) ([]byte, bool) {
	if len(v) < 3 || v[0] != '"' || v[len(v)-1] != '"' {
		return nil, false
	}
	inner := v[1 : len(v)-1]
	for _, b := range inner {
		if !plainByte[b] {
			return nil, false
		}
	}
	return inner, true
}

// appendInstant appends a captured timestamptz with its Z. Infinity has no zone; BC stands last, as in to_json.
func appendInstant(dst, inner []byte) []byte {
	if bytes.HasSuffix(inner, []byte("infinity")) {
		return append(dst, inner...)
	}
	if at, bc := bytes.CutSuffix(inner, []byte(" BC")); bc {
		return append(append(dst, at...), "Z BC"...)
	}
	return append(append(dst, inner...), 'Z')
}

// parseFloat reads the hex of float8send.
func parseFloat(v []byte) (float64, bool) {
	if len(v) != 16 {
		return 0, false
	}
	var bits uint64
	for _, b := range v {
		switch {
		case b >= '0' && b <= '9':
			b -= '0'
		case b >= 'a' && b <= 'f':
			b -= 'a' - 10
		default:
			return 0, false
		}
		bits = bits<<4 | uint64(b)
	}
	return math.Float64frombits(bits), true
}

// appendFloat appends the shortest decimal that reads back as f, in the notation of ECMAScript's Number::toString.
func (c column) appendFloat(dst []byte, f float64) []byte {
	size := 64
	if c.kind == real && math.Abs(f) <= math.MaxFloat32 { // else it was written when the column was wider
		size = 32
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, format, -1, size)
	if n := len(dst); format == 'e' && n-start >= 4 && dst[n-2] == '0' && dst[n-4] == 'e' {
		dst[n-2] = dst[n-1] // e-09 to e-9
		dst = dst[:n-1]
	}
	return dst
}

// appendTime appends t as RFC 3339 in UTC with milliseconds; the general time.AppendFormat takes four times as long.
func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = appendPadded(dst, year, 4)
	dst = append(dst, '-')
	dst = appendPadded(dst, int(month), 2)
	dst = append(dst, '-')
	dst = appendPadded(dst, day, 2)
	dst = append(dst, 'T')
	dst = appendPadded(dst, hour, 2)
	dst = append(dst, ':')
	dst = appendPadded(dst, minute, 2)
	dst = append(dst, ':')
	dst = appendPadded(dst, second, 2)
	dst = append(dst, '.')
	dst = appendPadded(dst, t.Nanosecond()/int(time.Millisecond), 3)
	return append(dst, 'Z')
}

// appendPadded appends n, which is not negative, in at least width digits.
func appendPadded(dst []byte, n, width int) []byte {
	var room [8]byte
	i := len(room)
	for ; n > 0 || width > 0; n, width = n/10, width-1 {
		i--
		room[i] = byte('0' + n%10)
	}
	return append(dst, room[i:]...)
}
