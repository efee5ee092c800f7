package bridge_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"nalar.internal/rowfeed/bridge"
	"nalar.internal/rowfeed/test/pgtest"
	"nalar.internal/rowfeed/test/rig"
)

// Every form of database.url that PostgreSQL's own programs take leads to the server, and so do the pool's parameters.
func TestConnections(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	dead := rig.FreeAddress(t)
	host, port, _ := net.SplitHostPort(dead)
	tcp, server := fmt.Sprintf("127.0.0.1:%d", db.Server.Port()), db.Server.Port()
	for what, url := range map[string]string{
		"TCP":           "postgres://postgres@" + tcp + "/" + db.Name + "?sslmode=disable",
		"TLS preferred": "postgres://postgres@" + tcp + "/" + db.Name,
		"socket":        fmt.Sprintf("host=%s port=%d user=postgres dbname=%s", db.Server.Dir(), server, db.Name),
		"pool":          "postgres://postgres@" + tcp + "/" + db.Name + "?sslmode=disable&pool_max_conns=3",
		"second host":   "postgres://postgres@" + dead + "," + tcp + "/" + db.Name + "?sslmode=disable",
		"second of two": fmt.Sprintf("host=%s,127.0.0.1 port=%s,%d user=postgres dbname=%s", host, port, server, db.Name),
	} {
		c, err := bridge.DatabaseConfig(url)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		conn, err := pgx.ConnectConfig(context.Background(), c)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		var name string
		if err := conn.QueryRow(context.Background(), "select current_database()").Scan(&name); err != nil || name != db.Name {
			t.Errorf("%s: in database %s, %v", what, name, err)
		}
		conn.Close(context.Background())
	}
}

// Why the bridge can't start is said in one line, with what to do.
func TestNoConnection(t *testing.T) {
	t.Parallel()
	one, two := rig.FreeAddress(t), rig.FreeAddress(t)
	for hosts, want := range map[string][]string{
		one:             {"connect to the database: ", one, "refused", "check database.url"},
		one + "," + two: {one, two, "; "},
		pooler(t):       {"unsupported startup parameter", "a pooler such as PgBouncer", "name the server itself"},
	} {
		b := bridgeTo(t, hosts)
		err := b.Run(context.Background())
		if err == nil {
			t.Fatalf("%s: the bridge ran", hosts)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q does not say %q in one line", err, w)
			}
		}
	}
}

// pooler answers a connection as PgBouncer answers parameters that it does not know, and returns its address.
func pooler(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			fields := "SERROR\x00C08P01\x00Munsupported startup parameter: plan_cache_mode\x00\x00"
			if _, err := conn.Read(make([]byte, 4096)); err == nil {
				fmt.Fprintf(conn, "E\x00\x00\x00%c%s", 4+len(fields), fields)
			}
			conn.Close()
		}
	}()
	return l.Addr().String()
}
