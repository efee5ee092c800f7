package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed demo/sql/people.sql
var peopleSQL string

// demoPerson is one of the sample ERP's users through whose eyes the page can be seen.
type demoPerson struct {
	ID         string      `json:"id"`
	Role       string      `json:"role"` // requester, approver or clerk
	Name       string      `json:"name"`
	First      string      `json:"first"`
	Initials   string      `json:"initials"`
	Title      string      `json:"title"`
	Sees       string      `json:"sees"`    // one sentence
	Decides    bool        `json:"decides"` // has requests to decide
	Warehouses []demoNamed `json:"warehouses"`
	Watch      string      `json:"-"` // what to look at, for the terminal

	key     int64
	company int64
	groups  []demoNamed
	places  []int64 // the ids of the warehouses
}

// demoNamed is a group or a warehouse.
type demoNamed struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// demoPeople picks a requester, an approver and a warehouse clerk among the sample ERP's users.
func demoPeople(ctx context.Context, db *pgxpool.Pool) ([]*demoPerson, error) {
	rows, err := db.Query(ctx, peopleSQL)
	if err != nil {
		return nil, fmt.Errorf("read users of sample ERP: %w", err)
	}
	found, err := pgx.CollectRows(rows, scanPerson)
	if err != nil {
		return nil, fmt.Errorf("read users of sample ERP: %w", err)
	}
	if len(found) != 3 {
		return nil, errors.New("read users of sample ERP: no company has a requester, an approver and a warehouse clerk")
	}
	order := []string{"requester", "approver", "clerk"}
	slices.SortFunc(found, func(a, b *demoPerson) int {
		return slices.Index(order, a.Role) - slices.Index(order, b.Role)
	})
	return found, nil
}

func scanPerson(row pgx.CollectableRow) (*demoPerson, error) {
	p := &demoPerson{Warehouses: []demoNamed{}}
	var last, company string
	err := row.Scan(&p.Role, &p.key, &p.First, &last, &p.company, &company, &p.groups, &p.Warehouses)
	if err != nil {
		return nil, err
	}
	p.ID = strconv.FormatInt(p.key, 10)
	p.Name = p.First + " " + last
	p.Initials = initial(p.First) + initial(last)
	var names []string
	for _, place := range p.Warehouses {
		id, err := strconv.ParseInt(place.ID, 10, 64)
		if err != nil {
			return nil, err
		}
		p.places = append(p.places, id)
		names = append(names, place.Name)
	}
	switch p.Role {
	case "approver":
		p.Decides = true
		p.Title = "Approver"
		p.Sees = "Sees every " + decided(p.groups) + " filed in " + company +
			", and decides on it. Nothing of other companies."
		p.Watch = "requests come in: approve one, and see it land on the requester's page"
	case "clerk":
		p.Title = "Warehouse clerk"
		p.Sees = "Sees the stock of " + strings.Join(names, " and ") +
			", and the transfers to and from there. No other warehouse."
		p.Watch = "quantities move as goods come and go"
	default:
		p.Title = "Requester"
		p.Sees = "Sees the requests that " + p.First + " filed, and the messages to " + p.First + ". Nobody else’s."
		p.Watch = "decisions arrive as badge, bell and toast"
	}
	return p, nil
}

// deciders are the groups whose members decide on requests, and on which.
var deciders = []struct {
	group, noun string
	tables      []string
}{
	{"finance-approver", "expense and advance request", []string{"finance_expenserequest", "finance_advancerequest"}},
	{"hr", "leave request and policy", []string{"hr_leaverequest", "hr_policyapproval"}},
	{"purchasing", "purchase order", []string{"procurement_purchaseorder"}},
	{"manager", "transfer and count", []string{"inventory_transferrequest", "inventory_physicalcount"}},
	{"grants", "disbursement", []string{"grants_disbursement"}},
}

// decided names what the members of the groups decide on.
func decided(groups []demoNamed) string {
	var list []string
	for _, part := range deciders {
		if slices.ContainsFunc(groups, func(g demoNamed) bool { return g.Name == part.group }) {
			list = append(list, part.noun)
		}
	}
	return strings.Join(list, ", ")
}

func initial(name string) string {
	for _, r := range name {
		return string(r)
	}
	return ""
}
