package change

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

var errKey = errors.New("read key: want a number, a string, or an array of these for a composite key")

// KeyText returns the canonical text of a row's key, by which keys are compared and which stands in the path of a plain
// endpoint. One part is its own text: 17 and "17" are the same key. The parts of a composite key are joined by commas;
// a comma or a backslash in a part is preceded by a backslash.
func KeyText(parts ...[]byte) string {
	if len(parts) == 1 {
		return string(parts[0])
	}
	size := len(parts)
	for _, part := range parts {
		size += len(part)
	}
	dst := make([]byte, 0, size)
	for i, part := range parts {
		if i > 0 {
			dst = append(dst, ',')
		}
		for _, b := range part {
			if b == ',' || b == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, b)
		}
	}
	return string(dst)
}

// KeyParts splits the canonical text of a composite key.
func KeyParts(text string) []string {
	parts := []string{""}
	for i := 0; i < len(text); i++ {
		last := &parts[len(parts)-1]
		switch {
		case text[i] == '\\' && i+1 < len(text):
			i++
			*last += text[i : i+1]
		case text[i] == ',':
			parts = append(parts, "")
		default:
			*last += text[i : i+1]
		}
	}
	return parts
}

// KeyFromJSON returns the canonical text of a key as clients send it: a number or a string, or an array of these (and
// of booleans) for a composite key. Numbers keep the digits that they are written with.
func KeyFromJSON(raw []byte) (string, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return "", errKey
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return "", errKey
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	if len(list) == 0 {
		return "", errKey
	}
	parts := make([][]byte, len(list))
	for i, item := range list {
		part, ok := keyPart(item)
		if !ok {
			return "", errKey
		}
		parts[i] = part
	}
	return KeyText(parts...), nil
}

// keyPart returns the text of one decoded part.
func keyPart(v any) ([]byte, bool) {
	switch v := v.(type) {
	case json.Number:
		return []byte(v), true
	case string:
		return []byte(v), true
	case bool:
		if v {
			return []byte("true"), true
		}
		return []byte("false"), true
	}
	return nil, false
}
