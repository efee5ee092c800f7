package config

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/viper"
)

// place is where in the configuration a variable belongs.
type place struct {
	path  string       // the key
	t     reflect.Type // of its value
	fixed string       // the part of path that viper knows
	steps []any        // from there on: keys (string) and positions (int)
}

// entry reports whether the place is a whole entry of a map, such as a channel.
func (p place) entry() bool {
	if len(p.steps) == 0 || p.t.Kind() != reflect.Struct {
		return false
	}
	_, name := p.steps[len(p.steps)-1].(string)
	return name
}

// lookup finds what a list or map holds so far.
type lookup struct{ v *viper.Viper }

func (l lookup) value(key string) any {
	whole, _ := l.v.Get(key).(verbatim)
	return whole.value
}

// resolve finds the key that the rest of a variable's name means in the struct t at path.
func resolve(t reflect.Type, path string, in lookup, rest string) (place, bool) {
	for _, key := range longest(maps.Keys(fields(t))) {
		after, ok := cut(rest, upper(key))
		if !ok {
			continue
		}
		element, at := fields(t)[key], join(path, key)
		if element.Kind() == reflect.Struct && after != "" {
			if found, ok := resolve(element, at, in, after); ok {
				return found, true
			}
			continue
		}
		if steps, inner, ok := descend(element, in.value(at), after); ok {
			full := at
			for _, step := range steps {
				full = extend(full, step)
			}
			return place{path: full, t: inner, fixed: at, steps: steps}, true
		}
	}
	return place{}, false
}

// descend finds what rest means below a value of type t that holds current so far.
func descend(t reflect.Type, current any, rest string) ([]any, reflect.Type, bool) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if rest == "" {
		return nil, t, true
	}
	try := func(step any, element reflect.Type, current any, after string) ([]any, reflect.Type, bool) {
		steps, inner, ok := descend(element, current, after)
		return append([]any{step}, steps...), inner, ok
	}
	entries, _ := current.(map[string]any)
	switch {
	case t.Kind() == reflect.Struct:
		for _, key := range longest(maps.Keys(fields(t))) {
			if after, ok := cut(rest, upper(key)); ok {
				if steps, inner, ok := try(key, fields(t)[key], entries[key], after); ok {
					return steps, inner, true
				}
			}
		}
	case t.Kind() == reflect.Map:
		for _, key := range longest(maps.Keys(entries)) {
			if after, ok := cut(rest, upper(key)); ok {
				if steps, inner, ok := try(key, t.Elem(), entries[key], after); ok {
					return steps, inner, true
				}
			}
		}
		for i, c := range rest { // a new entry: the shortest name after which a key of it follows
			if c == '_' && i > 0 && i+1 < len(rest) && !scalar(t.Elem()) {
				if steps, inner, ok := try(strings.ToLower(rest[:i]), t.Elem(), nil, rest[i+1:]); ok {
					return steps, inner, true
				}
			}
		}
		return []any{strings.ToLower(rest)}, t.Elem(), true
	case t.Kind() == reflect.Slice && !scalar(t.Elem()):
		number, after, more := strings.Cut(rest, "_")
		items, _ := current.([]any)
		if i, err := strconv.Atoi(number); err == nil && i >= 0 && more == (after != "") {
			var item any
			if i < len(items) {
				item = items[i]
			}
			return try(i, t.Elem(), item, after)
		}
	}
	return nil, nil, false
}

// set puts the value into its place and says what is wrong with that, if anything.
func (p place) set(v *viper.Viper, value any) string {
	switch {
	case len(p.steps) > 0:
		whole, ok := put(lookup{v}.value(p.fixed), p.steps, value)
		if !ok {
			return fmt.Sprintf("there is no item %d before it", p.steps[slices.IndexFunc(p.steps, isInt)].(int)-1)
		}
		v.Set(p.fixed, verbatim{whole})
	case p.t.Kind() == reflect.Struct: // a section: what it names
		section, _ := value.(map[string]any)
		for key, inner := range section {
			at := place{path: join(p.path, key), t: fields(p.t)[key], fixed: join(p.path, key)}
			at.set(v, inner)
		}
	case scalar(p.t):
		v.Set(p.fixed, value)
	default:
		v.Set(p.fixed, verbatim{value})
	}
	return ""
}

func isInt(step any) bool { _, ok := step.(int); return ok }

// put returns tree with value at the end of steps; false where a position is past a list's end.
func put(tree any, steps []any, value any) (any, bool) {
	if len(steps) == 0 {
		return value, true
	}
	if i, ok := steps[0].(int); ok {
		items, _ := tree.([]any)
		if i > len(items) {
			return tree, false
		}
		if i == len(items) {
			items = append(items, nil)
		}
		items[i], ok = put(items[i], steps[1:], value)
		return items, ok
	}
	entries, _ := tree.(map[string]any)
	if entries == nil {
		entries = map[string]any{}
	}
	inner, ok := put(entries[steps[0].(string)], steps[1:], value)
	entries[steps[0].(string)] = inner
	return entries, ok
}

// extend appends a step to a path.
func extend(path string, step any) string {
	if i, ok := step.(int); ok {
		return fmt.Sprintf("%s[%d]", path, i)
	}
	return join(path, step.(string))
}

// cut removes the name and the underscore after it from the front of rest.
func cut(rest, name string) (string, bool) {
	if rest == name {
		return "", true
	}
	after, ok := strings.CutPrefix(rest, name+"_")
	return after, ok && after != "" && name != ""
}

// longest sorts names so that the longer of two with the same beginning comes first.
func longest(names iter.Seq[string]) []string {
	return slices.SortedFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
}
