//go:build !race

package oracle_test

const (
	cases       = 100_000
	socketCases = 2_000
)
