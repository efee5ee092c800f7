//go:build linux && race

package main

// raced tells that the race detector is on.
const raced = true
