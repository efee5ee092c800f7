/**
 * Remembers which events were handed out, and when: what it returns writes down that event `id` is handed out now, and
 * answers with the clock of the time before, so that a handler which came later and asked for the past still gets what
 * is sent again for its sake. Bounded; the oldest are forgotten first. The bound is for what may come twice: all that a
 * connection was sent after its newest cursor, which a long replay without one makes many. A remembered id costs some
 * 100 bytes.
 */
export function createSeen(limit = 100_000): (id: string, clock: number) => number | undefined {
  const clocks = new Map<string, number>()
  return (id, clock) => {
    const before = clocks.get(id)
    clocks.delete(id)
    clocks.set(id, clock)
    if (clocks.size > limit) clocks.delete(clocks.keys().next().value!)
    return before
  }
}
