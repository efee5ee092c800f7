package erp

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// builder collects the sample's rows table by table.
type builder struct {
	*rand.Rand
	today  time.Time
	people []person
	sites  []warehouse
	order  []string
	tables map[string]*rows
}

type rows struct {
	columns []string
	values  [][]any
}

// load fills the tables.
func load(ctx context.Context, tx pgx.Tx) error {
	b := &builder{
		Rand:   rand.New(rand.NewPCG(17, 42)),
		today:  time.Now().UTC().Truncate(24 * time.Hour),
		tables: map[string]*rows{},
	}
	b.company()
	b.staff()
	b.stock()
	b.estate()
	for _, d := range documents {
		for id := range int64(d.rows) {
			b.document(d, id+1)
		}
	}
	for _, table := range b.order {
		r := b.tables[table]
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{table}, r.columns, pgx.CopyFromRows(r.values)); err != nil {
			return fmt.Errorf("copy %s: %w", table, err)
		}
		sql := fmt.Sprintf("select setval(pg_get_serial_sequence('%[1]s', 'id'), max(id)) from %[1]s", table)
		if _, err := tx.Exec(ctx, sql); err != nil {
			return fmt.Errorf("set sequence of %s: %w", table, err)
		}
	}
	return nil
}

// add appends a row and returns its id. All rows of a table name the same columns.
func (b *builder) add(table string, fields ...field) int64 {
	t := b.tables[table]
	if t == nil {
		t = &rows{columns: []string{"id"}}
		for _, f := range fields {
			t.columns = append(t.columns, f.column)
		}
		b.tables[table] = t
		b.order = append(b.order, table)
	}
	id := int64(len(t.values) + 1)
	row := []any{id}
	for _, f := range fields {
		row = append(row, f.value)
	}
	t.values = append(t.values, row)
	return id
}

// ago returns a time of day at most the given number of days before today.
func (b *builder) ago(days int) time.Time {
	return b.today.AddDate(0, 0, -1-b.IntN(days)).Add(time.Duration(8*3600+b.IntN(9*3600)) * time.Second)
}

func times(at time.Time) []field { return []field{{"created_at", at}, {"updated_at", at}} }

func (b *builder) company() {
	for _, c := range companies {
		b.add("core_company", append([]field{{"name", c.name}, {"currency", c.currency}}, times(b.ago(900))...)...)
	}
	for _, g := range groups {
		b.add("auth_group", field{"name", g})
	}
	for _, s := range depots {
		id := b.add("inventory_warehouse", append([]field{{"company_id", s.company}, {"code", s.code}, {"name", s.name},
			{"city", s.city}}, times(b.ago(900))...)...)
		b.sites = append(b.sites, warehouse{id, s.company})
	}
}

// staff makes the users, two thirds of them in the first company. Each group has members in each company.
func (b *builder) staff() {
	for i := range users {
		first, last := firstNames[i%len(firstNames)], lastNames[(i*8+i/30)%len(lastNames)]
		company := int64(1)
		if i%3 == 2 {
			company = 2
		}
		login := strings.ToLower(first + "." + strings.NewReplacer(" ", "", "'", "").Replace(last))
		id := b.add("auth_user", field{"password", "!"}, field{"is_superuser", i == 0}, field{"username", login},
			field{"first_name", first}, field{"last_name", last}, field{"email", login + "@nalar.example"},
			field{"is_staff", i%10 == 0}, field{"is_active", i%20 != 19}, field{"date_joined", b.ago(800)},
			field{"company_id", company})
		if i%20 == 19 { // has left
			continue
		}
		p := person{id: int32(id), company: company, name: first + " " + last}
		if i < 3*len(groups) { // the first six of three users each: two of company 1, one of company 2
			b.join(&p, i/3)
		} else if b.IntN(4) == 0 {
			b.join(&p, b.IntN(len(groups)))
		}
		b.people = append(b.people, p)
	}
}

func (b *builder) join(p *person, group int) {
	p.groups = append(p.groups, groups[group])
	b.add("auth_user_groups", field{"user_id", p.id}, field{"group_id", group + 1})
	if groups[group] != "warehouse" {
		return
	}
	for _, w := range b.sites {
		if w.company == p.company {
			p.warehouses = append(p.warehouses, w.id)
			b.add("inventory_warehouse_staff", field{"warehouse_id", w.id}, field{"user_id", p.id})
		}
	}
}

