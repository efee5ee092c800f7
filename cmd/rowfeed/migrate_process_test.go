package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// start starts rowfeed migrate as a process of its own.
func (m *migration) start(verb string) (cmd *exec.Cmd, lines io.Reader, errs *bytes.Buffer) {
	m.t.Helper()
	program, err := os.Executable()
	if err != nil {
		m.t.Fatal(err)
	}
	cmd = exec.CommandContext(m.t.Context(), program, "migrate", verb, "--config", m.path)
	cmd.Env = append(os.Environ(), childEnv+"=1")
	errs = &bytes.Buffer{}
	cmd.Stderr = errs
	if lines, err = cmd.StdoutPipe(); err == nil {
		err = cmd.Start()
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return cmd, lines, errs
}

// manyTables are tables and the rules of them.
func manyTables(n int) (ddl string, rules []string) {
	for i := range n {
		ddl += fmt.Sprintf("create table t%d (id serial primary key, a text);", i)
		rules = append(rules, fmt.Sprintf("table: t%d, columns: [id, a]", i))
	}
	return ddl, rules
}

// write keeps writing until the test is through with it; no write may fail.
func (m *migration) write(tables int) (stop func()) {
	m.t.Helper()
	ctx, cancel := context.WithCancel(m.t.Context())
	conn, err := pgx.Connect(ctx, m.db.URL)
	if err != nil {
		m.t.Fatal(err)
	}
	var writer sync.WaitGroup
	writer.Go(func() {
		defer conn.Close(context.WithoutCancel(ctx))
		for n := 0; ctx.Err() == nil; n++ {
			if _, err := conn.Exec(m.t.Context(), fmt.Sprintf("insert into t%d (a) values ('x')", n%tables)); err != nil {
				m.t.Errorf("a write failed: %v", err)
				return
			}
		}
	})
	return func() {
		cancel()
		writer.Wait()
	}
}

// TestFiveProcesses: five ups at once install each table once, and all end well.
func TestFiveProcesses(t *testing.T) {
	t.Parallel()
	ddl, rules := manyTables(6)
	m := newMigration(t, ddl, rules...)
	stop := m.write(6)
	var all strings.Builder
	var mu sync.Mutex
	var processes sync.WaitGroup
	for range 5 {
		cmd, lines, errs := m.start("up")
		processes.Go(func() {
			text, _ := io.ReadAll(lines)
			if err := cmd.Wait(); err != nil {
				t.Errorf("up: %v: %s", err, errs)
			}
			mu.Lock()
			defer mu.Unlock()
			all.Write(text)
		})
	}
	processes.Wait()
	stop()
	installed := 0
	for line := range strings.Lines(all.String()) {
		if strings.Contains(line, " watch public.t") && !strings.Contains(line, "locked") {
			installed++
		}
	}
	if installed != 6 || strings.Count(all.String(), "nothing to do")+strings.Count(all.String(), "waiting: ") < 4 {
		t.Errorf("6 tables were installed %d times:\n%s", installed, all.String())
	}
	m.must(0, "installed", "status")
}

// TestKilled: up and down are killed, or their session is, after each step and in between, until one comes to its end.
func TestKilled(t *testing.T) {
	t.Parallel()
	ddl, rules := manyTables(5)
	m := newMigration(t, ddl, rules...)
	before := m.dump()
	stop := m.write(5)
	for _, verb := range []string{"up", "down", "up"} {
		kills := 0
		for round := 0; ; round++ {
			if round > 60 {
				t.Fatalf("%s never comes to its end", verb)
			}
			session := round%2 == 1
			cmd, lines, errs := m.start(verb)
			if m.killAfter(cmd, lines, 1+rand.IntN(2), session) {
				kills++
				_ = cmd.Wait() // killed
				continue
			}
			if err := cmd.Wait(); err != nil {
				if session { // its session was ended
					kills++
					continue
				}
				t.Fatalf("%s: %v: %s", verb, err, errs)
			}
			break
		}
		if kills == 0 {
			t.Errorf("%s was never killed", verb)
		}
		if verb == "down" {
			if after := m.dump(); after != before {
				t.Errorf("down left something: %s", after)
			}
			continue
		}
		m.must(0, "nothing to do", "plan")
	}
	stop()
}

// killAfter kills a process once it has said so many lines, or ends its session; false when it came to its end before.
func (m *migration) killAfter(cmd *exec.Cmd, lines io.Reader, n int, session bool) bool {
	m.t.Helper()
	scanner := bufio.NewScanner(lines)
	for range n {
		if !scanner.Scan() {
			return false
		}
	}
	timer := time.NewTimer(rand.N(4 * time.Millisecond)) // somewhere within the next step
	<-timer.C
	if session {
		m.db.Exec(m.t, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and "+
			"application_name = 'rowfeed migrate'")
		for scanner.Scan() { // to its end
		}
		return false
	}
	if err := cmd.Process.Kill(); err != nil {
		return false
	}
	for scanner.Scan() {
	}
	return true
}

// TestInterrupted: ctrl-C ends up, with a word on what is done and what is not.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	ddl, rules := manyTables(3)
	m := newMigration(t, ddl, rules...)
	holder, err := pgx.Connect(t.Context(), m.db.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close(context.WithoutCancel(t.Context()))
	if _, err := holder.Exec(t.Context(), "begin; insert into t1 values (1, 'a')"); err != nil {
		t.Fatal(err)
	}
	cmd, lines, errs := m.start("up")
	scanner := bufio.NewScanner(lines)
	for scanner.Scan() {
		if strings.Contains(scanner.Text(), "try 2") {
			break
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for scanner.Scan() { // the rest
	}
	err = cmd.Wait()
	for _, says := range []string{"stopped", "not done: watch public.t1", "run `rowfeed migrate up` again"} {
		if err == nil || !strings.Contains(errs.String(), says) {
			t.Errorf("%v: %q is not in %s", err, says, errs)
		}
	}
	if _, err := holder.Exec(t.Context(), "rollback"); err != nil {
		t.Fatal(err)
	}
	m.must(0, "watch public.t1", "up")
}
