package source

import (
	"encoding/binary"
	"slices"
	"testing"

	"nalar.internal/rowfeed/bridge/change"
)

func TestSnapshot(t *testing.T) {
	t.Parallel()
	s, err := parseSnapshotText("10:20:12,15")
	if err != nil {
		t.Fatal(err)
	}
	b := binary.BigEndian.AppendUint32(nil, 2)
	for _, x := range []uint64{10, 20, 12, 15} {
		b = binary.BigEndian.AppendUint64(b, x)
	}
	same, err := parseSnapshot(b)
	if err != nil || same.xmin != s.xmin || same.xmax != s.xmax || !slices.Equal(same.xip, s.xip) {
		t.Fatalf("binary %v %v, text %v", same, err, s)
	}
	for xid, over := range map[uint64]bool{9: true, 10: true, 12: false, 13: true, 15: false, 19: true, 20: false, 99: false} {
		if s.over(xid) != over {
			t.Errorf("over(%d) = %v", xid, !over)
		}
	}
	for _, bad := range []string{"", "1", "1:2", "a:2:", "1:2:x"} {
		if _, err := parseSnapshotText(bad); err == nil {
			t.Errorf("%q is no snapshot", bad)
		}
	}
	if _, err := parseSnapshot(b[:30]); err == nil {
		t.Error("a cut snapshot is no snapshot")
	}
}

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
		_, _ = parseSnapshot(array)
		_, _ = parseSnapshotText(string(eight))
	})
}

// What a tick does not see is remembered until a later tick sees it, also what there was no room for.
func TestMemory(t *testing.T) {
	t.Parallel()
	f := New(Options{})
	at := func(text string) *tick {
		s, err := parseSnapshotText(text)
		if err != nil {
			t.Fatal(err)
		}
		return &tick{snapshot: s}
	}
	f.floor = at("10:10:").snapshot
	for lsn := range uint64(maxRecent) {
		f.remember(identity{xid: 20, lsn: lsn})
	}
	f.remember(identity{xid: 21})
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
