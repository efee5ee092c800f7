package main

import (
	"fmt"
	"slices"
	"sync"
)

// demoRight is a row of the ERP's that lets a person see what others filed or keep: membership in a group, or in a
// warehouse's staff.
type demoRight struct {
	ID    string `json:"id"`
	Label string `json:"label"`
	Sees  string `json:"sees"` // what it lets one see
	Held  bool   `json:"held"`
	Take  string `json:"take"` // the statement that takes it away
	Give  string `json:"give"` // the statement that gives it back
	Place string `json:"place,omitempty"`

	tables []string // of the requests that it lets one decide on
	place  int64    // the warehouse; 0: none
	visit  string   // the one that took it away; empty: nobody did
}

// newRight makes the right that a row of the table is: the user's, in the group or warehouse of.
func newRight(user int64, kind, table string, of demoNamed) *demoRight {
	column := kind + "_id"
	return &demoRight{ID: kind + "-" + of.ID, Label: of.Name, Held: true,
		Take: fmt.Sprintf("DELETE FROM %s\n WHERE user_id = %d\n   AND %s = %s", table, user, column, of.ID),
		Give: fmt.Sprintf("INSERT INTO %s\n       (user_id, %s)\nVALUES (%d, %s)", table, column, user, of.ID)}
}

// rightsOf lists what the person has that can be taken away.
func rightsOf(p *demoPerson) []*demoRight {
	list := []*demoRight{}
	for _, part := range deciders {
		i := slices.IndexFunc(p.groups, func(g demoNamed) bool { return g.Name == part.group })
		if i < 0 {
			continue
		}
		right := newRight(p.key, "group", "auth_user_groups", p.groups[i])
		right.Sees = "Every " + part.noun + " filed by others"
		right.tables = part.tables
		list = append(list, right)
	}
	for i, place := range p.Warehouses {
		right := newRight(p.key, "warehouse", "inventory_warehouse_staff", place)
		right.Sees = "Its stock, and transfers to and from it"
		right.Place, right.place = place.ID, p.places[i]
		list = append(list, right)
	}
	return list
}

// demoRights is who has which rights, as the pages have left them. What a page takes away belongs to its visit, which is
// an open request: it ends whatever becomes of the page, and then the right comes back.
type demoRights struct {
	mu       sync.Mutex              // held while rights change, too
	byPerson map[string][]*demoRight // by the person's id
	unseen   map[string]*demoUnseen  // by the person's id; there while a right is away
	visits   map[string]string       // the open ones: whose page it is
}

func newDemoRights(people []*demoPerson) *demoRights {
	r := &demoRights{byPerson: map[string][]*demoRight{}, unseen: map[string]*demoUnseen{}, visits: map[string]string{}}
	for _, p := range people {
		r.byPerson[p.ID] = rightsOf(p)
	}
	return r
}

// of returns a copy of the person's rights.
func (r *demoRights) of(p *demoPerson) []demoRight {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := []demoRight{}
	for _, right := range r.byPerson[p.ID] {
		list = append(list, *right)
	}
	return list
}

// decides tells whether the person may now decide on requests of the table.
func (r *demoRights) decides(p *demoPerson, table string) bool {
	return slices.ContainsFunc(r.of(p), func(one demoRight) bool { return one.Held && slices.Contains(one.tables, table) })
}

// keeps tells whether the person now belongs to the warehouse's staff.
func (r *demoRights) keeps(p *demoPerson, place int64) bool {
	return slices.ContainsFunc(r.of(p), func(one demoRight) bool { return one.Held && one.place == place })
}
