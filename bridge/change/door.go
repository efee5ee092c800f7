package change

import "hash/fnv"

// DoorKey is the key of the advisory lock by which a channel's leader tells the triggers that it is awake: while somebody
// holds it exclusively, or waits for it, a capture does not get it shared and leaves NOTIFY out.
func DoorKey(schema, channel string) int64 {
	h := fnv.New64a()
	h.Write([]byte("rowfeed door " + schema + "\x00" + channel))
	return int64(h.Sum64()) //nolint:gosec // any number will do for a lock, negative ones too
}
