/**
 * Remembers which events were handed out, and when: `mark` answers with the clock of the last time, so that a handler
 * which came later and asked for the past still gets what is sent again for its sake. Bounded: of `limit` ids the newer
 * half is always there. The bound is for what may come twice: all that a connection was sent after its newest cursor,
 * which a long replay without one makes many. A remembered id costs some 100 bytes.
 */
export class Seen {
  // Two, of which the older is forgotten as a whole: to look for the oldest entry of one Map takes ever longer, since
  // it leads past all that were deleted.
  #newer = new Map<string, number>()
  #older = new Map<string, number>()
  readonly #limit: number

  constructor(limit = 150_000) {
    this.#limit = limit
  }

  /** Writes down that event `id` is handed out now; returns the clock of the time before, or undefined. */
  mark(id: string, clock: number): number | undefined {
    const before = this.#newer.get(id) ?? this.#older.get(id)
    this.#newer.set(id, clock)
    if (this.#newer.size >= this.#limit / 2) {
      this.#older = this.#newer
      this.#newer = new Map()
    }
    return before
  }
}
