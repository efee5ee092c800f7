package rule

import (
	"errors"
	"strings"

	"nalar.internal/rowfeed/bridge/change"
)

// part is a piece of a template as it is written: a column's name or, where that is empty, literal text.
type part struct {
	literal string
	column  string
}

// parseTemplate splits a template into its parts. {column} stands for the column's value, {{ and }} for a brace.
func parseTemplate(s string) ([]part, error) {
	var parts []part
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			parts = append(parts, part{literal: literal.String()})
			literal.Reset()
		}
	}
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case (b == '{' || b == '}') && i+1 < len(s) && s[i+1] == b:
			literal.WriteByte(b)
			i++
		case b == '}':
			return nil, errors.New("a } without its {")
		case b == '{':
			end := strings.IndexAny(s[i+1:], "{}")
			if end < 0 || s[i+1+end] != '}' {
				return nil, errors.New("a { without its }")
			}
			name := strings.TrimSpace(s[i+1 : i+1+end])
			if name == "" {
				return nil, errors.New("braces without a column's name")
			}
			flush()
			parts = append(parts, part{column: name})
			i += 1 + end
		default:
			literal.WriteByte(b)
		}
	}
	flush()
	return parts, nil
}

// segment is a part whose column is resolved: its index in the rule's columns, or -1 for literal text.
type segment struct {
	literal []byte
	index   int
}

// template is a compiled template.
type template []segment

// escapeLiterals prepares a template for appendMessage and appendLink: its literals as they stand in a JSON string.
func (t template) escapeLiterals() template {
	for i := range t {
		if t[i].index < 0 {
			t[i].literal = appendEscaped(nil, t[i].literal)
		}
	}
	return t
}

// appendMessage appends the template's text over a row as it stands between the quotes of a JSON string.
func (b *bound) appendMessage(dst []byte, t template, row change.Row, room []byte) []byte {
	for i := range t {
		if t[i].index < 0 {
			dst = append(dst, t[i].literal...)
			continue
		}
		c := b.columns[t[i].index]
		dst = appendEscaped(dst, c.plain(room[:0], row[c.pos]))
	}
	return dst
}

// appendLink is appendMessage for a link: values are escaped so that each stays one piece of the address. Where the
// whole template is one column, that column holds the address itself; it is left out if its scheme is none that a page
// may safely link to.
func (b *bound) appendLink(dst []byte, t template, row change.Row, room []byte) []byte {
	if len(t) == 1 && t[0].index >= 0 {
		c := b.columns[t[0].index]
		if link := c.plain(room[:0], row[c.pos]); safeLink(link) {
			dst = appendEscaped(dst, link)
		}
		return dst
	}
	for i := range t {
		if t[i].index < 0 {
			dst = append(dst, t[i].literal...)
			continue
		}
		c := b.columns[t[i].index]
		dst = appendURL(dst, c.plain(room[:0], row[c.pos]))
	}
	return dst
}

// safeLink tells that an address is relative or has the scheme http, https or mailto: a javascript: address in a link
// would run with the rights of whoever clicks it.
func safeLink(link []byte) bool {
	for i, b := range link {
		switch b {
		case '/', '?', '#':
			return true
		case ':':
			scheme := strings.ToLower(string(link[:i]))
			return scheme == "http" || scheme == "https" || scheme == "mailto"
		}
	}
	return true
}
