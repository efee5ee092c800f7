package pgtest

import "testing"

// Feature is something that not every version of PostgreSQL has, and the first major version that has it.
type Feature struct {
	Name  string
	Since int
}

// What tests ask for that is newer than the oldest version. What is done where it is lacking stands in the test.
var (
	Merge            = Feature{"MERGE", 15}
	NotifyQueuePages = Feature{"the setting max_notify_queue_pages", 17}
	VirtualColumns   = Feature{"virtual generated columns", 18}
)

// Has tells whether the server has the feature, and has the test's log say so where it has not.
func (db *DB) Has(t testing.TB, f Feature) bool {
	t.Helper()
	major, err := db.Server.Major()
	if err != nil {
		t.Fatal(err)
	}
	return f.In(t, major)
}

// In is Has for servers of that major version.
func (f Feature) In(t testing.TB, major int) bool {
	t.Helper()
	if major < f.Since {
		t.Logf("PostgreSQL %d has no %s: that is new in %d", major, f.Name, f.Since)
	}
	return major >= f.Since
}
