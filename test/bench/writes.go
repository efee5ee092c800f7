//go:build linux

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/test/measure"
	"nalar.internal/rowfeed/test/pgserver"
)

var (
	//go:embed sql/writes.sql
	writesSQL string
	//go:embed sql/writes_floor.sql
	writesFloorSQL string
)

// writesSettings keep what comes once in a while out of rounds of seconds: a checkpoint makes the next change of each page
// write it whole, a vacuum takes half a processor. Tables are vacuumed between the rounds instead.
var writesSettings = map[string]string{"max_wal_size": "8GB", "checkpoint_timeout": "1h", "autovacuum": "off"}

// writesLimit leaves room for a machine that has other things to do.
const writesLimit = 20 * time.Minute

// way is one of the ways to hear of a write.
type way struct {
	name     string
	database string
	url      string      // as the ERP
	conn     *pgx.Conn   // for what is done between the rounds
	empty    string      // SQL that empties what the trigger fills
	door     int64       // key of the lock that a leader holds while it is busy; 0: nobody is
	tps      [][]float64 // updates a second of each count of writers, one a round
	bulk     []float64   // seconds of one update of all rows, one a round
}

// The ways, in the order of the table's columns.
const (
	bare = iota
	busy
	quiet
	least
	plain
)

// writes measures what the ERP's writes cost: single rows from several clients, each update a transaction, and all rows in
// one; without a trigger, with ours, with one that only keeps the row, and with one that sends it by NOTIFY.
func writes(s *stage, z sizes) ([]figure, []string, error) {
	ways, err := s.ways(z)
	if err != nil {
		return nil, nil, err
	}
	for i := range z.rounds + 1 {
		for kind := range len(z.writers) + 1 { // what is compared is measured close together
			for k := range ways {
				if err := ways[(i+k)%len(ways)].measure(s.ctx, z, kind-1, i > 0); err != nil {
					return nil, nil, err
				}
			}
		}
	}
	var all []figure
	for i, n := range z.writers {
		name := fmt.Sprintf("updates of one row, %s", clients(n))
		against := func(w, other *way) figure {
			return figure{name: name + ", " + w.name, unit: "/s", ours: w.tps[i], against: other.tps[i], other: other.name}
		}
		beside, beyond := against(ways[busy], ways[least]), against(ways[busy], ways[plain])
		if n == z.writers[len(z.writers)-1] {
			beside.least, beyond.least = 0.85, 2
		}
		all = append(all, beside, beyond, against(ways[quiet], ways[plain]))
	}
	added := func(w *way) []float64 {
		list := make([]float64, len(w.bulk))
		for i := range list {
			list[i] = w.bulk[i] - ways[bare].bulk[i]
		}
		return list
	}
	for _, w := range []int{busy, quiet} {
		all = append(all, figure{name: fmt.Sprintf("one update of %d rows: what the trigger adds, %s", z.stock, ways[w].name),
			unit: "s", ours: added(ways[w]), against: added(ways[least]), other: ways[least].name, most: 1.5})
	}
	return all, []string{table(ways, z)}, nil
}

// ways makes the databases.
func (s *stage) ways(z sizes) ([]*way, error) {
	ways := []*way{bare: {name: "no trigger"}, busy: {name: "busy"}, quiet: {name: "quiet"},
		least: {name: "bare trigger"}, plain: {name: "pg_notify(row)"}}
	for i, more := range map[int]string{bare: "", busy: "", least: writesFloorSQL, plain: floorSQL} {
		database, err := s.makeDatabase(z.stock, writesSQL+more)
		if err != nil {
			return nil, err
		}
		ways[i].database, ways[i].url = database, s.server.URL(database, "erp")
		if i == busy {
			url := s.server.URL(database, bridgeRole)
			j := job{Config: s.file(), Environ: []string{"ROWFEED_DATABASE_URL=" + url, "ROWFEED_AUTH_JWT_SECRET=" + secret}}
			if err := s.install(j, database); err != nil {
				return nil, err
			}
		}
	}
	ways[quiet].database, ways[quiet].url = ways[busy].database, ways[busy].url
	ways[busy].door = change.DoorKey("rowfeed", "stock")
	for _, i := range []int{busy, quiet} {
		ways[i].empty = "truncate rowfeed.change_0, rowfeed.change_1, rowfeed.change_2"
	}
	ways[least].empty = "truncate floor"
	for _, w := range ways {
		w.tps = make([][]float64, len(z.writers))
		conn, err := pgx.Connect(s.ctx, s.server.URL(w.database, pgserver.Superuser))
		if err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
		s.conns, w.conn = append(s.conns, conn), conn
	}
	return ways, nil
}

// measure measures once what that count of writers does (by its index), or with -1 one update of all rows.
func (w *way) measure(ctx context.Context, z sizes, writers int, counts bool) error {
	return w.attended(ctx, func(ctx context.Context) error {
		if err := w.prepare(ctx); err != nil {
			return err
		}
		list, value, err := &w.bulk, 0.0, error(nil)
		if writers < 0 {
			value, err = bulk(ctx, w.url)
		} else {
			list = &w.tps[writers]
			value, err = load(ctx, w.url, z.writers[writers], z.stock, z.spell)
		}
		if err == nil && counts {
			*list = append(*list, value)
		}
		return err
	})
}

// prepare begins each measurement with the same: no dead rows, and nothing in what the trigger fills.
func (w *way) prepare(ctx context.Context) error {
	var errs []error
	for _, sql := range []string{w.empty, "vacuum inventory_stocklevel"} {
		if sql != "" {
			_, err := w.conn.Exec(ctx, sql)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// attended runs do while a listener reads, as there is one wherever NOTIFY is used, and the door's lock is held.
func (w *way) attended(ctx context.Context, do func(context.Context) error) (err error) {
	conn, err := pgx.Connect(ctx, w.url)
	if err != nil {
		return fmt.Errorf("connect listener: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, `listen floor; listen "rowfeed:stock"`); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if w.door != 0 {
		if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", w.door); err != nil {
			return fmt.Errorf("lock the door: %w", err)
		}
	}
	listening, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		for {
			if _, err := conn.WaitForNotification(listening); err != nil {
				ended <- err
				return
			}
		}
	}()
	defer func() {
		stop()
		if lost := <-ended; !errors.Is(lost, context.Canceled) {
			err = errors.Join(err, fmt.Errorf("wait for notifications: %w", lost))
		}
	}()
	return do(ctx)
}

// table is what all ways came to, in Markdown.
func table(ways []*way, z sizes) string {
	var b strings.Builder
	row := func(name, unit string, values func(*way) []float64) {
		fmt.Fprintf(&b, "| %s |", name)
		for _, w := range ways {
			text := measure.Digits(measure.Median(values(w)))
			fmt.Fprintf(&b, " %s %s |", text, unit)
		}
		fmt.Fprintln(&b)
	}
	fmt.Fprint(&b, "\n| writes of the ERP | no trigger | rowfeed, busy | rowfeed, quiet | bare trigger | pg_notify(row) |\n")
	fmt.Fprint(&b, "| --- | --- | --- | --- | --- | --- |\n")
	for i, n := range z.writers {
		row("updates of one row, "+clients(n), "/s", func(w *way) []float64 { return w.tps[i] })
	}
	row(fmt.Sprintf("one update of %d rows", z.stock), "s", func(w *way) []float64 { return w.bulk })
	return b.String()
}

func clients(n int) string {
	if n == 1 {
		return "one client"
	}
	return fmt.Sprintf("%d clients", n)
}
