package erp

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// assign gives an asset to somebody else of its company, or takes it back into stock.
func (u *unit) assign(ctx context.Context) error {
	var id, company int64
	var name, tag string
	err := u.tx.QueryRow(ctx, `select id, company_id, name, tag from assets_asset where id >= $1
		order by id limit 1 for update skip locked`, 1+u.IntN(assets)).Scan(&id, &company, &name, &tag)
	if errors.Is(err, pgx.ErrNoRows) {
		return errNothing
	}
	if err != nil {
		return err
	}
	if u.IntN(4) == 0 {
		_, err := u.update(ctx, "assets_asset", `status = 'in_stock', assigned_to_id = null, assigned_at = null,
			updated_at = now() where id = $1`, id)
		return err
	}
	who := pick(u.Rand, members(u.people, company, ""))
	_, err = u.update(ctx, "assets_asset", `status = 'assigned', assigned_to_id = $2, assigned_at = now(),
		updated_at = now() where id = $1`, id, who.id)
	if err != nil {
		return err
	}
	return u.notify(ctx, who.id, "asset_assigned", fmt.Sprintf("%s (%s) was assigned to you", name, tag),
		fmt.Sprintf("/assets/%d", id))
}

// disburse pays out an approved disbursement and adds it to its grant.
func (u *unit) disburse(ctx context.Context) error {
	q, err := u.take(ctx, kindOf("grants_disbursement"), "approved")
	if err != nil {
		return err
	}
	_, err = u.update(ctx, q.table, "status = 'disbursed', paid_at = now(), updated_at = now() where id = $1", q.id)
	if err != nil {
		return err
	}
	_, err = u.update(ctx, "grants_grant", `disbursed = grants_grant.disbursed + d.amount, updated_at = now()
		from grants_disbursement d where d.id = $1 and grants_grant.id = d.grant_id`, q.id)
	if err != nil {
		return err
	}
	return u.tell(ctx, q, "disbursed")
}

// read marks somebody's oldest unread notifications as read.
func (u *unit) read(ctx context.Context) error {
	who := pick(u.Rand, u.people)
	n, err := u.update(ctx, "notifications_notification", `read_at = now()
		where id in (select id from notifications_notification where user_id = $1 and read_at is null
			order by id limit 5 for update skip locked)`, who.id)
	if err == nil && n == 0 {
		return errNothing
	}
	return err
}
