package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"nalar.internal/rowfeed/bridge/source"
)

const (
	connectTimeout = 10 * time.Second // to the only host
	hostTimeout    = 3 * time.Second  // to each of several: one that is dead must not use up the time of the next
	lostAfter      = 10 * time.Second // what was sent and is not acknowledged for as long has gone nowhere
)

// keepAlive finds out within lostAfter, about, that a silent connection leads nowhere.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3}

// DatabaseConfig reads database.url into what every connection is made of: one that ends in a silent network, and, where
// several hosts are named, leads to the one that is the primary.
func DatabaseConfig(url string) (*pgx.ConnConfig, error) {
	pooled, err := parsePool(url) // it takes its own parameters out of the URL, pool_max_conns say
	if err != nil {
		return nil, err
	}
	c := pooled.ConnConfig
	c.DialFunc = dial
	c.RuntimeParams["client_encoding"] = "UTF8"           // frames are, whatever the database or the role says
	c.RuntimeParams["standard_conforming_strings"] = "on" // pgx refuses several statements at once without
	// Ticks are written, and emptying the outbox has to see what others commit meanwhile, whatever the role's defaults.
	c.RuntimeParams["default_transaction_read_only"] = "off"
	c.RuntimeParams["default_transaction_isolation"] = "read committed"
	several := len(hosts(c)) > 1
	if several && c.ValidateConnect == nil {
		// A promoted standby is found, and a primary that has become a standby is not used. Not read-write: that a
		// primary is read-only by a setting is no reason to go to another.
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
		if several {
			c.ConnectTimeout = hostTimeout
		}
	}
	return c, nil
}

// parsePool reads database.url. An error has nothing of it: what pgx repeats of an address without its password is more
// than it should be where the password is quoted or misplaced.
func parsePool(url string) (*pgxpool.Config, error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("read database.url: it is not the address of a PostgreSQL database, or a pool_… parameter in it " +
			"is no number: write postgres://user@host:5432/database")
	}
	return c, nil
}

// hosts are the addresses that the configuration names, each once: pgx has one twice where it would try it without TLS.
func hosts(c *pgx.ConnConfig) []string {
	list := []string{net.JoinHostPort(c.Host, fmt.Sprint(c.Port))}
	for _, f := range c.Fallbacks {
		if h := net.JoinHostPort(f.Host, fmt.Sprint(f.Port)); !slices.Contains(list, h) {
			list = append(list, h)
		}
	}
	return list
}

// dial opens a connection that ends when the network swallows what is sent: without a reset TCP would wait for a quarter
// of an hour, and a connection that only listens for ever.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: keepAlive}
	if strings.HasPrefix(network, "tcp") {
		d.Control = setUserTimeout
	}
	return d.DialContext(ctx, network, address)
}

// connect opens a connection outside of the pool.
func (b *Bridge) connect(ctx context.Context, c *pgx.ConnConfig) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, max(connectTimeout, time.Duration(len(hosts(c)))*c.ConnectTimeout))
	defer cancel()
	return pgx.ConnectConfig(ctx, c)
}

// dedicated returns how a feed connects: outside of the pool, with settings that its statements rely on.
func (b *Bridge) dedicated(name string) func(context.Context) (*pgx.Conn, error) {
	return func(ctx context.Context) (*pgx.Conn, error) {
		c := b.db.Copy()
		c.RuntimeParams["application_name"] = name
		// The sweep's plan must be the index's from the first row on, whatever the statistics say of a young table.
		c.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
		c.RuntimeParams["enable_seqscan"] = "off"
		c.RuntimeParams["max_parallel_workers_per_gather"] = "0"
		c.RuntimeParams["jit"] = "off"
		// What a DBA limits for the ERP's sessions would end a sweep of many rows again and again, or the listener.
		for _, limit := range []string{"statement_timeout", "lock_timeout", "idle_session_timeout"} {
			c.RuntimeParams[limit] = "0"
		}
		return b.connect(ctx, c)
	}
}

// openPool opens the pool for what is no feed: identity queries, ticks, canaries.
func (b *Bridge) openPool(ctx context.Context) error {
	c, err := parsePool(b.cfg.Database.URL)
	if err != nil {
		return err
	}
	c.ConnConfig = b.db.Copy()
	c.ConnConfig.RuntimeParams["application_name"] = "rowfeed"
	if b.pool, err = pgxpool.NewWithConfig(ctx, c); err != nil {
		return fmt.Errorf("open pool: %w", err)
	}
	return nil
}

// notify sends a notification through the pool, which shares no connection with a listener.
func (b *Bridge) notify(ctx context.Context, channel, payload string) error {
	rung, err := source.Ring(ctx, b.pool, channel, payload)
	b.leave(err)
	if err == nil && !rung {
		err = errors.New("the server's queue of notifications is over half full")
	}
	return err
}

// SQLSTATEs of a server that has become a standby, or stands behind a proxy that now leads to one: PostgreSQL manual,
// appendix A.
const (
	readOnlyTransaction = "25006"
	wrongState          = "55000" // "recovery is in progress"
)

// leave has the pool connect anew where an error says that its connections lead to a server that is no primary.
func (b *Bridge) leave(err error) {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == readOnlyTransaction || pg.Code == wrongState) {
		b.pool.Reset()
	}
}
