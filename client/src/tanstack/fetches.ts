import type { CacheEvent, QueryClientLike, QueryLike } from './queryclient.js'
import { startsWith } from './keys.js'

interface Track {
  /** The clock when the newest fetch began, and when the one began that brought what the query holds. */
  began: number
  held: number
  /** What TanStack says of its age. */
  dated: number
  /** A fetch has to begin at this clock or later. */
  need: number
  /** The time of the last fetch's beginning, and up to how much the next one waits, in ms. */
  last: number
  spread: number
  timer: ReturnType<typeof setTimeout> | undefined
  /** What a fetch under way may not know of, to be put into what it brings. */
  late: (() => void)[]
}

export interface Fetches {
  /** The clock: each event, and each `resync`, has a new one. */
  tick(): number
  /** The clock from which on a query may lack events. */
  held(query: QueryLike): number
  /** Has a query fetched, unless it holds what was there at `clock`; up to `spread` ms later. */
  need(query: QueryLike, clock: number, spread: number): void
  /** Runs once the fetch under way has brought what it brings. */
  after(query: QueryLike, run: () => void): void
  /** Whether a query shows an optimistic update, or may. */
  mutating(query: QueryLike): boolean
  stop(): void
}

/** How long after its own writing a page counts as the one who wrote, in ms. */
const ownFor = 3_000

/** Whether a fetch is under way that may be older than what is heard now. */
export function busy(query: QueryLike): boolean {
  return query.state.fetchStatus !== 'idle'
}

/**
 * When queries are fetched. It counts: each event has a clock, and a query that an event concerns needs a fetch that
 * began after it. One fetch of a query is under way at a time, and is never cut short: under a steady stream none would
 * end.
 * `vouched` says of a query whether events tell when it is outdated: what is not is left marked as stale. `foreign` is
 * told of one that was given data by no fetch of this page: a server's, or what storage kept.
 */
export function createFetches(
  client: QueryClientLike,
  interval: number,
  vouched: (query: QueryLike) => boolean,
  foreign: (query: QueryLike) => void,
): Fetches {
  const tracks = new Map<QueryLike, Track>()
  const waiting = new Set<QueryLike>() // for the page to be visible, or for a mutation
  const mutations = client.getMutationCache()
  const page = globalThis.document as Document | undefined
  let clock = 0
  let wrote = -Infinity

  function trackOf(query: QueryLike): Track {
    let track = tracks.get(query)
    if (!track) {
      track = { began: -1, held: -1, dated: query.state.dataUpdatedAt, need: -1, last: -Infinity, spread: 0,
        timer: undefined, late: [] }
      tracks.set(query, track)
    }
    return track
  }

  function arm(query: QueryLike, track: Track): void {
    const now = performance.now() // the clock may be put back
    const own = now - wrote < ownFor && track.last <= wrote
    if (track.need <= track.held || busy(query) || (track.timer && !own)) return
    clearTimeout(track.timer)
    const wait = Math.max(Math.random() * track.spread, track.last + interval - now)
    track.timer = setTimeout(run, own ? 0 : wait, query)
  }

  function run(query: QueryLike): void {
    const track = trackOf(query)
    track.timer = undefined
    if (track.need <= track.held || busy(query) || !query.isActive() || query.isStatic?.()) return
    if (page?.visibilityState === 'hidden' || mutating(query)) waiting.add(query)
    else fetch(query)
  }

  function fetch(query: QueryLike): void {
    query.fetch(undefined, { cancelRefetch: false }).catch(() => {}) // the query has the error
  }

  function wake(): void {
    const queries = [...waiting]
    waiting.clear()
    queries.forEach(run)
  }

  function mutating({ queryKey }: QueryLike): boolean {
    return mutations.getAll().some(({ state, options: { mutationKey, onMutate } }) =>
      state.status === 'pending' && (onMutate || (mutationKey && startsWith(queryKey, mutationKey.slice(0, 1)))))
  }

  function seen({ type, query, action }: CacheEvent): void {
    if (type === 'removed') forget(query)
    if (type !== 'added' && type !== 'updated') return
    const track = trackOf(query)
    const { data, dataUpdatedAt } = query.state
    const what = action?.type
    if (!what) return void (data !== undefined && foreign(query))
    if (what === 'fetch') {
      track.began = clock
      track.last = performance.now()
    } else if (what === 'success') {
      track.dated = dataUpdatedAt
      if (!action!.manual) brought(query, track)
      // Data clears the mark; whoever mounts the query before it is fetched has to see it.
      if (!query.state.isInvalidated && (track.need > track.held || !vouched(query))) query.invalidate()
      arm(query, track)
    } else if (what === 'setState' || (what === 'error' && track.need > track.began)) {
      if (what === 'setState' && data !== undefined && dataUpdatedAt !== track.dated) foreign(query)
      arm(query, track) // cancelled, perhaps; or there is news. Another error stays, and TanStack's rules apply
    }
  }

  function brought({ state }: QueryLike, track: Track): void {
    // One more page of an infinite query makes the others no newer.
    if (!state.fetchMeta?.fetchMore) track.held = track.began
    const { late } = track
    track.late = []
    late.forEach((put) => put())
  }

  function forget(query: QueryLike): void {
    clearTimeout(tracks.get(query)?.timer)
    tracks.delete(query)
    waiting.delete(query)
  }

  page?.addEventListener('visibilitychange', wake)
  const stops = [
    client.getQueryCache().subscribe(seen),
    mutations.subscribe(({ type, mutation }) => {
      if (type !== 'updated' || mutation!.state.status === 'pending') return
      wrote = performance.now()
      wake()
    }),
  ]

  return {
    tick: () => ++clock,
    held: (query) => trackOf(query).held,
    need(query, at, spread) {
      const track = trackOf(query)
      if (at <= track.held) return
      track.need = Math.max(track.need, at)
      track.spread = spread
      query.invalidate()
      arm(query, track)
    },
    after: (query, put) => void trackOf(query).late.push(put),
    mutating,
    stop() {
      page?.removeEventListener('visibilitychange', wake)
      for (const stop of stops) stop()
      for (const [query, { need, held }] of [...tracks]) {
        forget(query)
        // It forgot a row that is gone, and nobody else would ask.
        if (need > held && query.state.data === undefined && query.isActive()) fetch(query)
      }
    },
  }
}
