package pgserver

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A standby follows until it is promoted; a server that is demoted starts as one.
func TestStandby(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	primary := setup(t, Options{})
	standby, err := primary.Standby(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standby.Stop)
	url := func(s *Server) string { return s.URL("postgres", Superuser) }
	if _, err := connect(t, url(primary)).Exec(ctx, "create table followed (i int)"); err != nil {
		t.Fatal(err)
	}
	reader := connect(t, url(standby))
	awaitTrue(ctx, t, reader, "select to_regclass('followed') is not null and pg_is_in_recovery()")
	if err := primary.Demote(); err != nil {
		t.Fatal(err)
	}
	if err := primary.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if got := query(t, url(primary), "select pg_is_in_recovery()::text"); got != "true" {
		t.Error("the server that was demoted is a primary")
	}
	if got := query(t, url(standby), "select pg_promote()::text"); got != "true" {
		t.Error("the standby was not promoted")
	}
	if _, err := connect(t, url(standby)).Exec(ctx, "insert into followed values (1)"); err != nil {
		t.Error(err)
	}
}

func awaitTrue(ctx context.Context, t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	for ok := false; !ok; {
		if err := conn.QueryRow(ctx, sql).Scan(&ok); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}
