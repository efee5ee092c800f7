//go:build linux

package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ledger is what is committed, as the audit has it: the states of each row, in order, and who wrote them.
type ledger map[int][]arrival

// readLedger reads the audit.
func (s *stage) readLedger(ctx context.Context) (ledger, int, error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, "select item, n * 2 + (op = 'd')::int, mark from item_audit order by 1, 2")
	if err != nil {
		return nil, 0, fmt.Errorf("read audit: %w", err)
	}
	all, total := ledger{}, 0
	var a arrival
	_, err = pgx.ForEachRow(rows, []any{&a.row, &a.at, &a.mark}, func() error {
		all[a.row] = append(all[a.row], a)
		total++
		return nil
	})
	return all, total, err
}

// verdict is what a client's record is worth, against the audit.
type verdict struct {
	lost     int // committed, and never came
	twice    int // came again under another id
	disorder int // came after a later one of its row
	foreign  int // was never committed
	undone   int // of transactions that did not wait for the disk, committed then and undone by a crash
	untold   int // of these, those after which the client was not told to fetch afresh
	first    string
}

func (v *verdict) add(o verdict) {
	v.lost, v.twice, v.disorder = v.lost+o.lost, v.twice+o.twice, v.disorder+o.disorder
	v.foreign, v.undone, v.untold = v.foreign+o.foreign, v.undone+o.undone, v.untold+o.untold
	if v.first == "" {
		v.first = o.first
	}
}

func (v *verdict) note(what string, c *client, a arrival) {
	if v.first == "" {
		v.first = fmt.Sprintf("%s: %s item %d at %d, written by %s", what, c.name, a.row, a.at, a.mark)
	}
}

// judge compares what the client has got of a load with what is committed.
func (l ledger) judge(c *client, by *load) (v verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	committed := map[version]string{}
	for _, states := range l {
		for _, a := range states {
			committed[a.version] = a.mark
		}
	}
	got, last := map[version]bool{}, map[int]int{}
	for _, a := range c.log {
		mark, ok := committed[a.version]
		_, hasty := by.hasty.Load(a.mark)
		switch {
		case a.row == 0: // the first beacon, from before the record; a resume may bring it again
			continue
		case (!ok || mark != a.mark) && hasty:
			v.undone++
			if a.told == c.tally.resyncs {
				v.untold++
				v.note("undone and not told", c, a)
			}
			continue
		case !ok || mark != a.mark:
			v.foreign++
			v.note("never committed", c, a)
			continue
		case got[a.version]:
			v.twice++
			v.note("twice", c, a)
		case a.at < last[a.row]:
			v.disorder++
			v.note("out of order", c, a)
		}
		got[a.version], last[a.row] = true, max(last[a.row], a.at)
	}
	for _, states := range l {
		for _, a := range states {
			if _, fetched := c.known[a.version]; !got[a.version] && !fetched {
				v.lost++
				v.note("lost", c, a)
			}
		}
	}
	return v
}

// readItems reads what a client reads that fetches afresh: every state that is committed.
func (s *stage) readItems(ctx context.Context) ([]version, error) {
	committed, _, err := s.readLedger(ctx)
	var all []version
	for _, states := range committed {
		for _, a := range states {
			all = append(all, a.version)
		}
	}
	return all, err
}
