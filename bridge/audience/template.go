package audience

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf8"
)

// template makes text of claims: literal text with claims in braces, `warehouse:{warehouses}`; {{ and }} are braces.
// Dots lead into nested objects, `{realm.access.roles}`; a claim whose name has dots itself goes first,
// `{https://nalar.example/tenant}`.
type template struct {
	source  string
	key     string // of the configuration
	parts   []part
	repeats atomic.Bool // told that the grants query makes the same grant
}

// part is literal text or the path of a claim.
type part struct{ literal, path string }

var (
	errNotScalar = errors.New("claim is an object, or a list where one value is expected or in a list")
	errUnclean   = errors.New("claim has control characters, or is too long")
	errTooMany   = errors.New("too many grants")
)

func parseTemplate(source string) (*template, error) {
	if source == "" {
		return nil, errors.New("empty: give a template such as user:{user_id}, or leave it out")
	}
	if clean(source) != nil {
		return nil, fmt.Errorf("control characters, or over %d bytes: remove them", maxValue)
	}
	t := &template{source: source}
	var literal strings.Builder
	for i := 0; i < len(source); i++ {
		switch c := source[i]; {
		case (c == '{' || c == '}') && strings.HasPrefix(source[i+1:], string(c)):
			literal.WriteByte(c)
			i++
		case c == '}':
			return nil, errors.New("a } without its {: write {claim} for a value, {{ and }} for a brace")
		case c == '{':
			end := strings.IndexAny(source[i+1:], "{}")
			if end < 0 || source[i+1+end] != '}' {
				return nil, errors.New("a { without its }: write {claim} for a value, {{ and }} for a brace")
			}
			path := strings.TrimSpace(source[i+1 : i+1+end])
			if path == "" {
				return nil, errors.New("braces without a claim's name: write {claim}")
			}
			t.parts = append(t.parts, part{literal: literal.String()}, part{path: path})
			literal.Reset()
			i += 1 + end
		default:
			literal.WriteByte(c)
		}
	}
	t.parts = append(t.parts, part{literal: literal.String()})
	return t, nil
}

// readsClaims says whether the text depends on the token at all.
func (t *template) readsClaims() bool {
	for _, p := range t.parts {
		if p.path != "" {
			return true
		}
	}
	return false
}

// one returns the single text of the template, or an empty one where a claim is missing. A list is an error.
func (t *template) one(claims map[string]any) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.literal)
		if p.path == "" {
			continue
		}
		v, _ := lookup(claims, p.path)
		s, err := scalar(v)
		if err != nil || s == "" {
			return "", err
		}
		b.WriteString(s)
	}
	return b.String(), clean(b.String())
}

// all returns a text for each item where a claim is a list (for each combination, where several are), and none where
// a claim is missing, null or empty.
func (t *template) all(claims map[string]any) ([]string, error) {
	texts := []string{""}
	for _, p := range t.parts {
		values := []string{p.literal}
		if p.path != "" {
			var err error
			if values, err = items(claims, p.path); err != nil {
				return nil, err
			}
		}
		if len(texts)*len(values) > maxGrants {
			return nil, errTooMany
		}
		next := make([]string, 0, len(texts)*len(values))
		for _, text := range texts {
			for _, value := range values {
				if len(text)+len(value) > maxValue {
					return nil, errUnclean
				}
				next = append(next, text+value)
			}
		}
		texts = next
	}
	return texts, nil
}

// items returns the claim as a list of texts.
func items(claims map[string]any, path string) ([]string, error) {
	v, _ := lookup(claims, path)
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	texts := make([]string, 0, len(list))
	for _, item := range list {
		s, err := scalar(item)
		if err != nil {
			return nil, err
		}
		if s != "" {
			texts = append(texts, s)
		}
	}
	return texts, nil
}

// lookup finds the claim at path. The recursion ends with the path, which is the configuration's.
func lookup(object map[string]any, path string) (any, bool) {
	if v, ok := object[path]; ok {
		return v, true
	}
	for i := range len(path) {
		if path[i] != '.' {
			continue
		}
		inner, ok := object[path[:i]].(map[string]any)
		if !ok {
			continue
		}
		if v, ok := lookup(inner, path[i+1:]); ok {
			return v, true
		}
	}
	return nil, false
}

// scalar returns the text of a claim; numbers keep their digits; null is the empty text.
func scalar(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, clean(v)
	case json.Number:
		return string(v), clean(string(v))
	case bool:
		return strconv.FormatBool(v), nil
	}
	return "", errNotScalar
}

// clean refuses what could be mistaken for another scope (change.Scope separates with control characters), what stands
// for many texts (U+FFFD replaces each lone surrogate that a JSON string writes), or is too long to be kept for each
// session.
func clean(s string) error {
	if len(s) > maxValue || strings.ContainsRune(s, utf8.RuneError) || strings.ContainsFunc(s, unicode.IsControl) {
		return errUnclean
	}
	return nil
}

// displayName makes a name fit to show: one line, bounded.
func displayName(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	return strings.TrimSpace(shorten(s, maxName))
}

// shorten cuts s to n bytes, between characters.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n])
}
