package change

import (
	"fmt"
	"slices"
)

// SplitTable splits a table's name as the configuration has it: name, schema.name, or with SQL's double quotes around a
// part that holds a dot or a quote (doubled there). Letters keep their case, without quotes too.
func SplitTable(table string) (schema, name string, err error) {
	parts := []string{""}
	quoted := false
	for i := 0; i < len(table); i++ {
		last := &parts[len(parts)-1]
		switch c := table[i]; {
		case c == '"' && quoted && i+1 < len(table) && table[i+1] == '"':
			*last += `"`
			i++
		case c == '"':
			quoted = !quoted
		case c == '.' && !quoted:
			parts = append(parts, "")
		default:
			*last += table[i : i+1]
		}
	}
	if len(parts) == 1 {
		parts = []string{"public", parts[0]}
	}
	if quoted || len(parts) != 2 || slices.Contains(parts, "") {
		return "", "", fmt.Errorf("table %q: write it as table or schema.table, with double quotes around a part that "+
			"holds a dot", table)
	}
	return parts[0], parts[1], nil
}
