package change

import "hash/fnv"

// DoorKey is the key of the advisory lock by which a channel's leader tells the triggers that it is awake: while somebody
// holds it exclusively, or waits for it, a capture does not get it shared and leaves NOTIFY out.
func DoorKey(schema, channel string) int64 { return lockKey("door", schema, channel) }

// LeaderKey is the key of the advisory lock that one node of a channel holds while it leads. No trigger tries it, so it is
// had or not at once, whatever is open in the database.
func LeaderKey(schema, channel string) int64 { return lockKey("leader", schema, channel) }

func lockKey(of, schema, channel string) int64 {
	h := fnv.New64a()
	h.Write([]byte("rowfeed " + of + " " + schema + "\x00" + channel))
	return int64(h.Sum64()) //nolint:gosec // any number will do for a lock, negative ones too
}
