package triggers

import "testing"

const ordersDDL = `create table orders (id bigint primary key, status text, amount numeric, note text);`

func TestCaptureOperations(t *testing.T) {
	t.Parallel()
	b := installed(t, ordersDDL, want("orders", "status", "amount"))
	b.expect(`insert into orders values (1, 'draft', 1.50, 'x')`, "i draft,1.50,1")
	b.expect(`update orders set status = 'sent'`, "u sent,1.50,1 < draft,1.50,1")
	b.expect(`update orders set note = 'y'`)
	b.expect(`update orders set id = 2`, "u sent,1.50,2 < sent,1.50,1")
	b.expect(`update orders set status = null`, "u NULL,1.50,2 < sent,1.50,2")
	b.expect(`delete from orders`, "d < NULL,1.50,2")
	b.expect(`truncate orders`, "t")
}
