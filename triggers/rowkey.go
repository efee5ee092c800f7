package triggers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// uniqueIndex is a unique index of a watched table.
type uniqueIndex struct {
	name    string
	columns []string // in the index's order
	unfit   string   // why it does not tell rows apart at all times; empty when it does
}

// readKeys reads the unique indexes, and puts the configured key in the place of the primary key.
func (s *State) readKeys(ctx context.Context, tx pgx.Tx, oids []uint32) error {
	rows, _ := tx.Query(ctx, query("inspect_keys"), oids)
	var oid uint32
	var x uniqueIndex
	_, err := pgx.ForEachRow(rows, []any{&oid, &x.name, &x.columns, &x.unfit}, func() error {
		t := s.byOID(oid)
		t.unique = append(t.unique, uniqueIndex{x.name, slices.Clone(x.columns), x.unfit})
		return nil
	})
	for _, t := range s.tables {
		if len(t.want.key) > 0 {
			t.key = t.want.key
		}
	}
	return err
}

// checkKey refuses a table whose rows can't be told apart at all times.
func (t *table) checkKey() {
	switch {
	case t.want.keyless():
	case len(t.want.key) > 0:
		t.checkConfiguredKey()
	case len(t.key) == 0:
		do := "add one, or a unique index of columns that are not null, and name its columns in the rules' `key`"
		if fit := t.fitting(); fit != "" {
			do = "add one, or write in its rules " + fit
		}
		t.breaks("has no primary key, so that its rows can't be told apart: %s", do)
	case t.deferrable:
		t.breaks("its primary key is deferrable, so that two rows can have the same key for a while: make it not " +
			"deferrable")
	}
}

// fitting proposes a key; empty when no index is fit for one.
func (t *table) fitting() string {
	var list []string
	for _, x := range t.unique {
		if x.unfit == "" {
			list = append(list, "key: ["+strings.Join(x.columns, ", ")+"]")
		}
	}
	return strings.Join(list, " or ")
}

// checkConfiguredKey looks for the index behind the key. Its columns may be in any order there.
func (t *table) checkConfiguredKey() {
	key := "its key (" + strings.Join(t.want.key, ", ") + ") "
	for _, name := range t.want.key {
		if t.columns[name] == nil {
			return // checkColumns says so
		}
	}
	var why []string
	for _, x := range t.unique {
		if len(x.columns) != len(t.want.key) || slices.ContainsFunc(t.want.key, func(c string) bool {
			return !slices.Contains(x.columns, c)
		}) {
			continue
		}
		if x.unfit == "" {
			return
		}
		why = append(why, "index "+x.name+" "+x.unfit)
	}
	if len(why) > 0 {
		t.breaks("%sis not unique at all times: %s", key, strings.Join(why, "; "))
		return
	}
	columns := make([]string, len(t.want.key))
	for i, c := range t.want.key {
		columns[i] = ident(c)
	}
	do := fmt.Sprintf("create unique index concurrently on %s (%s);", ident(t.want.schema, t.want.name), strings.Join(columns, ", "))
	if fit := t.fitting(); fit != "" {
		do += " or write in its rules " + fit
	}
	t.breaks("%shas no unique index of just these columns: %s", key, do)
}
