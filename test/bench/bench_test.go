//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) != "" { // this binary is its own children too
		if err := runChild(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// TestEveryBenchmark runs each benchmark with few clients: that every event arrives is theirs to check, and how long it
// took is not for a test.
func TestEveryBenchmark(t *testing.T) {
	z := sizes{rounds: 1, rows: 5, rate: 200, changes: 20, subscribers: 10, calm: 3, users: 12, few: 5, events: 400,
		idle: 30, quiet: 400 * time.Millisecond, stock: 300, writers: []int{1, 2}, spell: 100 * time.Millisecond}
	for _, b := range benchmarks {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			var out, progress bytes.Buffer
			err := run(t.Context(), &out, &progress, []string{b.name}, z, "")
			if bars := (*barsError)(nil); err != nil && !errors.As(err, &bars) {
				t.Fatal(err)
			}
			rows := strings.Count(out.String(), "\n| ") - 1
			if rows < 1 || strings.Contains(out.String(), "NaN") || strings.Contains(out.String(), "not measured") {
				t.Errorf("table is not whole:\n%s", out.String())
			}
		})
	}
}

func TestUnknownBenchmark(t *testing.T) {
	err := run(t.Context(), &bytes.Buffer{}, &bytes.Buffer{}, []string{"speed"}, short, "")
	if err == nil || !strings.Contains(err.Error(), `"speed"`) {
		t.Errorf("want an error that names it, got %v", err)
	}
}

// TestSubscriberPieces feeds a conversation byte by byte and as a whole: what is heard must be the same.
func TestSubscriberPieces(t *testing.T) {
	long := `{"type":"stock_changed","data":{"quantity":7,"x":"` + strings.Repeat("y", 300) + `"}}`
	wire := "HTTP/1.1 101 Switching Protocols\r\n\r\n" + textFrame(`{"type":"welcome"}`) +
		textFrame(`{"type":"subscribed","ref":"1"}`) + textFrame(long) + "\x89\x00" + textFrame(`{"type":"heartbeat"}`) +
		textFrame(`{"type":"stock_changed","data":{"quantity":8}}`)
	for _, piece := range []int{1, 2, 5, 1000} {
		var heard []int
		var said bytes.Buffer
		c := &subscriber{user: 1, channel: "stock", say: func(b []byte) error { said.Write(b); return nil }}
		c.heard = func(_ *subscriber, event []byte) error {
			n, err := number(event, "quantity")
			heard = append(heard, n)
			return err
		}
		for rest := []byte(wire); len(rest) > 0; rest = rest[min(piece, len(rest)):] {
			if err := c.feed(rest[:min(piece, len(rest))]); err != nil {
				t.Fatalf("pieces of %d: %v", piece, err)
			}
		}
		if fmt.Sprint(heard) != "[7 8]" || c.got != 2 || c.beats != 2 || c.phase != live {
			t.Errorf("pieces of %d: heard %v, %d events, %d beats", piece, heard, c.got, c.beats)
		}
		if pong := "\x8a\x80\x00\x00\x00\x00"; !strings.HasSuffix(said.String(), pong) {
			t.Errorf("pieces of %d: the ping was not answered", piece)
		}
	}
}

// textFrame makes a text frame as servers send it.
func textFrame(text string) string {
	if len(text) < 126 {
		return "\x81" + string(rune(len(text))) + text
	}
	return "\x81\x7e" + string([]byte{byte(len(text) >> 8), byte(len(text))}) + text
}
