package main

import (
	"strconv"
	"strings"
	"testing"

	"nalar.internal/rowfeed/bridge/explain"
)

// demoWhyTest: of a change of a stock level that the clerk's open page was sent, each person is told why.
func demoWhyTest(t *testing.T, visitors map[string]demoVisitor, level int64, txid string) {
	asks := visitors["requester"]
	ask := map[string]any{"resource": "stock-levels", "key": strconv.FormatInt(level, 10), "txid": txid}
	var list []demoWhy
	if status := asks.call(t, "POST", "/demo/why", ask, &list); status != 200 || len(list) != len(visitors) {
		t.Fatalf("why: %d %+v", status, list)
	}
	for _, why := range list {
		last := why.Gates[len(why.Gates)-1]
		want, gate, words := explain.No, explain.Grants, `"user:`+why.User+`"`
		if why.User == visitors["clerk"].user.ID {
			want, gate, words = explain.Yes, explain.Written, "socket"
		}
		if why.Sent != want || last.Name != gate || !strings.Contains(last.Text, words) {
			t.Errorf("why %s: %s, %+v", why.User, why.Sent, last)
		}
	}
	for _, bad := range []struct {
		key    string
		value  any
		status int
	}{
		{"user", "1", 400}, {"key", "1 or true", 422}, {"resource", "users", 422}, {"txid", "1", 422},
	} {
		other := map[string]any{"resource": ask["resource"], "key": ask["key"], "txid": txid, bad.key: bad.value}
		if status := asks.call(t, "POST", "/demo/why", other, nil); status != bad.status {
			t.Errorf("why with %s %v: %d, want %d", bad.key, bad.value, status, bad.status)
		}
	}
}

// What is said of a person with a page that is not sent it, and of one without a page.
func TestDemoWhyWithout(t *testing.T) {
	t.Parallel()
	clerk := &demoPerson{ID: "4", First: "Dewi", key: 4, company: 1, groups: []demoNamed{{"6", "warehouse"}},
		Warehouses: []demoNamed{{"1", "North"}, {"2", "South"}}, places: []int64{1, 2}}
	s := &demoServer{rights: newDemoRights([]*demoPerson{clerk})}
	s.rights.byPerson["4"][1].Held = false
	audience := func(grant, tenant string) string {
		return "Those may see it who hold, for the old row: " + grant + tenant + "; the new row: " + grant + tenant + ". See."
	}
	refused := &explain.Session{Gates: []explain.Gate{{Name: explain.Grants, Verdict: explain.No, Text: "None. See there."}}}
	before := &explain.Session{Gates: []explain.Gate{{Name: explain.Subscribed, Verdict: explain.No, Text: "It ended."}}}
	for _, c := range []struct {
		text     string
		sessions []*explain.Session
		gate     string
		says     string
	}{
		{audience(`"warehouse:1"`, ` of tenant "1"`), []*explain.Session{refused}, explain.Grants, "None."},
		{audience(`"warehouse:1"`, ` of tenant "1"`), []*explain.Session{before}, explain.Subscribed, "No page is open as Dewi."},
		{audience(`"warehouse:1"`, ` of any tenant`), nil, explain.Subscribed, "No page is open as Dewi."},
		{audience(`"warehouse:1"`, ` of tenant "2"`), nil, explain.Grants, `None of what Dewi holds ("user:4", "role:warehouse", ` +
			`"warehouse:1") is in the audience.`},
		{audience(`"warehouse:2"`, ` of tenant "1"`), nil, explain.Grants, `None of what Dewi holds ("user:4", "role:warehouse", ` +
			`"warehouse:1") is in the audience.`},
	} {
		report := &explain.Report{Changes: []*explain.Change{{Txid: "9",
			Gates: []explain.Gate{{Name: explain.Captured, Verdict: explain.Yes, Text: "It is in the outbox."}},
			Rules: []*explain.Rule{{Sessions: c.sessions, Gates: []explain.Gate{{Name: explain.Audience, Verdict: explain.Yes, Text: c.text},
				{Name: explain.Move, Verdict: explain.Yes, Text: "An update that leaves the audience as it was."},
				{Name: explain.Grants, Verdict: explain.Unknown, Text: "Nobody knows."}}}}}}}
		why, err := s.whyOf(clerk, report, "9")
		if err != nil {
			t.Fatal(err)
		}
		last := why.Gates[len(why.Gates)-1]
		if why.Sent != explain.No || last.Name != c.gate || last.Text != c.says {
			t.Errorf("%s: %s, %+v", c.text, why.Sent, last)
		}
		if said := why.Gates[1].Text; strings.Contains(said, "old row") || !strings.HasPrefix(said, "It is for ") {
			t.Errorf("audience: %s", said)
		}
	}
}
