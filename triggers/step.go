package triggers

import (
	"fmt"
	"strings"
)

// Step is one transaction of Up.
type Step struct {
	What       string // in a few words
	Lock       string // the strongest lock that it takes on tables of the ERP, and who waits for it, in words
	Table      string // whose lock it needs, as schema.table; empty: none on tables of the ERP
	SQL        string // all of its statements, each ending with a semicolon, without begin and commit
	Statements []Statement

	oids   []uint32 // the tables that it locks
	late   bool     // only once all before it are done
	script string   // the file of migration files that it belongs to
	undo   string   // statements that take it back, for migration files
}

// Statement is a piece of a step: one statement, or several that go together and take the same lock.
type Statement struct {
	SQL  string
	Lock *Lock // on tables of the ERP; nil: none
}

// Lock is a lock on a table of the ERP.
type Lock struct {
	Mode       string   // as the manual's chapter 13.3.1 names it, in small letters
	Table      string   // quoted, with its schema
	Partitions []string // that are locked with it, likewise
}

// The modes that are needed.
const (
	shareRowExclusive = "share row exclusive"
	accessExclusive   = "access exclusive"
)

// LockTimeout is how long a step waits for a lock, and so the longest that a write of the ERP can wait for a step that
// waits. It is tried again then.
const LockTimeout = "2s"

// plainNames settles for a transaction how names are found and written. Nobody else's functions or operators get between
// us and the catalog, and what the catalog says of types and settings is compared with what we wrote.
const plainNames = "set local search_path = pg_catalog, pg_temp;\nset local quote_all_identifiers = off;\n"

// Preamble begins each step's transaction.
const Preamble = "set local lock_timeout = '" + LockTimeout + "';\n" + plainNames

const noLock = "none on tables of the ERP"

// Waits says who waits while the lock is held or waited for.
func (l *Lock) Waits() string {
	if l.Mode == accessExclusive {
		return "reads and writes"
	}
	return "writes"
}

// String says what is locked, who waits, and for how long at most.
func (l *Lock) String() string {
	on := l.Table
	switch n := len(l.Partitions); {
	case n == 1:
		on += " and its partition"
	case n > 1:
		on += fmt.Sprintf(" and its %d partitions", n)
	}
	goOn := "reads go on, "
	if l.Mode == accessExclusive {
		goOn = ""
	}
	return fmt.Sprintf("%s on %s: %s%s wait, at most %s for the lock, then some milliseconds until commit", l.Mode, on, goOn,
		l.Waits(), LockTimeout)
}

// add appends statements that take no lock on a table of the ERP.
func (s *Step) add(sql string) {
	if sql != "" {
		s.Statements = append(s.Statements, Statement{SQL: sql})
	}
}

// addLocking appends a statement that needs the lock.
func (s *Step) addLocking(lock Lock, sql string) {
	s.Statements = append(s.Statements, Statement{SQL: sql, Lock: &lock})
}

// lockFirst makes the strongest of the step's locks the first thing it does on the table: a lock that is made stronger
// later, or taken partition by partition, can be part of a deadlock with the ERP.
func (s *Step) lockFirst() {
	first, strongest := -1, Lock{}
	for i, st := range s.Statements {
		if st.Lock == nil {
			continue
		}
		if first < 0 {
			first, strongest = i, *st.Lock
		}
		if len(st.Lock.Partitions) > len(strongest.Partitions) {
			strongest.Table, strongest.Partitions = st.Lock.Table, st.Lock.Partitions
		}
		if st.Lock.Mode == accessExclusive {
			strongest.Mode = accessExclusive
		}
	}
	if first < 0 {
		return
	}
	s.Statements = append(s.Statements[:first:first], append([]Statement{{Lock: &strongest, SQL: strongest.sql()}},
		s.Statements[first:]...)...)
	s.Lock = strongest.String()
}

// sql is what takes the lock, with the partitions' or without.
func (l *Lock) sql() string {
	if len(l.Partitions) > 0 {
		return lockTogether(append([]string{l.Table}, l.Partitions...), l.Mode == accessExclusive)
	}
	return fmt.Sprintf("lock table only %s in %s mode;\n", l.Table, l.Mode)
}

// lockToUndo is the statement that takes the lock that undo needs, if the table is still there.
func (s *Step) lockToUndo() string {
	for _, st := range s.Statements {
		if st.Lock == nil {
			continue
		}
		// Partitions come and go: those of the day when it is taken back.
		return fmt.Sprintf("set local lock_timeout = '%dms';\ndo $rowfeed$ begin\nif pg_catalog.to_regclass(%s) is not null then\n"+
			"  lock table %s in %s mode;\nend if;\nend $rowfeed$;\nset local lock_timeout = '%s';\n", patience.Milliseconds(),
			literal(st.Lock.Table), st.Lock.Table, accessExclusive, LockTimeout)
	}
	return ""
}

// The migration files that steps belong to.
const (
	scriptInstall = "install"
	scriptUpdate  = "update"
	scriptCleanup = "cleanup"
	scriptWatch   = "watch_" // and the table
)

// finish fills in what follows from the statements.
func (s *Step) finish() {
	s.Lock = noLock
	s.lockFirst()
	var b strings.Builder
	for _, st := range s.Statements {
		b.WriteString(st.SQL)
	}
	s.SQL = b.String()
}
