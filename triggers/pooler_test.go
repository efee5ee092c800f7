package triggers

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// pgbouncer starts the real pooler before a database and returns the URL through it.
func pgbouncer(t *testing.T, database, mode string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // Debian's, which is not on everybody's path
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatal("there is no pgbouncer: run scripts/setup.sh pgbouncer")
	}
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	dir := t.TempDir()
	users, config := filepath.Join(dir, "users"), filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf("[databases]\n* = host=%s port=%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %s\nunix_socket_dir =\n"+
		"auth_type = trust\nauth_file = %s\npool_mode = %s\nignore_startup_parameters = extra_float_digits\n", u.Hostname(), u.Port(), port,
		users, mode)
	for path, text := range map[string]string{users: `"postgres" ""`, config: text} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for d := dir; d != os.TempDir() && len(d) > 1; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{config}
	if os.Getuid() == 0 { // which it refuses to run as
		args = append([]string{"-u", "nobody"}, args...)
	}
	var log bytes.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
	})
	u.Host, u.RawQuery = net.JoinHostPort("127.0.0.1", port), "sslmode=disable"
	deadline := time.Now().Add(time.Minute)
	for {
		conn, err := pgx.Connect(t.Context(), u.String())
		if err == nil {
			conn.Close(t.Context())
			return u.String()
		}
		select {
		case e := <-ended:
			ended <- e
			t.Fatalf("pgbouncer ended: %v: %s", e, log.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("pgbouncer does not answer: %v", err)
		}
	}
}

// TestPooler: a pooler that gives each transaction another session is refused before anything is done; one that keeps a
// session for each client is as good as none.
func TestPooler(t *testing.T) {
	t.Parallel()
	b := setup(t, ordersDDL, want("orders", "status"))
	for mode, says := range map[string]string{"transaction": "there is a pooler", "statement": "pooler", "session": ""} {
		conn, err := pgx.Connect(t.Context(), pgbouncer(t, b.db.URL, mode))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
		err = Pooled(t.Context(), conn)
		if (err != nil) != (says != "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("pool_mode %s: %v, want %q", mode, err, says)
		}
		if err := Up(t.Context(), conn, b.target, func(string) {}); (err == nil) != (says == "") {
			t.Errorf("up with pool_mode %s: %v", mode, err)
		}
		if mode != "session" && b.one("select count(*)::text from pg_locks where locktype = 'advisory' and "+
			"database = (select oid from pg_database where datname = current_database())") != "0" {
			t.Errorf("pool_mode %s: a lock was left with somebody", mode)
		}
	}
	if err := Pooled(t.Context(), b.conn); err != nil {
		t.Errorf("without a pooler: %v", err)
	}
}
