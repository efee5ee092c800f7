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
	Mode    string // as the manual's chapter 13.3.1 names it, in small letters
	Table   string // quoted, with its schema
	Members int    // partitions that are locked with it
}

// The modes that are needed.
const (
	shareRowExclusive = "share row exclusive"
	accessExclusive   = "access exclusive"
)

// LockTimeout is how long a step waits for a lock, and so the longest that a write of the ERP can wait for a step that
// waits. It is tried again then.
const LockTimeout = "2s"

// treeTimeout is that of a table with its partitions. Several locks can be part of a deadlock, which PostgreSQL ends by
// cancelling one of those in it, after deadlock_timeout (1 s by default): who gives up before that is never the reason
// that somebody else is cancelled.
const treeTimeout = "500ms"

// Preamble begins each step's transaction. Nobody else's functions or operators get between us and the catalog.
const Preamble = "set local lock_timeout = '" + LockTimeout + "';\nset local search_path = pg_catalog, pg_temp;\n"

const noLock = "none on tables of the ERP"

// Waits says who waits while the lock is held or waited for.
func (l *Lock) Waits() string {
	if l.Mode == accessExclusive {
		return "reads and writes"
	}
	return "writes"
}

// AtMost is how long the lock is waited for, and so how long others can wait behind it.
func (l *Lock) AtMost() string {
	if l.Members > 0 {
		return treeTimeout
	}
	return LockTimeout
}

// String says what is locked, who waits, and for how long at most.
func (l *Lock) String() string {
	on := l.Table
	switch {
	case l.Members == 1:
		on += " and its partition"
	case l.Members > 1:
		on += fmt.Sprintf(" and its %d partitions", l.Members)
	}
	goOn := "reads go on, "
	if l.Mode == accessExclusive {
		goOn = ""
	}
	return fmt.Sprintf("%s on %s: %s%s wait, at most %s for the lock, then some milliseconds until commit", l.Mode, on, goOn,
		l.Waits(), l.AtMost())
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
		if st.Lock.Members > strongest.Members {
			strongest.Table, strongest.Members = st.Lock.Table, st.Lock.Members
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

// sql is the statement that takes the lock, with the partitions' or without.
func (l *Lock) sql() string {
	if l.Members == 0 {
		return l.statement()
	}
	return bounded(l.statement())
}

func (l *Lock) statement() string {
	only := ""
	if l.Members == 0 {
		only = "only "
	}
	return fmt.Sprintf("lock table %s%s in %s mode;\n", only, l.Table, l.Mode)
}

// bounded gives a statement that takes several locks its time.
func bounded(sql string) string {
	return "set local statement_timeout = '" + treeTimeout + "';\n" + sql + "set local statement_timeout to default;\n"
}

// lockToUndo is the statement that takes the lock that undo needs, if the table is still there.
func (s *Step) lockToUndo() string {
	for _, st := range s.Statements {
		if st.Lock == nil {
			continue
		}
		lock := *st.Lock
		lock.Mode = accessExclusive
		sql := fmt.Sprintf("do $rowfeed$ begin\nif pg_catalog.to_regclass(%s) is not null then\n  %send if;\nend $rowfeed$;\n",
			literal(lock.Table), lock.statement())
		if lock.Members > 0 {
			return bounded(sql)
		}
		return sql
	}
	return ""
}

// The files of migration files that belong to no table.
const (
	scriptInstall = "install"
	scriptUpdate  = "update"
	scriptCleanup = "cleanup"
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
