//go:build !linux

// Command soak attacks a bridge under load. It reads /proc: it runs on Linux.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "soak: it runs on Linux only")
	os.Exit(1)
}
