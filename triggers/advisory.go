package triggers

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// lockKey is the key of the advisory lock of migrations of a schema.
func lockKey(schema string) int64 {
	h := fnv.New64a()
	h.Write([]byte("rowfeed migrate " + schema))
	return int64(h.Sum64()) //nolint:gosec // any number will do for a lock, negative ones too
}

// locked runs f while it holds the advisory lock of migrations of this schema in this database.
func locked(ctx context.Context, conn *pgx.Conn, schema string, progress func(string), f func() error) (err error) {
	if err := Pooled(ctx, conn); err != nil {
		return err // the lock would stay with a session that is not ours
	}
	key := lockKey(schema)
	for told := false; ; {
		// In short tries: a waiting statement would hold a snapshot, and so vacuum.
		var got bool
		if err := conn.QueryRow(ctx, "select pg_catalog.pg_try_advisory_lock($1)", key).Scan(&got); err != nil {
			return fmt.Errorf("lock migrations: %w", err)
		}
		if got {
			break
		}
		if !told {
			told = true
			progress("waiting: another migration of schema " + schema + " is running" + migrator(ctx, conn, key))
		}
		if err := sleep(ctx, 50*time.Millisecond+rand.N(100*time.Millisecond)); err != nil {
			return fmt.Errorf("wait for another migration of schema %s: nothing was done: %w", schema, context.Cause(ctx))
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

// migrator says who holds the lock of migrations; empty when they are gone.
func migrator(ctx context.Context, conn *pgx.Conn, key int64) string {
	var who string
	err := conn.QueryRow(ctx, `select ': pid ' || l.pid || coalesce(' (user ' || a.usename || ')', '')
		from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a on a.pid = l.pid
		where l.granted and l.locktype = 'advisory' and l.objsubid = 1
		and (l.classid::int8 << 32 | l.objid::int8) = $1
		and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())`, key).Scan(&who)
	if err != nil {
		return ""
	}
	return who
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
