package erp

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// document is a kind of request that somebody writes and somebody else decides. They share the columns number,
// company_id, requested_by_id, approved_by_id, status, decided_at, created_at and updated_at.
type document struct {
	table    string
	prefix   string // of its number
	noun     string // as in "Your expense request EXP-0017 was approved"
	link     string // fmt, of its id
	approver string // the group that decides
	money    bool   // amount and currency: it is paid out after it was approved
	kind     string // of the notifications about it
	rows     int    // in the sample data
}

var documents = []document{
	{"finance_expenserequest", "EXP", "expense request", "/finance/expenses/%d", "finance-approver", true, "expense", 400},
	{"finance_advancerequest", "ADV", "advance request", "/finance/advances/%d", "finance-approver", true, "advance", 150},
	{"hr_leaverequest", "LV", "leave request", "/hr/leave/%d", "hr", false, "leave", 300},
	{"hr_policyapproval", "POL", "policy", "/hr/policies/%d", "hr", false, "policy", 60},
	{"procurement_purchaseorder", "PO", "purchase order", "/procurement/orders/%d", "purchasing", false, "order", 200},
	{"inventory_transferrequest", "TR", "transfer request", "/inventory/transfers/%d", "manager", false, "transfer", 120},
	{"inventory_physicalcount", "CNT", "physical count", "/inventory/counts/%d", "manager", false, "count", 120},
	{"grants_disbursement", "DSB", "disbursement", "/grants/disbursements/%d", "grants", false, "disbursement", 120},
}

// kindOf returns the document that is kept in the table.
func kindOf(table string) document {
	for _, d := range documents {
		if d.table == table {
			return d
		}
	}
	panic("no such document: " + table)
}

// number returns a document's number in the ERP, from its id.
func (d document) number(id int64) string { return fmt.Sprintf("%s-%04d", d.prefix, id) }

// person is who works: a user with their company and groups.
type person struct {
	id         int32
	company    int64
	name       string
	groups     []string
	warehouses []int64
}

// warehouse is one of the sample's warehouses.
type warehouse struct {
	id, company int64
}

// field is a column and its value.
type field struct {
	column string
	value  any
}

// content makes up what a document says beside the columns that all share. The warehouses are those of the company.
func (d document) content(r *rand.Rand, who person, sites []warehouse, at time.Time) []field {
	day := func(n int) time.Time { return at.AddDate(0, 0, n).Truncate(24 * time.Hour) }
	sku := func() int64 { return 1 + r.Int64N(skus) }
	site := func() int64 { return sites[r.IntN(len(sites))].id }
	currency := field{"currency", companies[who.company-1].currency}
	switch d.table {
	case "finance_expenserequest":
		e := pick(r, expenses)
		return []field{{"category", e.category}, {"description", e.text}, {"amount", money(r, 8, 950)}, currency}
	case "finance_advancerequest":
		amount := money(r, 100, 4000)
		return []field{{"purpose", pick(r, purposes)}, {"amount", amount}, {"outstanding", amount}, currency,
			{"due_on", day(30 + r.IntN(60))}}
	case "hr_leaverequest":
		from, days := 3+r.IntN(60), 1+r.IntN(10)
		return []field{{"kind", pick(r, leaveKinds)}, {"starts_on", day(from)}, {"ends_on", day(from + days - 1)},
			{"days", fmt.Sprintf("%d.0", days)}, {"reason", pick(r, leaveReasons)}}
	case "hr_policyapproval":
		return []field{{"title", pick(r, policies)}, {"version", fmt.Sprintf("%d.%d", 1+r.IntN(4), r.IntN(10))},
			{"body", "The policy applies to all staff from its effective date."}, {"effective_on", day(14 + r.IntN(60))}}
	case "procurement_purchaseorder":
		return []field{{"supplier", pick(r, suppliers)}, {"warehouse_id", site()}, {"amount", money(r, 200, 20000)},
			currency, {"expected_on", day(7 + r.IntN(30))}}
	case "inventory_transferrequest":
		from := r.IntN(len(sites))
		return []field{{"sku_id", sku()}, {"from_warehouse_id", sites[from].id},
			{"to_warehouse_id", sites[(from+1)%len(sites)].id}, {"quantity", 1 + r.IntN(20)}}
	case "inventory_physicalcount":
		expected := 20 + r.IntN(200)
		return []field{{"sku_id", sku()}, {"warehouse_id", site()}, {"expected", expected},
			{"counted", max(0, expected-3+r.IntN(7))}}
	default: // grants_disbursement
		return []field{{"grant_id", grantOf(r, who.company)}, {"amount", money(r, 500, 15000)}, currency}
	}
}

// money returns an amount between low and high, as numeric's text.
func money(r *rand.Rand, low, high int) string {
	return fmt.Sprintf("%d.%02d", low+r.IntN(high-low), r.IntN(100))
}

func pick[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }
