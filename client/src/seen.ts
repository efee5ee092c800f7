/**
 * Remembers which events were handed out, and when: what it returns writes down that event `id` is handed out now, and
 * answers with the clock of the time before, so that a handler which came later and asked for the past still gets what
 * is sent again for its sake. Bounded: of `limit` ids the newer half is always there. The bound is for what may come
 * twice: all that a connection was sent after its newest cursor, which a long replay without one makes many. A
 * remembered id costs some 100 bytes.
 */
export function createSeen(limit = 150_000): (id: string, clock: number) => number | undefined {
  // Two, of which the older is forgotten as a whole: to look for the oldest entry of one Map takes ever longer, since
  // it leads past all that were deleted.
  let newer = new Map<string, number>()
  let older = newer
  return (id, clock) => {
    const before = newer.get(id) ?? older.get(id)
    newer.set(id, clock)
    if (newer.size >= limit / 2) {
      older = newer
      newer = new Map()
    }
    return before
  }
}
