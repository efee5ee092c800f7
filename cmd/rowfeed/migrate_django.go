package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"nalar.internal/rowfeed/triggers"
)

// djangoFiles are migrations of a Django app, one module each: Django runs each in a transaction of its own, so locks are
// short.
type djangoFiles struct{ app, depends string }

var (
	djangoPattern = regexp.MustCompile(`^(\d{4,})_\w*\.py$`)
	moduleName    = regexp.MustCompile(`^[A-Za-z0-9_]*$`)
)

func (djangoFiles) pattern() *regexp.Regexp { return djangoPattern }

func (d djangoFiles) write(number int, s triggers.Script, previous string, first bool) (map[string]string, string) {
	name := fmt.Sprintf("%04d_rowfeed_%s", number, s.Name)
	app, before := d.app, strings.TrimSuffix(previous, ".py")
	if d.depends != "" && first {
		before = d.depends
		if other, migration, ok := strings.Cut(d.depends, "."); ok {
			app, before = other, migration
		}
	}
	dependencies := "[]"
	if before != "" {
		dependencies = fmt.Sprintf("[(%s, %s)]", pythonString(app), pythonString(before))
	}
	// RunSQL passes a text without parameters, so that a % in it is a %. Where tests run on SQLite there is nothing to do.
	return map[string]string{name + ".py": fmt.Sprintf(`# Made by rowfeed migrate sql --django. Don't change it.
from django.db import migrations

UP = %s

DOWN = %s


class OnPostgreSQL(migrations.RunSQL):
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if schema_editor.connection.vendor == "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        if schema_editor.connection.vendor == "postgresql":
            super().database_backwards(app_label, schema_editor, from_state, to_state)


class Migration(migrations.Migration):
    atomic = True
    dependencies = %s
    operations = [OnPostgreSQL(sql=UP, reverse_sql=DOWN, elidable=False)]
`, pythonText(s.Up), pythonText(s.Down), dependencies)}, name
}

// pythonString writes a short text as a Python literal.
func pythonString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// pythonText writes a long text as a Python literal of many lines.
func pythonText(s string) string {
	return `"""\` + "\n" + strings.NewReplacer(`\`, `\\`, `"""`, `\"\"\"`, "\r", `\r`).Replace(s) + `"""`
}

func sortedNames(files map[string]string) []string { return slices.Sorted(maps.Keys(files)) }
