package main

import (
	"context"
	"testing"
	"time"
)

// demoMigrationTest: the table is altered and mended in turn, no step twice, and the bridge finds each by itself.
func demoMigrationTest(t *testing.T, v demoVisitor) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, c := range []struct {
		step   string
		status int
		found  bool
	}{{"drop", 404, false}, {"up", 409, false}, {"alter", 200, true}, {"alter", 409, true}, {"up", 200, false}, {"alter", 200, true}, {"up", 200, false}} {
		if status := v.call(t, "POST", "/demo/migration/"+c.step, map[string]string{}, nil); status != c.status {
			t.Fatalf("%s: %d, want %d", c.step, status, c.status)
		}
		var state demoMigrationState
		for tick := time.Tick(50 * time.Millisecond); ; {
			if status := v.call(t, "GET", "/demo/migration", nil, &state); status == 200 && state.Found == c.found {
				break
			}
			select {
			case <-ctx.Done():
				t.Fatalf("after %s the bridge does not find what there is: %+v", c.step, state)
			case <-tick:
			}
		}
	}
}
