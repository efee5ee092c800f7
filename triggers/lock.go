package triggers

import (
	"fmt"
	"strings"
	"time"
)

// patience is how long a step that holds a lock on a table of the ERP waits for those on others, all together.
//
// It is below deadlock_timeout (one second, unless somebody has changed it): a transaction of the ERP that has written one
// of the tables and waits for another finds no deadlock that the server would end it for, since the step ends first.
const patience = 500 * time.Millisecond

// firstPatience is how long such a step waits for the first of them: LockTimeout in all.
const firstPatience = 1500 * time.Millisecond

// lockTogether locks a table and all that a statement on it reaches (its partitions, its children), as hard as that
// statement will. Nothing for a table that stands alone.
func lockTogether(tables []string, dropping bool) string {
	if len(tables) < 2 {
		return ""
	}
	mode := "share row exclusive"
	if dropping {
		mode = "access exclusive"
	}
	each := max(patience/time.Duration(len(tables)-1), time.Millisecond)
	return fmt.Sprintf("set local lock_timeout = '%dms';\nlock table only %s in %s mode;\n"+
		"set local lock_timeout = '%dms';\nlock table only %s in %s mode;\nset local lock_timeout = '%s';\n",
		firstPatience.Milliseconds(), tables[0], mode, each.Milliseconds(), strings.Join(tables[1:], ", only "), mode, LockTimeout)
}
