package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nalar.internal/rowfeed/test/pgtest"
	"nalar.internal/rowfeed/test/rig"
)

func TestDoctorStandby(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, nil)
	w := setupWard(t, server)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	standby, err := server.Standby(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standby.Stop)
	url := standby.URL(w.db.Name, rig.Role)
	w.cfg.Database.URL = url
	waitFor(t, func() bool { // what was committed has come over
		return strings.Contains(fmt.Sprint(checkDatabase(t.Context(), w.examination)), "leads to a standby")
	})
	if w.has&needsRuntime != 0 || w.has&needsAdmin == 0 {
		t.Errorf("has %b", w.has)
	}
	w.cfg.Database.URL = strings.Replace(url, "127.0.0.1", "localhost:"+strconv.Itoa(standby.Port())+",127.0.0.1", 1)
	text := fmt.Sprint(checkDatabase(t.Context(), w.examination))
	if !strings.Contains(text, "none of its hosts is a primary that answers") {
		t.Error(text)
	}
}

// TestDoctorUnencrypted reaches the server by an address of this machine that is no loopback.
func TestDoctorUnencrypted(t *testing.T) {
	t.Parallel()
	address := outside(t)
	server := pgtest.NewServer(t, map[string]string{"listen_addresses": "*"})
	w := setupWard(t, server)
	hba := filepath.Join(server.Dir(), "data", "pg_hba.conf")
	if err := os.WriteFile(hba, []byte("host all all all trust\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.exec("select pg_reload_conf()")
	w.cfg.Database.URL = strings.Replace(w.cfg.Database.URL, "127.0.0.1", address, 1)
	const words = "database.url: the connection to "
	waitFor(t, func() bool { // the server has read its file
		return strings.Contains(fmt.Sprint(checkDatabase(t.Context(), w.examination)), words+address)
	})
}

// outside is an address of this machine that others can reach.
func outside(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	t.Fatal("this machine has no address but loopback")
	return ""
}

// TestDoctorPooler puts a real PgBouncer in the way.
func TestDoctorPooler(t *testing.T) {
	t.Parallel()
	w := setupWard(t, nil)
	const ignored = "ignore_startup_parameters = extra_float_digits, default_transaction_read_only, default_transaction_isolation\n"
	for _, c := range []struct{ settings, outcome, says string }{
		{"pool_mode = session\n", "fail", "unsupported startup parameter"},
		{"pool_mode = transaction\n" + ignored, "fail", "gives each transaction another connection"},
		{"pool_mode = statement\n" + ignored, "fail", "through a pooler"},
		{"pool_mode = session\n" + ignored, "warn", "through a pooler in session mode"},
	} {
		port := bouncer(t, w.db.Server.Port(), c.settings)
		w.has, w.runtime = 0, nil
		w.cfg.Database.URL = fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", rig.Role, port, w.db.Name)
		f := checkDatabase(t.Context(), w.examination)[0]
		if f.Outcome != c.outcome || !strings.Contains(f.About, c.says) || !strings.Contains(f.Do, "name the server itself in database.url") {
			t.Errorf("%s: %+v", c.settings, f)
		}
		if usable := w.has&needsRuntime != 0; usable != (c.outcome == outcomeWarn) {
			t.Errorf("%s: usable %v", c.settings, usable)
		}
	}
}

// bouncer runs a PgBouncer in front of a server, until the test ends, and returns its port.
func bouncer(t *testing.T, server int, settings string) int {
	t.Helper()
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		path = "/usr/sbin/pgbouncer" // Debian's, which is not in every PATH
	}
	_, text, _ := strings.Cut(rig.FreeAddress(t), ":")
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "rowfeed-bouncer-") // whom it runs as may not read t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ini := fmt.Sprintf("[databases]\n* = host=127.0.0.1 port=%d\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\nauth_type = any\n"+
		"unix_socket_dir =\nserver_tls_sslmode = disable\n%s", server, port, settings)
	// Where auth_type is any, all log in to the server as the user that the database names.
	ini = strings.Replace(ini, "port="+strconv.Itoa(server), "port="+strconv.Itoa(server)+" user="+rig.Role, 1)
	file := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(ini), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, file)
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}} // it refuses to be root
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: install PgBouncer: scripts/setup.sh pgbouncer", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	waitFor(t, func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	return port
}
