package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	Key  string // as in the file: channels.stock.rules[1].if
	Line int    // in the file, 1-based; 0 where it is not known (environment, defaults)
	What string // what is wrong
	Do   string // what to do about it
	From string // the environment variable that set the key; empty: the file, or nobody
}

// Problems is the error of a configuration that can't be used: everything that is wrong with it, at once.
type Problems []Problem

// Error lists the problems, one a line.
func (p Problems) Error() string {
	var b strings.Builder
	for i, q := range p {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(q.String())
	}
	return b.String()
}

// String says the problem in one line.
func (p Problem) String() string {
	at := p.Key
	switch {
	case p.From != "" && p.From != p.Key:
		at = fmt.Sprintf("%s (%s)", p.Key, p.From)
	case p.Line > 0:
		at = fmt.Sprintf("%s (line %d)", p.Key, p.Line)
	}
	if p.Do == "" {
		return at + ": " + p.What
	}
	return at + ": " + p.What + ": " + p.Do
}

// Under returns the problems with keys in the named sections, such as "database" or "auth.jwt"; without a name, all.
func (p Problems) Under(sections ...string) Problems {
	if len(sections) == 0 {
		return p
	}
	return slices.DeleteFunc(slices.Clone(p), func(q Problem) bool {
		return !slices.ContainsFunc(sections, func(s string) bool { return within(q.Key, s) })
	})
}

// sort orders problems as the file has them; those without a line come last, by key.
func (p Problems) sort() {
	slices.SortStableFunc(p, func(a, b Problem) int {
		if (a.Line == 0) != (b.Line == 0) {
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key, b.Key))
	})
}

// within reports whether key is path or lies below it.
func within(key, path string) bool {
	rest, ok := strings.CutPrefix(key, path)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// parent returns the key that holds key, and "" for one at the top.
func parent(key string) string {
	return key[:max(strings.LastIndexAny(key, ".["), 0)]
}
