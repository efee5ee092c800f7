package source

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"nalar.internal/rowfeed/bridge/change"
)

var (
	//go:embed queries/edge.sql
	edgeSQL string
	//go:embed queries/found.sql
	foundSQL string
	//go:embed queries/newest.sql
	newestSQL string
	//go:embed queries/watching.sql
	watchingSQL string
)

// Bounds of a search.
const (
	findTime  = "5s" // of one statement
	findPage  = 200  // changes that are fetched at a time
	findLimit = 50_000
)

// Edge is what an outbox can tell of.
type Edge struct {
	Epoch    string
	Horizon  uint64 // transactions up to it may be gone
	Slot     time.Duration
	Oldest   time.Time // zero: it is empty
	Snapshot *change.Snapshot
}

// Found is a change that was found.
type Found struct {
	Channel string
	Change  change.Change
}

// Finder looks for single changes in the outbox, for an operator who asks: in a transaction that reads only, each
// statement in five seconds at the most.
type Finder struct {
	tx        pgx.Tx
	schema    string
	relations map[int32]*change.Relation
}

// Find runs search with a Finder on a connection that nobody else uses meanwhile.
func Find(ctx context.Context, conn *pgx.Conn, schema string, search func(*Finder) error) error {
	relations, err := loadRelations(ctx, conn, schema)
	if err != nil {
		return err
	}
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, conn, options, func(tx pgx.Tx) error {
		// The index has the order that is wanted, whatever a young table's statistics say.
		if _, err := tx.Exec(ctx, "set local statement_timeout = '"+findTime+"'; set local enable_sort = off"); err != nil {
			return err
		}
		return search(&Finder{tx: tx, schema: schema, relations: relations})
	})
}

// Edge returns what the outbox can tell of.
func (f *Finder) Edge(ctx context.Context) (*Edge, error) {
	var e Edge
	var fingerprint, gone, snapshot string
	var seconds int
	var oldest *time.Time
	err := f.tx.QueryRow(ctx, render(edgeSQL, f.schema)).Scan(&fingerprint, &gone, &seconds, &snapshot, &oldest)
	if err != nil {
		return nil, fmt.Errorf("read installation: %w", err)
	}
	e.Epoch, e.Slot = epochOf(fingerprint), time.Duration(seconds)*time.Second
	if oldest != nil {
		e.Oldest = *oldest
	}
	if e.Horizon, err = strconv.ParseUint(gone, 10, 64); err != nil {
		return nil, errRow
	}
	e.Snapshot, err = change.ParseSnapshot(snapshot)
	return &e, err
}

// Status returns how a transaction ended: committed, aborted, in progress; empty where the server no longer knows.
func (f *Finder) Status(ctx context.Context, xid uint64) (string, error) {
	var status *string
	err := f.tx.QueryRow(ctx, "select pg_catalog.pg_xact_status($1::text::xid8)", strconv.FormatUint(xid, 10)).Scan(&status)
	if err != nil || status == nil {
		return "", err
	}
	return *status, nil
}

// Watching tells whether there is a table (schema.table), and how its trigger stands: as tgenabled of pg_trigger has it, A
// for always, D for disabled; empty where there is none.
func (f *Finder) Watching(ctx context.Context, table string) (exists bool, enabled string, err error) {
	var state *string
	if err = f.tx.QueryRow(ctx, watchingSQL, table, "00_"+f.schema).Scan(&exists, &state); err != nil {
		return false, "", fmt.Errorf("read triggers: %w", err)
	}
	if state != nil {
		enabled = *state
	}
	return exists, enabled, nil
}

// At returns the changes with a transaction, position and time, one for each channel at the most.
func (f *Finder) At(ctx context.Context, xid, lsn uint64, at time.Time) ([]*Found, error) {
	rows, err := f.tx.Query(ctx, render(foundSQL, f.schema), pgx.QueryResultFormats{1}, strconv.FormatUint(xid, 10), textLSN(lsn))
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	list, err := f.collect(rows)
	return slices.DeleteFunc(list, func(c *Found) bool { return !c.Change.At.Equal(at) }), err
}

