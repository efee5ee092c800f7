import type { CacheEvent, QueryClientLike, QueryLike } from './queryclient.js'
import { startsWith } from './keys.js'

interface Track {
  /** The clock when the newest fetch began, and when the one began that brought what the query holds. */
  began: number
  held: number
  /** A fetch has to begin at this clock or later. */
  need: number
  /** The time of the last fetch's beginning, and up to how much the next one waits, in ms. */
  last: number
  spread: number
  timer: ReturnType<typeof setTimeout> | undefined
  /** What a fetch under way may not know of, to be put into what it brings. */
  late: ((query: QueryLike) => void)[]
}

/** How long after its own writing a page counts as the one who wrote. */
const ownFor = 3_000

/**
 * When queries are fetched. It counts: each event has a clock, and a query that an event concerns needs a fetch that began
 * after it. One fetch of a query is under way at a time, and is never cut short: under a steady stream none would end.
 */
export class Fetches {
  clock = 0
  readonly #client: QueryClientLike
  readonly #interval: number
  readonly #vouched: (query: QueryLike) => boolean
  readonly #tracks = new Map<QueryLike, Track>()
  readonly #waiting = new Set<QueryLike>() // for the page to be visible, or for a mutation
  readonly #stops: (() => void)[]
  #wrote = -Infinity

  /** `vouched` says of a query whether events tell when it is outdated: what is not is left marked as stale. */
  constructor(client: QueryClientLike, interval: number, vouched: (query: QueryLike) => boolean) {
    this.#client = client
    this.#interval = interval
    this.#vouched = vouched
    const page = globalThis.document as Document | undefined
    const wake = (): void => this.#wake()
    page?.addEventListener('visibilitychange', wake)
    this.#stops = [
      () => page?.removeEventListener('visibilitychange', wake),
      client.getQueryCache().subscribe((event) => this.#seen(event)),
      client.getMutationCache().subscribe(({ type, mutation }) => {
        if (type !== 'updated' || !/success|error/.test(mutation!.state.status)) return
        this.#wrote = Date.now()
        wake()
      }),
    ]
  }

  stop(): void {
    this.#stops.forEach((stop) => stop())
    for (const { timer } of this.#tracks.values()) clearTimeout(timer)
    this.#tracks.clear()
    this.#waiting.clear()
  }

  /** The clock from which on a query may lack events. */
  held(query: QueryLike): number {
    return this.#track(query).held
  }

  /** Has a query fetched, unless it holds what was there at `clock`; up to `spread` ms later. */
  need(query: QueryLike, clock: number, spread: number): void {
    const track = this.#track(query)
    if (clock <= track.held) return
    track.need = Math.max(track.need, clock)
    track.spread = spread
    query.invalidate()
    this.#arm(query, track)
  }

  /** Whether a fetch is under way that may be older than what is heard now. */
  busy(query: QueryLike): boolean {
    return query.state.fetchStatus !== 'idle'
  }

  /** Runs once the fetch under way has brought what it brings. */
  after(query: QueryLike, run: (query: QueryLike) => void): void {
    this.#track(query).late.push(run)
  }

  /** Whether a query shows an optimistic update, or may. */
  mutating({ queryKey }: QueryLike): boolean {
    return this.#client
      .getMutationCache()
      .getAll()
      .some(({ state, options: { mutationKey, onMutate } }) =>
        state.status === 'pending' && (onMutate || (mutationKey && startsWith(queryKey, mutationKey.slice(0, 1)))))
  }

  #track(query: QueryLike): Track {
    let track = this.#tracks.get(query)
    if (track === undefined) {
      track = { began: -1, held: -1, need: -1, last: -Infinity, spread: 0, timer: undefined, late: [] }
      this.#tracks.set(query, track)
    }
    return track
  }

  #arm(query: QueryLike, track: Track): void {
    const own = Date.now() - this.#wrote < ownFor && track.last <= this.#wrote
    if (track.need <= track.held || this.busy(query) || (track.timer !== undefined && !own)) return
    clearTimeout(track.timer)
    const wait = Math.max(Math.random() * track.spread, track.last + this.#interval - Date.now())
    track.timer = setTimeout(() => this.#run(query, track), own ? 0 : wait)
  }

  #run(query: QueryLike, track: Track): void {
    track.timer = undefined
    if (track.need <= track.held || this.busy(query) || !query.isActive() || query.isStatic?.()) return
    if (globalThis.document?.visibilityState === 'hidden' || this.mutating(query)) this.#waiting.add(query)
    else query.fetch(undefined, { cancelRefetch: false }).catch(() => {}) // the query has the error
  }

  #wake(): void {
    for (const query of [...this.#waiting]) {
      this.#waiting.delete(query)
      this.#run(query, this.#track(query))
    }
  }

  #seen({ type, query, action }: CacheEvent): void {
    if (type === 'removed') return this.#forget(query)
    if (type !== 'updated') return
    const track = this.#track(query)
    switch (action?.type) {
      case 'fetch':
        track.began = this.clock
        track.last = Date.now()
        return
      case 'success':
        if (!action.manual) this.#brought(query, track)
        // Data clears the mark; whoever mounts the query before it is fetched has to see it.
        if (!query.state.isInvalidated && (track.need > track.held || !this.#vouched(query))) query.invalidate()
        return this.#arm(query, track)
      case 'error': // it stays stale, and TanStack's rules apply; an event heard meanwhile is news
        track.late = []
        return track.need > track.began ? this.#arm(query, track) : undefined
      case 'setState': // a fetch was cancelled, perhaps
        return this.#arm(query, track)
    }
  }

  #brought(query: QueryLike, track: Track): void {
    // One more page of an infinite query makes the others no newer.
    if (!(query.state.fetchMeta as { fetchMore?: unknown } | null)?.fetchMore) track.held = track.began
    const { late } = track
    track.late = []
    late.forEach((run) => run(query))
  }

  #forget(query: QueryLike): void {
    clearTimeout(this.#tracks.get(query)?.timer)
    this.#tracks.delete(query)
    this.#waiting.delete(query)
  }
}
