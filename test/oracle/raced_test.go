//go:build race

package oracle_test

// The race detector takes four times as long.
const (
	cases       = 30_000
	socketCases = 500
)
