//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// load is the ERP that changes items: many short transactions, some that stay open for seconds, savepoints, rollbacks.
// Each transaction writes into the audit what it has done, so that the audit holds what is committed and nothing else.
type load struct {
	s    *stage
	rate float64       // changes a second
	held time.Duration // how long a late transaction stays open at most

	// loose makes all transactions ones that do not wait for the disk; a crash undoes the last of them.
	loose atomic.Bool

	rolledBack, late atomic.Int64
	marks            atomic.Int64
	hasty            sync.Map // marks of transactions that were committed without waiting for the disk
	stop             func()
}

// Items: shared ones of the short transactions, and some of each late writer's own, which would keep others waiting.
const (
	sharedItems  = 400
	lateItems    = 20
	shortWriters = 8
	lateWriters  = 2
)

const (
	writeSQL = `with c as (insert into item as i values ($1, coalesce((select max(n) from item_audit where item = $1), 0) + 1, $2)
		on conflict (id) do update set n = i.n + 1, mark = excluded.mark returning id, n, mark)
		insert into item_audit select id, n, 'u', mark from c`
	deleteSQL = `with c as (delete from item where id = $1 returning id, n, mark)
		insert into item_audit select id, n, 'd', mark from c`
)

// begin starts the writers.
func (l *load) begin(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for w := range shortWriters {
		random := rand.New(rand.NewPCG(l.s.random, uint64(w)))
		due := time.Now()
		all.Go(func() { l.connected(ctx, func(conn *pgx.Conn) error { return l.short(ctx, conn, random, &due) }) })
	}
	for w := range lateWriters {
		random := rand.New(rand.NewPCG(l.s.random, uint64(100+w)))
		first := sharedItems + 1 + w*lateItems
		all.Go(func() { l.connected(ctx, func(conn *pgx.Conn) error { return l.tardy(ctx, conn, random, first) }) })
	}
	l.stop = func() { cancel(); all.Wait() }
}

// connected has do work on a connection, and on another when that is lost.
func (l *load) connected(ctx context.Context, do func(*pgx.Conn) error) {
	for ctx.Err() == nil {
		conn, err := l.s.connect(ctx)
		if err == nil {
			for err == nil && ctx.Err() == nil {
				if err = do(conn); err != nil && !conn.IsClosed() { // a deadlock, or the same item written at once
					_, err = conn.Exec(ctx, "rollback")
				}
			}
			conn.Close(context.WithoutCancel(ctx))
		}
		_ = pause(ctx, 20*time.Millisecond)
	}
}

// attempt is one transaction.
type attempt struct {
	*load
	random *rand.Rand
	item   func() int // the next to change
	loose  bool
	marks  []string // of what it has changed and not undone
}

// short makes one transaction of a few changes when it is due, and says when the next one is. What a fault has kept it
// from is made up for, up to a second's worth; a fifth more than the rate makes up for what is rolled back.
func (l *load) short(ctx context.Context, conn *pgx.Conn, random *rand.Rand, due *time.Time) error {
	if err := pause(ctx, time.Until(*due)); err != nil {
		return err
	}
	n := 1 + random.IntN(8)
	if back := time.Now().Add(-time.Second); due.Before(back) {
		*due = back
	}
	*due = due.Add(time.Duration(float64(n*shortWriters) / (1.2 * l.rate) * float64(time.Second)))
	return l.transaction(ctx, conn, random, n, func() int { return 1 + random.IntN(sharedItems) }, 0)
}

// tardy makes one transaction that commits long after its changes.
func (l *load) tardy(ctx context.Context, conn *pgx.Conn, random *rand.Rand, first int) error {
	open := l.held/4 + time.Duration(random.Int64N(int64(l.held)))
	l.late.Add(1)
	return l.transaction(ctx, conn, random, 2+random.IntN(10), func() int { return first + random.IntN(lateItems) }, open)
}

// transaction makes n changes, some of which may be undone by a savepoint, or all by a rollback.
func (l *load) transaction(ctx context.Context, conn *pgx.Conn, random *rand.Rand, n int, item func() int, open time.Duration) error {
	a := &attempt{load: l, random: random, item: item, loose: l.loose.Load()}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	if a.loose {
		if _, err := tx.Exec(ctx, "set local synchronous_commit = off"); err != nil {
			return err
		}
	}
	for i := range n {
		if err := a.change(ctx, tx); err != nil {
			return err
		}
		if open > 0 {
			if err := pause(ctx, open/time.Duration(n)); err != nil {
				return err
			}
		}
		if i == n/2 && random.IntN(3) == 0 {
			if err := a.savepoint(ctx, tx); err != nil {
				return err
			}
		}
	}
	if random.IntN(6) == 0 {
		l.rolledBack.Add(1)
		return tx.Rollback(ctx)
	}
	if a.loose {
		for _, mark := range a.marks {
			l.hasty.Store(mark, nil)
		}
	}
	return tx.Commit(ctx)
}

// savepoint makes changes in a subtransaction and keeps them or not.
func (a *attempt) savepoint(ctx context.Context, tx pgx.Tx) error {
	sub, err := tx.Begin(ctx)
	if err != nil {
		return err
	}
	before := len(a.marks)
	for range 1 + a.random.IntN(2) {
		if err := a.change(ctx, sub); err != nil {
			return err
		}
	}
	if a.random.IntN(2) == 0 {
		a.marks = a.marks[:before]
		return sub.Rollback(ctx)
	}
	return sub.Commit(ctx)
}

// change writes an item or deletes it. Its deletion bears the mark of who wrote it.
func (a *attempt) change(ctx context.Context, tx pgx.Tx) error {
	if a.random.IntN(20) == 0 && !a.loose {
		_, err := tx.Exec(ctx, deleteSQL, a.item())
		return err
	}
	mark := fmt.Sprintf("m%d", a.load.marks.Add(1))
	a.marks = append(a.marks, mark)
	_, err := tx.Exec(ctx, writeSQL, a.item(), mark)
	return err
}
