package triggers

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATEs that are answered to: PostgreSQL manual, appendix A.
const (
	lockNotAvailable = "55P03"
	deadlockDetected = "40P01"
	duplicateObject  = "42710"
	uniqueViolation  = "23505"
	dependentObjects = "2BP01"
	noPrivilege      = "42501"
)

// tries is how often a step asks for a lock, with pauses that grow to a few seconds.
const tries = 12

// Up does what Plan says, table by table, each in a transaction of its own, so that it can be run again where it
// stopped. Several at once are safe: they take turns, and each reads the state again when it is its turn. progress gets
// a line for each step.
func Up(ctx context.Context, conn *pgx.Conn, target Target, progress func(string)) error {
	return locked(ctx, conn, target.Schema, func() error {
		state, err := Inspect(ctx, conn, target)
		if err != nil {
			return err
		}
		if err := state.Err(); err != nil {
			return err
		}
		return run(ctx, conn, state.Plan(), progress)
	})
}

// Down removes everything that Up wrote, and nothing else.
func Down(ctx context.Context, conn *pgx.Conn, schema string, progress func(string)) error {
	return locked(ctx, conn, schema, func() error {
		state, err := Inspect(ctx, conn, Target{Schema: schema})
		if err != nil {
			return err
		}
		if err := state.Err(); err != nil {
			return err
		}
		p := &planner{State: state}
		p.dropTriggers(func(installedTrigger) bool { return true })
		if state.server.installed {
			p.step("drop schema "+schema, noLock, "", p.dropSchema())
		}
		if err := run(ctx, conn, p.steps, progress); err != nil {
			return explainDependents(err, schema)
		}
		if state.operators.role {
			if err := dropRole(ctx, conn, state.target.operator(), progress); err != nil {
				return err
			}
		}
		if state.server.ownerExists {
			return dropRole(ctx, conn, state.target.owner(), progress)
		}
		return nil
	})
}

// dropSchema names each object, and cascades to none: what somebody else made to depend on the outbox is theirs.
func (p *planner) dropSchema() string {
	schema := p.target.Schema
	var b strings.Builder
	for _, name := range p.functionNames() {
		fmt.Fprintf(&b, "drop function %s;\n", signature(schema, name))
	}
	fmt.Fprintf(&b, "drop view %s;\n", ident(schema, "change"))
	if p.operators.tables {
		fmt.Fprintf(&b, "drop table %s, %s;\n", ident(schema, "answer"), ident(schema, "request"))
	}
	if p.noted {
		fmt.Fprintf(&b, "drop table %s;\n", ident(schema, "drift"))
	}
	for _, name := range readable[:len(readable)-1] {
		fmt.Fprintf(&b, "drop table %s;\n", ident(schema, name))
	}
	fmt.Fprintf(&b, "drop schema %s;\n", ident(schema))
	return b.String()
}

// explainDependents says what to do when somebody's objects hang on ours.
func explainDependents(err error, schema string) error {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == dependentObjects {
		return fmt.Errorf("%w: %s: that is not rowfeed's: drop it, then run `rowfeed migrate down` again", err,
			strings.ReplaceAll(pgErr.Detail, "\n", "; "))
	}
	return err
}

// dropRole drops a role of ours, unless another database of the cluster needs it or we may not.
func dropRole(ctx context.Context, conn *pgx.Conn, owner string, progress func(string)) error {
	_, err := conn.Exec(ctx, "drop role "+ident(owner))
	var pgErr *pgconn.PgError
	switch {
	case err == nil:
		progress("drop role " + owner)
	case errors.As(err, &pgErr) && pgErr.Code == dependentObjects:
		progress(fmt.Sprintf("role %s stays: something else in this cluster depends on it (%s)", owner,
			strings.ReplaceAll(pgErr.Detail, "\n", "; ")))
	case errors.As(err, &pgErr) && pgErr.Code == noPrivilege:
		progress(fmt.Sprintf("role %s stays: this role may not drop it; as a superuser: drop role %s;", owner, ident(owner)))
	default:
		return fmt.Errorf("drop role %s: %w", owner, err)
	}
	return nil
}

