package change

import (
	"encoding/binary"
	"slices"
	"testing"
)

func TestSnapshot(t *testing.T) {
	t.Parallel()
	s, err := ParseSnapshot("10:20:12,15")
	if err != nil {
		t.Fatal(err)
	}
	b := binary.BigEndian.AppendUint32(nil, 2)
	for _, x := range []uint64{10, 20, 12, 15} {
		b = binary.BigEndian.AppendUint64(b, x)
	}
	same, err := DecodeSnapshot(b)
	if err != nil || same.Xmin != s.Xmin || same.Xmax != s.Xmax || !slices.Equal(same.Xip, s.Xip) {
		t.Fatalf("binary %v %v, text %v", same, err, s)
	}
	for xid, over := range map[uint64]bool{9: true, 10: true, 12: false, 13: true, 15: false, 19: true, 20: false, 99: false} {
		if s.Over(xid) != over {
			t.Errorf("over(%d) = %v", xid, !over)
		}
	}
	for _, bad := range []string{"", "1", "1:2", "a:2:", "1:2:x"} {
		if _, err := ParseSnapshot(bad); err == nil {
			t.Errorf("%q is no snapshot", bad)
		}
	}
	if _, err := DecodeSnapshot(b[:30]); err == nil {
		t.Error("a cut snapshot is no snapshot")
	}
}
