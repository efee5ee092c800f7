//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What a child can say of itself.

// cpu answers with the user and system time that this process has used, in microseconds.
func cpu(string) (string, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return "", fmt.Errorf("read cpu time: %w", err)
	}
	return strconv.FormatInt((u.Utime.Nano()+u.Stime.Nano())/1000, 10), nil
}

// written answers with how many system calls have written something, and how many bytes.
func written(string) (string, error) {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return "", fmt.Errorf("read what was written: %w", err)
	}
	var chars, bytes, reads, calls int
	const format = "rchar: %d\nwchar: %d\nsyscr: %d\nsyscw: %d"
	if _, err := fmt.Sscanf(string(text), format, &chars, &bytes, &reads, &calls); err != nil {
		return "", fmt.Errorf("read what was written: %w", err)
	}
	return fmt.Sprintf("%d %d", calls, bytes), nil
}

// rss answers with the resident memory of this process in kilobytes; unlike the counters in status it is exact.
func rss(string) (string, error) {
	text, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		return "", fmt.Errorf("read resident memory: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "Rss:" {
			return fields[1], nil
		}
	}
	return "", errors.New("read resident memory: no Rss in smaps_rollup")
}

// gc collects what is garbage and gives it back to the system; twice, since what a finalizer held goes the second time.
func gc(string) (string, error) {
	runtime.GC()
	debug.FreeOSMemory()
	return "", nil
}

// heap writes what is in use into the named file, and the runtime's own account of its memory into a text beside it.
func heap(path string) (string, error) {
	for name, debug := range map[string]int{path: 0, path + ".txt": 1} {
		f, err := os.Create(name)
		if err != nil {
			return "", err
		}
		err = pprof.Lookup("heap").WriteTo(f, debug)
		if err = errors.Join(err, f.Close()); err != nil {
			return "", err
		}
	}
	return "", nil
}

// profiler writes CPU profiles.
type profiler struct{ f *os.File }

// turn starts a profile into the named file, or ends the one that runs.
func (p *profiler) turn(path string) (string, error) {
	if p.f != nil {
		pprof.StopCPUProfile()
		err := p.f.Close()
		p.f = nil
		return "", err
	}
	var err error
	if p.f, err = os.Create(path); err != nil {
		return "", err
	}
	return "", pprof.StartCPUProfile(p.f)
}