// run executes steps in order.
func run(ctx context.Context, conn *pgx.Conn, steps []Step, progress func(string)) error {
	for _, step := range steps {
		if err := runStep(ctx, conn, step, progress); err != nil {
			return fmt.Errorf("%s: %w", step.What, err)
		}
		progress(step.What)
	}
	return nil
}

// runStep executes one step. When it does not get its lock in time it lets the writes that queued up behind it pass,
// and tries again.
func runStep(ctx context.Context, conn *pgx.Conn, step Step, progress func(string)) error {
	pause := 100 * time.Millisecond
	for try := 1; ; try++ {
		err := execute(ctx, conn, step.SQL)
		var pgErr *pgconn.PgError
		switch {
		case err == nil:
			return nil
		case !errors.As(err, &pgErr):
			return err
		case (pgErr.Code == duplicateObject || pgErr.Code == uniqueViolation) && strings.HasPrefix(step.SQL, "create role"):
			return nil // an up in another database of the cluster was faster
		case pgErr.Code != lockNotAvailable && pgErr.Code != deadlockDetected:
			return err
		case try == tries:
			return fmt.Errorf("%w: gave up after %d tries: %s: end it, or run this again when it is quiet", err, tries,
				holders(ctx, conn, step.table))
		}
		progress(fmt.Sprintf("%s: locked by others (%s), try %d of %d", step.What, holders(ctx, conn, step.table), try+1,
			tries))
		if err := sleep(ctx, pause+rand.N(pause)); err != nil {
			return err
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// execute runs statements in one transaction.
func execute(ctx context.Context, conn *pgx.Conn, sql string) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, Preamble+sql, pgx.QueryExecModeSimpleProtocol)
		return err
	})
}

// holders says which backends hold a lock on the table.
func holders(ctx context.Context, conn *pgx.Conn, table string) string {
	schema, name, _ := strings.Cut(table, ".")
	var who *string
	err := conn.QueryRow(ctx, `select string_agg(distinct 'pid ' || a.pid || ' of ' || coalesce(a.usename, '?')
			|| ', transaction since ' || coalesce(date_trunc('second', clock_timestamp() - a.xact_start)::text, '?'), ', ')
		from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a on a.pid = l.pid
		join pg_catalog.pg_class c on c.oid = l.relation join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		where l.granted and n.nspname = $1 and c.relname = $2 and l.database =
			(select d.oid from pg_catalog.pg_database d where d.datname = current_database())`, schema, name).Scan(&who)
	if err != nil || who == nil {
		return "held for a moment only"
	}
	return *who
}

// locked runs f while it holds the advisory lock of migrations of this schema in this database.
func locked(ctx context.Context, conn *pgx.Conn, schema string, f func() error) (err error) {
	h := fnv.New64a()
	h.Write([]byte("rowfeed migrate " + schema))
	key := int64(h.Sum64()) //nolint:gosec // any number will do for a lock, negative ones too
	for {
		// In short tries: a waiting statement would hold a snapshot, and so vacuum.
		var got bool
		if err := conn.QueryRow(ctx, "select pg_catalog.pg_try_advisory_lock($1)", key).Scan(&got); err != nil {
			return fmt.Errorf("lock migrations: %w", err)
		}
		if got {
			break
		}
		if err := sleep(ctx, 50*time.Millisecond+rand.N(100*time.Millisecond)); err != nil {
			return err
		}
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if conn.IsClosed() { // the lock went with the session
			return
		}
		if _, e := conn.Exec(ctx, "select pg_catalog.pg_advisory_unlock($1)", key); e != nil && err == nil {
			err = fmt.Errorf("unlock migrations: %w", e)
		}
	}()
	return f()
}

// sleep waits, or returns the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
