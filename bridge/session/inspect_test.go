package session

import (
	"strconv"
	"testing"
	"time"
)

// As many ended sessions are remembered as there is room for, the oldest go first, and it is known from when on none is
// missing.
func TestEndedSessions(t *testing.T) {
	t.Parallel()
	srv := &Server{}
	began := time.Now()
	for i := range maxEnded + 10 {
		srv.past.add(Ended{ID: "n-" + strconv.Itoa(i), User: strconv.Itoa(i % 2), Tenant: "t", At: began.Add(time.Duration(i) * time.Second)})
		if i != 100 {
			continue
		}
		if _, since := srv.Past(Chosen{User: "0"}); !since.IsZero() {
			t.Fatalf("all are remembered, since %v", since)
		}
	}
	list, since := srv.Past(Chosen{User: "1"})
	if len(list) != maxEnded/2 || !since.Equal(began.Add(10*time.Second)) {
		t.Errorf("%d of a user's sessions since %v, want %d", len(list), since.Sub(began), maxEnded/2)
	}
	if list[0].ID != "n-"+strconv.Itoa(maxEnded+9) || list[len(list)-1].ID != "n-11" {
		t.Errorf("from %s to %s", list[0].ID, list[len(list)-1].ID)
	}
	other := "other"
	for name, c := range map[string]Chosen{
		"tenant": {User: "1", Tenant: &other}, "issuer": {User: "1", Issuer: &other}, "id": {Session: "n-1"}, "user": {User: "2"},
		"user of another's session": {Session: "n-11", User: "0"},
	} {
		if list, _ := srv.Past(c); len(list) != 0 {
			t.Errorf("another %s: %d sessions", name, len(list))
		}
	}
	if list, _ := srv.Past(Chosen{Session: "n-11"}); len(list) != 1 {
		t.Errorf("by id: %d sessions", len(list))
	}
}
