package config

import (
	"maps"
	"slices"
)

// origin remembers where the values of a configuration came from. Its paths are keys as Problem has them.
type origin struct {
	lines     map[string]int    // path of each key and list item in the file: its line
	variables map[string]string // path: the environment variable that set it
	broken    []string          // keys that could not be read: what is wrong around them may follow from that
	postgres  bool              // the PG* variables say where the database is
}

// replace notes that an environment variable has set all that is at and below path.
func (o *origin) replace(path, variable string) {
	maps.DeleteFunc(o.lines, func(key string, _ int) bool { return within(key, path) })
	maps.DeleteFunc(o.variables, func(key string, _ string) bool { return within(key, path) })
	o.variables[path] = variable
}

// Given reports whether a file or the environment has set anything.
func (c *Config) Given() bool { return len(c.origin.lines)+len(c.origin.variables) > 0 }

// Locate gives each problem its line in the file, or the environment variable that set its key, and sorts them as the
// file has them. A problem about a key that is not there gets the line of what should hold it.
func (c *Config) Locate(problems []Problem) Problems {
	located := slices.Clone(Problems(problems))
	for i := range located {
		p := &located[i]
		for key := p.Key; p.Line == 0 && p.From == "" && key != ""; key = parent(key) {
			p.Line, p.From = c.origin.lines[key], c.origin.variables[key]
		}
	}
	located.sort()
	return located
}

// follows reports whether a problem with key may be no more than what follows from a key that could not be read:
// where `colums` is misspelt, `columns` is missing.
func (o *origin) follows(key string) bool {
	there := o.lines[key] > 0 || o.variables[key] != ""
	return slices.ContainsFunc(o.broken, func(broken string) bool {
		return within(broken, key) || !there && parent(broken) == parent(key)
	})
}
