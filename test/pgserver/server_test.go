package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// childEnv makes the test binary a program that starts a server, prints its URL and waits to be killed.
const childEnv = "PGSERVER_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		server, err := Start(context.Background(), Options{})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(server.URL("postgres", Superuser))
		select {}
	}
	goleak.VerifyTestMain(m)
}

func setup(t *testing.T, opt Options) *Server {
	t.Helper()
	server, err := Start(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return server
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func query(t *testing.T, url, sql string) string {
	t.Helper()
	var text string
	if err := connect(t, url).QueryRow(t.Context(), sql).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

func TestStopLeavesNothing(t *testing.T) {
	t.Parallel()
	server := setup(t, Options{})
	if got := query(t, server.URL("postgres", Superuser), "show fsync"); got != "off" {
		t.Errorf("fsync is %s, want the fast default", got)
	}
	server.Stop()
	<-server.Done()
	if _, err := os.Stat(server.Dir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("directory is still there: %v", err)
	}
	if c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(server.Port()))); err == nil {
		c.Close()
		t.Error("something still listens on the port")
	}
	if err := server.Restart(t.Context()); err == nil {
		t.Error("a stopped server started again without its data")
	}
}

// TestVersion: the server is of the version that was asked for. scripts/test-versions.sh reads what is logged.
func TestVersion(t *testing.T) {
	t.Parallel()
	server := setup(t, Options{})
	major, err := server.Major()
	if err != nil {
		t.Fatal(err)
	}
	sql := "select (current_setting('server_version_num')::int / 10000)::text"
	if got := query(t, server.URL("postgres", Superuser), sql); got != strconv.Itoa(major) {
		t.Errorf("the server says that it is of version %s, its data directory %d", got, major)
	}
	if got, err := Major(t.Context(), server.opt.BinDir); err != nil || got != major {
		t.Errorf("the program says that it is of version %d, %v, its data directory %d", got, err, major)
	}
	if want := os.Getenv(VersionEnv); want != "" && os.Getenv(BinEnv) == "" && want != strconv.Itoa(major) {
		t.Errorf("the server is of version %d, want %s", major, want)
	}
	t.Logf("PostgreSQL %d is used", major)
}

func TestSocketAndSettings(t *testing.T) {
	t.Parallel()
	server := setup(t, Options{Durable: true, Settings: map[string]string{"work_mem": "5MB"}})
	url := fmt.Sprintf("host=%s port=%d user=%s dbname=postgres", server.Dir(), server.Port(), Superuser)
	for setting, want := range map[string]string{"fsync": "on", "full_page_writes": "on", "work_mem": "5MB"} {
		if got := query(t, url, "show "+setting); got != want {
			t.Errorf("%s is %s, want %s", setting, got, want)
		}
	}
}

func TestRestartKeepsPortAndData(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{0, syscall.SIGQUIT, syscall.SIGKILL} {
		t.Run(fmt.Sprint("after signal ", int(sig)), func(t *testing.T) {
			t.Parallel()
			server := setup(t, Options{})
			url := server.URL("postgres", Superuser)
			conn := connect(t, url)
			if _, err := conn.Exec(t.Context(), "create table kept (id int)"); err != nil {
				t.Fatal(err)
			}
			if sig != 0 {
				if err := server.Kill(sig); err != nil {
					t.Fatal(err)
				}
				<-server.Done()
			}
			if err := server.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := conn.Ping(t.Context()); err == nil {
				t.Error("a connection outlived the server")
			}
			if got := query(t, url, "select count(*)::text from kept"); got != "0" {
				t.Errorf("count is %s", got)
			}
		})
	}
}

func TestDirIsKeptAndUsedAgain(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "pgserver-test-") // t.TempDir's parent is closed to the server's account
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	identify := "select system_identifier::text from pg_control_system()"

	first := setup(t, Options{Dir: dir})
	want := query(t, first.URL("postgres", Superuser), identify)
	first.Stop()
	second := setup(t, Options{Dir: dir})
	if got := query(t, second.URL("postgres", Superuser), identify); got != want {
		t.Errorf("system identifier %s, want that of the first start, %s", got, want)
	}
}

func TestSweepRemovesWhatNobodyHolds(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	old := time.Now().Add(-time.Hour)
	name := func(n string) string { return filepath.Join(tmp, dirPattern+n, lockName) }
	for _, n := range []string{"left", "held", "young"} {
		if err := os.Mkdir(filepath.Dir(name(n)), 0o700); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(name(n))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if n != "young" {
			if err := os.Chtimes(name(n), old, old); err != nil {
				t.Fatal(err)
			}
		}
		if n == "held" {
			if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
				t.Fatal(err)
			}
		}
	}
	sweep(tmp)
	for n, want := range map[string]bool{"left": false, "held": true, "young": true} {
		if _, err := os.Stat(name(n)); (err == nil) != want {
			t.Errorf("%s: there is %v, want %v", n, err == nil, want)
		}
	}
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		opt  Options
		want string
	}{
		"bad setting":  {Options{Settings: map[string]string{"work_mem": "much"}}, `invalid value for parameter "work_mem"`},
		"no binaries":  {Options{BinDir: t.TempDir()}, "run initdb"},
		"file, no dir": {Options{Dir: os.Args[0]}, "make server directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := Start(t.Context(), tc.opt)
			if err == nil {
				server.Stop()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %q, want %q in it", err, tc.want)
			}
		})
	}
}

func TestStartIsCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if server, err := Start(ctx, Options{}); !errors.Is(err, context.Canceled) {
		if err == nil {
			server.Stop()
		}
		t.Errorf("error %v, want context.Canceled", err)
	}
}
