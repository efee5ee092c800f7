package config

import (
	"iter"
	"reflect"
	"time"

	"go.yaml.in/yaml/v3"
)

// kind names what a node is, for messages.
func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "map"
	case yaml.SequenceNode:
		return "list"
	default:
		return "single value"
	}
}

// noun names what a scalar type wants.
func noun(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a duration"
	case t.Kind() == reflect.Int:
		return "a whole number"
	case t.Kind() == reflect.Bool:
		return "true or false"
	default:
		return "a text"
	}
}

// sample says how a value of type t is written.
func sample(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a number with its unit, such as 500ms, 30s, 5m or 24h"
	case t.Kind() == reflect.Int:
		return "a whole number such as 50"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String:
		return "a list such as [a, b]"
	case t.Kind() == reflect.Slice:
		return "a list, each item after a dash"
	case t.Kind() == reflect.Map || t.Kind() == reflect.Struct:
		return "key: value, each on a line of its own, indented"
	default:
		return "a text"
	}
}

// nearest returns the one of the known names that name was most likely meant to be, or "".
func nearest(name string, known iter.Seq[string]) string {
	best, limit := "", max(2, len(name)/3)+1
	for candidate := range known {
		d := distance(name, candidate)
		if d < limit || d == limit && best != "" && candidate < best {
			best, limit = candidate, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete, replace or swap with the next to get from a to b.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	var before, previous, current [65]int
	for j := range len(b) + 1 {
		previous[j] = j //nolint:gosec // a and b are at most 64 long
	}
	for i := range len(a) {
		current[0] = i + 1
		for j := range len(b) {
			replace := previous[j]
			if a[i] != b[j] {
				replace++
			}
			current[j+1] = min(replace, previous[j+1]+1, current[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				current[j+1] = min(current[j+1], before[j-1]+1) //nolint:gosec // likewise
			}
		}
		before, previous = previous, current
	}
	return previous[len(b)]
}
