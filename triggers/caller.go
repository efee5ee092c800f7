package triggers

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// PostgreSQL clones a row trigger to each partition that is made or attached, as if the one who does so had made the trigger:
// without the right to execute its function ATTACH PARTITION and CREATE TABLE … PARTITION OF fail. So the owners of
// partitioned tables get it for the function of their own table. Who could put that on another table of theirs, and have
// its rows told as this one's, may write to this one anyway.

// readCallers reads who lacks that right.
func (s *State) readCallers(ctx context.Context, tx pgx.Tx) error {
	var oids []uint32
	var functions []string
	for _, t := range s.tables {
		if t.kind == "p" {
			oids, functions = append(oids, t.oid), append(functions, functionName(t.want.schema, t.want.name))
		}
	}
	if len(oids) == 0 {
		return nil
	}
	rows, _ := tx.Query(ctx, query("inspect_callers"), s.target.Schema, oids, functions)
	var root uint32
	var owner string
	var may bool
	_, err := pgx.ForEachRow(rows, []any{&root, &owner, &may}, func() error {
		if t := s.byOID(root); !may {
			t.uncalled = append(t.uncalled, owner)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read owners of partitioned tables: %w", err)
	}
	return nil
}

// letAttach grants it.
func (p *planner) letAttach(t *table) {
	if len(t.uncalled) == 0 {
		return
	}
	roles := make([]string, len(t.uncalled))
	for i, role := range t.uncalled {
		roles[i] = ident(role)
	}
	on := fmt.Sprintf(" execute on function %s ", signature(p.target.Schema, functionName(t.want.schema, t.want.name)))
	whom := strings.Join(roles, ", ") + ";\n"
	step := Step{What: "let the owner of " + t.want.relation() + " make partitions", late: true, script: scriptWatch + t.want.relation(),
		undo: p.asOwner("revoke" + on + "from " + whom)}
	step.add(p.asOwner("grant" + on + "to " + whom))
	p.add(step)
}
