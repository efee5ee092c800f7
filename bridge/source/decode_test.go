package source

import (
	"testing"

	"nalar.internal/rowfeed/bridge/change"
)

// Whatever bytes come, decoding ends in a row or an error, and never reads past them.
func FuzzDecode(f *testing.F) {
	array := []byte{0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 25, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 'x', 255, 255, 255, 255}
	f.Add(array, []byte("12345678"), byte('i'))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25}, []byte("1234567"), byte('u'))
	f.Fuzz(func(t *testing.T, array, eight []byte, op byte) {
		raw := make([][]byte, sweepColumns)
		raw[colXid], raw[colLSN], raw[colAt] = eight, eight, eight
		raw[colCapture], raw[colDepth], raw[colOp] = []byte("1234"), []byte("12"), []byte{op}
		raw[colOld], raw[colNew] = array, array
		var c change.Change
		var rows [2]change.Row
		if _, _, err := decode(raw, &c, &rows); err == nil && len(c.New) != len(c.Old) {
			t.Error("the same bytes are two different rows")
		}
		_, _ = change.DecodeSnapshot(array)
		_, _ = change.ParseSnapshot(string(eight))
	})
}

// What a tick does not see is remembered until a later tick sees it, also what there was no room for.
func TestMemory(t *testing.T) {
	t.Parallel()
	f := New(Options{Handler: silent{}})
	at := func(text string) []*tick {
		s, err := change.ParseSnapshot(text)
		if err != nil {
			t.Fatal(err)
		}
		return []*tick{{snapshot: s}}
	}
	f.floor = at("10:10:")[0].snapshot
	for lsn := range uint64(maxRecent) {
		f.remember(identity{xid: 20, lsn: lsn}, 1, &change.Snapshot{})
	}
	f.remember(identity{xid: 21}, 1, &change.Snapshot{})
	f.settle(at("20:25:20,21"))
	if len(f.recent) != maxRecent || len(f.forgotten) != 1 {
		t.Fatalf("%d remembered, %d forgotten while neither was over", len(f.recent), len(f.forgotten))
	}
	f.settle(at("20:24:"))         // an older one
	f.settle(at("20:25:20,21,22")) // likewise: of the same next id, but more in progress
	if len(f.forgotten) != 1 || !f.delivered(identity{xid: 20}) {
		t.Fatal("an older tick was taken")
	}
	f.settle(at("20:26:20"))
	if len(f.forgotten) != 0 || len(f.recent) != maxRecent {
		t.Fatalf("%d remembered, %d forgotten", len(f.recent), len(f.forgotten))
	}
	f.settle(at("26:26:"))
	if len(f.recent) != 0 {
		t.Fatalf("%d remembered of what a tick has seen", len(f.recent))
	}
}

// silent is a handler that hears nothing.
type silent struct{}

func (silent) Change(change.Place, *change.Change) {}
func (silent) Swept()                              {}
func (silent) Settled(string)                      {}
func (silent) Lost(string)                         {}