// stock makes the SKUs and what of each lies in each warehouse.
func (b *builder) stock() {
	for i := range skus {
		g := goods[i%len(goods)]
		b.add("inventory_sku", append([]field{{"code", fmt.Sprintf("SKU-%04d", i+1)},
			{"name", fmt.Sprintf("%s, type %c", g.name, 'A'+rune(i/len(goods)))}, {"unit", g.unit},
			{"price", money(b.Rand, 2, 180)}, {"is_active", true}}, times(b.ago(700))...)...)
	}
	for sku := range int64(skus) {
		for _, w := range b.sites {
			at := b.ago(60)
			quantity, reorder := 20+b.IntN(400), 10*(1+b.IntN(5))
			level := b.add("inventory_stocklevel", append([]field{{"company_id", w.company}, {"sku_id", sku + 1},
				{"warehouse_id", w.id}, {"quantity", quantity}, {"reorder_level", reorder}}, times(at)...)...)
			b.add("inventory_stockmovement", field{"stock_level_id", level}, field{"kind", "opening"},
				field{"delta", quantity}, field{"created_at", at})
		}
	}
}

// estate makes assets and grants.
func (b *builder) estate() {
	for i := range assets {
		company := int64(1 + i%len(companies))
		at, status := b.ago(600), "in_stock"
		var holder, since any
		if b.IntN(3) > 0 {
			holder, since, status = b.someone(company, "").id, at, "assigned"
		}
		b.add("assets_asset", append([]field{{"tag", fmt.Sprintf("AST-%04d", i+1)}, {"company_id", company},
			{"name", pick(b.Rand, assetNames)}, {"serial_number", fmt.Sprintf("%08X", b.Uint32())},
			{"assigned_to_id", holder}, {"assigned_at", since}, {"status", status},
			{"purchase_price", money(b.Rand, 80, 3000)}}, times(at)...)...)
	}
	for i := range grants {
		company := int64(1 + i%len(companies))
		at := b.ago(500)
		b.add("grants_grant", append([]field{{"code", fmt.Sprintf("GR-%03d", i+1)}, {"company_id", company},
			{"manager_id", b.someone(company, "grants").id}, {"title", pick(b.Rand, grantTitles)},
			{"donor", pick(b.Rand, donors)}, {"amount", money(b.Rand, 2_000_000, 9_000_000)}, {"disbursed", "0.00"},
			{"currency", companies[company-1].currency}, {"status", "active"}, {"starts_on", at},
			{"ends_on", at.AddDate(2, 0, 0)}}, times(at)...)...)
	}
}

// grantOf returns the id of one of the company's grants.
func grantOf(r *rand.Rand, company int64) int64 {
	n := int64(len(companies))
	return company + n*r.Int64N(grants/n)
}

// someone returns a person of the company and, if it is named, the group.
func (b *builder) someone(company int64, group string) person {
	return pick(b.Rand, members(b.people, company, group))
}

func members(people []person, company int64, group string) []person {
	var found []person
	for _, p := range people {
		if p.company == company && (group == "" || slices.Contains(p.groups, group)) {
			found = append(found, p)
		}
	}
	return found
}

// document makes one request with its history told by its status, and the notification that followed.
func (b *builder) document(d document, id int64) {
	who, places := author(b.Rand, b.people, b.sites, d)
	at := b.ago(90)
	status := pick(b.Rand, []string{"draft", "pending", "pending", "approved", "approved", "approved", "rejected"})
	var by, decided any
	if status == "approved" || status == "rejected" {
		by, decided = b.someone(who.company, d.approver).id, at.Add(time.Duration(1+b.IntN(48))*time.Hour)
	}
	fields := []field{{"number", d.number(id)}, {"company_id", who.company}, {"requested_by_id", who.id},
		{"approved_by_id", by}, {"status", status}, {"decided_at", decided}}
	b.add(d.table, append(append(fields, d.content(b.Rand, who, places, at)...), times(at)...)...)
	if d.table == "procurement_purchaseorder" {
		b.add("procurement_purchaseorderline", field{"purchase_order_id", id}, field{"sku_id", 1 + b.IntN(skus)},
			field{"quantity", 20 + b.IntN(100)}, field{"unit_price", money(b.Rand, 2, 180)})
	}
	if decided != nil {
		var read any
		if b.IntN(5) > 0 {
			read = at.Add(72 * time.Hour)
		}
		b.add("notifications_notification", field{"user_id", who.id}, field{"kind", d.kind + "_" + status},
			field{"message", fmt.Sprintf("Your %s %s was %s", d.noun, d.number(id), status)},
			field{"link", fmt.Sprintf(d.link, id)}, field{"created_at", decided}, field{"read_at", read})
	}
}

// author picks who writes a document: transfers need a company with two warehouses.
func author(r *rand.Rand, people []person, sites []warehouse, d document) (person, []warehouse) {
	company := int64(1 + r.IntN(len(companies)))
	if d.table == "inventory_transferrequest" {
		company = 1
	}
	var own []warehouse
	for _, w := range sites {
		if w.company == company {
			own = append(own, w)
		}
	}
	return pick(r, members(people, company, "")), own
}
