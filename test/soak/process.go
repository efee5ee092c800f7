//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// process is the bridge as a real process: built once, started, killed and started again.
type process struct {
	program string
	config  string
	environ []string
	address string // host:port of its public listener
	admin   string
	log     string // file that its standard error goes to

	pid  int
	kill func() error // by SIGKILL
	done chan struct{}
}

// patience bounds every single thing that is waited for.
const patience = time.Minute

// build makes the program, as race-enabled as this one is.
func build(ctx context.Context, to string) error {
	args := []string{"build", "-o", to}
	if raced {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "nalar.internal/rowfeed/cmd/rowfeed")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build rowfeed: %w\n%s", err, out)
	}
	return nil
}

// start runs the program and returns when it is ready.
func (p *process) start(ctx context.Context) error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(p.program, "serve", "-c", p.config)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir(), "GORACE=halt_on_error=1"}, p.environ...)
	cmd.Stderr, cmd.Stdout = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	done, started := make(chan struct{}), make(chan error)
	go func() { // the parent-death signal comes when the thread that forked ends: it is kept
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(done)
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start bridge: %w", err)
	}
	p.pid, p.done, p.kill = cmd.Process.Pid, done, cmd.Process.Kill
	return p.ready(ctx)
}

// ready waits until the process says that changes reach subscribers.
func (p *process) ready(ctx context.Context) error {
	err := await(ctx, patience, func() (bool, error) {
		select {
		case <-p.done:
			return false, errors.New("it ended")
		default:
		}
		res, err := http.Get("http://" + p.address + "/readyz")
		if err != nil {
			return false, nil // not yet
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK, nil
	})
	if err != nil {
		return fmt.Errorf("wait for bridge: %w\n%s", err, p.tail())
	}
	return nil
}

// shrink has a bridge take its place that remembers little.
func (p *process) shrink(ctx context.Context) error {
	if err := p.crash(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	p.program = self
	p.environ = append(p.environ, fmt.Sprintf("%s=%d", smallVariable, smallMemory))
	return p.start(ctx)
}

// crash kills the process and waits until it is gone.
func (p *process) crash() error {
	if err := p.kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill bridge: %w", err)
	}
	<-p.done
	return nil
}

// alive tells whether the process has not ended by itself.
func (p *process) alive() error {
	select {
	case <-p.done:
		return fmt.Errorf("the bridge ended\n%s", p.tail())
	default:
		return nil
	}
}

func (p *process) tail() []byte {
	text, _ := os.ReadFile(p.log)
	return bytes.TrimSpace(text[max(0, len(text)-3000):])
}

// metric returns the sum of a metric over all of its labels that contain the given text.
func (p *process) metric(name, labels string) (float64, error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+p.admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token(jwt.MapClaims{"user_id": 0, "rowfeed_operator": true}))
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("scrape metrics: %w", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("scrape metrics: %s %w", res.Status, err)
	}
	line := regexp.MustCompile(`(?m)^` + name + `(\{[^}]*\})? (\S+)$`)
	sum, found := 0.0, false
	for _, m := range line.FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(m[1], labels) {
			continue
		}
		v, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return 0, fmt.Errorf("scrape metrics: %w", err)
		}
		sum, found = sum+v, true
	}
	if !found {
		return 0, fmt.Errorf("scrape metrics: no %s", name)
	}
	return sum, nil
}

// memory returns a line of the process's status in kilobytes: VmRSS, VmHWM.
func (p *process) memory(line string) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return 0, fmt.Errorf("read memory: %w", err)
	}
	for l := range strings.Lines(string(text)) {
		if fields := strings.Fields(l); len(fields) == 3 && fields[0] == line+":" {
			return strconv.Atoi(fields[1])
		}
	}
	return 0, fmt.Errorf("read memory: no %s", line)
}

// resetPeak makes VmHWM what the process holds now (proc(5), clear_refs).
func (p *process) resetPeak() error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("reset peak of memory: %w", err)
	}
	return nil
}

// await asks often until done says yes.
func await(ctx context.Context, most time.Duration, done func() (bool, error)) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(most)
	defer limit.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			return fmt.Errorf("not there after %s", most)
		case <-tick.C:
		}
	}
}

// pause waits for what has no sign of its own: the time between two faults.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
