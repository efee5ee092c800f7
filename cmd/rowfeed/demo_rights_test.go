package main

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"
)

// visit opens a visit, as a page does that is about to take a right away.
func (v demoVisitor) visit(t *testing.T) (name string, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", v.base+"/demo/visit", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+v.token)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	var body struct{ Visit string }
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil || body.Visit == "" {
		t.Fatalf("visit: %v", err)
	}
	return body.Visit, func() {
		cancel()
		answer.Body.Close()
	}
}

// turn gives a right or takes it away.
func (v demoVisitor) turn(t *testing.T, right demoRight, held bool, visit string) (status int, done demoTurn) {
	t.Helper()
	status = v.call(t, "POST", "/demo/rights/"+right.ID, map[string]any{"held": held, "visit": visit}, &done)
	return status, done
}

func (v demoVisitor) rights(t *testing.T) (list []demoRight) {
	t.Helper()
	if status := v.call(t, "GET", "/demo/rights", nil, &list); status != 200 {
		t.Fatalf("rights: %d", status)
	}
	return list
}

// stockOf returns how many levels of the warehouse the user sees.
func (v demoVisitor) stockOf(t *testing.T, place string) (n int) {
	t.Helper()
	var levels []demoLevel
	v.call(t, "GET", "/api/stock", nil, &levels)
	for _, l := range levels {
		if strconv.FormatInt(l.Warehouse, 10) == place {
			n++
		}
	}
	return n
}

// demoRightsTest: a right that is taken away is one plain statement, REST judges by it at once, and it comes back with
// its visit's end at the latest.
func demoRightsTest(t *testing.T, clerk, approver demoVisitor) {
	list := clerk.rights(t)
	if len(list) != len(clerk.user.Warehouses) || len(approver.rights(t)) == 0 {
		t.Fatalf("rights of the clerk: %+v", list)
	}
	right := list[0]
	all := clerk.stockOf(t, right.Place)
	visit, end := clerk.visit(t)
	defer end()
	for _, c := range []struct {
		who    demoVisitor
		right  demoRight
		held   bool
		visit  string
		status int
	}{
		{clerk, right, false, "", 409}, {approver, approver.rights(t)[0], false, visit, 409}, {approver, right, false, visit, 404},
		{clerk, right, true, visit, 422},
	} {
		if status, _ := c.who.turn(t, c.right, c.held, c.visit); status != c.status {
			t.Errorf("turn %s of %s: %d, want %d", c.right.ID, c.who.user.Role, status, c.status)
		}
	}
	if status, done := clerk.turn(t, right, false, visit); status != 200 || done.Rows != 1 || done.Statement != right.Take {
		t.Fatalf("take: %d %+v", status, done)
	}
	if n := clerk.stockOf(t, right.Place); n > 0 {
		t.Errorf("%d levels are still seen", n)
	}
	demoUnseenTest(t, clerk, right)
	end()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for tick := time.Tick(20 * time.Millisecond); clerk.stockOf(t, right.Place) != all; {
		select {
		case <-ctx.Done():
			t.Fatal("the right did not come back with the end of the visit")
		case <-tick:
		}
	}
	if !slices.EqualFunc(list, clerk.rights(t), func(a, b demoRight) bool { return a.ID == b.ID && a.Held == b.Held }) {
		t.Errorf("rights: %+v, then %+v", list, clerk.rights(t))
	}
}

// demoUnseenTest: what is committed meanwhile is counted, if the right would have shown it.
func demoUnseenTest(t *testing.T, clerk demoVisitor, lost demoRight) {
	var tables map[string]demoTable
	clerk.call(t, "GET", "/demo/rows", nil, &tables)
	txids := map[bool][]string{} // by whether the clerk still sees the row
	for i, row := range tables["stock"].Rows {
		var done struct{ Txid string }
		value := strconv.Itoa(700_000 + i)
		clerk.call(t, "POST", "/demo/update", map[string]any{"kind": "stock", "id": row.ID, "value": value}, &done)
		seen := slices.Contains(row.SeenBy, clerk.user.ID)
		txids[seen] = append(txids[seen], done.Txid)
	}
	var hidden struct {
		Changes int
		List    []demoHidden
	}
	if status := clerk.call(t, "GET", "/demo/unseen?from=0", nil, &hidden); status != 200 || hidden.Changes != len(hidden.List) {
		t.Fatalf("unseen: %d %+v", status, hidden)
	}
	count := func(list []string) (n int) {
		for _, h := range hidden.List {
			if h.Resource == "stock-levels" && slices.Contains(list, h.Txid) {
				n++
			}
		}
		return n
	}
	if n := count(txids[false]); n == 0 {
		t.Errorf("none of %d changes of %s is counted", len(txids[false]), lost.Label)
	}
	if n := count(txids[true]); n > 0 {
		t.Errorf("%d changes are counted that the clerk sees", n)
	}
}
