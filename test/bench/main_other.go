//go:build !linux

// Command bench prints the figures of the README; it reads the processes' CPU time and memory as Linux tells them.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "bench: this is for Linux: run it there, or in a container")
	os.Exit(1)
}
