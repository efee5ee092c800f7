package config

import (
	"cmp"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/viper"
)

// prefix begins the variables that set keys.
const prefix = "ROWFEED_"

// own are variables with the prefix that are no keys.
var own = []string{"ROWFEED_CONFIG", "ROWFEED_TOKEN"}

// service matches what Kubernetes and Docker set for a service that is named rowfeed.
var service = regexp.MustCompile(`_SERVICE_(HOST|PORT(_.*)?)$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_.*)?$`)

// environ is the environment, the last of equal names counting.
type environ struct {
	values map[string]string
}

func newEnviron(entries []string) *environ {
	e := &environ{values: make(map[string]string, len(entries))}
	for _, entry := range entries {
		if name, value, ok := strings.Cut(entry, "="); ok {
			e.values[name] = value
		}
	}
	return e
}

// overlay sets in v what the environment has, and says which of its variables can't be meant.
func (e *environ) overlay(v *viper.Viper, o *origin) Problems {
	var problems Problems
	names := slices.SortedFunc(maps.Keys(e.values), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) // what holds others first, items in order
	})
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok || slices.Contains(own, name) {
			continue
		}
		place, ok := resolve(reflect.TypeFor[Config](), "", lookup{v}, rest)
		if !ok {
			problems = append(problems, e.unknown(name)...)
			continue
		}
		r := &reader{}
		value := r.text(e.values[name], place.t, place.path)
		for i := range r.problems {
			r.problems[i].From = name
		}
		if len(r.problems) > 0 && value == nil {
			if place.entry() { // or a misspelt key of another entry
				r.problems[0].Do = "correct the variable's name, or write the whole entry as YAML"
			}
			problems = append(problems, r.problems...)
			continue
		}
		problems = append(problems, r.problems...)
		if what := place.set(v, value); what != "" {
			problems = append(problems, Problem{Key: place.path, From: name, What: what, Do: "count from 0 without gaps"})
			continue
		}
		o.replace(place.path, name)
	}
	return problems
}

// unknown makes a problem of a variable that names no key, unless somebody else may have meant something by it.
func (e *environ) unknown(name string) Problems {
	if service.MatchString(name) || strings.HasSuffix(name, "_PORT") && strings.Contains(e.values[name], "://") {
		return nil
	}
	known := slices.Clone(own)
	for key := range leaves(reflect.TypeFor[Config](), "") {
		known = append(known, variable(key))
	}
	near := nearest(name, slices.Values(known))
	section, _, _ := strings.Cut(strings.TrimPrefix(name, prefix), "_")
	if _, ours := fields(reflect.TypeFor[Config]())[strings.ToLower(section)]; !ours && distance(name, near) > 2 {
		return nil
	}
	p := Problem{Key: clean(name), From: clean(name), What: "is not a key of the configuration", Do: "unset it"}
	if near != "" {
		p.Do = "did you mean " + near + "?"
	}
	return Problems{p}
}

// text reads the value of a variable: YAML for maps and lists of them, commas for lists of texts.
func (r *reader) text(text string, t reflect.Type, path string) any {
	switch {
	case scalar(t):
		return r.scalar(text, t, path, 0)
	case t == reflect.TypeFor[[]string]() && !strings.HasPrefix(strings.TrimSpace(text), "["):
		return split(text)
	}
	value := r.parse([]byte(text), t, path)
	if value != nil || len(r.problems) > 0 {
		return value
	}
	if t.Kind() == reflect.Slice {
		return []any{}
	}
	return map[string]any{}
}

// leaves returns the keys that have a place of their own in the file's structure, and their types: single values,
// lists and maps.
func leaves(t reflect.Type, path string) map[string]reflect.Type {
	found := map[string]reflect.Type{}
	for key, element := range fields(t) {
		if element.Kind() == reflect.Struct {
			maps.Copy(found, leaves(element, join(path, key)))
		} else {
			found[join(path, key)] = element
		}
	}
	return found
}

// variable returns the variable of a key.
func variable(key string) string { return prefix + upper(key) }

// upper is how a name looks in a variable.
func upper(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return '_'
	}, strings.ToUpper(name))
}
