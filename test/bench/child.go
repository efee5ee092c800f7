//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// child is a process of ours that does a job: a server whose CPU time and memory are its own, or the clients. It ends
// when its standard input does, so it never outlives us.
type child struct {
	role    string
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers chan string
	hello   string // what it said when it was ready
}

// patience bounds every single thing that is waited for.
const patience = time.Minute

// spawn starts a child and returns when it is ready.
func spawn(ctx context.Context, j job) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	c := &child{role: j.Role, cmd: exec.Command(self), answers: make(chan string)}
	c.cmd.Env = append(os.Environ(), roleVariable+"=1")
	c.cmd.Stderr = os.Stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us, who stop it in order
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start %s: %w", j.Role, err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", j.Role, err)
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", j.Role, err)
	}
	go func() { // ends with the child's output
		defer close(c.answers)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			c.answers <- lines.Text()
		}
	}()
	first, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("write job: %w", err)
	}
	if c.hello, err = c.ask(ctx, string(first)); err != nil {
		_ = c.stop()
		return nil, err
	}
	return c, nil
}

// ask sends a command and returns its answer.
func (c *child) ask(ctx context.Context, command string) (string, error) {
	if _, err := fmt.Fprintln(c.in, command); err != nil {
		return "", fmt.Errorf("ask %s: %w", c.role, err)
	}
	limit := time.NewTimer(patience + 5*time.Second)
	defer limit.Stop()
	select {
	case answer, ok := <-c.answers:
		if !ok {
			return "", fmt.Errorf("ask %s: it has ended", c.role)
		}
		if text, ok := strings.CutPrefix(answer, "error "); ok {
			return "", fmt.Errorf("%s: %s", c.role, text)
		}
		return strings.TrimSpace(strings.TrimPrefix(answer, "ok")), nil
	case <-ctx.Done():
		return "", ctx.Err()
	case <-limit.C:
		return "", fmt.Errorf("ask %s: no answer", c.role)
	}
}

// number asks for an integer.
func (c *child) number(ctx context.Context, command string) (int, error) {
	text, err := c.ask(ctx, command)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// stop ends the child and waits for it.
func (c *child) stop() error {
	c.in.Close()
	kill := time.AfterFunc(15*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	for range c.answers { // an answer that nobody waited for
	}
	var exit *exec.ExitError
	if err := c.cmd.Wait(); errors.As(err, &exit) {
		return fmt.Errorf("end %s: %w", c.role, err)
	} else if err != nil {
		return fmt.Errorf("wait for %s: %w", c.role, err)
	}
	return nil
}
