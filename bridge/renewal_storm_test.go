package bridge_test

import (
	"context"
	"errors"
	"testing"

	"nalar.internal/rowfeed/test/rig"
)

// slowly has each grants query take a while, that of user 1 as long as a gate is shut.
func slowly(t *testing.T, users int, seconds string) *rig.Rig {
	t.Helper()
	r := rig.New(t, grantsTables+gated+`create function slow() returns bool language plpgsql volatile as
		$$ begin perform pg_sleep(`+seconds+`); return true; end $$;`, grantsChannels,
		append(grantsKeys[:len(grantsKeys):len(grantsKeys)], `ROWFEED_AUTH_GRANTS_QUERY=with w as materialized (select slow() and gate($1::int) as ok)
			select 'role:' || g.name from w, auth_group g join auth_user_groups ug on ug.group_id = g.id where ug.user_id = $1::int and w.ok`)...)
	r.Exec(t, `insert into auth_user (id) select generate_series(4, $1)`, users)
	r.Exec(t, `insert into auth_user_groups (user_id, group_id) select i, 1 from generate_series(2, $1) i where i <> 3`, users)
	return r
}

// TestStormOfSlowLookUps: while everybody's grants change faster than everybody can be looked up, all still get what is
// theirs, one after the other.
func TestStormOfSlowLookUps(t *testing.T) {
	t.Parallel()
	const users = 15
	r := slowly(t, users, "0.15")
	clients := map[int]*rig.Client{}
	for i := 1; i <= users; i++ {
		if i != 3 {
			clients[i] = reader(t, r, i)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	conn := r.Conn(t)
	over := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if _, err := conn.Exec(ctx, `update auth_group set name = 'buyers' || clock_timestamp() where id = 2`); err != nil {
				over <- err
				return
			}
			if _, err := conn.Exec(ctx, `select pg_sleep(0.05)`); err != nil {
				over <- err
				return
			}
		}
		over <- ctx.Err()
	}()
	awaitMetric(t, r, `rowfeed_source_changes_total\{channel="\.control"\} [3-9]\d$`)
	document(t, r, "sales")
	for _, c := range clients {
		wantTeams(t, c, "sales")
	}
	stop()
	if err := <-over; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestHangKeepsNobodyWaiting: whoever is asked about together with a user whose query hangs goes on all the same.
func TestHangKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	const users = 40
	r := slowly(t, users, "0")
	for i := 1; i <= users; i++ {
		if i != 3 {
			reader(t, r, i)
		}
	}
	open := shut(t, r)
	defer open()
	r.Exec(t, `update auth_group set name = 'export' where id = 2`)
	awaitMetric(t, r, `rowfeed_renewal_sessions_total\{outcome="same"\} 38$`)
}
