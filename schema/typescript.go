package schema

import (
	"fmt"
	"regexp"
	"strings"
)

const typescriptHead = `// Written by rowfeed types: run it again when the configuration or a table has changed.

declare module 'rowfeed' {
  /** Makes this installation's channels, resources and events the client's own. */
  interface Register {
    schema: Schema
  }
}

/** What this installation sends, by channel and resource. */
export type Schema = {
`

// aliases are declared where they are used.
var aliases = []struct{ name, text string }{
	{"Float", "/** A floating-point number; what JSON has no number for comes as a string. */\n" +
		"export type Float = number | 'NaN' | 'Infinity' | '-Infinity'\n"},
	{"Json", "/** A document as it was written. */\n" +
		"export type Json = string | number | boolean | null | Json[] | { [name: string]: Json }\n"},
}

// TypeScript returns the text of a .d.ts file that declares the schema to the client package. The same schema gives the
// same text.
func (s *Schema) TypeScript() string {
	w := &typescript{used: map[string]bool{}}
	for _, c := range s.Channels {
		w.open(c.Name)
		for _, r := range c.Resources {
			w.open(r.Name)
			w.line("key: %s", w.key(r.Key))
			w.open("events")
			for _, e := range r.Events {
				w.line("/** %s */", comment(e.says()))
				w.line("%s: %s", property(e.Name), w.text(e.Data))
			}
			w.shut()
			w.shut()
		}
		w.shut()
	}
	text := typescriptHead + w.b.String() + "}\n"
	for _, a := range aliases {
		if w.used[a.name] {
			text += "\n" + a.text
		}
	}
	return text
}

// says tells what the types do not.
func (e *Event) says() string {
	text := "Rows of " + strings.Join(e.Tables, ", ")
	if len(e.Operations) < 3 {
		text += ", on " + strings.Join(e.Operations, " and ")
	}
	with := map[Presence][]string{}
	with[e.Message] = append(with[e.Message], "`message`")
	with[e.Link] = append(with[e.Link], "`link`")
	if names := with[Always]; len(names) > 0 {
		text += "; with " + strings.Join(names, " and ")
	}
	if names := with[Sometimes]; len(names) > 0 {
		text += "; some with " + strings.Join(names, " and ")
	}
	return text + "."
}

// typescript writes nested types, two spaces deeper each.
type typescript struct {
	b     strings.Builder
	depth int
	used  map[string]bool // aliases
}

func (w *typescript) line(format string, args ...any) {
	fmt.Fprintf(&w.b, "%s%s\n", strings.Repeat("  ", w.depth+1), fmt.Sprintf(format, args...))
}

func (w *typescript) open(name string) { w.line("%s: {", property(name)); w.depth++ }
func (w *typescript) shut()            { w.depth--; w.line("}") }

// key is the type of a key. The protocol's keys are scalars and lists of them; what else PostgreSQL takes for a key is
// not told.
func (w *typescript) key(t Type) string {
	scalar := func(t Type) bool { return t.Kind != JSON && t.Kind != Object && t.Kind != Array }
	types := []Type{t}
	if t.Kind == Union {
		types = t.Items
	}
	for _, t := range types {
		items := t.Items
		if t.Kind != Array && t.Kind != Tuple {
			items = []Type{t}
		}
		for _, item := range items {
			if !scalar(item) {
				return "any"
			}
		}
	}
	return w.text(t)
}

// text is the type as TypeScript has it.
func (w *typescript) text(t Type) string {
	text := w.bare(t)
	if t.Null && t.Kind != JSON {
		text += " | null"
	}
	return text
}

func (w *typescript) bare(t Type) string {
	switch t.Kind {
	case Integer, Number:
		return "number"
	case Bool:
		return "boolean"
	case Float:
		return w.alias("Float")
	case JSON:
		return w.alias("Json")
	case Enum:
		return join(t.Values, " | ", literal)
	case Array:
		item := w.text(t.Items[0])
		if i := t.Items[0]; i.Kind == Enum || i.Kind == Union || i.Null && i.Kind != JSON {
			item = "(" + item + ")"
		}
		return item + "[]"
	case Tuple:
		return "[" + join(t.Items, ", ", w.text) + "]"
	case Union:
		return join(t.Items, " | ", w.text)
	case Object:
		return w.object(t)
	}
	return "string"
}

func (w *typescript) alias(name string) string {
	w.used[name] = true
	return name
}

func (w *typescript) object(t Type) string {
	if len(t.Fields) == 0 {
		return "{}"
	}
	w.depth++
	pad := "\n" + strings.Repeat("  ", w.depth+1)
	var b strings.Builder
	b.WriteString("{")
	for _, f := range t.Fields {
		if f.Note != "" {
			b.WriteString(pad + "/** " + comment(f.Note) + " */")
		}
		b.WriteString(pad + property(f.Name) + ": " + w.text(f.Type))
	}
	w.depth--
	b.WriteString("\n" + strings.Repeat("  ", w.depth+1) + "}")
	return b.String()
}

func join[T any](list []T, separator string, text func(T) string) string {
	texts := make([]string, len(list))
	for i, item := range list {
		texts[i] = text(item)
	}
	return strings.Join(texts, separator)
}

var identifier = regexp.MustCompile(`^[A-Za-z_$][\w$]*$`)

// property is a name in an object's type. Reserved words may stand there as they are.
func property(name string) string {
	if identifier.MatchString(name) {
		return name
	}
	return literal(name)
}

var escapes = strings.NewReplacer(`\`, `\\`, "'", `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\u2028", `\u2028`, "\u2029", `\u2029`)

func literal(text string) string { return "'" + escapes.Replace(text) + "'" }

// comment is a text that can stand in a comment of one line.
func comment(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "*/", "*\\/")
}
