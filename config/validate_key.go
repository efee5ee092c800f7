package config

import (
	"fmt"
	"slices"
	"strings"
)

// rowKeys remembers the key of each table's first rule: the rows of a table have one key, whatever rules it has.
type rowKeys map[string]rowKey

type rowKey struct {
	at  string // of the first rule
	key []string
}

// check checks the columns of a rule's key, and that all rules of a table have the same.
func (k rowKeys) check(c *checker, at string, r Rule) {
	for i, column := range r.Key {
		item := fmt.Sprintf("%s.key[%d]", at, i)
		switch {
		case column == "" || len(column) > 63 || strings.ContainsRune(column, 0):
			c.add(item, quote(column)+" can't be a column", "write its name")
		case slices.Contains(r.Key[:i], column):
			c.add(item, quote(column)+" is there twice", "remove one")
		}
	}
	table := strings.TrimPrefix(r.Table, "public.")
	first, ok := k[table]
	switch {
	case !ok:
		k[table] = rowKey{at, r.Key}
	case !slices.Equal(first.key, r.Key):
		c.add(at+".key", fmt.Sprintf("is %s, and %s of %s.key", keyWords(r.Key), keyWords(first.key), first.at),
			"write the same in all rules of table "+clean(r.Table))
	}
}

func keyWords(key []string) string {
	if len(key) == 0 {
		return "the primary key"
	}
	return quote(strings.Join(key, ", "))
}
