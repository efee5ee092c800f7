package erp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const stockLevels = "inventory_stocklevel"

// level is a stock level that this transaction has locked.
type level struct {
	id       int64
	sku      int64
	site     int64
	quantity int
}

// lock locks the stock levels of some SKUs at some warehouses, always in the same order: whoever locks several would
// otherwise deadlock with the others.
func (u *unit) lock(ctx context.Context, skus, sites []int64) ([]level, error) {
	rows, err := u.tx.Query(ctx, "select id, sku_id, warehouse_id, quantity from "+stockLevels+
		" where sku_id = any($1) and warehouse_id = any($2) order by id for update", skus, sites)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (level, error) {
		var l level
		err := row.Scan(&l.id, &l.sku, &l.site, &l.quantity)
		return l, err
	})
}

// shift changes a stock level and writes why into the journal. It refuses to go below zero.
func (u *unit) shift(ctx context.Context, l level, delta int, kind string, who int32) error {
	if l.quantity+delta < 0 {
		return errRefused
	}
	set := "quantity = quantity + $2, updated_at = now() where id = $1"
	if _, err := u.update(ctx, stockLevels, set, l.id, delta); err != nil {
		return err
	}
	_, err := u.insert(ctx, "inventory_stockmovement", field{"stock_level_id", l.id}, field{"user_id", who},
		field{"kind", kind}, field{"delta", delta}, field{"created_at", time.Now()})
	return err
}

// sell takes one to three SKUs out of a warehouse, all or none.
func (u *unit) sell(ctx context.Context) error {
	site := pick(u.Rand, u.sites)
	wanted := make([]int64, 1+u.IntN(3))
	for i := range wanted {
		wanted[i] = 1 + u.Int64N(skus)
	}
	clerk := pick(u.Rand, members(u.people, site.company, "warehouse"))
	levels, err := u.lock(ctx, wanted, []int64{site.id})
	if err != nil {
		return err
	}
	for _, l := range levels {
		if err := u.shift(ctx, l, -1-u.IntN(8), "sale", clerk.id); err != nil {
			return err
		}
	}
	return nil
}

// correct changes the stock by what an approved count found.
func (u *unit) correct(ctx context.Context, count int64) error {
	var sku, site int64
	var found int
	var who int32
	err := u.tx.QueryRow(ctx, `select sku_id, warehouse_id, counted - expected, requested_by_id
		from inventory_physicalcount where id = $1`, count).Scan(&sku, &site, &found, &who)
	if err != nil {
		return err
	}
	levels, err := u.lock(ctx, []int64{sku}, []int64{site})
	if err != nil {
		return err
	}
	for _, l := range levels {
		if delta := max(found, -l.quantity); delta != 0 {
			return u.shift(ctx, l, delta, "count", who)
		}
	}
	return nil
}

// writeLines puts what is scarcest at its warehouse onto a new purchase order.
func (u *unit) writeLines(ctx context.Context, order int64) error {
	rows, err := u.tx.Query(ctx, `select l.sku_id from `+stockLevels+` l
		join procurement_purchaseorder o on o.warehouse_id = l.warehouse_id
		where o.id = $1 order by l.quantity - l.reorder_level, l.id limit $2 offset $3`, order, 1+u.IntN(3), u.IntN(20))
	if err != nil {
		return err
	}
	scarce, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	for _, sku := range scarce {
		_, err := u.insert(ctx, "procurement_purchaseorderline", field{"purchase_order_id", order}, field{"sku_id", sku},
			field{"quantity", 50 + u.IntN(100)}, field{"unit_price", money(u.Rand, 2, 180)})
		if err != nil {
			return err
		}
	}
	return nil
}

// order sends an approved purchase order to its supplier.
func (u *unit) order(ctx context.Context) error {
	q, err := u.take(ctx, kindOf("procurement_purchaseorder"), "approved")
	if err != nil {
		return err
	}
	if err := u.move(ctx, q, "ordered"); err != nil {
		return err
	}
	return u.tell(ctx, q, "ordered")
}

// receive books in the goods of an order.
func (u *unit) receive(ctx context.Context) error {
	q, err := u.take(ctx, kindOf("procurement_purchaseorder"), "ordered")
	if err != nil {
		return err
	}
	var site int64
	amounts := map[int64]int{}
	var sku int64
	var amount int
	rows, err := u.tx.Query(ctx, `select o.warehouse_id, l.sku_id, sum(l.quantity)::int
		from procurement_purchaseorder o join procurement_purchaseorderline l on l.purchase_order_id = o.id
		where o.id = $1 group by 1, 2`, q.id)
	if err != nil {
		return err
	}
	var all []int64
	_, err = pgx.ForEachRow(rows, []any{&site, &sku, &amount}, func() error {
		amounts[sku], all = amount, append(all, sku)
		return nil
	})
	if err != nil {
		return err
	}
	levels, err := u.lock(ctx, all, []int64{site})
	if err != nil {
		return err
	}
	clerk := pick(u.Rand, members(u.people, q.company, "warehouse"))
	for _, l := range levels {
		if err := u.shift(ctx, l, amounts[l.sku], "receipt", clerk.id); err != nil {
			return err
		}
	}
	if err := u.move(ctx, q, "received"); err != nil {
		return err
	}
	return u.tell(ctx, q, "received")
}

// transfer sends an approved transfer on its way or books one in: out of one stock level and into the other in the
// same transaction. What is no longer there can't be transferred.
func (u *unit) transfer(ctx context.Context) error {
	d := kindOf("inventory_transferrequest")
	if u.IntN(2) == 0 {
		q, err := u.take(ctx, d, "approved")
		if err != nil {
			return err
		}
		return u.move(ctx, q, "shipped")
	}
	q, err := u.take(ctx, d, "shipped")
	if err != nil {
		return err
	}
	var sku, from, to int64
	var quantity int
	err = u.tx.QueryRow(ctx, `select sku_id, from_warehouse_id, to_warehouse_id, quantity
		from inventory_transferrequest where id = $1`, q.id).Scan(&sku, &from, &to, &quantity)
	if err != nil {
		return err
	}
	levels, err := u.lock(ctx, []int64{sku}, []int64{from, to})
	if err != nil {
		return err
	}
	status := "completed"
	for _, l := range levels {
		if l.site == from && l.quantity < quantity {
			status, levels = "rejected", nil
			break
		}
	}
	for _, l := range levels {
		delta := quantity
		if l.site == from {
			delta = -quantity
		}
		if err := u.shift(ctx, l, delta, "transfer", q.author); err != nil {
			return err
		}
	}
	if err := u.move(ctx, q, status); err != nil {
		return err
	}
	return u.tell(ctx, q, status)
}

// reviewReorderLevels sets the reorder level of many stock levels in one statement.
func (u *unit) reviewReorderLevels(ctx context.Context, rows int64) error {
	n, err := u.update(ctx, stockLevels, `reorder_level = greatest(5, reorder_level + case when reorder_level > 60
			then -10 else $3 end), updated_at = now()
		where id in (select id from `+stockLevels+` where id > $1 order by id limit $2 for update)`,
		u.Int64N(max(1, skus*int64(len(u.sites))-rows)), rows, 5-10*u.IntN(2))
	if err == nil && n == 0 {
		return fmt.Errorf("review reorder levels: there are no stock levels")
	}
	return err
}

func isUniqueViolation(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && answer.Code == "23505"
}
