package main

import (
	"os"
	"testing"
)

// childEnv makes the test's program be rowfeed itself, so that tests can start it, and kill it.
const childEnv = "ROWFEED_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		main() // ends the process
	}
	m.Run()
}
