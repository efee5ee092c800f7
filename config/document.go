package config

import (
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// What a file may come to once its aliases are followed.
const (
	maxNodes = 200_000
	maxDepth = 100
)

// reader turns YAML into plain maps, lists and texts in the shape of the configuration's types. Scalars stay the texts
// that they are in the file (`version: 1.0` is "1.0", keys keep their case); what has the wrong shape, or no place in
// the types, becomes a problem and is left out.
type reader struct {
	problems Problems
	lines    map[string]int // filled where not nil
	nodes    int
	depth    int
}

// parse reads a YAML (or JSON) text of type t. The result is nil where it is empty or can't be used.
func (r *reader) parse(text []byte, t reflect.Type, path string) any {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		what, line := strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " "), 0
		if at, rest, ok := strings.Cut(what, ": "); ok {
			if n, e := fmt.Sscanf(at, "line %d", &line); n == 1 && e == nil {
				what = rest
			}
		}
		r.add(path, line, "is not YAML: "+clean(what), "correct the text; what is after a colon may need quotes")
		return nil
	}
	if len(document.Content) == 0 {
		return nil
	}
	return r.value(document.Content[0], t, path)
}

func (r *reader) add(key string, line int, what, do string) {
	if key == "" {
		key = "configuration"
	}
	if r.lines == nil {
		line = 0
	}
	r.problems = append(r.problems, Problem{Key: key, Line: line, What: what, Do: do})
}

// value reads a node as type t.
func (r *reader) value(n *yaml.Node, t reflect.Type, path string) any {
	r.nodes++
	r.depth++
	defer func() { r.depth-- }()
	if r.nodes > maxNodes || r.depth > maxDepth {
		if r.nodes <= maxNodes || r.nodes == maxNodes+1 {
			r.add(path, n.Line, "is too much once aliases are followed", "repeat less")
		}
		r.nodes = maxNodes + 1
		return nil
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return nil // as if it were not there: the default
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return r.mapping(n, t, path)
	case reflect.Slice:
		return r.list(n, t, path)
	default:
		if n.Kind != yaml.ScalarNode {
			r.add(path, n.Line, "is a "+kind(n)+", not a single value", "write "+sample(t))
			return nil
		}
		return r.scalar(n.Value, t, path, n.Line)
	}
}

// scalar checks that text can become a t.
func (r *reader) scalar(text string, t reflect.Type, path string, line int) any {
	var err error
	switch {
	case t == reflect.TypeFor[time.Duration]():
		_, err = time.ParseDuration(text)
	case t.Kind() == reflect.Int:
		_, err = strconv.Atoi(text)
	case t.Kind() == reflect.Bool:
		_, err = strconv.ParseBool(text)
	}
	if err != nil {
		r.add(path, line, quote(text)+" is not "+noun(t), "write "+sample(t))
		return nil
	}
	return text
}

// list reads a sequence; a list of texts may also be one text with commas.
func (r *reader) list(n *yaml.Node, t reflect.Type, path string) any {
	if n.Kind == yaml.ScalarNode && t.Elem().Kind() == reflect.String {
		return split(n.Value)
	}
	if n.Kind != yaml.SequenceNode {
		r.add(path, n.Line, "is a "+kind(n)+", not a list", "write "+sample(t))
		return nil
	}
	items := make([]any, 0, len(n.Content))
	for i, item := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		r.note(at, item.Line)
		value := r.value(item, t.Elem(), at)
		if value == nil && t.Elem().Kind() == reflect.Struct {
			value = map[string]any{} // keeps the places of the others
		}
		if value == nil {
			value = ""
		}
		items = append(items, value)
	}
	return items
}

// mapping reads a mapping into the fields of a struct or the entries of a map.
func (r *reader) mapping(n *yaml.Node, t reflect.Type, path string) any {
	if n.Kind != yaml.MappingNode {
		r.add(path, n.Line, "is a "+kind(n)+", not a map of keys", "write "+sample(t))
		return nil
	}
	values := make(map[string]any, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].ShortTag() == "!!merge" {
			r.merge(n.Content[i+1], t, path, values)
		}
	}
	seen := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, content := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		name, at := key.Value, join(path, key.Value)
		switch {
		case key.ShortTag() == "!!merge":
			continue
		case key.Kind != yaml.ScalarNode:
			r.add(path, key.Line, "has a "+kind(key)+" as a key", "keys are names")
			continue
		case seen[name] > 0:
			r.add(at, key.Line, fmt.Sprintf("is there twice, first in line %d", seen[name]), "keep one of them")
			continue
		}
		seen[name] = key.Line
		if element := r.element(t, name, path, key.Line); element != nil {
			r.note(at, key.Line)
			delete(values, name)
			if value := r.value(content, element, at); value != nil {
				values[name] = value
			}
		}
	}
	return values
}

// merge reads what YAML's << brings in; what it brings first wins.
func (r *reader) merge(n *yaml.Node, t reflect.Type, path string, into map[string]any) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	sources := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		sources = n.Content
	}
	for _, source := range sources {
		if values, ok := r.value(source, t, path).(map[string]any); ok {
			maps.Copy(values, into)
			maps.Copy(into, values)
		}
	}
}

// element returns the type of what is under name in a t, or nil, with a problem noted, where a t has no such key.
func (r *reader) element(t reflect.Type, name, path string, line int) reflect.Type {
	if t.Kind() == reflect.Map {
		return t.Elem()
	}
	known := fields(t)
	if f, ok := known[name]; ok {
		return f
	}
	do := "remove it"
	if near := nearest(name, maps.Keys(known)); near != "" {
		do = "did you mean " + near + "?"
	}
	r.add(join(path, name), line, "is not a key of the configuration", do)
	return nil
}

func (r *reader) note(path string, line int) {
	if r.lines != nil {
		r.lines[path] = line
	}
}

// fields returns the keys of a struct of the configuration and their types.
func fields(t reflect.Type) map[string]reflect.Type {
	keys := make(map[string]reflect.Type, t.NumField())
	for f := range t.Fields() {
		if key := f.Tag.Get("mapstructure"); key != "" {
			keys[key] = f.Type
		}
	}
	return keys
}

// split makes a list of a text with commas.
func split(text string) []any {
	items := []any{}
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// join appends a key to a path; one that is no plain word is quoted, so that a problem stays one line.
func join(path, key string) string {
	key = clean(key)
	if path == "" {
		return key
	}
	return path + "." + key
}

// clean makes foreign text fit for a message: one line, and not too long.
func clean(text string) string {
	if short := []rune(text); len(short) > 80 {
		text = string(short[:80]) + "…"
	}
	if strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }) || text == "" {
		return strconv.Quote(text)
	}
	return text
}

// quote quotes foreign text for a message.
func quote(text string) string {
	if quoted := clean(text); strings.HasPrefix(quoted, `"`) {
		return quoted
	}
	return strconv.Quote(clean(text))
}
