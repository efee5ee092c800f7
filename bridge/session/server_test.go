package session

import (
	"testing"
	"time"
)

// A handshake that began before the drain and is listed after it hears 4000 by itself.
func TestDrainDuringHandshake(t *testing.T) {
	t.Parallel()
	srv, _ := setup(t, 0)
	s := &Session{srv: srv, slot: -1, address: "192.0.2.1"}
	srv.Drain(t.Context(), time.Second)
	srv.register(s)
	if v := srv.admit(s); v.code != closeDraining {
		t.Errorf("want 4000, got %v", v)
	}
}