// Newest returns the newest changes of a channel, up to n, that are of a row: those of a table (schema.table) that is
// chooses. key is the row's canonical key. voided is the newest change that could not be captured, or a TRUNCATE, if it
// came after them; all tells that the whole outbox was looked through, or that there are n.
func (f *Finder) Newest(
	ctx context.Context, channel, table, key string, n int, is func(*change.Change) bool,
) (list []*Found, voided *Found, all bool, err error) {
	ids, parts := f.decoders(table, key)
	sql := render(newestSQL, f.schema)
	if _, err := f.tx.Exec(ctx, sql, channel, ids, parts); err != nil {
		return nil, nil, false, fmt.Errorf("read outbox: %w", err)
	}
	for looked := 0; looked < findLimit; looked += findPage {
		rows, err := f.tx.Query(ctx, "fetch "+strconv.Itoa(findPage)+" from rowfeed_newest", pgx.QueryResultFormats{1})
		if err != nil {
			return list, voided, false, fmt.Errorf("read outbox: %w", err)
		}
		page, err := f.collect(rows)
		if pg := new(pgconn.PgError); errors.As(err, &pg) && pg.Code == queryCanceled {
			return list, voided, false, errTooLong
		}
		if err != nil {
			return nil, nil, false, err
		}
		for _, c := range page {
			switch op := c.Change.Op; {
			case op == change.Truncate || op == change.Resync:
				if voided == nil && len(list) == 0 {
					voided = c
				}
			case is(&c.Change):
				if list = append(list, c); len(list) == n {
					return list, voided, true, f.done(ctx)
				}
			}
		}
		if len(page) < findPage {
			return list, voided, true, f.done(ctx)
		}
	}
	return list, voided, false, f.done(ctx)
}

// queryCanceled is the SQLSTATE of a statement that took too long: PostgreSQL manual, appendix A.
const queryCanceled = "57014"

var errTooLong = errors.New("read outbox: it is too large to be looked through in " + findTime + ": give the event's id")

// done closes the search, so that another one may begin.
func (f *Finder) done(ctx context.Context) error {
	_, err := f.tx.Exec(ctx, "close rowfeed_newest")
	return err
}

// decoders returns the ids of all versions of a table's capture, and the captured texts of the key's parts where they are
// the same as in the key.
func (f *Finder) decoders(table, key string) (ids []int32, parts []string) {
	plain := true
	var last *change.Relation
	for id, r := range f.relations {
		if r.Table != table {
			continue
		}
		ids = append(ids, id)
		if last == nil || id > last.ID {
			last = r
		}
		for _, k := range r.Key {
			switch r.Columns[k].Kind {
			case change.Integer, change.Numeric, change.Text, change.Bool:
			default:
				plain = false
			}
		}
	}
	parts = []string{}
	if last == nil || !plain {
		return ids, parts
	}
	if len(last.Key) == 1 {
		return ids, append(parts, key)
	}
	return ids, change.KeyParts(key)
}

// Captured tells whether the outbox has a decoder of the table's changes.
func (f *Finder) Captured(table string) bool {
	ids, _ := f.decoders(table, "")
	return len(ids) > 0
}

// collect copies the rows of a search.
func (f *Finder) collect(rows pgx.Rows) ([]*Found, error) {
	defer rows.Close()
	var list []*Found
	for rows.Next() {
		raw := rows.RawValues()
		if len(raw) != 9 {
			return nil, errRow
		}
		full := make([][]byte, sweepColumns)
		for i, v := range raw[:8] {
			full[colXid+i] = slices.Clone(v)
		}
		found := &Found{Channel: strings.Clone(string(raw[8]))}
		_, capture, err := decode(full, &found.Change, &[2]change.Row{})
		if err != nil {
			return nil, err
		}
		found.Change.Relation, found.Change.Reason = f.relations[capture], reasonOf(found.Change.Op)
		list = append(list, found)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	return list, nil
}

// Position returns where a change stands in memory; 0 where it is not there.
func (h *History) Position(xid, lsn uint64, at time.Time) uint64 {
	h.mu.RLock()
	chunks := make([]chunk, len(h.chunks))
	for i, c := range h.chunks {
		chunks[i] = chunk{first: c.first, records: c.records}
	}
	h.mu.RUnlock()
	for _, c := range slices.Backward(chunks) {
		for i := range c.records {
			if r := &c.records[i]; r.Xid == xid && r.LSN == lsn && r.At == at.UnixMicro() {
				return c.first + uint64(i)
			}
		}
	}
	return 0
}

// Swept tells whether the feed has read all that a transaction left.
func (f *Feed) Swept(xid uint64) bool {
	s := f.seen.Load()
	return s != nil && s.Over(xid)
}
