/**
 * Remembers which events were handed out, and when: `mark` answers with the clock of the last time, so that a handler
 * which came later and asked for the past still gets what is sent again for its sake. Bounded; the oldest are forgotten first. The bound is
 * for what may come twice: all that a connection was sent after its newest cursor, which a long replay without one makes
 * many. A remembered id costs some 100 bytes.
 */
export class Seen {
  readonly #clocks = new Map<string, number>()
  readonly #limit: number

  constructor(limit = 100_000) {
    this.#limit = limit
  }

  /** Writes down that event `id` is handed out now; returns the clock of the time before, or undefined. */
  mark(id: string, clock: number): number | undefined {
    const before = this.#clocks.get(id)
    this.#clocks.delete(id)
    this.#clocks.set(id, clock)
    if (this.#clocks.size > this.#limit) {
      const oldest = this.#clocks.keys().next().value
      if (oldest !== undefined) this.#clocks.delete(oldest)
    }
    return before
  }
}
